//! Owns the audit of a host's memory: who holds what, what would make room, and whether a build
//! fits. What `makeroom plan` shows. Pure.

use crate::core::{
    machine::{
        cgroup::{Cgroup, Measured},
        vm::VmDriver,
    },
    plan::{
        estimate::{self, Fit, Gives, Role},
        facts::Facts,
        format::{Audit, Audited, HostMemory, VERSION},
        methods::targets,
        warnings::{about_prunes, about_swap, of_dependants},
    },
    target::{
        choice::{Choice, choose},
        command_use,
        kind::USUAL,
        seen::{Listed, Seen},
        selector::any_matches,
        state::State,
    },
    text::printable,
};

/// Makes the sums. `None` where the host's memory is not known.
#[must_use]
pub fn audit(facts: &Facts<'_>) -> Option<Audit> {
    let memory = facts.measured.memory?;
    let now = facts.measured.free_swap();
    let disk = facts.swap_place.map(|(_, disk)| disk);
    // Where nothing is seen a run makes no swap and pushes nothing out.
    let may_act = facts.has_root && !facts.is_unseen;
    let mut means = estimate::means(facts.swap, facts.no_reclaim, may_act, now, disk);
    means.is_reclaimed &= !facts.measured.is_read_only;
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
    let targets = targets(facts, &used, &memory, means, &mut containers, &mut shared_warnings);
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
        swap_to_have_bytes: means.swap.net_bytes(),
        warnings: unmatched
            .chain(left_out)
            .chain(shared_warnings)
            .chain(of_dependants(facts, &roles, &targets))
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

#[cfg(test)]
mod tests;
