//! Owns giving back swap areas: announced first, so that they count as absent for everybody else, then
//! removed one after the other, and tried again where that failed for the moment. Runs in the keeper, and in `recover` and `stop` for leases whose
//! holder is dead.

use std::time::Instant;

use crate::{
    core::{
        lease::record::{Area, AreaGone, Record},
        run::{
            note::Phase,
            results::{Back, SwapBack},
            wire::FromKeeper,
        },
        text,
    },
    host::swap::{self, Removal, SwapError},
    lease::{journal::Journal, leases::Leases},
    room::{context::Context, retry},
};

/// Announces the removal of those that nobody else needs, and gives them.
pub(crate) fn announce_removal(
    context: &Context<'_>,
    journal: &mut Journal,
    leases: &Leases,
    back: &mut Back,
) -> Vec<Area> {
    let all: Vec<Area> = journal.state().areas.values().map(|held| held.area.clone()).collect();
    let host = journal.state().host().cloned();
    let is_needed = |area: &Area| leases.holder_of_area(&area.path, host.as_ref()).is_some();
    let (handed_over, ours): (Vec<_>, Vec<_>) = all.into_iter().partition(is_needed);
    for area in handed_over {
        back.swap = Some(SwapBack::HandedOver.or(back.swap.take()));
        let how = AreaGone::HandedOver;
        context.record_restored(journal, &Record::AreaGone { path: area.path, how });
    }
    if let Some(error) = leases.why_unseen() {
        // Another lease may need them.
        for Area { path, .. } in ours {
            stays(context, journal, path, text::printable(&error.to_string()), back);
        }
        return Vec::new();
    }
    let removing = |area: &Area| Record::AreaRemoving { path: area.path.clone() };
    let intents: Vec<_> = ours.iter().map(removing).collect();
    if !intents.is_empty() {
        context.told(journal.intend(&intents));
    }
    ours
}

/// An area that could not be removed so far.
pub(crate) struct UnremovedArea {
    area: Area,
    /// What the last try said.
    reason: String,
}

/// Removes them, and tries again until the deadline what may pass. What cannot be removed stays
/// recorded; what may be removed yet is given back.
pub(crate) async fn remove(
    context: &Context<'_>,
    journal: &mut Journal,
    areas: Vec<Area>,
    back: &mut Back,
    deadline: Instant,
) -> Vec<UnremovedArea> {
    let total = areas.len();
    let mut unremoved = Vec::new();
    for (done, area) in areas.into_iter().enumerate() {
        (context.tell)(FromKeeper::Progress { phase: Phase::SwapOff, done, total });
        let attempt = || swap::remove(&context.machine.shell, &area);
        let result = retry::removal(deadline, attempt).await;
        unremoved.extend(take_in(context, journal, area, result, back));
    }
    for UnremovedArea { area, reason } in &unremoved {
        let swap = SwapBack::NotYet { path: area.path.clone(), reason: reason.clone() };
        back.swap = Some(swap.or(back.swap.take()));
    }
    unremoved
}

/// Tries each once more.
pub(crate) async fn try_again(
    context: &Context<'_>,
    journal: &mut Journal,
    unremoved: &mut Vec<UnremovedArea>,
    back: &mut Back,
) {
    for UnremovedArea { area, .. } in std::mem::take(unremoved) {
        let result = swap::remove(&context.machine.shell, &area).await;
        unremoved.extend(take_in(context, journal, area, result, back));
    }
}

/// Tries none of these again: they stay recorded.
pub(crate) fn leave(
    context: &Context<'_>,
    journal: &mut Journal,
    unremoved: &mut Vec<UnremovedArea>,
    back: &mut Back,
) {
    for UnremovedArea { area, reason } in unremoved.drain(..) {
        stays(context, journal, area.path, reason, back);
    }
}

/// Records how a try ended; gives the area where the next one may do it.
fn take_in(
    context: &Context<'_>,
    journal: &mut Journal,
    area: Area,
    result: Result<Removal, SwapError>,
    back: &mut Back,
) -> Option<UnremovedArea> {
    let how = match result {
        Ok(Removal::Removed) => {
            back.swap = Some(SwapBack::Removed.or(back.swap.take()));
            AreaGone::Removed
        }
        Ok(Removal::Gone) => AreaGone::AlreadySo,
        Err(error) if error.may_pass() => {
            return Some(UnremovedArea { area, reason: error.to_string() });
        }
        Err(error) => {
            stays(context, journal, area.path, error.to_string(), back);
            return None;
        }
    };
    context.record_restored(journal, &Record::AreaGone { path: area.path, how });
    None
}

fn stays(
    context: &Context<'_>,
    journal: &mut Journal,
    path: String,
    reason: String,
    back: &mut Back,
) {
    let stays = SwapBack::Stays { path: path.clone(), reason: reason.clone() };
    // What was said of it before is not so any more.
    let before = back.swap.take().filter(|swap| !matches!(swap, SwapBack::NotYet { .. }));
    back.swap = Some(stays.or(before));
    context.record_restored(journal, &Record::AreaStays { path, reason });
}
