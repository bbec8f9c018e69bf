//! Owns asking the engine what others do to the targets: the stream of its events, and a look at
//! one target. Nothing else in the keeper calls the engine. Decides nothing.

use jiff::Timestamp;

use crate::{
    core::{
        lease::{foreign_change::ACTIONS, record::HeldTarget},
        target::choice::Inspected,
    },
    keeper::operations::Machine,
    room::bring_back,
};

pub(crate) use crate::engine::{client::EngineError, events::Events};

/// Follows the engine's events from this time on, or else from now on.
///
/// # Errors
/// Where the engine cannot be reached.
pub(crate) async fn follow(
    machine: &Machine,
    since: Option<Timestamp>,
) -> Result<Events, EngineError> {
    let engine = machine.engine().await?;
    Ok(engine.events(since.unwrap_or_else(Timestamp::now), &ACTIONS))
}

/// Whether the engine has no events at all, and says so each time.
pub(crate) fn are_refused(error: &EngineError) -> bool {
    matches!(error, EngineError::Refused { status: 400..=499 | 501, .. })
}

/// Whether an event tells what becomes of this target. None tells of the number of a Swarm
/// service: restoring looks at that.
pub(crate) fn can_be_seen(held: &HeldTarget) -> bool {
    held.target.swarm.is_none()
}

/// Looks at a target; gives `None` in it where it is gone.
///
/// # Errors
/// Where that cannot be told.
pub(crate) async fn look(
    machine: &Machine,
    held: &HeldTarget,
) -> Result<Option<Inspected>, EngineError> {
    bring_back::look(&machine.engine().await?, held).await
}
