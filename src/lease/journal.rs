//! Owns one lease's journal: its file, its lock and its appends. The file's lock is the lease:
//! one open file description, shared by supervisor and keeper, free only when both are gone.

use std::{
    fs::{File, TryLockError},
    io::{self, Write as _},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::fcntl::OFlag;
use tokio::sync::Notify;

use crate::{
    core::lease::{
        lines::{self, Unreadable},
        record::Record,
        state::LeaseState,
    },
    lease::{
        dir::{self, Dir},
        journal_error::JournalError,
        state_dir::StateDir,
    },
};

/// No journal that we wrote is larger: a run with thousands of targets needs a few megabytes.
pub const LARGEST_BYTES: u64 = 16 << 20;

/// A locked journal and what it says so far.
#[derive(Debug)]
pub struct Journal {
    state_dir: StateDir,
    name: String,
    path: PathBuf,
    file: File,
    state: LeaseState,
    end: u64,
    /// Its name is on disk and survives a power cut.
    is_named: bool,
    begun: Begun,
    /// The name of the records whose writing fails.
    #[cfg(test)]
    fails_on: Option<String>,
}

/// When a lease has something to put back for the first time.
#[derive(Clone, Debug, Default)]
pub struct Begun(Arc<Notify>);

impl Begun {
    /// Waits for it. Nothing is lost when this is dropped half-way.
    pub async fn wait(&self) {
        self.0.notified().await;
    }

    fn note(&self, state: &LeaseState) {
        if !state.is_empty() {
            self.0.notify_one();
        }
    }
}

/// What a look at a journal found.
#[derive(Debug)]
pub enum Looked {
    /// Nobody held it; it is locked by us now.
    Dead(Box<Journal>),
    /// Its holder lives.
    Live(Box<LeaseState>),
    /// It was released while we looked.
    Gone,
}

impl Journal {
    /// Creates and locks the journal of a new lease.
    ///
    /// # Errors
    /// The file's own error; nothing may be changed then.
    pub fn create(state_dir: &StateDir, lease: &str) -> Result<Self, JournalError> {
        let (leases, name) = (state_dir.leases(), name_of(lease));
        let path = leases.path_of(&name);
        let failed = |source| JournalError::Io { path: path.clone(), source };
        loop {
            let file = leases
                .open_file(&name, flags() | OFlag::O_CREAT | OFlag::O_EXCL)
                .map_err(failed)?;
            file.lock().map_err(failed)?;
            // A `recover` between the two can have found it unlocked and empty, and removed it.
            if is_still_at(&file, leases, &name).map_err(failed)? {
                let state_dir = state_dir.clone();
                return Ok(Self {
                    state_dir,
                    name,
                    path,
                    file,
                    state: LeaseState::default(),
                    end: 0,
                    is_named: false,
                    begun: Begun::default(),
                    #[cfg(test)]
                    fails_on: None,
                });
            }
        }
    }

    /// Takes over the journal that the keeper inherited with its lock.
    ///
    /// # Errors
    /// [`JournalError`] where it cannot be read.
    pub fn inherited(file: File, state_dir: &StateDir, lease: &str) -> Result<Self, JournalError> {
        let name = name_of(lease);
        dir::check_file(&file)
            .map_err(|source| JournalError::looking(state_dir.leases().path_of(&name), source))?;
        Self::read_in(file, state_dir, name)
    }

    /// Looks at a lease's journal: locks it if nobody holds it, else only reads it. The caller
    /// holds the lock of the state directory, so that no two processes look at once.
    ///
    /// # Errors
    /// [`JournalError`] where it cannot be read.
    pub fn look(state_dir: &StateDir, lease: &str) -> Result<Looked, JournalError> {
        let (leases, name) = (state_dir.leases(), name_of(lease));
        let failed = |source| JournalError::looking(leases.path_of(&name), source);
        let file = match leases.open_file(&name, flags()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Looked::Gone),
            opened => opened.map_err(failed)?,
        };
        match file.try_lock() {
            Ok(()) if !is_still_at(&file, leases, &name).map_err(failed)? => Ok(Looked::Gone),
            Ok(()) => Ok(Looked::Dead(Box::new(Self::read_in(file, state_dir, name)?))),
            Err(TryLockError::WouldBlock) => {
                Ok(Looked::Live(Box::new(read_all(&file, &leases.path_of(&name))?.0)))
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Reads a live holder's journal without the lock of the state directory; changes nothing and
    /// keeps no lock. `None` if its holder is dead, or it was released while we looked.
    ///
    /// # Errors
    /// [`JournalError`] where it cannot be read.
    pub fn peek(state_dir: &StateDir, lease: &str) -> Result<Option<LeaseState>, JournalError> {
        let (leases, name) = (state_dir.leases(), name_of(lease));
        let failed = |source| JournalError::looking(leases.path_of(&name), source);
        let file = match leases.open_file(&name, flags()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        // The lock is shared and released at once. Whoever looks under the state lock at this very
        // moment takes a dead holder for a live one, and leaves it to the next look.
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(read_all(&file, &leases.path_of(&name))?.0)),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Reads it again, because another process that shares it may have written to it; `None` if it
    /// was removed.
    ///
    /// # Errors
    /// [`JournalError`] where it cannot be read.
    pub fn reread(&self) -> Result<Option<LeaseState>, JournalError> {
        let failed = |source| JournalError::looking(self.path.clone(), source);
        let is_there =
            is_still_at(&self.file, self.state_dir.leases(), &self.name).map_err(failed)?;
        is_there.then(|| Ok(read_all(&self.file, &self.path)?.0)).transpose()
    }

    fn read_in(file: File, state_dir: &StateDir, name: String) -> Result<Self, JournalError> {
        let path = state_dir.leases().path_of(&name);
        let failed = |source| JournalError::Io { path: path.clone(), source };
        let (mut state, mut end) = read_all(&file, &path)?;
        // A lease with a socket had recorded something, so an empty journal is damaged.
        if state.opened.is_none() && state_dir.leases().stat(&socket_of(&name)).is_ok() {
            state.damaged_line.get_or_insert(1);
            end = file.metadata().map_err(failed)?.len();
        }
        // An unfinished line would swallow the next one.
        let mut whole = &file;
        let settled = file.set_len(end).and_then(|()| {
            if is_open(&file, end)? { whole.write_all(b"\n").map(|()| end + 1) } else { Ok(end) }
        });
        let end = settled.map_err(failed)?;
        let begun = Begun::default();
        begun.note(&state);
        Ok(Self {
            state_dir: state_dir.clone(),
            name,
            path,
            file,
            state,
            end,
            is_named: false,
            begun,
            #[cfg(test)]
            fails_on: None,
        })
    }

    /// What the lease still has.
    #[must_use]
    pub fn state(&self) -> &LeaseState {
        &self.state
    }

    /// When it has something to put back: at once, or with the first intent.
    #[must_use]
    pub fn begun(&self) -> Begun {
        self.begun.clone()
    }

    /// The state directory that it is in.
    #[must_use]
    pub fn state_dir(&self) -> &StateDir {
        &self.state_dir
    }

    /// Its path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes intents with one write and one sync, so that they are on disk before the acts.
    ///
    /// # Errors
    /// The file's own error. Then the acts must not be done, and none of the intents counts.
    pub fn intend(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let before = self.end;
        self.append(records)?;
        if let Err(source) = self.sync() {
            // Take the intents out again: an act that was announced is undone later, no matter who
            // did it.
            self.end = before;
            self.file.set_len(before).map_err(|source| self.failed(source))?;
            return Err(self.failed(source));
        }
        self.apply(records);
        Ok(())
    }

    /// Writes what other processes should know and no act depends on: it need not survive a power
    /// cut.
    ///
    /// # Errors
    /// The file's own error. Then the record does not count.
    pub fn announce(&mut self, record: &Record) -> Result<(), JournalError> {
        let records = std::slice::from_ref(record);
        self.append(records)?;
        self.apply(records);
        Ok(())
    }

    /// Writes an outcome. It need not be on disk: restoring looks at what is.
    ///
    /// # Errors
    /// The file's own error. The act still counts as done.
    pub fn note(&mut self, record: &Record) -> Result<(), JournalError> {
        let records = std::slice::from_ref(record);
        self.apply(records);
        self.append(records)
    }

    fn apply(&mut self, records: &[Record]) {
        for record in records {
            self.state.apply(record);
        }
        self.begun.note(&self.state);
    }

    /// Has writes of records of this name fail from now on, in tests.
    #[cfg(test)]
    pub(crate) fn fail_on(&mut self, name: &'static str) {
        self.fails_on = Some(format!("\"record\":\"{name}\""));
    }

    fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        #[cfg(test)]
        if let Some(name) = &self.fails_on
            && records.iter().any(|record| lines::line(record).contains(name))
        {
            return Err(self.failed(io::ErrorKind::StorageFull.into()));
        }
        let lines: String = records.iter().map(lines::line).collect();
        if self.end + lines.len() as u64 > LARGEST_BYTES {
            return Err(self.failed(io::ErrorKind::FileTooLarge.into()));
        }
        if let Err(source) = self.file.write_all(lines.as_bytes()) {
            // Half a line must not stay in the middle of the journal.
            self.file.set_len(self.end).map_err(|source| self.failed(source))?;
            return Err(self.failed(source));
        }
        self.end += lines.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if !self.is_named {
            self.state_dir.leases().sync()?;
            self.is_named = true;
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }

    /// Removes a journal that has nothing left in it. A damaged one is set aside, because nobody
    /// knows what it said.
    ///
    /// # Errors
    /// The file's own error.
    pub fn remove(self) -> Result<(), JournalError> {
        let leases = self.state_dir.leases();
        let done = match self.state.damaged_line {
            None => leases.remove(&self.name),
            Some(_) => leases.rename(&self.name, &set_aside_as(&self.name)),
        };
        done.map_err(|source| self.failed(source))
    }
}

impl AsFd for Journal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Tells whether the file ends in the middle of a line here.
fn is_open(file: &File, end: u64) -> io::Result<bool> {
    let Some(last) = end.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

/// The name of the control socket beside it (`keeper::control`).
fn socket_of(name: &str) -> String {
    format!("{}.sock", name.trim_end_matches(".journal"))
}

/// The name that a damaged journal gets once everything that could be read of it has been restored.
fn set_aside_as(name: &str) -> String {
    format!("{}.damaged", name.trim_end_matches(".journal"))
}

fn name_of(lease: &str) -> String {
    format!("{lease}.journal")
}

fn flags() -> OFlag {
    OFlag::O_RDWR | OFlag::O_APPEND
}

fn is_still_at(file: &File, leases: &Dir, name: &str) -> io::Result<bool> {
    let ours = file.metadata()?;
    match leases.stat(name) {
        #[allow(
            clippy::cast_sign_loss,
            clippy::unnecessary_cast,
            reason = "of another type on other systems"
        )]
        Ok(there) => Ok((there.st_dev as u64, there.st_ino as u64) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads what the journal says and where its last whole line ends.
fn read_all(file: &File, path: &Path) -> Result<(LeaseState, u64), JournalError> {
    let failed = |source| JournalError::looking(path.to_owned(), source);
    let unreadable = |source| JournalError::Unreadable { path: path.to_owned(), source };
    let length = file.metadata().map_err(failed)?.len();
    if length > LARGEST_BYTES {
        return Err(unreadable(Unreadable::Large { bytes: length, most: LARGEST_BYTES }));
    }
    // The file offset is shared with the other holder, so it must not be used.
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    let state = lines::read(&bytes).map_err(unreadable)?;
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    // An unfinished line is cut off; a damaged one is kept as it is.
    let is_torn = !lines::is_damaged_end(&bytes[end..]);
    Ok((state, if is_torn { end } else { bytes.len() } as u64))
}

#[cfg(test)]
mod tests;
