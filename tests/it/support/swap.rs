//! Owns the turn of a test that touches the machine's swap: one at a time, in this process and in
//! any other that runs these tests. What such a test left active is taken away with it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The machine's swap is this test's until it is dropped.
pub struct SwapTurn {
    before: Vec<PathBuf>,
    _file: File,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for the turn.
#[must_use]
pub fn turn() -> SwapTurn {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that panicked in its turn has given back what it had.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let file = File::create(std::env::temp_dir().join("makeroom-it-swap.lock")).expect("a lock's file");
    file.lock().expect("locked");
    SwapTurn { before: areas(), _file: file, _turn: turn }
}

/// The active swap areas, by path.
#[must_use]
pub fn areas() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/swaps").expect("/proc/swaps");
    let names = text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next());
    names.map(|name| Path::new(&name.replace("\\040", " ")).to_owned()).collect()
}

impl SwapTurn {
    /// The areas that are active now and were not before.
    #[must_use]
    pub fn new_areas(&self) -> Vec<PathBuf> {
        areas().into_iter().filter(|area| !self.before.contains(area)).collect()
    }
}

impl Drop for SwapTurn {
    fn drop(&mut self) {
        for area in self.new_areas().into_iter().filter(|area| area.starts_with(std::env::temp_dir())) {
            // A test that passed has nothing left here.
            let _ = Command::new("swapoff").arg(&area).status();
        }
    }
}
