//! Owns the terminal: who is in its foreground, giving it to a child that asks, taking it back.
//! The child does not get it without asking, so that Ctrl-C reaches makeroom and its neighbours in
//! a pipeline as with any command. Runs in the supervisor.

use std::fs::File;

use nix::{
    sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask},
    unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp},
};

/// The controlling terminal, where there is one.
#[derive(Debug)]
pub struct Terminal {
    tty: Option<File>,
    given: bool,
}

impl Terminal {
    /// Looks for it.
    #[must_use]
    pub fn find() -> Self {
        Self { tty: File::options().read(true).write(true).open("/dev/tty").ok(), given: false }
    }

    /// Whether makeroom's own group has it.
    #[must_use]
    pub fn is_foreground(&self) -> bool {
        self.tty.as_ref().is_some_and(|tty| tcgetpgrp(tty) == Ok(getpgrp()))
    }

    /// Gives it to a group.
    pub fn give_to(&mut self, group: i32) {
        self.given = self.set_foreground(Pid::from_raw(group));
    }

    /// Takes it back, if it was given.
    pub fn take_back(&mut self) {
        if std::mem::take(&mut self.given) {
            self.set_foreground(getpgrp());
        }
    }

    fn set_foreground(&self, group: Pid) -> bool {
        let Some(tty) = &self.tty else { return false };
        let mut before = SigSet::empty();
        let ttou = SigSet::from(Signal::SIGTTOU);
        // From the background the kernel would stop us for it (tcsetpgrp(3)).
        let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&ttou), Some(&mut before));
        let done = tcsetpgrp(tty, group).is_ok();
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
        done
    }
}

/// Stops makeroom's whole own group: a shell that started it with others (`sh -c`, a pipeline)
/// would wait for ever for the one of them that stopped alone. Returns when continued.
pub fn stop_own_group() {
    // To pid 0: every process of our group (kill(2)); it cannot fail for ourselves.
    let _ = kill(Pid::from_raw(0), Signal::SIGSTOP);
}
