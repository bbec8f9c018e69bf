//! Owns looking at processes of this machine: who is who, by pid and start time, and who is left
//! in a group. Never a bare pid: it may belong to somebody else by now.

use crate::{core::machine::process::ProcessId, host::kernel};

/// Tells a process from any other that gets its pid later.
#[must_use]
pub fn identify(pid: i32) -> Option<ProcessId> {
    kernel::process(pid).ok().flatten().map(|process| ProcessId { pid, start_ticks: process.start })
}

/// Whether this very process still runs; a zombie does not. One that cannot be looked at does.
#[must_use]
pub fn is_alive(process: ProcessId) -> bool {
    let Ok(seen) = kernel::process(process.pid) else { return true };
    seen.is_some_and(|seen| seen.start == process.start_ticks && seen.runs)
}

/// Whether anybody in the group that this process leads, or led, still runs. `kill(-pgid, 0)` would
/// count zombies, which nobody may ever reap. A group that cannot be looked at is not empty.
#[must_use]
pub fn group_is_alive(leader: ProcessId) -> bool {
    let Ok(mut members) = kernel::group(leader.pid) else { return true };
    // A later group with the same number has only members that are younger than a leader of its
    // own; as long as one of ours lives, the kernel does not give the number away.
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
