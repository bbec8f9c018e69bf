//! Owns the timers of a run: how long each takes, which are armed, and when the next goes off. Runs
//! in the supervisor.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::core::run::session::Timer;

/// The promise to whoever sends a signal: within this the targets run again in any case.
const RELEASE_ANYWAY: Duration = Duration::from_secs(4);
/// What SIGKILL has not ended by then is left behind.
pub(super) const LEAVE_BEHIND: Duration = Duration::from_secs(2);
/// Whoever stopped the build on purpose continues it before.
pub(super) const SAY_STOPPED: Duration = Duration::from_secs(30);
const STOP_ANYWAY: Duration = Duration::from_secs(2);
/// After a signal nobody waits longer for the keeper.
pub(super) const HASTY_RESTORE: Duration = Duration::from_secs(5);
/// Beyond `--restore-timeout`: reading swapped pages back.
const SWAP_OFF: Duration = Duration::from_mins(5);

/// The timers.
#[derive(Debug, Default)]
pub(super) struct Timers {
    timeout: Option<Duration>,
    grace: Duration,
    restore_timeout: Duration,
    due: BTreeMap<Timer, Instant>,
}

impl Timers {
    /// None of them is armed. As long as these options say: `--timeout`, `--grace`,
    /// `--restore-timeout`.
    pub(super) fn new(
        timeout: Option<Duration>,
        grace: Duration,
        restore_timeout: Duration,
    ) -> Self {
        Self { timeout, grace, restore_timeout, due: BTreeMap::new() }
    }

    /// Arms one, from now.
    pub(super) fn arm(&mut self, timer: Timer) {
        let Some(takes) = self.takes(timer) else { return };
        // A time that is further away than the clock reaches never comes.
        if let Some(due) = Instant::now().checked_add(takes) {
            self.due.insert(timer, due);
        }
    }

    /// When the next one goes off.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Those that went off.
    pub(super) fn take_due(&mut self) -> Vec<Timer> {
        let now = Instant::now();
        let due: Vec<Timer> =
            self.due.iter().filter(|(_, at)| **at <= now).map(|(timer, _)| *timer).collect();
        for timer in &due {
            self.due.remove(timer);
        }
        due
    }

    /// How long it takes; `None` where it never goes off.
    fn takes(&self, timer: Timer) -> Option<Duration> {
        match timer {
            Timer::Timeout => self.timeout,
            Timer::Grace => Some(self.grace),
            Timer::ReleaseAnyway => Some(RELEASE_ANYWAY),
            Timer::LeaveBehind => Some(LEAVE_BEHIND),
            Timer::SayStopped => Some(SAY_STOPPED),
            Timer::StopAnyway => Some(STOP_ANYWAY),
            Timer::Restore => Some(self.restore_timeout.saturating_add(SWAP_OFF)),
            Timer::HastyRestore => Some(HASTY_RESTORE),
        }
    }
}
