//! Owns taking note of every child that ended, stopped or was continued: the build's own, and, as
//! the subreaper, whatever its processes left behind. That can be thousands, and must cost next to
//! nothing. Part of the supervisor's loop in `drive`.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::errno::Errno;

use crate::{
    core::run::{
        exit::Exit,
        session::{Event, Stage},
        verdict::was_killed,
        wire::ToKeeper,
    },
    host::kernel::{end_of, own_children},
    supervise::{
        event_loop::{EndedBuild, EventLoop},
        watch::{Watch, processor_time},
    },
};

/// One part in so many of a core is what reaping may cost.
const COST_PART: u32 = 800;
/// A wait for any child goes through all of them (do_wait in the kernel's exit.c); one that takes
/// longer went through too many. For a pid that is known it is a look (Linux 5.13).
const LONG: Duration = Duration::from_micros(50);
/// What the build leaves behind ends unheard for so long after one that did.
const QUIET: Duration = Duration::from_millis(100);

/// What is known of children that may have ended.
#[derive(Debug, Default)]
pub(super) struct Reaping {
    /// Some child changed its state.
    pub(super) is_wanted: bool,
    /// Before that, only the build's own is looked at.
    not_before: Option<Instant>,
    /// Until when SIGCHLD is held back.
    quiet_until: Option<Instant>,
    /// Readable when the build's own has ended.
    child_end: Option<OwnedFd>,
}

impl Reaping {
    /// There is a child, which is not reaped yet.
    pub(super) fn begin(&mut self, child: i32) {
        self.child_end = end_of(child);
    }

    /// When there is something to do, if ever.
    pub(super) fn due(&self) -> Option<Instant> {
        self.quiet_until.or(self.not_before.filter(|_| self.is_wanted))
    }

    /// What is readable when the build's own child has ended.
    pub(super) fn child_end(&self) -> Option<BorrowedFd<'_>> {
        self.child_end.as_ref().map(OwnedFd::as_fd)
    }
}

impl EventLoop<'_> {
    pub(super) fn reap(&mut self) {
        let now = Instant::now();
        if self
            .reaping
            .quiet_until
            .is_some_and(|until| until <= now || self.session.stage() != Stage::Running)
        {
            self.reaping.quiet_until = None;
            self.signals.hold_back_children(false);
        }
        if let Some(child) = self.child.filter(|_| self.exit.is_none()) {
            while self.wait_for(child.pid).is_some_and(|_| self.exit.is_none()) {}
        }
        if !self.reaping.is_wanted
            || self.reaping.not_before.is_some_and(|not_before| now < not_before)
        {
            return;
        }
        let used_before = processor_time();
        let has_reaped = self.reap_all();
        self.reaping.is_wanted = false;
        self.reaping.not_before =
            Some(now + processor_time().saturating_sub(used_before) * COST_PART);
        if has_reaped {
            // One less of the build, perhaps.
            self.rest.due = self.rest.due.map(|_| now);
        }
        // The build's own end is heard of in another way.
        if self.reaping.child_end.is_some() && self.session.stage() == Stage::Running {
            self.reaping.quiet_until = Some(now + QUIET);
            self.signals.hold_back_children(true);
        }
    }

    /// Whether there was anybody.
    fn reap_all(&mut self) -> bool {
        let mut has_reaped = false;
        loop {
            let begun = processor_time();
            if self.wait_for(-1).is_none() {
                return has_reaped;
            }
            has_reaped = true;
            if processor_time().saturating_sub(begun) > LONG
                && let Some(children) = own_children()
            {
                for pid in children {
                    self.wait_for(pid);
                }
                return true;
            }
        }
    }

    /// Takes note of what became of this child, or of any for -1; its pid, where something did.
    fn wait_for(&mut self, pid: i32) -> Option<i32> {
        let mut status = 0;
        // SAFETY: an rusage is nothing but numbers, for which all zeros are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        let which = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED;
        let pid = loop {
            // SAFETY: wait4 writes to these two, which are ours; real-time signals have no name in
            // nix.
            match unsafe { libc::wait4(pid, &raw mut status, which, &raw mut usage) } {
                0 => return None,
                -1 if Errno::last() == Errno::EINTR => {}
                -1 => return None,
                pid => break pid,
            }
        };
        if self.child.is_some_and(|child| child.pid == pid) {
            if libc::WIFSTOPPED(status) {
                let signal = libc::WSTOPSIG(status);
                self.queue.push_back(Event::ChildStopped {
                    signal,
                    foreground: self.terminal.is_foreground(),
                });
            } else if libc::WIFCONTINUED(status) {
                self.queue.push_back(Event::ChildContinued);
            } else if libc::WIFSIGNALED(status) {
                self.child_ended(Exit::Signal(libc::WTERMSIG(status)), &usage);
            } else {
                self.child_ended(
                    Exit::Code(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX)),
                    &usage,
                );
            }
        }
        Some(pid)
    }

    /// `usage` is the child's and that of the descendants that it has waited for.
    fn child_ended(&mut self, exit: Exit, usage: &libc::rusage) {
        // In KiB on Linux, in bytes on macOS (getrusage(2) of each).
        let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
        let largest_bytes = usage.ru_maxrss.cast_unsigned() * unit;
        let is_in_engine = self.plan.site.is_in_engine();
        // A client tells by its code that a step failed, not of what.
        let is_suspect = is_in_engine || self.watch.as_ref().is_some_and(Watch::has_seen_kills);
        let may_be_memory =
            was_killed(exit) || self.thrash.is_some() || (is_suspect && !exit.is_success());
        self.exit = Some(exit);
        self.reaping.child_end = None;
        if let Some(keeper) = &mut self.keeper {
            keeper.say(&ToKeeper::Ended { exit });
            if may_be_memory {
                keeper.say(&ToKeeper::LookAround);
            }
        }
        self.ended = Some(EndedBuild { exit, took: self.begun.elapsed(), largest_bytes });
        // The last figures of what only the keeper sees come with its last word.
        if self.host.is_none() && !is_in_engine {
            self.report_build();
        }
        self.queue.push_back(Event::ChildEnded(exit));
    }
}
