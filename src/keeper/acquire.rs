//! Owns making room: recover what dead holders left, make sure of swap, take the targets, push
//! their memory out. Every change is in the journal, on disk, before it is made. Runs in the keeper.

use std::{
    cell::Cell,
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future, stream};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::{
    Tell,
    restore::{AT_ONCE, Restorer, recovered},
};
use crate::{
    core::{
        cgroup::Measured,
        claim::{Claim, claim},
        order,
        record::{Area, AreaGone, Opened, Record, Target, VERSION},
        selector::{COMPOSE_PROJECT, COMPOSE_SERVICE, Selector},
        swap as sums,
        target::{COMPOSE_DEPENDS_ON, Inspected, Listed, Method, MethodFacts, choose, comes_back, method},
        text,
        values::{MethodWish, Size, SwapWish},
        wire::{FromKeeper, Level, Note, Phase, Request, Room},
    },
    engine::{
        client::{Engine, EngineError},
        endpoint::{self, Surroundings, Wish},
    },
    host::{
        container::own_container,
        reclaim::{self, PidAndId},
        shell::{Shell, ShellError},
        swap,
    },
    lease::{
        journal::{Journal, JournalError},
        leases::Leases,
        state_dir::StateDir,
    },
};

/// Another makeroom that makes or gives back room is done within moments, or stuck.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// Calls under way get this long when the run is cancelled; what is not known then is looked at again.
const CANCEL_PATIENCE: Duration = Duration::from_millis(1500);

/// Says that room is no longer wanted. Acts under way are finished, no new one is begun.
#[derive(Debug, Default)]
pub struct Cancel {
    said: Cell<bool>,
    wake: Notify,
}

impl Cancel {
    /// Says it.
    pub fn say(&self) {
        self.said.set(true);
        self.wake.notify_waiters();
    }

    fn is_said(&self) -> bool {
        self.said.get()
    }

    async fn wait(&self) {
        let woken = self.wake.notified();
        if !self.is_said() {
            woken.await;
        }
    }
}

/// How making room ended.
#[derive(Debug)]
pub enum Acquired {
    /// As well as it could be.
    Room(Room),
    /// The lease around this run has all that is asked for.
    Covered,
    /// A started lease of this name is held already.
    HeldAlready(String),
}

/// What making room needs.
pub struct Acquirer<'a> {
    /// What is asked for.
    pub request: &'a Request,
    /// The state directory.
    pub state: &'a StateDir,
    /// The way to the host.
    pub shell: &'a Shell,
    /// Where progress and notes go.
    pub tell: Tell<'a>,
    /// Whether room is still wanted.
    pub cancel: &'a Cancel,
}

/// A container that is ours to take, as it is now.
struct Candidate {
    target: Target,
    now: Inspected,
    comes_back: bool,
    /// The keeper before this one announced it, and may have sent a call that comes late.
    announced: bool,
}

/// What the targets came to.
#[derive(Default)]
struct Taken {
    candidates: Vec<(Candidate, Method)>,
    joined: Vec<Method>,
    reclaimable: Vec<PidAndId>,
    names: HashMap<String, String>,
}

impl Acquirer<'_> {
    /// Makes room.
    pub async fn acquire(&self, journal: &mut Journal) -> Acquired {
        let begun = Instant::now();
        let mut room = Room::default();
        let lock = match self.state.lock_later(LOCK_PATIENCE).await {
            Ok(lock) => lock,
            Err(error) => {
                self.shortfall(error.to_string(), Some(error.hint()));
                return Acquired::Room(room);
            }
        };
        let mut leases = match Leases::look(self.state, &lock, Some(&self.request.lease)) {
            Ok(leases) => leases,
            Err(error) => {
                self.shortfall(format!("cannot list the leases: {error}"), None);
                return Acquired::Room(room);
            }
        };
        self.recover_the_dead(&mut leases).await;
        if let Some(lease) = self.held_already(&leases) {
            return Acquired::HeldAlready(lease);
        }
        let (found, measured) = future::join(self.look_at_engine(), self.measure(&[])).await;
        let (engine, listed) = found.unzip();
        if let Err(error) = self.open(journal, engine.as_ref().map(|(_, url)| url.clone())) {
            self.shortfall(format!("{error}; nothing is changed"), None);
            return Acquired::Room(room);
        }
        let chosen = self.choose(&listed.unwrap_or_default());
        if self.request.inside.as_ref().is_some_and(|lease| covers(&leases, lease, &chosen)) {
            return Acquired::Covered;
        }
        let measured = self.ensure_swap(journal, &leases, measured, &mut room).await;
        if let Some((engine, _)) = engine {
            let taken = self.claim_all(&engine, journal, &leases, chosen, measured.as_ref()).await;
            let taken = self.take_all(&engine, journal, taken, &mut room).await;
            drop((leases, lock));
            self.push_out(&taken, measured.as_ref(), &mut room).await;
        }
        room.took = begun.elapsed();
        Acquired::Room(room)
    }

    fn note(&self, note: Note) {
        (self.tell)(FromKeeper::Note(note));
    }

    fn shortfall(&self, text: String, hint: Option<String>) {
        self.note(Note { level: Level::Shortfall, text, hint });
    }

    /// An outcome that cannot be written changes nothing: restoring looks at what is.
    fn record(&self, journal: &mut Journal, record: &Record) {
        if let Err(error) = journal.note(record) {
            self.note(Note::new(Level::Warning, error.to_string()));
        }
    }

    async fn recover_the_dead(&self, leases: &mut Leases) {
        for error in &leases.unreadable {
            self.note(
                Note::new(Level::Warning, format!("{error}; it is left alone")).hint("`makeroom status` shows what it may still hold"),
            );
        }
        let restorer = Restorer { state: self.state, shell: self.shell, limit: self.request.restore_timeout, tell: self.tell };
        for journal in std::mem::take(&mut leases.dead) {
            if journal.state().is_empty() {
                restorer.recover(journal, leases).await;
                continue;
            }
            let state = journal.state().clone();
            let back = restorer.recover(journal, leases).await;
            self.note(recovered(&state, &back));
        }
    }

    fn held_already(&self, leases: &Leases) -> Option<String> {
        let name = self.request.started.as_ref()?.name.as_ref()?;
        let has_name = |opened: &Opened| opened.name.as_ref() == Some(name);
        leases.live.iter().find(|(_, state)| state.opened.as_ref().is_some_and(has_name)).map(|(lease, _)| lease.clone())
    }

    fn open(&self, journal: &mut Journal, engine: Option<String>) -> Result<(), JournalError> {
        if journal.state().opened.is_some() {
            return Ok(());
        }
        journal.note(&Record::Opened(Opened {
            version: VERSION,
            lease: self.request.lease.clone(),
            kind: self.request.kind(),
            name: self.request.started.as_ref().and_then(|started| started.name.clone()),
            program: self.request.program.clone(),
            engine,
            at: Timestamp::now(),
        }))
    }

    async fn look_at_engine(&self) -> Option<((Engine, String), Vec<Listed>)> {
        if self.request.pause.is_empty() {
            return None;
        }
        let wish = Wish { engine: self.request.engine.clone(), context: self.request.context.clone() };
        let endpoint = match endpoint::find(&wish, &Surroundings::of_this_process()) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                self.shortfall(format!("{error}; no container is paused"), Some("`docker context ls` shows what there is".to_owned()));
                return None;
            }
        };
        let listed = async {
            let engine = Engine::connect(&endpoint).await?;
            let listed = engine.list().await?;
            Ok::<_, EngineError>(((engine, endpoint.url()), listed))
        };
        listed.await.map_err(|error| self.shortfall(format!("{error}; no container is paused"), error.hint())).ok()
    }

    async fn measure(&self, targets: &[PidAndId]) -> Option<Measured> {
        if targets.is_empty() && self.request.swap == SwapWish::Off {
            return None;
        }
        let measured = reclaim::measure(self.shell, targets).await;
        measured.map_err(|error| self.shortfall(format!("cannot measure memory: {error}"), None)).ok()
    }

    fn choose(&self, listed: &[Listed]) -> Vec<Listed> {
        // Both were read once already, where the person's words could be answered with an error.
        let read = |texts: &[String]| texts.iter().filter_map(|text| text.parse::<Selector>().ok()).collect::<Vec<_>>();
        let choice = choose(listed, &read(&self.request.pause), &read(&self.request.keep));
        if !listed.is_empty() || !self.request.pause.is_empty() {
            for selector in choice.unmatched {
                self.note(Note::new(Level::Warning, format!("no container matches `{}`", text::printable(&selector))));
            }
        }
        let own = own_container();
        choice.chosen.into_iter().map(|index| listed[index].clone()).filter(|listed| own.as_ref() != Some(&listed.id)).collect()
    }

    /// Makes sure of swap; gives the host as it is afterwards.
    async fn ensure_swap(&self, journal: &mut Journal, leases: &Leases, before: Option<Measured>, room: &mut Room) -> Option<Measured> {
        let SwapWish::Free(wish) = self.request.swap else { return before };
        let measured = before?;
        self.join_areas(journal, leases, &measured);
        self.drop_unfinished_areas(journal, &measured).await;
        let Some(size_bytes) = measured.memory.and_then(|memory| sums::missing(wish.bytes, memory.swap_free_bytes)) else {
            return Some(measured);
        };
        if self.cancel.is_said() {
            return Some(measured);
        }
        if self.shell.root().await.is_none() {
            self.shortfall(
                "no swap is made: this needs root, or sudo that asks for no password".to_owned(),
                Some(by_hand(&self.request.swap_file, wish)),
            );
            return Some(measured);
        }
        let area = self.area(leases, size_bytes);
        if let Err(error) = journal.intend(&[Record::AreaMaking { area: area.clone() }]) {
            self.shortfall(format!("no swap is made: {error}"), None);
            return Some(measured);
        }
        match swap::make(self.shell, &area).await {
            Ok(()) => {
                room.swap_made_bytes = Some(area.size_bytes);
                self.record(journal, &Record::AreaMade { path: area.path });
                self.measure(&[]).await.or(Some(measured))
            }
            Err(error) => {
                if !matches!(error, swap::SwapError::Shell(ShellError::Silent { .. })) {
                    self.record(journal, &Record::AreaGone { path: area.path.clone(), how: AreaGone::AlreadySo });
                }
                let hint = "name another place with --swap-file PATH, a size with --swap SIZE, or --swap off";
                self.shortfall(format!("no swap is made at {}: {error}", text::printable(&area.path)), Some(hint.to_owned()));
                Some(measured)
            }
        }
    }

    /// What a keeper before this one had begun to make and did not finish.
    async fn drop_unfinished_areas(&self, journal: &mut Journal, measured: &Measured) {
        let is_active = |area: &Area| measured.swaps.iter().any(|swap| swap.path == area.path);
        let begun: Vec<Area> = journal.state().areas.values().map(|held| held.area.clone()).filter(|area| !is_active(area)).collect();
        for area in begun {
            if swap::remove(self.shell, &area).await.is_ok() {
                self.record(journal, &Record::AreaGone { path: area.path, how: AreaGone::AlreadySo });
            }
        }
    }

    /// What another live lease made and this one needs is removed by the last of them.
    fn join_areas(&self, journal: &mut Journal, leases: &Leases, measured: &Measured) {
        let others = leases.live.iter().flat_map(|(_, state)| state.areas.values());
        let active = |area: &Area| measured.swaps.iter().any(|swap| swap.path == area.path);
        let shared: Vec<Area> = others.filter(|held| !held.removing && active(&held.area)).map(|held| held.area.clone()).collect();
        for area in shared {
            if !journal.state().areas.contains_key(&area.path) {
                self.record(journal, &Record::AreaJoined { area });
            }
        }
    }

    fn area(&self, leases: &Leases, size_bytes: u64) -> Area {
        let label = swap::label_of(&self.request.lease);
        let wished = &self.request.swap_file;
        // A path that another lease has, even one on its way out, is not free yet.
        let is_taken = leases.live.iter().any(|(_, state)| state.areas.contains_key(wished)) || self.left_behind(wished);
        let path = if is_taken { format!("{wished}-{}", self.request.lease) } else { wished.clone() };
        Area { path, size_bytes, label }
    }

    /// An area whose removal failed, still in the journal of a lease without a holder.
    fn left_behind(&self, path: &str) -> bool {
        let journals = std::fs::read_dir(self.state.leases()).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        journals.filter(|journal| journal.extension().is_some_and(|extension| extension == "journal")).any(|journal| {
            let read = std::fs::read(&journal).ok().and_then(|bytes| crate::core::record::read(&bytes).ok());
            read.is_some_and(|state| state.areas.contains_key(path))
        })
    }

    async fn claim_all(
        &self,
        engine: &Engine,
        journal: &mut Journal,
        leases: &Leases,
        chosen: Vec<Listed>,
        measured: Option<&Measured>,
    ) -> Taken {
        let total = chosen.len();
        let inspecting = chosen.into_iter().map(|listed| async { (engine.inspect(&listed.id).await, listed) });
        let inspected: Vec<_> = stream::iter(inspecting).buffered(AT_ONCE).collect().await;
        let mut taken = Taken::default();
        let mut candidates = Vec::with_capacity(total);
        for (now, listed) in inspected {
            let now = match now {
                Ok(now) => now,
                // It went away since the list was made.
                Err(error) if error.is_not_found() => continue,
                Err(error) => {
                    self.shortfall(format!("cannot inspect `{}`: {error}", text::printable(listed.name())), None);
                    continue;
                }
            };
            let target = target_of(&listed, &now);
            let name = text::printable(&target.name);
            taken.names.insert(target.id.clone(), target.name.clone());
            let pid_and_id = (now.pid, target.id.clone());
            match claim(&now, journal.state().targets.get(&target.id), leases.holder_of(&target.id).map(|(_, held)| held)) {
                Claim::Take => {
                    let announced = journal.state().targets.contains_key(&target.id);
                    candidates.push(Candidate { target, comes_back: comes_back(&listed, &now), now, announced });
                }
                Claim::Ours(method) => {
                    self.record(journal, &Record::Taken { id: target.id, unknown: None });
                    taken.joined.push(method);
                    taken.reclaimable.push(pid_and_id);
                }
                Claim::Join(method) => {
                    let original = leases.holder_of(&target.id).map(|(_, held)| held.target.clone()).unwrap_or(target);
                    self.record(journal, &Record::Joined { target: original, method });
                    taken.joined.push(method);
                }
                Claim::PausedByOther => self.note(Note::new(Level::Info, format!("`{name}` was paused by somebody else and stays so"))),
                Claim::NotRunning => self.note(Note::new(Level::Detail, format!("`{name}` does not run"))),
            }
        }
        taken.candidates = self.methods(candidates, measured).await;
        taken
    }

    async fn methods(&self, candidates: Vec<Candidate>, measured: Option<&Measured>) -> Vec<(Candidate, Method)> {
        let is_open = self.request.method == MethodWish::Auto && !self.request.no_reclaim && !candidates.is_empty();
        let sizes = if is_open { self.measure(&candidates.iter().map(pid_and_id).collect::<Vec<_>>()).await } else { None };
        let memory = sizes.as_ref().or(measured).and_then(|measured| measured.memory);
        let facts = MethodFacts {
            wish: self.request.method,
            no_reclaim: self.request.no_reclaim,
            swap_free_bytes: memory.map_or(0, |memory| memory.swap_free_bytes),
            targets_bytes: sizes
                .as_ref()
                .and_then(|sizes| sizes.sum_bytes(candidates.iter().map(|candidate| candidate.target.id.as_str()))),
        };
        let with_method = |candidate: Candidate| {
            let own_bytes = sizes.as_ref().and_then(|sizes| Some(sizes.targets.get(&candidate.target.id)?.used_bytes));
            let method = method(facts, own_bytes, candidate.comes_back);
            (candidate, method)
        };
        candidates.into_iter().map(with_method).collect()
    }

    async fn take_all(&self, engine: &Engine, journal: &mut Journal, mut taken: Taken, room: &mut Room) -> Taken {
        let candidates = std::mem::take(&mut taken.candidates);
        let intent = |(candidate, method): &(Candidate, Method)| Record::Taking { target: candidate.target.clone(), method: *method };
        let intents: Vec<_> = candidates.iter().map(intent).collect();
        let total = candidates.len();
        if !intents.is_empty() && !self.cancel.is_said() {
            if let Err(error) = journal.intend(&intents) {
                self.shortfall(format!("no container is paused: {error}"), None);
            } else {
                let taking = candidates.into_iter().map(|(candidate, method)| self.take(engine, candidate, method));
                let mut results = stream::iter(taking).buffer_unordered(AT_ONCE);
                let mut done = 0;
                (self.tell)(FromKeeper::Progress { phase: Phase::Pausing, done, total });
                let patience = async {
                    self.cancel.wait().await;
                    tokio::time::sleep(CANCEL_PATIENCE).await;
                };
                tokio::pin!(patience);
                // What is not known after the patience stays announced in the journal: restoring looks at it.
                while let Some((candidate, method, result)) =
                    tokio::select! { result = results.next() => result, () = &mut patience => None }
                {
                    done += 1;
                    (self.tell)(FromKeeper::Progress { phase: Phase::Pausing, done, total });
                    let is_taken = result.is_ok();
                    self.record(journal, &self.outcome(&candidate, method, result));
                    if is_taken {
                        *(if method == Method::Pause { &mut room.paused } else { &mut room.stopped }) += 1;
                        taken.reclaimable.extend((method == Method::Pause).then(|| pid_and_id(&candidate)));
                    }
                }
            }
        }
        room.joined = taken.joined.len();
        room.paused += taken.joined.iter().filter(|method| **method == Method::Pause).count();
        room.stopped += taken.joined.iter().filter(|method| **method == Method::Stop).count();
        taken
    }

    async fn take(&self, engine: &Engine, candidate: Candidate, method: Method) -> (Candidate, Method, Result<(), NotTaken>) {
        let result = if self.cancel.is_said() {
            Err(NotTaken::Cancelled)
        } else {
            let id = &candidate.target.id;
            let act = match method {
                Method::Pause => engine.pause(id).await,
                Method::Stop => engine.stop(id, self.request.stop_timeout).await,
            };
            act.map_err(NotTaken::Engine)
        };
        (candidate, method, result)
    }

    fn outcome(&self, candidate: &Candidate, method: Method, result: Result<(), NotTaken>) -> Record {
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
            self.shortfall(format!("cannot {verb} `{}`: {reason}", text::printable(&candidate.target.name)), Some(hint));
        }
        if error.is_outcome_unknown() { Record::Taken { id, unknown: Some(reason) } } else { Record::NotTaken { id, reason } }
    }

    async fn push_out(&self, taken: &Taken, measured: Option<&Measured>, room: &mut Room) {
        let swap_free = |measured: &Measured| measured.memory.is_some_and(|memory| memory.swap_free_bytes > 0);
        let before = match measured {
            Some(measured) => Some(measured.clone()),
            None if taken.reclaimable.is_empty() || self.request.no_reclaim => None,
            // `--swap off` leaves swap as it is, and what is there is used.
            None => reclaim::measure(self.shell, &[]).await.ok(),
        };
        room.memory = before.as_ref().and_then(|measured| measured.memory);
        // Without swap a frozen container's memory has nowhere to go.
        if taken.reclaimable.is_empty() || self.request.no_reclaim || !before.as_ref().is_some_and(swap_free) || self.cancel.is_said() {
            return;
        }
        (self.tell)(FromKeeper::Progress { phase: Phase::Reclaiming, done: 0, total: taken.reclaimable.len() });
        let result = tokio::select! {
            result = reclaim::reclaim(self.shell, &taken.reclaimable) => result,
            () = self.cancel.wait() => return,
        };
        match result {
            Ok((given, after)) => {
                room.given_back_bytes = Some(given.bytes);
                room.available_change_bytes = given.available_change_bytes;
                room.memory = after.memory.or(room.memory);
                for (id, reason) in given.reluctant {
                    let name = text::printable(taken.names.get(&id).unwrap_or(&id));
                    self.note(Note::new(Level::Warning, format!("`{name}` gave back under half of its memory: {reason}")));
                }
            }
            Err(ShellError::NoRoot) => {
                let hint = "run makeroom as root, or allow it sudo without a password (`sudo visudo`)".to_owned();
                self.shortfall(
                    "the paused memory is not pushed out: this needs root, or sudo that asks for no password".to_owned(),
                    Some(hint),
                );
            }
            Err(error) => self.shortfall(format!("the paused memory is not pushed out: {error}"), None),
        }
    }
}

enum NotTaken {
    Cancelled,
    Engine(EngineError),
}

fn covers(leases: &Leases, lease: &str, chosen: &[Listed]) -> bool {
    let around = leases.live.iter().find(|(id, _)| id == lease);
    around.is_some_and(|(_, state)| chosen.iter().all(|listed| state.targets.contains_key(&listed.id)))
}

fn pid_and_id(candidate: &Candidate) -> PidAndId {
    (candidate.now.pid, candidate.target.id.clone())
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
    }
}

/// The commands that make the swap that makeroom may not make.
fn by_hand(path: &str, wish: Size) -> String {
    let path = text::shell_word(path);
    let dir = text::shell_word(&Path::new(&path).parent().unwrap_or(Path::new("/")).to_string_lossy());
    format!("sudo sh -c 'mkdir -p {dir} && fallocate -l {} {path} && chmod 600 {path} && mkswap {path} && swapon {path}'", wish.bytes)
}
