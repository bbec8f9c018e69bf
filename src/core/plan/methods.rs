//! Owns which targets an audit would make room with, and how: what gains nothing and what others live
//! in is left alone, as in a run. Pure.

use std::collections::BTreeMap;

use crate::core::{
    machine::memory::Memory,
    plan::{
        estimate::{self, Means, Role},
        facts::Facts,
        format::{Audited, Planned},
        gain::{Holding, PushOut, Worth, weigh},
    },
    target::{
        command_use::Why,
        method::{Method, MethodFacts, method},
        seen::{Listed, Seen},
        selector::any_matches,
        shared::{Fate, Resident, StopFacts, fate},
        state::State,
    },
};

/// Why a part is not stopped whose whole cannot be.
const NOT_AS_A_WHOLE: &str = "it cannot be stopped as a whole";

/// How one would be taken.
struct Chosen {
    /// Its place among the containers.
    index: usize,
    method: Method,
    /// Whether a pause would give anything.
    pause_gives: bool,
}

/// What a run would make room with. Tells each of the containers that would be left alone why; what
/// a person can do about that is among the warnings. `used` is what the command itself works with, by
/// its place in the list.
pub(super) fn targets(
    facts: &Facts<'_>,
    used: &BTreeMap<usize, Why>,
    memory: &Memory,
    means: Means,
    containers: &mut [Audited],
    warnings: &mut Vec<String>,
) -> Vec<Planned> {
    let chosen = worthwhile(facts, means, containers);
    let chosen = unless_lived_in(facts, used, containers, chosen, warnings);
    let planned = |Chosen { index, method, .. }| {
        let target: &Audited = &containers[index];
        Planned {
            name: target.name.clone(),
            id: target.id.clone(),
            method,
            memory_bytes: target.memory_bytes,
            gives_bytes: target.gives.with(method),
            needed: true,
        }
    };
    let mut planned: Vec<Planned> = chosen.into_iter().map(planned).collect();
    // Where nothing is seen a run has no figures to choose by, and takes all.
    if let Some(need) = facts.need.filter(|_| !facts.is_unseen) {
        let gives: Vec<u64> = planned.iter().map(|target| target.gives_bytes).collect();
        let enough = estimate::enough(&gives, need.bytes.saturating_sub(memory.available_bytes));
        for (index, target) in planned.iter_mut().enumerate() {
            target.needed = enough.contains(&index);
        }
    }
    planned
}

/// Those of the targets that run and would gain something.
fn worthwhile(facts: &Facts<'_>, means: Means, containers: &mut [Audited]) -> Vec<Chosen> {
    let ours = |container: &&Audited| {
        container.role == Role::Target && container.activity == State::Running
    };
    let sum_bytes = containers.iter().filter(ours).map(|target| target.memory_bytes).sum();
    let swap_free_bytes = means.swap.net_bytes();
    let method_facts = MethodFacts {
        wish: facts.method,
        no_reclaim: facts.no_reclaim,
        swap_free_bytes,
        // A run does not ask the engine before it has chosen.
        targets_bytes: if facts.is_unseen { None } else { sum_bytes },
    };
    let push_out = PushOut {
        host: (!facts.is_unseen).then_some(facts.measured),
        has_root: facts.has_root,
        swap_free_bytes,
    };
    let mut chosen = Vec::new();
    for (index, target) in containers.iter_mut().enumerate().filter(|(_, one)| ours(&&**one)) {
        let never = never_stopped(facts, target);
        let holding = Holding {
            cgroup: facts.measured.targets.get(&target.id).filter(|_| !facts.is_unseen),
            bytes: target.memory_bytes,
        };
        let method = method(method_facts, target.memory_bytes, never.is_none());
        let method = match weigh(method_facts, method, &push_out, &holding, never) {
            Worth::Take(method) => method,
            Worth::StopFor(_) => Method::Stop,
            Worth::Leave { why, not_stopped } => {
                target.left_alone = Some(format!("{why}; {not_stopped}"));
                continue;
            }
        };
        let pause_gives = means.is_reclaimed && push_out.why_nothing(&holding).is_none();
        chosen.push(Chosen { index, method, pause_gives });
    }
    chosen
}

/// Why this one would not come back from a stop.
fn never_stopped(facts: &Facts<'_>, target: &Audited) -> Option<&'static str> {
    let (listed, now) = facts.containers.iter().find(|(listed, _)| listed.id == target.id)?;
    let is_stopped = |whole: &String| facts.stopped_as_wholes.contains(whole);
    let of_part = (!listed.part_of.as_ref().is_none_or(is_stopped)).then_some(NOT_AS_A_WHOLE);
    now.as_ref()?.never_stopped.or(of_part)
}

/// The same without what others live in and would be cut off from; that is paused where nobody asked
/// for a stop and a pause gives something.
fn unless_lived_in(
    facts: &Facts<'_>,
    used: &BTreeMap<usize, Why>,
    containers: &mut [Audited],
    chosen: Vec<Chosen>,
    warnings: &mut Vec<String>,
) -> Vec<Chosen> {
    let residents = residents(facts, used);
    let stopped: Vec<String> = (chosen.iter().filter(|one| one.method == Method::Stop))
        .map(|one| containers[one.index].id.clone())
        .collect();
    let is_part = |id: &str| {
        let mut all = facts.containers.iter().map(|(listed, _)| listed);
        all.any(|listed| listed.id == id && listed.part_of.is_some())
    };
    let mut unless = |one: Chosen| {
        if one.method != Method::Stop {
            return Some(one);
        }
        let target = &mut containers[one.index];
        let stop_facts = StopFacts {
            wish: facts.method,
            pause_gives: one.pause_gives,
            stopped: &stopped,
            all: &residents,
        };
        match fate(&target.id, is_part(&target.id), stop_facts) {
            Fate::Stopped => Some(one),
            Fate::Paused(shared) => {
                warnings.push(shared.told(&target.name, "would be paused and not stopped").0);
                Some(Chosen { method: Method::Pause, ..one })
            }
            Fate::LeftAlone(shared) => {
                let (text, hint) = shared.told(&target.name, "would be left alone");
                warnings.push(format!("{text}; {hint}"));
                target.left_alone = Some(shared.why());
                None
            }
        }
    };
    chosen.into_iter().filter_map(&mut unless).collect()
}

/// All that have processes, and where they live.
fn residents(facts: &Facts<'_>, used: &BTreeMap<usize, Why>) -> Vec<Resident> {
    let resident = |(index, (listed, seen)): (usize, &(Listed, Option<Seen>))| {
        let is_own = facts.own_container == Some(listed.id.as_str());
        let is_kept = is_own || any_matches(facts.keep, listed);
        Some(Resident::beside(listed, seen.as_ref()?, is_kept, used.get(&index).copied()))
    };
    facts.containers.iter().enumerate().filter_map(resident).collect()
}
