//! Owns the report of a run: what happened, as plain data with stable keys. `--report`, `makeroom
//! report --json` and the page are this; `schema/report.json` describes it. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    exit::Exit,
    timeline::Point,
    verdict::Verdict,
    wire::{Back, Room, RoomTarget, SwapBack},
};

/// The version of the JSON. It grows when a key goes or changes its meaning, not when one is added.
pub const VERSION: u32 = 1;

/// A run. Its fields are the keys of the JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Of this format.
    pub version: u32,
    /// The lease; null where nothing could be changed.
    pub lease: Option<String>,
    /// When the command was started.
    pub started_at: Timestamp,
    /// The program, with its arguments only where that was asked for.
    pub command: String,
    /// How it ended.
    pub exit: ExitReport,
    /// How long the command ran.
    pub elapsed_s: f64,
    /// What a person calls the host; null is this machine.
    pub host: Option<String>,
    /// What made room.
    pub targets: Vec<TargetReport>,
    /// The swap that was made.
    pub swap: SwapReport,
    /// The host's memory, and the build's.
    pub memory: MemoryReport,
    /// Why it ended as it did.
    pub verdict: Verdict,
    /// What was seen, moment by moment.
    pub timeline: Vec<Point>,
}

/// How the command ended: one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitReport {
    /// With this code.
    pub code: Option<u8>,
    /// Of this signal.
    pub signal: Option<i32>,
}

impl From<Exit> for ExitReport {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self { code: Some(code), signal: None },
            Exit::Signal(signal) => Self { code: None, signal: Some(signal) },
        }
    }
}

impl From<ExitReport> for Exit {
    fn from(report: ExitReport) -> Self {
        report.signal.map_or_else(|| Self::Code(report.code.unwrap_or(0)), Self::Signal)
    }
}

/// A target, from the pause to the return.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// What was made of it.
    #[serde(flatten)]
    pub target: RoomTarget,
    /// Whether it runs again; false also where another run still needs it.
    pub restored: bool,
    /// From then until its own health check was content, in seconds; null where that was not waited for, or in vain.
    #[serde(default)]
    pub answered_after_s: Option<f64>,
}

/// The swap of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapReport {
    /// Whether this run made some.
    pub made: bool,
    /// Where.
    pub path: Option<String>,
    /// How much.
    pub size_bytes: Option<u64>,
    /// The most that was in use of all the host's swap.
    pub peak_used_bytes: Option<u64>,
    /// Whether it is gone again; null where none was made.
    pub removed: Option<bool>,
}

/// Where the build's peak was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeakSource {
    /// The highest sum of the RSS of all its processes, or its largest process, whichever is more.
    ProcessTree,
    /// Its largest process: this system tells no more.
    LargestProcess,
    /// What the steps of the engine's builder held, cache left out.
    BuilderCgroups,
}

/// Memory figures in bytes, and stalls in seconds; null where they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// The host's, in all.
    pub total_bytes: Option<u64>,
    /// MemAvailable before anything was changed.
    pub available_before_bytes: Option<u64>,
    /// And with room made.
    pub available_with_room_bytes: Option<u64>,
    /// The lowest while the build ran.
    pub available_min_bytes: Option<u64>,
    /// The most that the build held.
    pub build_peak_bytes: Option<u64>,
    /// Where that was read.
    pub build_peak_source: Option<PeakSource>,
    /// Some task was stalled on memory for so long while the build ran.
    pub some_stall_s: Option<f64>,
    /// All tasks were.
    pub full_stall_s: Option<f64>,
    /// What the kernel killed for memory on the host while the build ran.
    pub oom_kills: Option<u64>,
}

/// The targets of a run, and what became of them.
#[must_use]
pub fn targets(room: &Room, back: Option<&Back>) -> Vec<TargetReport> {
    let runs = |id: &String| back.is_some_and(|back| back.running.contains(id));
    let answered = |id: &String| back?.answers.iter().find(|answer| answer.id == *id)?.after;
    let of = |target: &RoomTarget| TargetReport {
        target: target.clone(),
        restored: runs(&target.id),
        answered_after_s: answered(&target.id).map(|after| after.as_secs_f64()),
    };
    room.targets.iter().map(of).collect()
}

/// The swap of a run, and what became of it.
#[must_use]
pub fn swap(room: &Room, back: Option<&Back>, timeline: &[Point]) -> SwapReport {
    let removed = back.and_then(|back| back.swap.as_ref()).map(|swap| *swap == SwapBack::Removed);
    SwapReport {
        made: room.swap_made_bytes.is_some(),
        path: room.swap_path.clone(),
        size_bytes: room.swap_made_bytes,
        peak_used_bytes: timeline.iter().map(|point| point.swap_used_bytes).max(),
        removed: room.swap_made_bytes.and(removed),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::{target::Method, wire::Answer};

    fn target(id: &str) -> RoomTarget {
        RoomTarget { name: id.to_owned(), id: id.to_owned(), method: Method::Pause, memory_bytes: Some(7), given_back_bytes: None }
    }

    #[test]
    fn a_target_is_restored_only_where_the_keeper_has_seen_it_run() {
        let room = Room { targets: vec![target("a"), target("b")], ..Room::default() };
        let answer = Answer { id: "b".to_owned(), name: "b".to_owned(), after: Some(Duration::from_millis(1500)) };
        let back = Back { running: vec!["b".to_owned()], answers: vec![answer], ..Back::default() };
        let answered = targets(&room, Some(&back)).iter().map(|target| target.answered_after_s).collect::<Vec<_>>();
        assert_eq!(answered, [None, Some(1.5)]);
        let restored = |back| targets(&room, back).iter().map(|target| target.restored).collect::<Vec<_>>();
        assert_eq!(restored(Some(&back)), [false, true]);
        assert_eq!(restored(None), [false, false]);
    }

    #[test]
    fn swap_is_reported_as_made_used_and_removed() {
        let point = |swap_used_bytes| Point { swap_used_bytes, ..Point::default() };
        let made = Room { swap_made_bytes: Some(100), swap_path: Some("/s".to_owned()), ..Room::default() };
        let removed = Back { swap: Some(SwapBack::Removed), ..Back::default() };
        let report = swap(&made, Some(&removed), &[point(3), point(9), point(1)]);
        assert_eq!((report.made, report.peak_used_bytes, report.removed), (true, Some(9), Some(true)));
        let stays = Back { swap: Some(SwapBack::Stays { path: "/s".to_owned(), reason: "x".to_owned() }), ..Back::default() };
        assert_eq!(swap(&made, Some(&stays), &[]).removed, Some(false));
        assert_eq!(swap(&Room::default(), Some(&removed), &[]), SwapReport::default());
    }

    #[test]
    fn an_exit_is_a_code_or_a_signal() {
        for (exit, report) in
            [(Exit::Code(3), ExitReport { code: Some(3), signal: None }), (Exit::Signal(9), ExitReport { code: None, signal: Some(9) })]
        {
            assert_eq!((ExitReport::from(exit), Exit::from(report)), (report, exit));
        }
    }
}
