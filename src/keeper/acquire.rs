//! Owns the order of making room: recover what dead holders left, make sure of swap, take the
//! targets, push their memory out. Every change is in the journal, on disk, before it is made.
//! Runs in the keeper.

use std::time::{Duration, Instant};

use futures_util::future;
use jiff::Timestamp;

use super::{
    Tell,
    cancel::Cancel,
    restore::{Restorer, recovered},
    take::Taken,
};
use crate::{
    core::{
        cgroup::Measured,
        record::{Opened, Record, VERSION},
        selector::Selector,
        target::{Listed, choose},
        text,
        values::SwapWish,
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
    },
    lease::{
        journal::{Journal, JournalError},
        leases::Leases,
        state_dir::StateDir,
    },
};

/// Another makeroom that makes or gives back room is done within moments, or stuck.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

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

    pub(super) fn note(&self, note: Note) {
        (self.tell)(FromKeeper::Note(note));
    }

    pub(super) fn shortfall(&self, text: String, hint: Option<String>) {
        self.note(Note { level: Level::Shortfall, text, hint });
    }

    /// An outcome that cannot be written changes nothing: restoring looks at what is.
    pub(super) fn record(&self, journal: &mut Journal, record: &Record) {
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
        // Made anew after Ctrl-Z, with an engine that was not there before: restoring has to find it.
        if journal.state().opened.as_ref().is_some_and(|opened| opened.engine == engine) {
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

    pub(super) async fn measure(&self, targets: &[PidAndId]) -> Option<Measured> {
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

fn covers(leases: &Leases, lease: &str, chosen: &[Listed]) -> bool {
    let around = leases.live.iter().find(|(id, _)| id == lease);
    around.is_some_and(|(_, state)| chosen.iter().all(|listed| state.targets.contains_key(&listed.id)))
}
