//! Owns the audit of a host's memory: who holds what, what would make room, and whether a build
//! fits. What `makeroom plan` shows and prints as JSON; `schema/plan.json` describes it. Pure.

use serde::Serialize;

use crate::core::{
    machine::{
        cgroup::{Cgroup, Measured},
        memory::Memory,
        swap::{self, Disk, FreeSwap},
        vm::VmDriver,
    },
    plan::estimate::{self, Fit, Gives, Means, Need, Role},
    target::{
        choice::{Choice, choose},
        command_use::{self, CommandUse},
        kind::USUAL,
        method::{Method, MethodFacts, method},
        seen::{Listed, Seen},
        selector::{Selector, any_matches},
        shared::{Fate, KEPT, Resident, StopFacts, fate},
        start_order::{self, COMPOSE_DEPENDS_ON, COMPOSE_PROJECT, COMPOSE_SERVICE},
        state::State,
    },
    text::{names, printable, size},
    values::{MethodWish, SwapWish},
};

/// The version of the JSON. It grows when a key goes or changes its meaning, not when one is added.
const VERSION: u32 = 1;

/// What an audit is made of.
#[derive(Debug)]
pub struct Facts<'a> {
    /// What a person calls the host; `None` is this machine.
    pub host: Option<&'a str>,
    /// What runs it, where that is a virtual machine on this one and its maker's files tell.
    pub vm_driver: Option<VmDriver>,
    /// The host, with the cgroup of each container that has processes.
    pub measured: &'a Measured,
    /// All containers, with their inspection where they have processes.
    pub containers: &'a [(Listed, Option<Seen>)],
    /// `--pause`.
    pub pause: &'a [Selector],
    /// `--keep`.
    pub keep: &'a [Selector],
    /// What the command itself works with.
    pub uses: &'a CommandUse,
    /// The container that makeroom itself runs in.
    pub own_container: Option<&'a str>,
    /// The ids of the targets that would be stopped in the place of their parts.
    pub stopped_as_wholes: &'a [String],
    /// `--method`.
    pub method: MethodWish,
    /// `--no-reclaim`.
    pub no_reclaim: bool,
    /// `--swap`.
    pub swap: SwapWish,
    /// The path of the area that a run would make, and its disk, where that was looked at.
    pub swap_place: Option<(&'a str, Disk)>,
    /// Whether there is a way to be root on the host: swap and reclaim need it.
    pub has_root: bool,
    /// What the build is expected to need, where anything is known.
    pub need: Option<Need>,
}

/// The audit. Its fields are the keys of the JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Audit {
    /// The version of this format.
    #[schemars(extend("const" = VERSION))]
    pub version: u32,
    /// What a person calls the host; null is this machine.
    pub host: Option<String>,
    /// What runs the host, where that is a virtual machine on this one and its maker's files tell.
    pub vm_driver: Option<VmDriver>,
    /// Whether a build on this machine has the use of what is freed on the host; null where the
    /// host is this machine.
    pub here_profits: Option<bool>,
    /// The host's memory.
    pub memory: HostMemory,
    /// What the build is expected to need; null where nothing is known.
    pub need: Option<Need>,
    /// Whether it fits, as things are or with room made; null where the need is not known.
    pub fits: Option<bool>,
    /// How it fits, or what is missing; null where the need is not known.
    pub fit: Option<Fit>,
    /// What all targets together would make available.
    pub room_bytes: u64,
    /// The free swap that a run would work with.
    pub swap_to_have_bytes: u64,
    /// What a run would make room with, the largest first.
    pub targets: Vec<Planned>,
    /// Every container that has processes, the largest first.
    pub containers: Vec<Audited>,
    /// What others would feel of it.
    pub warnings: Vec<String>,
}

/// The host's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HostMemory {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable`.
    pub available_bytes: u64,
    /// `SwapTotal`.
    pub swap_total_bytes: u64,
    /// `SwapFree`.
    pub swap_free_bytes: u64,
    /// What all containers hold, without the cache that is available anyway.
    pub containers_bytes: u64,
    /// That cache.
    pub cache_bytes: u64,
    /// The kernel and everything else.
    pub other_bytes: u64,
}

/// A target of the run that was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Planned {
    /// The container's name.
    pub name: String,
    /// Its full id.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub id: String,
    /// How it would make room.
    pub method: Method,
    /// What its cgroup holds; null where that cannot be read.
    pub memory_bytes: Option<u64>,
    /// What that method would make available.
    pub gives_bytes: u64,
    /// Whether the run would take it: not where others are enough.
    pub needed: bool,
}

/// A container that has processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Audited {
    /// Its name.
    pub name: String,
    /// Its full id.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub id: String,
    /// What it is to a run.
    pub role: Role,
    /// What it is doing.
    #[schemars(extend("enum" = State::WITH_PROCESSES))]
    pub activity: State,
    /// What its cgroup holds; null where that cannot be read.
    pub memory_bytes: Option<u64>,
    /// Of it, the cache of its files.
    pub cache_bytes: Option<u64>,
    /// What each method would make available.
    #[serde(flatten)]
    pub gives: Gives,
}

/// Makes the sums. `None` where the host's memory is not known.
#[must_use]
pub fn audit(facts: &Facts<'_>) -> Option<Audit> {
    let memory = facts.measured.memory?;
    let now = facts.measured.free_swap();
    let disk = facts.swap_place.map(|(_, disk)| disk);
    let means = estimate::means(facts.swap, facts.no_reclaim, facts.has_root, now, disk);
    let swap_free_bytes = means.swap.net_bytes();
    let listed: Vec<Listed> = facts.containers.iter().map(|(listed, _)| listed.clone()).collect();
    let used = command_use::used(facts.uses, &listed, facts.pause);
    let choice = choose(&listed, facts.pause, facts.keep, &used);
    let roles = roles(facts, &listed, &choice);
    let mut containers: Vec<Audited> = (facts.containers.iter().zip(&roles))
        .filter_map(|(one, role)| audited(facts.measured, one, *role, means.is_reclaimed))
        .collect();
    let is_target = |container: &&Audited| container.role == Role::Target;
    let all_bytes =
        containers.iter().filter(is_target).map(|container| container.gives.pause_bytes).sum();
    for Audited { gives, .. } in &mut containers {
        gives.pause_bytes = means.of_pause(gives.pause_bytes, all_bytes);
    }
    containers.sort_by(|one, other| {
        other.memory_bytes.cmp(&one.memory_bytes).then_with(|| one.name.cmp(&other.name))
    });
    let mut shared_warnings = Vec::new();
    let targets = targets(facts, &memory, means, &containers, &mut shared_warnings);
    let room_bytes = targets.iter().map(|target| target.gives_bytes).sum();
    let cache_bytes = containers.iter().filter_map(|container| container.cache_bytes).sum();
    let containers_bytes = containers
        .iter()
        .filter_map(|container| container.memory_bytes)
        .sum::<u64>()
        .saturating_sub(cache_bytes);
    let fit = facts.need.map(|need| Fit::of(need.bytes, memory.available_bytes, room_bytes));
    let unmatched = choice
        .unmatched
        .iter()
        .map(|selector| format!("no {USUAL} matches `{}`", printable(selector)));
    let left_out = choice.left_out.iter().map(|(index, why)| why.told(listed[*index].name()));
    Some(Audit {
        version: VERSION,
        host: facts.host.map(str::to_owned),
        vm_driver: facts.vm_driver,
        here_profits: facts.host.map(|_| facts.vm_driver.is_some_and(VmDriver::gives_back)),
        memory: HostMemory {
            total_bytes: memory.total_bytes,
            available_bytes: memory.available_bytes,
            swap_total_bytes: memory.swap_total_bytes,
            swap_free_bytes: memory.swap_free_bytes,
            containers_bytes,
            cache_bytes,
            other_bytes: memory
                .total_bytes
                .saturating_sub(memory.available_bytes)
                .saturating_sub(containers_bytes),
        },
        need: facts.need,
        fits: fit.map(Fit::is_enough),
        fit,
        room_bytes,
        swap_to_have_bytes: swap_free_bytes,
        warnings: unmatched
            .chain(left_out)
            .chain(shared_warnings)
            .chain(warnings(facts, &roles, &targets))
            .chain(about_prunes(facts, &targets))
            .chain(about_swap(facts, now, means))
            .collect(),
        targets,
        containers,
    })
}

fn roles(facts: &Facts<'_>, listed: &[Listed], choice: &Choice) -> Vec<Role> {
    let role = |(index, listed): (usize, &Listed)| {
        let is_left_out = choice.left_out.iter().any(|(left_out, _)| *left_out == index);
        if facts.own_container == Some(listed.id.as_str()) || any_matches(facts.keep, listed) {
            Role::Kept
        } else if is_left_out {
            Role::LeftOut
        } else if choice.chosen.contains(&index) {
            Role::Target
        } else {
            Role::Other
        }
    };
    listed.iter().enumerate().map(role).collect()
}

fn audited(
    measured: &Measured,
    (listed, now): &(Listed, Option<Seen>),
    role: Role,
    is_reclaimed: bool,
) -> Option<Audited> {
    let now = now.as_ref().filter(|now| now.cgroup.is_some())?;
    let cgroup: Option<&Cgroup> = measured.targets.get(&listed.id);
    let runs = now.state == State::Running;
    Some(Audited {
        name: listed.name().to_owned(),
        id: listed.id.clone(),
        role,
        activity: now.state,
        memory_bytes: cgroup.map(|cgroup| cgroup.used_bytes),
        cache_bytes: cgroup.map(|cgroup| cgroup.cache_bytes.min(cgroup.used_bytes)),
        // What somebody else has paused stays as it is.
        gives: cgroup
            .filter(|_| runs)
            .map_or(Gives::default(), |cgroup| estimate::gives(cgroup, is_reclaimed)),
    })
}

fn targets(
    facts: &Facts<'_>,
    memory: &Memory,
    means: Means,
    containers: &[Audited],
    warnings: &mut Vec<String>,
) -> Vec<Planned> {
    let ours = |container: &&Audited| {
        container.role == Role::Target && container.activity == State::Running
    };
    let targets: Vec<&Audited> = containers.iter().filter(ours).collect();
    let method_facts = MethodFacts {
        wish: facts.method,
        no_reclaim: facts.no_reclaim,
        swap_free_bytes: means.swap.net_bytes(),
        targets_bytes: targets.iter().map(|target| target.memory_bytes).sum(),
    };
    let comes_back = |listed: &Listed, seen: &Seen| {
        let whole = listed.part_of.as_ref();
        seen.never_stopped.is_none()
            && whole.is_none_or(|whole| facts.stopped_as_wholes.contains(whole))
    };
    let method_of = |target: &Audited| {
        let back = facts.containers.iter().find(|(listed, _)| listed.id == target.id);
        let back = back
            .is_some_and(|(listed, now)| now.as_ref().is_some_and(|now| comes_back(listed, now)));
        method(method_facts, target.memory_bytes, back)
    };
    let methods: Vec<Method> = targets.iter().map(|target| method_of(target)).collect();
    let methods = unless_lived_in(facts, means, &targets, methods, warnings);
    let mut planned: Vec<Planned> = (targets.into_iter().zip(methods))
        .filter_map(|(target, method)| Some((target, method?)))
        .map(|(target, method)| {
            let (name, id) = (target.name.clone(), target.id.clone());
            Planned {
                name,
                id,
                method,
                memory_bytes: target.memory_bytes,
                gives_bytes: target.gives.with(method),
                needed: true,
            }
        })
        .collect();
    if let Some(need) = facts.need {
        let gives: Vec<u64> = planned.iter().map(|target| target.gives_bytes).collect();
        let enough = estimate::enough(&gives, need.bytes.saturating_sub(memory.available_bytes));
        for (index, target) in planned.iter_mut().enumerate() {
            target.needed = enough.contains(&index);
        }
    }
    planned
}

/// The methods again; `None` for what others live in and would be cut off from, which is left alone.
fn unless_lived_in(
    facts: &Facts<'_>,
    means: Means,
    targets: &[&Audited],
    methods: Vec<Method>,
    warnings: &mut Vec<String>,
) -> Vec<Option<Method>> {
    let listed: Vec<Listed> = facts.containers.iter().map(|(listed, _)| listed.clone()).collect();
    let used = command_use::used(facts.uses, &listed, facts.pause);
    let resident = |(index, (listed, seen)): (usize, &(Listed, Option<Seen>))| {
        let is_own = facts.own_container == Some(listed.id.as_str());
        let is_kept = is_own || any_matches(facts.keep, listed);
        let used = || used.get(&index).map(|why| why.clause());
        Some(Resident::new(listed, seen.as_ref()?, is_kept.then_some(KEPT).or_else(used)))
    };
    let residents: Vec<Resident> =
        facts.containers.iter().enumerate().filter_map(resident).collect();
    let stopped: Vec<String> = (targets.iter().zip(&methods))
        .filter(|(_, method)| **method == Method::Stop)
        .map(|(target, _)| target.id.clone())
        .collect();
    let pause_gives = means.is_reclaimed;
    let stop_facts =
        StopFacts { wish: facts.method, pause_gives, stopped: &stopped, all: &residents };
    let is_part = |id: &str| {
        let mut all = facts.containers.iter().map(|(listed, _)| listed);
        all.any(|listed| listed.id == id && listed.part_of.is_some())
    };
    let mut unless = |(target, method): (&&Audited, Method)| {
        if method != Method::Stop {
            return Some(method);
        }
        match fate(&target.id, is_part(&target.id), stop_facts) {
            Fate::Stopped => Some(method),
            Fate::Paused(shared) => {
                warnings.push(shared.told(&target.name, "would be paused and not stopped").0);
                Some(Method::Pause)
            }
            Fate::LeftAlone(shared) => {
                let (text, hint) = shared.told(&target.name, "would be left alone");
                warnings.push(format!("{text}; {hint}"));
                None
            }
        }
    };
    targets.iter().zip(methods).map(&mut unless).collect()
}

/// What runs on depends on a target: compose says so in a label, and a log driver by its address.
fn warnings(facts: &Facts<'_>, roles: &[Role], targets: &[Planned]) -> Vec<String> {
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
fn about_prunes(facts: &Facts<'_>, targets: &[Planned]) -> Option<String> {
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
fn about_swap(facts: &Facts<'_>, now: FreeSwap, means: Means) -> Vec<String> {
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

#[cfg(test)]
mod tests;
