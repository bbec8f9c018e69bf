//! The policy as tables, and every reachable state with every event.

use std::collections::{HashSet, VecDeque};

use libc::{
    SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU,
    SIGUSR1, SIGUSR2, SIGWINCH,
};

use super::*;

const ALL_EVENTS: [Event; 37] = [
    Event::Signal(SIGINT),
    Event::Signal(SIGTERM),
    Event::Signal(SIGHUP),
    Event::Signal(SIGQUIT),
    Event::Signal(SIGUSR1),
    Event::Signal(SIGUSR2),
    Event::Signal(SIGWINCH),
    Event::Signal(SIGTSTP),
    Event::Signal(SIGCONT),
    Event::RoomMade,
    Event::Refused,
    Event::CannotStart(127),
    Event::ChildStopped { signal: SIGTTIN, foreground: true },
    Event::ChildStopped { signal: SIGTTOU, foreground: false },
    Event::ChildStopped { signal: SIGTSTP, foreground: true },
    Event::ChildStopped { signal: SIGSTOP, foreground: true },
    Event::ChildContinued,
    Event::ChildEnded(Exit::Code(0)),
    Event::ChildEnded(Exit::Code(7)),
    Event::ChildEnded(Exit::Signal(SIGTERM)),
    Event::NobodyLeft,
    Event::Suspended,
    Event::Continued,
    Event::Lingering,
    Event::TargetsBack,
    Event::Released,
    Event::NoRoom,
    Event::KeeperLost,
    Event::Thrashing,
    Event::Due(Timer::Timeout),
    Event::Due(Timer::Grace),
    Event::Due(Timer::Patience),
    Event::Due(Timer::Remains),
    Event::Due(Timer::Stopped),
    Event::Due(Timer::Suspend),
    Event::Due(Timer::Return),
    Event::Due(Timer::HastyReturn),
];

fn after(events: &[Event]) -> Session {
    let mut session = Session::default();
    for &event in events {
        session.handle(event);
    }
    session
}

/// One path to each stage.
fn in_stage(stage: Stage) -> Session {
    let path: &[Event] = match stage {
        Stage::MakingRoom => &[],
        Stage::Running => &[Event::RoomMade],
        Stage::Suspending => &[Event::RoomMade, Event::Signal(SIGTSTP)],
        Stage::Resuming => {
            &[Event::RoomMade, Event::Signal(SIGTSTP), Event::Suspended, Event::Continued]
        }
        Stage::Ending => &[Event::RoomMade, Event::Signal(SIGTERM)],
        Stage::Returning => &[Event::RoomMade, Event::ChildEnded(Exit::Code(0))],
        Stage::Done => &[Event::RoomMade, Event::ChildEnded(Exit::Code(0)), Event::Released],
    };
    let session = after(path);
    assert_eq!(session.stage(), stage);
    session
}

#[test]
fn every_signal_in_every_stage_does_what_the_table_says() {
    use Act::{Arm, EndRest, Kill, Release, SignalGroup, StopSelf, Suspend, TakeTerminal};
    use Stage::{Done, Ending, MakingRoom, Resuming, Returning, Running, Suspending};
    let stages = [MakingRoom, Running, Suspending, Resuming, Ending, Returning, Done];
    let clocks = [EndRest, Arm(Timer::Patience), Arm(Timer::Grace)];
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        let kills = signal == SIGINT || signal == SIGTERM;
        for stage in stages {
            let expected = match stage {
                MakingRoom => vec![TakeTerminal, Release, Arm(Timer::HastyReturn)],
                Running => [vec![SignalGroup(signal)], clocks.to_vec()].concat(),
                Suspending | Resuming => {
                    [vec![SignalGroup(signal), SignalGroup(SIGCONT)], clocks.to_vec()].concat()
                }
                Ending if kills => vec![Kill, Arm(Timer::Remains)],
                Ending => vec![SignalGroup(signal)],
                Returning => vec![Arm(Timer::HastyReturn)],
                Done => vec![],
            };
            assert_eq!(
                in_stage(stage).handle(Event::Signal(signal)),
                expected,
                "signal {signal} in {stage:?}"
            );
        }
    }
    for signal in [SIGUSR1, SIGUSR2, SIGWINCH] {
        for stage in stages {
            let expected = match stage {
                Running | Suspending | Resuming | Ending => vec![SignalGroup(signal)],
                MakingRoom | Returning | Done => vec![],
            };
            assert_eq!(
                in_stage(stage).handle(Event::Signal(signal)),
                expected,
                "signal {signal} in {stage:?}"
            );
        }
    }
    for stage in stages {
        let expected = match stage {
            MakingRoom => vec![Suspend, Arm(Timer::Suspend)],
            Running | Resuming => {
                vec![SignalGroup(SIGTSTP), TakeTerminal, Suspend, Arm(Timer::Suspend)]
            }
            Returning => vec![StopSelf],
            Suspending | Ending | Done => vec![],
        };
        assert_eq!(
            in_stage(stage).handle(Event::Signal(SIGTSTP)),
            expected,
            "SIGTSTP in {stage:?}"
        );
    }
}

#[test]
fn a_second_interrupt_kills_whatever_came_before() {
    for first in [SIGINT, SIGTERM] {
        for second in [SIGINT, SIGTERM] {
            let mut session = after(&[Event::RoomMade, Event::Signal(first)]);
            assert_eq!(
                session.handle(Event::Signal(second))[0],
                Act::Kill,
                "{first} then {second}"
            );
        }
    }
    let mut hung_up = after(&[Event::RoomMade, Event::Signal(SIGHUP)]);
    assert_eq!(
        hung_up.handle(Event::Signal(SIGTERM)),
        [Act::SignalGroup(SIGTERM)],
        "HUP is no interrupt"
    );
    assert_eq!(hung_up.handle(Event::Signal(SIGINT))[0], Act::Kill);
}

#[test]
fn the_targets_come_back_four_seconds_after_the_signal_though_the_build_lives_on() {
    let mut session = in_stage(Stage::Ending);
    assert_eq!(session.handle(Event::Due(Timer::Patience)), [Act::Release]);
    assert_eq!(session.handle(Event::Released), []);
    assert_eq!(session.handle(Event::Due(Timer::Grace))[0], Act::Kill);
    assert_eq!(session.handle(Event::ChildEnded(Exit::Signal(SIGKILL))), [Act::WatchRest]);
    let last = session.handle(Event::NobodyLeft);
    assert_eq!(last.last(), Some(&Act::Finish(Exit::Signal(SIGKILL))));
    assert!(!last.contains(&Act::Release), "released once: {last:?}");
}

#[test]
fn who_does_not_die_of_sigkill_is_named_and_left_behind() {
    let mut killed = after(&[Event::RoomMade, Event::Signal(SIGTERM), Event::Due(Timer::Grace)]);
    assert_eq!(
        killed.handle(Event::Due(Timer::Remains)),
        [Act::Kill, Act::Arm(Timer::Remains)],
        "the child itself is waited for"
    );
    killed.handle(Event::ChildEnded(Exit::Signal(SIGKILL)));
    assert_eq!(
        killed.handle(Event::Due(Timer::Remains))[..3],
        [Act::SayWhoRemains, Act::TakeTerminal, Act::Release]
    );
}

#[test]
fn after_a_signal_all_of_the_build_is_waited_for_and_without_one_only_the_child() {
    let mut signalled =
        after(&[Event::RoomMade, Event::Signal(SIGTERM), Event::ChildEnded(Exit::Signal(SIGTERM))]);
    assert_eq!(signalled.stage(), Stage::Ending);
    assert!(signalled.handle(Event::NobodyLeft).contains(&Act::Release));
    assert!(
        after(&[Event::RoomMade]).handle(Event::ChildEnded(Exit::Code(0))).contains(&Act::Release)
    );
}

#[test]
fn a_limit_that_is_passed_ends_a_build_that_was_started_and_nothing_else() {
    use Act::{Arm, EndRest, SignalGroup};
    use Stage::{Done, Ending, MakingRoom, Resuming, Returning, Running, Suspending};
    let clocks = [EndRest, Arm(Timer::Patience), Arm(Timer::Grace)];
    for limit in [Event::Due(Timer::Timeout), Event::Thrashing] {
        for stage in [MakingRoom, Running, Suspending, Resuming, Ending, Returning, Done] {
            let expected = match stage {
                Running => [vec![SignalGroup(SIGTERM)], clocks.to_vec()].concat(),
                Suspending | Resuming => {
                    [vec![SignalGroup(SIGTERM), SignalGroup(SIGCONT)], clocks.to_vec()].concat()
                }
                MakingRoom | Ending | Returning | Done => vec![],
            };
            assert_eq!(in_stage(stage).handle(limit), expected, "{limit:?} in {stage:?}");
        }
    }
}

#[test]
fn a_limit_that_is_passed_is_124_however_the_child_then_ends() {
    for limit in [Event::Due(Timer::Timeout), Event::Thrashing] {
        for exit in [Exit::Code(0), Exit::Code(9), Exit::Signal(SIGTERM), Exit::Signal(SIGKILL)] {
            let mut session =
                after(&[Event::RoomMade, limit, Event::ChildEnded(exit), Event::NobodyLeft]);
            assert_eq!(session.handle(Event::Released), [Act::Finish(Exit::Code(124))]);
        }
    }
}

#[test]
fn after_a_signal_the_targets_are_enough_and_otherwise_everything_is_waited_for() {
    let ended = [Event::RoomMade, Event::ChildEnded(Exit::Code(3))];
    assert_eq!(after(&ended).handle(Event::TargetsBack), []);
    let mut hasty = after(&[
        Event::RoomMade,
        Event::Signal(SIGINT),
        Event::ChildEnded(Exit::Code(3)),
        Event::NobodyLeft,
    ]);
    assert_eq!(hasty.handle(Event::TargetsBack), [Act::Finish(Exit::Code(3))]);
}

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
            [Act::TakeTerminal, Act::Linger, Act::Arm(Timer::Return)],
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
        [Act::Arm(Timer::HastyReturn), Act::Release]
    );
    assert_eq!(session.handle(Event::Lingering), [], "said before it heard");
    assert_eq!(session.handle(Event::TargetsBack), [Act::Finish(Exit::Code(0))]);
}

#[test]
fn the_terminal_goes_to_a_child_that_asks_only_from_the_foreground() {
    let stopped = |foreground| {
        after(&[Event::RoomMade]).handle(Event::ChildStopped { signal: SIGTTIN, foreground })
    };
    assert_eq!(stopped(true), [Act::HandTerminal, Act::SignalGroup(SIGCONT)]);
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
fn what_descends_from_the_build_is_ended_with_it_and_never_after_a_build_that_ended_by_itself() {
    let ends = |acts: &[Act]| acts.contains(&Act::EndRest) || acts.contains(&Act::Kill);
    for event in ALL_EVENTS {
        for stage in [Stage::MakingRoom, Stage::Returning, Stage::Done] {
            assert!(!ends(&in_stage(stage).handle(event)), "{event:?} in {stage:?}");
        }
        let is_ours = matches!(
            event,
            Event::Signal(SIGINT | SIGTERM | SIGHUP | SIGQUIT)
                | Event::Thrashing
                | Event::Due(Timer::Timeout)
        );
        for stage in [Stage::Running, Stage::Suspending, Stage::Resuming] {
            assert_eq!(ends(&in_stage(stage).handle(event)), is_ours, "{event:?} in {stage:?}");
        }
    }
}

#[test]
fn a_build_that_somebody_stopped_is_said_once_and_goes_on_to_be_ended() {
    use Act::{Arm, EndRest, SayStopped, SignalGroup};
    let by_somebody = Event::ChildStopped { signal: SIGSTOP, foreground: false };
    assert_eq!(after(&[Event::RoomMade]).handle(by_somebody), [Arm(Timer::Stopped)]);
    assert_eq!(
        after(&[Event::RoomMade, by_somebody]).handle(Event::Due(Timer::Stopped)),
        [SayStopped]
    );
    assert_eq!(
        after(&[Event::RoomMade, by_somebody, Event::ChildContinued])
            .handle(Event::Due(Timer::Stopped)),
        []
    );
    assert_eq!(
        after(&[Event::RoomMade, by_somebody, Event::Signal(SIGTSTP)])
            .handle(Event::Due(Timer::Stopped)),
        []
    );
    let ending = [
        SignalGroup(SIGTERM),
        SignalGroup(SIGCONT),
        EndRest,
        Arm(Timer::Patience),
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
    assert_eq!(session.stage(), Stage::Returning);
    assert_eq!(session.handle(Event::Released), [Act::Finish(Exit::Code(0))]);
    assert_eq!(in_stage(Stage::Resuming).handle(Event::NoRoom), [Act::SignalGroup(SIGCONT)]);
    for stage in [Stage::Running, Stage::Suspending, Stage::Ending, Stage::Returning, Stage::Done] {
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

#[test]
fn in_every_reachable_state_every_event_keeps_the_promises() {
    /// What an observer has seen on the way to a state.
    #[derive(Clone, PartialEq, Eq, Hash)]
    #[expect(clippy::struct_excessive_bools, reason = "each is one thing that was seen or not")]
    struct Seen {
        session: Session,
        started: bool,
        released: bool,
        lingered: bool,
        finished: bool,
    }
    let first = |lingers| Seen {
        session: Session::new(lingers),
        started: false,
        released: false,
        lingered: false,
        finished: false,
    };
    let (mut known, mut queue) =
        (HashSet::from([first(false), first(true)]), VecDeque::from([first(false), first(true)]));
    while let Some(state) = queue.pop_front() {
        for event in ALL_EVENTS {
            let mut next = state.clone();
            let acts = next.session.handle(event);
            for act in &acts {
                let context = format!("{event:?} in {:?} gave {acts:?}", state.session);
                assert!(!next.finished, "nothing follows the end: {context}");
                match act {
                    Act::StartChild => {
                        assert!(!std::mem::replace(&mut next.started, true), "one child: {context}")
                    }
                    Act::Release => assert!(
                        !std::mem::replace(&mut next.released, true),
                        "one release: {context}"
                    ),
                    Act::Finish(_) => {
                        assert!(
                            next.released || next.lingered,
                            "nothing ends without a word to the keeper: {context}"
                        );
                        next.finished = true;
                    }
                    Act::Linger => assert!(
                        !next.released && !std::mem::replace(&mut next.lingered, true),
                        "not any more: {context}"
                    ),
                    Act::SignalGroup(_)
                    | Act::EndRest
                    | Act::Kill
                    | Act::WatchRest
                    | Act::SayStopped
                    | Act::SayWhoRemains
                    | Act::HandTerminal => assert!(next.started, "no group: {context}"),
                    Act::Arm(_)
                    | Act::TakeTerminal
                    | Act::Suspend
                    | Act::StopSelf
                    | Act::Resume => {}
                }
            }
            assert_eq!(next.finished, next.session.stage() == Stage::Done);
            if known.insert(next.clone()) {
                queue.push_back(next);
            }
        }
        if !state.finished {
            assert_an_end_is_reachable(&state.session);
        }
    }
    assert!(known.len() > 100, "only {} states", known.len());
}

/// From anywhere, a child that ends and clocks that run lead to the end.
fn assert_an_end_is_reachable(session: &Session) {
    let mut session = session.clone();
    let path = [
        Event::Suspended,
        Event::Continued,
        Event::RoomMade,
        Event::ChildEnded(Exit::Code(0)),
        Event::Due(Timer::Remains),
        Event::Due(Timer::Return),
    ];
    for event in path {
        session.handle(event);
    }
    assert_eq!(session.stage(), Stage::Done, "stuck: {session:?}");
}
