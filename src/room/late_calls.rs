//! Owns waiting for what a call that was sent may still do to a target that runs: a stop takes its
//! time, and what lies between us and the engine can hold a pause back. Nobody's lock is held
//! meanwhile; the lease stays recorded. What comes is brought back by `bring_back`. Runs in the
//! keeper, and in `recover` and `stop` for leases whose holder is dead.

use std::{
    future,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::{
    core::{
        lease::{
            late_call::{LateCall, Moment},
            record::{HeldTarget, Record, Restored, Stage},
        },
        run::results::Back,
        values,
    },
    engine::events::Events,
    lease::journal::{Journal, JournalError},
    room::{
        bring_back::{Brought, Late},
        restore::{Restorer, outcome},
    },
};

/// Between two looks where the engine tells what happens, and where it does not.
const LOOK_FOLLOWED: Duration = Duration::from_secs(10);
const LOOK_ALONE: Duration = Duration::from_secs(1);
/// What the engine tells of containers that is worth a look.
const ACTIONS: [&str; 6] = ["pause", "die", "unpause", "start", "destroy", "remove"];

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
        let Late { how, until, left, started_at } = late;
        if how == Restored::Done {
            self.how = how;
        }
        self.until = until;
        self.over = Instant::now().checked_add(left);
        let Some(started_at) = started_at else { return Ok(()) };
        self.held.target.started_at = started_at;
        let (target, method, call) =
            (self.held.target.clone(), self.held.method, self.held.earlier);
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
pub struct Waiting {
    pub(crate) journal: Journal,
    pub(crate) late: Vec<LateTarget>,
}

impl Waiting {
    /// The calls.
    #[must_use]
    pub fn calls(&self) -> Vec<LateCall> {
        self.late.iter().map(LateTarget::call).collect()
    }
}

impl Restorer<'_> {
    /// Waits for all of it, however long that takes, and brings back what comes; removes the
    /// journal when nothing is left.
    pub async fn wait_for(&self, mut waiting: Waiting) -> Back {
        let mut back = Back::default();
        self.wait_until(values::deadline(Instant::now(), Duration::MAX), &mut waiting, &mut back)
            .await;
        self.finish(waiting.journal).await;
        back
    }

    /// The same until this time at most. What is left then is in `back`.
    pub(crate) async fn wait_until(
        &self,
        deadline: Instant,
        waiting: &mut Waiting,
        back: &mut Back,
    ) {
        let mut events = None;
        let mut is_first = true;
        while !waiting.late.is_empty() && Instant::now() < deadline {
            if std::mem::take(&mut is_first) {
                events = self.follow().await;
            }
            let pause = if events.is_some() { LOOK_FOLLOWED } else { LOOK_ALONE };
            let next = waiting
                .late
                .iter()
                .filter_map(|late| late.over)
                .min()
                .filter(|over| *over > Instant::now());
            let due =
                [Some(Instant::now() + pause), next, Some(deadline)].into_iter().flatten().min();
            tokio::select! {
                () = self.machine.calls.ended() => {}
                is_told = told(&mut events) => if !is_told { events = None },
                () = tokio::time::sleep_until(due.unwrap_or(deadline).into()) => {}
            }
            self.look(waiting, back).await;
        }
        back.late = waiting.calls();
    }

    async fn follow(&self) -> Option<Events> {
        Some(self.machine.engine().await.ok()?.events(Timestamp::now(), &ACTIONS))
    }

    /// Looks at all of them once.
    async fn look(&self, waiting: &mut Waiting, back: &mut Back) {
        let Waiting { journal, late } = waiting;
        let attempts = join_all(late.iter().map(|late| self.attempt(&late.held, late.seen))).await;
        for (mut target, result) in std::mem::take(late).into_iter().zip(attempts) {
            let result = match result {
                Ok(Brought::Late(what)) => {
                    self.check(target.take_in(what, journal));
                    late.push(target);
                    continue;
                }
                // It was brought back before, and nothing came after that.
                Ok(Brought::Back(Restored::AlreadySo)) => Ok(target.how),
                Ok(Brought::Back(how)) => Ok(how),
                // The engine may come back; as long as the target is not seen to run, it is not
                // known to.
                Err(_)
                    if target
                        .over
                        .is_none_or(|over| Instant::now() < values::deadline(over, self.limit)) =>
                {
                    late.push(target);
                    continue;
                }
                Err(error) => Err(error.to_string()),
            };
            // What ran all the while is nothing that came.
            let seen = HeldTarget { stage: Stage::Intended, ..target.held };
            self.record(journal, &outcome(&seen, result, back));
        }
    }
}

/// Waits until the engine tells something; `false` where it will tell nothing more.
async fn told(events: &mut Option<Events>) -> bool {
    match events {
        Some(events) => events.next().await.is_ok(),
        None => future::pending().await,
    }
}
