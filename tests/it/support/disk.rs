//! Owns throw-away file systems: on a loop device, in memory, or one over another. Each is mounted
//! in a directory of its own and gone with its value, whatever a test left active or frozen on it.
//! Made before a test's site, so that it is dropped after the site has ended what still writes to
//! it.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::{must_run, needed, swap};

/// What makeroom leaves free of a disk of a few GiB, and what file systems need of that themselves.
const STAYS_FREE_MIB: u64 = 1024 + 160;

/// A mounted file system.
pub struct Disk {
    dir: TempDir,
    point: PathBuf,
}

impl Disk {
    /// `ext4`, `xfs` or `btrfs` with room for so much swap on a loop device, which is detached when
    /// it is unmounted.
    #[must_use]
    pub fn new(kind: &str, mebibytes: u64) -> Self {
        Self::exactly(kind, mebibytes + STAYS_FREE_MIB)
    }

    /// The same of this size, whatever swap finds no room on it.
    #[must_use]
    pub fn exactly(kind: &str, mebibytes: u64) -> Self {
        let made = Self::unmounted();
        let image = made.dir.path().join("image");
        File::create(&image).and_then(|file| file.set_len(mebibytes << 20)).expect("an image");
        let package = match kind {
            "xfs" => "xfsprogs",
            "btrfs" => "btrfs-progs",
            _ => "e2fsprogs",
        };
        let program = format!("mkfs.{kind}");
        must_run(Command::new(needed(&program, package)).arg("-q").arg(&image));
        must_run(
            Command::new("mount").args(["-o", "loop", "-t", kind]).arg(&image).arg(&made.point),
        );
        made
    }

    /// In memory.
    #[must_use]
    pub fn tmpfs() -> Self {
        Self::in_memory("tmpfs")
    }

    /// In memory, with room for so much, and for few names.
    #[must_use]
    pub fn small(kibibytes: u64) -> Self {
        let made = Self::unmounted();
        let options = format!("size={kibibytes}k,nr_inodes=100,mode=755");
        must_run(
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&made.point),
        );
        made
    }

    /// In memory, and never swapped out.
    #[must_use]
    pub fn ramfs() -> Self {
        Self::in_memory("ramfs")
    }

    fn in_memory(kind: &str) -> Self {
        let made = Self::unmounted();
        must_run(Command::new("mount").args(["-t", kind, "-o", "mode=755", kind]).arg(&made.point));
        made
    }

    /// One directory over another, as a container's root is.
    #[must_use]
    pub fn overlay() -> Self {
        let made = Self::unmounted();
        let part = |name: &str| {
            let path = made.dir.path().join(name);
            fs::create_dir(&path).expect("a directory");
            path.display().to_string()
        };
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            part("lower"),
            part("upper"),
            part("work")
        );
        must_run(
            Command::new("mount")
                .args(["-t", "overlay", "-o", &options, "overlay"])
                .arg(&made.point),
        );
        made
    }

    fn unmounted() -> Self {
        let dir = swap::directory();
        let point = dir.path().join("mounted");
        fs::create_dir(&point).expect("a directory");
        Self { dir, point }
    }

    /// A path on it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.point.join(name)
    }

    /// A directory on it with nothing in it.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).expect("a directory");
        path
    }

    /// The active swap areas on it.
    #[must_use]
    pub fn areas(&self) -> Vec<PathBuf> {
        swap::areas().into_iter().filter(|area| area.starts_with(&self.point)).collect()
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut filler = File::create(self.path("filler")).expect("a file");
        while filler.write_all(&[0; 512]).is_ok() {}
    }

    /// Takes all the names that are left: no file can be made any more.
    pub fn fill_names(&self) {
        let mut number = 0;
        while File::create(self.path(&format!("filler{number}"))).is_ok() {
            number += 1;
        }
    }

    /// From now on whoever writes to it waits.
    pub fn freeze(&self) {
        must_run(Command::new("fsfreeze").arg("-f").arg(&self.point));
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        must_run(Command::new("fsfreeze").arg("-u").arg(&self.point));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A failed test may have left any of this; a passed one has nothing to do but unmount.
        let quiet = |program: &str, args: &[&str], path: &Path| {
            let mut command = Command::new(program);
            command.args(args).arg(path).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        quiet("fsfreeze", &["-u"], &self.point);
        for area in self.areas() {
            quiet("swapoff", &[], &area);
        }
        // What was killed a moment ago may still have a file open.
        for _ in 0..50 {
            if quiet("umount", &[], &self.point) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        quiet("umount", &["-l"], &self.point);
    }
}
