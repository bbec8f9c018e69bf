use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::core::{
    machine::{
        memory::Memory,
        pressure::{Cause, Figures},
    },
    run::{
        ending::{EndedBy, Ending},
        exit::Exit,
        heard::{ChildStart, tests::about},
        results::{Answer, Lingering, RoomTarget, Step},
        verdict::{Kind, Thrash},
    },
    target::{kind::Kind as TargetKind, method::Method},
};

fn target(id: &str) -> RoomTarget {
    RoomTarget {
        name: id.to_owned(),
        id: id.to_owned(),
        kind: TargetKind::Container,
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
        ..Answer::default()
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
    let made =
        Room { swap_made_bytes: Some(100), swap_path: Some("/s".to_owned()), ..Room::default() };
    let removed = Back { swap: Some(SwapBack::Removed), ..Back::default() };
    let report = swap(&made, Some(&removed), &[point(3), point(9), point(1)]);
    assert_eq!((report.made, report.peak_used_bytes, report.removed), (true, Some(9), Some(true)));
    let stays = Back {
        swap: Some(SwapBack::Stays { path: "/s".to_owned(), reason: "x".to_owned() }),
        ..Back::default()
    };
    assert_eq!(swap(&made, Some(&stays), &[]).removed, Some(false));
    assert_eq!(swap(&Room::default(), Some(&removed), &[]), SwapReport::default());
}

fn ended(child: Exit, by: Option<EndedBy>) -> ChildEnd {
    ChildEnd { child, ending: Ending::of(child, by), took: Duration::from_secs(2) }
}

/// A build of this machine that failed with 1 after two seconds, in room of the host's.
fn failed(site: BuildSite) -> Heard {
    let memory =
        |available_bytes| Some(Memory { total_bytes: 90, available_bytes, ..Memory::default() });
    Heard {
        room: Some(Room {
            targets: vec![target("a")],
            available_before_bytes: Some(10),
            memory: memory(30),
            ..Room::default()
        }),
        child_start: Some(ChildStart { at: Timestamp::UNIX_EPOCH, memory: memory(20) }),
        child_end: Some(ended(Exit::Code(1), None)),
        memory_seen: Some(MemorySeen {
            peak_bytes: Some(7),
            build_oom_kills: Some(0),
            oom_kills: Some(3),
            ..MemorySeen::default()
        }),
        ..Heard::new(about(site))
    }
}

#[test]
fn a_run_without_a_child_that_ended_and_was_watched_has_no_report() {
    let whole = failed(BuildSite::Child);
    assert!(make_report(&whole).is_some());
    for heard in [
        Heard { child_start: None, ..whole.clone() },
        Heard { child_end: None, ..whole.clone() },
        Heard { memory_seen: None, ..whole },
    ] {
        assert_eq!(make_report(&heard), None, "{heard:?}");
    }
}

#[test]
fn the_report_has_the_rooms_figures_and_without_room_this_machines() {
    let with_room = failed(BuildSite::Child);
    let without = Heard { room: None, ..with_room.clone() };
    let figures = |heard: &Heard| {
        let memory = make_report(heard).expect("a report").memory;
        let available = (memory.available_before_bytes, memory.available_with_room_bytes);
        (memory.total_bytes, available, memory.build_peak_bytes, memory.oom_kills)
    };
    assert_eq!(figures(&with_room), (Some(90), (Some(10), Some(30)), Some(7), Some(3)));
    assert_eq!(figures(&without), (Some(90), (Some(20), Some(20)), Some(7), Some(3)));
    // What this machine has says nothing of a host that is another one.
    let elsewhere = Heard { host: Some("vm".to_owned()), ..without };
    assert_eq!(figures(&elsewhere).0, None);
    let report = make_report(&with_room).expect("a report");
    assert_eq!((report.command.as_str(), report.elapsed_s), ("pnpm", 2.0), "no argument");
    assert_eq!(Exit::from(report.exit), Exit::Code(1));
    assert_eq!(report.targets, [TargetReport::of(&target("a"))]);
}

#[test]
fn the_peak_is_told_with_where_it_was_read_and_one_that_was_not_seen_is_not_told() {
    let source = |site, sees_all_processes, peak_bytes| {
        let mut heard = failed(site);
        heard.about.sees_all_processes = sees_all_processes;
        heard.memory_seen.as_mut().expect("seen").peak_bytes = peak_bytes;
        make_report(&heard).expect("a report").memory.build_peak_source
    };
    for (site, sees_all_processes, expected) in [
        (BuildSite::Child, true, PeakSource::ProcessTree),
        (BuildSite::Elsewhere, false, PeakSource::LargestProcess),
        (BuildSite::Builder, true, PeakSource::BuilderCgroups),
        (BuildSite::Container, false, PeakSource::BuilderCgroups),
    ] {
        assert_eq!(source(site, sees_all_processes, Some(7)), Some(expected), "{site:?}");
        assert_eq!(source(site, sees_all_processes, None), None, "{site:?}");
    }
}

#[test]
fn the_verdict_is_made_of_all_that_was_heard() {
    let step = Killed { name: "cc1".to_owned(), pid: 8, held_bytes: None, is_step: true };
    let killed = Back { killed: vec![step.clone()], ..Back::default() };
    let lingering = Lingering { killed: vec![step], ..Lingering::default() };
    let lost = Back { engine_lost: true, ..Back::default() };
    let thrash = Thrash { time: Duration::ZERO, figures: Figures::default(), steps: 0 };
    let base = || failed(BuildSite::Builder);
    let by = |by| Heard { child_end: Some(ended(Exit::Code(1), Some(by))), ..base() };
    for (heard, kind) in [
        (base(), Kind::OwnError),
        (Heard { is_cancelled: true, ..base() }, Kind::OwnError),
        (by(EndedBy::Interrupt), Kind::Cancelled),
        (by(EndedBy::Timeout), Kind::Timeout),
        (Heard { thrash: Some(thrash), ..by(EndedBy::Thrash) }, Kind::Thrash),
        (Heard { back: Some(lost.clone()), ..base() }, Kind::EngineLost),
        // That the engine went away says nothing of a build that did not run in it.
        (Heard { back: Some(lost), ..failed(BuildSite::Child) }, Kind::OwnError),
        (Heard { back: Some(killed), ..base() }, Kind::OomKill),
        (Heard { lingering: Some(lingering), ..base() }, Kind::OomKill),
    ] {
        let verdict = make_report(&heard).expect("a report").verdict;
        assert_eq!(verdict.kind, kind, "{heard:?}");
    }
}

#[test]
fn the_verdict_knows_the_command_the_host_and_who_else_could_have_made_room() {
    let spare = Spare { name: "web".to_owned(), bytes: 1 << 30 };
    let memory = Memory { swap_free_bytes: 8 << 30, ..Memory::default() };
    let killed = Heard {
        room: Some(Room { memory: Some(memory), ..Room::default() }),
        child_end: Some(ended(Exit::Signal(9), None)),
        memory_seen: Some(MemorySeen { build_oom_kills: Some(1), ..MemorySeen::default() }),
        back: Some(Back { spare: vec![spare], ..Back::default() }),
        ..failed(BuildSite::Child)
    };
    let remedy = |heard: &Heard| make_report(heard).expect("a report").verdict.remedy;
    assert_eq!(
        remedy(&killed).as_deref(),
        Some(
            "pausing `web` would give 1.0 GiB more, or `--swap 16GiB` would give it a place to go"
        )
    );
    let in_front = Heard { host: Some("vm".to_owned()), ..killed };
    assert!(remedy(&in_front).is_some_and(|remedy| remedy.contains("does not help")));
    let mut aborted = failed(BuildSite::Child);
    aborted.child_end = Some(ended(Exit::Code(134), None));
    aborted.about.heap_limit_bytes = Some(1 << 30);
    let cause = make_report(&aborted).expect("a report").verdict.cause;
    assert!(cause.is_some_and(|cause| cause.contains("limit (here 1.0 GiB)")));
}

#[test]
fn exit_verdict_and_interruption_tell_one_story_whatever_the_child_did() {
    let zero = Exit::Code(0);
    for (child, by, code, kind, interrupted) in [
        (zero, None, 0, Kind::Ok, false),
        (zero, Some(EndedBy::Timeout), 124, Kind::Timeout, false),
        (Exit::Signal(9), Some(EndedBy::Timeout), 124, Kind::Timeout, false),
        (zero, Some(EndedBy::Thrash), 124, Kind::Thrash, false),
        (zero, Some(EndedBy::Interrupt), 0, Kind::Ok, true),
        (Exit::Code(3), Some(EndedBy::Interrupt), 3, Kind::Cancelled, true),
    ] {
        let heard = Heard { child_end: Some(ended(child, by)), ..failed(BuildSite::Child) };
        let told = make_report(&heard).expect("a report");
        let exit = Exit::from(told.exit);
        assert_eq!((exit, told.interrupted), (Exit::Code(code), interrupted), "{child:?} {by:?}");
        assert_eq!(told.verdict.kind, kind, "{child:?} {by:?}");
    }
    let mut left = Heard { child_end: Some(ended(zero, None)), ..failed(BuildSite::Child) };
    left.about.is_strict = true;
    left.all_is_back(false);
    let told = make_report(&left).expect("a report");
    assert_eq!((Exit::from(told.exit), told.verdict.kind), (Exit::Code(125), Kind::NotRestored));
}
