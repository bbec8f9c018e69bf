//! Owns ending a build whose supervisor is gone: SIGTERM, a while, SIGKILL, to the group of a
//! child that is known by pid and start time. Runs in the keeper.

use std::time::{Duration, Instant};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{
    core::record::ProcessId,
    host::{kernel::GROUP_POLL, process::group_is_alive},
};

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
/// After SIGKILL only a process that hangs in the kernel is left.
const REMAINS: Duration = Duration::from_millis(500);

/// Ends the group; gives up on what does not even die of SIGKILL.
pub async fn end(child: ProcessId) {
    for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, REMAINS)] {
        if !group_is_alive(child) {
            return;
        }
        // Only ESRCH and EPERM can come back: the group emptied in between, or became root's. Neither is ours to mend.
        let _ = killpg(Pid::from_raw(child.pid), signal);
        // A stopped build would not notice SIGTERM.
        let _ = killpg(Pid::from_raw(child.pid), Signal::SIGCONT);
        let begun = Instant::now();
        while group_is_alive(child) && begun.elapsed() < patience {
            tokio::time::sleep(GROUP_POLL).await;
        }
    }
}
