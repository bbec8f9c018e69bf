//! Owns how bytes get to stderr without waiting for whoever reads it. The file description that was
//! inherited is shared with the build and the shell, so its flags stay as they are. Runs in the
//! supervisor and in short commands; starts no thread and no process.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    ptr,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{
            SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask,
        },
        socket::{MsgFlags, send},
        stat::{SFlag, fstat},
    },
    unistd::write,
};

use crate::host::kernel::reopen_to_write;

/// The longest wait of a write to what cannot be opened again: somebody else may fill it in the
/// moment between poll(2) and write(2).
const LONGEST_MICROS: libc::suseconds_t = 10_000;

/// Where bytes for stderr are written, by what that is.
#[derive(Debug)]
pub(super) enum Sink {
    /// A file: takes all at once, at the offset that all share. Also what is closed: refuses at
    /// once.
    Straight,
    /// A socket: each call says that it does not wait.
    Socket,
    /// A pipe or a device: opened once more, with flags of its own.
    Own(File),
    /// One that cannot be opened again, as the terminal of another user after `su`: asked first,
    /// and a timer ends the write that waits all the same.
    Timed,
}

impl Sink {
    /// Finds out what stderr is; `None` where nobody reads it at this moment.
    pub(super) fn find() -> Option<Self> {
        let stderr = io::stderr();
        let (Ok(stat), Ok(flags)) = (fstat(&stderr), fcntl(&stderr, FcntlArg::F_GETFL)) else {
            return Some(Self::Straight);
        };
        // What was opened to be read only is not to be written to, in whatever way.
        if OFlag::from_bits_retain(flags) & OFlag::O_ACCMODE == OFlag::O_RDONLY {
            return Some(Self::Straight);
        }
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG | SFlag::S_IFBLK => Some(Self::Straight),
            SFlag::S_IFSOCK => Some(Self::Socket),
            // To open the master of a pty is to make another one (ptmx(4)).
            SFlag::S_IFIFO | SFlag::S_IFCHR if stat.st_rdev != PTMX => {
                match reopen_to_write(stderr.as_fd()) {
                    Ok(own)
                        if fstat(&own).is_ok_and(|its| {
                            (its.st_dev, its.st_ino) == (stat.st_dev, stat.st_ino)
                        }) =>
                    {
                        Some(Self::Own(own))
                    }
                    Err(error) if error.raw_os_error() == Some(libc::ENXIO) => None,
                    _ => Some(Self::Timed),
                }
            }
            _ => Some(Self::Timed),
        }
    }

    /// Writes as much as is taken at once.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is taken; any other is final.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = from_the_background(|| match self {
            Self::Straight => write(io::stderr(), bytes),
            Self::Socket => send(io::stderr().as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT),
            Self::Own(own) => write(own, bytes),
            Self::Timed => write_timed(bytes),
        });
        Ok(written?)
    }

    /// Gives what to wait for until it takes something again (POLLOUT).
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(own) => own.as_fd(),
            // SAFETY: Rust's start-up opens it where it was closed, and nothing here closes it.
            _ => unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) },
        }
    }
}

/// `/dev/ptmx` on Linux; elsewhere no device has this number.
const PTMX: libc::dev_t = if cfg!(target_os = "linux") { makedev(5, 2) } else { libc::dev_t::MAX };

/// Makes a device number of small parts as the kernel's new_encode_dev (include/linux/kdev_t.h).
const fn makedev(major: libc::dev_t, minor: libc::dev_t) -> libc::dev_t {
    (major << 8) | minor
}

/// Writes with SIGTTOU blocked: in the background of a terminal with `stty tostop` the kernel would
/// stop our whole group for a line; so it lets the line through (tty_check_change).
fn from_the_background<T>(act: impl FnOnce() -> T) -> T {
    let mut before = SigSet::empty();
    let _ =
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::from(Signal::SIGTTOU)), Some(&mut before));
    let done = act();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    done
}

fn write_timed(bytes: &[u8]) -> nix::Result<usize> {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut fds, PollTimeout::ZERO)? == 0 {
        return Err(Errno::EAGAIN);
    }
    // No more than what a pipe that takes anything takes whole (pipe(7)).
    let most = &bytes[..bytes.len().min(libc::PIPE_BUF)];
    within_the_timer(|| write(&stderr, most))
        .map_err(|errno| if errno == Errno::EINTR { Errno::EAGAIN } else { errno })
}

extern "C" fn only_interrupt(_: libc::c_int) {}

/// Lets an alarm interrupt what waits, again and again: the first may come before it waits.
fn within_the_timer(act: impl FnOnce() -> nix::Result<usize>) -> nix::Result<usize> {
    // Without SA_RESTART the call ends with EINTR, or with what was written until then (signal(7)).
    let interrupting =
        SigAction::new(SigHandler::Handler(only_interrupt), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    let disposition = unsafe { sigaction(Signal::SIGALRM, &interrupting) }?;
    let mut mask = SigSet::empty();
    let _ =
        sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&SigSet::from(Signal::SIGALRM)), Some(&mut mask));
    let time = libc::timeval { tv_sec: 0, tv_usec: LONGEST_MICROS };
    // One that this process was started with, as by `alarm` before exec, goes on afterwards.
    let inherited = set_timer(&libc::itimerval { it_interval: time, it_value: time });
    let done = act();
    set_timer(&inherited);
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None);
    // SAFETY: gives back what was there.
    let _ = unsafe { sigaction(Signal::SIGALRM, &disposition) };
    done
}

fn set_timer(timer: &libc::itimerval) -> libc::itimerval {
    let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut before = libc::itimerval { it_interval: none, it_value: none };
    // SAFETY: reads the one and writes to the other (setitimer(2)); it fails for bad addresses and
    // numbers only.
    unsafe { libc::setitimer(libc::ITIMER_REAL, ptr::from_ref(timer), ptr::from_mut(&mut before)) };
    before
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use nix::{
        sys::{
            signal::kill,
            wait::{WaitPidFlag, WaitStatus, waitpid},
        },
        unistd::{ForkResult, fork, pipe},
    };

    use super::*;

    /// Runs this in a process of its own, which has one thread as all that have a voice.
    #[track_caller]
    fn alone(act: impl FnOnce() -> bool) {
        // SAFETY: the callers' acts are system calls alone, and it ends without anything of this
        // process.
        match unsafe { fork() }.expect("a process") {
            // SAFETY: as above.
            ForkResult::Child => unsafe { libc::_exit(i32::from(!act())) },
            ForkResult::Parent { child } => {
                let begun = Instant::now();
                let mut status = WaitStatus::StillAlive;
                while status == WaitStatus::StillAlive {
                    if begun.elapsed() > Duration::from_secs(10) {
                        kill(child, Signal::SIGKILL).expect("a child");
                    }
                    std::thread::sleep(Duration::from_millis(1));
                    status = waitpid(child, Some(WaitPidFlag::WNOHANG)).expect("a child");
                }
                assert_eq!(status, WaitStatus::Exited(child, 0));
            }
        }
    }

    fn disposition() -> libc::sighandler_t {
        // SAFETY: all zeros are a valid value, and the new action is null: nothing changes.
        let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        unsafe { libc::sigaction(libc::SIGALRM, ptr::null(), &raw mut now) };
        now.sa_sigaction
    }

    #[test]
    fn a_write_that_waits_is_interrupted_and_the_alarm_is_as_it_was() {
        let (other, full) = pipe().expect("a pipe");
        alone(|| {
            let before = disposition();
            // SAFETY: only sets a timer.
            unsafe { libc::alarm(3600) };
            let mut written = Ok(0);
            while written.is_ok() {
                written = within_the_timer(|| write(&full, &[b'x'; 4096]));
            }
            // SAFETY: as above. It tells what was left.
            let left = unsafe { libc::alarm(0) };
            written == Err(Errno::EINTR) && disposition() == before && left > 3500
        });
        drop(other);
    }
}
