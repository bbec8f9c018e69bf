//! Owns making no more room than `--need` asks for: nothing where that much is available, else the
//! fewest targets that cover what is missing. Runs in the keeper.

use crate::{
    core::{
        machine::cgroup::{Cgroup, Measured},
        plan::{
            estimate::{self, Fit, Gives},
            gain::{Holding, PushOut, Worth, weigh},
        },
        run::{
            note::{Level, Note},
            results::Room,
        },
        target::{
            method::{Method, MethodFacts, method},
            seen::Listed,
            shared::{Resident, sharers},
            state::State,
        },
        text::size,
        values::MethodWish,
    },
    lease::leases::Leases,
    room::{context::Context, look::Found},
};

/// What is missing for the need as things are; `None` where all room is wanted, or nothing is
/// known.
pub(crate) fn gap_bytes(context: &Context<'_>, looked: Option<&Measured>) -> Option<u64> {
    let memory = looked?.memory?;
    Some(context.request.need_bytes?.saturating_sub(memory.available_bytes))
}

/// Leaves out the targets that are not needed. What another lease holds stays in: its memory is
/// among what is available, and would be gone with that lease.
pub(crate) async fn only_enough(
    context: &Context<'_>,
    mut found: Found,
    looked: &Measured,
    gap_bytes: u64,
    leases: &Leases,
) -> Found {
    let is_held = |listed: &Listed| leases.holder_of(&listed.id).is_some();
    let (mut needed, free): (Vec<_>, Vec<_>) =
        std::mem::take(&mut found.chosen).into_iter().partition(is_held);
    let gives = gives(context, &free, looked).await;
    let mut enough = estimate::enough(&gives, gap_bytes);
    if context.request.settings.method != MethodWish::Pause {
        enough = estimate::with_whole_targets(&free, &enough);
    }
    if context.request.settings.method == MethodWish::Stop {
        enough = with_sharers(&found, &free, &enough);
    }
    let running = free.iter().filter(|listed| listed.state == State::Running).count();
    if !enough.is_empty() && enough.len() < running {
        let text = format!(
            "{} are missing: {} of {running} targets are enough",
            size(gap_bytes),
            enough.len()
        );
        context.note(Note::new(Level::Info, text));
    }
    needed.extend(
        free.into_iter()
            .enumerate()
            .filter(|(index, _)| enough.contains(index))
            .map(|(_, listed)| listed),
    );
    found.chosen = needed;
    found
}

/// The same with all who live with one of them: it is stopped together with those, or not at all.
fn with_sharers(found: &Found, free: &[Listed], enough: &[usize]) -> Vec<usize> {
    let residents: Vec<Resident> =
        found.seen.iter().map(|(listed, seen)| Resident::new(listed, seen, None)).collect();
    let together: Vec<&str> = enough
        .iter()
        .flat_map(|&index| sharers(&free[index].id, &residents))
        .map(|one| one.who.id.as_str())
        .collect();
    let is_needed =
        |index: &usize| enough.contains(index) || together.contains(&free[*index].id.as_str());
    (0..free.len()).filter(is_needed).collect()
}

/// What each of these would give, by the method that it is likely to be taken with.
async fn gives(context: &Context<'_>, listed: &[Listed], looked: &Measured) -> Vec<u64> {
    let has_root = context.machine.shell.root().await.is_some();
    let settings = &context.request.settings;
    let means =
        estimate::means(settings.swap, settings.no_reclaim, has_root, looked.free_swap(), None);
    let facts = MethodFacts {
        wish: settings.method,
        no_reclaim: settings.no_reclaim,
        swap_free_bytes: means.swap.net_bytes(),
        targets_bytes: looked.sum_bytes(listed.iter().map(|listed| listed.id.as_str())),
    };
    let push_out = PushOut { host: Some(looked), has_root, swap_free_bytes: facts.swap_free_bytes };
    let gives = |cgroup: &Cgroup| estimate::gives(cgroup, means.is_reclaimed);
    let cgroups = || listed.iter().map(|listed| looked.targets.get(&listed.id));
    let all_bytes = cgroups().flatten().map(|cgroup| gives(cgroup).pause_bytes).sum();
    let of = |cgroup: &Cgroup| {
        let bytes = Some(cgroup.used_bytes);
        let holding = Holding { cgroup: Some(cgroup), bytes };
        let method = match weigh(facts, method(facts, bytes, true), &push_out, &holding, None) {
            Worth::Take(method) => method,
            Worth::StopFor(_) => Method::Stop,
            Worth::Leave { .. } => return 0,
        };
        let gives = gives(cgroup);
        let pause_bytes = means.of_pause(gives.pause_bytes, all_bytes);
        Gives { pause_bytes, ..gives }.with(method)
    };
    cgroups().map(|cgroup| cgroup.map_or(0, of)).collect()
}

/// Says what is still missing with room made.
pub(crate) fn tell_if_short(context: &Context<'_>, room: &Room) {
    let (Some(need_bytes), Some(memory)) = (context.request.need_bytes, room.memory) else {
        return;
    };
    if let Fit::Short { short_by_bytes, .. } = Fit::of(need_bytes, memory.available_bytes, 0) {
        let text = format!(
            "the build needs {} and is short by {}",
            size(need_bytes),
            size(short_by_bytes)
        );
        context.shortfall(
            text,
            Some(
                "name more targets with --pause; `makeroom plan` shows what each would give"
                    .to_owned(),
            ),
        );
    }
}
