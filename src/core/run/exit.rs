//! Owns the exit codes: makeroom's own, and how the child's end becomes makeroom's. Pure.

use serde::{Deserialize, Serialize};

/// The build was ended by `--timeout` or `--abort-on-thrash`.
pub const LIMITED: u8 = 124;
/// makeroom itself failed before the child ran, or with `--strict` could not restore.
pub const FAILED: u8 = 125;
/// The command was found but cannot be executed.
pub const CANNOT_EXECUTE: u8 = 126;
/// The command was not found.
pub const NOT_FOUND: u8 = 127;

/// How a process ended, or how makeroom is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// With this code.
    Code(u8),
    /// Of this signal, as the kernel numbers it (real-time signals included).
    Signal(i32),
}

impl Exit {
    /// Whether the process succeeded.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// The exit code for an `execvp` that failed with `errno`, as POSIX `env` and `timeout` choose it.
#[must_use]
pub fn of_failed_exec(errno: i32) -> u8 {
    if errno == libc::ENOENT { NOT_FOUND } else { CANNOT_EXECUTE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_program_is_not_found() {
        assert_eq!(of_failed_exec(libc::ENOENT), 127);
        for errno in [libc::EACCES, libc::ENOEXEC, libc::EISDIR, libc::ELOOP, libc::E2BIG] {
            assert_eq!(of_failed_exec(errno), 126, "{errno}");
        }
    }

    #[test]
    fn success_is_code_zero_and_nothing_else() {
        assert!(Exit::Code(0).is_success());
        assert!(!Exit::Code(1).is_success() && !Exit::Signal(15).is_success());
    }
}
