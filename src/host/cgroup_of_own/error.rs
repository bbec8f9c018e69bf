//! Owns why a process has no cgroup of its own, in words.

use std::{io, time::Duration};

use thiserror::Error;

use crate::core::machine::own_cgroup::Stays;

/// Why there is none.
#[derive(Debug, Error)]
pub enum NotEntered {
    /// None may be had.
    #[error(transparent)]
    Stays(#[from] Stays),
    /// A program that was asked has refused.
    #[error("{program}: {said}")]
    Refused {
        /// What was run.
        program: &'static str,
        /// What it said, as one line.
        said: String,
    },
    /// It has not answered.
    #[error("{program} has not answered for {limit:?}")]
    Slow {
        /// What was run.
        program: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The manager's job has not moved the process.
    #[error("{0} was asked for, and has not come")]
    NotMoved(String),
    /// The kernel refused.
    #[error("{path}: {source}")]
    Io {
        /// What could not be used.
        path: String,
        /// The system's error.
        source: io::Error,
    },
}
