//! The seam between the operations on a lease and the kinds of targets: what can be done with a
//! target, whichever kind it is of. Nothing above it names a kind. Every call is bounded in time;
//! whether and when one is made is `room`'s. Runs in the keeper and in short commands.
//!
//! A new kind is a variant of `core::target::kind::Kind`, what its undoing takes in
//! `core::target::recorded::Undo`, and a file here that implements [`TargetKind`].

mod calls;
mod changes;
mod container;
mod error;
mod swarm_service;
pub mod wholes;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

pub use self::{
    calls::{Calls, Sent},
    changes::Changes,
    error::TargetError,
};
use self::{container::Containers, swarm_service::SwarmServices};
use crate::{
    core::target::{
        cgroup_of::CgroupOf,
        kind::Kind,
        recorded::{Handle, Target},
        seen::{Listed, Listing, Seen},
    },
    engine::client::{Engine, PAUSE, STOP_MARGIN},
    host::limits::calls_at_once,
};
use std::time::Duration;

/// Calls that are under way at once, where so many files can be open.
const AT_ONCE: usize = 16;
/// What may take for ever to stop (a stop timeout of -1) is waited for no longer; its stop goes on.
const ENDLESS_STOP: Duration = Duration::from_mins(1);

/// What can be done with the targets of one kind.
pub(crate) trait TargetKind {
    /// What there is of it. `recorded` are the targets that leases have taken: some kinds are found
    /// by these alone.
    async fn list(&self, recorded: &[Target]) -> Result<Listing, TargetError>;

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

    /// What happens to them from this time on.
    fn changes(&self, since: Timestamp) -> Changes;
}

/// All kinds of targets of one engine.
#[derive(Clone, Debug)]
pub struct Targets {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Engine { engine: Engine, calls: Calls },
}

/// The kinds, each behind what all of them can do.
pub(crate) enum AnyKind {
    Container(Containers),
    SwarmService(SwarmServices),
}

impl Targets {
    /// Those of this engine; `calls` outlive the connection.
    #[must_use]
    pub fn of_engine(engine: Engine, calls: Calls) -> Self {
        Self { source: Source::Engine { engine, calls } }
    }

    /// The ones of this kind.
    pub(crate) fn of(&self, kind: Kind) -> AnyKind {
        match &self.source {
            Source::Engine { engine, calls } => match kind {
                Kind::Container => AnyKind::Container(Containers::new(engine, calls)),
                Kind::SwarmService => AnyKind::SwarmService(SwarmServices::new(engine)),
            },
        }
    }

    /// What there is of all kinds. One that stands in the place of its parts is listed without
    /// them.
    ///
    /// # Errors
    /// [`TargetError`] where one kind cannot be listed.
    pub async fn list(&self, recorded: &[Target]) -> Result<Listing, TargetError> {
        let mut listing = Listing::default();
        for kind in Kind::ALL {
            let Listing { targets, unreadable } = self.of(kind).list(recorded).await?;
            let is_part = |listed: &Listed| {
                listed.part_of.as_ref().is_some_and(|id| targets.iter().any(|one| one.id == *id))
            };
            listing.targets.retain(|listed| !is_part(listed));
            listing.targets.extend(targets);
            listing.unreadable.extend(unreadable);
        }
        Ok(listing)
    }

    /// One as it is now.
    ///
    /// # Errors
    /// [`TargetError`]; [`TargetError::is_gone`] where there is none any more.
    pub async fn look(&self, one: Handle<'_>) -> Result<Seen, TargetError> {
        self.of(one.undo.kind()).look(one).await
    }

    /// The same; `None` where it was removed, which is believed only when it is said twice: what is
    /// taken for gone is never looked at again.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn look_twice(&self, one: Handle<'_>) -> Result<Option<Seen>, TargetError> {
        for _ in 0..2 {
            match self.look(one).await {
                Err(error) if error.is_gone() => {}
                looked => return looked.map(Some),
            }
        }
        Ok(None)
    }

    /// The cgroups of these; one that went away since has none.
    pub async fn cgroups<'a>(&self, of: impl IntoIterator<Item = Handle<'a>>) -> Vec<CgroupOf> {
        let looking = of.into_iter().map(|one| async move { self.look(one).await.ok()?.cgroup });
        let looked: Vec<_> = stream::iter(looking).buffered(at_once()).collect().await;
        looked.into_iter().flatten().collect()
    }

    /// What happens to targets of all kinds from this time on.
    #[must_use]
    pub fn changes(&self, since: Timestamp) -> Changes {
        let all = Kind::ALL.into_iter().map(|kind| self.of(kind).changes(since));
        all.fold(Changes::default(), Changes::and)
    }

    /// What became of the calls about this target; `None` where none was sent from here.
    #[must_use]
    pub fn sent(&self, id: &str) -> Option<Sent> {
        match &self.source {
            Source::Engine { calls, .. } => calls.of(id),
        }
    }
}

/// How many calls may be under way at once.
#[must_use]
pub fn at_once() -> usize {
    calls_at_once(AT_ONCE)
}

/// How long the answer to a pause is waited for.
pub const PAUSE_LIMIT: Duration = PAUSE;

/// How long the answer to a stop is waited for, of a target that is given `patience`; `None`: for
/// ever.
#[must_use]
pub fn stop_limit(patience: Option<Duration>) -> Duration {
    patience.unwrap_or(ENDLESS_STOP).saturating_add(STOP_MARGIN)
}

/// Hands a call to whichever kind it is.
macro_rules! of_kind {
    ($any:expr, $kind:ident => $call:expr) => {
        match $any {
            AnyKind::Container($kind) => $call,
            AnyKind::SwarmService($kind) => $call,
        }
    };
}

impl TargetKind for AnyKind {
    async fn list(&self, recorded: &[Target]) -> Result<Listing, TargetError> {
        of_kind!(self, kind => kind.list(recorded).await)
    }

    async fn look(&self, one: Handle<'_>) -> Result<Seen, TargetError> {
        of_kind!(self, kind => kind.look(one).await)
    }

    async fn pause(&self, one: Handle<'_>) -> Result<(), TargetError> {
        of_kind!(self, kind => kind.pause(one).await)
    }

    async fn resume(&self, one: Handle<'_>) -> Result<(), TargetError> {
        of_kind!(self, kind => kind.resume(one).await)
    }

    async fn stop(
        &self,
        one: Handle<'_>,
        patience: Option<Duration>,
        limit: Duration,
    ) -> Result<(), TargetError> {
        of_kind!(self, kind => kind.stop(one, patience, limit).await)
    }

    async fn start(&self, one: Handle<'_>) -> Result<(), TargetError> {
        of_kind!(self, kind => kind.start(one).await)
    }

    async fn is_healthy(&self, one: Handle<'_>) -> Result<bool, TargetError> {
        of_kind!(self, kind => kind.is_healthy(one).await)
    }

    fn changes(&self, since: Timestamp) -> Changes {
        of_kind!(self, kind => kind.changes(since))
    }
}
