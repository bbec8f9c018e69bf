//! Owns the report of a run: what happened, as plain data with stable keys. `--report`, `makeroom
//! report --json` and the page are this; `schema/report.json` describes it. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::{
    lease::foreign_change::ForeignChange,
    machine::pressure::Cause,
    run::{
        exit::Exit,
        results::RoomTarget,
        timeline::{MOST_POINTS, Point},
        verdict::Verdict,
    },
};

/// The version of the JSON. It grows when a key goes or changes its meaning, not when one is added.
pub const VERSION: u32 = 1;

/// A run. Its fields are the keys of the JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RunReport {
    /// The version of this format.
    #[schemars(extend("const" = VERSION))]
    pub version: u32,
    /// The lease; null where nothing could be changed.
    #[schemars(regex(pattern = "^[0-9a-f]{12}$"))]
    pub lease: Option<String>,
    /// When the command was started.
    pub started_at: Timestamp,
    /// The program; with its arguments, quoted for a shell, only with `--record-arguments`.
    pub command: String,
    /// How it ended, as makeroom's own exit has it: 124 where a limit ended it, 125 where with
    /// `--strict` not everything is back.
    pub exit: ExitReport,
    /// Whether a signal to makeroom ended it, whatever code it has for that.
    #[serde(default)]
    pub interrupted: bool,
    /// How long the command ran.
    #[schemars(range(min = 0))]
    pub elapsed_s: f64,
    /// What a person calls the host; null is this machine.
    pub host: Option<String>,
    /// What made room, before the build or in a step.
    pub targets: Vec<TargetReport>,
    /// What `--then` took while the command ran, in order.
    #[serde(default)]
    pub steps: Vec<StepReport>,
    /// The swap that was made.
    pub swap: SwapReport,
    /// The host's memory, and the build's.
    pub memory: MemoryReport,
    /// Why it ended as it did.
    pub verdict: Verdict,
    /// What was seen, moment by moment.
    #[schemars(length(max = MOST_POINTS))]
    pub timeline: Vec<Point>,
}

/// How the command ended: one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ExitReport {
    /// The code that it ended with.
    pub code: Option<u8>,
    /// The signal that it died of.
    #[schemars(range(min = 1))]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TargetReport {
    /// What was made of it.
    #[serde(flatten)]
    pub target: RoomTarget,
    /// Whether it was seen to run again; false also where another run still needs it.
    pub restored: bool,
    /// Whether it was left as it is to another run, which brings it back.
    #[serde(default)]
    pub handed_over: bool,
    /// Seconds from its return until its own health check was content, with `--wait-healthy`; null
    /// where that was not waited for, or in vain.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub answered_after_s: Option<f64>,
    /// What somebody else did to it while the build ran, so that it was theirs at the end and not
    /// brought back; null where nobody did.
    #[serde(default)]
    pub theirs: Option<ForeignChange>,
}

impl TargetReport {
    /// Of a target of which nothing was heard yet.
    #[must_use]
    pub fn of(target: &RoomTarget) -> Self {
        Self {
            target: target.clone(),
            restored: false,
            handed_over: false,
            answered_after_s: None,
            theirs: None,
        }
    }
}

/// A step that was taken under pressure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct StepReport {
    /// When it had been taken, in seconds since the build began.
    #[schemars(range(min = 0))]
    pub at_s: f64,
    /// The selector that `--then` names.
    pub selector: String,
    /// Why it was due.
    pub cause: Cause,
    /// The full avg10 before it, in percent; null where it is not measured.
    #[schemars(range(min = 0, max = 100))]
    pub pressure_percent: Option<f64>,
    /// MemAvailable before it.
    pub available_bytes: u64,
    /// The ids of what was taken; they are among the report's `targets`.
    #[schemars(inner(regex(pattern = "^[0-9a-f]{64}$")))]
    pub targets: Vec<String>,
    /// What they gave back; null where nothing was pushed out.
    pub given_back_bytes: Option<u64>,
    /// When it was undone while the build still ran, in seconds since that began; null where it was
    /// not.
    #[schemars(range(min = 0))]
    pub undone_at_s: Option<f64>,
}

/// The swap of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SwapReport {
    /// Whether this run made some.
    pub made: bool,
    /// Where it is.
    pub path: Option<String>,
    /// How large it is.
    pub size_bytes: Option<u64>,
    /// The most that was in use of all the host's swap.
    pub peak_used_bytes: Option<u64>,
    /// Whether it is gone again; null where none was made.
    pub removed: Option<bool>,
}

/// Where the build's peak was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MemoryReport {
    /// MemTotal.
    pub total_bytes: Option<u64>,
    /// MemAvailable before anything was changed.
    pub available_before_bytes: Option<u64>,
    /// MemAvailable with room made.
    pub available_with_room_bytes: Option<u64>,
    /// The lowest MemAvailable while the build ran.
    pub available_min_bytes: Option<u64>,
    /// The most that the build held.
    pub build_peak_bytes: Option<u64>,
    /// Where the peak was read.
    pub build_peak_source: Option<PeakSource>,
    /// For how long some task was stalled on memory while the build ran.
    #[schemars(range(min = 0))]
    pub some_stall_s: Option<f64>,
    /// For how long all tasks were.
    #[schemars(range(min = 0))]
    pub full_stall_s: Option<f64>,
    /// What the kernel killed for memory on the host while the build ran.
    pub oom_kills: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_a_code_or_a_signal() {
        for (exit, report) in [
            (Exit::Code(3), ExitReport { code: Some(3), signal: None }),
            (Exit::Signal(9), ExitReport { code: None, signal: Some(9) }),
        ] {
            assert_eq!((ExitReport::from(exit), Exit::from(report)), (report, exit));
        }
    }
}
