//! How a build is ended: by signals, by limits, and who is left of it.

use super::*;

#[test]
fn every_signal_in_every_stage_does_what_the_table_says() {
    use Act::{Arm, EndDescendants, Kill, Release, SignalGroup, StopSelf, Suspend, TakeTerminal};
    use Stage::{Done, Ending, MakingRoom, Restoring, Resuming, Running, Suspending};
    let stages = [MakingRoom, Running, Suspending, Resuming, Ending, Restoring, Done];
    let clocks = [EndDescendants, Arm(Timer::ReleaseAnyway), Arm(Timer::Grace)];
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        let kills = signal == SIGINT || signal == SIGTERM;
        for stage in stages {
            let expected = match stage {
                MakingRoom => vec![TakeTerminal, Release, Arm(Timer::HastyRestore)],
                Running => [vec![SignalGroup(signal)], clocks.to_vec()].concat(),
                Suspending | Resuming => {
                    [vec![SignalGroup(signal), SignalGroup(SIGCONT)], clocks.to_vec()].concat()
                }
                Ending if kills => vec![Kill, Arm(Timer::LeaveBehind)],
                Ending => vec![SignalGroup(signal)],
                Restoring => vec![Arm(Timer::HastyRestore)],
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
                MakingRoom | Restoring | Done => vec![],
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
            MakingRoom => vec![Suspend, Arm(Timer::StopAnyway)],
            Running | Resuming => {
                vec![SignalGroup(SIGTSTP), TakeTerminal, Suspend, Arm(Timer::StopAnyway)]
            }
            Restoring => vec![StopSelf],
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
fn the_death_of_the_scripts_shell_is_a_sigterm_that_nobody_said() {
    for stage in [Stage::MakingRoom, Stage::Running, Stage::Suspending, Stage::Resuming] {
        let (mut told, mut left) = (in_stage(stage), in_stage(stage));
        let acts = left.handle(Event::ShellDied);
        assert_eq!(acts, told.handle(Event::Signal(SIGTERM)), "{stage:?}");
        if left.stage() == Stage::Ending {
            // The first word that is said is the first.
            assert_eq!(left.handle(Event::Signal(SIGTERM)), [Act::SignalGroup(SIGTERM)]);
        }
        // Ctrl-C reaches both.
        assert_eq!(told.handle(Event::ShellDied), [], "{stage:?}");
    }
}

#[test]
fn the_targets_come_back_four_seconds_after_the_signal_though_the_build_lives_on() {
    let mut session = in_stage(Stage::Ending);
    assert_eq!(session.handle(Event::Due(Timer::ReleaseAnyway)), [Act::Release]);
    assert_eq!(session.handle(Event::Released), []);
    assert_eq!(session.handle(Event::Due(Timer::Grace))[0], Act::Kill);
    assert_eq!(session.handle(Event::ChildEnded(Exit::Signal(SIGKILL))), [Act::WatchDescendants]);
    let last = session.handle(Event::NobodyLeft);
    assert_eq!(last.last(), Some(&Act::Finish(Exit::Signal(SIGKILL))));
    assert!(!last.contains(&Act::Release), "released once: {last:?}");
}

#[test]
fn who_does_not_die_of_sigkill_is_named_and_left_behind() {
    let mut killed = after(&[Event::RoomMade, Event::Signal(SIGTERM), Event::Due(Timer::Grace)]);
    assert_eq!(
        killed.handle(Event::Due(Timer::LeaveBehind)),
        [Act::Kill, Act::Arm(Timer::LeaveBehind)],
        "the child itself is waited for"
    );
    killed.handle(Event::ChildEnded(Exit::Signal(SIGKILL)));
    assert_eq!(
        killed.handle(Event::Due(Timer::LeaveBehind))[..3],
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
    use Act::{Arm, EndDescendants, SignalGroup};
    use Stage::{Done, Ending, MakingRoom, Restoring, Resuming, Running, Suspending};
    let clocks = [EndDescendants, Arm(Timer::ReleaseAnyway), Arm(Timer::Grace)];
    for limit in [Event::Due(Timer::Timeout), Event::Thrashing] {
        for stage in [MakingRoom, Running, Suspending, Resuming, Ending, Restoring, Done] {
            let expected = match stage {
                Running => [vec![SignalGroup(SIGTERM)], clocks.to_vec()].concat(),
                Suspending | Resuming => {
                    [vec![SignalGroup(SIGTERM), SignalGroup(SIGCONT)], clocks.to_vec()].concat()
                }
                MakingRoom | Ending | Restoring | Done => vec![],
            };
            assert_eq!(in_stage(stage).handle(limit), expected, "{limit:?} in {stage:?}");
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

#[test]
fn what_descends_from_the_build_is_ended_with_it_and_never_after_a_build_that_ended_by_itself() {
    let ends = |acts: &[Act]| acts.contains(&Act::EndDescendants) || acts.contains(&Act::Kill);
    for event in ALL_EVENTS {
        for stage in [Stage::MakingRoom, Stage::Restoring, Stage::Done] {
            assert!(!ends(&in_stage(stage).handle(event)), "{event:?} in {stage:?}");
        }
        let is_ours = matches!(
            event,
            Event::Signal(SIGINT | SIGTERM | SIGHUP | SIGQUIT)
                | Event::ShellDied
                | Event::Thrashing
                | Event::Due(Timer::Timeout)
        );
        for stage in [Stage::Running, Stage::Suspending, Stage::Resuming] {
            assert_eq!(ends(&in_stage(stage).handle(event)), is_ours, "{event:?} in {stage:?}");
        }
    }
}
