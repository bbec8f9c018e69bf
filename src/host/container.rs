//! Owns finding out whether makeroom itself runs in a container, and whether a directory there
//! outlives the container. A cancelled CI job takes container, journal and keeper at once, so what
//! was changed from inside would stay changed. Used before anything is begun.

use std::{fs, path::Path};

use crate::{
    core::machine::{inside::Inside, memory::unescape},
    host::kernel,
};

/// Every mount that this process sees (proc_pid_mountinfo(5)).
const MOUNTS: &str = "/proc/self/mountinfo";

/// Where the namespace of this process's pids is named, and the first one's name
/// (include/linux/proc_ns.h, PROC_PID_INIT_INO).
const PIDS: &str = "/proc/self/ns/pid";
const FIRST_PIDS: &str = "pid:[4026531836]";

/// Where makeroom runs, as far as it matters for the state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Not in a container, or the directory is on a volume.
    Lasting,
    /// In a container, and the directory disappears with it.
    Fleeting,
}

/// Finds out where this process runs.
#[must_use]
pub fn place_of(state_dir: &Path) -> Place {
    let mounts = kernel::proc_file(MOUNTS).unwrap_or_default();
    // The nearest existing part decides, after `..` and links are resolved.
    let real = state_dir.ancestors().find_map(|part| fs::canonicalize(part).ok());
    judge(is_marked(), &mounts, real.as_deref().unwrap_or(state_dir))
}

/// Finds the id of the container that makeroom itself runs in, from the three files that an engine
/// mounts into each. Pausing it would freeze the keeper too.
#[must_use]
pub fn own_container() -> Option<String> {
    own_id(&kernel::proc_file(MOUNTS).unwrap_or_default())
}

/// Finds out where this process runs, as far as it decides what is seen of an engine's containers.
/// `is_listed` tells of an id whether that engine knows a container by it.
#[must_use]
pub fn inside(is_listed: impl Fn(&str) -> bool) -> Inside {
    let mounts = kernel::proc_file(MOUNTS).unwrap_or_default();
    let own = own_id(&mounts);
    let is_container = own.is_some() || is_container(is_marked(), &read_mounts(&mounts));
    let has_own_processes = fs::read_link(PIDS).is_ok_and(|pids| pids.as_os_str() != FIRST_PIDS);
    Inside::of(is_container, own.is_some_and(|id| is_listed(&id)), has_own_processes)
}

fn is_marked() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists())
}

fn own_id(mountinfo: &str) -> Option<String> {
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut given = read_mounts(mountinfo).into_iter().filter(|mount| {
        matches!(mount.point.as_str(), "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf")
    });
    given.find_map(|mount| mount.root.split('/').find(is_id).map(str::to_owned))
}

struct Mount {
    /// The directory of the file system that is mounted here.
    root: String,
    point: String,
    kind: String,
}

fn judge(marked: bool, mountinfo: &str, state_dir: &Path) -> Place {
    let mounts = read_mounts(mountinfo);
    if !is_container(marked, &mounts) {
        return Place::Lasting;
    }
    match mount_of(&mounts, state_dir) {
        Some(mount) if mount.point != "/" && mount.kind != "tmpfs" && !is_overlay(&mount.kind) => {
            Place::Lasting
        }
        _ => Place::Fleeting,
    }
}

fn is_container(marked: bool, mounts: &[Mount]) -> bool {
    // A mark alone proves nothing: a VM's image that was made from a container has it as well. The
    // engines' other storage drivers mount a directory or a dataset of their own as the root.
    mount_of(mounts, Path::new("/")).is_some_and(|root| {
        is_overlay(&root.kind) || marked && (root.root != "/" || root.kind == "zfs")
    })
}

fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.len())
}

fn read_mounts(mountinfo: &str) -> Vec<Mount> {
    let read = |line: &str| {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3).map(unescape);
        Some(Mount {
            root: fields.next()?,
            point: fields.next()?,
            kind: source.split(' ').next()?.to_owned(),
        })
    };
    mountinfo.lines().filter_map(read).collect()
}

fn is_overlay(kind: &str) -> bool {
    matches!(kind, "overlay" | "fuse.fuse-overlayfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str =
        "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:5 / /run rw - tmpfs tmpfs rw\n";
    const DOCKER: &str = "500 400 0:50 / / rw - overlay overlay rw\n501 500 8:1 /v /var/lib/makeroom rw - ext4 /dev/sda1 rw\n502 500 0:9 / /tmp rw - tmpfs tmpfs rw\n";
    const VFS: &str = "500 400 8:1 /var/lib/docker/vfs/x / rw - ext4 /dev/sda1 rw\n501 500 8:1 /v /var/lib/my\\040room rw - ext4 /dev/sda1 rw\n";

    #[test]
    fn the_own_container_is_known_by_the_files_that_its_engine_mounts() {
        let id = "0123456789abcdef".repeat(4);
        let inside = format!(
            "{DOCKER}510 500 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(own_id(&inside), Some(id.clone()));
        let host = format!(
            "{BARE}30 20 0:60 / /var/lib/docker/containers/{id}/mounts/shm rw - tmpfs shm rw\n"
        );
        assert_eq!(own_id(&host), None);
    }

    #[test]
    fn only_a_volume_outlives_a_container() {
        for (marked, mounts, dir, expected) in [
            (false, BARE, "/var/lib/makeroom", Place::Lasting),
            (false, BARE, "/run/makeroom", Place::Lasting),
            (true, DOCKER, "/var/lib/makeroom", Place::Lasting),
            (true, DOCKER, "/var/lib/makeroom/deeper", Place::Lasting),
            (true, DOCKER, "/var/lib/makeroom2", Place::Fleeting),
            (false, DOCKER, "/root/.local/state/makeroom", Place::Fleeting),
            (true, DOCKER, "/tmp/x", Place::Fleeting),
            (true, VFS, "/var/lib", Place::Fleeting),
            (true, VFS, "/var/lib/my room/state", Place::Lasting),
            (true, BARE, "/var/lib/makeroom", Place::Lasting),
            (false, VFS, "/var/lib", Place::Lasting),
        ] {
            assert_eq!(judge(marked, mounts, Path::new(dir)), expected, "{marked} {dir}");
        }
    }
}
