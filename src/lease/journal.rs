//! Owns one lease's journal: its file, its lock and its appends. The file's lock is the lease:
//! one open file description, shared by supervisor and keeper, free only when both are gone.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use crate::core::record::{self, LeaseState, Record, Unreadable};

/// A locked journal and what it says so far.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    state: LeaseState,
    end: u64,
    /// Its name outlives a power cut.
    is_named: bool,
}

/// What went wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot write the journal {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot read the journal {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: Unreadable },
}

/// What a look at a journal found.
#[derive(Debug)]
pub enum Looked {
    /// Nobody holds it: it is locked by us now.
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
    pub fn create(leases: &Path, lease: &str) -> Result<Self, JournalError> {
        let path = path_of(leases, lease);
        let failed = |source| JournalError::Io { path: path.clone(), source };
        loop {
            let file = options().create_new(true).open(&path).map_err(failed)?;
            file.lock().map_err(failed)?;
            // Between the two, a `recover` can have found it unlocked and empty, and removed it.
            if is_still_at(&file, &path).map_err(failed)? {
                return Ok(Self { path, file, state: LeaseState::default(), end: 0, is_named: false });
            }
        }
    }

    /// Takes over the journal that was inherited with its lock, in the keeper.
    ///
    /// # Errors
    /// [`JournalError`] where it cannot be read.
    pub fn inherited(file: File, leases: &Path, lease: &str) -> Result<Self, JournalError> {
        Self::read_in(file, path_of(leases, lease))
    }

    /// Looks at a journal: locks it where nobody holds it, reads it otherwise. The caller holds
    /// the lock of the state directory, so that no two look at once.
    ///
    /// # Errors
    /// [`JournalError`] where it cannot be read.
    pub fn look(path: &Path) -> Result<Looked, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let file = match options().open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Looked::Gone),
            opened => opened.map_err(failed)?,
        };
        match file.try_lock() {
            Ok(()) if !is_still_at(&file, path).map_err(failed)? => Ok(Looked::Gone),
            Ok(()) => Ok(Looked::Dead(Box::new(Self::read_in(file, path.to_owned())?))),
            Err(TryLockError::WouldBlock) => Ok(Looked::Live(Box::new(read_all(&file, path)?.0))),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// What a live holder's journal says, without the lock of the state directory: changes nothing and keeps no lock.
    /// `None` where its holder is dead, or it was released while we looked.
    ///
    /// # Errors
    /// [`JournalError`] where it cannot be read.
    pub fn peek(path: &Path) -> Result<Option<LeaseState>, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let file = match options().open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        // Shared, and let go at once: whoever looks with the lock at this very moment takes a dead one for live, and
        // leaves it to the next who looks.
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(read_all(&file, path)?.0)),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    fn read_in(file: File, path: PathBuf) -> Result<Self, JournalError> {
        let (state, end) = read_all(&file, &path)?;
        // A line that was never finished would swallow the next one.
        file.set_len(end).map_err(|source| JournalError::Io { path: path.clone(), source })?;
        Ok(Self { path, file, state, end, is_named: false })
    }

    /// What the lease has.
    #[must_use]
    pub fn state(&self) -> &LeaseState {
        &self.state
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes intents, all with one write and one sync: they are on disk before the acts.
    ///
    /// # Errors
    /// The file's own error; the acts must not be done then, and nothing of them counts.
    pub fn intend(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let before = self.end;
        self.append(records)?;
        if let Err(source) = self.sync() {
            // What is announced and not done would be undone, whoever did it.
            self.end = before;
            self.file.set_len(before).map_err(|source| self.failed(source))?;
            return Err(self.failed(source));
        }
        self.apply(records);
        Ok(())
    }

    /// Writes what other processes are to know, and what no act rests on: it need not outlive a power cut.
    ///
    /// # Errors
    /// The file's own error; it does not count then.
    pub fn announce(&mut self, record: &Record) -> Result<(), JournalError> {
        let records = std::slice::from_ref(record);
        self.append(records)?;
        self.apply(records);
        Ok(())
    }

    /// Writes an outcome. It need not be on disk: restoring looks at what is.
    ///
    /// # Errors
    /// The file's own error. What was done counts as done all the same.
    pub fn note(&mut self, record: &Record) -> Result<(), JournalError> {
        let records = std::slice::from_ref(record);
        self.apply(records);
        self.append(records)
    }

    fn apply(&mut self, records: &[Record]) {
        for record in records {
            self.state.apply(record);
        }
    }

    fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let lines: String = records.iter().map(record::line).collect();
        if let Err(source) = self.file.write_all(lines.as_bytes()) {
            // Half a line in the middle would make the whole journal unreadable.
            self.file.set_len(self.end).map_err(|source| self.failed(source))?;
            return Err(self.failed(source));
        }
        self.end += lines.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if !self.is_named {
            File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
            self.is_named = true;
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }

    /// Removes a journal that has nothing left to say.
    ///
    /// # Errors
    /// The file's own error.
    pub fn remove(self) -> Result<(), JournalError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }
}

impl AsFd for Journal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn path_of(leases: &Path, lease: &str) -> PathBuf {
    leases.join(format!("{lease}.journal"))
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Without O_NONBLOCK a FIFO in place of a journal would hold us for ever.
    options.read(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

fn is_still_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the journal says, and where its last whole line ends.
fn read_all(file: &File, path: &Path) -> Result<(LeaseState, u64), JournalError> {
    let failed = |source| JournalError::Io { path: path.to_owned(), source };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it is not a file")));
    }
    // The offset is shared with the other holder, so it is not used.
    let mut bytes = vec![0; usize::try_from(metadata.len()).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    let state = record::read(&bytes[..end]).map_err(|source| JournalError::Unreadable { path: path.to_owned(), source })?;
    Ok((state, end as u64))
}
