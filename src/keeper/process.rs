//! Owns what makes the keeper hard to kill by accident: no inherited descriptors but its three, no
//! working directory, no blocked or ignored signals, last in line for the OOM killer. Its own
//! session and environment are given to it by whoever starts it (`supervise::keeper_link`).

use std::{fs, io, os::fd::RawFd};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};

use crate::host::{
    kernel::{JOURNAL_FD, STATE_DIR_FD, set_oom_score},
    limits::raise_files,
};

/// Settles the process.
///
/// # Errors
/// Where its own descriptors cannot be listed, or `/` cannot be entered.
pub fn settle() -> io::Result<()> {
    close_all_but_ours()?;
    // A step's shell that outlived us would hold the lease's lock with it.
    for fd in [JOURNAL_FD, STATE_DIR_FD] {
        // SAFETY: sets a flag of a descriptor; whether it is open is in the result.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    raise_files();
    std::env::set_current_dir("/")?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        // SAFETY: the default action runs no code of ours.
        unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
    }
    // SAFETY: ignoring it runs no code of ours. RLIMIT_FSIZE is an error of the write that meets
    // it.
    unsafe { nix::sys::signal::signal(Signal::SIGXFSZ, SigHandler::SigIgn) }?;
    // Where that is not allowed the keeper is as likely a victim as any small process.
    set_oom_score("-1000");
    Ok(())
}

fn close_all_but_ours() -> io::Result<()> {
    let open: Vec<RawFd> = fs::read_dir("/dev/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|&fd| fd > STATE_DIR_FD) {
        // The descriptor of the listing itself is among them and closed by now: EBADF is fine.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}
