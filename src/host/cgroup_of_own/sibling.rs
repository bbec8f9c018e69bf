//! Owns a cgroup beside the one that a process was in, where no service manager owns the tree:
//! a directory that is made, entered, left and removed by names relative to the mount. No link is
//! followed.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use nix::{
    dir::Dir,
    fcntl::{OFlag, open, openat},
    sys::stat::{Mode, mkdirat},
    unistd::{UnlinkatFlags, unlinkat},
};

use crate::{core::machine::own_cgroup::PREFIX, host::cgroup_of_own::error::NotEntered};

/// The file that moves whoever is written to it.
const PROCESSES: &str = "cgroup.procs";
/// Somebody who removes what is empty can come between making and entering.
const ATTEMPTS: usize = 3;

/// A cgroup that the process is in.
#[derive(Debug)]
pub(super) struct Sibling {
    pid: u32,
    parent: OwnedFd,
    name: String,
    /// The one that it was in before.
    left: String,
}

/// Makes it in this parent, and enters it.
pub(super) fn enter(
    pid: u32,
    mount: &str,
    parent: &[String],
    left: &str,
    name: &str,
) -> Result<Sibling, NotEntered> {
    let path = || format!("{mount}/{}", [parent, &[name.to_owned()]].concat().join("/"));
    let failed = |source: io::Error| NotEntered::Io { path: path(), source };
    let parent = open_below(mount, parent).map_err(failed)?;
    sweep(&parent);
    let mut entered = Ok(());
    for _ in 0..ATTEMPTS {
        entered = make(parent.as_fd(), name).and_then(|()| {
            go_into(parent.as_fd(), name, pid).inspect_err(|_| remove(parent.as_fd(), name))
        });
        if !entered.as_ref().is_err_and(is_gone) {
            break;
        }
    }
    entered.map_err(failed)?;
    Ok(Sibling { pid, parent, name: name.to_owned(), left: left.to_owned() })
}

impl Sibling {
    pub(super) fn leave(self) {
        // That one may be gone by now, and the parent may take no process: what is empty is swept
        // later.
        let back = [self.left.as_str(), "."];
        let is_back = |name: &&str| go_into(self.parent.as_fd(), name, self.pid).is_ok();
        if back.iter().any(is_back) {
            remove(self.parent.as_fd(), &self.name);
        }
    }
}

const AS_DIR: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

fn open_below(mount: &str, names: &[String]) -> io::Result<OwnedFd> {
    let mut dir = open(mount, AS_DIR, Mode::empty())?;
    for name in names {
        dir = openat(&dir, name.as_str(), AS_DIR, Mode::empty())?;
    }
    Ok(dir)
}

fn make(parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    Ok(mkdirat(parent, name, Mode::from_bits_truncate(0o755))?)
}

fn go_into(parent: BorrowedFd<'_>, name: &str, pid: u32) -> io::Result<()> {
    let dir = openat(parent, name, AS_DIR, Mode::empty())?;
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(&dir, PROCESSES, flags, Mode::empty())?;
    File::from(file).write_all(pid.to_string().as_bytes())
}

/// Whether it was removed meanwhile: an open file of it then says ENODEV (kernfs).
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// The kernel removes only what is empty.
fn remove(parent: BorrowedFd<'_>, name: &str) {
    let _ = unlinkat(parent, name, UnlinkatFlags::RemoveDir);
}

/// Removes what processes that were killed have left empty.
fn sweep(parent: &OwnedFd) {
    let listed = parent.try_clone().map(Dir::from_fd);
    let Ok(Ok(mut dir)) = listed else { return };
    let names: Vec<_> =
        dir.iter().filter_map(|entry| Some(entry.ok()?.file_name().to_owned())).collect();
    for name in names.iter().filter_map(|name| name.to_str().ok()) {
        if name.starts_with(PREFIX) {
            remove(parent.as_fd(), name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use super::*;

    fn enter_in(mount: &Path, parent: &[&str]) -> Result<Sibling, NotEntered> {
        let parent: Vec<String> = parent.iter().map(|&name| name.to_owned()).collect();
        let mount = mount.to_str().expect("a path");
        // No process has such a number, PID_MAX_LIMIT (proc_sys_kernel(5)).
        enter((1 << 22) + 1, mount, &parent, "job", "makeroom-x")
    }

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry"));
        let mut names: Vec<_> =
            names.map(|entry| entry.file_name().into_string().expect("a name")).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_no_cgroup_and_what_a_link_leads_to_is_not_entered_and_is_left_as_it_was() {
        let base = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(base.path().join("ci/job")).expect("made");
        fs::create_dir(base.path().join("elsewhere")).expect("made");
        symlink(base.path().join("elsewhere"), base.path().join("link")).expect("made");
        symlink(base.path().join("elsewhere"), base.path().join("ci/makeroom-link")).expect("made");
        for parent in [&["ci"][..], &["link"], &["ci", "job", "missing"]] {
            assert!(enter_in(base.path(), parent).is_err(), "{parent:?}");
        }
        assert!(enter_in(&base.path().join("link"), &[]).is_err());
        assert_eq!(names(&base.path().join("elsewhere")), [""; 0]);
        assert_eq!(names(&base.path().join("ci")), ["job", "makeroom-link"]);
    }

    #[test]
    fn what_dead_processes_left_empty_is_removed_and_nothing_else() {
        let base = tempfile::tempdir().expect("a directory");
        for name in ["makeroom-keeper-1", "makeroom-keeper-2/held", "job", "makeroomy"] {
            fs::create_dir_all(base.path().join(name)).expect("made");
        }
        assert!(enter_in(base.path(), &[]).is_err());
        assert_eq!(names(base.path()), ["job", "makeroom-keeper-2", "makeroomy"]);
    }
}
