//! The room and the terminal: kept after the build, given back while it is stopped, and without a
//! keeper.

use super::*;

/// After these events, with `--linger`.
fn lingering_after(events: &[Event]) -> Session {
    let mut session = Session::new(true);
    for &event in events {
        session.handle(event);
    }
    session
}

#[test]
fn a_build_that_ends_by_itself_leaves_its_room_and_one_that_was_ended_does_not() {
    for exit in [Exit::Code(0), Exit::Code(7), Exit::Signal(SIGKILL), Exit::Code(137)] {
        let mut session = lingering_after(&[Event::RoomMade]);
        assert_eq!(
            session.handle(Event::ChildEnded(exit)),
            [Act::TakeTerminal, Act::Linger, Act::Arm(Timer::Restore)],
            "{exit:?}"
        );
        assert_eq!(session.handle(Event::Lingering), [Act::Finish(exit)]);
        let mut nothing_to_keep = lingering_after(&[Event::RoomMade, Event::ChildEnded(exit)]);
        assert_eq!(nothing_to_keep.handle(Event::Released), [Act::Finish(exit)]);
        assert!(
            after(&[Event::RoomMade]).handle(Event::ChildEnded(exit)).contains(&Act::Release),
            "without --linger"
        );
    }
    for exit in [
        Exit::Signal(SIGINT),
        Exit::Signal(SIGTERM),
        Exit::Code(130),
        Exit::Code(143),
        Exit::Code(129),
        Exit::Signal(SIGQUIT),
    ] {
        assert!(
            lingering_after(&[Event::RoomMade])
                .handle(Event::ChildEnded(exit))
                .contains(&Act::Release),
            "{exit:?}"
        );
    }
    for event in [Event::Signal(SIGTERM), Event::Due(Timer::Timeout)] {
        let mut ended =
            lingering_after(&[Event::RoomMade, event, Event::ChildEnded(Exit::Code(0))]);
        assert!(ended.handle(Event::NobodyLeft).contains(&Act::Release), "{event:?}");
    }
    assert!(
        lingering_after(&[Event::RoomMade]).handle(Event::CannotStart(127)).contains(&Act::Release)
    );
    let stopped = [Event::RoomMade, Event::Signal(SIGTSTP)];
    assert!(
        lingering_after(&stopped).handle(Event::ChildEnded(Exit::Code(0))).contains(&Act::Release),
        "the targets run already"
    );
}

#[test]
fn a_signal_while_the_room_is_being_left_takes_it_back() {
    let mut session = lingering_after(&[Event::RoomMade, Event::ChildEnded(Exit::Code(0))]);
    assert_eq!(
        session.handle(Event::Signal(SIGTERM)),
        [Act::Arm(Timer::HastyRestore), Act::Release]
    );
    assert_eq!(session.handle(Event::Lingering), [], "said before it heard");
    assert_eq!(session.handle(Event::TargetsBack), [Act::Finish(Exit::Code(0))]);
}

#[test]
fn the_terminal_goes_to_a_child_that_asks_only_from_the_foreground() {
    let stopped = |foreground| {
        after(&[Event::RoomMade]).handle(Event::ChildStopped { signal: SIGTTIN, foreground })
    };
    assert_eq!(stopped(true), [Act::GiveTerminal, Act::SignalGroup(SIGCONT)]);
    assert_eq!(stopped(false)[..3], [Act::SignalGroup(SIGTTIN), Act::TakeTerminal, Act::Suspend]);
}

#[test]
fn a_stopped_build_is_continued_only_when_there_is_room_again() {
    let mut session = after(&[Event::RoomMade, Event::Signal(SIGTSTP)]);
    assert_eq!(session.handle(Event::Suspended), [Act::SignalGroup(SIGSTOP), Act::StopSelf]);
    assert_eq!(session.handle(Event::Continued), [Act::Resume]);
    assert_eq!(session.handle(Event::RoomMade), [Act::SignalGroup(SIGCONT)]);
    assert_eq!(session.stage(), Stage::Running);
    let mut early = after(&[Event::Signal(SIGTSTP)]);
    assert_eq!(early.handle(Event::Suspended), [Act::StopSelf]);
    assert_eq!(early.handle(Event::Continued), [Act::Resume]);
    assert_eq!(early.handle(Event::RoomMade)[0], Act::StartChild);
}

#[test]
fn a_build_that_somebody_stopped_is_said_once_and_goes_on_to_be_ended() {
    use Act::{Arm, EndDescendants, SayStopped, SignalGroup};
    let by_somebody = Event::ChildStopped { signal: SIGSTOP, foreground: false };
    assert_eq!(after(&[Event::RoomMade]).handle(by_somebody), [Arm(Timer::SayStopped)]);
    assert_eq!(
        after(&[Event::RoomMade, by_somebody]).handle(Event::Due(Timer::SayStopped)),
        [SayStopped]
    );
    assert_eq!(
        after(&[Event::RoomMade, by_somebody, Event::ChildContinued])
            .handle(Event::Due(Timer::SayStopped)),
        []
    );
    assert_eq!(
        after(&[Event::RoomMade, by_somebody, Event::Signal(SIGTSTP)])
            .handle(Event::Due(Timer::SayStopped)),
        []
    );
    let ending = [
        SignalGroup(SIGTERM),
        SignalGroup(SIGCONT),
        EndDescendants,
        Arm(Timer::ReleaseAnyway),
        Arm(Timer::Grace),
    ];
    for event in [Event::Due(Timer::Timeout), Event::Signal(SIGTERM), Event::Thrashing] {
        assert_eq!(after(&[Event::RoomMade, by_somebody]).handle(event), ending, "{event:?}");
    }
}

#[test]
fn without_room_the_build_starts_or_goes_on_and_a_keeper_is_waited_for_at_its_end() {
    let mut session = Session::default();
    assert_eq!(session.handle(Event::NoRoom)[0], Act::StartChild);
    assert!(
        session.handle(Event::ChildEnded(Exit::Code(0))).contains(&Act::Release),
        "something can be held all the same"
    );
    assert_eq!(session.stage(), Stage::Restoring);
    assert_eq!(session.handle(Event::Released), [Act::Finish(Exit::Code(0))]);
    assert_eq!(in_stage(Stage::Resuming).handle(Event::NoRoom), [Act::SignalGroup(SIGCONT)]);
    for stage in [Stage::Running, Stage::Suspending, Stage::Ending, Stage::Restoring, Stage::Done] {
        assert_eq!(in_stage(stage).handle(Event::NoRoom), [], "{stage:?}");
    }
}

#[test]
fn without_a_keeper_the_build_runs_all_the_same() {
    let mut session = Session::default();
    assert_eq!(session.handle(Event::KeeperLost)[0], Act::StartChild);
    let last = session.handle(Event::ChildEnded(Exit::Code(5)));
    assert_eq!(last.last(), Some(&Act::Finish(Exit::Code(5))));
}

#[test]
fn a_keeper_that_is_told_to_end_while_it_makes_room_holds_nobody_up() {
    let mut session = Session::default();
    assert_eq!(session.handle(Event::Released)[0], Act::StartChild);
    let mut stopped = after(&[Event::RoomMade, Event::Signal(SIGTSTP)]);
    assert_eq!(stopped.handle(Event::Released), [Act::SignalGroup(SIGSTOP), Act::StopSelf]);
    let mut going_on =
        after(&[Event::RoomMade, Event::Signal(SIGTSTP), Event::Suspended, Event::Continued]);
    assert_eq!(going_on.handle(Event::Released), [Act::SignalGroup(SIGCONT)]);
}
