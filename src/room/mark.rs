//! Owns when root's leases are marked as held for other users to see, and when not any more. Runs
//! in the keeper, and in `recover` and `stop` for leases whose holder is dead.

use std::time::Duration;

use crate::{
    core::run::note::{Level, Note},
    host::held_mark,
    lease::{leases::ids, state_dir::StateDir},
    room::context::Context,
};

/// Whoever has the lock for longer takes something, or is the next to look.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Before anything is held, under the lock.
pub(crate) fn mark_held(context: &Context<'_>) {
    if let Err(error) = held_mark::set(context.state.path()) {
        context.note(Note::new(
            Level::Detail,
            format!("other users cannot see that something is held: {error}"),
        ));
    }
}

/// Takes the mark away where no lease is left. Needs the lock, and has not got it yet.
///
/// # Errors
/// Why it stays, in words.
pub async fn unmark(state: &StateDir) -> Result<(), String> {
    if !held_mark::is_marked_for(state.path()) || !held_mark::is_set() {
        return Ok(());
    }
    let _lock = state.lock_later(LOCK_PATIENCE).await.map_err(|error| error.to_string())?;
    let left = ids(state.leases()).map_err(|error| error.to_string())?;
    if left.is_empty() {
        held_mark::clear(state.path()).map_err(|error| error.to_string())
    } else {
        Ok(())
    }
}
