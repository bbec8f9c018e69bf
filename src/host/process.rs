//! Owns looking at processes of this machine: who is who, by pid and start time, and who is left in
//! a group. Never goes by the bare pid, which may belong to another process by now.

use crate::{core::machine::process::ProcessId, host::kernel};

/// Identifies a process, so that it is not mistaken for one that gets its pid later.
#[must_use]
pub fn identify(pid: i32) -> Option<ProcessId> {
    kernel::process(pid).ok().flatten().map(|process| ProcessId { pid, start_ticks: process.start })
}

/// Tells whether this very process still runs. A zombie does not; one that cannot be looked at
/// does.
#[must_use]
pub fn is_alive(process: ProcessId) -> bool {
    let Ok(seen) = kernel::process(process.pid) else { return true };
    seen.is_some_and(|seen| seen.start == process.start_ticks && seen.runs)
}

/// Tells whether anybody in the group that this process leads, or led, still runs. `kill(-pgid, 0)`
/// would count zombies that nobody may ever reap. A group that cannot be looked at counts as not
/// empty.
#[must_use]
pub fn group_is_alive(leader: ProcessId) -> bool {
    let Ok(mut members) = kernel::group(leader.pid) else { return true };
    // The kernel does not reuse the number as long as a member of our group lives, so all members
    // of a later group are younger than our leader.
    members.any(|member| member.start >= leader.start_ticks && member.runs)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt as _, process::Command};

    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_pid() {
        let own = identify(std::process::id().cast_signed()).expect("this process");
        assert!(is_alive(own));
        assert!(!is_alive(ProcessId { start_ticks: own.start_ticks + 1, ..own }));
    }

    #[test]
    fn a_zombie_does_not_run() {
        let mut child = Command::new("true").spawn().expect("true");
        let zombie = identify(child.id().cast_signed()).expect("a child");
        while kernel::process(zombie.pid).expect("a look").is_some_and(|process| process.runs) {
            std::thread::yield_now();
        }
        assert!(!is_alive(zombie));
        child.wait().expect("reaped");
    }

    #[test]
    fn a_group_lives_as_long_as_one_member_runs() {
        let mut leader = Command::new("sleep").arg("60").process_group(0).spawn().expect("sleep");
        let id = identify(leader.id().cast_signed()).expect("a child");
        assert!(group_is_alive(id));
        assert!(
            !group_is_alive(ProcessId { start_ticks: id.start_ticks + 100_000, ..id }),
            "no member is that young"
        );
        leader.kill().expect("killed");
        while kernel::process(id.pid).expect("a look").is_some_and(|process| process.runs) {
            std::thread::yield_now();
        }
        assert!(!group_is_alive(id), "a zombie alone is nobody");
        leader.wait().expect("reaped");
        assert!(!group_is_alive(id));
    }
}
