//! Owns the policy of the keeper: which message, signal or finished act, in which stage, leads to
//! which acts. A pure state machine, walked whole by its tests; `keeper::lifecycle` feeds it events
//! and performs its acts.
//!
//! One act is under way at a time. What is heard meanwhile cancels it or waits; what follows is
//! decided when it has ended.

mod act;
mod event;

pub use act::Act;
pub use event::{Event, Made};

/// The stages of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Room is being made.
    MakingRoom,
    /// There is room, and nothing is under way. The build may run.
    HasRoom,
    /// A step against memory pressure is being taken.
    TakingStep,
    /// The last step is being undone.
    UndoingStep,
    /// A target that somebody else may have changed is looked at.
    Looking,
    /// A target that somebody else changed is being taken again.
    Retaking,
    /// The build is stopped, and the targets are brought back.
    Suspending,
    /// The build is stopped, and the targets run.
    NoRoom,
    /// The build is over, its room is to be kept, and all steps are being undone.
    UndoingSteps,
    /// Evidence is looked for why the build was killed; everything is put back already, or it is
    /// about to be kept.
    PostMortem { is_released: bool },
    /// The lease is being made one that outlives its build.
    BeginningToLinger,
    /// The lease is being made one that outlives its supervisor.
    BeginningToHold,
    /// The lease stands on its own, and nothing is under way.
    Standing,
    /// A build that nobody supervises any more is being ended.
    EndingOrphan,
    /// Everything is being put back.
    Releasing,
    /// Everything is put back, and that is being said.
    SayingReleased,
    /// Calls that were sent may still change a target, or swap is not off yet.
    SeeingToRest,
    /// The keeper has nothing left to do.
    Done,
}

/// What is listened to in a stage. What comes from elsewhere waits where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// All that there is: figures of the host where there is a build, and what needs an act at once
    /// where the build runs with its room.
    Everything { has_child: bool, is_guarded: bool },
    /// Whatever can end a lease that stands on its own, and what others do to its targets.
    EndAndChanges,
    /// Signals.
    Signals,
    /// Nothing: the act under way is short, or cannot be stopped half-way.
    Nothing,
}

/// What the keeper moves towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Goal {
    Room,
    /// The build is stopped: the targets run.
    NoRoom,
    /// Everything back, and exit.
    Release,
    /// The same, once a build that nobody supervises any more is ended.
    ReleaseOrphan,
}

/// A lease's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub struct Lifecycle {
    stage: Stage,
    goal: Goal,
    /// Room is made, as well as it could be.
    has_room: bool,
    /// The hooks were told of room. What is made again after Ctrl-Z is no news.
    is_announced: bool,
    has_child: bool,
    /// The supervisor ends the build.
    is_ending: bool,
    has_ended: bool,
    /// The lease is to outlive its supervisor, or does.
    holds: bool,
    /// The room is to be kept after the build.
    lingers: bool,
    /// The lease stands on its own.
    stands: bool,
    looks_around: bool,
}

impl Lifecycle {
    /// Begins a lease. A keeper that `adopts` one takes nothing: its room was made before.
    #[must_use]
    pub fn begin(adopts: bool) -> (Self, Vec<Act>) {
        let mut lifecycle = Self {
            stage: Stage::HasRoom,
            goal: Goal::Room,
            has_room: adopts,
            is_announced: adopts,
            has_child: false,
            is_ending: false,
            has_ended: false,
            holds: false,
            lingers: false,
            stands: false,
            looks_around: false,
        };
        let acts = lifecycle.go_on();
        (lifecycle, acts)
    }

    /// The stage the lease is in.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether room is wanted still: what was seen or taken meanwhile counts.
    #[must_use]
    pub fn wants_room(&self) -> bool {
        self.goal == Goal::Room
    }

    /// What is listened to now.
    #[must_use]
    pub fn listening(&self) -> Listening {
        match self.stage {
            Stage::MakingRoom
            | Stage::HasRoom
            | Stage::TakingStep
            | Stage::UndoingStep
            | Stage::Looking
            | Stage::Retaking
            | Stage::NoRoom => Listening::Everything {
                has_child: self.has_child,
                is_guarded: self.has_child && self.has_room && self.wants_room(),
            },
            Stage::Standing => Listening::EndAndChanges,
            Stage::SeeingToRest => Listening::Signals,
            Stage::Suspending
            | Stage::UndoingSteps
            | Stage::PostMortem { .. }
            | Stage::BeginningToLinger
            | Stage::BeginningToHold
            | Stage::EndingOrphan
            | Stage::Releasing
            | Stage::SayingReleased
            | Stage::Done => Listening::Nothing,
        }
    }

    /// The policy.
    pub fn handle(&mut self, event: Event) -> Vec<Act> {
        match event {
            Event::MakeRoom
            | Event::Child
            | Event::Strays
            | Event::Ending
            | Event::Suspend
            | Event::Resume
            | Event::Hold
            | Event::Ended
            | Event::Linger
            | Event::LookAround
            | Event::Release
            | Event::Signal
            | Event::EndOfFile => self.hear(event),
            Event::StepDue => self.due(Stage::TakingStep, Act::TakeStep),
            Event::UndoDue => self.due(Stage::UndoingStep, Act::UndoStep),
            Event::LookDue => self.due(Stage::Looking, Act::Look),
            Event::RetakeDue => self.due(Stage::Retaking, Act::Retake),
            Event::ControlEnded if self.stage == Stage::Standing => self.give_up(),
            Event::ControlEnded => vec![],
            Event::RoomMade(_)
            | Event::StepTaken
            | Event::StepUndone
            | Event::Looked
            | Event::Retaken
            | Event::Suspended
            | Event::StepsUndone { .. }
            | Event::Examined
            | Event::LingeringBegun
            | Event::LingeringFailed
            | Event::HoldingBegun
            | Event::HoldingFailed
            | Event::OrphanEnded
            | Event::Released
            | Event::ReleaseSaid { .. }
            | Event::RestSeenTo => self.act_ended(event),
        }
    }

    /// Takes in a message, a signal or the end of the messages.
    fn hear(&mut self, event: Event) -> Vec<Act> {
        match self.listening() {
            Listening::Everything { .. } => self.note(event),
            // Nothing else ends it, and nothing else is worth knowing.
            Listening::EndAndChanges if matches!(event, Event::Release | Event::Signal) => {
                return self.give_up();
            }
            Listening::Signals if event == Event::Signal => return vec![Act::Cancel],
            Listening::EndAndChanges | Listening::Signals | Listening::Nothing => return vec![],
        }
        match self.stage {
            Stage::HasRoom | Stage::NoRoom => self.go_on(),
            // A build that is over, its room kept or not, needs no more of what is under way.
            _ if !self.wants_room() || self.lingers => vec![Act::Cancel],
            _ => vec![],
        }
    }

    fn note(&mut self, event: Event) {
        let is_over = matches!(self.goal, Goal::Release | Goal::ReleaseOrphan);
        match event {
            Event::Child => self.has_child = true,
            Event::Ending => self.is_ending = true,
            Event::Ended => self.has_ended = true,
            Event::Hold => self.holds = true,
            Event::Linger => self.lingers = true,
            Event::LookAround => self.looks_around = true,
            Event::Suspend if !is_over => self.goal = Goal::NoRoom,
            Event::Resume if !is_over => self.goal = Goal::Room,
            Event::EndOfFile if !self.holds && !self.lingers && !is_over => {
                self.goal = Goal::ReleaseOrphan;
            }
            // What nobody supervises is ended all the same.
            Event::Release | Event::Signal if self.goal != Goal::ReleaseOrphan => {
                self.goal = Goal::Release;
            }
            _ => {}
        }
    }

    /// Begins what is due, or keeps it for later.
    fn due(&mut self, stage: Stage, act: Act) -> Vec<Act> {
        let is_begun = match self.stage {
            Stage::HasRoom => true,
            // Steps are for a build.
            Stage::Standing => matches!(stage, Stage::Looking | Stage::Retaking),
            Stage::MakingRoom
            | Stage::TakingStep
            | Stage::UndoingStep
            | Stage::Looking
            | Stage::Retaking => return vec![Act::PutOff],
            _ => false,
        };
        if !is_begun {
            return vec![];
        }
        self.stage = stage;
        vec![act]
    }

    fn act_ended(&mut self, event: Event) -> Vec<Act> {
        match (self.stage, event) {
            (Stage::MakingRoom, Event::RoomMade(made)) => self.room_made(made),
            (Stage::TakingStep, Event::StepTaken)
            | (Stage::UndoingStep, Event::StepUndone)
            | (Stage::Looking, Event::Looked)
            | (Stage::Retaking, Event::Retaken)
            | (Stage::Suspending, Event::Suspended) => self.go_on(),
            (Stage::UndoingSteps, Event::StepsUndone { is_anything_left: true }) => {
                if std::mem::take(&mut self.looks_around) {
                    self.stage = Stage::PostMortem { is_released: false };
                    return vec![Act::PostMortem];
                }
                self.begin_lingering()
            }
            (Stage::PostMortem { is_released: false }, Event::Examined) => self.begin_lingering(),
            (Stage::BeginningToLinger, Event::LingeringBegun)
            | (Stage::BeginningToHold, Event::HoldingBegun) => {
                (self.holds, self.stands) = (true, true);
                self.go_on()
            }
            (Stage::UndoingSteps, Event::StepsUndone { is_anything_left: false })
            | (Stage::BeginningToLinger, Event::LingeringFailed)
            | (Stage::BeginningToHold, Event::HoldingFailed) => self.give_up(),
            (Stage::EndingOrphan, Event::OrphanEnded) => self.release(),
            (Stage::Releasing, Event::Released) => {
                if self.looks_around {
                    self.stage = Stage::PostMortem { is_released: true };
                    return vec![Act::PostMortem];
                }
                self.say_released()
            }
            (Stage::PostMortem { is_released: true }, Event::Examined) => self.say_released(),
            (Stage::SayingReleased, Event::ReleaseSaid { is_rest_left: true }) => {
                self.stage = Stage::SeeingToRest;
                vec![Act::SeeToRest]
            }
            (Stage::SayingReleased, Event::ReleaseSaid { is_rest_left: false })
            | (Stage::SeeingToRest, Event::RestSeenTo) => {
                self.stage = Stage::Done;
                vec![Act::Exit]
            }
            _ => vec![],
        }
    }

    fn room_made(&mut self, made: Made) -> Vec<Act> {
        self.has_room = true;
        // What was begun for nothing is put back next.
        if !self.wants_room() {
            return self.go_on();
        }
        let mut acts = match made {
            // Whoever waits for the lease hears of no room.
            Made::NotRecorded => vec![],
            Made::Room | Made::Covered | Made::HeldAlready => vec![Act::SayMade],
        };
        if made != Made::Room {
            acts.extend(self.give_up());
            return acts;
        }
        // The build starts first.
        if !std::mem::replace(&mut self.is_announced, true) {
            acts.push(Act::RunRoomMadeHook);
        }
        acts.extend(self.go_on());
        acts
    }

    /// Moves on towards what is wanted. Nothing is under way.
    fn go_on(&mut self) -> Vec<Act> {
        let (stage, act) = match self.goal {
            Goal::Room if self.stands => {
                self.stage = Stage::Standing;
                return vec![];
            }
            Goal::NoRoom if self.stands => return self.give_up(),
            Goal::Room if !self.has_room => (Stage::MakingRoom, Act::MakeRoom),
            Goal::NoRoom if self.has_room => {
                self.has_room = false;
                (Stage::Suspending, Act::SuspendTargets)
            }
            Goal::Room if std::mem::take(&mut self.lingers) => {
                (Stage::UndoingSteps, Act::UndoSteps)
            }
            Goal::Room | Goal::NoRoom if self.holds => (Stage::BeginningToHold, Act::BeginHolding),
            Goal::Room => {
                self.stage = Stage::HasRoom;
                return vec![];
            }
            Goal::NoRoom => {
                self.stage = Stage::NoRoom;
                return vec![];
            }
            // What a build that ended by itself has left behind was left on purpose.
            Goal::ReleaseOrphan if self.has_child && (!self.has_ended || self.is_ending) => {
                (Stage::EndingOrphan, Act::EndOrphan)
            }
            Goal::Release | Goal::ReleaseOrphan => return self.release(),
        };
        self.stage = stage;
        vec![act]
    }

    fn begin_lingering(&mut self) -> Vec<Act> {
        self.stage = Stage::BeginningToLinger;
        vec![Act::BeginLingering]
    }

    /// Puts everything back, though nobody asked for it.
    fn give_up(&mut self) -> Vec<Act> {
        self.goal = Goal::Release;
        self.release()
    }

    fn release(&mut self) -> Vec<Act> {
        self.stage = Stage::Releasing;
        vec![Act::Release]
    }

    fn say_released(&mut self) -> Vec<Act> {
        self.stage = Stage::SayingReleased;
        let hook = self.is_announced.then_some(Act::RunRestoredHook);
        hook.into_iter().chain([Act::SayReleased]).collect()
    }
}

#[cfg(test)]
mod tests;
