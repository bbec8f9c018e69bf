//! Owns giving back what a lease changed: targets first, in compose's order, then swap. One code
//! path for success, failure, signals, crashes and `recover`. It collects errors and goes on,
//! retries until its deadline, looks before each act, and counts "already so" as done.
//! Runs in the keeper, and in `recover` and `stop` for leases whose holder is dead.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, future, stream};

use crate::{
    core::{
        lease::{
            late_call::Moment,
            record::{Area, AreaGone, HeldTarget, Opened, Record, Restored, Stage},
            start_order,
        },
        run::{
            note::{Level, Note, Phase},
            results::{Back, SwapBack},
            room_settings::Afterwards,
            wire::FromKeeper,
        },
        text, values,
    },
    engine::client::EngineError,
    host::{
        kernel::moment,
        limits::calls_at_once,
        swap::{self, Removal},
    },
    lease::{
        control_socket,
        journal::{Journal, JournalError},
        leases::{Leases, id_of},
        state_dir::{StateDir, StateLock},
    },
    room::{
        Tell,
        after::Again,
        bring_back::{Brought, bring_back},
        late_calls::{LateTarget, Waiting},
        machine::Machine,
        mark::unmark,
    },
};

/// Calls to the engine that are under way at once, where so many files can be open.
const AT_ONCE: usize = 16;
/// Between two attempts; an engine that restarts takes seconds.
pub(crate) const RETRY: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
];
/// The first attempts at a lease's targets have at least this long, however short
/// `--restore-timeout` is: that they are tried is no matter of taste, and a repository's file may
/// set it.
const FIRST: Duration = Duration::from_secs(5);
/// A call that may still come is waited for so long before a release counts as done; then its
/// keeper goes on alone.
const LATE: Duration = Duration::from_secs(6);
/// Everybody who holds the state directory's lock longer than this is stuck; what is ours is given
/// back all the same.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);
/// Others wait for the lock meanwhile, and have less patience than [`LOCK_PATIENCE`].
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How many calls to the engine may be under way at once.
#[must_use]
pub fn at_once() -> usize {
    calls_at_once(AT_ONCE)
}

/// What restoring needs.
#[derive(Clone, Copy)]
pub struct Restorer<'a> {
    /// The state directory.
    pub state: &'a StateDir,
    /// The way to the lease's engine and host.
    pub machine: &'a Machine,
    /// `--restore-timeout`.
    pub limit: Duration,
    /// What is done for the services once they run again; only for a lease whose keeper lives.
    pub afterwards: Afterwards,
    /// Where progress and notes go.
    pub tell: Tell<'a>,
}

/// Until when a target is tried.
#[derive(Clone, Copy)]
struct Deadlines {
    /// For the first time.
    first: Instant,
    /// Again.
    last: Instant,
}

/// A lease that has given back its targets, and still has areas to remove.
pub(crate) struct Parting {
    journal: Journal,
    areas: Vec<Area>,
    pub(crate) back: Back,
    again: Vec<Again>,
    late: Vec<LateTarget>,
}

/// What became of a lease's targets.
#[derive(Default)]
pub(crate) struct Targets {
    pub(crate) back: Back,
    again: Vec<Again>,
    late: Vec<LateTarget>,
}

impl Restorer<'_> {
    /// Gives back all that a lease has, and removes its journal when nothing is left. Where a call
    /// may still come that was sent, within the time limit it is waited for; what is left of that
    /// is the caller's to wait for, or to leave recorded.
    pub async fn release(&self, mut journal: Journal) -> (Back, Option<Waiting>) {
        let (own, begun) = (id_of(journal.path()), Instant::now());
        if journal.state().is_empty() {
            self.finish(journal).await;
            return (Back::default(), None);
        }
        let lock = match self.state.lock_later(LOCK_PATIENCE).await {
            Ok(lock) => Some(lock),
            Err(error) => {
                // What others hold is read all the same. Of two releases at once each sees the
                // other's mark or is seen with its own: at worst both restore a target, which is
                // idempotent.
                self.note(Note::new(Level::Warning, error.to_string()).hint(error.hint()));
                None
            }
        };
        // A keeper before this one began to bring them back, and died before it said so.
        let begun_before: Vec<String> = if journal.state().is_releasing() {
            journal
                .state()
                .targets
                .values()
                .filter(|held| held.stage == Stage::Held)
                .map(|held| held.target.id.clone())
                .collect()
        } else {
            Vec::new()
        };
        self.mark(&mut journal);
        let leases = self.other_leases(lock.as_ref(), &own).await;
        let Parting { mut journal, areas, mut back, again, late } =
            self.part(journal, &leases, |_| true, true).await;
        back.restored =
            back.restored.max(back.running.iter().filter(|id| begun_before.contains(id)).count());
        drop((leases, lock));
        (self.tell)(FromKeeper::TargetsBack(back.clone()));
        let removing = async {
            self.warm(&again).await;
            self.remove_areas(&mut journal, &areas, &mut back).await;
        };
        let (answers, ()) = future::join(self.await_answers(&again), removing).await;
        back.answers = answers;
        self.end(journal, late, back, values::deadline(begun, self.limit.min(LATE))).await
    }

    /// The end of a release, which waits until this time for calls that may still come.
    async fn end(
        &self,
        journal: Journal,
        late: Vec<LateTarget>,
        mut back: Back,
        deadline: Instant,
    ) -> (Back, Option<Waiting>) {
        let mut waiting = Waiting { journal, late };
        self.wait_until(deadline, &mut waiting, &mut back).await;
        if waiting.late.is_empty() {
            self.finish(waiting.journal).await;
            return (back, None);
        }
        for late in &mut waiting.late {
            late.tell(&mut back);
        }
        (back, Some(waiting))
    }

    /// The part of a release that others have to wait for, under the lock: afterwards only areas
    /// are left, which count as absent. Only the targets that are meant, and areas where
    /// `has_host`.
    pub(crate) async fn part(
        &self,
        mut journal: Journal,
        leases: &Leases,
        is_meant: impl Fn(&HeldTarget) -> bool,
        has_host: bool,
    ) -> Parting {
        let Targets { mut back, again, late } = self.targets(&mut journal, leases, is_meant).await;
        let areas = if has_host {
            self.begin_removing(&mut journal, leases, &mut back)
        } else {
            Vec::new()
        };
        Parting { journal, areas, back, again, late }
    }

    /// The rest for the lease of a dead holder, without the lock.
    pub(crate) async fn finish_recovery(&self, parting: Parting) -> (Back, Option<Waiting>) {
        let Parting { mut journal, areas, mut back, late, .. } = parting;
        self.remove_areas(&mut journal, &areas, &mut back).await;
        self.end(journal, late, back, Instant::now()).await
    }

    /// Lets everybody know that nothing of this lease can be shared from here on.
    pub(crate) fn mark(&self, journal: &mut Journal) {
        if let Some(opened) = journal.state().opened.clone().filter(|opened| !opened.releasing) {
            self.check(journal.announce(&Record::Opened(Opened { releasing: true, ..opened })));
        }
    }

    /// Only the targets: while a build is stopped, swap stays.
    pub async fn suspend(&self, journal: &mut Journal) -> Back {
        self.give_back(journal, |_| true).await
    }

    /// Only these targets.
    pub async fn give_back(
        &self,
        journal: &mut Journal,
        is_meant: impl Fn(&HeldTarget) -> bool,
    ) -> Back {
        let own = id_of(journal.path());
        let lock = self.state.lock_later(LOCK_PATIENCE).await.ok();
        let leases = self.other_leases(lock.as_ref(), &own).await;
        self.targets(journal, &leases, is_meant).await.back
    }

    pub(crate) fn note(&self, note: Note) {
        (self.tell)(FromKeeper::Note(note));
    }

    /// The other leases, looked at again where some could not be seen for want of something that
    /// others give back.
    async fn other_leases(&self, lock: Option<&StateLock>, own: &str) -> Leases {
        let deadline = values::deadline(Instant::now(), self.limit.min(LOOK_AGAIN));
        let mut attempt = 0;
        loop {
            let looked = match lock {
                Some(lock) => Leases::look(self.state, lock, Some(own)),
                None => Leases::peek(self.state, own),
            };
            let leases = looked.unwrap_or_else(Leases::unseen);
            let Some(error) = leases.why_unseen() else { return leases };
            if !error.may_pass() || Instant::now() >= deadline {
                self.note(Note::new(
                    Level::Warning,
                    format!(
                        "{}: swap that another lease may need stays",
                        text::printable(&error.to_string())
                    ),
                ));
                return leases;
            }
            tokio::time::sleep(RETRY[attempt.min(RETRY.len() - 1)]).await;
            attempt += 1;
        }
    }

    pub(crate) fn record(&self, journal: &mut Journal, record: &Record) {
        self.check(journal.note(record));
    }

    pub(crate) fn check(&self, written: Result<(), JournalError>) {
        // What is not written is found out again by looking: restoring goes on.
        if let Err(error) = written {
            self.note(Note::new(Level::Detail, error.to_string()));
        }
    }

    pub(crate) async fn finish(&self, journal: Journal) {
        if journal.state().is_empty() {
            // Without its journal a dead keeper's socket is never looked at again.
            let socket = control_socket::remove(self.state.leases(), &id_of(journal.path()));
            self.check(journal.remove());
            if let Err(error) = socket {
                self.note(Note::new(Level::Detail, format!("a socket is left behind: {error}")));
            }
            if let Err(error) = unmark(self.state).await {
                self.note(Note::new(
                    Level::Detail,
                    format!("the mark for other users stays: {error}"),
                ));
            }
        }
    }

    async fn targets(
        &self,
        journal: &mut Journal,
        leases: &Leases,
        is_meant: impl Fn(&HeldTarget) -> bool,
    ) -> Targets {
        let (begun, seen) = (Instant::now(), moment());
        let Targets { mut back, mut again, mut late } = Targets::default();
        let all: Vec<HeldTarget> =
            journal.state().targets.values().filter(|held| is_meant(held)).cloned().collect();
        let (handed_over, ours): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|held| leases.holder_of(&held.target.id).is_some());
        back.handed_over = handed_over.iter().map(|held| held.target.id.clone()).collect();
        for held in &handed_over {
            self.record(
                journal,
                &Record::Restored { id: held.target.id.clone(), how: Restored::HandedOver },
            );
        }
        if !ours.is_empty() {
            let deadlines = Deadlines {
                first: values::deadline(begun, self.limit.max(FIRST)),
                last: values::deadline(begun, self.limit),
            };
            let mut done = 0;
            (self.tell)(FromKeeper::Progress { phase: Phase::Restoring, done, total: ours.len() });
            let order =
                start_order::levels(&ours.iter().map(|held| &held.target).collect::<Vec<_>>());
            for level in order {
                let restore = |held| async move {
                    let mut engine_lost = false;
                    let result = self.restore(held, seen, deadlines, &mut engine_lost).await;
                    (held, result, engine_lost)
                };
                let restoring = level.iter().map(|&index| restore(&ours[index]));
                let mut results = stream::iter(restoring).buffer_unordered(at_once());
                while let Some((held, result, engine_lost)) = results.next().await {
                    done += 1;
                    back.engine_lost |= engine_lost;
                    (self.tell)(FromKeeper::Progress {
                        phase: Phase::Restoring,
                        done,
                        total: ours.len(),
                    });
                    let result = match result {
                        Ok(Brought::Late(what)) => {
                            let (target, recorded) =
                                LateTarget::new(held.clone(), what, seen, journal);
                            self.check(recorded);
                            late.push(target);
                            continue;
                        }
                        Ok(Brought::Back(how)) => Ok(how),
                        Err(reason) => Err(reason),
                    };
                    again.extend(
                        (result == Ok(Restored::Done))
                            .then(|| Again { target: held.target.clone(), since: Instant::now() }),
                    );
                    if result == Ok(Restored::Theirs) && held.target.swarm.is_some() {
                        let text = format!(
                            "`{}` was scaled by somebody else and stays so",
                            text::printable(&held.target.name)
                        );
                        self.note(Note::new(Level::Info, text));
                    }
                    self.record(journal, &outcome(held, result, &mut back));
                }
            }
        }
        back.took = begun.elapsed();
        back.late = late.iter().map(LateTarget::call).collect();
        Targets { back, again, late }
    }

    /// Announces the removals, so that the areas count as absent for everybody else.
    fn begin_removing(&self, journal: &mut Journal, leases: &Leases, back: &mut Back) -> Vec<Area> {
        let all: Vec<Area> = journal.state().areas.values().map(|held| held.area.clone()).collect();
        let host = journal.state().host().cloned();
        let (handed_over, ours): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|area| leases.holder_of_area(&area.path, host.as_ref()).is_some());
        for area in handed_over {
            back.swap = Some(SwapBack::HandedOver);
            self.record(journal, &Record::AreaGone { path: area.path, how: AreaGone::HandedOver });
        }
        if let Some(error) = leases.why_unseen() {
            // Another lease may need them.
            for Area { path, .. } in ours {
                let reason = text::printable(&error.to_string());
                back.swap = Some(SwapBack::Stays { path: path.clone(), reason: reason.clone() });
                self.record(journal, &Record::AreaStays { path, reason });
            }
            return Vec::new();
        }
        let intents: Vec<_> =
            ours.iter().map(|area| Record::AreaRemoving { path: area.path.clone() }).collect();
        if !intents.is_empty() {
            self.check(journal.intend(&intents));
        }
        ours
    }

    async fn remove_areas(&self, journal: &mut Journal, areas: &[Area], back: &mut Back) {
        for (done, area) in areas.iter().enumerate() {
            (self.tell)(FromKeeper::Progress { phase: Phase::SwapOff, done, total: areas.len() });
            let path = area.path.clone();
            match swap::remove(&self.machine.shell, area).await {
                Ok(removal) => {
                    let how = if removal == Removal::Removed {
                        AreaGone::Removed
                    } else {
                        AreaGone::AlreadySo
                    };
                    if how == AreaGone::Removed && back.swap.is_none() {
                        back.swap = Some(SwapBack::Removed);
                    }
                    self.record(journal, &Record::AreaGone { path, how });
                }
                Err(error) => {
                    let reason = error.to_string();
                    back.swap =
                        Some(SwapBack::Stays { path: path.clone(), reason: reason.clone() });
                    self.record(journal, &Record::AreaStays { path, reason });
                }
            }
        }
    }

    async fn restore(
        &self,
        held: &HeldTarget,
        seen: Moment,
        deadlines: Deadlines,
        engine_lost: &mut bool,
    ) -> Result<Brought, String> {
        let (mut attempt, mut may_be_done) = (0, false);
        let mut failed = "the engine has not answered until the deadline".to_owned();
        loop {
            let deadline = if attempt == 0 { deadlines.first } else { deadlines.last };
            match tokio::time::timeout_at(deadline.into(), self.attempt(held, seen)).await {
                // It was held, and runs after a call whose answer did not come.
                Ok(Ok(Brought::Back(Restored::AlreadySo))) if may_be_done => {
                    return Ok(Brought::Back(Restored::Done));
                }
                Ok(Ok(how)) => return Ok(how),
                Ok(Err(error)) => {
                    *engine_lost |= error.is_engine_gone();
                    may_be_done |= held.stage == Stage::Held && error.is_outcome_unknown();
                    failed = error.to_string();
                }
                // What it said before says more.
                Err(_) => return Err(failed),
            }
            let pause = RETRY[attempt.min(RETRY.len() - 1)];
            if Instant::now() + pause >= deadlines.last {
                return Err(failed);
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    pub(crate) async fn attempt(
        &self,
        held: &HeldTarget,
        seen: Moment,
    ) -> Result<Brought, EngineError> {
        match bring_back(&self.machine.engine().await?, &self.machine.calls, held, seen).await {
            Ok(Brought::Back(Restored::Removed)) if self.machine.is_guessed => {
                Err(EngineError::Unknown { url: self.machine.url() })
            }
            Err(error) if error.is_engine_gone() => {
                self.machine.forget_engine();
                Err(error)
            }
            result => result,
        }
    }
}

pub(crate) fn outcome(
    held: &HeldTarget,
    result: Result<Restored, String>,
    back: &mut Back,
) -> Record {
    let id = held.target.id.clone();
    match result {
        Ok(how) => {
            back.restored += usize::from(how == Restored::Done);
            back.running
                .extend(matches!(how, Restored::Done | Restored::AlreadySo).then(|| id.clone()));
            Record::Restored { id, how }
        }
        Err(reason) => {
            back.failed.push((held.target.name.clone(), reason.clone()));
            Record::NotRestored { id, reason }
        }
    }
}
