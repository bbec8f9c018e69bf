//! Owns whether a path leads to what only root and we can have put there: each directory on the way is opened from the
//! one above it, by descriptor, and each link on the way is followed here, never by the kernel. As ssh's StrictModes
//! (sshd_config(5)). Reads, makes directories where that is asked for, changes nothing else.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, readlinkat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat},
};

use super::dir::{kind, mode};
use crate::core::text;

/// As many as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;
/// What lets somebody else change what is in a directory, or a file.
const BY_OTHERS: u32 = 0o022;
/// inode(7): in a directory with it, only an entry's owner renames or removes it.
const STICKY: u32 = 0o1000;

/// A directory that is only gone through: it need not be readable.
#[cfg(target_os = "linux")]
const THROUGH: OFlag = OFlag::O_PATH;
#[cfg(not(target_os = "linux"))]
const THROUGH: OFlag = OFlag::from_bits_retain(libc::O_SEARCH);

/// Why a path is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no directory", path.display())]
    NotADirectory { path: PathBuf },
    #[error("{} belongs to user {owner}, who can put anything in its place", path.display())]
    Foreign { path: PathBuf, owner: u32 },
    #[error("{} can be written by others (mode {mode:03o}), who can put anything in its place", path.display())]
    Wide { path: PathBuf, mode: u32 },
}

impl Distrust {
    /// The command that mends it, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let Self::Wide { path, .. } = self else { return None };
        Some(format!("chmod go-w {}", text::shell_word(&path.to_string_lossy())))
    }
}

/// The directory above what a path names, and its name there; no name where the path is a root.
#[derive(Debug)]
pub(super) struct Place {
    pub above: OwnedFd,
    pub name: Option<OsString>,
}

/// Goes to the directory above what this path names. What is named itself is not looked at. `makes`: directories that
/// are missing on the way.
///
/// # Errors
/// [`Distrust`].
pub(super) fn find(path: &Path, makes: bool) -> Result<Place, Distrust> {
    let mut walk = Walk::begin(path)?;
    while walk.ahead.len() > 1 {
        walk.step(makes)?;
    }
    let name = match walk.ahead.pop_front() {
        Some(Step::Into(name)) => Some(name),
        Some(Step::Up) => {
            walk.up();
            None
        }
        None => None,
    };
    let above = walk.way.pop().map_or(walk.root, |(above, _)| above);
    Ok(Place { above, name })
}

/// Whether only root and we can have put there what this path names, links followed: a file or a directory.
///
/// # Errors
/// [`Distrust`]: why not.
pub fn check(path: &Path) -> Result<(), Distrust> {
    let mut walk = Walk::begin(path)?;
    while !walk.ahead.is_empty() {
        walk.step(false)?;
    }
    // What is to be found in a directory can be put there by whoever may write to it: sticky is not enough.
    let (here, at) = walk.here();
    let mode = mode(&stat(here, at)?);
    if !walk.ends_at_file && mode & BY_OTHERS != 0 {
        return Err(Distrust::Wide { path: at.to_owned(), mode: mode & 0o7777 });
    }
    Ok(())
}

enum Step {
    Into(OsString),
    Up,
}

struct Walk {
    root: OwnedFd,
    /// The directories below the root that were gone into, each with its physical path.
    way: Vec<(OwnedFd, PathBuf)>,
    ahead: VecDeque<Step>,
    links: usize,
    ends_at_file: bool,
}

impl Walk {
    fn begin(path: &Path) -> Result<Self, Distrust> {
        let failed = |source| Distrust::Io { path: path.to_owned(), source };
        let absolute = std::path::absolute(path).map_err(failed)?;
        let root = nix::fcntl::open("/", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | THROUGH, Mode::empty());
        let root = root.map_err(|errno| failed(errno.into()))?;
        judge(&stat(&root, Path::new("/"))?, Path::new("/"))?;
        Ok(Self { root, way: Vec::new(), ahead: steps(&absolute).collect(), links: 0, ends_at_file: false })
    }

    fn here(&self) -> (BorrowedFd<'_>, &Path) {
        self.way.last().map_or((self.root.as_fd(), Path::new("/")), |(fd, path)| (fd.as_fd(), path))
    }

    fn up(&mut self) {
        self.way.pop();
    }

    fn step(&mut self, makes: bool) -> Result<(), Distrust> {
        let name = match self.ahead.pop_front() {
            Some(Step::Into(name)) => name,
            Some(Step::Up) => {
                self.up();
                return Ok(());
            }
            None => return Ok(()),
        };
        let (here, above) = self.here();
        let path = above.join(&name);
        let failed = |errno: Errno| Distrust::Io { path: path.clone(), source: errno.into() };
        let into = || openat(here, name.as_os_str(), OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | THROUGH, Mode::empty());
        let opened = match into() {
            Err(Errno::ENOENT) if makes => match mkdirat(here, name.as_os_str(), Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => into(),
                Err(errno) => Err(errno),
            },
            opened => opened,
        };
        match opened {
            Ok(fd) => {
                judge(&stat(&fd, &path)?, &path)?;
                self.way.push((fd, path));
                Ok(())
            }
            // With O_NOFOLLOW a link is one or the other (openat(2)).
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let found = fstatat(here, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed)?;
                if kind(&found) == SFlag::S_IFLNK {
                    // A link has no mode of its own (symlink(7)).
                    owned(&found, &path)?;
                    let target = readlinkat(here, name.as_os_str()).map_err(failed)?;
                    return self.follow(&target, &path);
                }
                if !self.ahead.is_empty() {
                    return Err(Distrust::NotADirectory { path });
                }
                judge(&found, &path)?;
                self.ends_at_file = true;
                Ok(())
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    fn follow(&mut self, target: &OsStr, link: &Path) -> Result<(), Distrust> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Distrust::Io { path: link.to_owned(), source: Errno::ELOOP.into() });
        }
        let target = Path::new(target);
        if target.is_absolute() {
            self.way.clear();
        }
        for step in steps(target).collect::<Vec<_>>().into_iter().rev() {
            self.ahead.push_front(step);
        }
        Ok(())
    }
}

fn steps(path: &Path) -> impl Iterator<Item = Step> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(Step::Into(name.to_owned())),
        Component::ParentDir => Some(Step::Up),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn stat(fd: impl AsFd, path: &Path) -> Result<FileStat, Distrust> {
    fstat(fd).map_err(|errno| Distrust::Io { path: path.to_owned(), source: errno.into() })
}

fn owned(found: &FileStat, path: &Path) -> Result<(), Distrust> {
    if found.st_uid == 0 || found.st_uid == nix::unistd::geteuid().as_raw() {
        Ok(())
    } else {
        Err(Distrust::Foreign { path: path.to_owned(), owner: found.st_uid })
    }
}

/// Whether nobody else can change it, or, where it is a sticky directory, what is ours in it.
fn judge(found: &FileStat, path: &Path) -> Result<(), Distrust> {
    owned(found, path)?;
    let mode = mode(found);
    let is_sticky = kind(found) == SFlag::S_IFDIR && mode & STICKY != 0;
    if mode & BY_OTHERS != 0 && !is_sticky { Err(Distrust::Wide { path: path.to_owned(), mode: mode & 0o7777 }) } else { Ok(()) }
}
