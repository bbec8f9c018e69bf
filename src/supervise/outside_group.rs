//! Owns what is left of a build that makeroom ends: what descends from the child is ended with it,
//! in its group or not. A build that ends by itself is none of its business: a daemon that it
//! leaves is left on purpose. Part of the supervisor's loop in `drive`.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    core::{
        machine::process::Process,
        run::{session::Event, wire::ToKeeper},
        text,
    },
    host::{
        kernel::GROUP_POLL,
        offspring::{Depth, Offspring, send},
    },
    supervise::{
        event_loop::{EventLoop, REMAINS, STOPPED},
        watch::processor_time,
    },
};

/// One part in so many of a core is what looking may cost.
const COST_PART: u32 = 4;

/// So many pids fit into a line.
const MOST_NAMED: usize = 10;

/// What is left of the build.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// When to look next whether anybody is left, where that is waited for.
    pub(super) due: Option<Instant>,
    /// The keeper does not know yet who left the group.
    pub(super) are_strays_news: bool,
    /// The sessions of the keepers so far.
    pub(super) keepers: Vec<i32>,
    offspring: Option<Offspring>,
    /// Who was told to end.
    told: BTreeSet<(i32, u64)>,
    is_killed: bool,
}

impl Rest {
    pub(super) fn is_ending(&self) -> bool {
        self.offspring.is_some()
    }

    /// Who is left; nobody where that cannot be seen.
    fn look(&mut self, depth: Depth) -> Vec<Process> {
        let keepers = &self.keepers;
        let offspring = self.offspring.get_or_insert_with(Offspring::below_us);
        for &keeper in keepers {
            offspring.leave_out(keeper);
        }
        offspring.look(depth).unwrap_or_default()
    }
}

impl EventLoop<'_> {
    /// SIGTERM to what left the group; what was stopped goes on, so that it can end.
    pub(super) fn end_rest(&mut self) {
        let Some(child) = self.child else { return };
        if let Some(keeper) = &mut self.keeper {
            keeper.say(&ToKeeper::Ending);
        }
        self.rest.offspring.get_or_insert_with(Offspring::below_us).note(child);
        for process in self.rest.look(Depth::Shallow) {
            // The group has the signal already.
            if process.group != child.pid {
                send(process.id(), libc::SIGTERM);
            }
            if process.is_stopped {
                send(process.id(), libc::SIGCONT);
            }
            self.rest.told.insert((process.pid, process.start));
        }
    }

    pub(super) fn kill_build(&mut self) {
        let Some(child) = self.child else { return };
        self.rest.is_killed = true;
        self.rest.look(Depth::Deep);
        // The group is signalled in any case.
        let _ = self.rest.offspring.as_mut().map(Offspring::kill);
        // SAFETY: only sends a signal; ESRCH means that the group is empty already.
        unsafe { libc::killpg(child.pid, libc::SIGKILL) };
    }

    /// Not at every wake-up: a look can have a process of its own, whose end is a wake-up.
    pub(super) fn look_at_rest(&mut self) {
        let Some(child) =
            self.child.filter(|_| self.rest.due.is_some_and(|due| due <= Instant::now()))
        else {
            return;
        };
        let used_before = processor_time();
        let left = self.rest.look(Depth::Deep);
        if left.is_empty()
            && self.rest.offspring.as_ref().is_none_or(|offspring| offspring.is_gone(child))
        {
            self.rest.due = None;
            self.queue.push_back(Event::NobodyLeft);
            return;
        }
        if self.rest.is_killed {
            self.kill_build();
        } else {
            // Come since, or come to us from a makeroom that has ended.
            for process in self.rest.look(Depth::Shallow) {
                if self.rest.told.insert((process.pid, process.start)) {
                    send(process.id(), libc::SIGTERM);
                    send(process.id(), libc::SIGCONT);
                }
            }
        }
        let cost = processor_time().saturating_sub(used_before) * COST_PART;
        self.rest.due = Some(Instant::now() + GROUP_POLL.max(cost).min(Duration::from_secs(1)));
    }

    /// Who does not even die of SIGKILL, for a person.
    pub(super) fn say_who_remains(&mut self) {
        let left = self.rest.look(Depth::Deep);
        if !left.is_empty() {
            let pids = left
                .iter()
                .take(MOST_NAMED)
                .map(|process| process.pid.to_string())
                .collect::<Vec<_>>()
                .join(",");
            let line = format!(
                "SIGKILL has not ended all of the build: {} left after {} s",
                left.len(),
                REMAINS.as_secs()
            );
            self.say.warning(line, Some(&format!("`ps -fp {pids}` shows them")));
        }
    }

    pub(super) fn say_stopped(&mut self) {
        let (held, Some(child)) = (self.held(), self.child) else { return };
        if held > 0 {
            let line = stopped_line(held);
            self.say.warning(line, Some(&format!("`kill -CONT -- -{}` lets it go on", child.pid)));
        }
    }
}

fn stopped_line(held: usize) -> String {
    let (services, stay) = (text::count(held, "service"), if held == 1 { "stays" } else { "stay" });
    format!(
        "the build is stopped (SIGSTOP) since {} s, and {services} {stay} paused",
        STOPPED.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_somebody_stopped_is_said_with_what_it_keeps_paused() {
        assert_eq!(
            stopped_line(3),
            "the build is stopped (SIGSTOP) since 30 s, and 3 services stay paused"
        );
        assert_eq!(
            stopped_line(1),
            "the build is stopped (SIGSTOP) since 30 s, and 1 service stays paused"
        );
    }
}
