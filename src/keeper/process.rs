//! Owns the keeper's process: makes it hard to kill by accident, hears the first message, opens the
//! lease that it is about, and runs that. Leaves no inherited descriptors but its three, no working
//! directory, no blocked or ignored signals, and is last in line for the OOM killer. Whoever starts
//! it gives it its own session and environment (`supervise::keeper_link`).

use std::{
    cell::RefCell,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::Path,
    process::ExitCode,
    time::Duration,
};

use nix::sys::{
    signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask},
    stat::{SFlag, fstat},
};
use tokio::net::UnixStream;

use crate::{
    core::run::{
        exit::FAILED,
        wire::{FromKeeper, JOURNAL_FD, STATE_DIR_FD, ToKeeper},
    },
    host::{kernel::set_oom_score, limits::raise_files},
    keeper::{
        input::{Heard, Input},
        lifecycle,
        operations::{self, Cancel, Context},
        output::Output,
        own_cgroup,
    },
    lease::{journal::Journal, state_dir::StateDir},
};

/// How long the first message is waited for: a supervisor that starts a keeper has it ready.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// Runs the keeper. It says nothing on its own: what goes wrong reaches the supervisor as a note,
/// or is found again by `recover`.
#[must_use]
pub fn main() -> ExitCode {
    let done = settle().and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run())
    });
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// Whether this process was started to be a keeper: a supervisor talks to it over its standard
/// input. Without that the word is a command's name.
#[must_use]
pub fn is_meant() -> bool {
    fstat(io::stdin()).is_ok_and(|stat| {
        SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
    })
}

async fn run() -> io::Result<()> {
    let stdin = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stdin.set_nonblocking(true)?;
    let output = Output::new(UnixStream::from_std(stdin.try_clone()?)?);
    let tell = |message: FromKeeper| output.say(&message);
    let mut input = Input::new(UnixStream::from_std(stdin)?)?;
    let Ok(Heard::Message(ToKeeper::MakeRoom(request))) =
        tokio::time::timeout(FIRST_MESSAGE, input.hear()).await
    else {
        return Ok(());
    };
    // SAFETY: whoever started this process gave it the journal as this descriptor, and nothing else
    // here owns it.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(JOURNAL_FD) });
    // SAFETY: the same.
    let dir = unsafe { OwnedFd::from_raw_fd(STATE_DIR_FD) };
    let state =
        StateDir::inherited(dir, Path::new(&request.state_dir)).map_err(io::Error::other)?;
    let journal = Journal::inherited(file, &state, &request.lease).map_err(io::Error::other)?;
    let machine = operations::find_machine(&request, &journal);
    // What is not to be cancelled runs with one that nobody says.
    let cancel = Cancel::default();
    let context = Context {
        request: &request,
        state: &state,
        machine: &machine,
        cancel: &cancel,
        tell: &tell,
    };
    let (begun, own_cgroup) = (journal.begun(), RefCell::default());
    tokio::select! {
        () = Box::pin(lifecycle::run(context, input, journal)) => {}
        () = output.go_on() => {}
        () = own_cgroup::follow(begun, &request.lease, &own_cgroup, &tell) => {}
    }
    output.finish().await;
    if let Some(own) = own_cgroup.into_inner() {
        own.leave();
    }
    Ok(())
}

/// Makes the process hard to kill by accident.
fn settle() -> io::Result<()> {
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
    // Where that is not allowed, the keeper is as likely a victim as any small process.
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
