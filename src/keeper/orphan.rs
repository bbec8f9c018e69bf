//! Owns ending a build whose supervisor is gone: sends SIGTERM, then SIGKILL, to the child's group
//! and to all that left it. Those are found by their descent from the child, by what the supervisor
//! saw last, and by the lease in their environment. Each is known by pid and start time. Runs in
//! the keeper.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{
    core::{
        machine::process::ProcessId,
        variables::{EVENT, LEASE},
    },
    host::{
        kernel::GROUP_POLL,
        offspring::{Depth, Offspring, send},
        process::group_is_alive,
    },
};

/// The time from SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
/// How long the dead are waited for: after SIGKILL only what hangs in the kernel is left.
const REMAINS: Duration = Duration::from_millis(500);
/// What only hooks have in their environment (`core::run::hook`), beside the lease.
const HOOK: &str = EVENT;

/// Ends the build; gives up on what does not even die of SIGKILL.
pub(crate) async fn end(child: ProcessId, strays: &[ProcessId], lease: &str) {
    let environment = format!("{LEASE}={lease}");
    let mut orphans =
        Orphans { child, offspring: Offspring::default(), told: BTreeSet::new(), environment };
    // Our hooks know the lease as well.
    orphans.offspring.leave_out(std::process::id().cast_signed());
    strays.iter().chain([&child]).for_each(|&process| orphans.offspring.note(process));
    orphans.offspring.note_environment(&orphans.environment, HOOK);
    orphans.signal_group(Signal::SIGTERM);
    // What is stopped would not notice.
    orphans.signal_group(Signal::SIGCONT);
    // What turns up later is told as well.
    if orphans.are_gone_within(GRACE, Orphans::terminate).await {
        return;
    }
    // Again and again: what was not stopped in time has forked.
    orphans.are_gone_within(REMAINS, Orphans::kill).await;
}

struct Orphans {
    child: ProcessId,
    offspring: Offspring,
    /// The processes that got SIGTERM.
    told: BTreeSet<(i32, u64)>,
    /// The variable that all of them were started with, unless they took care not to be.
    environment: String,
}

impl Orphans {
    fn terminate(&mut self) {
        // Without a list the group is all that is known.
        for process in self.offspring.look(Depth::Shallow).unwrap_or_default() {
            if self.told.insert((process.pid, process.start)) {
                // The group was told in one.
                if process.group != self.child.pid {
                    send(process.id(), libc::SIGTERM);
                    send(process.id(), libc::SIGCONT);
                }
            }
        }
    }

    fn kill(&mut self) {
        // The group is signalled in any case.
        let _ = self.offspring.kill();
        self.signal_group(Signal::SIGKILL);
    }

    fn signal_group(&self, signal: Signal) {
        if group_is_alive(self.child) {
            // Only ESRCH and EPERM can come back: the group emptied in between, or became root's.
            let _ = killpg(Pid::from_raw(self.child.pid), signal);
        }
    }

    /// Whether nothing of the build runs any more. All environments are read only when nothing else
    /// is left.
    fn are_gone(&mut self) -> bool {
        let mut is_anybody_left =
            || self.offspring.look(Depth::Deep).is_ok_and(|left| !left.is_empty());
        if is_anybody_left() || group_is_alive(self.child) {
            return false;
        }
        self.offspring.note_environment(&self.environment, HOOK);
        self.offspring.look(Depth::Deep).is_ok_and(|left| left.is_empty())
    }

    async fn are_gone_within(&mut self, patience: Duration, again: impl Fn(&mut Self)) -> bool {
        let begun = Instant::now();
        loop {
            again(self);
            if self.are_gone() {
                return true;
            }
            if begun.elapsed() >= patience {
                return false;
            }
            tokio::time::sleep(GROUP_POLL.max(begun.elapsed() / 16)).await;
        }
    }
}
