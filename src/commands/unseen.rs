//! Owns what a short command that looks for leases says of those that it cannot see: what is not seen is not nothing.
//! Somebody else's are never opened.

use std::path::PathBuf;

use nix::unistd::{Uid, User, geteuid};

use crate::{
    config::Settings,
    core::text,
    host::{
        held_mark::{self, OfRoot},
        swap::OWN_DIR,
    },
    lease::{
        leases::journals,
        state_dir::{StateDir, StateDirError},
    },
    report::say::Say,
};

/// What there is of a state directory.
#[derive(Debug)]
pub(super) enum Opened {
    /// It is open.
    State(StateDir),
    /// There is none.
    Absent,
    /// It may not be read, which is said already.
    Denied,
}

/// Opens the state directory, where there is one. One that may not be read is no reason not to look further, unless it
/// `is_asked_for`, or was named.
pub(super) fn open(settings: &Settings, is_asked_for: bool, say: &mut Say) -> Result<Opened, StateDirError> {
    match StateDir::open_existing(&settings.state_dir) {
        Err(error) if error.is_denied() && !settings.is_state_dir_named && !is_asked_for => {
            let text = format!("{}; whether anything is held there is not known", text::printable(&error.to_string()));
            say.warning(text, Some(&error.hint()));
            Ok(Opened::Denied)
        }
        opened => opened.map(|state| state.map_or(Opened::Absent, Opened::State)),
    }
}

/// What root may hold and this user does not see; nothing where a directory was named, or can be seen.
pub(super) fn of_root(settings: &Settings) -> OfRoot {
    if settings.is_state_dir_named { OfRoot::Nothing } else { held_mark::of_root() }
}

/// The line about it; `asked` is what was found nowhere.
pub(super) fn line(of_root: OfRoot, asked: Option<&str>) -> Option<String> {
    match (of_root, asked) {
        (OfRoot::Nothing, _) => None,
        (OfRoot::Held, _) => Some(format!("root holds leases in {OWN_DIR}, which this user may not read")),
        (OfRoot::Unseen, Some(name)) => {
            Some(format!("`{}` is no lease of this user's, and root's in {OWN_DIR} cannot be seen", text::printable(name)))
        }
        (OfRoot::Unseen, None) => Some(format!("whether root holds anything in {OWN_DIR} cannot be seen")),
    }
}

/// The directory of the user who has become root by sudo, where there are leases in it.
pub(super) fn of_sudos_user(settings: &Settings) -> Option<String> {
    let user = std::env::var("SUDO_UID").ok()?.parse().ok().filter(|uid| *uid != 0 && geteuid().is_root())?;
    let user = User::from_uid(Uid::from_raw(user)).ok()??;
    let dir: PathBuf = user.dir.join(".local/state/makeroom");
    let has_leases = !settings.is_state_dir_named && journals(&dir.join("leases")).is_ok_and(|found| !found.is_empty());
    has_leases.then(|| {
        format!("`{}` has leases in {}, which are seen without sudo", text::printable(&user.name), text::printable(&dir.to_string_lossy()))
    })
}
