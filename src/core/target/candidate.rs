//! Owns a target that is free to be taken, as it is now. Pure.

use crate::core::target::{recorded::Target, seen::Seen};

/// A target that is ours to take.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What a journal will keep of it.
    pub target: Target,
    /// What its cgroup holds, in bytes; `None` where that is not known.
    pub memory_bytes: Option<u64>,
    /// What the last look at it has found.
    pub seen: Seen,
    /// Why a pause would free nothing; `None` where it would, or is asked for by name.
    pub stays: Option<&'static str>,
    /// The target that is stopped in its place and with all its other parts, by its id.
    pub part_of: Option<String>,
    /// The keeper before this one announced it, and may have sent a call that comes late.
    pub announced: bool,
}
