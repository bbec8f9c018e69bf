//! Owns starting the child: forked, held at a gate until the keeper knows its pid, then executed
//! with exactly the signals, mask and descriptors that makeroom was started with. Runs in the
//! supervisor.

use std::{
    io::{self, PipeReader, PipeWriter, Read as _, Write as _, pipe},
    os::fd::AsRawFd as _,
};

use nix::{
    errno::Errno,
    sys::signal::{SigSet, SigmaskHow, sigprocmask},
    unistd::{ForkResult, Pid, fork, setpgid},
};

use crate::{
    core::{machine::process::ProcessId, run::exit::NOT_FOUND},
    host::{kernel::set_oom_score, process::identify, program::Program},
    supervise::inherited::Inherited,
};

/// The kernel's most willing victim: rather the build than a service.
const OOM_SCORE_ADJ: &str = "1000";

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    #[error("cannot start a process: {0}")]
    Fork(io::Error),
    #[error("{}", Errno::from_raw(*.errno).desc())]
    Exec { errno: i32 },
}

/// A child that waits at its gate. Dropping it lets the child go without executing anything.
#[derive(Debug)]
pub struct Gated {
    /// Who it is.
    pub process: ProcessId,
    gate: PipeWriter,
    status: PipeReader,
}

/// Forks a child that leads a group of its own and waits.
///
/// # Errors
/// [`ChildError`]; there is no process then.
pub fn fork_gated(
    program: &Program,
    inherited: Inherited,
    handled: &[i32],
) -> Result<Gated, ChildError> {
    let failed = |errno: nix::Error| ChildError::Fork(errno.into());
    let (gate_in, gate) = pipe().map_err(ChildError::Fork)?;
    let (status, mut status_out) = pipe().map_err(ChildError::Fork)?;
    // A signal for the group that arrives before exec must not run our handlers in the child:
    // they would write into our own pipe.
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))
        .map_err(failed)?;
    // SAFETY: this process has one thread, so the child may do anything that it could; it does
    // little, and ends in exec or _exit.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            drop((gate, status));
            inherited.give_back_dispositions(handled);
            let errno = become_child(program, gate_in, inherited);
            let _ = status_out.write_all(&errno.to_ne_bytes());
            // SAFETY: ends the process without running anything that belongs to the supervisor.
            unsafe { libc::_exit(NOT_FOUND.into()) }
        }
        Ok(ForkResult::Parent { child }) => {
            // Both sides do it, so that it is done whoever comes first; the later one may find the
            // child gone.
            let _ = setpgid(child, child);
            let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
            let pid = child.as_raw();
            let process = identify(pid).unwrap_or(ProcessId { pid, start_ticks: 0 });
            Ok(Gated { process, gate, status })
        }
        Err(errno) => {
            let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
            Err(failed(errno))
        }
    }
}

impl Gated {
    /// Opens the gate, and waits until the command is executed.
    ///
    /// # Errors
    /// [`ChildError::Exec`] with the errno; the process is about to be reaped then.
    pub fn open(mut self) -> Result<ProcessId, ChildError> {
        // A child that was killed at its gate is reaped like any other.
        let _ = self.gate.write_all(&[1]);
        let mut errno = [0; 4];
        match self.status.read_exact(&mut errno) {
            Ok(()) => Err(ChildError::Exec { errno: i32::from_ne_bytes(errno) }),
            // Exec closed it.
            Err(_) => Ok(self.process),
        }
    }
}

/// In the child: gives the errno that exec failed with.
fn become_child(program: &Program, mut gate: PipeReader, inherited: Inherited) -> i32 {
    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    set_oom_score(OOM_SCORE_ADJ);
    // The supervisor that held the other end is gone: nobody would watch this build.
    if gate.read_exact(&mut [0]).is_err() {
        // SAFETY: as above.
        unsafe { libc::_exit(NOT_FOUND.into()) }
    }
    debug_assert!(gate.as_raw_fd() > 2);
    inherited.give_back_mask();
    program.execute()
}
