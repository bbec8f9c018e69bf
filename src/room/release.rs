//! Owns the order of a release, and nothing else of it: targets first, then what is done for them
//! once they run, then swap, then what may still come. One code path for success, failure, signals,
//! crashes and `recover`. Runs in the keeper, and in `recover` and `stop` for leases whose holder is
//! dead.

use std::time::{Duration, Instant};

use futures_util::future;

use crate::{
    core::{
        lease::{
            record::Area,
            state::{HeldTarget, Stage},
        },
        run::{
            note::{Level, Note},
            results::Back,
            wire::FromKeeper,
        },
        text, values,
    },
    lease::{
        control_socket,
        journal::Journal,
        leases::{Leases, id_of},
        state_dir::StateLock,
    },
    room::{
        after::{self, Again},
        announce,
        areas::{self, UnremovedArea},
        context::Context,
        enforcers,
        late_calls::{self, AwaitedCalls, LateTarget},
        mark::unmark,
        restore::{self, BroughtBack},
        retry::Backoff,
        vanished,
    },
};

/// A call that may still come is waited for so long before a release counts as done; then its keeper
/// goes on alone.
const LATE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 6000 });
/// What is not removed by then is left to `recover` and to the next run: whatever keeps it is not
/// over in a moment.
const AREAS: Duration = Duration::from_mins(10);
/// Everybody who holds the state directory's lock longer than this is stuck; what is ours is given
/// back all the same.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);
/// Others wait for the lock meanwhile, and have less patience than [`LOCK_PATIENCE`].
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A lease that has given back its targets, and still has areas to remove.
pub(crate) struct Parting {
    journal: Journal,
    areas: Vec<Area>,
    pub(crate) back: Back,
    again: Vec<Again>,
    late: Vec<LateTarget>,
}

/// What is left of a lease whose targets run: calls that may still come, and areas that may be
/// removed yet.
pub struct Rest {
    calls: AwaitedCalls,
    areas: Vec<UnremovedArea>,
}

/// Gives back all that a lease has, and removes its journal when nothing is left. What may pass is
/// tried until the time limit, and a call that may still come is waited for; what is left then is
/// the caller's to see to ([`wait_for`]), or to leave recorded ([`leave_areas`]).
pub async fn release(context: &Context<'_>, mut journal: Journal) -> (Back, Option<Rest>) {
    let begun = Instant::now();
    if journal.state().is_empty() {
        let gone = vanished::look(context, &journal.state().removed).await;
        close(context, journal).await;
        return (Back { gone, ..Back::default() }, None);
    }
    let lock = match context.state.lock_later(LOCK_PATIENCE).await {
        Ok(lock) => Some(lock),
        Err(error) => {
            // What others hold is read all the same. Of two releases at once each sees the other's
            // mark or is seen with its own: at worst both restore a target, which is idempotent.
            context.note(Note::new(Level::Warning, error.to_string()).hint(error.hint()));
            None
        }
    };
    let begun_before = begun_before(&journal);
    context.told(announce::releasing(&mut journal));
    let leases = other_leases(context, lock.as_ref(), &id_of(journal.path())).await;
    let held = journal.state().clone();
    let put_off = enforcers::put_off(context, &held);
    let is_meant = |held: &HeldTarget| !put_off.contains(&held.target.id);
    let Parting { mut journal, areas, mut back, mut again, mut late } =
        part(context, journal, &leases, is_meant, true).await;
    let again_before = back.running.iter().filter(|id| begun_before.contains(id)).count();
    back.restored = back.restored.max(again_before);
    drop((leases, lock));
    (context.tell)(FromKeeper::TargetsBack(back.clone()));
    let removing = async {
        after::warm(context, &again).await;
        let last = values::deadline(begun, context.restore_timeout());
        areas::remove(context, &mut journal, areas, &mut back, last).await
    };
    let waiting = async {
        if !put_off.is_empty() {
            enforcers::await_others(context, &again, &held, &put_off).await;
        }
    };
    let answering = after::await_answers(context, &again);
    let (answers, areas, ()) = future::join3(answering, removing, waiting).await;
    back.answers = answers;
    if !put_off.is_empty() {
        let is_last = |held: &HeldTarget| put_off.contains(&held.target.id);
        let last = bring_back(context, &mut journal, is_last).await;
        back.add_last(last.back);
        again.extend(last.again);
        late.extend(last.late);
    }
    back.lagging = after::lagging(context, &again).await;
    let deadline = values::deadline(begun, context.restore_timeout().min(LATE));
    end(context, (journal, late, areas), back, deadline).await
}

/// What a keeper before this one had begun to bring back, and died before it said so.
fn begun_before(journal: &Journal) -> Vec<String> {
    if !journal.state().is_releasing() {
        return Vec::new();
    }
    let held = journal.state().targets.values().filter(|held| held.stage == Stage::Held);
    held.map(|held| held.target.id.clone()).collect()
}

/// The end of a release, which waits until this time for calls that may still come.
async fn end(
    context: &Context<'_>,
    (journal, late, areas): (Journal, Vec<LateTarget>, Vec<UnremovedArea>),
    mut back: Back,
    deadline: Instant,
) -> (Back, Option<Rest>) {
    let mut calls = AwaitedCalls { journal, late };
    late_calls::wait_until(context, deadline, &mut calls, &mut back).await;
    back.gone = vanished::look(context, &calls.journal.state().removed).await;
    if calls.late.is_empty() && areas.is_empty() {
        close(context, calls.journal).await;
        return (back, None);
    }
    for late in &mut calls.late {
        late.tell(&mut back);
    }
    (back, Some(Rest { calls, areas }))
}

/// The part of a release that others have to wait for, under the lock: afterwards only areas are
/// left, which count as absent. Only the targets that are meant, and areas where `has_host`.
pub(crate) async fn part(
    context: &Context<'_>,
    mut journal: Journal,
    leases: &Leases,
    is_meant: impl Fn(&HeldTarget) -> bool,
    has_host: bool,
) -> Parting {
    let BroughtBack { mut back, again, late, .. } =
        restore::targets(context, &mut journal, leases, is_meant).await;
    let areas = if has_host {
        areas::announce_removal(context, &mut journal, leases, &mut back)
    } else {
        Vec::new()
    };
    Parting { journal, areas, back, again, late }
}

/// The rest for the lease of a dead holder, without the lock.
pub(crate) async fn finish(context: &Context<'_>, parting: Parting) -> (Back, Option<Rest>) {
    let Parting { mut journal, areas, mut back, late, .. } = parting;
    let last = values::deadline(Instant::now(), context.restore_timeout());
    let areas = areas::remove(context, &mut journal, areas, &mut back, last).await;
    let (mut back, rest) = end(context, (journal, late, areas), back, Instant::now()).await;
    let rest = leave_areas(context, rest, &mut back);
    (back, rest)
}

/// Tries no area again: what is there stays recorded. For whoever has nobody that goes on behind
/// its back.
pub fn leave_areas(context: &Context<'_>, rest: Option<Rest>, back: &mut Back) -> Option<Rest> {
    let mut rest = rest?;
    areas::leave(context, &mut rest.calls.journal, &mut rest.areas, back);
    (!rest.calls.late.is_empty()).then_some(rest)
}

/// Waits for all that may still come, however long that takes, and brings it back; meanwhile tries
/// again to remove what may be removed yet, for some minutes. Removes the journal when nothing is
/// left.
pub async fn wait_for(context: &Context<'_>, rest: Rest) -> Back {
    let Rest { mut calls, mut areas } = rest;
    let mut back = Back { kinds: calls.kinds(), ..Back::default() };
    let never = values::deadline(Instant::now(), Duration::MAX);
    let last = values::deadline(Instant::now(), AREAS);
    let mut backoff = Backoff::for_swapoff();
    while !areas.is_empty() {
        let next = Instant::now() + backoff.next_pause();
        late_calls::wait_until(context, next, &mut calls, &mut back).await;
        tokio::time::sleep_until(next.into()).await;
        areas::try_again(context, &mut calls.journal, &mut areas, &mut back).await;
        if Instant::now() >= last {
            areas::leave(context, &mut calls.journal, &mut areas, &mut back);
        }
    }
    late_calls::wait_until(context, never, &mut calls, &mut back).await;
    close(context, calls.journal).await;
    back
}

/// Only the targets: while a build is stopped, swap stays.
pub async fn suspend(context: &Context<'_>, journal: &mut Journal) -> Back {
    give_back(context, journal, |_| true).await
}

/// Only these targets.
pub async fn give_back(
    context: &Context<'_>,
    journal: &mut Journal,
    is_meant: impl Fn(&HeldTarget) -> bool,
) -> Back {
    bring_back(context, journal, is_meant).await.back
}

async fn bring_back(
    context: &Context<'_>,
    journal: &mut Journal,
    is_meant: impl Fn(&HeldTarget) -> bool,
) -> BroughtBack {
    let lock = context.state.lock_later(LOCK_PATIENCE).await.ok();
    let leases = other_leases(context, lock.as_ref(), &id_of(journal.path())).await;
    restore::targets(context, journal, &leases, is_meant).await
}

/// The other leases, looked at again where some could not be seen for want of something that others
/// give back.
async fn other_leases(context: &Context<'_>, lock: Option<&StateLock>, own: &str) -> Leases {
    let deadline = values::deadline(Instant::now(), context.restore_timeout().min(LOOK_AGAIN));
    let mut backoff = Backoff::for_engine();
    loop {
        let looked = match lock {
            Some(lock) => Leases::look(context.state, lock, Some(own)),
            None => Leases::peek(context.state, own),
        };
        let leases = looked.unwrap_or_else(Leases::unseen);
        let Some(error) = leases.why_unseen() else { return leases };
        if !error.may_pass() || !backoff.wait(Some(deadline)).await {
            let why = text::printable(&error.to_string());
            let text = format!("{why}: swap that another lease may need stays");
            context.note(Note::new(Level::Warning, text));
            return leases;
        }
    }
}

/// Removes the journal of a lease that has nothing left.
async fn close(context: &Context<'_>, journal: Journal) {
    if !journal.state().is_empty() {
        return;
    }
    // Without its journal a dead keeper's socket is never looked at again.
    let socket = control_socket::remove(context.state.leases(), &id_of(journal.path()));
    context.told(journal.remove());
    if let Err(error) = socket {
        context.note(Note::new(Level::Detail, format!("a socket is left behind: {error}")));
    }
    if let Err(error) = unmark(context.state).await {
        let text = format!("the mark for other users stays: {error}");
        context.note(Note::new(Level::Detail, text));
    }
}
