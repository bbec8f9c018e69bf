//! Owns what a keeper tells a person while it works: a note with its level, and the phase that it
//! is in. Pure.

use serde::{Deserialize, Serialize};

/// How grave a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Details, with `-v`.
    Detail,
    /// News.
    Info,
    /// Worth knowing, and no reason to fail even with `--strict`.
    Warning,
    /// Room could not be made as asked: with `--strict` the build is not run.
    Shortfall,
}

/// One line for a person, with the way out where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How grave.
    pub level: Level,
    /// One line.
    pub text: String,
    /// What to type or to change.
    pub hint: Option<String>,
}

impl Note {
    /// A note without a hint.
    #[must_use]
    pub fn new(level: Level, text: impl Into<String>) -> Self {
        Self { level, text: text.into(), hint: None }
    }

    /// The same with the way out.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// What the keeper is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Targets are paused or stopped.
    Pausing,
    /// Memory is pushed out to swap.
    Reclaiming,
    /// Targets are brought back.
    Restoring,
    /// Services that were healthy are waited for.
    Answering,
    /// Swap is taken away.
    SwapOff,
}
