//! Owns a directory that is ours alone, by its descriptor: its entries are opened, listed, renamed
//! and removed relative to that, whatever its path leads to by now. Each file is checked on its own
//! descriptor before anybody reads it.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::OsStrExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, renameat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat},
    unistd::{UnlinkatFlags, fchdir, geteuid, unlinkat},
};

/// A directory that is ours alone.
#[derive(Clone, Debug)]
pub struct Dir {
    fd: Arc<OwnedFd>,
    /// For messages.
    path: PathBuf,
}

/// Why something in the place of a file or directory of ours is not ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("it is not a {wanted}")]
    Kind { wanted: &'static str },
    #[error("it belongs to user {owner}, and this is user {ours}")]
    Foreign { owner: u32, ours: u32 },
    #[error("it can be written by others (mode {mode:03o})")]
    Wide { mode: u32 },
    #[error("it has another name elsewhere ({links} links)")]
    Linked { links: u64 },
}

impl From<Misfit> for io::Error {
    fn from(misfit: Misfit) -> Self {
        Self::new(io::ErrorKind::InvalidData, misfit)
    }
}

/// Tells whether this error means that what is there is not a file of ours, and can be left alone.
/// After any other error it is not known what is there.
#[must_use]
pub fn is_misfit(error: &io::Error) -> bool {
    // A link, a directory, a socket (open(2)).
    let by_open = matches!(
        error.raw_os_error(),
        Some(libc::ELOOP | libc::EISDIR | libc::ENXIO | libc::ENOTDIR)
    );
    by_open || error.get_ref().and_then(|inner| inner.downcast_ref::<Misfit>()).is_some()
}

impl Dir {
    /// Opens the directory of this name below `above`, which is ours alone or has been checked
    /// (`trust`). Does not follow a link.
    ///
    /// # Errors
    /// [`Misfit`], or the directory's own error.
    pub(super) fn open_in(above: BorrowedFd<'_>, name: &OsStr, path: PathBuf) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(above, name, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::ENOTDIR | Errno::ELOOP => {
                Misfit::Kind { wanted: "directory (links are not followed)" }.into()
            }
            errno => io::Error::from(errno),
        })?;
        Self::of(fd, path)
    }

    /// Wraps the descriptor of a directory.
    ///
    /// # Errors
    /// [`Misfit`], or the descriptor's own error.
    pub(super) fn of(fd: OwnedFd, path: PathBuf) -> io::Result<Self> {
        fit(&fstat(&fd)?, SFlag::S_IFDIR, "directory")?;
        Ok(Self { fd: Arc::new(fd), path })
    }

    /// Makes a directory of mode 0700 in it, unless something has this name already.
    ///
    /// # Errors
    /// The system's own.
    pub(super) fn make_dir(&self, name: &str) -> io::Result<()> {
        match mkdirat(&*self.fd, name, Mode::S_IRWXU) {
            Err(Errno::EEXIST) => Ok(()),
            made => made.map_err(io::Error::from),
        }
    }

    /// Opens a directory in it.
    ///
    /// # Errors
    /// [`Misfit`], or the directory's own error.
    pub(super) fn open_dir(&self, name: &str) -> io::Result<Self> {
        Self::open_in(self.as_fd(), OsStr::new(name), self.path_of(name))
    }

    /// Its path as it was named, for messages only: by now the path may lead elsewhere.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the entry with this name, for messages.
    #[must_use]
    pub fn path_of(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a file in it, creating it with mode 0600 if the flags say so. Follows no link and
    /// waits for no FIFO.
    ///
    /// # Errors
    /// [`Misfit`], or the file's own error.
    pub(super) fn open_file(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let fd = openat(&*self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        check_file(&fd)?;
        Ok(File::from(fd))
    }

    /// Looks at the entry with this name; does not follow a link.
    ///
    /// # Errors
    /// The system's own.
    pub(super) fn stat(&self, name: &str) -> io::Result<FileStat> {
        Ok(fstatat(&*self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// Lists the names in it.
    ///
    /// # Errors
    /// If it cannot be listed to its end.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        // With an open file description of its own: the position in a listing is shared by everyone
        // who shares the description.
        let mut listed = nix::dir::Dir::openat(
            &*self.fd,
            ".",
            OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let names = listed
            .iter()
            .map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.retain(|name| name != "." && name != "..");
        Ok(names)
    }

    /// Renames a file in it.
    ///
    /// # Errors
    /// The system's own.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&*self.fd, from, &*self.fd, to)?)
    }

    /// Removes a file, or anything else that is not a directory; a missing one is fine.
    ///
    /// # Errors
    /// The system's own.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&*self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) => Ok(()),
            removed => removed.map_err(io::Error::from),
        }
    }

    /// Syncs its names to disk.
    ///
    /// # Errors
    /// The system's own.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(nix::unistd::fsync(&*self.fd)?)
    }

    /// Listens at a socket in it.
    ///
    /// # Errors
    /// The socket's own.
    pub fn listen(&self, name: &str) -> io::Result<UnixListener> {
        self.within(|| UnixListener::bind(name))
    }

    /// Connects to a socket of ours in it.
    ///
    /// # Errors
    /// [`Misfit`], or the socket's own error if nobody answers.
    pub fn connect(&self, name: &str) -> io::Result<UnixStream> {
        let found = self.stat(name)?;
        // The directory keeps others out, so the socket's own mode does not matter.
        if kind(&found) != SFlag::S_IFSOCK {
            return Err(Misfit::Kind { wanted: "socket" }.into());
        }
        belongs(&found)?;
        self.within(|| UnixStream::connect(name))
    }

    /// Acts with this directory as the working directory. A socket's address holds 104 bytes on
    /// macOS and 108 on Linux, and a path can be longer, so sockets are named from inside.
    fn within<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        // A descriptor leads back even if the directory was renamed or deleted meanwhile.
        let before = File::open(".");
        fchdir(&*self.fd)?;
        let done = act();
        // The act is done. Without a way back no relative path means anything any more, so go to
        // the root.
        if before.and_then(|before| fchdir(before).map_err(io::Error::from)).is_err() {
            env::set_current_dir("/")?;
        }
        done
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Checks that this descriptor's file is ours alone and has one name, or none any more.
///
/// # Errors
/// [`Misfit`], or the descriptor's own error.
pub(super) fn check_file(fd: impl AsFd) -> io::Result<()> {
    let found = fstat(fd)?;
    fit(&found, SFlag::S_IFREG, "file")?;
    #[allow(clippy::useless_conversion, reason = "of another width on other systems")]
    let links = u64::from(found.st_nlink);
    if links > 1 { Err(Misfit::Linked { links }.into()) } else { Ok(()) }
}

/// Its mode, with the file type.
#[allow(clippy::useless_conversion, reason = "of another width on other systems")]
pub(super) fn mode(found: &FileStat) -> u32 {
    found.st_mode.into()
}

fn fit(found: &FileStat, wanted: SFlag, name: &'static str) -> Result<(), Misfit> {
    let mode = mode(found);
    if kind(found) != wanted {
        return Err(Misfit::Kind { wanted: name });
    }
    belongs(found)?;
    if mode & 0o022 != 0 { Err(Misfit::Wide { mode: mode & 0o7777 }) } else { Ok(()) }
}

fn belongs(found: &FileStat) -> Result<(), Misfit> {
    let ours = geteuid().as_raw();
    if found.st_uid == ours { Ok(()) } else { Err(Misfit::Foreign { owner: found.st_uid, ours }) }
}

/// Its file type.
pub(super) fn kind(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT
}
