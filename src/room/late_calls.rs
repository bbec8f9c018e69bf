//! Owns waiting for what a call that was sent may still do to a target that runs: a stop takes its
//! time, and what lies between us and the engine can hold a pause back. Nobody's lock is held
//! meanwhile; the lease stays recorded. What comes is brought back by `bring_back`. Runs in the
//! keeper, and in `recover` and `stop` for leases whose holder is dead.

use std::{
    collections::BTreeSet,
    future,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::{
    core::{
        lease::{
            late_call::{LateCall, Moment},
            record::{Record, Restored},
            state::{HeldTarget, Stage},
        },
        run::results::Back,
        target::kind::Kind,
        values,
    },
    lease::{journal::Journal, journal_error::JournalError},
    room::{
        bring_back::{Brought, Late, attempt},
        context::Context,
    },
    targets::changes::Changes,
};

/// Between two looks where the engine tells what happens, and where it does not.
const LOOK_FOLLOWED: Duration = Duration::from_secs(10);
const LOOK_ALONE: Duration = Duration::from_secs(1);

/// A target that runs, and for which a call may still come.
pub(crate) struct LateTarget {
    held: HeldTarget,
    how: Restored,
    until: Option<Timestamp>,
    /// When that is over; `None` where nobody knows.
    over: Option<Instant>,
    /// When its journal was read.
    seen: Moment,
}

impl LateTarget {
    /// What is recorded of it from now on, where it was started for this: the call may end that one
    /// as well.
    pub(crate) fn new(
        held: HeldTarget,
        late: Late,
        seen: Moment,
        journal: &mut Journal,
    ) -> (Self, Result<(), JournalError>) {
        let mut target = Self { held, how: late.how, until: None, over: None, seen };
        let recorded = target.take_in(late, journal);
        (target, recorded)
    }

    fn take_in(&mut self, late: Late, journal: &mut Journal) -> Result<(), JournalError> {
        let Late { how, until, left, incarnation } = late;
        if how == Restored::Done {
            self.how = how;
        }
        self.until = until;
        self.over = Instant::now().checked_add(left);
        let Some(incarnation) = incarnation else { return Ok(()) };
        self.held.target.incarnation = incarnation;
        let (target, method, call) =
            (self.held.target.clone(), self.held.method, self.held.other_calls());
        let recorded = journal.announce(&Record::Taking { target, method, call });
        if let Some(held) = journal.state().targets.get(&self.held.target.id) {
            self.held = held.clone();
        }
        recorded
    }

    /// Counts what was brought back so far, once.
    pub(crate) fn tell(&mut self, back: &mut Back) {
        if std::mem::replace(&mut self.how, Restored::AlreadySo) == Restored::Done {
            back.restored += 1;
            back.running.push(self.held.target.id.clone());
        }
    }

    pub(crate) fn call(&self) -> LateCall {
        let target = &self.held.target;
        LateCall {
            id: target.id.clone(),
            name: target.name.clone(),
            method: self.held.method,
            until: self.until,
        }
    }
}

/// A lease of which nothing is left but calls that may still come.
pub struct AwaitedCalls {
    pub(crate) journal: Journal,
    pub(crate) late: Vec<LateTarget>,
}

impl AwaitedCalls {
    /// The calls.
    #[must_use]
    pub fn calls(&self) -> Vec<LateCall> {
        self.late.iter().map(LateTarget::call).collect()
    }

    /// The kinds of the targets that these may still reach.
    pub(crate) fn kinds(&self) -> BTreeSet<Kind> {
        self.late.iter().map(|late| late.held.target.kind()).collect()
    }
}

/// Waits for all of it until this time at most, and brings back what comes. What is left then is in
/// `back`.
pub(crate) async fn wait_until(
    context: &Context<'_>,
    deadline: Instant,
    waiting: &mut AwaitedCalls,
    back: &mut Back,
) {
    if waiting.late.is_empty() {
        back.late.clear();
        return;
    }
    let mut changes = follow(context).await;
    while !waiting.late.is_empty() && Instant::now() < deadline {
        let pause = if changes.is_some() { LOOK_FOLLOWED } else { LOOK_ALONE };
        let next = waiting
            .late
            .iter()
            .filter_map(|late| late.over)
            .min()
            .filter(|over| *over > Instant::now());
        let due = [Some(Instant::now() + pause), next, Some(deadline)].into_iter().flatten().min();
        tokio::select! {
            () = context.machine.calls.ended() => {}
            is_told = told(&mut changes) => if !is_told { changes = None },
            () = tokio::time::sleep_until(due.unwrap_or(deadline).into()) => {}
        }
        look(context, waiting, back).await;
    }
    back.late = waiting.calls();
}

async fn follow(context: &Context<'_>) -> Option<Changes> {
    Some(context.machine.targets().await.ok()?.changes(Timestamp::now()))
}

/// Looks at all of them once.
async fn look(context: &Context<'_>, waiting: &mut AwaitedCalls, back: &mut Back) {
    let AwaitedCalls { journal, late } = waiting;
    let attempts = join_all(late.iter().map(|late| attempt(context, &late.held, late.seen))).await;
    for (mut target, result) in std::mem::take(late).into_iter().zip(attempts) {
        let result = match result {
            Ok(Brought::Late(what)) => {
                context.told(target.take_in(what, journal));
                late.push(target);
                continue;
            }
            // It was brought back before, and nothing came after that.
            Ok(Brought::Back(Restored::AlreadySo)) => Ok(target.how),
            Ok(Brought::Back(how)) => Ok(how),
            Ok(Brought::Blindly) => Ok(Restored::Done),
            // The engine may come back; as long as the target is not seen to run, it is not
            // known to.
            Err(_)
                if target.over.is_none_or(|over| {
                    Instant::now() < values::deadline(over, context.restore_timeout())
                }) =>
            {
                late.push(target);
                continue;
            }
            Err(error) => Err(error.to_string()),
        };
        // What ran all the while is nothing that came.
        let seen = HeldTarget { stage: Stage::Intended, ..target.held };
        context.record_restored(journal, &outcome(&seen, result, back));
    }
}

/// Waits until the engine tells something; `false` where it will tell nothing more.
async fn told(changes: &mut Option<Changes>) -> bool {
    match changes {
        Some(changes) => changes.next().await.is_ok(),
        None => future::pending().await,
    }
}

/// What is recorded of a target that was tried, and counted in `back`.
pub(crate) fn outcome(
    held: &HeldTarget,
    result: Result<Restored, String>,
    back: &mut Back,
) -> Record {
    let id = held.target.id.clone();
    match result {
        Ok(how) => {
            back.restored += usize::from(how == Restored::Done);
            let runs = matches!(how, Restored::Done | Restored::AlreadySo);
            back.running.extend(runs.then(|| id.clone()));
            Record::Restored { id, how }
        }
        Err(reason) => {
            back.failed.push((held.target.name.clone(), reason.clone()));
            Record::NotRestored { id, reason }
        }
    }
}
