//! Owns the check that only root and we can have put there what a path leads to, like ssh's
//! StrictModes (sshd_config(5)). Each directory on the way is opened from the one above it, by
//! descriptor, and each link is followed here, never by the kernel. Makes missing directories when
//! asked to; changes nothing else.

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

use crate::{
    core::text,
    lease::dir::{kind, mode},
};

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;
/// The mode bits that let somebody else change a file or the entries of a directory.
const BY_OTHERS: u32 = 0o022;
/// In a directory with this bit, only an entry's owner can rename or remove it (inode(7)).
const STICKY: u32 = 0o1000;

/// The flag for a directory that is only passed through and need not be readable.
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
    /// The command that fixes it, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let Self::Wide { path, .. } = self else { return None };
        Some(format!("chmod go-w {}", text::shell_word(&path.to_string_lossy())))
    }
}

/// The directory above the thing that a path names, and the thing's name in it; no name if the path
/// is a root.
#[derive(Debug)]
pub(super) struct Place {
    pub above: OwnedFd,
    pub name: Option<OsString>,
}

/// Goes to the directory above the thing that this path names, without looking at the thing itself.
/// With `makes`, makes directories that are missing on the way.
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

/// Checks that only root and we can have put there the file or directory that this path names, with
/// links followed.
///
/// # Errors
/// [`Distrust`]: why not.
pub fn check(path: &Path) -> Result<(), Distrust> {
    let mut walk = Walk::begin(path)?;
    while !walk.ahead.is_empty() {
        walk.step(false)?;
    }
    // Whoever may write to a directory can put something into it, so a sticky one is not enough
    // here.
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
    /// The directories below the root that were entered, each with its physical path.
    way: Vec<(OwnedFd, PathBuf)>,
    ahead: VecDeque<Step>,
    links: usize,
    ends_at_file: bool,
}

impl Walk {
    fn begin(path: &Path) -> Result<Self, Distrust> {
        let failed = |source| Distrust::Io { path: path.to_owned(), source };
        let absolute = std::path::absolute(path).map_err(failed)?;
        let root =
            nix::fcntl::open("/", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | THROUGH, Mode::empty());
        let root = root.map_err(|errno| failed(errno.into()))?;
        judge(&stat(&root, Path::new("/"))?, Path::new("/"))?;
        Ok(Self {
            root,
            way: Vec::new(),
            ahead: steps(&absolute).collect(),
            links: 0,
            ends_at_file: false,
        })
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
        let into = || {
            openat(
                here,
                name.as_os_str(),
                OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | THROUGH,
                Mode::empty(),
            )
        };
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
            // With O_NOFOLLOW a link gives one or the other (openat(2)).
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let found = fstatat(here, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
                    .map_err(failed)?;
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

/// Checks that nobody else can change it, or, in a sticky directory, our entries in it.
fn judge(found: &FileStat, path: &Path) -> Result<(), Distrust> {
    owned(found, path)?;
    let mode = mode(found);
    let is_sticky = kind(found) == SFlag::S_IFDIR && mode & STICKY != 0;
    if mode & BY_OTHERS != 0 && !is_sticky {
        Err(Distrust::Wide { path: path.to_owned(), mode: mode & 0o7777 })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    fn dir(path: &Path, mode: u32) {
        fs::create_dir(path).expect("a directory");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    #[test]
    fn a_parent_that_others_write_to_is_refused_and_a_sticky_one_is_not() {
        let base = tempfile::tempdir().expect("a directory");
        for (mode, is_trusted) in [
            (0o755, true),
            (0o1777, true),
            (0o775, false),
            (0o757, false),
            (0o777, false),
            (0o711, true),
        ] {
            let parent = base.path().join(format!("{mode:o}"));
            dir(&parent, mode);
            for below in [parent.join("x"), parent.join("a/../x"), parent.join("a/b")] {
                let found = find(&below, true);
                assert_eq!(found.is_ok(), is_trusted, "{}: {found:?}", below.display());
                if let Err(error) = found {
                    assert_eq!(error.hint(), Some(format!("chmod go-w {}", parent.display())));
                }
            }
            assert_eq!(parent.join("a").exists(), is_trusted);
        }
    }

    #[test]
    fn links_are_followed_to_what_they_are_and_it_is_judged() {
        let base = tempfile::tempdir().expect("a directory");
        let path = |name: &str| base.path().join(name);
        dir(&path("well"), 0o700);
        dir(&path("wide"), 0o777);
        dir(&path("wide/in"), 0o700);
        for (name, target) in [
            ("absolute", path("well")),
            ("relative", "well".into()),
            ("up", "well/../well".into()),
            ("through", path("absolute")),
            ("bad", "wide/in".into()),
            ("bad-up", "wide/in/../../well".into()),
            ("loop", "loop".into()),
        ] {
            symlink(target, path(name)).expect("a link");
        }
        for (name, is_trusted) in [
            ("absolute", true),
            ("relative", true),
            ("up", true),
            ("through", true),
            ("bad", false),
            ("bad-up", false),
            ("loop", false),
        ] {
            assert_eq!(check(&path(name)).is_ok(), is_trusted, "{name}");
            assert_eq!(find(&path(name).join("x"), false).is_ok(), is_trusted, "{name}");
            // The last component is not looked at: whoever opens it does not follow it.
            assert!(find(&path(name), false).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_file_and_a_directory_to_be_used_are_nobody_elses_to_change() {
        let base = tempfile::tempdir().expect("a directory");
        let path = |name: &str| base.path().join(name);
        for (name, mode) in [("program", 0o755), ("group", 0o775), ("world", 0o757)] {
            fs::write(path(name), "").expect("a file");
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).expect("a mode");
        }
        dir(&path("sticky"), 0o1777);
        fs::write(path("sticky/program"), "").expect("a file");
        for (name, is_trusted) in [
            ("program", true),
            ("group", false),
            ("world", false),
            ("sticky", false),
            ("sticky/program", true),
            ("none", false),
        ] {
            assert_eq!(check(&path(name)).is_ok(), is_trusted, "{name}");
        }
        assert!(matches!(check(&path("program/x")), Err(Distrust::NotADirectory { .. })));
    }
}
