//! Every reachable state with every event, watched by an observer of its own.

use std::collections::{HashSet, VecDeque};

use super::*;

/// A state with what an observer has seen on the way to it.
#[derive(Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that was seen or not")]
struct Seen {
    lifecycle: Lifecycle,
    under_way: Option<Act>,
    has_child: bool,
    is_ending: bool,
    has_ended: bool,
    /// The build is stopped.
    is_stopped: bool,
    /// It was said that the supervisor may go.
    is_left_alone: bool,
    /// Somebody said that everything is to be put back.
    is_told: bool,
    /// The supervisor has gone before that, and nobody had said that it may.
    is_orphaned: bool,
    is_orphan_ended: bool,
    evidence_wanted: bool,
    /// The hooks know of room.
    is_announced: bool,
    is_release_announced: bool,
    is_released: bool,
    is_said: bool,
    has_exited: bool,
}

impl Seen {
    fn begin(adopts: bool) -> Self {
        let (lifecycle, acts) = Lifecycle::begin(adopts);
        let mut seen = Self {
            lifecycle,
            under_way: None,
            has_child: false,
            is_ending: false,
            has_ended: false,
            is_stopped: false,
            is_left_alone: false,
            is_told: false,
            is_orphaned: false,
            is_orphan_ended: false,
            evidence_wanted: false,
            is_announced: adopts,
            is_release_announced: false,
            is_released: false,
            is_said: false,
            has_exited: false,
        };
        seen.check_all(&acts, "at the beginning");
        seen
    }

    /// How what is under way can end.
    fn ends(&self) -> Vec<Event> {
        let may_end = |event: &Event| {
            let act = match event {
                Event::RoomMade(_) => Act::MakeRoom,
                Event::StepTaken => Act::TakeStep,
                Event::StepUndone => Act::UndoStep,
                Event::Looked => Act::Look,
                Event::Retaken => Act::Retake,
                Event::Suspended => Act::SuspendTargets,
                Event::StepsUndone { .. } => Act::UndoSteps,
                Event::Examined => Act::PostMortem,
                Event::LingeringBegun | Event::LingeringFailed => Act::BeginLingering,
                Event::HoldingBegun | Event::HoldingFailed => Act::BeginHolding,
                Event::OrphanEnded => Act::EndOrphan,
                Event::Released => Act::Release,
                Event::ReleaseSaid { .. } => Act::SayReleased,
                Event::RestSeenTo => Act::SeeToRest,
                _ => return false,
            };
            self.under_way == Some(act)
        };
        ENDS.into_iter().filter(may_end).collect()
    }

    /// Whether the loop can give this event now.
    fn can_happen(&self, event: Event) -> bool {
        if ENDS.contains(&event) && event != Event::ControlEnded {
            return self.ends().contains(&event);
        }
        match self.lifecycle.listening() {
            Listening::Everything { .. } => event != Event::ControlEnded,
            Listening::EndAndChanges => true,
            Listening::Signals => event == Event::Signal,
            Listening::Nothing => false,
        }
    }

    fn step(&mut self, event: Event) {
        let context = format!("{event:?} in {:?}", self.lifecycle);
        let before = self.lifecycle.clone();
        if self.ends().contains(&event) {
            self.under_way = None;
        } else {
            self.hear(event);
        }
        let acts = self.lifecycle.handle(event);
        if event == Event::EndOfFile && self.is_left_alone {
            assert_eq!(self.lifecycle, before, "the lease goes on: {context}");
        }
        self.check_all(&acts, &format!("{context} gave {acts:?}"));
    }

    fn hear(&mut self, event: Event) {
        let is_alone = self.lifecycle.listening() == Listening::EndAndChanges;
        match event {
            Event::Release | Event::Signal | Event::ControlEnded => self.is_told = true,
            // A lease that stands on its own asks nobody else.
            _ if is_alone => {}
            Event::Child => self.has_child = true,
            Event::Ending => self.is_ending = true,
            Event::Ended => self.has_ended = true,
            Event::Suspend => self.is_stopped = true,
            Event::Resume => self.is_stopped = false,
            Event::Hold | Event::Linger => self.is_left_alone = true,
            Event::LookAround => self.evidence_wanted = true,
            Event::EndOfFile => self.is_orphaned |= !self.is_left_alone && !self.is_told,
            _ => {}
        }
    }

    fn check_all(&mut self, acts: &[Act], context: &str) {
        for &act in acts {
            self.check(act, context);
        }
        // It moves, or it listens.
        assert!(
            self.under_way.is_some()
                || self.has_exited
                || self.lifecycle.listening() != Listening::Nothing,
            "nothing is under way and nothing is heard: {context}"
        );
        assert_eq!(self.has_exited, self.lifecycle.stage() == Stage::Done, "{context}");
    }

    fn check(&mut self, act: Act, context: &str) {
        let once = |flag: &mut bool| assert!(!std::mem::replace(flag, true), "once: {context}");
        assert!(!self.has_exited, "nothing follows the end: {context}");
        let is_about_what_is_under_way = matches!(act, Act::Cancel | Act::PutOff);
        assert_eq!(
            self.under_way.is_some(),
            is_about_what_is_under_way,
            "one at a time: {context}"
        );
        match act {
            Act::Cancel | Act::PutOff => return,
            Act::SayMade => {
                assert!(!self.is_told && !self.is_stopped, "nobody waits for room: {context}");
                return;
            }
            Act::RunRoomMadeHook => return once(&mut self.is_announced),
            Act::RunRestoredHook => {
                assert!(self.is_announced && self.is_released && !self.is_said, "{context}");
                return once(&mut self.is_release_announced);
            }
            Act::Exit => {
                assert!(self.is_said, "everything is put back, and said: {context}");
                self.has_exited = true;
                return;
            }
            Act::MakeRoom | Act::TakeStep | Act::Retake => assert!(
                !self.is_told && !self.is_orphaned && !self.is_released && !self.is_stopped,
                "taken for nobody: {context}"
            ),
            Act::SuspendTargets => {
                assert!(self.is_stopped && !self.is_told && !self.is_released, "{context}");
            }
            Act::UndoStep | Act::Look | Act::UndoSteps => {
                assert!(!self.is_told && !self.is_released && !self.is_stopped, "{context}");
            }
            Act::BeginHolding => {
                assert!(self.is_left_alone && !self.is_told && !self.is_released, "{context}");
            }
            Act::BeginLingering => assert!(
                self.is_left_alone && !self.is_told && !self.is_released && !self.is_stopped,
                "{context}"
            ),
            Act::PostMortem => {
                assert!(std::mem::take(&mut self.evidence_wanted), "nobody asked: {context}");
            }
            Act::EndOrphan => {
                assert!(self.is_orphaned && !self.is_released, "somebody sees to it: {context}");
                once(&mut self.is_orphan_ended);
            }
            Act::Release => {
                let runs = self.has_child && (!self.has_ended || self.is_ending);
                assert!(
                    !(self.is_orphaned && runs) || self.is_orphan_ended,
                    "a build is lost: {context}"
                );
                once(&mut self.is_released);
            }
            Act::SayReleased => {
                assert!(self.is_released, "{context}");
                assert_eq!(self.is_release_announced, self.is_announced, "{context}");
                once(&mut self.is_said);
            }
            Act::SeeToRest => assert!(self.is_said, "{context}"),
        }
        self.under_way = Some(act);
    }
}

#[test]
fn in_every_reachable_state_every_event_keeps_the_promises() {
    let first = [Seen::begin(false), Seen::begin(true)];
    let (mut known, mut queue) = (HashSet::from(first.clone()), VecDeque::from(first));
    let mut stages = HashSet::new();
    while let Some(state) = queue.pop_front() {
        stages.insert(state.lifecycle.stage());
        for event in HEARD.into_iter().chain(DUE.map(|(event, _)| event)).chain(ENDS) {
            let mut next = state.clone();
            if state.can_happen(event) {
                next.step(event);
                if known.insert(next.clone()) {
                    queue.push_back(next);
                }
            } else {
                let acts = next.lifecycle.handle(event);
                assert!(acts.is_empty(), "{event:?} in {:?} gave {acts:?}", state.lifecycle);
                assert_eq!(next.lifecycle, state.lifecycle, "{event:?} is not listened to");
            }
        }
        assert_an_end_is_reached(state.clone(), Event::Signal);
        if !state.is_left_alone && !state.is_told {
            assert_an_end_is_reached(state, Event::EndOfFile);
        }
    }
    assert_eq!(stages.len(), ALL_STAGES.len(), "only {stages:?}");
    assert!(known.len() > 1000, "only {} states", known.len());
}

/// From anywhere, acts that end lead to where this is heard, and from there to the exit, however
/// they end.
fn assert_an_end_is_reached(state: Seen, told: Event) {
    let (mut queue, mut count) = (vec![(state, false)], 0);
    while let Some((state, is_heard)) = queue.pop() {
        count += 1;
        assert!(count < 1000, "it goes round in circles: {:?}", state.lifecycle);
        if state.has_exited {
            continue;
        }
        let mut nexts: Vec<(Event, bool)> = vec![];
        if !is_heard && state.can_happen(told) {
            nexts.push((told, true));
        } else {
            nexts.extend(state.ends().into_iter().map(|end| (end, is_heard)));
        }
        assert!(!nexts.is_empty(), "stuck: {:?}", state.lifecycle);
        for (event, is_heard) in nexts {
            let mut next = state.clone();
            next.step(event);
            queue.push((next, is_heard));
        }
    }
}
