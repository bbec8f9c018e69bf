//! Owns giving back swap areas: announced first, so that they count as absent for everybody else, then
//! removed one after the other. Runs in the keeper, and in `recover` and `stop` for leases whose
//! holder is dead.

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
    host::swap::{self, Removal},
    lease::{journal::Journal, leases::Leases},
    room::context::Context,
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
        back.swap = Some(SwapBack::HandedOver);
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

/// Removes them; what cannot be removed now stays recorded.
pub(crate) async fn remove(
    context: &Context<'_>,
    journal: &mut Journal,
    areas: &[Area],
    back: &mut Back,
) {
    for (done, area) in areas.iter().enumerate() {
        let total = areas.len();
        (context.tell)(FromKeeper::Progress { phase: Phase::SwapOff, done, total });
        let path = area.path.clone();
        match swap::remove(&context.machine.shell, area).await {
            Ok(removal) => {
                let is_removed = removal == Removal::Removed;
                let how = if is_removed { AreaGone::Removed } else { AreaGone::AlreadySo };
                if is_removed && back.swap.is_none() {
                    back.swap = Some(SwapBack::Removed);
                }
                context.record_restored(journal, &Record::AreaGone { path, how });
            }
            Err(error) => stays(context, journal, path, error.to_string(), back),
        }
    }
}

fn stays(
    context: &Context<'_>,
    journal: &mut Journal,
    path: String,
    reason: String,
    back: &mut Back,
) {
    back.swap = Some(SwapBack::Stays { path: path.clone(), reason: reason.clone() });
    context.record_restored(journal, &Record::AreaStays { path, reason });
}
