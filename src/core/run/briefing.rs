//! Owns what a keeper is told when it starts, so that the first one makes room, and one that takes
//! over is where the run is. Pure.

use crate::core::{
    machine::process::ProcessId,
    run::{
        ending::{EndedBy, Ending},
        session::{Session, Stage},
        wire::{Request, ToKeeper},
    },
};

/// What is known of the build when a keeper starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildSoFar {
    /// The child, once there is one.
    pub child: Option<ProcessId>,
    /// It is being ended by us.
    pub is_ending: bool,
    /// What ends it, where it does not end by itself.
    pub ended_by: Option<EndedBy>,
    /// How it ended.
    pub ending: Option<Ending>,
}

/// Whether a keeper that starts in this stage adopts what is held. Otherwise it makes room.
#[must_use]
pub fn adopts(stage: Stage) -> bool {
    !matches!(stage, Stage::MakingRoom | Stage::Resuming)
}

/// All that it is told at once, in order.
#[must_use]
pub fn briefing(request: &Request, session: &Session, build: BuildSoFar) -> Vec<ToKeeper> {
    let stage = session.stage();
    let request = Request { adopt: adopts(stage), ..request.clone() };
    let mut messages = vec![ToKeeper::MakeRoom(Box::new(request))];
    messages.extend(build.child.map(|process| ToKeeper::Child { process }));
    messages.extend(build.is_ending.then_some(ToKeeper::Ending { by: build.ended_by }));
    messages.extend(build.ending.map(ToKeeper::Ended));
    if session.is_released() {
        messages.push(ToKeeper::Release);
    } else if stage == Stage::Suspending {
        messages.push(ToKeeper::Suspend);
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::run::{exit::Exit, session::Event};

    fn after(events: &[Event]) -> Session {
        let mut session = Session::default();
        for event in events {
            session.handle(*event);
        }
        session
    }

    #[test]
    fn a_keeper_is_told_where_the_run_is_in_every_stage() {
        let process = ProcessId { pid: 7, start_ticks: 9 };
        let exit = Exit::Code(3);
        let none = BuildSoFar::default();
        let running = BuildSoFar { child: Some(process), ..none };
        let by = Some(EndedBy::Interrupt);
        let ending = BuildSoFar { is_ending: true, ended_by: by, ..running };
        let told = Ending::of(exit, None);
        let ended = BuildSoFar { ending: Some(told), ..running };
        let child = || ToKeeper::Child { process };
        let stop = Event::Signal(libc::SIGTSTP);
        let cases: [(bool, &[Event], BuildSoFar, Vec<ToKeeper>); 7] = [
            (false, &[], none, vec![]),
            (
                false,
                &[Event::RoomMade, stop, Event::Suspended, Event::Continued],
                running,
                vec![child()],
            ),
            (true, &[Event::RoomMade], running, vec![child()]),
            (true, &[Event::RoomMade, stop], running, vec![child(), ToKeeper::Suspend]),
            (true, &[stop], none, vec![ToKeeper::Suspend]),
            (
                true,
                &[Event::RoomMade, Event::Signal(libc::SIGTERM)],
                ending,
                vec![child(), ToKeeper::Ending { by }],
            ),
            (
                true,
                &[Event::RoomMade, Event::ChildEnded(exit)],
                ended,
                vec![child(), ToKeeper::Ended(told), ToKeeper::Release],
            ),
        ];
        let request = |adopt| Request { lease: "l".to_owned(), adopt, ..Request::default() };
        for (adopt, events, build, rest) in cases {
            let first = ToKeeper::MakeRoom(Box::new(request(adopt)));
            let expected: Vec<_> = [first].into_iter().chain(rest).collect();
            assert_eq!(briefing(&request(false), &after(events), build), expected, "{events:?}");
        }
    }

    #[test]
    fn one_that_takes_over_while_the_room_is_being_left_puts_everything_back() {
        let mut session = Session::new(true);
        session.handle(Event::RoomMade);
        session.handle(Event::ChildEnded(Exit::Code(0)));
        let told = briefing(&Request::default(), &session, BuildSoFar::default());
        assert_eq!(told.last(), Some(&ToKeeper::Release));
    }
}
