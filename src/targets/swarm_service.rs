//! Owns Swarm services as targets: each in the place of all its tasks, stopped by scaling it to 0
//! and started by scaling it back. Its tasks are Swarm's to start. A call that nobody waits for any
//! more names the version of the service that it was made for, and is refused once there is a newer
//! one.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    core::{
        machine::cgroup::Cgroup,
        target::{
            event::Happened,
            healthcheck::Word,
            recorded::{Handle, Scaled, Target, Undo},
            seen::{Listing, Seen},
            state::State,
        },
    },
    engine::{client::Engine, swarm},
    targets::{changes::Changes, error::TargetError, kind::TargetKind},
};

/// The engine's Swarm services.
pub(crate) struct SwarmServices {
    engine: Engine,
}

impl SwarmServices {
    pub(super) fn new(engine: &Engine) -> Self {
        Self { engine: engine.clone() }
    }
}

impl TargetKind for SwarmServices {
    /// Those of the recorded ones that are at 0: their tasks are gone, or about to be. One that
    /// cannot be looked at is no target of this build; it stays the other's.
    async fn list(&self, recorded: &[&Target]) -> Result<Listing, TargetError> {
        let mut listing = Listing::default();
        for target in recorded {
            if let Undo::SwarmService(scaled) = &target.undo
                && let Ok(service) = swarm::service(&self.engine, &target.id).await
                && service.replicas() == Some(0)
            {
                listing.targets.push(service.in_place_of_its_tasks(scaled));
            }
        }
        Ok(listing)
    }

    async fn look(&self, one: Handle<'_>) -> Result<Seen, TargetError> {
        let scaled = scaled(one)?;
        let service = swarm::service(&self.engine, one.id).await?;
        let (state, incarnation) = match service.replicas() {
            Some(0) => (State::Stopped, Scaled::incarnation(scaled.replicas)),
            replicas => (State::Running, Scaled::incarnation(replicas.unwrap_or_default())),
        };
        Ok(Seen {
            state,
            incarnation,
            ended_at: None,
            cgroup: None,
            never_stopped: None,
            stop_patience: Some(service.grace()),
            is_healthy: false,
            word: Word::None,
            probe: None,
            log_port: None,
            lives_in: vec![],
        })
    }

    async fn pause(&self, _one: Handle<'_>) -> Result<(), TargetError> {
        Err(TargetError::Unable { done: "paused" })
    }

    async fn resume(&self, _one: Handle<'_>) -> Result<(), TargetError> {
        Err(TargetError::Unable { done: "resumed" })
    }

    async fn stop(
        &self,
        one: Handle<'_>,
        patience: Option<Duration>,
        _limit: Duration,
    ) -> Result<(), TargetError> {
        Ok(swarm::scale_to_zero(&self.engine, one.id, scaled(one)?, patience).await?)
    }

    async fn start(&self, one: Handle<'_>) -> Result<(), TargetError> {
        let replicas = scaled(one)?.replicas;
        let service = swarm::service(&self.engine, one.id).await?;
        match service.replicas() {
            // Writing the number anew makes a newer version.
            Some(now) if now == 0 || now == replicas => {
                Ok(swarm::scale(&self.engine, &service, replicas).await?)
            }
            // Somebody else has scaled it in between; the next look says so.
            _ => Ok(()),
        }
    }

    async fn is_healthy(&self, _one: Handle<'_>) -> Result<bool, TargetError> {
        Ok(true)
    }

    /// No event tells of a service's number.
    async fn remembered(&self, _one: Handle<'_>, _now: &Seen) -> Vec<Happened> {
        Vec::new()
    }

    async fn memory(&self, _one: Handle<'_>) -> Result<Option<Cgroup>, TargetError> {
        Ok(None)
    }

    fn changes(&self, _since: Timestamp) -> Changes {
        Changes::default()
    }
}

fn scaled(one: Handle<'_>) -> Result<&Scaled, TargetError> {
    match one.undo {
        Undo::SwarmService(scaled) => Ok(scaled),
        Undo::Container => Err(TargetError::Unable { done: "scaled" }),
    }
}
