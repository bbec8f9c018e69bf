//! Owns how many files this process may have open. Raises the limit as far as it goes, because it
//! was set for other programs, and gives it back to whatever is started from here. Used by every
//! process of makeroom.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Says that no limit was changed.
const UNCHANGED: u64 = u64::MAX;
/// The soft limit that this process was started with, if it has another one now.
static SOFT_BEFORE: AtomicU64 = AtomicU64::new(UNCHANGED);
/// macOS takes no more than this, whatever the hard limit (setrlimit(2) there, OPEN_MAX).
const MOST_ON_MACOS: rlim_t = 10_240;
/// Files that are opened while the engine is asked: a script's streams, a hook, a journal, a
/// socket.
const KEPT_FREE: u64 = 24;
/// The assumed number of open files if the system does not tell: more than a keeper has.
const OPEN_PERHAPS: u64 = 32;

/// Raises the soft limit to the hard one.
pub fn raise_files() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let raised = [hard, hard.min(MOST_ON_MACOS)]
        .into_iter()
        .any(|to| to > soft && setrlimit(Resource::RLIMIT_NOFILE, to, hard).is_ok());
    if raised && SOFT_BEFORE.load(Ordering::Relaxed) == UNCHANGED {
        SOFT_BEFORE.store(soft, Ordering::Relaxed);
    }
}

/// Gives back the limit that this process was started with, between fork and exec.
/// Async-signal-safe.
pub fn give_back_files() {
    let soft = SOFT_BEFORE.load(Ordering::Relaxed);
    if soft != UNCHANGED
        && let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
    {
        // Never refused: it is below the hard one.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
    }
}

/// Starts the command with the limit that this process was started with.
pub(super) fn give_back_to(command: &mut tokio::process::Command) {
    if SOFT_BEFORE.load(Ordering::Relaxed) != UNCHANGED {
        // SAFETY: getrlimit and setrlimit are system calls and nothing else; nothing is allocated.
        unsafe {
            command.pre_exec(|| {
                give_back_files();
                Ok(())
            })
        };
    }
}

/// How many calls that take a file each may be under way at once: `most`, or what the limit leaves,
/// but at least one.
#[must_use]
pub fn calls_at_once(most: usize) -> usize {
    let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return most };
    // With so large a limit there is no need to count open files.
    if soft >= 1 << 16 {
        return most;
    }
    let open = fs::read_dir("/dev/fd").map_or(OPEN_PERHAPS, |entries| entries.count() as u64);
    fitting(soft, open, most)
}

fn fitting(soft: u64, open: u64, most: usize) -> usize {
    let left = soft.saturating_sub(open).saturating_sub(KEPT_FREE);
    usize::try_from(left).unwrap_or(most).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_at_once_follow_what_is_left() {
        for (soft, open, most, expected) in [
            (1024, 12, 16, 16),
            (1024, 12, 256, 256),
            (64, 12, 16, 16),
            (64, 12, 256, 28),
            (40, 12, 16, 4),
            (32, 12, 16, 1),
            (8, 12, 16, 1),
        ] {
            assert_eq!(fitting(soft, open, most), expected, "{soft} with {open} open");
        }
    }
}
