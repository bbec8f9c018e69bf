//! Owns what was heard of a run so far: one record, which takes in each message of its keepers, and
//! has what became of its child. All that is said of the run is made from it. Pure; `supervise`
//! keeps it.

use std::{collections::BTreeMap, ffi::OsString, time::Duration};

use jiff::Timestamp;

use crate::core::{
    lease::foreign_change::ForeignChange,
    machine::memory::Memory,
    run::{
        build_site::BuildSite,
        ending::{EndedBy, Ending},
        exit::Exit,
        memory_seen::MemorySeen,
        note::Level,
        results::{Back, Lingering, Room, RoomTarget},
        session::Event,
        steps::Steps,
        verdict::Thrash,
        wire::FromKeeper,
    },
};

/// What is known of a run from the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The lease; `None` where nothing may be changed.
    pub lease: Option<String>,
    /// The command, program first.
    pub command: Vec<OsString>,
    /// The command as the report has it: it may hold secrets.
    pub command_shown: String,
    /// Where it builds.
    pub site: BuildSite,
    /// `--strict`.
    pub is_strict: bool,
    /// The heap limit of NODE_OPTIONS.
    pub heap_limit_bytes: Option<u64>,
    /// This system tells what all processes of a build hold, not only the largest one.
    pub sees_all_processes: bool,
}

/// The beginning of the child.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChildStart {
    /// When.
    pub at: Timestamp,
    /// This machine's memory then; `None` where the host is another one.
    pub memory: Option<Memory>,
}

/// The end of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildEnd {
    /// How it ended itself.
    pub child: Exit,
    /// How that is told everywhere.
    pub ending: Ending,
    /// How long it ran.
    pub took: Duration,
}

/// The record of a run.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub struct Heard {
    /// What was known before.
    pub about: About,
    /// Room could not be made as asked.
    pub is_short: bool,
    /// The lease around this run has all that is asked for.
    pub is_covered: bool,
    /// What a person calls the host, where it is another machine.
    pub host: Option<String>,
    /// The room that was made for the build.
    pub room: Option<Room>,
    /// The child's beginning; `None` where it was not executed.
    pub child_start: Option<ChildStart>,
    /// What was taken under pressure.
    pub steps: Steps,
    /// What somebody else did to targets that are theirs now, by id.
    pub foreign_changes: BTreeMap<String, ForeignChange>,
    /// `--timeout` ended the build.
    pub is_timed_out: bool,
    /// `--abort-on-thrash` did: memory was thrashing for too long.
    pub thrash: Option<Thrash>,
    /// A terminating signal came: whoever sent it does not wait long.
    pub is_cancelled: bool,
    /// It came while the build ran, and nothing had ended that before.
    pub is_interrupted: bool,
    /// The child's end.
    pub child_end: Option<ChildEnd>,
    /// What was seen of the build's memory, once that is whole.
    pub memory_seen: Option<MemorySeen>,
    /// The room that the keeper keeps without us.
    pub lingering: Option<Lingering>,
    /// How bringing everything back went, as far as that was told.
    pub back: Option<Back>,
    /// A keeper has said that it is done: there is no need for another one.
    pub is_all_back: bool,
}

impl Heard {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(about: About) -> Self {
        Self {
            about,
            is_short: false,
            is_covered: false,
            host: None,
            room: None,
            child_start: None,
            steps: Steps::default(),
            foreign_changes: BTreeMap::new(),
            is_timed_out: false,
            thrash: None,
            is_cancelled: false,
            is_interrupted: false,
            child_end: None,
            memory_seen: None,
            lingering: None,
            back: None,
            is_all_back: false,
        }
    }

    /// Takes in a keeper's message, which came when the build had run for `at`; gives what it means
    /// for the session.
    pub fn take_in(&mut self, message: FromKeeper, at: Duration) -> Vec<Event> {
        match message {
            FromKeeper::Note(note) => self.is_short |= note.level == Level::Shortfall,
            FromKeeper::RoomMade(room) => {
                self.host.clone_from(&room.host);
                // After Ctrl-Z it is made again; the report has the first one.
                self.room.get_or_insert(room);
                return vec![if self.is_refused() { Event::Refused } else { Event::RoomMade }];
            }
            FromKeeper::StepTaken(step) => self.steps.taken(at.as_secs_f64(), &step),
            FromKeeper::StepUndone { running, .. } => {
                self.steps.undone(at.as_secs_f64(), &running);
            }
            FromKeeper::Thrashing { time, figures } => {
                if self.is_running() {
                    self.thrash = Some(Thrash { time, figures, steps: self.steps.count() });
                    return vec![Event::Thrashing];
                }
            }
            FromKeeper::Touched { id, change, .. } => {
                self.foreign_changes.insert(id, change);
            }
            FromKeeper::TakenAgain(target) => {
                self.foreign_changes.remove(&target.id);
            }
            FromKeeper::Covered if self.is_refused() => return vec![Event::Refused],
            FromKeeper::Covered => self.is_covered = true,
            FromKeeper::Suspended => {
                // What was short of is for the next attempt to say.
                self.is_short = false;
                self.steps.suspended(at.as_secs_f64());
                return vec![Event::Suspended];
            }
            FromKeeper::Lingering(lingering) => {
                self.lingering = Some(lingering);
                return vec![Event::Lingering];
            }
            FromKeeper::TargetsBack(back) => {
                self.back.get_or_insert(back);
                return vec![Event::TargetsBack];
            }
            FromKeeper::Released(back) => {
                // A keeper that took over finds done what the one before it had done.
                self.back = Some(back.taking_over(self.back.take()));
                self.is_all_back = true;
                if !self.is_covered {
                    // It was told to end before it could make room as asked.
                    let is_refused = self.about.is_strict && self.child_start.is_none();
                    let refused = is_refused.then_some(Event::Refused);
                    // Whether it hears that it is to release, or is gone by then: it has.
                    return refused.into_iter().chain([Event::Released]).collect();
                }
            }
            // What passes, and what only a started lease's keeper says.
            FromKeeper::Progress { .. }
            | FromKeeper::Sample(_)
            | FromKeeper::HeldAlready { .. }
            | FromKeeper::Holding => {}
        }
        vec![]
    }

    /// Another keeper takes over. One that does not adopt what is held makes room anew, and says
    /// itself what it is short of.
    pub fn keeper_started(&mut self, adopts: bool) {
        self.is_short &= adopts;
    }

    /// A terminating signal came.
    pub fn cancelled(&mut self) {
        self.is_interrupted |= self.is_running();
        self.is_cancelled = true;
    }

    /// The child has ended; gives how that is told everywhere.
    pub fn child_ended(&mut self, child: Exit, took: Duration) -> Ending {
        let ending = Ending::of(child, self.ended_by());
        self.child_end = Some(ChildEnd { child, ending, took });
        ending
    }

    /// It is known now whether everything `is_whole` again; gives how makeroom is to end, where
    /// there was a child.
    pub fn all_is_back(&mut self, is_whole: bool) -> Option<Exit> {
        let end = self.child_end.as_mut()?;
        end.ending = end.ending.with_strict(self.about.is_strict, is_whole);
        Some(end.ending.exit)
    }

    /// The time of `--timeout` is over. What ended the build first is why it ended.
    pub fn timed_out(&mut self) {
        self.is_timed_out |= self.is_running();
    }

    /// Whether the build runs and nothing of ours ends it yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let is_being_ended = self.is_timed_out || self.thrash.is_some() || self.is_cancelled;
        self.child_start.is_some() && self.child_end.is_none() && !is_being_ended
    }

    /// Whether the command is not to be started: with `--strict`, and short of room.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.about.is_strict && self.is_short && self.child_start.is_none()
    }

    /// What ended the build, where it was not the build itself.
    #[must_use]
    pub fn ended_by(&self) -> Option<EndedBy> {
        if self.is_timed_out {
            Some(EndedBy::Timeout)
        } else if self.thrash.is_some() {
            Some(EndedBy::Thrash)
        } else {
            self.is_interrupted.then_some(EndedBy::Interrupt)
        }
    }

    /// The target with this id, from before the build or of a step.
    #[must_use]
    pub fn target(&self, id: &str) -> Option<&RoomTarget> {
        let mut first = self.room.iter().flat_map(|room| &room.targets);
        first.find(|target| target.id == id).or_else(|| self.steps.target(id))
    }
}

#[cfg(test)]
pub(in crate::core::run) mod tests;
