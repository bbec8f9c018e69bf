//! Owns looking at processes of this machine: who is who, by pid and start time, and who is left
//! in a group. Never a bare pid: it may belong to somebody else by now.

use std::{fs, io::BufReader};

use procfs_core::{FromRead as _, process::Stat};

use crate::core::record::ProcessId;

/// A process's stat, where there is such a process.
#[must_use]
pub fn stat(pid: i32) -> Option<Stat> {
    let file = fs::File::open(format!("/proc/{pid}/stat")).ok()?;
    Stat::from_read(BufReader::new(file)).ok()
}

/// Tells a process from any other that gets its pid later.
#[must_use]
pub fn identify(pid: i32) -> Option<ProcessId> {
    stat(pid).map(|stat| ProcessId { pid, start_ticks: stat.starttime })
}

/// Whether this very process still runs; a zombie does not.
#[must_use]
pub fn is_alive(process: ProcessId) -> bool {
    stat(process.pid).is_some_and(|stat| stat.starttime == process.start_ticks && runs(&stat))
}

/// Whether anybody in the group that this process leads, or led, still runs. `kill(-pgid, 0)` would
/// count zombies, which nobody may ever reap.
#[must_use]
pub fn group_is_alive(leader: ProcessId) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    // A later group with the same number has only members that are younger than a leader of its own;
    // as long as one of ours lives, the kernel does not give the number away.
    pids.filter_map(stat).any(|stat| stat.pgrp == leader.pid && stat.starttime >= leader.start_ticks && runs(&stat))
}

fn runs(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X' | 'x')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

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
        while stat(zombie.pid).is_some_and(|stat| stat.state != 'Z') {
            std::thread::yield_now();
        }
        assert!(!is_alive(zombie));
        child.wait().expect("reaped");
    }
}
