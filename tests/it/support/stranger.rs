//! Owns who is neither root nor anybody that root trusts: becoming it, for one thread; giving it
//! what is root's; and what it can see of makeroom.

use std::{fs, os::unix::fs::chown, path::Path};

use super::process;

/// Somebody who is not root.
pub const STRANGER: u32 = 1234;

/// This thread alone: the C library's calls would take all of the process along.
///
/// # Panics
/// Where it stays root.
pub fn become_stranger() {
    // SAFETY: system calls of numbers.
    let results = unsafe {
        [
            libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()),
            libc::syscall(libc::SYS_setresgid, STRANGER, STRANGER, STRANGER),
            libc::syscall(libc::SYS_setresuid, STRANGER, STRANGER, STRANGER),
        ]
    };
    assert_eq!(results, [0; 3], "not a stranger");
}

/// From now on it is the stranger's.
#[track_caller]
pub fn give_away(path: &Path) {
    chown(path, Some(STRANGER), Some(STRANGER)).expect("root gives it away");
}

/// The label of an area that is being made: it is an argument of its step.
#[must_use]
pub fn label_in_sight() -> Option<String> {
    process::all().into_iter().find_map(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = String::from_utf8(words).ok()?;
        words
            .split('\0')
            .find(|word| word.starts_with("mr-") && word.len() == 15)
            .map(str::to_owned)
    })
}
