//! Owns the supervisor's loop: it turns what happens into events for `core::session`, and performs
//! the acts that come back. It decides nothing about a run itself.

use std::{
    collections::VecDeque,
    env,
    ffi::OsString,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        resource::{UsageWho, getrusage},
        wait::waitpid,
    },
    unistd::Pid,
};

use super::{
    child::{self, ChildError},
    clocks::Clocks,
    inherited::Inherited,
    keeper_link::KeeperLink,
    signals::Signals,
    terminal::{Terminal, stop_own_group},
    watch::Watch,
};
use crate::{
    core::{
        build_site::{self, BuildSite},
        exit::{self, Exit},
        record::ProcessId,
        session::{Act, Event, Session, Stage, Timer},
        text,
        wire::{Back, FromKeeper, Level, Note, Request, ToKeeper},
    },
    host::{
        kernel::{GROUP_POLL, become_subreaper},
        process::group_is_alive,
    },
    lease::journal::Journal,
    report::{
        say::Say,
        summary::{self, BuildFigures},
    },
};

/// The promise to whoever sends a signal: within this the targets run again in any case.
const PATIENCE: Duration = Duration::from_secs(4);
const REMAINS: Duration = Duration::from_secs(2);
const SUSPEND: Duration = Duration::from_secs(2);
const HASTY_RETURN: Duration = Duration::from_secs(5);
/// Beyond `--restore-timeout`: reading swapped pages back.
const SWAP_RETURN: Duration = Duration::from_mins(5);
/// A keeper that dies again and again dies of something that the next one meets as well.
const MOST_KEEPERS: u32 = 5;
const LIVE_TICK: Duration = Duration::from_millis(100);

/// The variable in which the child finds its lease.
pub const LEASE: &str = "MAKEROOM_LEASE";

/// What a run is made of.
#[derive(Debug)]
pub struct Plan {
    /// The command, program first.
    pub command: Vec<OsString>,
    /// What the keeper is to do; the journal's lease. `None`: nothing may be changed.
    pub lease: Option<(Request, Journal)>,
    /// `--strict`.
    pub strict: bool,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--grace`.
    pub grace: Duration,
    /// `--restore-timeout`.
    pub restore_timeout: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// makeroom is to end like this.
    Exit(Exit),
    /// The lease around this run covers it: makeroom is to become the command.
    Become(Vec<OsString>, Vec<i32>),
}

/// Runs it.
///
/// # Errors
/// Where signals cannot be received.
pub fn drive(plan: Plan, inherited: Inherited, say: &mut Say) -> std::io::Result<Ended> {
    let signals = Signals::receive()?;
    become_subreaper(true);
    let mut drive = Drive {
        plan,
        inherited,
        say,
        signals,
        session: Session::default(),
        queue: VecDeque::new(),
        clocks: Clocks::default(),
        terminal: Terminal::find(),
        keeper: None,
        keepers: 0,
        child: None,
        watch: None,
        group_look: None,
        shortfall: false,
        covered: false,
        back: None,
        timed_out: false,
        cancelled: false,
        host: None,
        ended: None,
        begun: Instant::now(),
    };
    drive.start_keeper();
    Ok(drive.run())
}

#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
struct Drive<'a> {
    plan: Plan,
    inherited: Inherited,
    say: &'a mut Say,
    signals: Signals,
    session: Session,
    queue: VecDeque<Event>,
    clocks: Clocks,
    terminal: Terminal,
    keeper: Option<KeeperLink>,
    keepers: u32,
    child: Option<ProcessId>,
    watch: Option<Watch>,
    /// When to look next whether the group is empty, where that is waited for.
    group_look: Option<Instant>,
    shortfall: bool,
    covered: bool,
    back: Option<Back>,
    timed_out: bool,
    /// A signal or a time limit ended the build, not the build itself.
    cancelled: bool,
    /// What a person calls the host, where it is another machine.
    host: Option<String>,
    /// A build that has ended and is not reported yet.
    ended: Option<EndedBuild>,
    begun: Instant,
}

struct EndedBuild {
    exit: Exit,
    took: Duration,
    /// The largest RSS of any one process that was waited for, in bytes.
    largest_bytes: u64,
}

impl Drive<'_> {
    fn run(mut self) -> Ended {
        loop {
            while let Some(event) = self.queue.pop_front() {
                for act in self.session.handle(event) {
                    if let Act::Finish(exit) = act {
                        return Ended::Exit(self.finish(exit));
                    }
                    self.perform(act);
                }
            }
            if self.covered && self.keeper.is_none() {
                become_subreaper(false);
                return Ended::Become(self.plan.command, self.signals.handled().to_vec());
            }
            self.wait();
            self.collect();
        }
    }

    /// Waits until something happens or is due.
    fn wait(&self) {
        let now = Instant::now();
        let watch = self.watch.as_ref().and_then(Watch::next);
        let mut due: Vec<Instant> = self.clocks.next().into_iter().chain(watch).chain(self.group_look).collect();
        if !matches!(self.session.stage(), Stage::Running | Stage::Ending) {
            due.push(now + LIVE_TICK);
        }
        // Rounded up, so that nothing wakes before it is due and then does nothing.
        let millis = due.into_iter().min().map(|at| at.saturating_duration_since(now).as_micros().div_ceil(1000));
        let timeout = millis.map_or(PollTimeout::NONE, |millis| PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX));
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.keeper.as_ref().map(|keeper| PollFd::new(keeper.as_fd(), PollFlags::POLLIN)));
        // EINTR is a signal, which is what was waited for.
        let _ = poll(&mut fds, timeout);
    }

    fn collect(&mut self) {
        for signal in self.signals.take() {
            if signal != libc::SIGCHLD {
                self.cancelled |= matches!(signal, libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT);
                self.queue.push_back(Event::Signal(signal));
            }
        }
        self.reap();
        self.listen();
        for timer in self.clocks.take_due() {
            self.timed_out |= timer == Timer::Timeout;
            self.cancelled |= timer == Timer::Timeout;
            self.queue.push_back(Event::Due(timer));
        }
        let keeper = self.keeper.as_ref().map(KeeperLink::pid);
        if let Some(watch) = &mut self.watch {
            watch.look_if_due(keeper);
        }
        self.look_at_group();
        self.say.tick();
    }

    /// Not at every wake-up: a look can have a process of its own, whose end is a wake-up.
    fn look_at_group(&mut self) {
        if self.group_look.is_none_or(|due| Instant::now() < due) {
            return;
        }
        self.group_look = if self.child.is_some_and(group_is_alive) {
            Some(Instant::now() + GROUP_POLL)
        } else {
            self.queue.push_back(Event::GroupEmpty);
            None
        };
    }

    /// Takes note of every child that ended or stopped: the build's own, and, as the subreaper,
    /// whatever its processes left behind.
    fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: waitpid writes to `status`, which is ours; real-time signals have no name in nix.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED) };
            match pid {
                0 => return,
                -1 if Errno::last() == Errno::EINTR => {}
                -1 => return,
                // One less in the group, perhaps.
                pid if self.child.is_none_or(|child| child.pid != pid) => self.group_look = self.group_look.map(|_| Instant::now()),
                _ if libc::WIFSTOPPED(status) => {
                    let signal = libc::WSTOPSIG(status);
                    self.queue.push_back(Event::ChildStopped { signal, foreground: self.terminal.is_foreground() });
                }
                _ if libc::WIFSIGNALED(status) => self.child_ended(Exit::Signal(libc::WTERMSIG(status))),
                _ => self.child_ended(Exit::Code(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))),
            }
        }
    }

    fn child_ended(&mut self, exit: Exit) {
        // In KiB on Linux, in bytes on macOS (getrusage(2) of each).
        let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
        let largest_bytes = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| usage.max_rss().cast_unsigned() * unit);
        self.ended = Some(EndedBuild { exit, took: self.begun.elapsed(), largest_bytes });
        // The last figures of what only the keeper sees come with its last word.
        if self.host.is_none() && !build_site::of_command(&self.plan.command).is_in_engine() {
            self.report_build();
        }
        self.queue.push_back(Event::ChildEnded(exit));
    }

    fn report_build(&mut self) {
        let (Some(ended), Some(watch)) = (self.ended.take(), self.watch.take()) else { return };
        let site = build_site::of_command(&self.plan.command);
        let seen = watch.end(ended.largest_bytes, site, self.host.is_some());
        self.say.info(summary::build_ended(&BuildFigures {
            exit: ended.exit,
            timed_out: self.timed_out,
            took: ended.took,
            host: self.host.as_deref(),
            peak_bytes: (seen.peak_bytes > 0).then_some(seen.peak_bytes),
            available_min_bytes: seen.available_min_bytes,
            full_stall: seen.full_stall,
            oom_kills: seen.oom_kills,
        }));
        if self.cancelled && site == BuildSite::Container {
            self.say.warning("only the client was ended: what it started in the engine may go on", Some("`docker ps` shows it"));
        }
    }

    fn listen(&mut self) {
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
            if self.back.is_none() && !self.covered {
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
                    self.say.info(summary::room_made(&room, super::watch::now()));
                    if let Some(line) = summary::room_elsewhere(&room, &self.plan.command) {
                        self.say.info(line);
                    }
                }
                self.queue.push_back(if is_refused { Event::Refused } else { Event::RoomMade });
            }
            FromKeeper::Covered => self.covered = true,
            FromKeeper::Suspended => self.queue.push_back(Event::Suspended),
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
                self.back = Some(back);
                self.report_build();
                self.queue.push_back(Event::Released);
            }
            // Only a started lease's keeper says these.
            FromKeeper::HeldAlready { .. } | FromKeeper::Holding => {}
        }
    }

    /// Starts the keeper, or another one for one that died, and brings it to where the run is.
    fn start_keeper(&mut self) {
        let Some((request, journal)) = &self.plan.lease else {
            self.queue.push_back(Event::KeeperLost);
            return;
        };
        self.keepers += 1;
        let started =
            if self.keepers > MOST_KEEPERS { Err(std::io::Error::other("it died too often")) } else { KeeperLink::start(journal.as_fd()) };
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
        keeper.say(&ToKeeper::MakeRoom(Box::new(Request { adopt, ..request.clone() })));
        if let Some(process) = self.child {
            keeper.say(&ToKeeper::Child { process });
        }
        if self.session.is_released() {
            keeper.say(&ToKeeper::Release);
        } else if stage == Stage::Suspending {
            keeper.say(&ToKeeper::Suspend);
        }
        self.keeper = Some(keeper);
    }

    fn tell_keeper(&mut self, message: &ToKeeper, without: Event) {
        match &mut self.keeper {
            Some(keeper) => keeper.say(message),
            None => self.queue.push_back(without),
        }
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::StartChild => self.start_child(),
            Act::SignalGroup(signal) => {
                if let Some(child) = self.child {
                    // SAFETY: only sends a signal; ESRCH means that the group is empty already.
                    unsafe { libc::killpg(child.pid, signal) };
                }
            }
            Act::Arm(timer) => {
                let after = match timer {
                    Timer::Timeout => self.plan.timeout,
                    Timer::Grace => Some(self.plan.grace),
                    Timer::Patience => Some(PATIENCE),
                    Timer::Remains => Some(REMAINS),
                    Timer::Suspend => Some(SUSPEND),
                    Timer::Return => Some(self.plan.restore_timeout + SWAP_RETURN),
                    Timer::HastyReturn => Some(HASTY_RETURN),
                };
                if let Some(after) = after {
                    self.clocks.arm(timer, after);
                }
            }
            Act::WatchGroup => self.group_look = Some(Instant::now()),
            Act::HandTerminal => self.terminal.hand_to(self.child.map_or(0, |child| child.pid)),
            Act::TakeTerminal => self.terminal.take_back(),
            Act::Suspend => self.tell_keeper(&ToKeeper::Suspend, Event::Suspended),
            Act::StopSelf => {
                self.say.settle();
                stop_own_group();
                self.queue.push_back(Event::Continued);
            }
            Act::Resume => self.tell_keeper(&ToKeeper::Resume, Event::RoomMade),
            Act::Release => self.tell_keeper(&ToKeeper::Release, Event::Released),
            Act::Finish(_) => {}
        }
    }

    fn start_child(&mut self) {
        self.begun = Instant::now();
        if let Some((request, _)) = &self.plan.lease {
            // SAFETY: this process has one thread.
            unsafe {
                env::set_var(LEASE, &request.lease);
                // A makeroom inside the build finds the same leases, whatever named them.
                env::set_var("MAKEROOM_STATE_DIR", &request.state_dir);
            }
        }
        let started = child::fork_gated(&self.plan.command, &self.inherited, self.signals.handled()).and_then(|gated| {
            self.child = Some(gated.process);
            if let Some(keeper) = &mut self.keeper {
                keeper.say(&ToKeeper::Child { process: gated.process });
            }
            gated.open()
        });
        match started {
            Ok(_) => self.watch = Some(Watch::begin()),
            Err(error) => {
                let code = if let ChildError::Exec { errno } = &error { exit::of_failed_exec(*errno) } else { exit::FAILED };
                let program = self.plan.command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
                self.say.error(format!("cannot run `{}`: {error}", text::printable(&program)), None, None);
                self.queue.push_back(Event::CannotStart(code));
            }
        }
    }

    fn finish(&mut self, exit: Exit) -> Exit {
        self.say.settle();
        self.report_build();
        let mut is_whole = true;
        match &self.back {
            Some(back) => {
                if let Some(line) = summary::all_back(back) {
                    self.say.info(line);
                }
                if let Some(line) = summary::not_back(back) {
                    is_whole = false;
                    self.say.error(line, None, Some("makeroom recover"));
                }
            }
            None if self.plan.lease.is_some() => {
                is_whole = false;
                let line = "the services are not known to run again yet; the keeper is still at it";
                self.say.error(line, None, Some("`makeroom status` shows what is left, `makeroom recover` brings it back"));
            }
            None => {}
        }
        if self.plan.strict && exit.is_success() && !is_whole { Exit::Code(exit::FAILED) } else { exit }
    }
}
