//! Owns what a target is doing, and what tells one life of it from the next. Pure.

use serde::{Deserialize, Serialize};

/// What a target is doing, as far as makeroom has to tell apart.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its processes run.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It is about to be started again, by whoever runs it.
    #[serde(rename = "restarting")]
    Starting,
    /// It has no processes.
    #[default]
    Stopped,
}

impl State {
    /// The words of those that something with processes can be in, as they are written.
    pub const WITH_PROCESSES: [&str; 3] = ["running", "paused", "restarting"];
}

/// One life of a target, from one start to the next, in the words of its kind: compared, never
/// computed with. Empty where that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(String);

/// The engine's word for a container that was never started: the zero of its clock (Go, `time.Time`).
const NEVER: &str = "0001-01-01T00:00:00";

impl Incarnation {
    /// Of a container, by the engine's `StartedAt`.
    #[must_use]
    pub fn of_start(started_at: &str) -> Self {
        Self(if started_at.starts_with(NEVER) { String::new() } else { started_at.to_owned() })
    }

    /// In the words of its kind.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// Whether it is known at all.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether these two are one, as far as is known. What is not known is not another one: what is
    /// taken for somebody else's is never put back.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self == other || !self.is_known() || !other.is_known()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_incarnations_that_are_known_and_differ_are_two() {
        for (held, now, expected) in
            [("a", "a", true), ("a", "b", false), ("a", "", true), ("", "b", true), ("", "", true)]
        {
            let (held, now) = (Incarnation::new(held), Incarnation::new(now));
            assert_eq!(held.is_same(&now), expected, "{held:?} and {now:?}");
        }
        let start = Incarnation::of_start("2026-01-01T00:00:00.1Z");
        assert!(start.is_known() && start != Incarnation::of_start("2026-01-01T00:00:00.2Z"));
        assert!(!Incarnation::of_start("0001-01-01T00:00:00Z").is_known());
    }
}
