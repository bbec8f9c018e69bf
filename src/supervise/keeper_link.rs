//! Owns the supervisor's end of the keeper: starting it so that nothing that kills a build kills
//! it too, and talking to it. Runs in the supervisor.

use std::{
    env, io,
    io::Read as _,
    net::Shutdown,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Command, Stdio},
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    core::run::wire::{self, FromKeeper, Inbox, JOURNAL_FD, STATE_DIR_FD, ToKeeper},
    host::{kernel::own_program, limits::give_back_files, within::write_within},
    lease::journal::Journal,
};

/// All that a keeper and the way to its host need of the environment. CI runners find what they
/// kill at a job's end by variables of theirs, and secrets have no business in a process that
/// outlives the build.
const ENVIRONMENT: [&str; 17] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "COLIMA_HOME",
    "COLIMA_PROFILE",
    "LIMA_HOME",
    "LC_ALL",
];

/// A keeper reads what it is told at once; only one that is stopped or hangs has not within this.
const LISTENS: Duration = Duration::from_secs(10);

/// The supervisor's end.
#[derive(Debug)]
pub struct KeeperLink {
    stream: UnixStream,
    inbox: Inbox,
    pid: i32,
}

impl KeeperLink {
    /// Starts a keeper that shares the journal's lock and has the state directory that the journal
    /// is in.
    ///
    /// # Errors
    /// Where no process can be started.
    pub fn start(journal: &Journal) -> io::Result<Self> {
        let (stream, its) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        let mut command = Command::new(own_program()?);
        command
            .arg0("makeroom")
            .arg("keeper")
            .env_clear()
            .envs(ENVIRONMENT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.stdin(Stdio::from(OwnedFd::from(its))).stdout(Stdio::null()).stderr(Stdio::null());
        let given = [journal.as_fd(), journal.state_dir().as_fd()].map(|fd| fd.as_raw_fd());
        // SAFETY: setrlimit, setsid, fcntl and dup2 are async-signal-safe (signal-safety(7));
        // nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                give_back_files();
                nix::unistd::setsid()?;
                // Above what they become first, so that neither is overwritten by the other.
                let [journal, dir] =
                    given.map(|fd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, STATE_DIR_FD + 1));
                for (from, to) in [(journal, JOURNAL_FD), (dir, STATE_DIR_FD)] {
                    if from < 0 || libc::dup2(from, to) < 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let pid = command.spawn()?.id().cast_signed();
        Ok(Self { stream, inbox: Inbox::default(), pid })
    }

    /// The keeper's pid: it is the supervisor's child as well, but not part of the build.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Says something, whole. A keeper that is gone, or does not listen, is noticed by its
    /// end-of-file.
    pub fn say(&mut self, message: &ToKeeper) {
        if write_within(LISTENS, &mut self.stream, wire::line(message).as_bytes()).is_err() {
            // Half a message is nonsense; a socket that is closed already needs no closing.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }

    /// Says something that is worth no waiting, where the socket has plenty of space; whether it
    /// was said.
    pub fn mention(&mut self, message: &ToKeeper) -> bool {
        let mut sockets = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
        let is_free = poll(&mut sockets, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
        if is_free {
            self.say(message);
        }
        is_free
    }

    /// What it said since the last time, and whether it is still there.
    pub fn listen(&mut self) -> (Vec<FromKeeper>, bool) {
        let mut buffer = [0; 4096];
        let is_there = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break false,
                Ok(length) => self.inbox.push(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.kind() == io::ErrorKind::WouldBlock,
            }
        };
        let mut said = Vec::new();
        while let Some(message) = self.inbox.take() {
            match message {
                Ok(message) => said.push(message),
                // Whoever talks like this is no keeper of ours.
                Err(_) => return (said, false),
            }
        }
        (said, is_there)
    }
}

impl AsFd for KeeperLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
