//! Owns how a lease is begun: its journal, and what its keeper is asked for. Where that is not
//! possible, nothing may be changed.

use std::path::Path;

use crate::{
    commands::error::CommandError,
    core::{
        run::{
            room_settings::RoomSettings,
            wire::{self, Request, ToKeeper},
        },
        target::kind::USUAL,
        text,
    },
    host::container::{Place, place_of},
    lease::{journal::Journal, leases::new_id, state_dir::StateDir},
};

/// Begins a lease in this state directory, for this room; `complete` adds what else its keeper is
/// to know.
///
/// # Errors
/// The reason, and the way out.
pub(super) fn begin_lease(
    state_dir: &Path,
    room: RoomSettings,
    complete: impl FnOnce(&mut Request),
) -> Result<(Request, Journal), CommandError> {
    let dir = absolute(state_dir).map_err(CommandError::new)?;
    // What `config` leaves relative has no directory to lie in.
    room.swap_file.as_deref().map(std::path::absolute).transpose().map_err(CommandError::new)?;
    if place_of(Path::new(&dir)) == Place::Fleeting {
        let place = text::shell_word(&dir);
        let reason =
            format!("this is a container, and the state directory {place} would vanish with it");
        let hint = format!("put it on a volume: docker run -v makeroom:{place} …");
        return Err(CommandError::new(reason).with_hint(hint));
    }
    let state = StateDir::open(Path::new(&dir))
        .map_err(|error| CommandError::new(&error).with_hint(error.hint()))?;
    let lease = new_id().map_err(CommandError::new)?;
    let mut request =
        Request { lease: lease.clone(), state_dir: dir, settings: room, ..Request::default() };
    complete(&mut request);
    if wire::line(&ToKeeper::MakeRoom(Box::new(request.clone()))).len() > wire::LONGEST_BYTES {
        let reason = format!(
            "all selectors together are longer than {}",
            text::size(wire::LONGEST_BYTES as u64)
        );
        let hint = format!("a glob, `label:` or `compose:` names many {USUAL}s at once");
        return Err(CommandError::new(reason).with_hint(hint));
    }
    let journal = Journal::create(&state, &lease).map_err(CommandError::new)?;
    Ok((request, journal))
}

/// A path as journals and scripts on the host are told it: whoever reads it may be in another
/// directory.
fn absolute(path: &Path) -> Result<String, String> {
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    path.into_os_string().into_string().map_err(|path| format!("{} is not UTF-8", path.display()))
}
