//! Owns targets that are stopped in the place of their parts: a task that is stopped alone is
//! replaced by another one, so its service is scaled to 0 as a whole. Runs in the keeper and in
//! `plan`.

use std::collections::BTreeMap;

use crate::{
    core::{
        target::{
            candidate::Candidate,
            method::Method,
            recorded::{Scaled, Target, Undo},
            seen::Listed,
        },
        text,
    },
    engine::swarm,
    targets::all::{Source, Targets},
};

/// What stands in the place of its parts.
pub struct Whole {
    id: String,
    name: String,
    replicas: u64,
}

/// The whole with this id, where it can be stopped: it has a number, and `is_meant` holds for all of
/// its parts here.
///
/// # Errors
/// Why it cannot, in words.
pub async fn find(
    targets: &Targets,
    id: &str,
    listed: &[Listed],
    is_meant: impl Fn(&Listed) -> bool,
) -> Result<Whole, String> {
    let is_part =
        |listed: &&Listed| listed.has_processes() && listed.part_of.as_deref() == Some(id);
    if let Some(other) = listed.iter().filter(is_part).find(|part| !is_meant(part)) {
        return Err(format!("`{}` is one of its tasks and no target", other.name()));
    }
    let engine = match &targets.source {
        Source::Engine { engine, .. } => engine,
        #[cfg(test)]
        Source::Fake(_) => return Err("it has no parts".to_owned()),
    };
    let service = swarm::service(engine, id).await.map_err(|error| error.to_string())?;
    match service.replicas() {
        None => Err("it has no number of replicas: it is global, or a job".to_owned()),
        Some(0) => Err("somebody else has scaled it to 0".to_owned()),
        Some(replicas) => {
            Ok(Whole { id: service.id.clone(), name: service.name().to_owned(), replicas })
        }
    }
}

/// Puts one target in the place of all its parts that are to be stopped. Where that cannot be done
/// they are paused, or left alone where that would free nothing, and `tell` hears why. `is_announced` tells of an id whether the keeper before
/// this one announced it.
pub async fn in_place_of_parts(
    targets: &Targets,
    candidates: Vec<(Candidate, Method)>,
    is_announced: impl Fn(&str) -> bool,
    tell: impl Fn(String),
) -> Vec<(Candidate, Method)> {
    let to_stop = candidates.iter().filter(|(_, method)| *method == Method::Stop);
    let mut wholes: BTreeMap<String, Vec<Candidate>> = to_stop
        .filter_map(|(candidate, _)| candidate.part_of.clone())
        .map(|id| (id, Vec::new()))
        .collect();
    if wholes.is_empty() {
        return candidates;
    }
    let mut all = Vec::with_capacity(candidates.len());
    for (candidate, method) in candidates {
        match candidate.part_of.as_ref().and_then(|id| wholes.get_mut(id)) {
            // Also one that is to be paused: the others of its whole cannot be stopped without it.
            Some(parts) => parts.push(candidate),
            None => all.push((candidate, method)),
        }
    }
    let listed = targets.list(&[]).await;
    for (id, parts) in wholes {
        let is_meant = |listed: &Listed| parts.iter().any(|part| part.target.id == listed.id);
        let found = match &listed {
            Ok(listed) => find(targets, &id, &listed.targets, is_meant).await,
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(whole) => {
                let announced = is_announced(&whole.id);
                all.push((of_parts(parts, whole, announced), Method::Stop));
            }
            Err(why) => {
                let names = text::names(parts.iter().map(|part| part.target.name.as_str()), 3);
                let why = text::printable(&why);
                let (paused, left): (Vec<_>, Vec<_>) =
                    parts.into_iter().partition(|part| part.stays.is_none());
                let fate = if left.is_empty() { "paused" } else { "left alone" };
                tell(format!(
                    "the Swarm service of {names} is not scaled to 0, its tasks are {fate}: {why}"
                ));
                all.extend(paused.into_iter().map(|part| (part, Method::Pause)));
            }
        }
    }
    all
}

fn of_parts(mut parts: Vec<Candidate>, whole: Whole, announced: bool) -> Candidate {
    let known: Vec<u64> = parts.iter().filter_map(|part| part.memory_bytes).collect();
    let memory_bytes = (!known.is_empty()).then(|| known.iter().sum());
    let tasks = parts.iter().map(|part| part.target.name.clone()).collect();
    let scaled = Scaled { replicas: whole.replicas, tasks };
    let incarnation = Scaled::incarnation(whole.replicas);
    let one = parts.swap_remove(0);
    Candidate {
        target: Target {
            id: whole.id,
            name: whole.name,
            incarnation,
            undo: Undo::SwarmService(scaled),
            was_healthy: false,
            ..one.target
        },
        memory_bytes,
        part_of: None,
        announced,
        ..one
    }
}
