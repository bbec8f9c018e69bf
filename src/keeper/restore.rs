//! Owns giving back what a lease changed: targets first, in compose's order, then swap. One code
//! path for success, failure, signals, crashes and `recover`. It collects errors and goes on,
//! retries until its deadline, looks before each act, and counts "already so" as done.
//! Runs in the keeper, and in `recover` and `stop` for leases whose holder is dead.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, future, stream};

use super::{Tell, afterwards::Again, bring_back::bring_back, control, reach::Reach};
use crate::{
    core::{
        order,
        record::{Area, AreaGone, HeldTarget, Opened, Record, Restored},
        text, values,
        wire::{Afterwards, Back, FromKeeper, Level, Note, Phase, SwapBack},
    },
    engine::client::EngineError,
    host::swap::{self, Removal},
    lease::{
        journal::{Journal, JournalError},
        leases::{Leases, id_of},
        state_dir::{StateDir, StateLock},
    },
};

/// Calls to the engine that are under way at once.
pub const AT_ONCE: usize = 16;
/// Between two attempts; an engine that restarts takes seconds.
const RETRY: [Duration; 4] = [Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(400), Duration::from_secs(1)];
/// The first attempts at a lease's targets have at least this long, however short `--restore-timeout` is: that they are
/// tried is no matter of taste, and a repository's file may set it.
const FIRST: Duration = Duration::from_secs(5);
/// Everybody who holds the state directory's lock longer than this is stuck; what is ours is given back all the same.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);
/// Others wait for the lock meanwhile, and have less patience than [`LOCK_PATIENCE`].
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What restoring needs.
#[derive(Clone, Copy)]
pub struct Restorer<'a> {
    /// The state directory.
    pub state: &'a StateDir,
    /// The way to the lease's engine and host.
    pub reach: &'a Reach,
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
pub(super) struct Parting {
    journal: Journal,
    areas: Vec<Area>,
    back: Back,
    again: Vec<Again>,
}

impl Restorer<'_> {
    /// Gives back all that a lease has, and removes its journal when nothing is left.
    pub async fn release(&self, mut journal: Journal) -> Back {
        let own = id_of(journal.path());
        if journal.state().is_empty() {
            self.finish(journal);
            return Back::default();
        }
        let lock = match self.state.lock_later(LOCK_PATIENCE).await {
            Ok(lock) => Some(lock),
            Err(error) => {
                // What others hold is read all the same. Of two releases at once each sees the other's mark or is seen
                // with its own: at worst both restore a target, which is idempotent.
                self.note(Note::new(Level::Warning, error.to_string()).hint(error.hint()));
                None
            }
        };
        self.mark(&mut journal);
        let leases = self.other_leases(lock.as_ref(), &own).await;
        let Parting { mut journal, areas, mut back, again } = self.part(journal, &leases).await;
        drop((leases, lock));
        (self.tell)(FromKeeper::TargetsBack(back.clone()));
        let removing = async {
            self.warm(&again).await;
            self.remove_areas(&mut journal, &areas, &mut back).await;
        };
        let (answers, ()) = future::join(self.await_answers(&again), removing).await;
        back.answers = answers;
        self.finish(journal);
        back
    }

    /// The part of a release that others have to wait for, under the lock: afterwards only areas are left, which
    /// count as absent.
    pub(super) async fn part(&self, mut journal: Journal, leases: &Leases) -> Parting {
        let (mut back, again) = self.targets(&mut journal, leases, |_| true).await;
        let areas = self.begin_removing(&mut journal, leases, &mut back);
        Parting { journal, areas, back, again }
    }

    /// The rest for the lease of a dead holder, without the lock.
    pub(super) async fn finish_recovery(&self, parting: Parting) -> Back {
        let Parting { mut journal, areas, mut back, .. } = parting;
        self.remove_areas(&mut journal, &areas, &mut back).await;
        self.finish(journal);
        back
    }

    /// Lets everybody know that nothing of this lease can be shared from here on.
    pub(super) fn mark(&self, journal: &mut Journal) {
        if let Some(opened) = journal.state().opened.clone().filter(|opened| !opened.releasing) {
            self.check(journal.announce(&Record::Opened(Opened { releasing: true, ..opened })));
        }
    }

    /// Only the targets: while a build is stopped, swap stays.
    pub async fn suspend(&self, journal: &mut Journal) -> Back {
        self.give_back(journal, |_| true).await
    }

    /// Only these targets.
    pub async fn give_back(&self, journal: &mut Journal, is_meant: impl Fn(&HeldTarget) -> bool) -> Back {
        let own = id_of(journal.path());
        let lock = self.state.lock_later(LOCK_PATIENCE).await.ok();
        let leases = self.other_leases(lock.as_ref(), &own).await;
        self.targets(journal, &leases, is_meant).await.0
    }

    pub(super) fn note(&self, note: Note) {
        (self.tell)(FromKeeper::Note(note));
    }

    /// The other leases, looked at again where some could not be seen for want of something that others give back.
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
                    format!("{}: swap that another lease may need stays", text::printable(&error.to_string())),
                ));
                return leases;
            }
            tokio::time::sleep(RETRY[attempt.min(RETRY.len() - 1)]).await;
            attempt += 1;
        }
    }

    fn record(&self, journal: &mut Journal, record: &Record) {
        self.check(journal.note(record));
    }

    fn check(&self, written: Result<(), JournalError>) {
        // What is not written is found out again by looking: restoring goes on.
        if let Err(error) = written {
            self.note(Note::new(Level::Detail, error.to_string()));
        }
    }

    fn finish(&self, journal: Journal) {
        if journal.state().is_empty() {
            // Without its journal a dead keeper's socket is never looked at again.
            let socket = control::remove(self.state.leases(), &id_of(journal.path()));
            self.check(journal.remove());
            if let Err(error) = socket {
                self.note(Note::new(Level::Detail, format!("a socket is left behind: {error}")));
            }
        }
    }

    async fn targets(&self, journal: &mut Journal, leases: &Leases, is_meant: impl Fn(&HeldTarget) -> bool) -> (Back, Vec<Again>) {
        let begun = Instant::now();
        let (mut back, mut again) = (Back::default(), Vec::new());
        let all: Vec<HeldTarget> = journal.state().targets.values().filter(|held| is_meant(held)).cloned().collect();
        let (handed_over, ours): (Vec<_>, Vec<_>) = all.into_iter().partition(|held| leases.holder_of(&held.target.id).is_some());
        back.handed_over = handed_over.iter().map(|held| held.target.id.clone()).collect();
        for held in &handed_over {
            self.record(journal, &Record::Restored { id: held.target.id.clone(), how: Restored::HandedOver });
        }
        if !ours.is_empty() {
            let deadlines = Deadlines { first: values::deadline(begun, self.limit.max(FIRST)), last: values::deadline(begun, self.limit) };
            let mut done = 0;
            (self.tell)(FromKeeper::Progress { phase: Phase::Restoring, done, total: ours.len() });
            let order = order::levels(&ours.iter().map(|held| &held.target).collect::<Vec<_>>());
            for level in order {
                let restore = |held| async move {
                    let mut engine_lost = false;
                    let result = self.restore(held, deadlines, &mut engine_lost).await;
                    (held, result, engine_lost)
                };
                let restoring = level.iter().map(|&index| restore(&ours[index]));
                let mut results = stream::iter(restoring).buffer_unordered(AT_ONCE);
                while let Some((held, result, engine_lost)) = results.next().await {
                    done += 1;
                    back.engine_lost |= engine_lost;
                    (self.tell)(FromKeeper::Progress { phase: Phase::Restoring, done, total: ours.len() });
                    again.extend((result == Ok(Restored::Done)).then(|| Again { target: held.target.clone(), since: Instant::now() }));
                    if result == Ok(Restored::Theirs) && held.target.swarm.is_some() {
                        let text = format!("`{}` was scaled by somebody else and stays so", text::printable(&held.target.name));
                        self.note(Note::new(Level::Info, text));
                    }
                    self.record(journal, &outcome(held, result, &mut back));
                }
            }
        }
        back.took = begun.elapsed();
        (back, again)
    }

    /// Announces the removals, so that the areas count as absent for everybody else.
    fn begin_removing(&self, journal: &mut Journal, leases: &Leases, back: &mut Back) -> Vec<Area> {
        let all: Vec<Area> = journal.state().areas.values().map(|held| held.area.clone()).collect();
        let host = journal.state().host().cloned();
        let (handed_over, ours): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|area| leases.holder_of_area(&area.path, host.as_ref()).is_some());
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
        let intents: Vec<_> = ours.iter().map(|area| Record::AreaRemoving { path: area.path.clone() }).collect();
        if !intents.is_empty() {
            self.check(journal.intend(&intents));
        }
        ours
    }

    async fn remove_areas(&self, journal: &mut Journal, areas: &[Area], back: &mut Back) {
        for (done, area) in areas.iter().enumerate() {
            (self.tell)(FromKeeper::Progress { phase: Phase::SwapOff, done, total: areas.len() });
            let path = area.path.clone();
            match swap::remove(&self.reach.shell, area).await {
                Ok(removal) => {
                    let how = if removal == Removal::Removed { AreaGone::Removed } else { AreaGone::AlreadySo };
                    if how == AreaGone::Removed && back.swap.is_none() {
                        back.swap = Some(SwapBack::Removed);
                    }
                    self.record(journal, &Record::AreaGone { path, how });
                }
                Err(error) => {
                    let reason = error.to_string();
                    back.swap = Some(SwapBack::Stays { path: path.clone(), reason: reason.clone() });
                    self.record(journal, &Record::AreaStays { path, reason });
                }
            }
        }
    }

    async fn restore(&self, held: &HeldTarget, deadlines: Deadlines, engine_lost: &mut bool) -> Result<Restored, String> {
        let mut attempt = 0;
        let mut failed = "the engine has not answered until the deadline".to_owned();
        loop {
            let deadline = if attempt == 0 { deadlines.first } else { deadlines.last };
            match tokio::time::timeout_at(deadline.into(), self.attempt(held)).await {
                Ok(Ok(how)) => return Ok(how),
                Ok(Err(error)) => {
                    *engine_lost |= error.is_engine_gone();
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

    async fn attempt(&self, held: &HeldTarget) -> Result<Restored, EngineError> {
        match bring_back(&self.reach.engine().await?, held).await {
            Err(error) if error.is_engine_gone() => {
                self.reach.forget_engine();
                Err(error)
            }
            result => result,
        }
    }
}

fn outcome(held: &HeldTarget, result: Result<Restored, String>, back: &mut Back) -> Record {
    let id = held.target.id.clone();
    match result {
        Ok(how) => {
            back.restored += usize::from(how == Restored::Done);
            back.running.extend(matches!(how, Restored::Done | Restored::AlreadySo).then(|| id.clone()));
            Record::Restored { id, how }
        }
        Err(reason) => {
            back.failed.push((held.target.name.clone(), reason.clone()));
            Record::NotRestored { id, reason }
        }
    }
}
