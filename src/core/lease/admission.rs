//! Owns whose turn it is: whether a build fits beside the ones that run, or waits for them. Pure.
//!
//! What runs was made room for; what was available then is what all of them have to share, because
//! a build takes its memory after that. So the most that was available at the start of any of them,
//! when the others held least, has to hold what all of them need at most. What a build holds at
//! this moment is not asked: it says nothing of what it is still going to take.

use jiff::Timestamp;

use crate::core::{
    lease::{record::Kind, state::LeaseState},
    text::{names, size, span},
};

/// Whether a build may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It fits, as far as is known.
    Go,
    /// Another one is just being made room for: soon more is known.
    Soon,
    /// It does not fit beside these.
    Wait(Waiting),
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The programs of the builds that run, the oldest first.
    pub programs: Vec<String>,
    /// When the oldest was begun.
    pub since: Timestamp,
    /// What all of them need, this one included, in bytes.
    pub together_bytes: u64,
    /// What they have to share, in bytes.
    pub available_bytes: u64,
}

impl Waiting {
    /// The builds, for a sentence.
    #[must_use]
    pub fn whom(&self) -> String {
        names(self.programs.iter().map(String::as_str), 3)
    }

    /// The line while it is waited.
    #[must_use]
    pub fn line(&self, now: Timestamp) -> String {
        // A clock that was moved back makes no time of it.
        let since = now.duration_since(self.since).try_into().unwrap_or_default();
        let all = if self.programs.len() == 1 { "both" } else { "all" };
        let (together, available) = (size(self.together_bytes), size(self.available_bytes));
        format!(
            "waiting for {} (since {}): {all} together need {together} of {available}",
            self.whom(),
            span(since)
        )
    }
}

/// Decides for a build of this need, from the live leases of its host. A build whose need is not
/// known is not counted, and a lease without a build, started, kept after one or being released,
/// needs nothing.
pub fn turn<'a>(need_bytes: u64, live: impl Iterator<Item = &'a LeaseState>) -> Turn {
    let mut known = Vec::new();
    for state in live {
        let Some(opened) = &state.opened else { return Turn::Soon };
        if let (Kind::Run, Some(need_bytes), false) =
            (opened.kind, opened.need_bytes, opened.releasing)
        {
            let Some(available_bytes) = opened.available_bytes else { return Turn::Soon };
            known.push((
                opened.at,
                opened.program.clone().unwrap_or_default(),
                need_bytes,
                available_bytes,
            ));
        }
    }
    known.sort();
    let Some((since, ..)) = known.first() else { return Turn::Go };
    let together_bytes =
        known.iter().fold(need_bytes, |sum, (_, _, need_bytes, _)| sum.saturating_add(*need_bytes));
    let available_bytes =
        known.iter().map(|(.., available_bytes)| *available_bytes).max().unwrap_or(0);
    if together_bytes <= available_bytes {
        return Turn::Go;
    }
    let programs = known.iter().map(|(_, program, ..)| program.clone()).collect();
    Turn::Wait(Waiting { programs, since: *since, together_bytes, available_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::lease::record::{Opened, VERSION};

    const GIB: u64 = 1 << 30;

    fn run(program: &str, at: i64, need: Option<u64>, available: Option<u64>) -> LeaseState {
        let opened = Opened {
            version: VERSION,
            lease: "l".to_owned(),
            kind: Kind::Run,
            name: None,
            program: Some(program.to_owned()),
            engine: None,
            certificates: None,
            host: None,
            lingers_until: None,
            releasing: false,
            need_bytes: need.map(|need| need * GIB),
            available_bytes: available.map(|available| available * GIB),
            timeout: None,
            guard: None,
            at: Timestamp::from_second(at).expect("a time"),
        };
        LeaseState { opened: Some(opened), ..LeaseState::default() }
    }

    fn started(mut state: LeaseState) -> LeaseState {
        if let Some(opened) = &mut state.opened {
            opened.kind = Kind::Start;
        }
        state
    }

    fn releasing(mut state: LeaseState) -> LeaseState {
        if let Some(opened) = &mut state.opened {
            opened.releasing = true;
        }
        state
    }

    #[test]
    fn a_build_waits_for_those_beside_which_it_does_not_fit() {
        let wait = |programs: &[&str], since, together, available| {
            Turn::Wait(Waiting {
                programs: programs.iter().map(ToString::to_string).collect(),
                since: Timestamp::from_second(since).expect("a time"),
                together_bytes: together * GIB,
                available_bytes: available * GIB,
            })
        };
        let pnpm = || run("pnpm", 5, Some(8), Some(12));
        for (live, need, expected, why) in [
            (vec![], 100, Turn::Go, "nobody builds, and waiting would not help"),
            (vec![pnpm()], 4, Turn::Go, "both fit"),
            (vec![pnpm()], 5, wait(&["pnpm"], 5, 13, 12), "they do not"),
            (
                vec![pnpm(), run("make", 3, Some(2), Some(4))],
                2,
                Turn::Go,
                "the most that was available counts",
            ),
            (
                vec![pnpm(), run("make", 3, Some(2), Some(4))],
                3,
                wait(&["make", "pnpm"], 3, 13, 12),
                "all of them",
            ),
            (vec![run("sh", 1, None, Some(12))], 100, Turn::Go, "a need that is not known"),
            (
                vec![pnpm(), run("sh", 1, None, Some(20))],
                5,
                wait(&["pnpm"], 5, 13, 12),
                "only known ones are reckoned with",
            ),
            (vec![started(pnpm())], 100, Turn::Go, "a lease without a build"),
            (vec![releasing(pnpm())], 100, Turn::Go, "a build that is over"),
            (
                vec![releasing(run("pnpm", 5, Some(8), None))],
                100,
                Turn::Go,
                "one that was over before it had room",
            ),
            (vec![run("pnpm", 5, Some(8), None)], 1, Turn::Soon, "room is still being made"),
            (vec![LeaseState::default()], 1, Turn::Soon, "just begun"),
            (
                vec![run("pnpm", 5, Some(u64::MAX >> 30), Some(12))],
                1 << 33,
                wait(&["pnpm"], 5, 0, 12),
                "no sum runs over",
            ),
        ] {
            let decided = match turn(need * GIB, live.iter()) {
                Turn::Wait(waiting) if waiting.together_bytes == u64::MAX => {
                    Turn::Wait(Waiting { together_bytes: 0, ..waiting })
                }
                decided => decided,
            };
            assert_eq!(decided, expected, "{why}");
        }
    }

    #[test]
    fn the_line_says_for_whom_and_why() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let waiting = |programs: &[&str]| Waiting {
            programs: programs.iter().map(ToString::to_string).collect(),
            since: at(100),
            together_bytes: 14 * GIB,
            available_bytes: 12 * GIB,
        };
        assert_eq!(
            waiting(&["pnpm"]).line(at(112)),
            "waiting for `pnpm` (since 12.0 s): both together need 14 GiB of 12 GiB"
        );
        assert_eq!(
            waiting(&["a", "b\n"]).line(at(90)),
            "waiting for `a`, `b\\n` (since 0.0 s): all together need 14 GiB of 12 GiB"
        );
    }
}
