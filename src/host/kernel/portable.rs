//! Owns the portable path, for macOS: `ps`, but no /proc, no pidfd, nothing that only one system
//! has. Where something cannot be done this way, the function says what follows from that.

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::{self, Read as _},
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    },
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::kill,
    time::{ClockId, clock_gettime},
    unistd::{Pid, ttyname},
};

use crate::core::machine::process::{self, Process, ProcessId, Role};

/// This machine's memory is not watched: on a Mac it is not the host's. A build's peak is that of
/// its largest process, from getrusage(2).
pub const IS_SAMPLED: bool = false;
/// How often a group may be looked at: `ps` takes some 10 ms.
pub const GROUP_POLL: Duration = Duration::from_millis(100);
/// By its path, because another `ps` in PATH may print something else.
const PS: &str = "/bin/ps";

/// Gives `None`: the kernel has no such files here.
#[must_use]
pub fn proc_file(_path: &str) -> Option<String> {
    None
}

/// Opens what a descriptor refers to again, for writing without waiting, as a description of our
/// own whose flags nobody shares. On macOS `/dev/fd` gives the same description again, so this
/// works only for a terminal, by its name.
///
/// # Errors
/// ENOTTY for anything that is not a terminal, and what ttyname(3) and open(2) say.
pub fn reopen_to_write(fd: BorrowedFd<'_>) -> io::Result<File> {
    File::options().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(ttyname(fd)?)
}

/// Looks at a process, if it exists.
///
/// # Errors
/// If `ps` does not answer; then nothing is known.
pub fn process(pid: i32) -> io::Result<Option<Process>> {
    if nobody_is(pid) {
        return Ok(None);
    }
    let listed = ps(&["-p", &format!("{pid},{}", std::process::id())])?;
    Ok(listed.into_iter().find(|process| process.pid == pid))
}

/// Lists the members of a process group, zombies included.
///
/// # Errors
/// As [`process`].
pub fn group(group: i32) -> io::Result<impl Iterator<Item = Process>> {
    // `ps` is needed only to tell zombies, and those have nearly always been reaped by now.
    let listed = if nobody_is(-group) { vec![] } else { ps(&["-A"])? };
    Ok(listed.into_iter().filter(move |process| process.group == group))
}

/// Lists all processes, zombies included.
///
/// # Errors
/// As [`process`].
pub fn all() -> io::Result<Vec<Process>> {
    ps(&["-A"])
}

/// Gives `None`: not known. Whoever is left is found by `ps`, in the child's group and below the
/// child as long as the parents in between live.
#[must_use]
pub fn own_children() -> Option<Vec<i32>> {
    None
}

/// Gives none: other processes' environments cannot be read here.
#[must_use]
pub fn with_environment(_entry: &str, _without: &str) -> Vec<i32> {
    vec![]
}

/// Tells which of these are makeroom's own processes, by the arguments that `ps` shows; there is
/// nothing better.
///
/// # Errors
/// As [`process`].
pub fn roles(pids: &[i32]) -> io::Result<BTreeMap<i32, Role>> {
    let role = |line: &str| {
        let (pid, words) = line.trim_start().split_once(' ')?;
        let mut words = words.split_ascii_whitespace();
        let is_ours = words.next()?.rsplit('/').next() == Some("makeroom");
        let role = if words.eq(["keeper"]) { Role::Keeper } else { Role::Supervisor };
        Some((pid.parse().ok().filter(|_| is_ours)?, role))
    };
    let pids = pids
        .iter()
        .chain([&std::process::id().cast_signed()])
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    Ok(printed(&["-p", &pids], &["-o", "pid=", "-o", "args="])?.lines().filter_map(role).collect())
}

/// Sends a signal to this process if it is still the same one. Between the look and the signal
/// another one can get its pid.
///
/// # Errors
/// ESRCH if it is gone or cannot be looked at; EPERM.
pub fn send(process: ProcessId, signal: i32) -> nix::Result<()> {
    let seen = self::process(process.pid).ok().flatten().ok_or(Errno::ESRCH)?;
    if seen.start != process.start_ticks {
        return Err(Errno::ESRCH);
    }
    // SAFETY: only sends a signal; real-time signals have no name in nix.
    Errno::result(unsafe { libc::kill(process.pid, signal) }).map(drop)
}

/// Gives `None`: only SIGCHLD tells that a child has ended.
#[must_use]
pub fn end_of(_child: i32) -> Option<OwnedFd> {
    None
}

/// Opens a descriptor that becomes readable when this process ends, whoever's child it is:
/// kqueue(2), `EVFILT_PROC`. `None` on Linux, where only the tests of this path run.
#[must_use]
#[cfg(target_os = "macos")]
pub fn end_of_other(pid: i32) -> Option<OwnedFd> {
    use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
    let queue = Kqueue::new().ok()?;
    let end = KEvent::new(
        usize::try_from(pid).ok()?,
        EventFilter::EVFILT_PROC,
        EvFlags::EV_ADD,
        FilterFlag::NOTE_EXIT,
        0,
        0,
    );
    queue.kevent(&[end], &mut [], None).ok()?;
    Some(queue.into())
}

/// See there.
#[must_use]
#[cfg(not(target_os = "macos"))]
pub fn end_of_other(_pid: i32) -> Option<OwnedFd> {
    None
}

/// The name of a process's program, without its path.
#[must_use]
pub fn name_of(pid: i32) -> Option<String> {
    let path = printed(&["-p", &pid.to_string()], &["-o", "comm="]).ok()?;
    let name = path.trim().rsplit('/').next().unwrap_or_default();
    // A login shell's begins with a dash.
    Some(name.trim_start_matches('-').to_owned())
}

/// Tells whether nobody has this pid, or, if it is negative, nobody is in this group. Anything but
/// ESRCH may be somebody; macOS says EPERM for a group of zombies.
fn nobody_is(target: i32) -> bool {
    kill(Pid::from_raw(target), None) == Err(Errno::ESRCH)
}

/// Runs `ps`. Its answer must contain this process: one that was cut short must not pass for a
/// machine on which nobody is left.
fn ps(which: &[&str]) -> io::Result<Vec<Process>> {
    let listed = process::read(&printed(which, &process::COLUMNS)?);
    let own = std::process::id().cast_signed();
    if listed.iter().any(|process| process.pid == own) {
        Ok(listed)
    } else {
        Err(io::Error::other("ps gives no list"))
    }
}

fn printed(which: &[&str], columns: &[&str]) -> io::Result<String> {
    let mut command = Command::new(PS);
    command.args(which).args(columns).env_clear().envs([("LC_ALL", "C"), ("TZ", "UTC0")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // Ctrl-C and Ctrl-Z are meant for the build, not for `ps`.
    let mut ps = command.process_group(0).spawn()?;
    let mut table = String::new();
    let printed = ps.stdout.take().map_or(Ok(0), |mut out| out.read_to_string(&mut table));
    // If SIGCHLD is ignored there is nothing to wait for, and the answer is complete all the same.
    let _ = ps.wait();
    printed.map(|_| table)
}

/// Gives 0: there is no cheap way, see [`IS_SAMPLED`].
#[must_use]
pub fn resident_below(_except: Option<i32>, _see: impl FnMut(i32)) -> u64 {
    0
}

/// Does nothing: build and keeper are as likely victims as any process.
pub fn set_oom_score(_adjustment: &str) {}

/// Does nothing: what the build leaves behind goes to the first process, which reaps it. It is
/// still seen by its group.
pub fn become_subreaper(_is_one: bool) {}

/// Does nothing: the limit on a core's size is all that is needed.
pub fn leave_no_core() {}

/// The path for starting this program again. After an upgrade it leads to the new file.
///
/// # Errors
/// If the system does not tell.
pub fn own_program() -> io::Result<PathBuf> {
    env::current_exe()
}

/// Time since some moment, sleep included on macOS (clock_gettime(3) there).
#[must_use]
pub fn time_since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
