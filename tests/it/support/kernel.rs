//! Owns the turn of a test for which it matters what the kernel kills for memory: it counts for the
//! whole machine.

use std::sync::Mutex;

use super::turn::{Turn, take};

/// Waits until no other such test runs, and keeps them waiting until it is dropped. Who takes the
/// machine's swap as well takes that afterwards.
#[must_use]
pub fn kills_turn() -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    take(&TURN, "kills")
}
