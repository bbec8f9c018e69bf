//! Owns noticing that the shell of a package manager's script died. It is armed before it is looked
//! at, so that no death is missed, and no other process is taken for it. Whether that counts is
//! decided in `core::run::script_shell`. Runs in the supervisor.

use std::{
    env,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{Pid, getpgid, getpgrp, getppid, getsid},
};

use crate::{
    core::run::script_shell::{Parent, Started, ends_with},
    host::kernel,
    supervise::inherited::is_ignored,
};

/// The shell that runs the script that makeroom stands in.
#[derive(Debug)]
pub(super) struct ScriptShell {
    end: OwnedFd,
}

impl ScriptShell {
    /// Looks at the parent, once the signals are received: what is ignored then was ignored before.
    /// `None` where its death says nothing, or cannot be noticed.
    pub(super) fn of_this_process() -> Option<Self> {
        let script = env::var("npm_lifecycle_event").ok()?;
        let parent = getppid();
        let end = kernel::end_of_other(parent.as_raw())?;
        let name = kernel::name_of(parent.as_raw())?;
        let seen = Parent {
            name: &name,
            is_in_own_group: getpgid(Some(parent)) == Ok(getpgrp()),
            is_in_own_session: getsid(Some(parent)) == getsid(None::<Pid>),
        };
        let is_to_outlive = [libc::SIGHUP, libc::SIGINT].into_iter().any(is_ignored);
        let counts = ends_with(seen, Started { script: Some(&script), is_to_outlive });
        // Who died before it was armed is the parent no more, and its pid may be another's.
        (counts && getppid() == parent).then_some(Self { end })
    }

    /// Whether it is gone.
    pub(super) fn is_gone(&self) -> bool {
        let mut fds = [PollFd::new(self.end.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Becomes readable when it is.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}
