//! Owns the figures of a build's memory, as they were watched while it ran. Plain data. Pure.

use std::time::Duration;

use crate::core::run::timeline::Point;

/// What was seen while a build ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemorySeen {
    /// The lowest MemAvailable, in bytes.
    pub available_min_bytes: Option<u64>,
    /// The time for which some task was stalled on memory.
    pub some_stall: Option<Duration>,
    /// The time for which all tasks were.
    pub full_stall: Option<Duration>,
    /// The build's peak in bytes: the highest sum of the RSS of the child and all below it, or what
    /// the engine's builder held; `None` where nothing of it was seen.
    pub peak_bytes: Option<u64>,
    /// What the host's kernel killed for memory meanwhile.
    pub oom_kills: Option<u64>,
    /// What the kernel killed that the build runs on: the host's, or this machine's in front of it.
    pub build_oom_kills: Option<u64>,
    /// Moment by moment.
    pub points: Vec<Point>,
}
