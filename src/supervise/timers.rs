//! Owns the clocks of a run: which are armed, and when the next goes off. Runs in the supervisor.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::core::run::session::Timer;

/// The armed clocks.
#[derive(Debug, Default)]
pub struct Clocks {
    due: BTreeMap<Timer, Instant>,
}

impl Clocks {
    /// Lets a clock run, from now.
    pub fn arm(&mut self, timer: Timer, after: Duration) {
        // A time that is further away than the clock reaches never comes.
        if let Some(due) = Instant::now().checked_add(after) {
            self.due.insert(timer, due);
        }
    }

    /// When the next one goes off.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// The clocks that went off.
    pub fn take_due(&mut self) -> Vec<Timer> {
        let now = Instant::now();
        let due: Vec<Timer> =
            self.due.iter().filter(|(_, at)| **at <= now).map(|(timer, _)| *timer).collect();
        for timer in &due {
            self.due.remove(timer);
        }
        due
    }
}
