//! The policy as tables. Every reachable state with every event is in `walk`.

mod walk;

use super::*;

/// What a keeper hears: each message, a signal, the end of the messages.
const HEARD: [Event; 13] = [
    Event::MakeRoom,
    Event::Child,
    Event::Strays,
    Event::Ending,
    Event::Suspend,
    Event::Resume,
    Event::Hold,
    Event::Ended,
    Event::Linger,
    Event::LookAround,
    Event::Release,
    Event::Signal,
    Event::EndOfFile,
];

const DUE: [(Event, Act); 4] = [
    (Event::StepDue, Act::TakeStep),
    (Event::UndoDue, Act::UndoStep),
    (Event::LookDue, Act::Look),
    (Event::RetakeDue, Act::Retake),
];

/// How acts end.
const ENDS: [Event; 22] = [
    Event::RoomMade(Made::Room),
    Event::RoomMade(Made::Covered),
    Event::RoomMade(Made::HeldAlready),
    Event::RoomMade(Made::NotRecorded),
    Event::StepTaken,
    Event::StepUndone,
    Event::Looked,
    Event::Retaken,
    Event::Suspended,
    Event::StepsUndone { is_anything_left: true },
    Event::StepsUndone { is_anything_left: false },
    Event::Examined,
    Event::LingeringBegun,
    Event::LingeringFailed,
    Event::HoldingBegun,
    Event::HoldingFailed,
    Event::OrphanEnded,
    Event::Released,
    Event::ReleaseSaid { is_rest_left: true },
    Event::ReleaseSaid { is_rest_left: false },
    Event::RestSeenTo,
    Event::ControlEnded,
];

const ALL_STAGES: [Stage; 19] = [
    Stage::MakingRoom,
    Stage::HasRoom,
    Stage::TakingStep,
    Stage::UndoingStep,
    Stage::Looking,
    Stage::Retaking,
    Stage::Suspending,
    Stage::NoRoom,
    Stage::UndoingSteps,
    Stage::PostMortem { is_released: false },
    Stage::PostMortem { is_released: true },
    Stage::BeginningToLinger,
    Stage::BeginningToHold,
    Stage::Standing,
    Stage::EndingOrphan,
    Stage::Releasing,
    Stage::SayingReleased,
    Stage::SeeingToRest,
    Stage::Done,
];

/// Stages in which something is under way that can be cancelled.
const CANCELLABLE: [Stage; 5] =
    [Stage::MakingRoom, Stage::TakingStep, Stage::UndoingStep, Stage::Looking, Stage::Retaking];

const ROOM: Event = Event::RoomMade(Made::Room);

fn after(events: &[Event]) -> Lifecycle {
    let (mut lifecycle, _) = Lifecycle::begin(false);
    for &event in events {
        lifecycle.handle(event);
    }
    lifecycle
}

/// What the last of these events led to.
fn acts_of(events: &[Event]) -> Vec<Act> {
    let (last, before) = events.split_last().expect("an event");
    after(before).handle(*last)
}

/// One path to each stage, with a build that runs where there can be one.
fn in_stage(stage: Stage) -> Lifecycle {
    let path: &[Event] = match stage {
        Stage::MakingRoom => &[],
        Stage::HasRoom => &[ROOM, Event::Child],
        Stage::TakingStep => &[ROOM, Event::Child, Event::StepDue],
        Stage::UndoingStep => &[ROOM, Event::Child, Event::UndoDue],
        Stage::Looking => &[ROOM, Event::Child, Event::LookDue],
        Stage::Retaking => &[ROOM, Event::Child, Event::RetakeDue],
        Stage::Suspending => &[ROOM, Event::Child, Event::Suspend],
        Stage::NoRoom => &[ROOM, Event::Child, Event::Suspend, Event::Suspended],
        Stage::UndoingSteps => &[ROOM, Event::Child, Event::Linger],
        Stage::PostMortem { is_released: false } => &[
            ROOM,
            Event::Child,
            Event::LookAround,
            Event::Linger,
            Event::StepsUndone { is_anything_left: true },
        ],
        Stage::PostMortem { is_released: true } => {
            &[ROOM, Event::LookAround, Event::Release, Event::Released]
        }
        Stage::BeginningToLinger => {
            &[ROOM, Event::Child, Event::Linger, Event::StepsUndone { is_anything_left: true }]
        }
        Stage::BeginningToHold => &[ROOM, Event::Hold],
        Stage::Standing => &[ROOM, Event::Hold, Event::HoldingBegun],
        Stage::EndingOrphan => &[ROOM, Event::Child, Event::EndOfFile],
        Stage::Releasing => &[ROOM, Event::Release],
        Stage::SayingReleased => &[ROOM, Event::Release, Event::Released],
        Stage::SeeingToRest => {
            &[ROOM, Event::Release, Event::Released, Event::ReleaseSaid { is_rest_left: true }]
        }
        Stage::Done => {
            &[ROOM, Event::Release, Event::Released, Event::ReleaseSaid { is_rest_left: false }]
        }
    };
    let lifecycle = after(path);
    assert_eq!(lifecycle.stage(), stage);
    lifecycle
}

#[test]
fn every_message_and_signal_in_every_stage_does_what_the_table_says() {
    for stage in ALL_STAGES {
        for event in HEARD {
            let expected = match (stage, event) {
                (
                    Stage::MakingRoom
                    | Stage::TakingStep
                    | Stage::UndoingStep
                    | Stage::Looking
                    | Stage::Retaking,
                    Event::Suspend
                    | Event::Linger
                    | Event::Release
                    | Event::Signal
                    | Event::EndOfFile,
                )
                | (Stage::SeeingToRest, Event::Signal) => vec![Act::Cancel],
                (Stage::HasRoom, Event::Suspend) => vec![Act::SuspendTargets],
                (Stage::HasRoom, Event::Linger) => vec![Act::UndoSteps],
                (Stage::NoRoom, Event::Resume) => vec![Act::MakeRoom],
                (Stage::HasRoom | Stage::NoRoom, Event::Hold) => vec![Act::BeginHolding],
                (Stage::HasRoom | Stage::NoRoom, Event::EndOfFile) => vec![Act::EndOrphan],
                (
                    Stage::HasRoom | Stage::NoRoom | Stage::Standing,
                    Event::Release | Event::Signal,
                ) => vec![Act::Release],
                _ => vec![],
            };
            assert_eq!(in_stage(stage).handle(event), expected, "{event:?} in {stage:?}");
        }
    }
}

#[test]
fn what_is_due_is_begun_with_room_put_off_while_something_is_under_way_and_else_left() {
    for stage in ALL_STAGES {
        for (event, act) in DUE {
            let is_step = matches!(event, Event::StepDue | Event::UndoDue);
            let expected = match stage {
                Stage::HasRoom => vec![act],
                Stage::Standing if !is_step => vec![act],
                _ if CANCELLABLE.contains(&stage) => vec![Act::PutOff],
                _ => vec![],
            };
            assert_eq!(in_stage(stage).handle(event), expected, "{event:?} in {stage:?}");
        }
    }
}

#[test]
fn what_was_made_is_said_unless_it_is_not_wanted_any_more() {
    use Act::{Release, RunRoomMadeHook, SayMade, SuspendTargets};
    for (made, expected) in [
        (Made::Room, vec![SayMade, RunRoomMadeHook]),
        (Made::Covered, vec![SayMade, Release]),
        (Made::HeldAlready, vec![SayMade, Release]),
        (Made::NotRecorded, vec![Release]),
    ] {
        let made = Event::RoomMade(made);
        assert_eq!(acts_of(&[made]), expected, "{made:?}");
        assert_eq!(acts_of(&[Event::Release, made]), [Release], "{made:?}");
        assert_eq!(acts_of(&[Event::Suspend, made]), [SuspendTargets], "{made:?}");
        assert_eq!(acts_of(&[Event::EndOfFile, made]), [Release], "no build yet: {made:?}");
        // What was made until it was cancelled counts as room.
        let made = [Event::Suspend, Event::Resume, made];
        assert_eq!(acts_of(&made), expected, "{made:?}");
    }
}

#[test]
fn room_that_is_made_again_after_a_stop_is_no_news_for_the_hooks() {
    let again = [ROOM, Event::Child, Event::Suspend, Event::Suspended, Event::Resume, ROOM];
    assert_eq!(acts_of(&again), [Act::SayMade]);
    // Stopped before there was room, the hooks have heard of none.
    let first = [Event::Suspend, ROOM, Event::Suspended, Event::Resume, ROOM];
    assert_eq!(acts_of(&first), [Act::SayMade, Act::RunRoomMadeHook]);
    let unmade = [Event::Release, ROOM, Event::Released];
    assert_eq!(acts_of(&unmade), [Act::SayReleased], "nor of its end");
    let made = [ROOM, Event::Release, Event::Released];
    assert_eq!(acts_of(&made), [Act::RunRestoredHook, Act::SayReleased]);
}

#[test]
fn a_keeper_that_adopts_a_lease_takes_nothing_and_tells_the_hooks_of_its_end() {
    let (mut lifecycle, acts) = Lifecycle::begin(true);
    assert_eq!((lifecycle.stage(), acts), (Stage::HasRoom, vec![]));
    assert_eq!(lifecycle.handle(Event::Release), [Act::Release]);
    assert_eq!(lifecycle.handle(Event::Released), [Act::RunRestoredHook, Act::SayReleased]);
    let (mut stopped, _) = Lifecycle::begin(true);
    assert_eq!(stopped.handle(Event::Suspend), [Act::SuspendTargets]);
    assert_eq!(Lifecycle::begin(false).1, [Act::MakeRoom]);
}

#[test]
fn a_stop_while_something_is_under_way_cancels_it_and_brings_the_targets_back() {
    for (begun, ended) in [
        (Event::StepDue, Event::StepTaken),
        (Event::UndoDue, Event::StepUndone),
        (Event::LookDue, Event::Looked),
        (Event::RetakeDue, Event::Retaken),
    ] {
        let path = [ROOM, Event::Child, begun, Event::Suspend, ended];
        assert_eq!(acts_of(&path[..4]), [Act::Cancel], "{begun:?}");
        assert_eq!(acts_of(&path), [Act::SuspendTargets], "{begun:?}");
        // Continued before it was cancelled, the build has its room still.
        let path = [ROOM, Event::Child, begun, Event::Suspend, Event::Resume, ended];
        assert_eq!((acts_of(&path), after(&path).stage()), (vec![], Stage::HasRoom), "{begun:?}");
    }
}

#[test]
fn a_build_that_is_over_while_a_step_is_taken_cancels_it_and_keeps_its_room() {
    let path = [ROOM, Event::Child, Event::StepDue, Event::Linger];
    assert_eq!(acts_of(&path), [Act::Cancel]);
    let mut lifecycle = after(&path);
    assert_eq!(lifecycle.handle(Event::LookDue), [Act::PutOff]);
    assert_eq!(lifecycle.handle(Event::EndOfFile), [Act::Cancel], "it means nothing");
    assert_eq!(lifecycle.handle(Event::StepTaken), [Act::UndoSteps]);
    let undone = Event::StepsUndone { is_anything_left: true };
    assert_eq!(lifecycle.handle(undone), [Act::BeginLingering]);
    assert_eq!(lifecycle.handle(Event::LingeringBegun), []);
    assert_eq!(lifecycle.stage(), Stage::Standing);
    assert_eq!(lifecycle.handle(Event::LookDue), [Act::Look]);
    assert_eq!(lifecycle.handle(Event::EndOfFile), [], "the build was over long ago");
    let both = [ROOM, Event::StepDue, Event::Hold, Event::Linger, Event::StepTaken];
    assert_eq!(acts_of(&both), [Act::UndoSteps]);
}

#[test]
fn room_that_cannot_be_kept_is_put_back() {
    let over = [ROOM, Event::Child, Event::Ended, Event::Linger];
    let (left, nothing_left) = (
        Event::StepsUndone { is_anything_left: true },
        Event::StepsUndone { is_anything_left: false },
    );
    let with = |events: &[Event]| acts_of(&[&over[..], events].concat());
    assert_eq!(with(&[nothing_left]), [Act::Release]);
    assert_eq!(with(&[left, Event::LingeringFailed]), [Act::Release]);
    assert_eq!(acts_of(&[ROOM, Event::Hold, Event::HoldingFailed]), [Act::Release]);
}

#[test]
fn evidence_is_looked_for_once_when_it_is_asked_for() {
    let left = Event::StepsUndone { is_anything_left: true };
    let nothing_left = Event::StepsUndone { is_anything_left: false };
    let killed = [ROOM, Event::Child, Event::Ended, Event::LookAround];
    let with = |events: &[Event]| acts_of(&[&killed[..], events].concat());
    assert_eq!(with(&[Event::Release]), [Act::Release], "the targets come first");
    assert_eq!(with(&[Event::Release, Event::Released]), [Act::PostMortem]);
    assert_eq!(
        with(&[Event::Release, Event::Released, Event::Examined]),
        [Act::RunRestoredHook, Act::SayReleased]
    );
    assert_eq!(with(&[Event::Linger, left]), [Act::PostMortem]);
    assert_eq!(with(&[Event::Linger, left, Event::Examined]), [Act::BeginLingering]);
    assert_eq!(
        with(&[Event::Linger, nothing_left, Event::Released]),
        [Act::PostMortem],
        "where nothing is kept it is the last word's"
    );
    assert_eq!(
        with(&[Event::Linger, left, Event::Examined, Event::LingeringFailed, Event::Released]),
        [Act::RunRestoredHook, Act::SayReleased],
        "and no second time"
    );
}

#[test]
fn a_build_that_nobody_supervises_is_ended_unless_it_ended_by_itself() {
    for (facts, is_ended) in [
        (&[][..], false),
        (&[Event::Child][..], true),
        (&[Event::Child, Event::Strays][..], true),
        (&[Event::Child, Event::Ended][..], false),
        (&[Event::Child, Event::Ending][..], true),
        (&[Event::Child, Event::Ending, Event::Ended][..], true),
        (&[Event::Ending][..], false),
    ] {
        let expected = if is_ended { Act::EndOrphan } else { Act::Release };
        let with = |before: &[Event], after: &[Event]| acts_of(&[before, facts, after].concat());
        assert_eq!(with(&[ROOM], &[Event::EndOfFile]), [expected], "{facts:?}");
        assert_eq!(
            with(&[], &[Event::EndOfFile, ROOM]),
            [expected],
            "{facts:?} while room is made"
        );
        let stopped = [ROOM, Event::Suspend, Event::Suspended];
        assert_eq!(with(&stopped, &[Event::EndOfFile]), [expected], "{facts:?} while stopped");
        // Everything is to be put back already: whoever said so sees to the build.
        for last in [Event::Release, Event::Signal] {
            let path = [Event::StepDue, last, Event::EndOfFile, Event::StepTaken];
            assert_eq!(with(&[ROOM], &path), [Act::Release], "{facts:?} after {last:?}");
        }
        let signalled = [Event::StepDue, Event::EndOfFile, Event::Signal, Event::StepTaken];
        assert_eq!(with(&[ROOM], &signalled), [expected], "{facts:?}, a signal is no pardon");
    }
    assert_eq!(in_stage(Stage::EndingOrphan).handle(Event::OrphanEnded), [Act::Release]);
}

#[test]
fn a_lease_that_stands_on_its_own_ends_by_its_control_a_signal_or_a_message() {
    for event in [Event::ControlEnded, Event::Signal, Event::Release] {
        assert_eq!(in_stage(Stage::Standing).handle(event), [Act::Release], "{event:?}");
    }
    let mut looking = in_stage(Stage::Standing);
    assert_eq!(looking.handle(Event::LookDue), [Act::Look]);
    assert_eq!(looking.handle(Event::StepDue), [Act::PutOff]);
    assert_eq!(looking.handle(Event::EndOfFile), []);
    assert_eq!(looking.handle(Event::Looked), []);
    assert_eq!(looking.stage(), Stage::Standing);
    assert_eq!(looking.handle(Event::StepDue), [], "steps are for a build");
    looking.handle(Event::RetakeDue);
    assert_eq!(looking.handle(Event::Signal), [Act::Cancel]);
    assert_eq!(looking.handle(Event::Retaken), [Act::Release]);
}

#[test]
fn late_calls_are_waited_for_until_a_signal() {
    let mut waiting = in_stage(Stage::SeeingToRest);
    assert_eq!(waiting.handle(Event::Release), []);
    assert_eq!(waiting.handle(Event::EndOfFile), []);
    assert_eq!(waiting.handle(Event::Signal), [Act::Cancel]);
    assert_eq!(waiting.handle(Event::RestSeenTo), [Act::Exit]);
    let said = [ROOM, Event::Release, Event::Released, Event::ReleaseSaid { is_rest_left: false }];
    assert_eq!(acts_of(&said), [Act::Exit]);
}

#[test]
fn the_host_is_watched_for_a_build_and_guarded_while_it_runs_with_its_room() {
    for stage in ALL_STAGES {
        let is_guarded = matches!(
            stage,
            Stage::HasRoom
                | Stage::TakingStep
                | Stage::UndoingStep
                | Stage::Looking
                | Stage::Retaking
        );
        let expected = match stage {
            Stage::MakingRoom => Listening::Everything { has_child: false, is_guarded: false },
            Stage::NoRoom => Listening::Everything { has_child: true, is_guarded: false },
            _ if is_guarded => Listening::Everything { has_child: true, is_guarded: true },
            Stage::Standing => Listening::EndAndChanges,
            Stage::SeeingToRest => Listening::Signals,
            _ => Listening::Nothing,
        };
        assert_eq!(in_stage(stage).listening(), expected, "{stage:?}");
    }
    let mut cancelled = in_stage(Stage::TakingStep);
    cancelled.handle(Event::Release);
    let unguarded = Listening::Everything { has_child: true, is_guarded: false };
    assert_eq!(cancelled.listening(), unguarded, "nothing more is taken for it");
    assert_eq!(
        after(&[ROOM]).listening(),
        Listening::Everything { has_child: false, is_guarded: false }
    );
}
