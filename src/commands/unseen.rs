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

/// Opens the state directory, where there is one. One that was not named and may not be read is said, and is no
/// reason not to look further.
pub(super) fn open(settings: &Settings, say: &mut Say) -> Result<Option<StateDir>, StateDirError> {
    match StateDir::open_existing(&settings.state_dir) {
        Err(error) if error.is_denied() && !settings.is_state_dir_named => {
            let text = format!("{}: whether anything is held there is not known", text::printable(&error.to_string()));
            say.warning(text, Some(&error.hint()));
            Ok(None)
        }
        opened => opened,
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
    has_leases.then(|| format!("`{}` has leases in {}, which are seen without sudo", text::printable(&user.name), text::printable(&dir.to_string_lossy())))
}
