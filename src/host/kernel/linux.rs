//! Owns the Linux path: /proc, and the calls that only Linux has.

use std::{
    fs::{self, File},
    io::{self, BufReader, Write as _},
    os::{
        fd::{AsRawFd as _, BorrowedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::prctl::{set_child_subreaper, set_dumpable},
    time::{ClockId, clock_gettime},
    unistd::{SysconfVar, sysconf},
};
use procfs_core::{FromRead as _, process::Stat};

use crate::core::process::Process;

/// Whether memory and processes can be watched at next to no cost.
pub const IS_SAMPLED: bool = true;
/// How often a group may be asked for.
pub const GROUP_POLL: Duration = Duration::from_millis(20);
/// More processes than a build has; a fork bomb must not take the supervisor with it.
const MOST_PROCESSES: usize = 4096;

/// A file of the kernel's, where there is such a file.
#[must_use]
pub fn proc_file(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Opens what a descriptor refers to once more, to write to it without waiting: as a description of our own, whose
/// flags nobody shares (open(2), proc_pid_fd(5)).
///
/// # Errors
/// What open(2) says: ENXIO of a FIFO that nobody reads and of a socket, EACCES of what is somebody else's.
pub fn reopen_to_write(fd: BorrowedFd<'_>) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    File::options().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// A process, where there is such a process.
///
/// # Errors
/// None on this path.
pub fn process(pid: i32) -> io::Result<Option<Process>> {
    Ok(stat(pid))
}

/// The members of a process group, zombies included.
///
/// # Errors
/// None on this path.
pub fn group(group: i32) -> io::Result<impl Iterator<Item = Process>> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    Ok(pids.filter_map(stat).filter(move |process| process.group == group))
}

fn stat(pid: i32) -> Option<Process> {
    let file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let stat = Stat::from_read(BufReader::new(file)).ok()?;
    Some(Process { pid, group: stat.pgrp, start: stat.starttime, runs: !matches!(stat.state, 'Z' | 'X' | 'x') })
}

/// The RSS of everything below this process, in bytes: as the subreaper it has all that the build
/// left behind as well. `except` is a child that is no part of it.
#[must_use]
pub fn resident_below(except: Option<i32>) -> u64 {
    let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|bytes| u64::try_from(bytes).ok());
    let mut waiting = children_of("self");
    waiting.retain(|pid| Some(*pid) != except);
    let (mut pages, mut count) = (0, 0);
    while let Some(pid) = waiting.pop() {
        count += 1;
        if count > MOST_PROCESSES {
            break;
        }
        pages += resident_pages(pid);
        waiting.extend(children_of(&pid.to_string()));
    }
    pages * page_bytes.unwrap_or(4096)
}

fn resident_pages(pid: i32) -> u64 {
    // The second field, in pages (proc_pid_statm(5)). A process that is gone has none.
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

/// A process's children are listed with the thread that forked them.
fn children_of(process: &str) -> Vec<i32> {
    let tasks = Path::new("/proc").join(process).join("task");
    let files = fs::read_dir(tasks).into_iter().flatten().filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    files.flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Sets how willing a victim of the OOM killer this process is (proc_pid_oom_score_adj(5)). Raising
/// is allowed to everyone, lowering needs CAP_SYS_RESOURCE; without it all stays as it is.
pub fn set_oom_score(adjustment: &str) {
    if let Ok(mut file) = File::options().write(true).open("/proc/self/oom_score_adj") {
        let _ = file.write_all(adjustment.as_bytes());
    }
}

/// Processes that the build leaves behind become ours, so that they can be seen and reaped.
pub fn become_subreaper(is_one: bool) {
    // Since Linux 3.4.
    let _ = set_child_subreaper(is_one);
}

/// This process leaves no core, even to a program that the kernel pipes cores to: the limit on
/// their size does not hold for it (core(5)).
pub fn leave_no_core() {
    let _ = set_dumpable(false);
}

/// This program, to be started again.
///
/// # Errors
/// None on this path.
pub fn own_program() -> io::Result<PathBuf> {
    // Names the running program itself, even where its file was replaced by an upgrade since.
    Ok("/proc/self/exe".into())
}

/// Time since boot, sleep included.
#[must_use]
pub fn time_since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
