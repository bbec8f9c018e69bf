//! Owns the turn of a test that touches the machine's swap, and where such a test may put an area.
//! What it left active is taken away with it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use tempfile::TempDir;

use super::turn::{Turn, take};

/// The machine's swap is this test's until it is dropped.
pub struct SwapTurn {
    dir: TempDir,
    _turn: Turn,
}

/// Waits for the turn.
#[must_use]
pub fn turn() -> SwapTurn {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = take(&TURN, "swap");
    SwapTurn { dir: directory(), _turn: turn }
}

/// A directory that only root writes to, as makeroom asks of all above it: where cargo's target
/// directory is, because /tmp may be memory; or, in a checkout of somebody else's, in /var/tmp.
#[must_use]
pub fn directory() -> TempDir {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let is_roots = |dir: &Path| {
        fs::metadata(dir).is_ok_and(|found| found.uid() == 0 && found.mode() & 0o022 == 0)
    };
    let place = if target.ancestors().all(is_roots) { target } else { Path::new("/var/tmp") };
    tempfile::tempdir_in(place).expect("a directory")
}

/// The active swap areas, by path.
#[must_use]
pub fn areas() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/swaps").expect("/proc/swaps");
    let names = text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next());
    names.map(|name| Path::new(&name.replace("\\040", " ")).to_owned()).collect()
}

impl SwapTurn {
    /// Where this test's areas are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The areas in this test's directory that are active.
    #[must_use]
    pub fn new_areas(&self) -> Vec<PathBuf> {
        areas().into_iter().filter(|area| area.starts_with(self.dir())).collect()
    }
}

impl Drop for SwapTurn {
    fn drop(&mut self) {
        // A test that passed has nothing left here.
        for area in self.new_areas() {
            let _ = Command::new("swapoff").arg(&area).status();
        }
    }
}

/// `--swap` for so much more than is free now.
#[must_use]
pub fn more(mebibytes: u64) -> String {
    format!("{}MiB", free_mib() + mebibytes)
}

/// `--swap` of `swap on` for so much more than there is now.
#[must_use]
pub fn more_in_all(mebibytes: u64) -> String {
    format!("{}MiB", figure_mib("SwapTotal:") + mebibytes)
}

/// The swap that is free now.
#[must_use]
pub fn free_mib() -> u64 {
    figure_mib("SwapFree:")
}

fn figure_mib(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect(name).div_ceil(1024)
}
