//! Owns the audit of a host's memory: who holds what, what would make room, and whether a build
//! fits. What `makeroom plan` shows and prints as JSON; `schema/plan.json` describes it. Pure.

use serde::Serialize;

use crate::core::{
    machine::{
        cgroup::{Cgroup, Measured},
        memory::Memory,
        vm::VmDriver,
    },
    plan::{
        estimate::{self, Fit, Gives, Means, Need, Role},
        gain::{Holding, PushOut, Worth, weigh},
    },
    target::{
        choice::choose,
        kind::USUAL,
        method::{Method, MethodFacts, method},
        seen::{Listed, Seen},
        selector::{Selector, any_matches},
        start_order::{self, COMPOSE_DEPENDS_ON, COMPOSE_PROJECT, COMPOSE_SERVICE},
        state::State,
    },
    text::printable,
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
    /// Whether there is a way to be root on the host: swap and reclaim need it.
    pub has_root: bool,
    /// Whether the containers' own figures are the engine's, because their cgroups are not seen.
    pub is_unseen: bool,
    /// What the build is expected to need, where anything is known.
    pub need: Option<Need>,
}

/// Why a part is not stopped whose whole cannot be.
const NOT_AS_A_WHOLE: &str = "it cannot be stopped as a whole";

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
    /// Why a run would leave it alone, though it is a target; null where it would not.
    pub left_alone: Option<String>,
    /// What each method would make available.
    #[serde(flatten)]
    pub gives: Gives,
}

/// Makes the sums. `None` where the host's memory is not known.
#[must_use]
pub fn audit(facts: &Facts<'_>) -> Option<Audit> {
    let memory = facts.measured.memory?;
    // Where nothing is seen a run makes no swap and pushes nothing out.
    let may_act = facts.has_root && !facts.is_unseen;
    let Means { swap_free_bytes, is_reclaimed } =
        estimate::means(facts.swap, facts.no_reclaim, may_act, &memory);
    let is_reclaimed = is_reclaimed && !facts.measured.is_read_only;
    let listed: Vec<Listed> = facts.containers.iter().map(|(listed, _)| listed.clone()).collect();
    let choice = choose(&listed, facts.pause, facts.keep);
    let roles = roles(facts, &listed, &choice.chosen);
    let mut containers: Vec<Audited> = (facts.containers.iter().zip(&roles))
        .filter_map(|(one, role)| audited(facts.measured, one, *role, is_reclaimed))
        .collect();
    containers.sort_by(|one, other| {
        other.memory_bytes.cmp(&one.memory_bytes).then_with(|| one.name.cmp(&other.name))
    });
    let targets = targets(facts, &memory, swap_free_bytes, &mut containers);
    // What somebody else has paused is pushed out as well.
    let theirs = containers.iter().filter(|one| is_theirs(one)).map(|one| one.gives.pause_bytes);
    let room_bytes = targets.iter().map(|target| target.gives_bytes).chain(theirs).sum();
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
        warnings: unmatched.chain(warnings(facts, &roles, &targets)).collect(),
        targets,
        containers,
    })
}

fn roles(facts: &Facts<'_>, listed: &[Listed], chosen: &[usize]) -> Vec<Role> {
    let role = |(index, listed): (usize, &Listed)| {
        if facts.own_container == Some(listed.id.as_str()) || any_matches(facts.keep, listed) {
            Role::Kept
        } else if chosen.contains(&index) {
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
        left_alone: None,
        gives: cgroup.map_or(Gives::default(), |cgroup| {
            let gives = estimate::gives(cgroup, is_reclaimed);
            // What somebody else has paused stays as it is, and its memory can leave.
            if runs { gives } else { Gives { stop_bytes: 0, ..gives } }
        }),
    })
}

/// Whether somebody else has paused this target.
fn is_theirs(container: &Audited) -> bool {
    container.role == Role::Target && container.activity == State::Paused
}

fn targets(
    facts: &Facts<'_>,
    memory: &Memory,
    swap_free_bytes: u64,
    containers: &mut [Audited],
) -> Vec<Planned> {
    let ours = |container: &&Audited| {
        container.role == Role::Target && container.activity == State::Running
    };
    let sum_bytes = containers.iter().filter(ours).map(|target| target.memory_bytes).sum();
    let method_facts = MethodFacts {
        wish: facts.method,
        no_reclaim: facts.no_reclaim,
        swap_free_bytes,
        // A run does not ask the engine before it has chosen.
        targets_bytes: if facts.is_unseen { None } else { sum_bytes },
    };
    let never_stopped = |target: &Audited| {
        let (listed, now) = facts.containers.iter().find(|(listed, _)| listed.id == target.id)?;
        let is_stopped = |whole: &String| facts.stopped_as_wholes.contains(whole);
        let of_part = (!listed.part_of.as_ref().is_none_or(is_stopped)).then_some(NOT_AS_A_WHOLE);
        now.as_ref()?.never_stopped.or(of_part)
    };
    let push_out = PushOut {
        host: (!facts.is_unseen).then_some(facts.measured),
        has_root: facts.has_root,
        swap_free_bytes,
    };
    let mut planned = Vec::new();
    for target in containers.iter_mut().filter(|one| ours(&&**one)) {
        let never = never_stopped(target);
        let holding = Holding {
            cgroup: facts.measured.targets.get(&target.id).filter(|_| !facts.is_unseen),
            bytes: target.memory_bytes,
        };
        let chosen = method(method_facts, target.memory_bytes, never.is_none());
        let method = match weigh(method_facts, chosen, &push_out, &holding, never) {
            Worth::Take(method) => method,
            Worth::StopFor(_) => Method::Stop,
            Worth::Leave { why, not_stopped } => {
                target.left_alone = Some(format!("{why}; {not_stopped}"));
                continue;
            }
        };
        planned.push(Planned {
            name: target.name.clone(),
            id: target.id.clone(),
            method,
            memory_bytes: target.memory_bytes,
            gives_bytes: target.gives.with(method),
            needed: true,
        });
    }
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

#[cfg(test)]
mod tests;
