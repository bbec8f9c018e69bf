//! Owns the supervisor's loop: it turns what happens into events for `core::run::session`, and
//! performs the acts that come back. It decides nothing about a run itself. Runs in the supervisor.

use std::{
    collections::VecDeque,
    env,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::wait::waitpid,
    unistd::Pid,
};

use crate::{
    core::{
        plan::estimate,
        run::{
            briefing::{BuildSoFar, adopts},
            exit::Exit,
            heard::{About, Heard},
            make_report::make_report,
            note::{Level, Note, Phase},
            session::{Act, Event, Session, Stage, TERMINATING, Timer},
            wire::{FromKeeper, ToKeeper},
        },
    },
    host::{
        kernel::{IS_SAMPLED, become_subreaper},
        program::Program,
    },
    report::console::Say,
    supervise::{
        announce::{announce, say_stopped},
        build::{Build, end_watch, reap, start_child},
        descendants::signal_group,
        finish::{is_all_back, say_all_back, say_what_is_left},
        inherited::Inherited,
        keep_report::{Places, keep_report},
        keepers::{Keepers, News},
        memory_watch::MemoryWatch,
        restore_alone::restore_alone,
        run::{Ended, Run},
        script_shell::ScriptShell,
        signals::Signals,
        state::RunState,
        terminal::{Terminal, stop_own_group},
        timers::Timers,
    },
};

/// How often the live line moves while nothing of the build runs.
const LIVE_TICK: Duration = Duration::from_millis(100);

/// Supervises a run, with the signals that are received already.
pub fn supervise(run: Run, inherited: Inherited, signals: Signals, say: &mut Say) -> Ended {
    become_subreaper(true);
    let request = run.lease.as_ref().map(|(request, _)| request);
    let lingers = request.is_some_and(|request| request.settings.linger.is_some());
    let options = env::var("NODE_OPTIONS").ok();
    let about = About {
        lease: request.map(|request| request.lease.clone()),
        command: run.command,
        command_shown: run.command_shown,
        site: run.site,
        is_strict: run.strict,
        heap_limit_bytes: options.and_then(|options| estimate::heap_limit_bytes(&options)),
        sees_all_processes: IS_SAMPLED,
    };
    let state = RunState {
        say,
        session: Session::new(lingers),
        queue: VecDeque::new(),
        heard: Heard::new(about),
        begun: Instant::now(),
    };
    let mut event_loop = EventLoop {
        state,
        build: Build::default(),
        keepers: Keepers::new(run.lease),
        timers: Timers::new(run.timeout, run.grace, run.restore_timeout),
        signals,
        terminal: Terminal::find(),
        program: run.program,
        inherited,
        shell: ScriptShell::of_this_process(),
        report_to: Places { file: run.report, history_key: run.history_key },
    };
    event_loop.state.say.fold();
    event_loop.start_keeper();
    event_loop.run()
}

struct EventLoop<'a> {
    state: RunState<'a>,
    build: Build,
    keepers: Keepers,
    timers: Timers,
    signals: Signals,
    terminal: Terminal,
    program: Program,
    inherited: Inherited,
    /// Until it died.
    shell: Option<ScriptShell>,
    report_to: Places,
}

impl EventLoop<'_> {
    fn run(mut self) -> Ended {
        loop {
            while let Some(event) = self.state.queue.pop_front() {
                for act in self.state.session.handle(event) {
                    if let Act::Finish(exit) = act {
                        return Ended::Exit(self.finish(exit));
                    }
                    self.perform(act);
                }
            }
            if self.state.heard.is_covered && !self.keepers.is_there() {
                become_subreaper(false);
                let handled = self.signals.handled().to_vec();
                return Ended::Become(self.program, handled);
            }
            self.wait();
            self.collect();
        }
    }

    /// Waits until something happens or is due.
    fn wait(&mut self) {
        let (stderr, say_again) = self.state.say.awaited();
        let is_live = !matches!(self.state.session.stage(), Stage::Running | Stage::Ending);
        let due = [
            self.timers.next(),
            self.keepers.due(),
            self.build.watch.as_ref().and_then(MemoryWatch::next),
            self.build.descendants.due(),
            self.build.reaping.due(),
            say_again,
            is_live.then(|| Instant::now() + LIVE_TICK),
        ];
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let shell = self.shell.as_ref().map(ScriptShell::as_fd);
        let readable = [self.keepers.readable(), self.build.reaping.child_end(), shell];
        fds.extend(readable.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        fds.extend(stderr.map(|stderr| PollFd::new(stderr, PollFlags::POLLOUT)));
        let is_awaited = stderr.is_some();
        // EINTR is a signal, which is what was waited for.
        let _ = poll(&mut fds, until(due.into_iter().flatten().min()));
        if is_awaited && fds.last().is_some_and(|stderr| stderr.any() == Some(true)) {
            self.state.say.go_on_when_ready();
        }
    }

    /// Gathers what happened, and what is due.
    fn collect(&mut self) {
        for signal in self.signals.take() {
            self.take_signal(signal);
        }
        if self.shell.take_if(|shell| shell.is_gone()).is_some() && !self.state.heard.is_cancelled {
            self.state.say.info("the shell of this script died, which ends the build");
            self.state.heard.cancelled();
            self.state.push(Event::ShellDied);
        }
        reap(&mut self.state, &mut self.build, &mut self.keepers, &self.signals, &self.terminal);
        let news = self.keepers.listen();
        self.take_news(news);
        if self.keepers.due().is_some_and(|due| due <= Instant::now()) {
            self.start_keeper();
        }
        for timer in self.timers.take_due() {
            if timer == Timer::Timeout {
                self.state.heard.timed_out();
            }
            self.state.push(Event::Due(timer));
        }
        if let Some(watch) = &mut self.build.watch {
            let is_news = watch.look_if_due(self.keepers.pid());
            self.keepers.tell_strays(is_news, || watch.strays());
        }
        if self.build.child.is_some_and(|child| self.build.descendants.are_gone(child)) {
            self.state.push(Event::NobodyLeft);
        }
        self.state.say.tick();
    }

    fn take_signal(&mut self, signal: i32) {
        if signal == libc::SIGCHLD {
            self.build.reaping.want();
            return;
        }
        if TERMINATING.contains(&signal) {
            self.state.heard.cancelled();
        }
        self.state.push(Event::Signal(signal));
    }

    fn start_keeper(&mut self) {
        let build = BuildSoFar {
            child: self.build.child,
            is_ending: self.build.descendants.is_ending(),
            ended_by: self.state.heard.ended_by(),
            ending: self.state.heard.child_end.map(|end| end.ending),
        };
        let news = self.keepers.start(&self.state.session, build);
        self.take_news(news);
    }

    fn take_news(&mut self, news: Vec<News>) {
        for news in news {
            match news {
                News::Started { pid, was_missed } => {
                    self.build.descendants.leave_out(pid);
                    self.state.heard.keeper_started(adopts(self.state.session.stage()));
                    if was_missed {
                        self.state.say.info("there is a keeper again");
                    }
                }
                News::Said(message) => self.hear(*message),
                News::Gone(pid) if self.state.heard.is_covered => {
                    // It has nothing left to do but exit; the command that we become must not find
                    // it as its zombie.
                    let _ = waitpid(Pid::from_raw(pid), None);
                }
                News::Gone(_) if self.state.heard.is_all_back => {}
                News::Gone(_) => {
                    let news = self.keepers.died(&self.state.session);
                    self.take_news(news);
                }
                News::NoRoom(why) => {
                    self.hear(FromKeeper::Note(Note::new(Level::Shortfall, why)));
                    let is_refused = self.state.heard.is_refused();
                    self.state.push(if is_refused { Event::Refused } else { Event::NoRoom });
                }
                News::Missed(line) => self.state.say.warning(line, None),
                News::Unobtainable => self.restore_alone(),
                News::GivenUp => self.state.push(Event::KeeperLost),
            }
        }
    }

    fn hear(&mut self, message: FromKeeper) {
        let state = &mut self.state;
        announce(state.say, &message, &state.heard, state.session.is_released());
        if let (FromKeeper::Sample(sample), Some(watch)) = (&message, &mut self.build.watch) {
            watch.hear(sample);
        }
        let is_last = matches!(message, FromKeeper::Lingering(_) | FromKeeper::Released(_));
        let events = state.heard.take_in(message, state.begun.elapsed());
        if is_last {
            end_watch(state, &mut self.build);
        }
        state.queue.extend(events);
    }

    /// Tells the keeper. Where there is none, this is a moment to try again: a new one is told
    /// where the run is. `without`: what follows where there will be none.
    fn tell_keeper(&mut self, message: &ToKeeper, without: Event) {
        if self.keepers.is_there() {
            self.keepers.tell(message);
        } else if self.keepers.may_follow() && !self.state.heard.is_all_back {
            self.start_keeper();
        } else {
            self.state.push(without);
        }
    }

    /// Puts everything back in this process, once: what a keeper would have said is heard in its
    /// place.
    fn restore_alone(&mut self) {
        let stage = self.state.session.stage();
        // The child of a build that is being ended has timers that run.
        let is_hasty = self.state.heard.is_cancelled || stage == Stage::Ending;
        let restored = self.keepers.begin_restore_alone().map(|(request, journal)| {
            let line = "there is no keeper: makeroom puts everything back by itself";
            self.state.say.warning(line, None);
            restore_alone(journal, request, &mut self.signals, is_hasty)
        });
        if let Some(restored) = restored {
            restored.signals.into_iter().for_each(|signal| self.take_signal(signal));
            restored.messages.into_iter().for_each(|message| self.hear(message));
            if let Some(error) = restored.error {
                self.state.say.warning(format!("nothing was put back: {error}"), None);
            }
        }
        if self.state.heard.is_all_back {
            self.keepers.start_no_more();
        } else if stage == Stage::Restoring {
            self.state.push(Event::KeeperLost);
        }
    }

    fn perform(&mut self, act: Act) {
        let (state, build) = (&mut self.state, &mut self.build);
        match (act, build.child) {
            (Act::StartChild, _) => {
                let (keepers, signals) = (&mut self.keepers, &self.signals);
                start_child(state, build, keepers, &self.program, self.inherited, signals);
            }
            (Act::SignalGroup(signal), Some(child)) => signal_group(child, signal),
            (Act::EndDescendants, Some(child)) => {
                self.keepers.tell(&ToKeeper::Ending { by: state.heard.ended_by() });
                build.descendants.end(child);
            }
            (Act::Kill, Some(child)) => build.descendants.kill(child),
            (Act::WatchDescendants, _) => build.descendants.watch(),
            (Act::SayStopped, Some(child)) => {
                say_stopped(state.say, &self.keepers.held(), child.pid);
            }
            (Act::SayWhoRemains, _) => {
                if let Some((line, hint)) = build.descendants.survivors() {
                    state.say.warning(line, Some(&hint));
                }
            }
            (Act::GiveTerminal, Some(child)) => self.terminal.give_to(child.pid),
            (Act::TakeTerminal, _) => self.terminal.take_back(),
            (Act::StopSelf, _) => {
                state.say.settle();
                stop_own_group();
                state.push(Event::Continued);
            }
            (Act::Arm(timer), _) => self.timers.arm(timer),
            (Act::Suspend, _) => self.tell_keeper(&ToKeeper::Suspend, Event::Suspended),
            (Act::Resume, _) => self.tell_keeper(&ToKeeper::Resume, Event::RoomMade),
            (Act::Linger, _) => self.tell_keeper(&ToKeeper::Linger, Event::Released),
            (Act::Release, _) => {
                // A keeper that says nothing is waited for all the same, and that is shown.
                let held = self.keepers.held().len();
                if held > 0 {
                    state.say.progress(Phase::Restoring, 0, held);
                }
                self.tell_keeper(&ToKeeper::Release, Event::Released);
            }
            // Where no process could be started for the child, there is nobody to act on.
            (
                Act::SignalGroup(_)
                | Act::EndDescendants
                | Act::Kill
                | Act::SayStopped
                | Act::GiveTerminal
                | Act::Finish(_),
                _,
            ) => {}
        }
    }

    /// Says how it all ended, and keeps the report; gives how makeroom is to end.
    fn finish(mut self, exit: Exit) -> Exit {
        let is_open = !self.state.heard.is_all_back && self.state.heard.lingering.is_none();
        // Nothing is left as it is for want of a keeper.
        if is_open && self.keepers.needs_restore_alone() {
            self.restore_alone();
        }
        self.state.say.settle();
        let is_hasty = self.state.heard.is_cancelled;
        if is_hasty {
            self.state.say.hurry();
        }
        end_watch(&mut self.state, &mut self.build);
        let RunState { say, mut heard, .. } = self.state;
        let is_whole = is_all_back(&heard, &self.keepers);
        let exit = heard.all_is_back(is_whole).unwrap_or(exit);
        let report = make_report(&heard);
        say_all_back(say, &heard, report.as_ref());
        say.unfold();
        if let Some(report) = report {
            keep_report(say, &report, self.report_to, self.keepers.lease(), is_hasty);
        }
        say_what_is_left(say, &heard, &self.keepers);
        exit
    }
}

/// The time until then, for `poll`. Rounded up, so that nothing wakes before it is due and then
/// does nothing.
fn until(due: Option<Instant>) -> PollTimeout {
    due.map_or(PollTimeout::NONE, |due| {
        let millis = due.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    })
}
