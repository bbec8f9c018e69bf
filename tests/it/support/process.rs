//! Owns looking at processes of this machine through /proc, for the tests.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Write as _,
    fs,
    os::{
        fd::{AsFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::PathBuf,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::wait_until;

/// The fields of `/proc/PID/stat` that tests look at (proc_pid_stat(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Field 3.
    pub state: char,
    /// Field 4.
    pub parent: i32,
    /// Field 5.
    pub group: i32,
    /// Field 6.
    pub session: i32,
}

/// A process's stat, where there is such a process.
#[must_use]
pub fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and can hold anything.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    let mut number = || fields.next()?.parse().ok();
    Some(Stat { state, parent: number()?, group: number()?, session: number()? })
}

/// Whether it runs; a zombie does not.
#[must_use]
pub fn runs(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Waits until it has ended, at most so long; tells whether it has. It is this process's child, or
/// nobody has waited for it yet.
///
/// # Panics
/// Where there is no such process.
#[must_use]
pub fn has_ended_within(pid: i32, limit: Duration) -> bool {
    // SAFETY: the system call has no memory to get wrong, and gives a descriptor of our own.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let opened = i32::try_from(opened).ok().filter(|&fd| fd >= 0).expect("a process");
    // SAFETY: as above.
    let process = unsafe { OwnedFd::from_raw_fd(opened) };
    let end = Instant::now() + limit;
    loop {
        let left = PollTimeout::try_from(end.saturating_duration_since(Instant::now()));
        let mut ends = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ends, left.unwrap_or(PollTimeout::MAX)) {
            Err(Errno::EINTR) => {}
            ended => return ended.expect("a wait") > 0,
        }
    }
}

/// Waits until it has gone to sleep so many times more: whatever it does each time that it wakes it
/// has done by then.
#[track_caller]
pub fn wait_for_turns(pid: i32, count: u64) {
    let turns = || -> u64 {
        status(pid, "voluntary_ctxt_switches").and_then(|text| text.parse().ok()).expect("it runs")
    };
    let end = turns() + count;
    wait_until("it has gone to sleep again", || turns() >= end);
}

/// One field of `/proc/PID/status`.
#[must_use]
pub fn status(pid: i32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines()
        .find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
}

/// All processes.
#[must_use]
pub fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// What a link below `/proc/PID` points to: `exe`, `cwd`.
#[must_use]
pub fn link(pid: i32, name: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/{name}")).ok()
}

/// The open descriptors and what they are.
#[must_use]
pub fn descriptors(pid: i32) -> BTreeMap<i32, String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeMap::new() };
    let named = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        Some((
            entry.file_name().to_str()?.parse().ok()?,
            fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned(),
        ))
    });
    named.collect()
}

/// The environment that it was started with.
#[must_use]
pub fn environment(pid: i32) -> Vec<OsString> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes
        .split(|&byte| byte == 0)
        .filter(|entry| !entry.is_empty())
        .map(|entry| OsString::from_vec(entry.to_vec()))
        .collect()
}

/// The processes whose environment holds this entry: what was started by one test, and all that it
/// started.
#[must_use]
pub fn with_environment(entry: &str) -> Vec<i32> {
    let own = std::process::id().cast_signed();
    let has =
        |pid: &i32| environment(*pid).iter().any(|found| found.as_bytes() == entry.as_bytes());
    all().into_iter().filter(|&pid| pid != own).filter(has).collect()
}

/// Sends a signal to one process that the tests started.
pub fn signal(pid: i32, signal: i32) {
    assert!(pid > 1, "no process: {pid}");
    // SAFETY: kill has no memory to get wrong. It may be gone already, which is fine.
    unsafe { libc::kill(pid, signal) };
}

/// Sends a signal to a group that a test made.
pub fn signal_group(leader: i32, signal: i32) {
    assert!(leader > 1, "no group: {leader}");
    // SAFETY: as above.
    unsafe { libc::kill(-leader, signal) };
}

/// A table of these processes, for a failure's report.
#[must_use]
pub fn table(pids: &[i32]) -> String {
    let mut text = String::new();
    for &pid in pids {
        let Some(stat) = stat(pid) else { continue };
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        let Stat { state, parent, group, session } = stat;
        let _ = writeln!(
            text,
            "{pid:>8} {state} parent {parent} group {group} session {session}  {words}"
        );
    }
    text
}
