//! Owns containers as targets: each call is the engine's own, and those that pause and stop go on
//! when nobody waits for them any more.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    core::{
        machine::cgroup::Cgroup,
        target::{
            event::Happened,
            recorded::{Handle, Target},
            seen::{Listing, Seen},
            state::State,
        },
    },
    engine::{
        client::{Engine, EngineError, PAUSE},
        events, healthcheck, stats,
    },
    targets::{calls::Calls, changes::Changes, error::TargetError, kind::TargetKind},
};

/// The engine's containers.
pub(crate) struct Containers {
    engine: Engine,
    calls: Calls,
}

impl Containers {
    pub(super) fn new(engine: &Engine, calls: &Calls) -> Self {
        Self { engine: engine.clone(), calls: calls.clone() }
    }
}

impl TargetKind for Containers {
    async fn list(&self, _recorded: &[&Target]) -> Result<Listing, TargetError> {
        Ok(self.engine.list().await?)
    }

    async fn look(&self, one: Handle<'_>) -> Result<Seen, TargetError> {
        let seen = self.engine.inspect(one.id).await?;
        // An engine that does not say when it was started may have been asked in the middle of that.
        if seen.incarnation.is_known() || seen.state == State::Stopped {
            return Ok(seen);
        }
        Ok(self.engine.inspect(one.id).await?)
    }

    async fn pause(&self, one: Handle<'_>) -> Result<(), TargetError> {
        let (engine, id) = (self.engine.clone(), one.id.to_owned());
        send(&self.calls, one.id, PAUSE, async move { engine.pause(&id).await }).await
    }

    /// One that somebody else thawed in between is answered with 500; the next attempt looks again
    /// and finds it running.
    async fn resume(&self, one: Handle<'_>) -> Result<(), TargetError> {
        Ok(self.engine.unpause(one.id).await?)
    }

    async fn stop(
        &self,
        one: Handle<'_>,
        patience: Option<Duration>,
        limit: Duration,
    ) -> Result<(), TargetError> {
        let (engine, id) = (self.engine.clone(), one.id.to_owned());
        send(&self.calls, one.id, limit, async move { engine.stop(&id, patience).await }).await
    }

    async fn start(&self, one: Handle<'_>) -> Result<(), TargetError> {
        Ok(self.engine.start(one.id).await?)
    }

    async fn is_healthy(&self, one: Handle<'_>) -> Result<bool, TargetError> {
        match self.engine.inspect(one.id).await?.probe {
            Some(probe) => Ok(healthcheck::ask(&self.engine, one.id, &probe).await?),
            // It was healthy by a check that is gone.
            None => Ok(true),
        }
    }

    async fn remembered(&self, one: Handle<'_>, now: &Seen) -> Vec<Happened> {
        let Some(ended_at) = now.ended_at else { return Vec::new() };
        events::remembered(&self.engine, one.id, ended_at).await.unwrap_or_default()
    }

    async fn memory(&self, one: Handle<'_>) -> Result<Option<Cgroup>, TargetError> {
        Ok(stats::memory(&self.engine, one.id).await?)
    }

    fn changes(&self, since: Timestamp) -> Changes {
        Changes::of_engine(events::follow(&self.engine, since))
    }
}

/// Sends a call and waits so long for its answer; it goes on after that.
async fn send(
    calls: &Calls,
    id: &str,
    limit: Duration,
    call: impl Future<Output = Result<(), EngineError>> + Send + 'static,
) -> Result<(), TargetError> {
    match tokio::time::timeout(limit, calls.send(id, call)).await {
        Ok(Ok(answer)) => Ok(answer?),
        Ok(Err(_)) => Err(TargetError::GivenUp),
        Err(_) => Err(TargetError::Silent { after: limit }),
    }
}
