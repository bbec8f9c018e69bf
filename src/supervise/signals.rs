//! Owns receiving signals: as bytes on a socket that `poll` can watch. What was ignored when
//! makeroom was started stays ignored (nohup). Runs in the supervisor.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use signal_hook::iterator::{backend::SignalDelivery, exfiltrator::SignalOnly};

use crate::{
    core::run::session::{PASSED_ON, TERMINATING},
    supervise::inherited::is_ignored,
};

/// The signals that arrived.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    handled: Vec<i32>,
}

impl Signals {
    /// Starts to receive.
    ///
    /// # Errors
    /// Where handlers cannot be installed.
    pub fn receive() -> io::Result<Self> {
        let wanted = TERMINATING.into_iter().chain(PASSED_ON).chain([libc::SIGTSTP]);
        // SIGCHLD is received in any case: with it ignored the child's end would be lost.
        let handled: Vec<i32> =
            wanted.filter(|&signal| !is_ignored(signal)).chain([libc::SIGCHLD]).collect();
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, handled.iter().copied())?;
        // Nor where it is blocked; the child gets the mask back that makeroom was started with.
        sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&SigSet::from(Signal::SIGCHLD)), None)?;
        Ok(Self { delivery, handled })
    }

    /// The signals that are handled, which the child must not inherit as such.
    #[must_use]
    pub fn handled(&self) -> &[i32] {
        &self.handled
    }

    /// Holds back what tells of children, or lets it come.
    pub fn hold_back_children(&self, is_held: bool) {
        let how = if is_held { SigmaskHow::SIG_BLOCK } else { SigmaskHow::SIG_UNBLOCK };
        // It can fail for a bad argument only (sigprocmask(2)).
        let _ = sigprocmask(how, Some(&SigSet::from(Signal::SIGCHLD)), None);
    }

    /// What arrived since the last time, each signal once.
    pub fn take(&mut self) -> Vec<i32> {
        self.delivery.pending().collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}
