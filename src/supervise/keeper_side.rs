//! Owns the loop's side towards the keeper: what is heard from it, and another one for one that
//! died, for as long as anything is held. Part of the supervisor's loop in `drive`.

use std::{cell::RefCell, time::Instant};

use nix::{sys::wait::waitpid, unistd::Pid};

use crate::{
    core::{
        run::{
            keeper_restarts::MOST,
            session::{Event, Stage, TERMINATING},
            verdict::Thrash,
            wire::{FromKeeper, Level, Note, Request, ToKeeper},
        },
        text,
    },
    report::{foreign_change_lines, run_lines, step_lines},
    room::alone,
    supervise::{
        event_loop::{EventLoop, HASTY_RETURN},
        keeper_link::KeeperLink,
    },
};

impl EventLoop<'_> {
    pub(super) fn listen(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        let (messages, is_there) = keeper.listen();
        let pid = keeper.pid();
        for message in messages {
            self.hear(message);
        }
        if !is_there {
            if self.covered {
                // It has nothing left to do but exit; the command that we become must not find it
                // as its zombie.
                let _ = waitpid(Pid::from_raw(pid), None);
            }
            self.keeper = None;
            if !self.is_all_back && !self.covered {
                let due = self.attempts.die(Instant::now());
                self.miss_keeper(due, None);
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
                self.attempts.forget_room();
                self.host.clone_from(&room.host);
                let is_refused = self.plan.strict && self.shortfall && self.child.is_none();
                if is_refused {
                    self.say.error(
                        "room could not be made as asked, and --strict is set",
                        Some("the command was not started"),
                        None,
                    );
                } else {
                    self.say.info(run_lines::room_made(
                        &room,
                        crate::supervise::watch::now().filter(|_| room.host.is_none()),
                    ));
                    if let Some(line) =
                        run_lines::room_elsewhere(&room, &self.plan.command, self.plan.site)
                    {
                        self.say.info(line);
                    }
                }
                // After Ctrl-Z it is made again; the report has the first one.
                self.room.get_or_insert(room);
                self.queue.push_back(if is_refused { Event::Refused } else { Event::RoomMade });
            }
            FromKeeper::StepTaken(step) => {
                self.say.info(step_lines::taken(&step));
                self.steps.taken(self.begun.elapsed().as_secs_f64(), &step);
            }
            FromKeeper::StepUndone { running, restored, took } => {
                self.say.info(step_lines::undone(restored, took));
                self.steps.undone(self.begun.elapsed().as_secs_f64(), &running);
            }
            FromKeeper::Thrashing { time, figures } => {
                let is_first = self.thrash.is_none()
                    && matches!(
                        self.session.stage(),
                        Stage::Running | Stage::Suspending | Stage::Resuming
                    );
                if is_first && self.child.is_some() {
                    self.say.warning(step_lines::thrashing(time, &figures), None);
                    self.thrash = Some(Thrash { time, figures, steps: self.steps.count() });
                    self.queue.push_back(Event::Thrashing);
                }
            }
            FromKeeper::Touched { id, name, deed, reply } => {
                let first =
                    self.room.iter().flat_map(|room| &room.targets).find(|target| target.id == id);
                self.say.info(foreign_change_lines::touched(
                    &name,
                    deed,
                    reply,
                    first.or_else(|| self.steps.target(&id)),
                ));
                self.theirs.insert(id, deed);
            }
            FromKeeper::TakenAgain(target) => {
                self.say.info(foreign_change_lines::taken_again(&target));
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
                    let is_refused =
                        self.plan.strict && !self.session.is_released() && self.child.is_none();
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
        self.keeper_due = None;
        let Some((request, journal)) = &self.plan.lease else {
            self.queue.push_back(Event::KeeperLost);
            return;
        };
        let mut keeper = match KeeperLink::start(journal) {
            Ok(keeper) => keeper,
            Err(error) => {
                let due = self.attempts.fail(Instant::now());
                self.miss_keeper(due, Some(&error));
                return;
            }
        };
        self.attempts.begin(Instant::now());
        self.rest.keepers.push(keeper.pid());
        self.rest.are_strays_news = true;
        let stage = self.session.stage();
        let adopt = !matches!(stage, Stage::MakingRoom | Stage::Resuming);
        // One that makes room anew says itself what it is short of.
        self.shortfall &= adopt;
        keeper.say(&ToKeeper::MakeRoom(Box::new(Request { adopt, ..request.clone() })));
        if let Some(process) = self.child {
            keeper.say(&ToKeeper::Child { process });
        }
        if self.rest.is_ending() {
            keeper.say(&ToKeeper::Ending);
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
        if std::mem::take(&mut self.is_keeper_missed) {
            self.say.info("there is a keeper again");
        }
    }

    /// There is none, and another one is due; `error` where it could not be started, otherwise the
    /// last one died.
    fn miss_keeper(&mut self, due: Instant, error: Option<&std::io::Error>) {
        let deaths = self.attempts.deaths();
        let why = error
            .map_or_else(|| died(deaths), |error| format!("no keeper can be started: {error}"));
        let is_making_room = matches!(self.session.stage(), Stage::MakingRoom | Stage::Resuming);
        let is_no_room = is_making_room && self.attempts.is_no_room_to_be_had();
        if is_no_room {
            self.attempts.forget_room();
            self.hear(FromKeeper::Note(Note::new(
                Level::Shortfall,
                format!("no room is made: {why}"),
            )));
            self.queue.push_back(if self.plan.strict && self.child.is_none() {
                Event::Refused
            } else {
                Event::NoRoom
            });
        }
        let held = self.held();
        let is_over = self.attempts.is_out_of_processes() || deaths >= MOST;
        if is_over && held == 0 && is_no_room == is_making_room && self.holds_nothing() {
            self.has_given_up = true;
            self.queue.push_back(Event::KeeperLost);
            return;
        }
        self.keeper_due = Some(due);
        if self.session.is_released() && self.attempts.is_out_of_processes() {
            self.restore_alone();
        } else if held > 0 && !self.is_keeper_missed && (error.is_some() || deaths >= MOST) {
            self.is_keeper_missed = true;
            self.say.warning(
                format!("{why}; {} held until there is one again", text::count(held, "service")),
                None,
            );
        }
    }

    /// How many targets the lease holds, by its journal.
    pub(super) fn held(&self) -> usize {
        let journal = self.plan.lease.as_ref().map(|(_, journal)| journal);
        let state = journal.and_then(|journal| journal.reread().ok().flatten());
        state.map_or(0, |state| state.targets.len())
    }

    /// Tells the keeper. Where there is none, this is a moment to try again: a new one is told
    /// where the run is.
    pub(super) fn tell_keeper(&mut self, message: &ToKeeper, without: Event) {
        match &mut self.keeper {
            Some(keeper) => keeper.say(message),
            None if self.has_given_up || self.is_all_back || self.plan.lease.is_none() => {
                self.queue.push_back(without)
            }
            None => self.start_keeper(),
        }
    }

    /// At the very end: nothing is left as it is for want of a keeper.
    pub(super) fn restore_alone_if_need_be(&mut self) {
        let needs = self.keeper.is_none() && !self.is_all_back && self.lingering.is_none();
        if needs && !self.has_tried_alone && self.plan.lease.is_some() && !self.holds_nothing() {
            self.restore_alone();
        }
    }

    /// Puts everything back in this process: what a keeper would have said is heard in its place.
    fn restore_alone(&mut self) {
        let Some((request, journal)) = &self.plan.lease else { return };
        if std::mem::replace(&mut self.has_tried_alone, true) {
            self.queue
                .extend((self.session.stage() == Stage::Returning).then_some(Event::KeeperLost));
            return;
        }
        self.say.warning("there is no keeper: makeroom puts everything back by itself", None);
        let said = RefCell::new(Vec::new());
        // Whoever sent a signal does not wait long, and the child of a build that is being ended
        // has clocks that run.
        let is_hasty = self.cancelled || self.session.stage() == Stage::Ending;
        let mut deadline = is_hasty.then(|| Instant::now() + HASTY_RETURN);
        let mut interrupts = 0;
        let is_enough = || {
            for signal in self.signals.take() {
                if signal == libc::SIGCHLD {
                    self.reaping.is_wanted = true;
                } else {
                    interrupts += u32::from(TERMINATING.contains(&signal));
                    self.queue.push_back(Event::Signal(signal));
                }
            }
            if interrupts > 0 {
                self.cancelled = true;
                deadline.get_or_insert_with(|| Instant::now() + HASTY_RETURN);
            }
            interrupts > 1 || deadline.is_some_and(|deadline| deadline <= Instant::now())
        };
        let restored =
            alone::restore(journal, request, is_enough, &|message| said.borrow_mut().push(message));
        for message in said.into_inner() {
            self.hear(message);
        }
        if let Err(error) = restored {
            self.say.warning(format!("nothing was put back: {error}"), None);
        }
        if self.is_all_back {
            self.keeper_due = None;
        } else if self.session.stage() == Stage::Returning {
            self.queue.push_back(Event::KeeperLost);
        }
    }
}

fn died(times: u32) -> String {
    format!("the keeper died {times} times in a row")
}
