//! Owns the state directory: makes sure that it exists and is ours alone, and holds its lock, which
//! orders all making and releasing of room. It is opened once; everything in it is named relative
//! to its descriptor. Knows nothing of what the journals say.

use std::{
    fs::{File, TryLockError},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::fcntl::OFlag;

use crate::{
    core::text,
    lease::{
        dir::{Dir, Misfit},
        trust::{self, Distrust},
    },
};

/// How often to try again for a lock that is taken.
const LOCK_POLL: Duration = Duration::from_millis(5);

/// A state directory that was checked.
#[derive(Clone, Debug)]
pub struct StateDir {
    dir: Dir,
    leases: Dir,
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
    #[error("the state directory {} is not safe: {source}", path.display())]
    Unsafe { path: PathBuf, source: Distrust },
    #[error("the lock of the state directory {} is busy for {} s", path.display(), after.as_secs())]
    Busy { path: PathBuf, after: Duration },
}

impl StateDirError {
    /// Tells whether this user may not look at it.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// The command that fixes it, or what else to do.
    #[must_use]
    pub fn hint(&self) -> String {
        const ANOTHER: &str = "name another one with --state-dir DIR";
        match self {
            Self::Wide { path, .. } => {
                format!("chmod 700 {}", text::shell_word(&path.to_string_lossy()))
            }
            Self::Unsafe { source, .. } => {
                source.hint().map_or(ANOTHER.to_owned(), |hint| format!("{hint}, or {ANOTHER}"))
            }
            Self::Busy { .. } => "`makeroom status` shows who holds it".to_owned(),
            _ => ANOTHER.to_owned(),
        }
    }

    fn of(path: PathBuf, source: io::Error) -> Self {
        match source.get_ref().and_then(|inner| inner.downcast_ref::<Misfit>()) {
            Some(Misfit::Kind { .. }) => Self::NotADirectory { path },
            Some(&Misfit::Foreign { owner, ours }) => Self::Foreign { path, owner, ours },
            Some(&Misfit::Wide { mode }) => Self::Wide { path, mode },
            Some(Misfit::Linked { .. }) | None => Self::Io { path, source },
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
    /// [`StateDirError`] where it is not ours alone, or somebody else could put another one in its
    /// place.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let failed = |source| StateDirError::of(path.to_owned(), source);
        let (place, name) = find(path, true)?;
        match nix::sys::stat::mkdirat(&place, name.as_os_str(), nix::sys::stat::Mode::S_IRWXU) {
            Err(errno) if errno != nix::errno::Errno::EEXIST => return Err(failed(errno.into())),
            _ => {}
        }
        Self::complete(Dir::open_in(place.as_fd(), &name, path.to_owned()).map_err(failed)?)
    }

    /// Opens a state directory without making anything; `None` if there is none yet.
    ///
    /// # Errors
    /// [`StateDirError`] where it is not ours alone, or somebody else could put another one in its
    /// place.
    pub fn open_existing(path: &Path) -> Result<Option<Self>, StateDirError> {
        let dir = match find(path, false) {
            Err(StateDirError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            place => {
                let (place, name) = place?;
                Dir::open_in(place.as_fd(), &name, path.to_owned())
            }
        };
        let dir = match dir {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            dir => dir.map_err(|source| StateDirError::of(path.to_owned(), source))?,
        };
        match dir.stat("leases") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => Self::complete(dir).map(Some),
        }
    }

    /// Takes over the descriptor that the keeper inherited; `path` is its name in messages.
    ///
    /// # Errors
    /// [`StateDirError`] where it is not ours alone.
    pub fn inherited(fd: OwnedFd, path: &Path) -> Result<Self, StateDirError> {
        Self::complete(
            Dir::of(fd, path.to_owned())
                .map_err(|source| StateDirError::of(path.to_owned(), source))?,
        )
    }

    fn complete(dir: Dir) -> Result<Self, StateDirError> {
        let failed = |source| StateDirError::of(dir.path_of("leases"), source);
        dir.make_dir("leases").map_err(failed)?;
        let leases = dir.open_dir("leases").map_err(failed)?;
        let made = Self { dir, leases };
        // A lease that cannot be recorded must not be begun, so find out now.
        made.lock_file().map_err(|source| made.failed(source))?;
        Ok(made)
    }

    /// Its path as it was named, for messages and for the processes that are given it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The directory itself.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Where the journals are.
    #[must_use]
    pub fn leases(&self) -> &Dir {
        &self.leases
    }

    /// Takes the lock, waiting for at most `patience`. Blocks, so it is for the short commands.
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

    /// Takes the lock without blocking the keeper's other work.
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
        StateDirError::Busy { path: self.path().to_owned(), after }
    }

    fn failed(&self, source: io::Error) -> StateDirError {
        StateDirError::Io { path: self.dir.path_of("lock"), source }
    }

    fn try_lock(&self) -> Result<Option<StateLock>, StateDirError> {
        let file = self.lock_file().map_err(|source| self.failed(source))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(StateLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(self.failed(source)),
        }
    }

    fn lock_file(&self) -> io::Result<File> {
        self.dir.open_file("lock", OFlag::O_RDWR | OFlag::O_CREAT)
    }
}

impl AsFd for StateDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

fn find(path: &Path, makes: bool) -> Result<(OwnedFd, std::ffi::OsString), StateDirError> {
    let place = trust::find(path, makes).map_err(|distrust| match distrust {
        // If it could not be looked at, do not claim that it is somebody else's.
        Distrust::Io { path: at, source } => {
            let source = io::Error::new(source.kind(), format!("{}: {source}", at.display()));
            StateDirError::Io { path: path.to_owned(), source }
        }
        source => StateDirError::Unsafe { path: path.to_owned(), source },
    })?;
    // The root of a file system, or wherever a `..` leads, is not a directory of ours alone.
    let name = place.name.ok_or_else(|| StateDirError::NotADirectory { path: path.to_owned() })?;
    Ok((place.above, name))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, DirBuilder},
        os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    };

    use super::*;

    #[test]
    fn what_is_made_is_ours_alone() {
        let base = tempfile::tempdir().expect("a directory");
        let state = StateDir::open(&base.path().join("a/b")).expect("a state directory");
        for path in [state.path().to_owned(), state.leases().path().to_owned()] {
            assert_eq!(
                fs::metadata(&path).expect("made").mode() & 0o777,
                0o700,
                "{}",
                path.display()
            );
        }
        assert_eq!(fs::metadata(state.path().join("lock")).expect("made").mode() & 0o777, 0o600);
    }

    #[test]
    fn links_files_and_wide_directories_are_refused_and_left_as_they_are() {
        let base = tempfile::tempdir().expect("a directory");
        let (real, link, file, wide) = (
            base.path().join("real"),
            base.path().join("link"),
            base.path().join("file"),
            base.path().join("wide"),
        );
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
        // What another test starts meanwhile has it as well until it is another program.
        state.lock(Duration::from_secs(10)).expect("free again");
    }
}
