//! Owns the policy of a run: which event, in which stage, leads to which acts. A pure state
//! machine, walked through whole by its tests; `supervise` feeds it events and performs its acts.

mod act;
mod event;

pub use act::{Act, Timer};
pub use event::{Event, Stage};

use crate::core::run::exit::{Exit, FAILED};

/// Signals that are passed to the group and change nothing else.
pub const PASSED_ON: [i32; 3] = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];
/// Signals that end the build.
pub const TERMINATING: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// A run's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that are independent of each other and of the stage"
)]
pub struct Session {
    stage: Stage,
    /// The child exists or existed.
    started: bool,
    /// How makeroom is to end, once that is known.
    exit: Option<Exit>,
    /// SIGINT and SIGTERM so far; two are enough to know that somebody means it.
    interrupts: u8,
    /// A signal ended the run: makeroom must not linger.
    hasty: bool,
    /// Somebody stopped the child, not through makeroom.
    child_is_stopped: bool,
    /// `--linger`: a build that ends by itself leaves its room to the next one.
    lingers: bool,
    /// The keeper was told so, and may be told otherwise.
    lingering: bool,
    released: bool,
    targets_back: bool,
    all_back: bool,
}

impl Session {
    /// A run with or without `--linger`.
    #[must_use]
    pub fn new(lingers: bool) -> Self {
        Self { lingers, ..Self::default() }
    }

    /// The stage the run is in.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the keeper was told its last: a new one in its place puts everything back.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.released || self.lingering
    }

    /// The policy.
    pub fn handle(&mut self, event: Event) -> Vec<Act> {
        match event {
            Event::Signal(signal) => self.signal(signal),
            // Ctrl-C reaches the shell and makeroom alike.
            Event::ShellDied if self.hasty => vec![],
            Event::ShellDied => self.be_told_to_end(libc::SIGTERM),
            Event::RoomMade => match self.stage {
                Stage::MakingRoom => {
                    (self.stage, self.started) = (Stage::Running, true);
                    vec![Act::StartChild, Act::Arm(Timer::Timeout)]
                }
                Stage::Resuming => {
                    self.stage = Stage::Running;
                    vec![Act::SignalGroup(libc::SIGCONT)]
                }
                _ => vec![],
            },
            Event::Refused if self.stage == Stage::MakingRoom => self.put_back(Exit::Code(FAILED)),
            Event::CannotStart(code) if self.stage == Stage::Running => {
                self.put_back(Exit::Code(code))
            }
            Event::ChildStopped { signal, foreground } => self.child_stopped(signal, foreground),
            Event::ChildEnded(exit) => match self.stage {
                Stage::Ending => {
                    self.exit = Some(exit);
                    vec![Act::WatchDescendants]
                }
                Stage::Running if self.lingers && !was_cancelled(exit) => self.linger(exit),
                Stage::Running | Stage::Suspending | Stage::Resuming if self.started => {
                    self.put_back(exit)
                }
                _ => vec![],
            },
            Event::ChildContinued => {
                self.child_is_stopped = false;
                vec![]
            }
            Event::NobodyLeft => match (self.stage, self.exit) {
                (Stage::Ending, Some(exit)) => self.put_back(exit),
                _ => vec![],
            },
            Event::NoRoom if matches!(self.stage, Stage::MakingRoom | Stage::Resuming) => {
                self.handle(Event::RoomMade)
            }
            Event::Suspended if self.stage == Stage::Suspending => self.stop_self(),
            Event::Continued => match self.stage {
                Stage::Suspending if self.started => {
                    self.stage = Stage::Resuming;
                    vec![Act::Resume]
                }
                Stage::Suspending => {
                    self.stage = Stage::MakingRoom;
                    vec![Act::Resume]
                }
                _ => vec![],
            },
            Event::Lingering if self.lingering => self.finish(),
            Event::TargetsBack => {
                self.targets_back = true;
                self.finish_if_ready()
            }
            // A keeper that was told to end by somebody else makes no room any more, and says no
            // other word.
            Event::Released | Event::KeeperLost => {
                (self.targets_back, self.all_back) = (true, true);
                match self.stage {
                    Stage::MakingRoom | Stage::Resuming => self.handle(Event::RoomMade),
                    Stage::Suspending => self.stop_self(),
                    _ => self.finish_if_ready(),
                }
            }
            Event::Thrashing => self.pass_limit(),
            Event::Due(timer) => self.due(timer),
            Event::Refused
            | Event::CannotStart(_)
            | Event::NoRoom
            | Event::Suspended
            | Event::Lingering => vec![],
        }
    }

    fn signal(&mut self, signal: i32) -> Vec<Act> {
        let child_lives = self.started && self.exit.is_none();
        if TERMINATING.contains(&signal) {
            self.terminating(signal)
        } else if PASSED_ON.contains(&signal) && child_lives {
            vec![Act::SignalGroup(signal)]
        } else if signal == libc::SIGTSTP {
            match self.stage {
                Stage::Running | Stage::Resuming => self.suspend(libc::SIGTSTP),
                Stage::MakingRoom => {
                    self.stage = Stage::Suspending;
                    vec![Act::Suspend, Act::Arm(Timer::StopAnyway)]
                }
                // The keeper does not stop with us: what is being put back is put back.
                Stage::Restoring => vec![Act::StopSelf],
                Stage::Suspending | Stage::Ending | Stage::Done => vec![],
            }
        } else {
            vec![]
        }
    }

    fn terminating(&mut self, signal: i32) -> Vec<Act> {
        if signal == libc::SIGINT || signal == libc::SIGTERM {
            self.interrupts = self.interrupts.saturating_add(1).min(2);
        }
        self.be_told_to_end(signal)
    }

    fn be_told_to_end(&mut self, signal: i32) -> Vec<Act> {
        let already_hasty = std::mem::replace(&mut self.hasty, true);
        match self.stage {
            Stage::Done => vec![],
            Stage::Restoring if already_hasty => self.finish(),
            Stage::Restoring => {
                let mut acts = vec![Act::Arm(Timer::HastyRestore)];
                if std::mem::take(&mut self.lingering) {
                    acts.extend(self.release());
                }
                acts.extend(self.finish_if_ready());
                acts
            }
            Stage::Ending if self.interrupts >= 2 => kill(),
            Stage::Ending => vec![Act::SignalGroup(signal)],
            _ if !self.started => self.put_back(Exit::Signal(signal)),
            Stage::MakingRoom | Stage::Running | Stage::Suspending | Stage::Resuming => {
                self.end_child(signal)
            }
        }
    }

    fn end_child(&mut self, signal: i32) -> Vec<Act> {
        let stopped = self.stage != Stage::Running || self.child_is_stopped;
        self.stage = Stage::Ending;
        let mut acts = vec![Act::SignalGroup(signal)];
        if stopped {
            acts.push(Act::SignalGroup(libc::SIGCONT));
        }
        acts.extend([Act::EndDescendants, Act::Arm(Timer::ReleaseAnyway), Act::Arm(Timer::Grace)]);
        acts
    }

    fn child_stopped(&mut self, signal: i32, foreground: bool) -> Vec<Act> {
        if self.stage != Stage::Running {
            return vec![];
        }
        match signal {
            libc::SIGTTIN | libc::SIGTTOU if foreground => {
                vec![Act::GiveTerminal, Act::SignalGroup(libc::SIGCONT)]
            }
            libc::SIGTTIN | libc::SIGTTOU | libc::SIGTSTP => self.suspend(signal),
            // SIGSTOP came from somebody who will continue it as well, or has forgotten it.
            _ => {
                self.child_is_stopped = true;
                vec![Act::Arm(Timer::SayStopped)]
            }
        }
    }

    fn suspend(&mut self, signal: i32) -> Vec<Act> {
        // It goes on when the build does.
        self.child_is_stopped = false;
        self.stage = Stage::Suspending;
        vec![Act::SignalGroup(signal), Act::TakeTerminal, Act::Suspend, Act::Arm(Timer::StopAnyway)]
    }

    fn stop_self(&mut self) -> Vec<Act> {
        // A program that ignores SIGTSTP would go on beside targets that run.
        let group = self.started.then_some(Act::SignalGroup(libc::SIGSTOP));
        group.into_iter().chain([Act::StopSelf]).collect()
    }

    fn pass_limit(&mut self) -> Vec<Act> {
        match self.stage {
            Stage::Running | Stage::Suspending | Stage::Resuming if self.started => {
                self.end_child(libc::SIGTERM)
            }
            _ => vec![],
        }
    }

    fn due(&mut self, timer: Timer) -> Vec<Act> {
        match (timer, self.stage) {
            (Timer::Timeout, _) => self.pass_limit(),
            (Timer::ReleaseAnyway, Stage::Ending) => self.release().into_iter().collect(),
            (Timer::Grace, Stage::Ending) => kill(),
            (Timer::LeaveBehind, Stage::Ending) => match self.exit {
                Some(exit) => {
                    let mut acts = vec![Act::SayWhoRemains];
                    acts.extend(self.put_back(exit));
                    acts
                }
                None => vec![Act::Kill, Act::Arm(Timer::LeaveBehind)],
            },
            (Timer::SayStopped, Stage::Running) if self.child_is_stopped => vec![Act::SayStopped],
            (Timer::StopAnyway, Stage::Suspending) => self.stop_self(),
            (Timer::Restore | Timer::HastyRestore, Stage::Restoring) => self.finish(),
            _ => vec![],
        }
    }

    fn release(&mut self) -> Option<Act> {
        (!std::mem::replace(&mut self.released, true)).then_some(Act::Release)
    }

    fn linger(&mut self, exit: Exit) -> Vec<Act> {
        self.stage = Stage::Restoring;
        self.exit = Some(exit);
        self.lingering = true;
        let mut acts = vec![Act::TakeTerminal, Act::Linger, Act::Arm(Timer::Restore)];
        // A keeper that was told to end by somebody else is gone already.
        acts.extend(self.finish_if_ready());
        acts
    }

    fn put_back(&mut self, exit: Exit) -> Vec<Act> {
        self.stage = Stage::Restoring;
        self.exit = Some(exit);
        let mut acts = vec![Act::TakeTerminal];
        acts.extend(self.release());
        acts.push(Act::Arm(if self.hasty { Timer::HastyRestore } else { Timer::Restore }));
        acts.extend(self.finish_if_ready());
        acts
    }

    fn finish_if_ready(&mut self) -> Vec<Act> {
        // After a signal nobody waits for swapoff: the keeper goes on with it alone.
        let enough = if self.hasty { self.targets_back } else { self.all_back };
        if self.stage == Stage::Restoring && self.is_released() && enough {
            self.finish()
        } else {
            vec![]
        }
    }

    fn finish(&mut self) -> Vec<Act> {
        match self.exit {
            Some(exit) if self.stage != Stage::Done => {
                self.stage = Stage::Done;
                vec![Act::Finish(exit)]
            }
            _ => vec![],
        }
    }
}

/// Whether somebody ended the build who did not go through makeroom, as with Ctrl-C while it has
/// the terminal.
fn was_cancelled(exit: Exit) -> bool {
    TERMINATING.into_iter().any(|signal| exit.is_death_of(signal))
}

fn kill() -> Vec<Act> {
    vec![Act::Kill, Act::Arm(Timer::LeaveBehind)]
}

#[cfg(test)]
mod tests;
