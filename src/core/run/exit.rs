//! Owns all exit codes: makeroom's own, and how the child's end becomes makeroom's. Pure.

use serde::{Deserialize, Serialize};

/// All is as it was asked for, or as it should be.
pub const DONE: u8 = 0;
/// The answer of `plan` or `doctor` is no: the build does not fit, or something is to be fixed.
pub const NO: u8 = 1;
/// The build was ended by `--timeout` or `--abort-on-thrash`.
pub const LIMITED: u8 = 124;
/// makeroom itself failed before the child ran, or with `--strict` could not restore.
pub const FAILED: u8 = 125;
/// The command was found but cannot be executed.
pub const CANNOT_EXECUTE: u8 = 126;
/// The command was not found.
pub const NOT_FOUND: u8 = 127;

/// To which a shell adds the number of the signal that a process died of.
const DEATH: i32 = 128;

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
        self == Self::Code(DONE)
    }

    /// The exit code that a shell has for it: of a death, 128 + n.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => u8::try_from(DEATH.saturating_add(signal)).unwrap_or(u8::MAX),
        }
    }

    /// Whether it died of this signal, or a shell between makeroom and the program says so.
    #[must_use]
    pub fn is_death_of(self, signal: i32) -> bool {
        self.code() == Self::Signal(signal).code()
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
    fn a_death_is_the_signal_or_what_a_shell_has_for_it() {
        for (exit, code, is_killed) in [
            (Exit::Signal(9), 137, true),
            (Exit::Code(137), 137, true),
            (Exit::Signal(15), 143, false),
            (Exit::Code(9), 9, false),
            (Exit::Signal(64), 192, false),
        ] {
            assert_eq!((exit.code(), exit.is_death_of(9)), (code, is_killed), "{exit:?}");
        }
    }

    #[test]
    fn success_is_code_zero_and_nothing_else() {
        assert!(Exit::Code(0).is_success());
        assert!(!Exit::Code(1).is_success() && !Exit::Signal(15).is_success());
    }
}
