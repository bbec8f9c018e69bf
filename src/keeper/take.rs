//! Owns taking the targets: which of the chosen containers, by which method, all at once, each
//! intent on disk before its act. Runs in the keeper.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, stream};

use super::{acquire::Acquirer, restore::at_once};
use crate::{
    core::{
        cgroup::Measured,
        claim::{Claim, claim},
        few::Few,
        order,
        record::{Record, Target},
        selector::{COMPOSE_PROJECT, COMPOSE_SERVICE},
        swarm,
        target::{Activity, COMPOSE_DEPENDS_ON, Inspected, Listed, Method, MethodFacts, is_known_start, method, why_never_stopped},
        text,
        values::MethodWish,
        wire::{FromKeeper, Level, Note, Phase, Room, RoomTarget},
    },
    engine::client::{Engine, EngineError},
    host::reclaim::PidAndId,
    lease::{journal::Journal, leases::Leases},
};

/// Between two attempts to freeze what the kernel could not freeze; the runtime itself has tried for a second or more.
const BUSY_RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// A container that is ours to take, as it is now.
pub(super) struct Candidate {
    pub(super) target: Target,
    pub(super) memory_bytes: Option<u64>,
    pub(super) now: Inspected,
    /// It never comes back once it is stopped, and why.
    why_never_stopped: Option<&'static str>,
    /// The Swarm service that it is a task of.
    pub(super) task_of: Option<String>,
    /// The keeper before this one announced it, and may have sent a call that comes late.
    pub(super) announced: bool,
}

/// What the targets came to.
#[derive(Default)]
pub(super) struct Taken {
    candidates: Vec<(Candidate, Method)>,
    joined: Vec<RoomTarget>,
    pub(super) reclaimable: Vec<PidAndId>,
    pub(super) names: HashMap<String, String>,
}

impl Acquirer<'_> {
    pub(super) async fn claim_all(
        &self,
        engine: &Engine,
        journal: &mut Journal,
        leases: &Leases,
        chosen: Vec<Listed>,
        sizes: Option<&Measured>,
        measured: Option<&Measured>,
    ) -> Taken {
        let total = chosen.len();
        let inspecting = chosen.into_iter().map(|listed| async {
            let now = match swarm::inspected(&listed) {
                Some(now) => Ok(now),
                None => inspect(engine, &listed.id).await,
            };
            (now, listed)
        });
        let inspected: Vec<_> = stream::iter(inspecting).buffered(at_once()).collect().await;
        let mut taken = Taken::default();
        let mut candidates = Vec::with_capacity(total);
        let mut few = Few::default();
        for (now, listed) in inspected {
            let now = match now {
                Ok(now) => now,
                // It went away since the list was made.
                Err(error) if error.is_not_found() => continue,
                Err(error) => {
                    self.shortfall_few(&mut few, format!("cannot inspect `{}`: {error}", text::printable(listed.name())), None);
                    continue;
                }
            };
            let target = target_of(&listed, &now);
            let name = text::printable(&target.name);
            taken.names.insert(target.id.clone(), target.name.clone());
            let pid_and_id = (now.pid, target.id.clone());
            let memory_bytes = sizes.and_then(|sizes| Some(sizes.targets.get(&target.id)?.used_bytes));
            let own = journal.state().targets.get(&target.id);
            let other = leases.holder_of(&target.id).map(|(_, held)| held);
            let original = own.or(other).map_or(&target, |held| &held.target).clone();
            let held = |method| room_target(&original, memory_bytes, method);
            match claim(&now, own, other) {
                Claim::Take if !is_known_start(&now.started_at) => {
                    // A journal tells a container from its next incarnation by nothing else.
                    let text = format!("`{name}` is left alone: the engine does not say when it was started");
                    self.shortfall_few(&mut few, text, Some("leave it out with --keep".to_owned()));
                }
                Claim::Take => {
                    let announced = own.is_some();
                    let why_never_stopped = why_never_stopped(&listed, &now, |_| true);
                    let task_of = swarm::service_of(&listed).map(str::to_owned);
                    candidates.push(Candidate { target, memory_bytes, now, why_never_stopped, task_of, announced });
                }
                Claim::Ours(method) => {
                    taken.joined.push(held(method));
                    self.record(journal, &Record::Taken { id: target.id, unknown: None });
                    taken.reclaimable.push(pid_and_id);
                }
                Claim::Join(method) => {
                    let held = held(method);
                    let original = other.map_or(target, |held| held.target.clone());
                    self.mark_held();
                    // Not recorded, it is the other lease's alone, which brings it back when that ends.
                    match journal.announce(&Record::Joined { target: original, method }) {
                        Ok(()) => taken.joined.push(held),
                        Err(error) => self.note(Note::new(Level::Warning, format!("`{name}` is not shared: {error}"))),
                    }
                }
                Claim::PausedByOther => self.note(Note::new(Level::Info, format!("`{name}` was paused by somebody else and stays so"))),
                Claim::NotRunning => self.note(Note::new(Level::Detail, format!("`{name}` does not run"))),
            }
        }
        self.note_rest(&few, Level::Warning);
        let with_methods = self.methods(candidates, sizes, measured);
        taken.candidates = self.services_for_tasks(engine, journal.state(), with_methods).await;
        taken
    }

    /// `sizes` is the host before swap was made, with the targets; `measured` after it.
    fn methods(&self, candidates: Vec<Candidate>, sizes: Option<&Measured>, measured: Option<&Measured>) -> Vec<(Candidate, Method)> {
        let memory = measured.and_then(|measured| measured.memory);
        let facts = MethodFacts {
            wish: self.request.method,
            no_reclaim: self.request.no_reclaim,
            swap_free_bytes: memory.map_or(0, |memory| memory.swap_free_bytes),
            targets_bytes: sizes.and_then(|sizes| sizes.sum_bytes(candidates.iter().map(|candidate| candidate.target.id.as_str()))),
        };
        let mut few = Few::default();
        let mut with_method = |candidate: Candidate| {
            let method = method(facts, candidate.memory_bytes, candidate.why_never_stopped.is_none());
            if let (MethodWish::Stop, Some(why)) = (self.request.method, candidate.why_never_stopped) {
                let name = text::printable(&candidate.target.name);
                self.note_few(&mut few, Note::new(Level::Warning, format!("`{name}` is paused and not stopped: {why}")));
            }
            (candidate, method)
        };
        let all = candidates.into_iter().map(&mut with_method).collect();
        self.note_rest(&few, Level::Warning);
        all
    }

    pub(super) async fn take_all(&self, engine: &Engine, journal: &mut Journal, mut taken: Taken, room: &mut Room) -> Taken {
        let candidates = std::mem::take(&mut taken.candidates);
        let intent = |(candidate, method): &(Candidate, Method)| Record::Taking { target: candidate.target.clone(), method: *method };
        let intents: Vec<_> = candidates.iter().map(intent).collect();
        let total = candidates.len();
        if !intents.is_empty() && !self.cancel.is_said() {
            self.mark_held();
            if let Err(error) = journal.intend(&intents) {
                self.shortfall(format!("no container is paused: {error}"), None);
            } else {
                let taking = candidates.into_iter().map(|(candidate, method)| self.take(engine, candidate, method));
                let mut results = stream::iter(taking).buffer_unordered(at_once());
                let (mut done, mut few) = (0, Few::default());
                (self.tell)(FromKeeper::Progress { phase: Phase::Pausing, done, total });
                let patience = self.cancel.patience();
                tokio::pin!(patience);
                // What is not known after the patience stays announced in the journal: restoring looks at it.
                while let Some((candidate, method, result)) =
                    tokio::select! { result = results.next() => result, () = &mut patience => None }
                {
                    done += 1;
                    (self.tell)(FromKeeper::Progress { phase: Phase::Pausing, done, total });
                    let is_taken = result.is_ok();
                    let outcome = self.outcome(&candidate, method, result, &mut few);
                    self.record(journal, &outcome);
                    if is_taken {
                        *(if method == Method::Pause { &mut room.paused } else { &mut room.stopped }) += 1;
                        taken.reclaimable.extend((method == Method::Pause).then(|| pid_and_id(&candidate)));
                        room.targets.push(room_target(&candidate.target, candidate.memory_bytes, method));
                    }
                }
                self.note_rest(&few, Level::Warning);
            }
        }
        room.joined = taken.joined.len();
        room.paused += taken.joined.iter().filter(|target| target.method == Method::Pause).count();
        room.stopped += taken.joined.iter().filter(|target| target.method == Method::Stop).count();
        room.targets.append(&mut taken.joined);
        taken
    }

    async fn take(&self, engine: &Engine, candidate: Candidate, method: Method) -> (Candidate, Method, Result<(), NotTaken>) {
        let result = if self.cancel.is_said() {
            Err(NotTaken::Cancelled)
        } else {
            let id = &candidate.target.id;
            let act = match method {
                Method::Pause => self.pause(engine, id).await,
                Method::Stop => match &candidate.target.swarm {
                    Some(scaled) => engine.scale_to_zero(id, scaled, self.request.stop_timeout).await,
                    None => engine.stop(id, self.request.stop_timeout).await,
                },
            };
            act.map_err(NotTaken::Engine)
        };
        (candidate, method, result)
    }

    /// A busy machine's freezer is asked again.
    async fn pause(&self, engine: &Engine, id: &str) -> Result<(), EngineError> {
        for pause in BUSY_RETRY {
            match engine.pause(id).await {
                Err(error) if error.is_freezer_busy() && !self.cancel.is_said() => tokio::time::sleep(pause).await,
                done => return done,
            }
        }
        engine.pause(id).await
    }

    fn outcome(&self, candidate: &Candidate, method: Method, result: Result<(), NotTaken>, few: &mut Few) -> Record {
        let id = candidate.target.id.clone();
        let error = match result {
            Ok(()) => return Record::Taken { id, unknown: None },
            Err(NotTaken::Cancelled) => return Record::NotTaken { id, reason: "cancelled".to_owned() },
            Err(NotTaken::Engine(error)) => error,
        };
        let verb = if method == Method::Pause { "pause" } else { "stop" };
        let reason = text::printable(&error.to_string());
        // Paused already, by the late call of a keeper before this one: ours all the same.
        if candidate.announced && error.is_conflict() {
            return Record::Taken { id, unknown: Some(reason) };
        }
        if !error.is_not_found() {
            let hint = "wait until it is up, or leave it out with --keep".to_owned();
            self.shortfall_few(few, format!("cannot {verb} `{}`: {reason}", text::printable(&candidate.target.name)), Some(hint));
        }
        if error.is_outcome_unknown() { Record::Taken { id, unknown: Some(reason) } } else { Record::NotTaken { id, reason } }
    }
}

/// An engine that does not say when it was started may have been asked in the middle of that.
async fn inspect(engine: &Engine, id: &str) -> Result<Inspected, EngineError> {
    let now = engine.inspect(id).await?;
    if is_known_start(&now.started_at) || now.activity == Activity::Stopped { Ok(now) } else { engine.inspect(id).await }
}

enum NotTaken {
    Cancelled,
    Engine(EngineError),
}

fn pid_and_id(candidate: &Candidate) -> PidAndId {
    (candidate.now.pid, candidate.target.id.clone())
}

fn room_target(target: &Target, memory_bytes: Option<u64>, method: Method) -> RoomTarget {
    RoomTarget { name: target.name.clone(), id: target.id.clone(), method, memory_bytes, given_back_bytes: None }
}

fn target_of(listed: &Listed, now: &Inspected) -> Target {
    let label = |key: &str| listed.labels.get(key).cloned();
    Target {
        id: listed.id.clone(),
        name: listed.name().to_owned(),
        started_at: now.started_at.clone(),
        project: label(COMPOSE_PROJECT),
        service: label(COMPOSE_SERVICE),
        depends_on: label(COMPOSE_DEPENDS_ON).map(|value| order::depends_on(&value)).unwrap_or_default(),
        was_healthy: now.is_healthy,
        swarm: None,
    }
}
