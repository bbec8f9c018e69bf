//! Owns ending what descends from the child, in its group or not, once makeroom ends the build. A
//! build that ends by itself is none of its business: a daemon that it leaves is left on purpose.
//! Runs in the supervisor.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    core::machine::process::{Process, ProcessId},
    host::{
        kernel::GROUP_POLL,
        offspring::{Depth, Offspring, send},
    },
    supervise::{processor_time::processor_time, timers::LEAVE_BEHIND},
};

/// One part in so many of a core is what looking may cost.
const COST_PART: u32 = 4;

/// So often it is looked who is left, before it is said that nobody is.
const MOST_LOOKS: usize = 4;

/// So many pids fit into a line.
const MOST_NAMED: usize = 10;

/// The descendants of a child that is being ended.
#[derive(Debug, Default)]
pub(super) struct Descendants {
    /// When to look next whether anybody is left, where that is waited for.
    due: Option<Instant>,
    /// The sessions that are no part of the build: those of the keepers so far.
    keepers: Vec<i32>,
    offspring: Option<Offspring>,
    /// Who was told to end.
    told: BTreeSet<(i32, u64)>,
    is_killed: bool,
}

impl Descendants {
    /// Takes note of a keeper: it is a child of ours as well, but no part of the build.
    pub(super) fn leave_out(&mut self, keeper: i32) {
        self.keepers.push(keeper);
    }

    /// Whether the build is being ended.
    pub(super) fn is_ending(&self) -> bool {
        self.offspring.is_some()
    }

    /// When to look next, if ever.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Looks from now on whether anybody is left.
    pub(super) fn watch(&mut self) {
        self.due = Some(Instant::now());
    }

    /// Somebody ended: looks at once, where it is looked at all.
    pub(super) fn look_soon(&mut self) {
        self.due = self.due.map(|_| Instant::now());
    }

    /// Sends SIGTERM to what left the group; what was stopped goes on, so that it can end.
    pub(super) fn end(&mut self, child: ProcessId) {
        self.offspring.get_or_insert_with(Offspring::below_us).note(child);
        for process in self.look(Depth::Shallow) {
            // The group has the signal already.
            if process.group != child.pid {
                send(process.id(), libc::SIGTERM);
            }
            if process.is_stopped {
                send(process.id(), libc::SIGCONT);
            }
            self.told.insert((process.pid, process.start));
        }
    }

    /// Kills the group and all else that descends from the child.
    pub(super) fn kill(&mut self, child: ProcessId) {
        self.is_killed = true;
        self.look(Depth::Deep);
        // The group is signalled in any case.
        let _ = self.offspring.as_mut().map(Offspring::kill);
        signal_group(child, libc::SIGKILL);
    }

    /// Looks, if it is time, and ends who came since; gives whether nobody is left. Not at every
    /// wake-up: a look can have a process of its own, whose end is a wake-up.
    pub(super) fn are_gone(&mut self, child: ProcessId) -> bool {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return false;
        }
        let used_before = processor_time();
        let left = self.look(Depth::Deep);
        if left.is_empty()
            && self.offspring.as_ref().is_none_or(|offspring| offspring.is_gone(child))
        {
            self.due = None;
            return true;
        }
        if self.is_killed {
            self.kill(child);
        } else {
            // Come since, or come to us from a makeroom that has ended.
            for process in self.look(Depth::Shallow) {
                if self.told.insert((process.pid, process.start)) {
                    send(process.id(), libc::SIGTERM);
                    send(process.id(), libc::SIGCONT);
                }
            }
        }
        let cost = processor_time().saturating_sub(used_before) * COST_PART;
        self.due = Some(Instant::now() + GROUP_POLL.max(cost).min(Duration::from_secs(1)));
        false
    }

    /// Who does not even die of SIGKILL, as a line with its hint; `None` where nobody is left.
    pub(super) fn survivors(&mut self) -> Option<(String, String)> {
        // Who forks while it is looked for is missed now and then.
        let mut looks = (0..MOST_LOOKS).map(|_| self.look(Depth::Deep));
        let left = looks.find(|left| !left.is_empty())?;
        let pids = left.iter().take(MOST_NAMED).map(|process| process.pid.to_string());
        let pids = pids.collect::<Vec<_>>().join(",");
        let line = format!(
            "SIGKILL has not ended all of the build: {} left after {} s",
            left.len(),
            LEAVE_BEHIND.as_secs()
        );
        Some((line, format!("`ps -fp {pids}` shows them")))
    }

    /// Who is left; nobody where that cannot be seen.
    fn look(&mut self, depth: Depth) -> Vec<Process> {
        let offspring = self.offspring.get_or_insert_with(Offspring::below_us);
        for &keeper in &self.keepers {
            offspring.leave_out(keeper);
        }
        offspring.look(depth).unwrap_or_default()
    }
}

/// Sends a signal to the child's process group.
pub(super) fn signal_group(child: ProcessId, signal: i32) {
    // SAFETY: only sends a signal; ESRCH means that the group is empty already.
    unsafe { libc::killpg(child.pid, signal) };
}
