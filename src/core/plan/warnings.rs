//! Owns the warnings of an audit: what others would feel of the room, and what would be short of what
//! was asked for. Pure.

use crate::core::{
    machine::swap::{self, FreeSwap},
    plan::{
        estimate::{Means, Role},
        facts::Facts,
        format::Planned,
    },
    target::{
        method::Method,
        seen::Listed,
        start_order::{self, COMPOSE_DEPENDS_ON, COMPOSE_PROJECT, COMPOSE_SERVICE},
        state::State,
    },
    text::{names, printable, size},
    values::SwapWish,
};

/// What runs on depends on a target: compose says so in a label, and a log driver by its address.
pub(super) fn of_dependants(facts: &Facts<'_>, roles: &[Role], targets: &[Planned]) -> Vec<String> {
    let label = |listed: &Listed, key: &str| listed.labels.get(key).cloned();
    let taken =
        |listed: &&Listed| targets.iter().any(|target| target.needed && target.id == listed.id);
    let mut warnings = Vec::new();
    for ((listed, now), role) in facts.containers.iter().zip(roles) {
        let Some(now) =
            now.as_ref().filter(|now| now.state == State::Running && *role != Role::Target)
        else {
            continue;
        };
        let needs = label(listed, COMPOSE_DEPENDS_ON)
            .map(|value| start_order::depends_on(&value))
            .unwrap_or_default();
        let (project, name) = (label(listed, COMPOSE_PROJECT), printable(listed.name()));
        for target in facts.containers.iter().map(|(target, _)| target).filter(taken) {
            let paused = printable(target.name());
            let is_same = project.is_some() && label(target, COMPOSE_PROJECT) == project;
            if is_same
                && label(target, COMPOSE_SERVICE).is_some_and(|service| needs.contains(&service))
            {
                warnings.push(format!("`{name}` depends on `{paused}`, which would be paused"));
            }
            if now.log_port.is_some_and(|port| target.ports.contains(&port)) {
                warnings.push(format!(
                    "`{name}` sends its log to `{paused}`, which would be paused: it may block"
                ));
            }
        }
    }
    warnings
}

/// What a build that tidies up would remove for good. What is stopped as a part of a whole is made
/// anew by that.
pub(super) fn about_prunes(facts: &Facts<'_>, targets: &[Planned]) -> Option<String> {
    let is_whole = |id: &str| {
        let listed = facts.containers.iter().find(|(listed, _)| listed.id == id);
        listed.is_some_and(|(listed, _)| listed.part_of.is_none())
    };
    let stopped: Vec<&str> = targets
        .iter()
        .filter(|target| target.needed && target.method == Method::Stop && is_whole(&target.id))
        .map(|target| target.name.as_str())
        .collect();
    (!stopped.is_empty()).then(|| {
        format!(
            "what is stopped does not survive a `docker container prune` or `docker system prune` of the build: {}",
            names(stopped, 8)
        )
    })
}

/// What is short of the swap that is wished for, and what frees less than it holds.
pub(super) fn about_swap(facts: &Facts<'_>, now: FreeSwap, means: Means) -> Vec<String> {
    let mut warnings = Vec::new();
    if let (SwapWish::Free(wish), Some((path, disk))) = (facts.swap, facts.swap_place)
        && let Some(missing_bytes) = swap::missing(wish.bytes, now.ahead_bytes)
    {
        let (path, missing) = (printable(path), size(missing_bytes));
        match disk.fitting(missing_bytes) {
            Some(bytes) if bytes == missing_bytes => {}
            Some(bytes) => warnings.push(format!(
                "only {} of swap instead of {missing} can be made at {path}: {}",
                size(bytes),
                disk.said()
            )),
            None => warnings.push(format!("no swap can be made at {path}: {}", disk.said())),
        }
    }
    if means.is_reclaimed && means.swap.ahead_bytes == 0 && means.swap.zram_bytes > 0 {
        warnings.push(format!(
            "what is paused goes to zram, which is memory: {} of 100 bytes stay in use there",
            means.swap.zram_percent
        ));
    }
    warnings
}
