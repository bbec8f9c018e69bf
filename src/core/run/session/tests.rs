//! Every reachable state with every event; what a test needs. The policy as tables is in `ending`
//! and `keeping`.

use std::collections::{HashSet, VecDeque};

use libc::{
    SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU,
    SIGUSR1, SIGUSR2, SIGWINCH,
};

use super::*;

mod ending;
mod keeping;

const ALL_EVENTS: [Event; 38] = [
    Event::ShellDied,
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
    Event::Due(Timer::ReleaseAnyway),
    Event::Due(Timer::LeaveBehind),
    Event::Due(Timer::SayStopped),
    Event::Due(Timer::StopAnyway),
    Event::Due(Timer::Restore),
    Event::Due(Timer::HastyRestore),
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
        Stage::Restoring => &[Event::RoomMade, Event::ChildEnded(Exit::Code(0))],
        Stage::Done => &[Event::RoomMade, Event::ChildEnded(Exit::Code(0)), Event::Released],
    };
    let session = after(path);
    assert_eq!(session.stage(), stage);
    session
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
                        assert!(
                            !std::mem::replace(&mut next.started, true),
                            "one child: {context}"
                        );
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
                    | Act::EndDescendants
                    | Act::Kill
                    | Act::WatchDescendants
                    | Act::SayStopped
                    | Act::SayWhoRemains
                    | Act::GiveTerminal => assert!(next.started, "no group: {context}"),
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
        Event::Due(Timer::LeaveBehind),
        Event::Due(Timer::Restore),
    ];
    for event in path {
        session.handle(event);
    }
    assert_eq!(session.stage(), Stage::Done, "stuck: {session:?}");
}
