//! Owns Swarm services as targets: which tasks a service takes the place of, its tasks' place in
//! the list when another lease has scaled it to 0, and scaling it back. Part of `take`, `acquire`
//! and `bring_back`. Runs in the keeper; [`scalable`] also in `plan`, and [`scale_back`] in
//! `recover` and `stop`.

use std::collections::BTreeMap;

use crate::{core::{lease::record::{HeldTarget, LeaseState, Restored, Stage}, run::note::{Level, Note}, target::{method::Method, recorded::Target, seen::Listed, swarm_service::{self, Scaled, Service}}, text}, engine::client::{Engine, EngineError}, lease::leases::Leases, room::{bring_back::unless_removed, make::Acquirer, take::Candidate}};

/// The services that leases have scaled to 0, or were about to.
pub(crate) fn scaled(own: &LeaseState, others: &Leases) -> Vec<Target> {
    let states = std::iter::once(own).chain(others.holding().map(|(_, state)| state));
    let services =
        states.flat_map(|state| state.targets.values()).filter(|held| held.target.swarm.is_some());
    let by_id: BTreeMap<&str, &Target> =
        services.map(|held| (held.target.id.as_str(), &held.target)).collect();
    by_id.into_values().cloned().collect()
}

/// The list with each of these services that is at 0 in the place of its tasks, which are gone or
/// about to be.
pub(crate) async fn with_scaled(
    engine: &Engine,
    mut listed: Vec<Listed>,
    scaled: &[Target],
) -> Vec<Listed> {
    for target in scaled {
        // One that cannot be looked at is no target of this build; it stays the other's.
        if let (Some(scaled), Ok(service)) = (&target.swarm, engine.service(&target.id).await)
            && service.replicas() == Some(0)
        {
            listed.retain(|listed| swarm_service::service_of(listed) != Some(&service.id));
            listed.push(service.in_place_of_its_tasks(scaled));
        }
    }
    listed
}

/// The service, where it can be scaled to 0: it has a number, and `is_meant` holds for all of its
/// tasks here.
///
/// # Errors
/// Why it cannot, in words.
pub async fn scalable(
    engine: &Engine,
    id: &str,
    listed: &[Listed],
    is_meant: impl Fn(&Listed) -> bool,
) -> Result<(Service, u64), String> {
    let mut tasks = listed
        .iter()
        .filter(|listed| listed.has_processes() && swarm_service::service_of(listed) == Some(id));
    if let Some(other) = tasks.find(|task| !is_meant(task)) {
        return Err(format!("`{}` is one of its tasks and no target", other.name()));
    }
    let service = engine.service(id).await.map_err(|error| error.to_string())?;
    match service.replicas() {
        None => Err("it has no number of replicas: it is global, or a job".to_owned()),
        Some(0) => Err("somebody else has scaled it to 0".to_owned()),
        Some(replicas) => Ok((service, replicas)),
    }
}

impl Acquirer<'_> {
    /// Puts one service in the place of all its tasks that are to be stopped: Swarm would replace
    /// them. Where that cannot be done they are paused.
    pub(crate) async fn services_for_tasks(
        &self,
        engine: &Engine,
        own: &LeaseState,
        candidates: Vec<(Candidate, Method)>,
    ) -> Vec<(Candidate, Method)> {
        let to_stop = |(candidate, method): &(Candidate, Method)| {
            candidate.task_of.clone().filter(|_| *method == Method::Stop)
        };
        let mut services: BTreeMap<String, Vec<Candidate>> =
            candidates.iter().filter_map(to_stop).map(|id| (id, Vec::new())).collect();
        if services.is_empty() {
            return candidates;
        }
        let mut all = Vec::with_capacity(candidates.len());
        for (candidate, method) in candidates {
            match candidate.task_of.as_ref().and_then(|id| services.get_mut(id)) {
                Some(tasks) => tasks.push(candidate),
                None => all.push((candidate, method)),
            }
        }
        let listed = engine.list().await;
        for (id, tasks) in services {
            let is_meant = |listed: &Listed| tasks.iter().any(|task| task.target.id == listed.id);
            let found = match &listed {
                Ok(listed) => scalable(engine, &id, &listed.containers, is_meant).await,
                Err(error) => Err(error.to_string()),
            };
            match found {
                Ok((service, replicas)) => {
                    all.push((in_place_of(tasks, &service, replicas, own), Method::Stop))
                }
                Err(why) => {
                    let names = text::names(tasks.iter().map(|task| task.target.name.as_str()), 3);
                    let said = format!(
                        "the Swarm service of {names} is not scaled to 0, its tasks are paused: {}",
                        text::printable(&why)
                    );
                    self.note(Note::new(Level::Warning, said));
                    all.extend(tasks.into_iter().map(|task| (task, Method::Pause)));
                }
            }
        }
        all
    }
}

fn in_place_of(
    mut tasks: Vec<Candidate>,
    service: &Service,
    replicas: u64,
    own: &LeaseState,
) -> Candidate {
    let known: Vec<u64> = tasks.iter().filter_map(|task| task.memory_bytes).collect();
    let memory_bytes = (!known.is_empty()).then(|| known.iter().sum());
    let scaled =
        Scaled { replicas, tasks: tasks.iter().map(|task| task.target.name.clone()).collect() };
    let mut one = tasks.swap_remove(0);
    one.announced = own.targets.contains_key(&service.id);
    one.memory_bytes = memory_bytes;
    one.target = Target {
        id: service.id.clone(),
        name: service.name().to_owned(),
        started_at: String::new(),
        was_healthy: false,
        swarm: Some(scaled),
        ..one.target
    };
    one
}

/// Scales a service back, as far as one attempt gets: looks, acts where that is needed, and looks
/// again. Its tasks are Swarm's to start.
///
/// # Errors
/// [`EngineError`] where another attempt may get further.
pub(crate) async fn scale_back(
    engine: &Engine,
    held: &HeldTarget,
    scaled: &Scaled,
) -> Result<Restored, EngineError> {
    let Some(service) = look(engine, held).await? else { return Ok(Restored::Removed) };
    match service.replicas() {
        Some(0) => {
            engine.scale(&service, scaled.replicas).await?;
            match look(engine, held).await? {
                Some(now) if now.replicas() == Some(0) => Err(EngineError::NotSeen),
                _ => Ok(Restored::Done),
            }
        }
        Some(replicas) if replicas == scaled.replicas => {
            // A call that nobody waits for any more may still come. It names the version that it
            // was made for: once the number is written anew the engine refuses it.
            if held.stage != Stage::Held {
                engine.scale(&service, replicas).await?;
            }
            Ok(Restored::AlreadySo)
        }
        _ => Ok(Restored::Theirs),
    }
}

/// The service as it is; `None` where it was removed.
async fn look(engine: &Engine, held: &HeldTarget) -> Result<Option<Service>, EngineError> {
    unless_removed(async || engine.service(&held.target.id).await).await
}
