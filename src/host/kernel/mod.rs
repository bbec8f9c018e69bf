//! Owns what is asked of the kernel that makeroom itself runs on, beyond what libraries offer. That
//! kernel is not always the host's: on a Mac the host is a VM. Used by every process of makeroom.
//!
//! There are two paths with the same functions: `linux`, and `portable` for macOS. A build on Linux
//! with `--cfg makeroom_portable` takes the second one, so that all tests can be run on it.

#[cfg(all(target_os = "linux", not(makeroom_portable)))]
mod linux;
#[cfg(not(all(target_os = "linux", not(makeroom_portable))))]
mod portable;

#[cfg(all(target_os = "linux", not(makeroom_portable)))]
use linux as path;
#[cfg(not(all(target_os = "linux", not(makeroom_portable))))]
use portable as path;

use jiff::Timestamp;

use crate::core::lease::late_call::Moment;

pub use path::{
    GROUP_POLL, IS_SAMPLED, all, become_subreaper, end_of, end_of_other, group, leave_no_core,
    name_of, own_children, own_program, proc_file, process, reopen_to_write, resident_below, roles,
    send, set_oom_score, time_since_boot, with_environment,
};

/// The time now, by both clocks.
#[must_use]
pub fn moment() -> Moment {
    Moment { at: Timestamp::now(), since_boot: time_since_boot() }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Write as _},
        os::fd::{AsFd as _, BorrowedFd},
    };

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;

    #[test]
    fn the_path_is_the_one_that_was_asked_for() {
        let is_linux = cfg!(all(target_os = "linux", not(makeroom_portable)));
        assert_eq!(IS_SAMPLED, is_linux);
        assert_eq!(proc_file("/proc/self/stat").is_some(), is_linux);
        assert_eq!(
            own_program().expect("a program") == std::path::Path::new("/proc/self/exe"),
            is_linux
        );
    }

    #[test]
    fn this_process_is_seen_alone_and_in_its_group() {
        let own = std::process::id().cast_signed();
        let seen = process(own).expect("a look").expect("this process");
        assert_eq!((seen.pid, seen.runs), (own, true));
        assert!(group(seen.group).expect("a look").any(|member| member == seen));
    }

    #[test]
    fn what_is_opened_again_has_flags_of_its_own() {
        let pty = nix::pty::openpty(None, None).expect("a pty");
        let again = reopen_to_write(pty.slave.as_fd()).expect("opened again");
        let flags = |fd: BorrowedFd<'_>| {
            OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).expect("flags"))
        };
        assert!(
            flags(again.as_fd()).contains(OFlag::O_NONBLOCK)
                && !flags(pty.slave.as_fd()).contains(OFlag::O_NONBLOCK)
        );
        assert_eq!(fcntl(&again, FcntlArg::F_GETFD), Ok(libc::FD_CLOEXEC));
        (&again).write_all(b"x").expect("written");
        let mut read = [0];
        File::from(pty.master).read_exact(&mut read).expect("read");
        assert_eq!(read, *b"x");
    }

    #[test]
    fn who_is_not_there_is_not_seen() {
        // Above the highest pid that a kernel gives out, PID_MAX_LIMIT (proc_sys_kernel(5)).
        let nobody = (1 << 22) + 1;
        assert_eq!(process(nobody).expect("a look"), None);
        assert_eq!(group(nobody).expect("a look").count(), 0);
    }

    #[test]
    fn the_clock_goes_forward() {
        let before = time_since_boot();
        assert!(before > std::time::Duration::ZERO && time_since_boot() >= before);
    }
}
