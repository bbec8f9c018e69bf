//! Owns the order of making room: recover what dead holders left, make sure of swap, take the
//! targets, push their memory out. Every change is in the journal, on disk, before it is made.
//! Runs in the keeper.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::{
    core::{
        few::Few,
        lease::record::{Opened, Record, Target, VERSION},
        machine::{cgroup::Measured, memory::meminfo, route::Route},
        run::{
            note::{Level, Note, Phase},
            results::Room,
            wire::{FromKeeper, Request},
        },
        target::{
            choice::{Activity, Listed, choose},
            selector::Selector,
        },
        text,
        values::SwapWish,
    },
    engine::{
        client::{Engine, EngineError},
        endpoint::Endpoint,
    },
    host::{
        container::own_container,
        kernel::proc_file,
        reclaim::{self, PidAndId},
    },
    lease::{
        journal::{Journal, JournalError},
        leases::Leases,
        state_dir::{StateDir, StateLock},
    },
    room::{
        Tell,
        cancel::Cancel,
        machine::Machine,
        recover::{Effort, recover},
        restore::at_once,
        services::{scaled, with_scaled},
        take::Taken,
    },
};

/// Another makeroom that makes or gives back room is done within moments, or stuck.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// How making room ended.
#[derive(Debug)]
pub enum Acquired {
    /// As well as it could be.
    Room(Box<Room>),
    /// The lease around this run has all that is asked for.
    Covered,
    /// A started lease of this name is held already.
    HeldAlready(String),
    /// The started lease cannot be recorded, and is not held.
    NotRecorded,
}

/// What making room needs.
pub struct Acquirer<'a> {
    /// What is asked for.
    pub request: &'a Request,
    /// The state directory.
    pub state: &'a StateDir,
    /// The way to the engine and its host.
    pub machine: &'a Machine,
    /// Where progress and notes go.
    pub tell: Tell<'a>,
    /// Whether room is still wanted.
    pub cancel: &'a Cancel,
}

/// What was found at the engine.
pub(crate) struct Found {
    engine: Engine,
    pub(crate) chosen: Vec<Listed>,
    /// The chosen containers that run, or else one other that has processes: what shows which
    /// kernel they are on.
    running: Vec<PidAndId>,
}

impl Acquirer<'_> {
    /// Makes room.
    pub async fn acquire(&self, journal: &mut Journal) -> Acquired {
        let begun = Instant::now();
        let mut room = Room::default();
        let Some((leases, lock)) = self.others().await else { return self.unrecorded() };
        if let Some(lease) = self.held_already(&leases) {
            return Acquired::HeldAlready(lease);
        }
        let mut found = self.look_at_first(&scaled(journal.state(), &leases)).await;
        if let Some(found) = &mut found {
            // Made again after Ctrl-Z: what somebody else took from this lease meanwhile stays
            // theirs.
            found.chosen.retain(|listed| !journal.state().theirs.contains(&listed.id));
        }
        if let Err(error) = self.open(journal, found.is_some()) {
            self.shortfall(format!("{error}; nothing is changed"), None);
            return self.unrecorded();
        }
        let chosen = found.as_ref().map_or(&[][..], |found| &found.chosen);
        if self.request.inside.as_ref().is_some_and(|lease| self.is_covered(&leases, lease, chosen))
        {
            return Acquired::Covered;
        }
        let looked = self.look_at_host(found.as_ref()).await;
        room.host = self.machine.host().map(|host| host.prefix().name);
        room.need_bytes = self.request.need_bytes;
        room.available_before_bytes =
            looked.as_ref().and_then(|looked| Some(looked.memory?.available_bytes));
        let gap_bytes = self.gap_bytes(looked.as_ref());
        let found = match (found, &looked, gap_bytes) {
            (Some(found), Some(looked), Some(gap_bytes)) => {
                Some(self.only_enough(found, looked, gap_bytes, &leases).await)
            }
            (found, ..) => found,
        };
        let measured = self
            .ensure_swap(journal, &leases, looked.clone(), gap_bytes != Some(0), &mut room)
            .await;
        if let Some(found) = found {
            self.take_and_push_out(
                found,
                journal,
                (leases, lock),
                looked.as_ref(),
                measured.as_ref(),
                &mut room,
            )
            .await;
        } else {
            room.memory = measured.and_then(|measured| measured.memory);
        }
        self.open_to_others(journal, &room);
        room.took = begun.elapsed();
        self.tell_if_short(&room);
        Acquired::Room(Box::new(room))
    }

    /// A run goes on without room. A started lease that is not recorded would be held for ever:
    /// nobody could name it.
    fn unrecorded(&self) -> Acquired {
        if self.request.started.is_some() {
            Acquired::NotRecorded
        } else {
            Acquired::Room(Box::default())
        }
    }

    /// Takes the chosen targets and pushes their memory out. `sizes` is the host before swap was
    /// made, `measured` after it.
    pub(crate) async fn take_and_push_out(
        &self,
        found: Found,
        journal: &mut Journal,
        (leases, lock): (Leases, StateLock),
        sizes: Option<&Measured>,
        measured: Option<&Measured>,
        room: &mut Room,
    ) {
        let Found { engine, chosen, .. } = found;
        let taken = self.claim_all(&engine, journal, &leases, chosen, sizes, measured).await;
        let taken = self.take_all(&engine, journal, taken, room).await;
        room.memory = measured.and_then(|measured| measured.memory);
        self.carry_on(journal, &leases);
        // Whoever waits for the lock does not need the memory to be out.
        drop((leases, lock));
        if self.is_pushed_out(&taken, room) {
            self.push_out(&taken, room).await;
        }
    }

    pub(crate) fn note(&self, note: Note) {
        (self.tell)(FromKeeper::Note(note));
    }

    /// One of a kind of which there can be thousands; [`Self::note_rest`] ends them.
    pub(crate) fn note_few(&self, few: &mut Few, note: Note) {
        if few.may() {
            self.note(note);
        }
    }

    pub(crate) fn note_rest(&self, few: &Few, level: Level) {
        if let Some(text) = few.rest() {
            self.note(Note::new(level, text));
        }
    }

    pub(crate) fn shortfall(&self, text: String, hint: Option<String>) {
        self.note(Note { level: Level::Shortfall, text, hint });
    }

    /// The same for one of a kind, as [`Self::note_few`].
    pub(crate) fn shortfall_few(&self, few: &mut Few, text: String, hint: Option<String>) {
        self.note_few(few, Note { level: Level::Shortfall, text, hint });
    }

    /// An outcome that cannot be written changes nothing: restoring looks at what is.
    pub(crate) fn record(&self, journal: &mut Journal, record: &Record) {
        if let Err(error) = journal.note(record) {
            self.note(Note::new(Level::Warning, error.to_string()));
        }
    }

    /// The other leases, with the lock under which they stay so, once what dead holders left is put
    /// back. `None`, and said, where that cannot be had.
    async fn others(&self) -> Option<(Leases, StateLock)> {
        let (leases, lock) = self.look_at_leases().await?;
        let mut few = Few::default();
        for error in &leases.unreadable {
            let note = Note::new(Level::Warning, format!("{error}; it is left alone"));
            self.note_few(&mut few, note.hint("`makeroom status` shows what it may still hold"));
        }
        self.note_rest(&few, Level::Warning);
        if leases.dead.is_empty() {
            return Some((leases, lock));
        }
        recover(self.state, (leases, lock), Effort::Brief, None, self.tell).await;
        // What could not be put back stays dead, and is the next one's to try.
        self.look_at_leases().await
    }

    pub(crate) async fn look_at_leases(&self) -> Option<(Leases, StateLock)> {
        let lock = self.state.lock_later(LOCK_PATIENCE).await;
        let lock =
            lock.map_err(|error| self.shortfall(error.to_string(), Some(error.hint()))).ok()?;
        let leases = Leases::look(self.state, &lock, Some(&self.request.lease))
            .unwrap_or_else(Leases::unseen);
        // What another lease holds must not be taken for free.
        if let Some(error) = leases.why_unseen() {
            let text = format!(
                "{}; another lease may hold something: nothing is changed",
                text::printable(&error.to_string())
            );
            self.shortfall(
                text,
                Some(
                    "`makeroom status` shows what is held; `ulimit -n` how many files may be open"
                        .to_owned(),
                ),
            );
            return None;
        }
        Some((leases, lock))
    }

    fn held_already(&self, leases: &Leases) -> Option<String> {
        let name = self.request.started.as_ref()?.name.as_ref()?;
        let has_name = |opened: &Opened| opened.name.as_ref() == Some(name);
        leases
            .holding()
            .find(|(_, state)| state.opened.as_ref().is_some_and(has_name))
            .map(|(lease, _)| lease.clone())
    }

    pub(crate) fn open(&self, journal: &mut Journal, has_engine: bool) -> Result<(), JournalError> {
        let endpoint = self.machine.endpoint().ok().filter(|_| has_engine);
        let engine = endpoint.map(Endpoint::url);
        // Made anew after Ctrl-Z, with an engine that was not there before: restoring has to find
        // it.
        if journal
            .state()
            .opened
            .as_ref()
            .is_some_and(|opened| engine.is_none() || opened.engine == engine)
        {
            return Ok(());
        }
        journal.announce(&Record::Opened(Opened {
            version: VERSION,
            lease: self.request.lease.clone(),
            kind: self.request.kind(),
            name: self.request.started.as_ref().and_then(|started| started.name.clone()),
            program: self.request.program.clone(),
            engine,
            certificates: endpoint.and_then(|endpoint| {
                Some(endpoint.certificates.as_ref()?.to_string_lossy().into_owned())
            }),
            host: self.machine.host(),
            lingers_until: None,
            releasing: false,
            need_bytes: self.expected_bytes(),
            available_bytes: None,
            timeout: self.request.timeout,
            guard: self.request.settings.guard.clone(),
            at: Timestamp::now(),
        }))
    }

    /// Whether the lease around this run has all that this one asks for. A limit or steps of its
    /// own need a supervisor and a keeper of its own.
    fn is_covered(&self, leases: &Leases, around: &str, chosen: &[Listed]) -> bool {
        let Some((_, around)) =
            leases.holding().find(|(id, state)| id == around && state.is_of_a_build())
        else {
            return false;
        };
        around.opened.as_ref().is_some_and(|opened| {
            opened.sees_to(self.request.timeout, self.request.settings.guard.as_ref())
        }) && chosen.iter().all(|listed| around.targets.contains_key(&listed.id))
    }

    /// What the build takes of the host that room is made on: one in front of a VM takes nothing of
    /// it.
    fn expected_bytes(&self) -> Option<u64> {
        self.request
            .expected_bytes
            .filter(|_| self.request.builds_in_engine || self.machine.host().is_none())
    }

    /// Lets others know what all builds share, so that `--wait` can tell whether one more fits.
    fn open_to_others(&self, journal: &mut Journal, room: &Room) {
        let Some(opened) = journal.state().opened.clone() else { return };
        // Made again after Ctrl-Z, the build has its part of it already.
        if opened.need_bytes.is_none() || opened.available_bytes.is_some() {
            return;
        }
        let here = || {
            proc_file("/proc/meminfo")
                .and_then(|text| meminfo(&text))
                .filter(|_| self.machine.host().is_none())
        };
        let available_bytes = room.memory.or_else(here).map(|memory| memory.available_bytes);
        // Where that is not known there is nothing to reckon with.
        let need_bytes = opened.need_bytes.filter(|_| available_bytes.is_some());
        if let Err(error) =
            journal.announce(&Record::Opened(Opened { need_bytes, available_bytes, ..opened }))
        {
            self.note(Note::new(Level::Detail, error.to_string()));
        }
    }

    /// Looks at the engine before the build: also for steps that may be needed later. What is wrong
    /// with them is better known now than when memory is short.
    async fn look_at_first(&self, scaled: &[Target]) -> Option<Found> {
        let then = self.request.settings.guard.as_ref().map_or(&[][..], |guard| &guard.then);
        if self.request.settings.pause.is_empty() && then.is_empty() {
            return None;
        }
        let mut found =
            self.look_at_engine(&[&self.request.settings.pause[..], then].concat(), scaled).await?;
        let pause = &self.request.settings.pause;
        found.chosen.retain(|listed| {
            pause.iter().any(|selector| selector.matches(&listed.names, &listed.labels))
        });
        Some(found)
    }

    /// Looks for the containers that are meant by these selectors; `scaled` are the services that
    /// leases have scaled to 0.
    pub(crate) async fn look_at_engine(
        &self,
        selectors: &[Selector],
        scaled: &[Target],
    ) -> Option<Found> {
        if let Err(error) = self.machine.endpoint() {
            self.shortfall(
                format!("{error}; no container is paused"),
                Some("`docker context ls` shows what there is".to_owned()),
            );
            return None;
        }
        let found = async {
            let engine = self.machine.engine().await?;
            let listing = engine.list().await?;
            if let Some(text) = listing.warning() {
                self.note(Note::new(Level::Warning, text));
            }
            let listed = with_scaled(&engine, listing.containers, scaled).await;
            Ok::<_, EngineError>((engine, listed))
        };
        let (engine, listed) = found
            .await
            .map_err(|error| {
                self.shortfall(format!("{error}; no container is paused"), error.hint())
            })
            .ok()?;
        let chosen = self.choose(&listed, selectors);
        let runs = |listed: &&Listed| listed.activity == Activity::Running;
        let mut shown: Vec<&Listed> = chosen.iter().filter(runs).collect();
        if shown.is_empty() {
            // One that is taken already tells as much, and does not end in the meantime.
            let is_paused = |listed: &&Listed| listed.activity == Activity::Paused;
            shown.extend(chosen.iter().find(is_paused).or_else(|| listed.iter().find(runs)));
        }
        let running = pids(&engine, &shown).await;
        Some(Found { engine, chosen, running })
    }

    /// Looks at the host once, for all that is decided later. `None` where nothing can be made
    /// there.
    pub(crate) async fn look_at_host(&self, found: Option<&Found>) -> Option<Measured> {
        let wants_swap = self.request.settings.swap != SwapWish::Off;
        let wants_reclaim = !self.request.settings.no_reclaim
            && found.is_some_and(|found| !found.chosen.is_empty());
        // An engine that cannot be reached is in a VM that cannot be reached either, and that is
        // said already.
        let is_down = found.is_none()
            && !self.request.settings.pause.is_empty()
            && *self.machine.shell.route() != Route::Here;
        if is_down || !(wants_swap || wants_reclaim || self.request.need_bytes.is_some()) {
            return None;
        }
        let no_way = |why: &str| {
            let text = format!(
                "{why}: services are only paused or stopped, no swap is made and no memory is pushed out"
            );
            self.shortfall(text, Some("name a way into it with --vm-shell \"COMMAND\", or say --swap off --no-reclaim".to_owned()));
        };
        if let Route::NoWay { engine } = self.machine.shell.route() {
            no_way(&format!("no way into {} is known", text::printable(engine)));
            return None;
        }
        let running = found.map_or(&[][..], |found| &found.running);
        match self.cancel.or(reclaim::look(&self.machine.shell, running)).await? {
            Ok(measured) if measured.memory.is_none() => {
                let text = format!(
                    "the memory{} cannot be read (/proc/meminfo is hidden?): no swap is made and no memory is pushed out",
                    self.machine.shell.place()
                );
                self.shortfall(
                    text,
                    Some("run makeroom where /proc is whole (not mounted with subset=pid), or name the host with --vm-shell".to_owned()),
                );
                None
            }
            Ok(measured) => match measured.why_unseen(running.len()) {
                Some((why, _)) if !measured.is_hidden => {
                    no_way(why);
                    None
                }
                Some((why, hint)) => {
                    let text = format!(
                        "{why}: services are only paused or stopped, no swap is made and no memory is pushed out"
                    );
                    self.shortfall(text, Some(hint.to_owned()));
                    None
                }
                None => Some(measured),
            },
            Err(error) => {
                self.shortfall(
                    format!("cannot measure memory: {error}; no swap is made and no memory is pushed out"),
                    error.hint().map(str::to_owned),
                );
                None
            }
        }
    }

    fn choose(&self, listed: &[Listed], selectors: &[Selector]) -> Vec<Listed> {
        let choice = choose(listed, selectors, &self.request.settings.keep);
        let mut few = Few::default();
        for selector in choice.unmatched {
            self.note_few(
                &mut few,
                Note::new(
                    Level::Warning,
                    format!("no container matches `{}`", text::printable(&selector)),
                ),
            );
        }
        self.note_rest(&few, Level::Warning);
        let mut few = Few::default();
        for selector in choice.kept {
            let text = format!("--keep leaves nothing of `{}`", text::printable(&selector));
            self.note_few(&mut few, Note::new(Level::Info, text));
        }
        self.note_rest(&few, Level::Info);
        let own = own_container();
        choice
            .chosen
            .into_iter()
            .map(|index| listed[index].clone())
            .filter(|listed| own.as_ref() != Some(&listed.id))
            .collect()
    }

    fn is_pushed_out(&self, taken: &Taken, room: &Room) -> bool {
        // Without swap a frozen container's memory has nowhere to go.
        let has_swap = room.memory.is_some_and(|memory| memory.swap_free_bytes > 0);
        !taken.reclaimable.is_empty()
            && !self.request.settings.no_reclaim
            && has_swap
            && !self.cancel.is_said()
    }

    async fn push_out(&self, taken: &Taken, room: &mut Room) {
        (self.tell)(FromKeeper::Progress {
            phase: Phase::Reclaiming,
            done: 0,
            total: taken.reclaimable.len(),
        });
        let result = tokio::select! {
            result = reclaim::reclaim(&self.machine.shell, &taken.reclaimable) => result,
            () = self.cancel.wait() => return,
        };
        match result {
            Ok((given, after)) => {
                room.given_back_bytes = Some(given.bytes);
                for target in &mut room.targets {
                    target.given_back_bytes = given.by_target.get(&target.id).copied();
                }
                room.available_change_bytes = given.available_change_bytes;
                room.memory = after.memory.or(room.memory);
                let mut few = Few::default();
                for (id, reason) in given.reluctant {
                    let name = text::printable(taken.names.get(&id).unwrap_or(&id));
                    self.note_few(
                        &mut few,
                        Note::new(
                            Level::Warning,
                            format!("`{name}` gave back under half of its memory: {reason}"),
                        ),
                    );
                }
                self.note_rest(&few, Level::Warning);
            }
            Err(error) => {
                let hint = error.hint().map(str::to_owned);
                self.shortfall(format!("the paused memory is not pushed out: {error}"), hint);
            }
        }
    }
}

/// What the first processes of these containers are; one that went away since has none.
pub(crate) async fn pids(engine: &Engine, shown: &[&Listed]) -> Vec<PidAndId> {
    let inspecting = shown.iter().map(|listed| async {
        Some((engine.inspect(&listed.id).await.ok()?.pid, listed.id.clone()))
    });
    let inspected: Vec<_> = stream::iter(inspecting).buffered(at_once()).collect().await;
    inspected.into_iter().flatten().filter(|(pid, _)| *pid > 0).collect()
}
