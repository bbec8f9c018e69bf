//! Owns the Linux path: /proc, and the calls that only Linux has.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Write as _},
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::prctl::{set_child_subreaper, set_dumpable},
    time::{ClockId, clock_gettime},
    unistd::{SysconfVar, sysconf},
};
use procfs_core::{FromRead as _, process::Stat};

use crate::{
    core::machine::process::{Process, ProcessId},
    host::kernel::{JOURNAL_FD, Role},
};

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

/// Opens what a descriptor refers to once more, to write to it without waiting: as a description of
/// our own, whose flags nobody shares (open(2), proc_pid_fd(5)).
///
/// # Errors
/// What open(2) says: ENXIO of a FIFO that nobody reads and of a socket, EACCES of what is somebody
/// else's.
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
    Ok(pids().filter_map(stat).filter(move |process| process.group == group))
}

/// All processes, zombies included.
///
/// # Errors
/// None on this path.
pub fn all() -> io::Result<Vec<Process>> {
    Ok(pids().filter_map(stat).collect())
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// This process's own children, zombies included; `None` where that is not known. No other process
/// can make one vanish from the list, so one that is missing in it is gone.
#[must_use]
pub fn own_children() -> Option<Vec<i32>> {
    Some(children_of("self"))
}

/// The processes whose environment held this entry when they were started, and no variable of the
/// name `without`: those that may be looked at, which are this user's, and all for root; and of
/// those only the ones with our pids, not a container's.
#[must_use]
pub fn with_environment(entry: &str, without: &str) -> Vec<i32> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace("self");
    let has = |pid: &i32| {
        let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut entries = bytes.split(|&byte| byte == 0);
        let is_other = |found: &[u8]| {
            found.strip_prefix(without.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
        };
        entries.clone().any(|found| found == entry.as_bytes())
            && !entries.any(is_other)
            && namespace(&pid.to_string()) == own
    };
    pids().filter(has).collect()
}

/// Which of these are makeroom's own processes, and what they are: by the program itself, or by the
/// words and the journal of a keeper, which can be another version's.
///
/// # Errors
/// None on this path.
pub fn roles(pids: &[i32]) -> io::Result<BTreeMap<i32, Role>> {
    let program = |pid: &str| {
        fs::metadata(format!("/proc/{pid}/exe")).ok().map(|file| (file.dev(), file.ino()))
    };
    let own = program("self");
    let role = |pid: i32| {
        let is_ours = own.is_some() && program(&pid.to_string()) == own;
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if words == b"makeroom\0keeper\0" && (is_ours || holds_journal(pid)) {
            Some(Role::Keeper)
        } else {
            is_ours.then_some(Role::Supervisor)
        }
    };
    Ok(pids.iter().filter_map(|&pid| Some((pid, role(pid)?))).collect())
}

fn holds_journal(pid: i32) -> bool {
    let journal = fs::read_link(format!("/proc/{pid}/fd/{JOURNAL_FD}")).unwrap_or_default();
    // Its name is gone when its lease is, and the link says so after it.
    journal.to_string_lossy().trim_end_matches(" (deleted)").ends_with(".journal")
}

/// Sends a signal to this very process: what has its pid later is never met.
///
/// # Errors
/// ESRCH where it is gone; EPERM.
pub fn send(process: ProcessId, signal: i32) -> nix::Result<()> {
    // SAFETY: no memory is passed; the descriptor that comes back is nobody else's (pidfd_open(2),
    // Linux 5.3).
    let opened = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, process.pid, 0) });
    let pidfd = opened.ok().and_then(|fd| i32::try_from(fd).ok()).map(|fd| {
        // SAFETY: as above.
        unsafe { OwnedFd::from_raw_fd(fd) }
    });
    if stat(process.pid).is_none_or(|seen| seen.start != process.start_ticks) {
        return Err(Errno::ESRCH);
    }
    let Some(pidfd) = pidfd else {
        // SAFETY: only sends a signal; real-time signals have no name in nix.
        return Errno::result(unsafe { libc::kill(process.pid, signal) }).map(drop);
    };
    // SAFETY: no siginfo is passed (pidfd_send_signal(2), Linux 5.1).
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<u8>(),
            0,
        )
    };
    Errno::result(sent).map(drop)
}

/// A descriptor that is readable when this child has ended; `None` where the kernel has none
/// (before 5.3).
#[must_use]
pub fn end_of(child: i32) -> Option<OwnedFd> {
    // SAFETY: as in `send`; a child that was not waited for is still itself.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) }).ok()?;
    // SAFETY: as in `send`.
    Some(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).ok()?) })
}

fn stat(pid: i32) -> Option<Process> {
    let file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let stat = Stat::from_read(BufReader::new(file)).ok()?;
    Some(Process {
        pid,
        parent: stat.ppid,
        group: stat.pgrp,
        start: stat.starttime,
        runs: !matches!(stat.state, 'Z' | 'X' | 'x'),
        is_stopped: stat.state == 'T',
    })
}

/// The RSS of everything below this process, in bytes: as the subreaper it has all that the build
/// left behind as well. `except` is a child that is no part of it; `see` is told of each pid.
#[must_use]
pub fn resident_below(except: Option<i32>, mut see: impl FnMut(i32)) -> u64 {
    let page_bytes =
        sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|bytes| u64::try_from(bytes).ok());
    let mut waiting = children_of("self");
    waiting.retain(|pid| Some(*pid) != except);
    let (mut pages, mut count) = (0, 0);
    while let Some(pid) = waiting.pop() {
        count += 1;
        if count > MOST_PROCESSES {
            break;
        }
        pages += resident_pages(pid);
        see(pid);
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
    let files = fs::read_dir(tasks)
        .into_iter()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    files
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
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
