//! Owns the view over all leases of a state directory, and their ids.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    core::{
        lease::{
            late_call::{LateCall, Moment},
            state::LeaseState,
        },
        machine::way::Way,
    },
    lease::{
        dir::Dir,
        journal::{Journal, Looked},
        journal_error::JournalError,
        state_dir::{StateDir, StateLock},
    },
};

/// Everything that is recorded in a state directory.
#[derive(Debug, Default)]
pub struct Leases {
    /// Leases whose holder lives, except the caller's own.
    pub live: Vec<(String, LeaseState)>,
    /// Leases whose holder is dead, locked by us now.
    pub dead: Vec<Journal>,
    /// Journals that cannot be used at all: they are kept, reported loudly, and left alone.
    pub unreadable: Vec<JournalError>,
}

impl Leases {
    /// Looks at all leases except `own`. Needs the lock, so that no two processes look at once.
    ///
    /// # Errors
    /// Where the directory cannot be listed.
    pub fn look(
        state: &StateDir,
        _lock: &StateLock,
        own: Option<&str>,
    ) -> Result<Self, JournalError> {
        let mut found = Self::default();
        for lease in ids(state.leases())?.into_iter().filter(|lease| own != Some(lease.as_str())) {
            match Journal::look(state, &lease) {
                Ok(Looked::Dead(journal)) => found.dead.push(*journal),
                Ok(Looked::Live(state)) => found.live.push((lease, *state)),
                Ok(Looked::Gone) => {}
                Err(error) => found.unreadable.push(error),
            }
        }
        Ok(found)
    }

    /// Looks at the live leases except `own` without the lock, because somebody else keeps that.
    ///
    /// # Errors
    /// Where the directory cannot be listed.
    pub fn peek(state: &StateDir, own: &str) -> Result<Self, JournalError> {
        let mut found = Self::default();
        for lease in ids(state.leases())?.into_iter().filter(|lease| lease != own) {
            match Journal::peek(state, &lease) {
                Ok(state) => found.live.extend(state.map(|state| (lease, state))),
                Err(error) => found.unreadable.push(error),
            }
        }
        Ok(found)
    }

    /// The result when nothing could be looked at.
    #[must_use]
    pub fn unseen(why: JournalError) -> Self {
        Self { unreadable: vec![why], ..Self::default() }
    }

    /// Why there may be leases that were not seen. Nobody knows what those hold, so nothing may be
    /// taken, handed over or removed.
    #[must_use]
    pub fn why_unseen(&self) -> Option<&JournalError> {
        self.unreadable.iter().find(|error| error.is_unseen())
    }

    /// The live leases that keep what they have. One whose release has begun is giving it back, so
    /// nothing can be shared with it or left to it.
    pub fn holding(&self) -> impl Iterator<Item = &(String, LeaseState)> {
        self.live.iter().filter(|(_, state)| !state.is_releasing())
    }

    /// The live lease that holds this container, and what it recorded of it.
    #[must_use]
    pub fn holder_of(
        &self,
        container: &str,
    ) -> Option<(&str, &crate::core::lease::state::HeldTarget)> {
        self.holding()
            .find_map(|(lease, state)| Some((lease.as_str(), state.targets.get(container)?)))
    }

    /// Tells whether any other lease, live or dead, has this target.
    #[must_use]
    pub fn has_target(&self, id: &str) -> bool {
        self.states().any(|state| state.targets.contains_key(id))
    }

    fn states(&self) -> impl Iterator<Item = &LeaseState> {
        self.live.iter().map(|(_, state)| state).chain(self.dead.iter().map(Journal::state))
    }

    /// Tells whether any other lease, live or dead, has this area on this host.
    #[must_use]
    pub fn has_area(&self, path: &str, host: Option<&Way>) -> bool {
        self.states().any(|state| state.host() == host && state.areas.contains_key(path))
    }

    /// The call of any other lease, live or dead, that may still pause or stop this container after
    /// this moment.
    #[must_use]
    pub fn late_call(&self, container: &str, now: Moment) -> Option<LateCall> {
        self.states().flat_map(|state| state.late_calls(now)).find(|call| call.id == container)
    }

    /// The leases that keep what they have on this host; `None` is this machine. On another host
    /// the same path is another area.
    pub fn on_host(&self, host: Option<&Way>) -> impl Iterator<Item = &(String, LeaseState)> {
        self.holding().filter(move |(_, state)| state.host() == host)
    }

    /// The live lease that needs this area on this host.
    #[must_use]
    pub fn holder_of_area(&self, path: &str, host: Option<&Way>) -> Option<&str> {
        let needs = |state: &LeaseState| state.areas.get(path).is_some_and(|held| !held.removing);
        self.on_host(host).find(|(_, state)| needs(state)).map(|(lease, _)| lease.as_str())
    }
}

/// Makes a new lease's id: twelve random hexadecimal digits, so that the logs of two machines can
/// be told apart.
///
/// # Errors
/// If the kernel gives no random numbers.
pub fn new_id() -> io::Result<String> {
    let mut bytes = [0_u8; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes[2..])?;
    Ok(format!("{:012x}", u64::from_be_bytes(bytes)))
}

/// The lease that a journal's file name names.
#[must_use]
pub fn id_of(journal: &Path) -> String {
    journal.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Lists the leases that have a journal in this directory, whoever holds them.
///
/// # Errors
/// Where the directory cannot be listed.
pub fn ids(leases: &Dir) -> Result<Vec<String>, JournalError> {
    let unseen = |source| JournalError::Unseen { path: leases.path().to_owned(), source };
    let names = leases.names().map_err(unseen)?;
    let mut ids: Vec<String> = names
        .iter()
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".journal")?.to_owned()))
        .collect();
    ids.sort();
    Ok(ids)
}

/// Lists the damaged journals that were set aside in this directory.
///
/// # Errors
/// Where the directory cannot be listed.
pub fn set_aside(leases: &Dir) -> Result<Vec<PathBuf>, JournalError> {
    let unseen = |source| JournalError::Unseen { path: leases.path().to_owned(), source };
    let mut names = leases.names().map_err(unseen)?;
    names.retain(|name| name.to_str().is_some_and(|name| name.ends_with(".damaged")));
    names.sort();
    Ok(names.iter().map(|name| leases.path_of(name)).collect())
}
