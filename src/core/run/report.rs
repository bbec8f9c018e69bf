//! Owns the report of a run: what happened, as plain data with stable keys. `--report`, `makeroom
//! report --json` and the page are this; `schema/report.json` describes it. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::{
    lease::foreign_change::ForeignChange,
    machine::pressure::Cause,
    run::{
        exit::Exit,
        timeline::{MOST_POINTS, Point},
        verdict::Verdict,
        wire::{Back, Room, RoomTarget, Step, SwapBack},
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
    /// How it ended.
    pub exit: ExitReport,
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
    fn of(target: &RoomTarget) -> Self {
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

/// The steps of a run, as they are heard of.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    steps: Vec<StepReport>,
    targets: Vec<TargetReport>,
}

impl Steps {
    /// One was taken.
    pub fn taken(&mut self, at_s: f64, step: &Step) {
        // What was undone and is taken again is one target.
        self.targets
            .retain(|known| !step.targets.iter().any(|target| target.id == known.target.id));
        self.targets.extend(step.targets.iter().map(TargetReport::of));
        self.steps.push(StepReport {
            at_s,
            selector: step.selector.clone(),
            cause: step.cause,
            pressure_percent: step.figures.pressure_percent,
            available_bytes: step.figures.available_bytes,
            targets: step.targets.iter().map(|target| target.id.clone()).collect(),
            given_back_bytes: step.given_back_bytes,
            undone_at_s: None,
        });
    }

    /// The last one that is still taken was undone; these targets were seen to run.
    pub fn undone(&mut self, at_s: f64, running: &[String]) {
        if let Some(step) = self.steps.iter_mut().rfind(|step| step.undone_at_s.is_none()) {
            step.undone_at_s = Some(at_s);
        }
        for known in &mut self.targets {
            known.restored |= running.contains(&known.target.id);
        }
    }

    /// Everything was given back, because the build is stopped.
    pub fn suspended(&mut self, at_s: f64) {
        for step in self.steps.iter_mut().filter(|step| step.undone_at_s.is_none()) {
            step.undone_at_s = Some(at_s);
        }
    }

    /// How many are taken now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.steps.iter().filter(|step| step.undone_at_s.is_none()).count()
    }

    /// The target with this id, where it is one of a step.
    #[must_use]
    pub fn target(&self, id: &str) -> Option<&RoomTarget> {
        self.targets.iter().map(|known| &known.target).find(|target| target.id == id)
    }

    /// All of them, in order.
    #[must_use]
    pub fn all(&self) -> &[StepReport] {
        &self.steps
    }
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

/// The targets of a run, and what became of them. `theirs` is what somebody else did to them, by
/// id.
#[must_use]
pub fn targets(
    room: &Room,
    steps: &Steps,
    back: Option<&Back>,
    theirs: &BTreeMap<String, ForeignChange>,
) -> Vec<TargetReport> {
    let runs = |id: &String| back.is_some_and(|back| back.running.contains(id));
    let answered = |id: &String| back?.answers.iter().find(|answer| answer.id == *id)?.after;
    let first = room.targets.iter().map(TargetReport::of);
    let of = |known: TargetReport| TargetReport {
        restored: known.restored || runs(&known.target.id),
        handed_over: back.is_some_and(|back| back.handed_over.contains(&known.target.id)),
        answered_after_s: answered(&known.target.id).map(|after| after.as_secs_f64()),
        theirs: theirs.get(&known.target.id).copied(),
        ..known
    };
    first.chain(steps.targets.iter().cloned()).map(of).collect()
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
    use crate::core::{machine::pressure::Figures, run::wire::Answer, target::choice::Method};

    fn target(id: &str) -> RoomTarget {
        RoomTarget {
            name: id.to_owned(),
            id: id.to_owned(),
            method: Method::Pause,
            memory_bytes: Some(7),
            given_back_bytes: None,
        }
    }

    #[test]
    fn a_target_is_restored_only_where_the_keeper_has_seen_it_run() {
        let room = Room { targets: vec![target("a"), target("b")], ..Room::default() };
        let answer = Answer {
            id: "b".to_owned(),
            name: "b".to_owned(),
            after: Some(Duration::from_millis(1500)),
        };
        let back = Back { running: vec!["b".to_owned()], answers: vec![answer], ..Back::default() };
        let none = Steps::default();
        let nobody = BTreeMap::new();
        let answered = targets(&room, &none, Some(&back), &nobody)
            .iter()
            .map(|target| target.answered_after_s)
            .collect::<Vec<_>>();
        assert_eq!(answered, [None, Some(1.5)]);
        let restored = |back| {
            targets(&room, &none, back, &nobody)
                .iter()
                .map(|target| target.restored)
                .collect::<Vec<_>>()
        };
        assert_eq!(restored(Some(&back)), [false, true]);
        assert_eq!(restored(None), [false, false]);
        let left = Back { handed_over: vec!["a".to_owned()], ..back.clone() };
        assert_eq!(
            targets(&room, &none, Some(&left), &nobody)
                .iter()
                .map(|target| target.handed_over)
                .collect::<Vec<_>>(),
            [true, false]
        );
        let theirs = BTreeMap::from([("a".to_owned(), ForeignChange::Removed)]);
        let told = targets(&room, &none, Some(&back), &theirs)
            .iter()
            .map(|target| target.theirs)
            .collect::<Vec<_>>();
        assert_eq!(told, [Some(ForeignChange::Removed), None]);
    }

    #[test]
    fn the_steps_targets_are_there_once_and_restored_when_their_step_was_undone_or_at_the_end() {
        let step = |ids: &[&str]| Step {
            selector: ids.concat(),
            cause: Cause::Floor,
            figures: Figures { pressure_percent: Some(1.5), available_bytes: 7, falling_bytes: 0 },
            targets: ids.iter().map(|id| target(id)).collect(),
            given_back_bytes: Some(3),
            took: Duration::ZERO,
        };
        let room = Room { targets: vec![target("a")], ..Room::default() };
        let mut steps = Steps::default();
        let restored = |steps: &Steps, back: &[&str]| {
            let back =
                Back { running: back.iter().map(ToString::to_string).collect(), ..Back::default() };
            targets(&room, steps, Some(&back), &BTreeMap::new())
                .iter()
                .map(|known| (known.target.id.clone(), known.restored))
                .collect::<Vec<_>>()
        };
        let is = |ids: &[(&str, bool)]| {
            ids.iter().map(|(id, restored)| ((*id).to_owned(), *restored)).collect::<Vec<_>>()
        };
        steps.taken(1.0, &step(&["b"]));
        steps.taken(2.0, &step(&["c", "d"]));
        assert_eq!(
            (steps.count(), restored(&steps, &["a", "c"])),
            (2, is(&[("a", true), ("b", false), ("c", true), ("d", false)]))
        );
        steps.undone(3.0, &["c".to_owned(), "d".to_owned()]);
        assert_eq!(
            (steps.count(), restored(&steps, &[])),
            (1, is(&[("a", false), ("b", false), ("c", true), ("d", true)]))
        );
        steps.taken(4.0, &step(&["c", "d"]));
        assert_eq!(
            (steps.count(), restored(&steps, &[])),
            (2, is(&[("a", false), ("b", false), ("c", false), ("d", false)]))
        );
        let undone: Vec<_> = steps.all().iter().map(|step| (step.at_s, step.undone_at_s)).collect();
        assert_eq!(undone, [(1.0, None), (2.0, Some(3.0)), (4.0, None)]);
        steps.suspended(5.0);
        let undone: Vec<_> = steps.all().iter().map(|step| step.undone_at_s).collect();
        assert_eq!((steps.count(), undone), (0, vec![Some(5.0), Some(3.0), Some(5.0)]));
    }

    #[test]
    fn swap_is_reported_as_made_used_and_removed() {
        let point = |swap_used_bytes| Point { swap_used_bytes, ..Point::default() };
        let made = Room {
            swap_made_bytes: Some(100),
            swap_path: Some("/s".to_owned()),
            ..Room::default()
        };
        let removed = Back { swap: Some(SwapBack::Removed), ..Back::default() };
        let report = swap(&made, Some(&removed), &[point(3), point(9), point(1)]);
        assert_eq!(
            (report.made, report.peak_used_bytes, report.removed),
            (true, Some(9), Some(true))
        );
        let stays = Back {
            swap: Some(SwapBack::Stays { path: "/s".to_owned(), reason: "x".to_owned() }),
            ..Back::default()
        };
        assert_eq!(swap(&made, Some(&stays), &[]).removed, Some(false));
        assert_eq!(swap(&Room::default(), Some(&removed), &[]), SwapReport::default());
    }

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
