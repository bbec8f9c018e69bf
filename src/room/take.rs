//! Owns taking the targets: which of the chosen containers, by which method, all at once, each
//! intent on disk before its act. Runs in the keeper.

use std::{cell::Cell, collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, stream};

use crate::{
    core::{
        few::Few,
        lease::{
            claim::{Claim, claim},
            late_call::{Call, awaited},
            record::{Record, Target},
            start_order,
        },
        machine::cgroup::Measured,
        run::{
            note::{Level, Note, Phase},
            results::{Room, RoomTarget},
            wire::FromKeeper,
        },
        target::{
            choice::{
                Activity, COMPOSE_DEPENDS_ON, Inspected, Listed, Method, MethodFacts,
                is_known_start, method, why_never_stopped,
            },
            selector::{COMPOSE_PROJECT, COMPOSE_SERVICE},
            swarm,
        },
        text,
        values::MethodWish,
    },
    engine::client::{Engine, EngineError, PAUSE, STOP_MARGIN},
    host::{kernel::moment, reclaim::PidAndId},
    lease::{journal::Journal, leases::Leases},
    room::{make::Acquirer, restore::at_once},
};

/// Between two attempts to freeze what the kernel could not freeze; the runtime itself has tried
/// for a second or more.
const BUSY_RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// A container that may take for ever to stop (a stop timeout of -1) is waited for no longer; its
/// stop goes on.
const ENDLESS_STOP: Duration = Duration::from_mins(1);

/// A container that is ours to take, as it is now.
pub(crate) struct Candidate {
    pub(crate) target: Target,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) now: Inspected,
    /// It never comes back once it is stopped, and why.
    why_never_stopped: Option<&'static str>,
    /// The Swarm service that it is a task of.
    pub(crate) task_of: Option<String>,
    /// The keeper before this one announced it, and may have sent a call that comes late.
    pub(crate) announced: bool,
}

/// What the targets came to.
#[derive(Default)]
pub(crate) struct Taken {
    candidates: Vec<(Candidate, Method)>,
    joined: Vec<RoomTarget>,
    pub(crate) reclaimable: Vec<PidAndId>,
    pub(crate) names: HashMap<String, String>,
}

impl Acquirer<'_> {
    pub(crate) async fn claim_all(
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
        let (mut taken, at) = (Taken::default(), moment());
        let mut candidates = Vec::with_capacity(total);
        let mut few = Few::default();
        for (now, listed) in inspected {
            let now = match now {
                Ok(now) => now,
                // It went away since the list was made.
                Err(error) if error.is_not_found() => continue,
                Err(error) => {
                    self.shortfall_few(
                        &mut few,
                        format!("cannot inspect `{}`: {error}", text::printable(listed.name())),
                        None,
                    );
                    continue;
                }
            };
            let target = target_of(&listed, &now);
            let name = text::printable(&target.name);
            taken.names.insert(target.id.clone(), target.name.clone());
            let pid_and_id = (now.pid, target.id.clone());
            let memory_bytes =
                sizes.and_then(|sizes| Some(sizes.targets.get(&target.id)?.used_bytes));
            let own = journal.state().targets.get(&target.id);
            let other = leases.holder_of(&target.id).map(|(_, held)| held);
            let original = own.or(other).map_or(&target, |held| &held.target).clone();
            let held = |method| room_target(&original, memory_bytes, method);
            let late = leases.late_call(&target.id, at);
            match claim(&now, own, other, late.is_some()) {
                Claim::Take if !is_known_start(&now.started_at) => {
                    // A journal tells a container from its next incarnation by nothing else.
                    let text = format!(
                        "`{name}` is left alone: the engine does not say when it was started"
                    );
                    self.shortfall_few(&mut few, text, Some("leave it out with --keep".to_owned()));
                }
                Claim::Take => {
                    let announced = own.is_some();
                    let why_never_stopped = why_never_stopped(&listed, &now, |_| true);
                    let task_of = swarm::service_of(&listed).map(str::to_owned);
                    candidates.push(Candidate {
                        target,
                        memory_bytes,
                        now,
                        why_never_stopped,
                        task_of,
                        announced,
                    });
                }
                Claim::Ours(method) => {
                    taken.joined.push(held(method));
                    self.record(
                        journal,
                        &Record::Taken { id: target.id, unknown: None, call: None },
                    );
                    taken.reclaimable.push(pid_and_id);
                }
                Claim::Join(method) => {
                    let held = held(method);
                    let original = other.map_or(target, |held| held.target.clone());
                    self.mark_held();
                    // Not recorded, it is the other lease's alone, which brings it back when that
                    // ends.
                    match journal.announce(&Record::Joined { target: original, method }) {
                        Ok(()) => taken.joined.push(held),
                        Err(error) => self.note(Note::new(
                            Level::Warning,
                            format!("`{name}` is not shared: {error}"),
                        )),
                    }
                }
                Claim::Awaited => {
                    let why = awaited(late.as_slice()).unwrap_or_default();
                    self.note(Note::new(
                        Level::Warning,
                        format!("{why}, by another run: it is left to that one"),
                    ));
                }
                Claim::PausedByOther => self.note(Note::new(
                    Level::Info,
                    format!("`{name}` was paused by somebody else and stays so"),
                )),
                Claim::NotRunning => {
                    self.note(Note::new(Level::Detail, format!("`{name}` does not run")))
                }
            }
        }
        self.note_rest(&few, Level::Warning);
        let with_methods = self.methods(candidates, sizes, measured);
        taken.candidates = self.services_for_tasks(engine, journal.state(), with_methods).await;
        taken
    }

    /// `sizes` is the host before swap was made, with the targets; `measured` after it.
    fn methods(
        &self,
        candidates: Vec<Candidate>,
        sizes: Option<&Measured>,
        measured: Option<&Measured>,
    ) -> Vec<(Candidate, Method)> {
        let memory = measured.and_then(|measured| measured.memory);
        let facts = MethodFacts {
            wish: self.request.settings.method,
            no_reclaim: self.request.settings.no_reclaim,
            swap_free_bytes: memory.map_or(0, |memory| memory.swap_free_bytes),
            targets_bytes: sizes.and_then(|sizes| {
                sizes.sum_bytes(candidates.iter().map(|candidate| candidate.target.id.as_str()))
            }),
        };
        let mut few = Few::default();
        let mut with_method = |candidate: Candidate| {
            let method =
                method(facts, candidate.memory_bytes, candidate.why_never_stopped.is_none());
            if let (MethodWish::Stop, Some(why)) =
                (self.request.settings.method, candidate.why_never_stopped)
            {
                let name = text::printable(&candidate.target.name);
                self.note_few(
                    &mut few,
                    Note::new(Level::Warning, format!("`{name}` is paused and not stopped: {why}")),
                );
            }
            (candidate, method)
        };
        let all = candidates.into_iter().map(&mut with_method).collect();
        self.note_rest(&few, Level::Warning);
        all
    }

    pub(crate) async fn take_all(
        &self,
        engine: &Engine,
        journal: &mut Journal,
        mut taken: Taken,
        room: &mut Room,
    ) -> Taken {
        let candidates = std::mem::take(&mut taken.candidates);
        let (at, at_once, longest) = (
            moment(),
            at_once(),
            candidates.iter().map(|(one, method)| self.waits_for(one, *method)).max(),
        );
        let intent = |(index, (candidate, method)): (usize, &(Candidate, Method))| {
            // So many rounds of calls come first.
            let behind = longest
                .unwrap_or_default()
                .saturating_mul(u32::try_from(index / at_once).unwrap_or(u32::MAX));
            let call = match method {
                Method::Pause => Call::pause(at, behind),
                Method::Stop => Call::stop(at, self.stop_patience(candidate), behind),
            };
            Record::Taking { target: candidate.target.clone(), method: *method, call: Some(call) }
        };
        let intents: Vec<_> = candidates.iter().enumerate().map(intent).collect();
        let total = candidates.len();
        if !intents.is_empty() && !self.cancel.is_said() {
            self.mark_held();
            if let Err(error) = journal.intend(&intents) {
                self.shortfall(format!("no container is paused: {error}"), None);
            } else {
                let is_begun: Vec<_> = candidates
                    .iter()
                    .map(|(one, _)| (one.target.id.clone(), Cell::new(false)))
                    .collect();
                let taking = candidates.into_iter().zip(&is_begun).map(
                    |((candidate, method), (_, is_begun))| async move {
                        is_begun.set(true);
                        self.take(engine, candidate, method).await
                    },
                );
                let mut results = stream::iter(taking).buffer_unordered(at_once);
                let (mut done, mut few) = (0, Few::default());
                (self.tell)(FromKeeper::Progress { phase: Phase::Pausing, done, total });
                let patience = self.cancel.patience();
                tokio::pin!(patience);
                // What is not known after the patience stays announced in the journal, and its call
                // goes on: restoring looks at it.
                while let Some((candidate, method, result)) =
                    tokio::select! { result = results.next() => result, () = &mut patience => None }
                {
                    done += 1;
                    (self.tell)(FromKeeper::Progress { phase: Phase::Pausing, done, total });
                    let is_taken = result.is_ok();
                    let outcome = self.outcome(&candidate, method, result, &mut few);
                    self.record(journal, &outcome);
                    if is_taken {
                        *(if method == Method::Pause {
                            &mut room.paused
                        } else {
                            &mut room.stopped
                        }) += 1;
                        taken
                            .reclaimable
                            .extend((method == Method::Pause).then(|| pid_and_id(&candidate)));
                        room.targets.push(room_target(
                            &candidate.target,
                            candidate.memory_bytes,
                            method,
                        ));
                    }
                }
                drop(results);
                for (id, _) in is_begun.into_iter().filter(|(_, is_begun)| !is_begun.get()) {
                    self.record(journal, &Record::NotTaken { id, reason: CANCELLED.to_owned() });
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

    async fn take(
        &self,
        engine: &Engine,
        candidate: Candidate,
        method: Method,
    ) -> (Candidate, Method, Result<(), NotTaken>) {
        let result = if self.cancel.is_said() {
            Err(NotTaken::Cancelled)
        } else {
            let id = &candidate.target.id;
            let act = match method {
                Method::Pause => self.pause(engine, id).await,
                Method::Stop => match &candidate.target.swarm {
                    Some(scaled) => {
                        engine.scale_to_zero(id, scaled, self.request.settings.stop_timeout).await
                    }
                    None => self.stop(engine, &candidate).await,
                },
            };
            act.map_err(NotTaken::Engine)
        };
        (candidate, method, result)
    }

    /// A busy machine's freezer is asked again.
    async fn pause(&self, engine: &Engine, id: &str) -> Result<(), EngineError> {
        for pause in BUSY_RETRY.map(Some).into_iter().chain([None]) {
            let (engine, own) = (engine.clone(), id.to_owned());
            let done = self.send(id, PAUSE, async move { engine.pause(&own).await }).await;
            match (done, pause) {
                (Err(error), Some(pause)) if error.is_freezer_busy() && !self.cancel.is_said() => {
                    tokio::time::sleep(pause).await
                }
                (done, _) => return done,
            }
        }
        Ok(())
    }

    async fn stop(&self, engine: &Engine, candidate: &Candidate) -> Result<(), EngineError> {
        let (engine, id, patience) =
            (engine.clone(), candidate.target.id.clone(), self.request.settings.stop_timeout);
        let limit = self.waits_for(candidate, Method::Stop);
        self.send(&candidate.target.id, limit, async move { engine.stop(&id, patience).await })
            .await
    }

    /// Sends a call and waits so long for its answer; it goes on after that.
    async fn send(
        &self,
        id: &str,
        limit: Duration,
        call: impl Future<Output = Result<(), EngineError>> + Send + 'static,
    ) -> Result<(), EngineError> {
        match tokio::time::timeout(limit, self.machine.calls.send(id, call)).await {
            Ok(answered) => answered.unwrap_or_else(|_| {
                Err(EngineError::Lost { cause: "the call was given up".to_owned() })
            }),
            Err(_) => Err(EngineError::Silent { after: limit }),
        }
    }

    /// How long the container is given to stop; `None`: for ever.
    fn stop_patience(&self, candidate: &Candidate) -> Option<Duration> {
        self.request.settings.stop_timeout.or(candidate.now.stop_patience)
    }

    /// How long the answer to its call is waited for.
    fn waits_for(&self, candidate: &Candidate, method: Method) -> Duration {
        match method {
            Method::Pause => PAUSE,
            Method::Stop => {
                self.stop_patience(candidate).unwrap_or(ENDLESS_STOP).saturating_add(STOP_MARGIN)
            }
        }
    }

    fn outcome(
        &self,
        candidate: &Candidate,
        method: Method,
        result: Result<(), NotTaken>,
        few: &mut Few,
    ) -> Record {
        let id = candidate.target.id.clone();
        let error = match result {
            Ok(()) => return Record::Taken { id, unknown: None, call: None },
            Err(NotTaken::Cancelled) => {
                return Record::NotTaken { id, reason: CANCELLED.to_owned() };
            }
            Err(NotTaken::Engine(error)) => error,
        };
        let verb = if method == Method::Pause { "pause" } else { "stop" };
        let reason = text::printable(&error.to_string());
        // Paused already, by the late call of a keeper before this one: ours all the same.
        if candidate.announced && error.is_conflict() {
            return Record::Taken { id, unknown: Some(reason), call: Some(Call::over(moment())) };
        }
        if !error.is_not_found() {
            let hint = "wait until it is up, or leave it out with --keep".to_owned();
            self.shortfall_few(
                few,
                format!("cannot {verb} `{}`: {reason}", text::printable(&candidate.target.name)),
                Some(hint),
            );
        }
        if !error.is_outcome_unknown() {
            return Record::NotTaken { id, reason };
        }
        // One that is not answered is under way still; of the others this much may be left.
        let is_short = match &error {
            EngineError::Silent { .. } | EngineError::TasksStay { .. } => false,
            EngineError::Lost { .. } => method == Method::Pause,
            _ => true,
        };
        Record::Taken { id, unknown: Some(reason), call: is_short.then(|| Call::broken(moment())) }
    }
}

/// An engine that does not say when it was started may have been asked in the middle of that.
async fn inspect(engine: &Engine, id: &str) -> Result<Inspected, EngineError> {
    let now = engine.inspect(id).await?;
    if is_known_start(&now.started_at) || now.activity == Activity::Stopped {
        Ok(now)
    } else {
        engine.inspect(id).await
    }
}
/// Why an announced target was not taken, in the journal.
const CANCELLED: &str = "cancelled";

enum NotTaken {
    Cancelled,
    Engine(EngineError),
}

fn pid_and_id(candidate: &Candidate) -> PidAndId {
    (candidate.now.pid, candidate.target.id.clone())
}

fn room_target(target: &Target, memory_bytes: Option<u64>, method: Method) -> RoomTarget {
    RoomTarget {
        name: target.name.clone(),
        id: target.id.clone(),
        method,
        memory_bytes,
        given_back_bytes: None,
    }
}

fn target_of(listed: &Listed, now: &Inspected) -> Target {
    let label = |key: &str| listed.labels.get(key).cloned();
    Target {
        id: listed.id.clone(),
        name: listed.name().to_owned(),
        started_at: now.started_at.clone(),
        project: label(COMPOSE_PROJECT),
        service: label(COMPOSE_SERVICE),
        depends_on: label(COMPOSE_DEPENDS_ON)
            .map(|value| start_order::depends_on(&value))
            .unwrap_or_default(),
        was_healthy: now.is_healthy,
        swarm: None,
    }
}
