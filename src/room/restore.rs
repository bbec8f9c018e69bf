//! Owns bringing back a lease's targets: in compose's order, all of one level at once, each tried
//! until its deadline. It collects errors and goes on. Runs in the keeper, and in `recover` and `stop`
//! for leases whose holder is dead.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};

use crate::{
    core::{
        lease::{
            foreign_change::{ForeignChange, Reply},
            late_call::Moment,
            record::{Record, Restored},
            state::{HeldTarget, Stage},
        },
        run::{
            note::{Level, Note, Phase},
            results::Back,
            wire::FromKeeper,
        },
        target::start_order,
        text, values,
    },
    host::kernel::moment,
    lease::{journal::Journal, leases::Leases},
    room::{
        after::Again,
        bring_back::{Brought, attempt},
        context::Context,
        late_calls::{LateTarget, outcome},
        retry::Backoff,
    },
    targets::pace::at_once,
};

/// The first attempts at a lease's targets have at least this long, however short
/// `--restore-timeout` is: that they are tried is no matter of taste, and a repository's file may
/// set it.
const FIRST: Duration = Duration::from_secs(5);

/// What became of a lease's targets.
#[derive(Default)]
pub(crate) struct BroughtBack {
    pub(crate) back: Back,
    /// What runs again because of this lease.
    pub(crate) again: Vec<Again>,
    /// What runs, and may still be paused or stopped by a call that was sent.
    pub(crate) late: Vec<LateTarget>,
    /// The names of what had ended, nobody can tell by whom, and is started.
    blindly: Vec<String>,
}

/// Until when a target is tried.
#[derive(Clone, Copy)]
struct Deadlines {
    /// For the first time.
    first: Instant,
    /// Again.
    last: Instant,
}

/// Brings back those of the targets that are meant; what another lease needs is left to it.
pub(crate) async fn targets(
    context: &Context<'_>,
    journal: &mut Journal,
    leases: &Leases,
    is_meant: impl Fn(&HeldTarget) -> bool,
) -> BroughtBack {
    let begun = Instant::now();
    let mut brought = BroughtBack::default();
    let all: Vec<HeldTarget> =
        journal.state().targets.values().filter(|held| is_meant(held)).cloned().collect();
    brought.back.kinds = all.iter().map(|held| held.target.kind()).collect();
    let (handed_over, ours): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|held| leases.holder_of(&held.target.id).is_some());
    for HeldTarget { target, .. } in handed_over {
        let (id, how) = (target.id.clone(), Restored::HandedOver);
        context.record_restored(journal, &Record::Restored { id, how });
        brought.back.handed_over.push(target.id);
    }
    if !ours.is_empty() {
        bring_all_back(context, journal, &ours, begun, &mut brought).await;
    }
    if let Some(text) = started_blindly(&brought.blindly) {
        context.note(Note::new(Level::Info, text));
    }
    brought.back.took = begun.elapsed();
    brought.back.late = brought.late.iter().map(LateTarget::call).collect();
    brought
}

fn started_blindly(names: &[String]) -> Option<String> {
    let (it, is) = match names.len() {
        0 => return None,
        1 => ("it", "it is"),
        _ => ("them", "they are"),
    };
    Some(format!(
        "{} had ended, and nobody can tell whether somebody stopped {it}: {is} started",
        text::names(names.iter().map(String::as_str), 5)
    ))
}

async fn bring_all_back(
    context: &Context<'_>,
    journal: &mut Journal,
    ours: &[HeldTarget],
    begun: Instant,
    brought: &mut BroughtBack,
) {
    let (limit, seen, total) = (context.restore_timeout(), moment(), ours.len());
    let deadlines = Deadlines {
        first: values::deadline(begun, limit.max(FIRST)),
        last: values::deadline(begun, limit),
    };
    let mut done = 0;
    let tell = |done| (context.tell)(FromKeeper::Progress { phase: Phase::Restoring, done, total });
    tell(done);
    let targets: Vec<_> = ours.iter().map(|held| &held.target).collect();
    for level in start_order::levels(&targets) {
        let restoring =
            level.indices.iter().map(|&index| restore(context, &ours[index], seen, deadlines));
        let mut results = stream::iter(restoring).buffer_unordered(at_once());
        while let Some((held, result, engine_lost)) = results.next().await {
            done += 1;
            tell(done);
            brought.back.engine_lost |= engine_lost;
            take_in(context, journal, held, result, seen, brought);
        }
    }
}

/// Takes in what became of one target.
fn take_in(
    context: &Context<'_>,
    journal: &mut Journal,
    held: &HeldTarget,
    result: Result<Brought, String>,
    seen: Moment,
    brought: &mut BroughtBack,
) {
    let result = match result {
        Ok(Brought::Late(what)) => {
            let (target, recorded) = LateTarget::new(held.clone(), what, seen, journal);
            context.told(recorded);
            brought.late.push(target);
            return;
        }
        Ok(Brought::Back(how)) => Ok(how),
        Ok(Brought::Blindly) => {
            brought.blindly.push(held.target.name.clone());
            Ok(Restored::Done)
        }
        Err(reason) => Err(reason),
    };
    let target = &held.target;
    if result == Ok(Restored::Done) {
        brought.again.push(Again { target: target.clone(), since: Instant::now() });
    }
    if result == Ok(Restored::Stopped) {
        let (id, name) = (target.id.clone(), target.name.clone());
        let (change, reply) = (ForeignChange::Stopped, Reply::LeftAlone);
        (context.tell)(FromKeeper::Touched { id, name, change, reply });
    }
    if result == Ok(Restored::Theirs)
        && let Some(text) = target.kind().left_as_changed(&text::printable(&target.name))
    {
        context.note(Note::new(Level::Info, text));
    }
    context.record_restored(journal, &outcome(held, result, &mut brought.back));
}

/// Tries one until it is back or its deadline has come; tells also whether its engine went away.
async fn restore<'a>(
    context: &Context<'_>,
    held: &'a HeldTarget,
    seen: Moment,
    deadlines: Deadlines,
) -> (&'a HeldTarget, Result<Brought, String>, bool) {
    let (mut backoff, mut may_be_done, mut engine_lost) = (Backoff::for_engine(), false, false);
    let mut failed = "the engine has not answered until the deadline".to_owned();
    let result = loop {
        let deadline = if backoff.is_first() { deadlines.first } else { deadlines.last };
        match tokio::time::timeout_at(deadline.into(), attempt(context, held, seen)).await {
            // It was held, and runs after a call whose answer did not come.
            Ok(Ok(Brought::Back(Restored::AlreadySo))) if may_be_done => {
                break Ok(Brought::Back(Restored::Done));
            }
            Ok(Ok(how)) => break Ok(how),
            Ok(Err(error)) => {
                engine_lost |= error.is_engine_gone();
                may_be_done |= held.stage == Stage::Held && error.is_outcome_unknown();
                failed = error.to_string();
            }
            // What it said before says more.
            Err(_) => break Err(failed),
        }
        if !backoff.wait(Some(deadlines.last)).await {
            break Err(failed);
        }
    };
    (held, result, engine_lost)
}
