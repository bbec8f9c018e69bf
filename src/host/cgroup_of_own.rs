//! Owns giving a process of makeroom's a cgroup of its own, so that whatever kills all that is in
//! the build's (systemd-oomd, `memory.oom.group`, the end of a unit) does not kill it as well.
//! Where it may be is decided by `core::machine::own_cgroup`; `scope` asks a service manager for it,
//! `sibling` makes a directory. Never asks a person. Runs in the keeper.

mod error;
mod left;
mod scope;
mod sibling;

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use nix::unistd::{Uid, User, geteuid};

use crate::{
    core::machine::own_cgroup::{self, Place, Surroundings, Way},
    host::kernel::proc_file,
};

pub use error::NotEntered;
use left::may_be_left;
use scope::runtime_dir;
use sibling::Sibling;

/// A cgroup that is a process's own.
#[derive(Debug)]
pub struct OwnCgroup {
    /// What it is called: a unit, or a directory's name.
    pub name: String,
    /// The directory, which its manager does not remove.
    dir: Option<Sibling>,
}

/// Moves a process that is in the cgroup of this one (itself, or its child) into one of its own, if
/// it may have one. `whose` is letters, digits and hyphens, and no other process's.
///
/// # Errors
/// [`NotEntered`]: then it is where it was.
pub async fn enter(pid: u32, whose: &str) -> Result<OwnCgroup, NotEntered> {
    let Place { way, left } = own_cgroup::place(&surroundings())?;
    let name = format!("{}{whose}", own_cgroup::PREFIX);
    match way {
        Way::Scope { manager, slice, unit } => {
            scope::may_be_left(manager, &unit, &left).await?;
            let name = format!("{name}.scope");
            scope::enter(manager, pid, &name, slice.as_deref()).await?;
            Ok(OwnCgroup { name, dir: None })
        }
        Way::Sibling { mount, parent, left: sibling } => {
            may_be_left(&left, None)?;
            let dir = sibling::enter(pid, &mount, &parent, &sibling, &name)?;
            Ok(OwnCgroup { name, dir: Some(dir) })
        }
    }
}

impl OwnCgroup {
    /// Leaves nothing of it behind, if that can be. Where the one that was left is gone by now, the
    /// next process that gets one removes what is empty.
    pub fn leave(self) {
        if let Some(dir) = self.dir {
            dir.leave();
        }
    }
}

fn surroundings() -> Surroundings {
    let user = geteuid();
    let file = |path| proc_file(path).unwrap_or_default();
    Surroundings {
        cgroups: file("/proc/self/cgroup"),
        mounts: file("/proc/self/mountinfo"),
        first_process: file("/proc/1/cgroup"),
        is_systemd_booted: fs::symlink_metadata("/run/systemd/system")
            .is_ok_and(|found| found.is_dir()),
        user: user.as_raw(),
        has_user_manager: has_bus(user),
        lingers: lingers(user),
    }
}

fn has_bus(user: Uid) -> bool {
    fs::symlink_metadata(format!("{}/bus", runtime_dir(user)))
        .is_ok_and(|found| found.file_type().is_socket() && found.uid() == user.as_raw())
}

/// By the file that logind keeps (systemd-logind.service(8)).
fn lingers(user: Uid) -> bool {
    let name = User::from_uid(user).ok().flatten().map(|user| user.name);
    name.is_some_and(|name| {
        !name.contains('/') && Path::new("/var/lib/systemd/linger").join(name).exists()
    })
}
