//! Owns the question what this process has used, by which its looks are paid for. Runs in the
//! supervisor.

use std::time::Duration;

use nix::time::ClockId;

/// The time on a processor so far. On a busy machine a look takes long and costs no more for it.
pub(super) fn processor_time() -> Duration {
    ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map_or(Duration::ZERO, Duration::from)
}
