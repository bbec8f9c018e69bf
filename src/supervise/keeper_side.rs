//! Owns the loop's side towards the keeper: what is heard from it, and another one for one that died.
//! Part of the supervisor's loop in `drive`.

use nix::{sys::wait::waitpid, unistd::Pid};

use super::{drive::Drive, keeper_link::KeeperLink};
use crate::{
    core::{
        session::{Event, Stage},
        verdict::Thrash,
        wire::{FromKeeper, Level, Note, Request, ToKeeper},
    },
    report::{hands, steps, summary},
};

/// A keeper that dies again and again dies of something that the next one meets as well.
const MOST_KEEPERS: u32 = 5;

impl Drive<'_> {
    pub(super) fn listen(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        let (messages, is_there) = keeper.listen();
        let pid = keeper.pid();
        for message in messages {
            self.hear(message);
        }
        if !is_there {
            if self.covered {
                // It has nothing left to do but exit; the command that we become must not find it as its zombie.
                let _ = waitpid(Pid::from_raw(pid), None);
            }
            self.keeper = None;
            if !self.is_all_back && !self.covered {
                self.start_keeper();
            }
        }
    }

    fn hear(&mut self, message: FromKeeper) {
        match message {
            FromKeeper::Note(note) => {
                self.shortfall |= note.level == Level::Shortfall;
                self.say.note(&note);
            }
            FromKeeper::Progress { phase, done, total } => self.say.progress(phase, done, total),
            FromKeeper::Sample(sample) => {
                if let Some(watch) = &mut self.watch {
                    watch.hear(&sample);
                }
            }
            FromKeeper::RoomMade(room) => {
                self.say.settle();
                self.host.clone_from(&room.host);
                let is_refused = self.plan.strict && self.shortfall && self.child.is_none();
                if is_refused {
                    self.say.error("room could not be made as asked, and --strict is set", Some("the command was not started"), None);
                } else {
                    self.say.info(summary::room_made(&room, super::watch::now().filter(|_| room.host.is_none())));
                    if let Some(line) = summary::room_elsewhere(&room, &self.plan.command, self.plan.site) {
                        self.say.info(line);
                    }
                }
                // After Ctrl-Z it is made again; the report has the first one.
                self.room.get_or_insert(room);
                self.queue.push_back(if is_refused { Event::Refused } else { Event::RoomMade });
            }
            FromKeeper::StepTaken(step) => {
                self.say.info(steps::taken(&step));
                self.steps.taken(self.begun.elapsed().as_secs_f64(), &step);
            }
            FromKeeper::StepUndone { running, restored, took } => {
                self.say.info(steps::undone(restored, took));
                self.steps.undone(self.begun.elapsed().as_secs_f64(), &running);
            }
            FromKeeper::Thrashing { time, figures } => {
                let is_first =
                    self.thrash.is_none() && matches!(self.session.stage(), Stage::Running | Stage::Suspending | Stage::Resuming);
                if is_first && self.child.is_some() {
                    self.say.warning(steps::thrashing(time, &figures), None);
                    self.thrash = Some(Thrash { time, figures, steps: self.steps.count() });
                    self.queue.push_back(Event::Thrashing);
                }
            }
            FromKeeper::Touched { id, name, deed, reply } => {
                let first = self.room.iter().flat_map(|room| &room.targets).find(|target| target.id == id);
                self.say.info(hands::touched(&name, deed, reply, first.or_else(|| self.steps.target(&id))));
                self.theirs.insert(id, deed);
            }
            FromKeeper::TakenAgain(target) => {
                self.say.info(hands::taken_again(&target));
                self.theirs.remove(&target.id);
            }
            FromKeeper::Covered => self.covered = true,
            FromKeeper::Suspended => {
                // What was short of is for the next attempt to say.
                self.shortfall = false;
                self.steps.suspended(self.begun.elapsed().as_secs_f64());
                self.queue.push_back(Event::Suspended);
            }
            FromKeeper::Lingering(lingering) => {
                self.lingering = Some(lingering);
                self.report_build();
                self.queue.push_back(Event::Lingering);
            }
            FromKeeper::TargetsBack(back) => {
                self.say.settle();
                self.back.get_or_insert(back);
                self.queue.push_back(Event::TargetsBack);
            }
            FromKeeper::Released(back) => {
                self.say.settle();
                if !self.session.is_released() && !self.covered {
                    self.say.warning("the keeper was told to end: everything is put back already, the build goes on", None);
                }
                // A keeper that took over finds done what the one before it had done.
                self.back = Some(back.taking_over(self.back.take()));
                self.is_all_back = true;
                self.report_build();
                if !self.covered {
                    let is_refused = self.plan.strict && !self.session.is_released() && self.child.is_none();
                    self.queue.extend(is_refused.then_some(Event::Refused));
                    // Whether it hears that it is to release, or is gone by then: it has.
                    self.queue.push_back(Event::Released);
                }
            }
            // Only a started lease's keeper says these.
            FromKeeper::HeldAlready { .. } | FromKeeper::Holding => {}
        }
    }

    /// Starts the keeper, or another one for one that died, and brings it to where the run is.
    pub(super) fn start_keeper(&mut self) {
        let Some((request, journal)) = &self.plan.lease else {
            self.queue.push_back(Event::KeeperLost);
            return;
        };
        self.keepers += 1;
        let started =
            if self.keepers > MOST_KEEPERS { Err(std::io::Error::other("it died too often")) } else { KeeperLink::start(journal) };
        let mut keeper = match started {
            Ok(keeper) => keeper,
            Err(error) => {
                let note = Note::new(Level::Shortfall, format!("there is no keeper any more: {error}")).hint("makeroom recover");
                self.hear(FromKeeper::Note(note));
                self.queue.push_back(if self.plan.strict && self.child.is_none() { Event::Refused } else { Event::KeeperLost });
                return;
            }
        };
        let stage = self.session.stage();
        let adopt = !matches!(stage, Stage::MakingRoom | Stage::Resuming);
        // One that makes room anew says itself what it is short of.
        self.shortfall &= adopt;
        keeper.say(&ToKeeper::MakeRoom(Box::new(Request { adopt, ..request.clone() })));
        if let Some(process) = self.child {
            keeper.say(&ToKeeper::Child { process });
        }
        if let Some(exit) = self.exit {
            keeper.say(&ToKeeper::Ended { exit });
        }
        if self.session.is_released() {
            keeper.say(&ToKeeper::Release);
        } else if stage == Stage::Suspending {
            keeper.say(&ToKeeper::Suspend);
        }
        self.keeper = Some(keeper);
    }

    pub(super) fn tell_keeper(&mut self, message: &ToKeeper, without: Event) {
        match &mut self.keeper {
            Some(keeper) => keeper.say(message),
            None => self.queue.push_back(without),
        }
    }
}
