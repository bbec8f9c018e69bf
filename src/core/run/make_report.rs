//! Owns making a run's report from what was heard of it, the verdict included: the one place where
//! that is put together. Pure.

use std::collections::BTreeMap;

use crate::core::{
    lease::foreign_change::ForeignChange,
    run::{
        build_site::BuildSite,
        heard::{ChildEnd, Heard},
        memory_seen::MemorySeen,
        oom_log::Killed,
        report::{self, MemoryReport, PeakSource, RunReport, SwapReport, TargetReport},
        results::{Back, Room, SwapBack},
        steps::Steps,
        timeline::Point,
        verdict::{Evidence, Spare, Verdict, verdict},
    },
};

/// The report of a run whose child has ended; `None` where there was none. When everything is back
/// more is known than before.
#[must_use]
pub fn make_report(heard: &Heard) -> Option<RunReport> {
    let (start, end, seen) =
        (heard.child_start.as_ref()?, heard.child_end.as_ref()?, heard.memory_seen.as_ref()?);
    let nothing = Room::default();
    let room = heard.room.as_ref().unwrap_or(&nothing);
    let available_at_start_bytes = start.memory.map(|memory| memory.available_bytes);
    // This machine's, of which the report is not where the host is another one.
    let here = start.memory.filter(|_| heard.host.is_none());
    let peak_source = seen.peak_bytes.map(|_| peak_source(heard));
    Some(RunReport {
        version: report::VERSION,
        lease: heard.about.lease.clone(),
        started_at: start.at,
        command: heard.about.command_shown.clone(),
        exit: end.exit.into(),
        elapsed_s: end.took.as_secs_f64(),
        host: heard.host.clone(),
        targets: targets(room, &heard.steps, heard.back.as_ref(), &heard.foreign_changes),
        steps: heard.steps.all().to_vec(),
        swap: swap(room, heard.back.as_ref(), &seen.points),
        memory: MemoryReport {
            total_bytes: room.memory.or(here).map(|memory| memory.total_bytes),
            available_before_bytes: room.available_before_bytes.or(available_at_start_bytes),
            available_with_room_bytes: room
                .memory
                .map(|memory| memory.available_bytes)
                .or(available_at_start_bytes),
            available_min_bytes: seen.available_min_bytes,
            build_peak_bytes: seen.peak_bytes,
            build_peak_source: peak_source,
            some_stall_s: seen.some_stall.map(|stall| stall.as_secs_f64()),
            full_stall_s: seen.full_stall.map(|stall| stall.as_secs_f64()),
            oom_kills: seen.oom_kills,
        },
        verdict: judge(heard, end, seen),
        timeline: seen.points.clone(),
    })
}

/// Where the peak of such a build is read.
fn peak_source(heard: &Heard) -> PeakSource {
    match heard.about.site {
        BuildSite::Builder | BuildSite::Container => PeakSource::BuilderCgroups,
        BuildSite::Child | BuildSite::Elsewhere if heard.about.sees_all_processes => {
            PeakSource::ProcessTree
        }
        BuildSite::Child | BuildSite::Elsewhere => PeakSource::LargestProcess,
    }
}

/// Why the build ended as it did.
fn judge(heard: &Heard, end: &ChildEnd, seen: &MemorySeen) -> Verdict {
    let (spare, killed): (&[Spare], &[Killed]) = match (&heard.back, &heard.lingering) {
        (Some(back), _) => (&back.spare, &back.killed),
        (None, Some(lingering)) => (&lingering.spare, &lingering.killed),
        (None, None) => (&[], &[]),
    };
    let site = heard.about.site;
    verdict(&Evidence {
        exit: end.exit,
        timed_out: heard.is_timed_out,
        thrash: heard.thrash,
        cancelled: heard.is_cancelled,
        engine_lost: site.is_in_engine()
            && heard.back.as_ref().is_some_and(|back| back.engine_lost),
        took: end.took,
        is_in_front: site == BuildSite::Child && heard.host.is_some(),
        oom_kills: seen.build_oom_kills,
        killed,
        peak_bytes: seen.peak_bytes,
        available_min_bytes: seen.available_min_bytes,
        swap_free_bytes: heard
            .room
            .as_ref()
            .and_then(|room| room.memory)
            .map_or(0, |memory| memory.swap_free_bytes),
        heap_limit_bytes: heard.about.heap_limit_bytes,
        spare,
    })
}

/// The targets of a run, and what became of them. `theirs` is what somebody else did to them, by
/// id.
fn targets(
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
    first.chain(steps.targets().iter().cloned()).map(of).collect()
}

/// The swap of a run, and what became of it.
fn swap(room: &Room, back: Option<&Back>, timeline: &[Point]) -> SwapReport {
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
    use crate::core::{
        machine::pressure::{Cause, Figures},
        run::results::{Answer, RoomTarget, Step},
        target::choice::Method,
    };

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
}
