//! Owns asking what others do to the targets: the stream of their changes, and a look at one target.
//! Decides nothing. Runs in the keeper.

use jiff::Timestamp;

use crate::{
    core::{lease::state::HeldTarget, target::seen::Seen},
    keeper::operations::Machine,
};

pub(crate) use crate::targets::{changes::Changes, error::TargetError};

/// Follows the changes from this time on, or else from now on.
///
/// # Errors
/// Where the engine cannot be reached.
pub(crate) async fn follow(
    machine: &Machine,
    since: Option<Timestamp>,
) -> Result<Changes, TargetError> {
    Ok(machine.targets().await?.changes(since.unwrap_or_else(Timestamp::now)))
}

/// Looks at a target; gives `None` in it where it is gone.
///
/// # Errors
/// Where that cannot be told.
pub(crate) async fn look(
    machine: &Machine,
    held: &HeldTarget,
) -> Result<Option<Seen>, TargetError> {
    machine.targets().await?.look_twice(held.target.handle()).await
}
