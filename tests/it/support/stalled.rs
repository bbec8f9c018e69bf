//! Owns a stderr, or a stdout, that nobody reads: of each kind there is, full to the last byte; and
//! reading it after all.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{fs::OpenOptionsExt as _, net::UnixStream},
    },
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    pty::openpty,
    sys::{
        socket::{MsgFlags, send},
        termios::{FlowArg, tcflow},
    },
};

use super::{PATIENCE, comes_true_within, makeroom::Run};

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pager, a stalled ssh, a CI agent that hangs.
    Pipe,
    /// A terminal whose window is not drawn.
    Terminal,
    /// A terminal after Ctrl-S.
    StoppedTerminal,
    /// What some agents give.
    Socket,
}

/// Takes nothing.
pub struct Stalled {
    kind: Kind,
    /// What a command gets.
    given: OwnedFd,
    /// Where it could be read.
    other: OwnedFd,
}

/// Reads to the end.
pub struct Reader(Arc<Mutex<Vec<u8>>>);

impl Stalled {
    /// One that is full.
    #[must_use]
    pub fn full(kind: Kind) -> Self {
        let stalled = Self::empty(kind);
        stalled.fill();
        stalled
    }

    /// Takes nothing any more.
    pub fn fill(&self) {
        match self.kind {
            Kind::StoppedTerminal => tcflow(&self.given, FlowArg::TCOOFF).expect("stopped"),
            Kind::Socket => {
                fill(|bytes| Ok(send(self.given.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT)?));
            }
            Kind::Pipe | Kind::Terminal => {
                // A description of its own: the flags of the one that is given stay as they are.
                let path = format!("/proc/self/fd/{}", self.given.as_raw_fd());
                let own = File::options()
                    .write(true)
                    .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
                    .open(path)
                    .expect("opened");
                fill(|bytes| (&own).write(bytes));
            }
        }
    }

    /// One that takes a little.
    #[must_use]
    pub fn empty(kind: Kind) -> Self {
        let (given, other) = match kind {
            Kind::Pipe => {
                let (other, given) =
                    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe");
                // Little, and two pages: with one a pipe is full for poll(2) as soon as it holds a
                // byte.
                fcntl(&given, FcntlArg::F_SETPIPE_SZ(8192)).expect("a size");
                (given, other)
            }
            Kind::Terminal | Kind::StoppedTerminal => {
                let pty = openpty(None, None).expect("a pty");
                for end in [&pty.slave, &pty.master] {
                    fcntl(end, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).expect("set");
                }
                (pty.slave, pty.master)
            }
            Kind::Socket => {
                let (given, other) = UnixStream::pair().expect("a pair");
                (given.into(), other.into())
            }
        };
        Self { kind, given, other }
    }

    /// Makes it this descriptor of a command.
    pub fn give_to(&self, run: &mut Run, descriptor: i32) {
        let given = self.given.as_raw_fd();
        run.before_exec(move || {
            // SAFETY: the one is open as long as this value is, the other is a stream of the
            // command's.
            if unsafe { libc::dup2(given, descriptor) } < 0 {
                Err(io::Error::last_os_error())
            } else {
                Ok(())
            }
        });
    }

    /// The flags that everybody shares who has it (fcntl(2), F_GETFL).
    #[must_use]
    pub fn flags(&self) -> i32 {
        fcntl(&self.given, FcntlArg::F_GETFL).expect("flags")
    }

    /// Somebody reads it after all.
    #[must_use]
    pub fn read(self) -> Reader {
        if self.kind == Kind::StoppedTerminal {
            tcflow(&self.given, FlowArg::TCOON).expect("goes on");
        }
        let (mut other, read) = (File::from(self.other), Arc::new(Mutex::new(Vec::new())));
        let to = Arc::clone(&read);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A pty's master ends with EIO once nobody has the other side.
            while let Ok(length @ 1..) = other.read(&mut buffer) {
                to.lock().expect("unpoisoned").extend_from_slice(&buffer[..length]);
            }
        });
        Reader(read)
    }
}

impl Reader {
    /// What was read so far, without what it was filled with.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("unpoisoned"))
            .trim_start_matches('.')
            .replace("\r\n", "\n")
    }

    /// Waits until these words were read.
    #[track_caller]
    pub fn shows(&self, words: &str) -> String {
        let is_there = comes_true_within(PATIENCE, || self.text().contains(words));
        assert!(is_there, "`{words}` is not in:\n{}", self.text());
        self.text()
    }
}

/// Writes dots until it has taken nothing for a while: a terminal's kernel thread makes room once
/// more.
fn fill(mut write: impl FnMut(&[u8]) -> io::Result<usize>) {
    let mut taken_at = Instant::now();
    while taken_at.elapsed() < Duration::from_millis(50) {
        for length in [4096, 1] {
            while write(&vec![b'.'; length]).is_ok() {
                taken_at = Instant::now();
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}
