//! Owns the closed list of kinds, and what is asked of all of them at once.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::{
    core::{
        machine::cgroup::Cgroup,
        target::{
            cgroup_of::CgroupOf,
            event::Happened,
            kind::Kind,
            recorded::{Handle, Target},
            seen::{Listed, Listing, Seen},
        },
    },
    engine::client::Engine,
    targets::{
        calls::{Calls, Sent},
        changes::Changes,
        container::Containers,
        error::TargetError,
        kind::TargetKind,
        pace::at_once,
        swarm_service::SwarmServices,
    },
};

/// All kinds of targets of one engine.
#[derive(Clone, Debug)]
pub struct Targets {
    pub(super) source: Source,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    Engine {
        engine: Engine,
        calls: Calls,
    },
    #[cfg(test)]
    Fake(crate::targets::fake::FakeTargets),
}

/// The kinds, each behind what all of them can do.
pub(crate) enum AnyKind {
    Container(Containers),
    SwarmService(SwarmServices),
    #[cfg(test)]
    Fake(crate::targets::fake::FakeKind),
}

impl Targets {
    /// Those of this engine; `calls` outlive the connection.
    #[must_use]
    pub fn of_engine(engine: Engine, calls: Calls) -> Self {
        Self { source: Source::Engine { engine, calls } }
    }

    /// Those of no engine at all.
    #[cfg(test)]
    #[must_use]
    pub fn of_fake(fake: crate::targets::fake::FakeTargets) -> Self {
        Self { source: Source::Fake(fake) }
    }

    /// The ones of this kind.
    pub(crate) fn of(&self, kind: Kind) -> AnyKind {
        match &self.source {
            Source::Engine { engine, calls } => match kind {
                Kind::Container => AnyKind::Container(Containers::new(engine, calls)),
                Kind::SwarmService => AnyKind::SwarmService(SwarmServices::new(engine)),
            },
            #[cfg(test)]
            Source::Fake(fake) => AnyKind::Fake(fake.of(kind)),
        }
    }

    /// What there is of all kinds. One that stands in the place of its parts is listed without
    /// them.
    ///
    /// # Errors
    /// [`TargetError`] where one kind cannot be listed.
    pub async fn list(&self, recorded: &[&Target]) -> Result<Listing, TargetError> {
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
        let looked = self.looks(of).await;
        looked.into_iter().filter_map(|looked| looked.ok()?.cgroup).collect()
    }

    /// A look at each of these, in their order.
    pub async fn looks<'a>(
        &self,
        of: impl IntoIterator<Item = Handle<'a>>,
    ) -> Vec<Result<Seen, TargetError>> {
        let looking = of.into_iter().map(|one| self.look(one));
        stream::iter(looking).buffered(at_once()).collect().await
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
            #[cfg(test)]
            Source::Fake(_) => None,
        }
    }
}

/// Hands a call to whichever kind it is.
macro_rules! of_kind {
    ($any:expr, $kind:ident => $call:expr) => {
        match $any {
            AnyKind::Container($kind) => $call,
            AnyKind::SwarmService($kind) => $call,
            #[cfg(test)]
            AnyKind::Fake($kind) => $call,
        }
    };
}

impl TargetKind for AnyKind {
    async fn list(&self, recorded: &[&Target]) -> Result<Listing, TargetError> {
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

    async fn remembered(&self, one: Handle<'_>, now: &Seen) -> Vec<Happened> {
        of_kind!(self, kind => kind.remembered(one, now).await)
    }

    async fn memory(&self, one: Handle<'_>) -> Result<Option<Cgroup>, TargetError> {
        of_kind!(self, kind => kind.memory(one).await)
    }

    fn changes(&self, since: Timestamp) -> Changes {
        of_kind!(self, kind => kind.changes(since))
    }
}
