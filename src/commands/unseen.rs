//! Owns what a short command that looks for leases says of those that it cannot see: what is not
//! seen is not nothing. Somebody else's are never opened.

use nix::unistd::{Uid, User, geteuid};

use crate::{
    commands::error::CommandError,
    config::Settings,
    core::{machine::swap::OWN_DIR, text},
    host::held_mark::{self, OfRoot},
    lease::state_dir::StateDir,
    report::console::Say,
};

/// What there is of a state directory.
#[derive(Debug)]
pub(super) enum StateDirSeen {
    /// It is open.
    State(StateDir),
    /// There is none.
    Absent,
    /// It may not be read, which is said already.
    Denied,
}

impl StateDirSeen {
    /// The directory, where it is open.
    pub(super) fn state(&self) -> Option<&StateDir> {
        if let Self::State(state) = self { Some(state) } else { None }
    }
}

/// Opens the state directory, where there is one. One that may not be read is no reason not to look
/// further, unless it `is_asked_for`, or was named.
///
/// # Errors
/// Why it cannot be used, with the fix.
pub(super) fn open(
    settings: &Settings,
    is_asked_for: bool,
    say: &mut Say,
) -> Result<StateDirSeen, CommandError> {
    match StateDir::open_existing(&settings.state_dir) {
        Err(error) if error.is_denied() && !settings.is_state_dir_named && !is_asked_for => {
            let text = format!(
                "{}; whether anything is held there is not known",
                text::printable(&error.to_string())
            );
            say.warning(text, Some(&error.hint()));
            Ok(StateDirSeen::Denied)
        }
        Err(error) => {
            Err(CommandError::new(&error).with_state("nothing was changed").with_hint(error.hint()))
        }
        Ok(state) => Ok(state.map_or(StateDirSeen::Absent, StateDirSeen::State)),
    }
}

/// What others may hold that this user does not see, in a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    /// Nothing, as far as anybody can tell.
    Nothing,
    /// Nobody can tell.
    Perhaps { line: String, command: &'static str },
    /// Something.
    Held(String),
}

/// Looks for root's leases, and as root for those of the user who has become it by sudo. A
/// directory that was named is all that is asked for.
pub(super) fn look(settings: &Settings) -> Unseen {
    if settings.is_state_dir_named {
        return Unseen::Nothing;
    }
    match held_mark::of_root() {
        OfRoot::Held => {
            Unseen::Held(format!("root holds leases in {OWN_DIR}, which this user may not read"))
        }
        OfRoot::Unseen => Unseen::Perhaps {
            line: format!("whether root holds anything in {OWN_DIR} cannot be seen"),
            command: "sudo makeroom",
        },
        OfRoot::Nothing => of_sudos_user().map_or(Unseen::Nothing, |line| Unseen::Perhaps {
            line,
            command: "without sudo: makeroom",
        }),
    }
}

fn of_sudos_user() -> Option<String> {
    let user = std::env::var("SUDO_UID")
        .ok()?
        .parse()
        .ok()
        .filter(|uid| *uid != 0 && geteuid().is_root())?;
    let user = User::from_uid(Uid::from_raw(user)).ok()??;
    let dir = user.dir.join(".local/state/makeroom");
    // Only names are looked at: what is in another user's files is theirs to say.
    let is_journal = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension() == Some("journal".as_ref()))
    };
    let has_leases =
        std::fs::read_dir(dir.join("leases")).is_ok_and(|mut entries| entries.any(is_journal));
    let (name, dir) = (text::printable(&user.name), text::printable(&dir.to_string_lossy()));
    has_leases.then(|| format!("`{name}` has leases of their own in {dir}"))
}
