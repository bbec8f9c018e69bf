//! Owns the view over all leases of a state directory, and their ids.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{
    journal::{Journal, JournalError, Looked},
    state_dir::{StateDir, StateLock},
};
use jiff::Timestamp;

use crate::core::{call::LateCall, record::LeaseState, route::Prefix};

/// Everything that is recorded in a state directory.
#[derive(Debug, Default)]
pub struct Leases {
    /// Leases whose holder lives, other than the one that asks.
    pub live: Vec<(String, LeaseState)>,
    /// Leases whose holder is dead, locked by us now.
    pub dead: Vec<Journal>,
    /// Journals that cannot be read: kept, said loudly, left alone.
    pub unreadable: Vec<JournalError>,
}

impl Leases {
    /// Looks at all leases except `own`. Needs the lock, so that no two look at once.
    ///
    /// # Errors
    /// Where the directory cannot be listed.
    pub fn look(state: &StateDir, _lock: &StateLock, own: Option<&str>) -> io::Result<Self> {
        let mut found = Self::default();
        for path in journals(&state.leases())? {
            let lease = id_of(&path);
            if own == Some(lease.as_str()) {
                continue;
            }
            match Journal::look(&path) {
                Ok(Looked::Dead(journal)) => found.dead.push(*journal),
                Ok(Looked::Live(state)) => found.live.push((lease, *state)),
                Ok(Looked::Gone) => {}
                Err(error) => found.unreadable.push(error),
            }
        }
        Ok(found)
    }

    /// Looks at the live leases except `own` without the lock, which somebody else does not let go.
    ///
    /// # Errors
    /// Where the directory cannot be listed.
    pub fn peek(state: &StateDir, own: &str) -> io::Result<Self> {
        let mut found = Self::default();
        for path in journals(&state.leases())? {
            let lease = id_of(&path);
            if lease == own {
                continue;
            }
            match Journal::peek(&path) {
                Ok(state) => found.live.extend(state.map(|state| (lease, state))),
                Err(error) => found.unreadable.push(error),
            }
        }
        Ok(found)
    }

    /// The live leases that keep what they have. One whose release has begun is giving it back: nothing of it can be
    /// shared, and nothing be left to it.
    pub fn holding(&self) -> impl Iterator<Item = &(String, LeaseState)> {
        self.live.iter().filter(|(_, state)| !state.is_releasing())
    }

    /// The live lease that holds this container, with what it knows of it.
    #[must_use]
    pub fn holder_of(&self, container: &str) -> Option<(&str, &crate::core::record::HeldTarget)> {
        self.holding().find_map(|(lease, state)| Some((lease.as_str(), state.targets.get(container)?)))
    }

    /// The call of any other lease, whatever becomes of it, that may still pause or stop this container after this moment.
    #[must_use]
    pub fn late_call(&self, container: &str, now: Timestamp) -> Option<LateCall> {
        let states = self.live.iter().map(|(_, state)| state).chain(self.dead.iter().map(Journal::state));
        states.flat_map(|state| state.late_calls(now)).find(|call| call.id == container)
    }

    /// The leases that keep what they have on this host; `None` is this machine. The same path is another area elsewhere.
    pub fn on_host(&self, host: Option<&Prefix>) -> impl Iterator<Item = &(String, LeaseState)> {
        self.holding().filter(move |(_, state)| state.host() == host)
    }

    /// The live lease that needs this area of this host.
    #[must_use]
    pub fn holder_of_area(&self, path: &str, host: Option<&Prefix>) -> Option<&str> {
        let needs = |state: &LeaseState| state.areas.get(path).is_some_and(|held| !held.removing);
        self.on_host(host).find(|(_, state)| needs(state)).map(|(lease, _)| lease.as_str())
    }
}

/// A new lease's id: twelve hexadecimal digits, random, so that two machines' logs can be told apart.
///
/// # Errors
/// Where the kernel gives no random numbers.
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

/// The journals of a state directory, whoever holds them.
///
/// # Errors
/// Where the directory cannot be listed.
pub fn journals(leases: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = fs::read_dir(leases)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "journal"));
    paths.sort();
    Ok(paths)
}
