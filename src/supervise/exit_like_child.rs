//! Owns how makeroom itself ends: with the child's code, or of the child's signal, without a core.

use std::process::ExitCode;

use nix::sys::{
    resource::{Resource, setrlimit},
    signal::{SigSet, SigmaskHow, sigprocmask},
};

use crate::{core::run::exit::Exit, host::kernel::leave_no_core};

/// Ends like the child did. Returns only with a code: where the signal was of no effect, 128 + n.
#[must_use]
pub fn end_as(exit: Exit) -> ExitCode {
    match exit {
        Exit::Code(_) => ExitCode::from(exit.code()),
        Exit::Signal(signal) => {
            die_of(signal);
            ExitCode::from(exit.code())
        }
    }
}

fn die_of(signal: i32) {
    // The child's core, if it left one, is the one that counts.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    leave_no_core();
    // SAFETY: SIG_DFL runs no code of ours, and raise has no memory to get wrong.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    // SAFETY: sends a signal to ourselves; real-time signals have no name in nix.
    unsafe {
        libc::kill(libc::getpid(), signal);
    }
}
