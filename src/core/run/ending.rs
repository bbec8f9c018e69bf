//! Owns how a build ended, as everybody is told: makeroom's exit code, the report, the job's summary,
//! the hooks. It is decided here, once. Pure.

use serde::{Deserialize, Serialize};

use crate::core::run::exit::{Exit, FAILED, LIMITED};

/// What ended a build that did not end by itself; of several the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// `--timeout`.
    Timeout,
    /// `--abort-on-thrash`.
    Thrash,
    /// A signal to makeroom, whatever the build made of it.
    Interrupt,
}

impl EndedBy {
    /// The option of a limit; a signal has none.
    #[must_use]
    pub fn option(self) -> Option<&'static str> {
        match self {
            Self::Timeout => Some("--timeout"),
            Self::Thrash => Some("--abort-on-thrash"),
            Self::Interrupt => None,
        }
    }

    /// Its word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Thrash => "thrash",
            Self::Interrupt => "interrupt",
        }
    }

    /// How makeroom ends, where that is known before the child has ended.
    #[must_use]
    pub fn exit(self) -> Option<Exit> {
        self.option().map(|_| Exit::Code(LIMITED))
    }
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ending {
    /// How makeroom ends for it.
    pub exit: Exit,
    /// What ended it, where it was not the build itself.
    #[serde(default)]
    pub ended_by: Option<EndedBy>,
    /// It succeeded, and with `--strict` fails for what is not back.
    #[serde(default)]
    pub is_left: bool,
}

impl Ending {
    /// Of a child that ended so. A limit that ended it is why, whatever code it has for that.
    #[must_use]
    pub fn of(child: Exit, ended_by: Option<EndedBy>) -> Self {
        let exit = ended_by.and_then(EndedBy::exit).unwrap_or(child);
        Self { exit, ended_by, is_left: false }
    }

    /// Whether a signal to makeroom ended it.
    #[must_use]
    pub fn is_interrupted(self) -> bool {
        self.ended_by == Some(EndedBy::Interrupt)
    }

    /// The same once it is known whether everything `is_whole` again.
    #[must_use]
    pub fn with_strict(self, is_strict: bool, is_whole: bool) -> Self {
        if is_strict && !is_whole && self.exit.is_success() {
            Self { exit: Exit::Code(FAILED), is_left: true, ..self }
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_ended_the_build_is_124_whatever_the_child_has_for_it() {
        for child in [Exit::Code(0), Exit::Code(9), Exit::Signal(15), Exit::Signal(9)] {
            for limit in [EndedBy::Timeout, EndedBy::Thrash] {
                assert_eq!(Ending::of(child, Some(limit)).exit, Exit::Code(124), "{child:?}");
            }
            for other in [None, Some(EndedBy::Interrupt)] {
                assert_eq!(Ending::of(child, other).exit, child);
            }
        }
    }

    #[test]
    fn what_is_not_back_fails_a_build_that_succeeded_with_strict_and_no_other() {
        for (child, ended_by, is_strict, is_whole, code, is_left) in [
            (0, None, true, false, 125, true),
            (0, Some(EndedBy::Interrupt), true, false, 125, true),
            (0, None, true, true, 0, false),
            (0, None, false, false, 0, false),
            (3, None, true, false, 3, false),
            (0, Some(EndedBy::Timeout), true, false, 124, false),
        ] {
            let ending = Ending::of(Exit::Code(child), ended_by).with_strict(is_strict, is_whole);
            assert_eq!((ending.exit, ending.is_left), (Exit::Code(code), is_left));
        }
    }

    #[test]
    fn what_an_older_makeroom_tells_is_read() {
        let old: Ending = serde_json::from_str(r#"{"exit":{"code":3}}"#).expect("an ending");
        assert_eq!(old, Ending::of(Exit::Code(3), None));
    }
}
