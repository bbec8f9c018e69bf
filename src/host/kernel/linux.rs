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

use crate::core::{
    machine::process::{Process, ProcessId, Role},
    run::wire::JOURNAL_FD,
};

/// Whether memory and processes can be watched at next to no cost.
pub const IS_SAMPLED: bool = true;
/// How often a group may be looked at.
pub const GROUP_POLL: Duration = Duration::from_millis(20);
/// More processes than any build has, so that a fork bomb does not take the supervisor with it.
const MOST_PROCESSES: usize = 4096;

/// Reads a file of the kernel's, if it exists.
#[must_use]
pub fn proc_file(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Opens what a descriptor refers to again, for writing without waiting, as a description of our
/// own whose flags nobody shares (open(2), proc_pid_fd(5)).
///
/// # Errors
/// What open(2) says: ENXIO for a socket or a FIFO that nobody reads, EACCES for somebody else's
/// file.
pub fn reopen_to_write(fd: BorrowedFd<'_>) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    File::options().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Looks at a process, if it exists.
///
/// # Errors
/// None on this path.
pub fn process(pid: i32) -> io::Result<Option<Process>> {
    Ok(stat(pid))
}

/// Lists the members of a process group, zombies included.
///
/// # Errors
/// None on this path.
pub fn group(group: i32) -> io::Result<impl Iterator<Item = Process>> {
    Ok(pids().filter_map(stat).filter(move |process| process.group == group))
}

/// Lists all processes, zombies included.
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

/// Lists this process's own children, zombies included; `None` if that is not known. Nobody else
/// can remove a child from this list, so one that is missing is gone.
#[must_use]
pub fn own_children() -> Option<Vec<i32>> {
    Some(children_of("self"))
}

/// Lists the processes that were started with this entry in their environment and without a
/// variable named `without`. Sees only this user's processes, or all as root, and only those of our
/// own pid namespace.
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

/// Tells which of these are makeroom's own processes, and of which role: by the program file, or,
/// for a keeper of another version, by its arguments and its journal.
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
    // The journal is deleted with its lease, and the link then says so at its end.
    journal.to_string_lossy().trim_end_matches(" (deleted)").ends_with(".journal")
}

/// Sends a signal to this very process, never to one that got its pid later.
///
/// # Errors
/// ESRCH if it is gone; EPERM.
pub fn send(process: ProcessId, signal: i32) -> nix::Result<()> {
    // SAFETY: no memory is passed; nobody else owns the descriptor that comes back (pidfd_open(2),
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

/// Opens a descriptor that becomes readable when this child ends; `None` before Linux 5.3.
#[must_use]
pub fn end_of(child: i32) -> Option<OwnedFd> {
    // SAFETY: as in `send`. A child that was not waited for keeps its pid.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) }).ok()?;
    // SAFETY: as in `send`.
    Some(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).ok()?) })
}

/// The same for a process that is no child: whoever opens it looks afterwards whether it is still
/// the one that was meant.
#[must_use]
pub fn end_of_other(pid: i32) -> Option<OwnedFd> {
    end_of(pid)
}

/// The name of a process's program, cut as the kernel keeps it: proc_pid_comm(5).
#[must_use]
pub fn name_of(pid: i32) -> Option<String> {
    Some(proc_file(&format!("/proc/{pid}/comm"))?.trim_end().to_owned())
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

/// Sums up the RSS of everything below this process, in bytes. As the subreaper it also has what
/// the build left behind. `except` is a child that is not part of the build; `see` gets each pid.
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
    // The second field, in pages (proc_pid_statm(5)); a process that is gone has none.
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

/// Lists a process's children; the kernel lists them by the thread that forked them.
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

/// Sets how likely the OOM killer is to choose this process (proc_pid_oom_score_adj(5)). Everyone
/// may raise the value; lowering it needs CAP_SYS_RESOURCE, without which it stays as it is.
pub fn set_oom_score(adjustment: &str) {
    if let Ok(mut file) = File::options().write(true).open("/proc/self/oom_score_adj") {
        let _ = file.write_all(adjustment.as_bytes());
    }
}

/// Makes processes that the build leaves behind our children, so that they can be seen and reaped.
pub fn become_subreaper(is_one: bool) {
    // Since Linux 3.4.
    let _ = set_child_subreaper(is_one);
}

/// Makes this process leave no core dump, even to a program that the kernel pipes cores to, for
/// which the size limit does not count (core(5)).
pub fn leave_no_core() {
    let _ = set_dumpable(false);
}

/// The path for starting this program again.
///
/// # Errors
/// None on this path.
pub fn own_program() -> io::Result<PathBuf> {
    // Names the running program itself, even if an upgrade has replaced its file since.
    Ok("/proc/self/exe".into())
}

/// Time since boot, sleep included.
#[must_use]
pub fn time_since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
