//! Owns what this process inherited of signals, so that the child gets exactly that: ignored
//! signals and the blocked mask. `main` would be too late for SIGPIPE: Rust's own start-up
//! ignores it, so it is read before that.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

use crate::host::limits::{give_back_files, raise_files};

static SIGPIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// Runs before `main`; uses nothing of Rust's that would have to be set up.
extern "C" fn look_at_sigpipe() {
    SIGPIPE_WAS_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
}

// SAFETY: the loader calls each entry of this section once, as a C function without arguments that
// it reads (ELF gABI, "Initialization and Termination Functions"; Mach-O S_MOD_INIT_FUNC_POINTERS).
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
#[used]
static BEFORE_MAIN: extern "C" fn() = look_at_sigpipe;

/// What was inherited.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    /// The blocked signals.
    pub mask: SigSet,
    sigpipe_ignored: bool,
    sigchld_ignored: bool,
    sigxfsz_ignored: bool,
}

impl Inherited {
    /// Looks, before this process changes anything.
    #[must_use]
    pub fn look() -> Self {
        let mut mask = SigSet::empty();
        // Reading the mask cannot fail: the only errors are bad arguments (sigprocmask(2)).
        let _ = sigprocmask(SigmaskHow::SIG_BLOCK, None, Some(&mut mask));
        Self {
            mask,
            sigpipe_ignored: SIGPIPE_WAS_IGNORED.load(Ordering::Relaxed),
            sigchld_ignored: is_ignored(libc::SIGCHLD),
            sigxfsz_ignored: is_ignored(libc::SIGXFSZ),
        }
    }

    /// Gives the dispositions back, between fork and exec or before an exec: what this process
    /// handles or ignores on its own account; and the limit on open files. Async-signal-safe.
    pub fn give_back_dispositions(&self, handled: &[i32]) {
        give_back_files();
        for &signal in handled {
            dispose(signal, libc::SIG_DFL);
        }
        dispose(libc::SIGPIPE, if self.sigpipe_ignored { libc::SIG_IGN } else { libc::SIG_DFL });
        dispose(libc::SIGCHLD, if self.sigchld_ignored { libc::SIG_IGN } else { libc::SIG_DFL });
        dispose(libc::SIGXFSZ, if self.sigxfsz_ignored { libc::SIG_IGN } else { libc::SIG_DFL });
    }

    /// Gives the mask back. Async-signal-safe.
    pub fn give_back_mask(&self) {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
    }
}

/// Ignores the signal of a limit on the size of files (RLIMIT_FSIZE): that is an error of the write
/// that meets it, and no reason to die before everything is back. And raises the one on open files,
/// of which each lease and each call has one.
pub fn outlive_limits() {
    raise_files();
    dispose(libc::SIGXFSZ, libc::SIG_IGN);
}

/// Whether a signal is ignored now.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: all-zero bytes are a valid sigaction, and sigaction only writes to it here.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the new action is null, so nothing changes; `now` is ours to write to.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
    asked == 0 && now.sa_sigaction == libc::SIG_IGN
}

fn dispose(signal: i32, disposition: libc::sighandler_t) {
    // SAFETY: SIG_DFL and SIG_IGN run no code of ours.
    unsafe { libc::signal(signal, disposition) };
}
