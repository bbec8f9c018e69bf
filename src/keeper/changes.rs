//! Owns asking what others do to the targets: the stream of their changes, and a look at one target.
//! Decides nothing. Runs in the keeper.

use jiff::Timestamp;

use crate::{
    core::{
        lease::{
            foreign_change::{End, end},
            state::HeldTarget,
        },
        target::seen::Seen,
    },
    keeper::operations::Machine,
    targets::kind::TargetKind as _,
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

/// How a target came to its end that was paused, as its kind remembers it; `now` is what it was seen
/// to be.
pub(crate) async fn how_it_ended(machine: &Machine, held: &HeldTarget, now: &Seen) -> End {
    let Ok(targets) = machine.targets().await else { return End::Unknown };
    let target = &held.target;
    end(&targets.of(target.kind()).remembered(target.handle(), now).await)
}
