//! Owns what can be done with the targets of one kind: all that `room` knows of any of them.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    core::{
        machine::cgroup::Cgroup,
        target::{
            event::Happened,
            recorded::{Handle, Target},
            seen::{Listing, Seen},
        },
    },
    targets::{changes::Changes, error::TargetError},
};

/// What can be done with the targets of one kind.
pub(crate) trait TargetKind {
    /// What there is of it. `recorded` are the targets that leases have taken: some kinds are found
    /// by these alone.
    async fn list(&self, recorded: &[&Target]) -> Result<Listing, TargetError>;

    /// One as it is now; [`TargetError::is_gone`] where there is none with this id.
    async fn look(&self, one: Handle<'_>) -> Result<Seen, TargetError>;

    /// Freezes one that runs. The call goes on though nobody waits for it any more.
    async fn pause(&self, one: Handle<'_>) -> Result<(), TargetError>;

    /// Thaws one that is paused.
    async fn resume(&self, one: Handle<'_>) -> Result<(), TargetError>;

    /// Ends one; ended already is fine. `patience` is the time that it is given, its own where
    /// `None`. The answer is waited for no longer than `limit`; the call goes on.
    async fn stop(
        &self,
        one: Handle<'_>,
        patience: Option<Duration>,
        limit: Duration,
    ) -> Result<(), TargetError>;

    /// Starts one that was stopped. One that runs is made to run on: a call to stop it that nobody
    /// waits for any more is made to do nothing, where its kind can
    /// ([`Kind::refuses_late_calls`]).
    async fn start(&self, one: Handle<'_>) -> Result<(), TargetError>;

    /// Whether one that runs is content by its own health check, asked at once; one without a check
    /// is.
    async fn is_healthy(&self, one: Handle<'_>) -> Result<bool, TargetError>;

    /// What its kind remembers of one that has ended, as it was `now` seen to be, in order; nothing
    /// where nobody can tell.
    async fn remembered(&self, one: Handle<'_>, now: &Seen) -> Vec<Happened>;

    /// How much memory one holds, in the words of whoever runs it; `None` where that is not known.
    async fn memory(&self, one: Handle<'_>) -> Result<Option<Cgroup>, TargetError>;

    /// What happens to them from this time on.
    fn changes(&self, since: Timestamp) -> Changes;
}
