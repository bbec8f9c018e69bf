//! Owns the turn of a test for which it matters what the kernel kills for memory: it counts for the
//! whole machine.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other such test runs, and keeps them waiting until it is dropped.
pub fn kills_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
