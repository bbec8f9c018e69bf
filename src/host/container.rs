//! Owns finding out whether makeroom itself is inside a container, and whether a directory there
//! outlives it. A cancelled CI job takes container, journal and keeper at once: what was changed
//! from inside would stay changed. Used before anything is begun.

use std::{fs, path::Path};

/// What is known of the place that makeroom runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Not in a container, or the directory is on a volume.
    Lasting,
    /// In a container, and the directory goes when it goes.
    Fleeting,
}

/// Looks at this process's own place.
#[must_use]
pub fn place_of(state_dir: &Path) -> Place {
    let marked = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // The nearest part that exists decides; `..` and links are resolved by then.
    let real = state_dir.ancestors().find_map(|part| fs::canonicalize(part).ok());
    judge(marked, &mounts, real.as_deref().unwrap_or(state_dir))
}

fn judge(marked: bool, mountinfo: &str, state_dir: &Path) -> Place {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        Some((crate::core::memory::unescape(mount.split(' ').nth(4)?), source.split(' ').next()?))
    });
    let mounts: Vec<_> = mounts.collect();
    let of = |path: &Path| mounts.iter().filter(|(point, _)| path.starts_with(point)).max_by_key(|(point, _)| point.len());
    let root_is_overlay = of(Path::new("/")).is_some_and(|(_, kind)| *kind == "overlay");
    if !marked && !root_is_overlay {
        return Place::Lasting;
    }
    match of(state_dir) {
        Some((point, kind)) if point != "/" && !matches!(*kind, "overlay" | "tmpfs") => Place::Lasting,
        _ => Place::Fleeting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:5 / /run rw - tmpfs tmpfs rw\n";
    const DOCKER: &str = "500 400 0:50 / / rw - overlay overlay rw\n501 500 8:1 /v /var/lib/makeroom rw - ext4 /dev/sda1 rw\n502 500 0:9 / /tmp rw - tmpfs tmpfs rw\n";
    const VFS: &str =
        "500 400 8:1 /var/lib/docker/vfs/x / rw - ext4 /dev/sda1 rw\n501 500 8:1 /v /var/lib/my\\040room rw - ext4 /dev/sda1 rw\n";

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
            (true, "", "/x", Place::Fleeting),
        ] {
            assert_eq!(judge(marked, mounts, Path::new(dir)), expected, "{marked} {dir}");
        }
    }
}
