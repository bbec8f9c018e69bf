//! Owns the state directory: that it exists, is ours alone, and its lock, which orders every
//! acquire and every release. Knows nothing of what the journals say.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often a taken lock is asked for again.
const LOCK_POLL: Duration = Duration::from_millis(5);

/// A state directory that was checked.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

/// Why a state directory cannot be used. Nothing may be changed without one.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    #[error("cannot use the state directory {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the state directory {} is not a directory (links are not followed)", path.display())]
    NotADirectory { path: PathBuf },
    #[error("the state directory {} belongs to user {owner}, and this is user {ours}", path.display())]
    Foreign { path: PathBuf, owner: u32, ours: u32 },
    #[error("the state directory {} can be written by others (mode {mode:03o})", path.display())]
    Wide { path: PathBuf, mode: u32 },
    #[error("the lock of the state directory {} is busy for {} s", path.display(), after.as_secs())]
    Busy { path: PathBuf, after: Duration },
}

impl StateDirError {
    /// This user may not look at it.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// The command that mends it, where there is one.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Wide { path, .. } => format!("chmod 700 {}", crate::core::text::shell_word(&path.to_string_lossy())),
            Self::Busy { .. } => "`makeroom status` shows who holds it".to_owned(),
            _ => "name another one with --state-dir DIR".to_owned(),
        }
    }
}

/// The lock of a state directory, held until it is dropped.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateDir {
    /// Opens a state directory, making what is missing of it with mode 0700.
    ///
    /// # Errors
    /// [`StateDirError`] where it is not ours alone.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        for dir in [path.to_owned(), path.join("leases")] {
            let failed = |source| StateDirError::Io { path: dir.clone(), source };
            match DirBuilder::new().recursive(dir == path).mode(0o700).create(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => check(&dir)?,
            }
        }
        let made = Self { path: path.to_owned() };
        // A lease that cannot be recorded must not be begun: find out now, not in the middle of it.
        made.lock_file().map_err(|source| StateDirError::Io { path: path.to_owned(), source })?;
        Ok(made)
    }

    /// The same, but without making anything: `None` where there is none yet.
    ///
    /// # Errors
    /// [`StateDirError`] where it is not ours alone.
    pub fn open_existing(path: &Path) -> Result<Option<Self>, StateDirError> {
        match path.join("leases").symlink_metadata() {
            Ok(_) => Self::open(path).map(Some),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            // What may not be looked at is not nothing.
            Err(source) => Err(StateDirError::Io { path: path.to_owned(), source }),
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the journals are.
    #[must_use]
    pub fn leases(&self) -> PathBuf {
        self.path.join("leases")
    }

    /// Takes the lock, waiting for at most `patience`. Blocks: for the short commands.
    ///
    /// # Errors
    /// [`StateDirError::Busy`], or the file's own error.
    pub fn lock(&self, patience: Duration) -> Result<StateLock, StateDirError> {
        let begun = Instant::now();
        loop {
            match self.try_lock()? {
                Some(lock) => return Ok(lock),
                None if begun.elapsed() >= patience => return Err(self.busy(patience)),
                None => std::thread::sleep(LOCK_POLL),
            }
        }
    }

    /// The same without blocking the keeper's other work.
    ///
    /// # Errors
    /// [`StateDirError::Busy`], or the file's own error.
    pub async fn lock_later(&self, patience: Duration) -> Result<StateLock, StateDirError> {
        let begun = Instant::now();
        loop {
            match self.try_lock()? {
                Some(lock) => return Ok(lock),
                None if begun.elapsed() >= patience => return Err(self.busy(patience)),
                None => tokio::time::sleep(LOCK_POLL).await,
            }
        }
    }

    fn busy(&self, after: Duration) -> StateDirError {
        StateDirError::Busy { path: self.path.clone(), after }
    }

    fn try_lock(&self) -> Result<Option<StateLock>, StateDirError> {
        let failed = |source| StateDirError::Io { path: self.path.join("lock"), source };
        let file = self.lock_file().map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(StateLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    fn lock_file(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        options.open(self.path.join("lock"))
    }
}

fn check(dir: &Path) -> Result<(), StateDirError> {
    let path = || dir.to_owned();
    let found = fs::symlink_metadata(dir).map_err(|source| StateDirError::Io { path: path(), source })?;
    let ours = nix::unistd::geteuid().as_raw();
    if !found.is_dir() {
        Err(StateDirError::NotADirectory { path: path() })
    } else if found.uid() != ours {
        Err(StateDirError::Foreign { path: path(), owner: found.uid(), ours })
    } else if found.mode() & 0o022 != 0 {
        Err(StateDirError::Wide { path: path(), mode: found.mode() & 0o7777 })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_is_made_is_ours_alone() {
        let base = tempfile::tempdir().expect("a directory");
        let state = StateDir::open(&base.path().join("a/b")).expect("a state directory");
        for path in [state.path().to_owned(), state.leases()] {
            assert_eq!(fs::metadata(&path).expect("made").mode() & 0o777, 0o700, "{}", path.display());
        }
        assert_eq!(fs::metadata(state.path().join("lock")).expect("made").mode() & 0o777, 0o600);
    }

    #[test]
    fn links_files_and_wide_directories_are_refused_and_left_as_they_are() {
        let base = tempfile::tempdir().expect("a directory");
        let (real, link, file, wide) =
            (base.path().join("real"), base.path().join("link"), base.path().join("file"), base.path().join("wide"));
        fs::create_dir(&real).expect("a directory");
        symlink(&real, &link).expect("a link");
        fs::write(&file, "x").expect("a file");
        fs::create_dir(&wide).expect("a directory");
        fs::set_permissions(&wide, fs::Permissions::from_mode(0o777)).expect("a mode");
        assert!(matches!(StateDir::open(&link), Err(StateDirError::NotADirectory { .. })));
        assert!(matches!(StateDir::open(&file), Err(StateDirError::NotADirectory { .. })));
        assert!(matches!(StateDir::open(&wide), Err(StateDirError::Wide { mode: 0o777, .. })));
        for dir in [real, wide] {
            assert_eq!(fs::read_dir(dir).expect("there").count(), 0);
        }
    }

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let base = tempfile::tempdir().expect("a directory");
        let elsewhere = base.path().join("elsewhere");
        let dir = base.path().join("state");
        DirBuilder::new().mode(0o700).create(&dir).expect("a directory");
        symlink(&elsewhere, dir.join("lock")).expect("a link");
        assert!(matches!(StateDir::open(&dir), Err(StateDirError::Io { .. })));
        assert!(!elsewhere.exists());
    }

    #[test]
    fn the_lock_is_held_by_one_at_a_time() {
        let base = tempfile::tempdir().expect("a directory");
        let state = StateDir::open(&base.path().join("s")).expect("a state directory");
        let held = state.lock(Duration::ZERO).expect("free");
        assert!(matches!(state.lock(Duration::from_millis(20)), Err(StateDirError::Busy { .. })));
        drop(held);
        state.lock(Duration::ZERO).expect("free again");
    }
}
