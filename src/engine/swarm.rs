//! Owns the calls about Swarm's services. bollard's models know a part of a spec, and an update
//! replaces all of it: so specs are read and sent back as the engine has them. Bounded in time.
//! Runs in the keeper and in short commands.

use std::time::{Duration, Instant};

use bollard::{Docker, models::ServiceSpec, query_parameters::UpdateServiceOptionsBuilder};

use crate::{
    core::target::{recorded::Scaled, swarm_service::Service},
    engine::{
        client::{Engine, EngineError, QUESTION, STOP_MARGIN, bounded},
        raw,
    },
};

/// Between two looks whether the tasks are gone.
const LOOK: Duration = Duration::from_millis(50);
/// Swarm itself changes a service while it works on it; each attempt reads it anew.
const ATTEMPTS: usize = 5;

/// One service as it is now.
///
/// # Errors
/// [`EngineError`]; [`EngineError::is_not_found`] where there is none, 503 where this engine
/// manages no swarm.
pub async fn service(engine: &Engine, id: &str) -> Result<Service, EngineError> {
    let answer = bounded(QUESTION, raw::get(&engine.docker, format!("/services/{id}"))).await?;
    // The engine finds one by its name as well, which is not asked for.
    let read = serde_json::from_slice(&answer)
        .ok()
        .and_then(Service::of)
        .filter(|service| service.id == id);
    read.ok_or_else(|| EngineError::Lost { cause: "it does not describe this service".to_owned() })
}

/// Gives a service this number of replicas, and changes nothing else of it. A service that was
/// changed since it was looked at is not changed: [`EngineError::is_out_of_sequence`].
///
/// # Errors
/// [`EngineError`].
pub async fn scale(engine: &Engine, service: &Service, replicas: u64) -> Result<(), EngineError> {
    let Some(spec) = service.with_replicas(replicas) else {
        return Err(EngineError::NotReplicated);
    };
    let docker = with_body(&engine.docker, spec.to_string());
    // bollard's type for it; a cluster that has seen two thousand million changes refuses.
    let version = i32::try_from(service.version).unwrap_or(i32::MAX);
    let options = UpdateServiceOptionsBuilder::default().version(version).build();
    // Without credentials the engine goes on with those that it has (moby,
    // `daemon/cluster/services.go`).
    bounded(QUESTION, docker.update_service(&service.id, ServiceSpec::default(), options, None))
        .await
        .map(drop)
}

/// Scales a service from its recorded number to 0, and waits until its tasks on this engine
/// have ended, as long as its spec lets them take, or `patience`.
///
/// # Errors
/// [`EngineError`]; [`EngineError::Rescaled`] where it has another number than the recorded
/// one.
pub async fn scale_to_zero(
    engine: &Engine,
    id: &str,
    scaled: &Scaled,
    patience: Option<Duration>,
) -> Result<(), EngineError> {
    let service = scale_from(engine, id, scaled.replicas, 0).await?;
    let limit = patience.unwrap_or_else(|| service.grace()).saturating_add(STOP_MARGIN);
    let begun = Instant::now();
    for task in &scaled.tasks {
        while has_processes(engine, task).await? {
            if begun.elapsed() >= limit {
                return Err(EngineError::TasksStay { after: limit });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

async fn scale_from(engine: &Engine, id: &str, from: u64, to: u64) -> Result<Service, EngineError> {
    let mut attempt = 1;
    loop {
        let service = service(engine, id).await?;
        if service.replicas() != Some(from) {
            return Err(EngineError::Rescaled);
        }
        match scale(engine, &service, to).await {
            Err(error) if error.is_out_of_sequence() && attempt < ATTEMPTS => attempt += 1,
            done => return done.map(|()| service),
        }
    }
}

async fn has_processes(engine: &Engine, container: &str) -> Result<bool, EngineError> {
    match engine.inspect(container).await {
        Ok(now) => Ok(now.cgroup.is_some()),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A connection that sends this in the place of what bollard would.
fn with_body(docker: &Docker, body: String) -> Docker {
    docker.clone().with_request_modifier(move |mut request| {
        *request.body_mut() = bollard::body_full(body.clone().into());
        request
    })
}
