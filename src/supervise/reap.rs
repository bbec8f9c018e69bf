//! Owns taking note of every child that ended, stopped or was continued: the build's own, and, as
//! the subreaper, whatever its processes left behind. That can be thousands, and must cost next to
//! nothing. Runs in the supervisor.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::errno::Errno;

use crate::{
    core::run::exit::Exit,
    host::kernel::{end_of, own_children},
    supervise::{processor_time::processor_time, signals::Signals},
};

/// One part in so many of a core is what reaping may cost.
const COST_PART: u32 = 800;
/// A wait for any child goes through all of them (do_wait in the kernel's exit.c); one that takes
/// longer went through too many. For a pid that is known it is a look (Linux 5.13).
const LONG: Duration = Duration::from_micros(50);
/// What the build leaves behind ends unheard for so long after one that did.
const QUIET: Duration = Duration::from_millis(100);

/// What became of the build's own child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChildChange {
    /// It was stopped by this signal.
    Stopped(i32),
    Continued,
    /// It ended. `largest_bytes` is the largest RSS of any one process among it and the descendants
    /// that it has waited for.
    Ended {
        exit: Exit,
        largest_bytes: u64,
    },
}

/// What is known of children that may have ended.
#[derive(Debug, Default)]
pub(super) struct Reaping {
    /// The build's own, until it is reaped.
    child: Option<i32>,
    /// Readable when it has ended.
    child_end: Option<OwnedFd>,
    /// Some child changed its state.
    is_wanted: bool,
    /// Before that, only the build's own is looked at.
    not_before: Option<Instant>,
    /// Until when SIGCHLD is held back.
    quiet_until: Option<Instant>,
}

impl Reaping {
    /// There is a child, which is not reaped yet.
    pub(super) fn begin(&mut self, child: i32) {
        self.child = Some(child);
        self.child_end = end_of(child);
    }

    /// SIGCHLD came: some child changed its state.
    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// When there is something to do, if ever.
    pub(super) fn due(&self) -> Option<Instant> {
        self.quiet_until.or(self.not_before.filter(|_| self.is_wanted))
    }

    /// What is readable when the build's own child has ended.
    pub(super) fn child_end(&self) -> Option<BorrowedFd<'_>> {
        self.child_end.as_ref().map(OwnedFd::as_fd)
    }

    /// Lets SIGCHLD come again where it was held back for long enough, or the build does not run
    /// any more.
    pub(super) fn listen_again(&mut self, is_running: bool, signals: &Signals) {
        if self.quiet_until.is_some_and(|until| until <= Instant::now() || !is_running) {
            self.quiet_until = None;
            signals.hold_back_children(false);
        }
    }

    /// What became of the build's own child.
    pub(super) fn reap_child(&mut self) -> Vec<ChildChange> {
        let mut changes = Vec::new();
        while let Some(child) = self.child {
            if self.wait_for(child, &mut changes).is_none() {
                break;
            }
        }
        changes
    }

    /// Reaps all who ended, if it is time; gives what became of the build's own child meanwhile,
    /// and whether anybody ended.
    pub(super) fn reap_all(
        &mut self,
        is_running: bool,
        signals: &Signals,
    ) -> (Vec<ChildChange>, bool) {
        let (now, mut changes) = (Instant::now(), Vec::new());
        if !self.is_wanted || self.not_before.is_some_and(|not_before| now < not_before) {
            return (changes, false);
        }
        let used_before = processor_time();
        let has_reaped = self.wait_for_all(&mut changes);
        self.is_wanted = false;
        self.not_before = Some(now + processor_time().saturating_sub(used_before) * COST_PART);
        // The build's own end is heard of in another way.
        if self.child_end.is_some() && is_running {
            self.quiet_until = Some(now + QUIET);
            signals.hold_back_children(true);
        }
        (changes, has_reaped)
    }

    /// Reaps until nobody is left; gives whether there was anybody.
    fn wait_for_all(&mut self, changes: &mut Vec<ChildChange>) -> bool {
        let mut has_reaped = false;
        loop {
            let begun = processor_time();
            if self.wait_for(-1, changes).is_none() {
                return has_reaped;
            }
            has_reaped = true;
            if processor_time().saturating_sub(begun) > LONG
                && let Some(children) = own_children()
            {
                for pid in children {
                    self.wait_for(pid, changes);
                }
                return true;
            }
        }
    }

    /// Takes note of what became of this child, or of any for -1; gives its pid, where something
    /// did.
    fn wait_for(&mut self, pid: i32, changes: &mut Vec<ChildChange>) -> Option<i32> {
        let (pid, status, usage) = wait(pid)?;
        if self.child == Some(pid) {
            let change = change(status, &usage);
            if let ChildChange::Ended { .. } = change {
                (self.child, self.child_end) = (None, None);
            }
            changes.push(change);
        }
        Some(pid)
    }
}

/// What became of this child, or of any for -1, where something did.
fn wait(pid: i32) -> Option<(i32, i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: an rusage is nothing but numbers, for which all zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let which = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED;
    loop {
        // SAFETY: wait4 writes to these two, which are ours; real-time signals have no name in
        // nix.
        match unsafe { libc::wait4(pid, &raw mut status, which, &raw mut usage) } {
            0 => return None,
            -1 if Errno::last() == Errno::EINTR => {}
            -1 => return None,
            pid => return Some((pid, status, usage)),
        }
    }
}

/// `usage` is the child's and that of the descendants that it has waited for.
fn change(status: i32, usage: &libc::rusage) -> ChildChange {
    if libc::WIFSTOPPED(status) {
        return ChildChange::Stopped(libc::WSTOPSIG(status));
    }
    if libc::WIFCONTINUED(status) {
        return ChildChange::Continued;
    }
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
    };
    // In KiB on Linux, in bytes on macOS (getrusage(2) of each).
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    ChildChange::Ended { exit, largest_bytes: usage.ru_maxrss.cast_unsigned() * unit }
}
