//! Owns the supervisor's loop: it turns what happens into events for `core::run::session`, and
//! performs the acts that come back. It decides nothing about a run itself.

use std::{
    collections::{BTreeMap, VecDeque},
    env,
    ffi::OsString,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    core::{
        lease::foreign_change::ForeignChange,
        machine::process::ProcessId,
        run::{
            build_site::BuildSite,
            exit::{self, Exit},
            keeper_restarts::Attempts,
            report::Steps,
            session::{Act, Event, Session, Stage, TERMINATING, Timer},
            verdict::Thrash,
            wire::{Back, Lingering, Phase, Request, Room, ToKeeper},
        },
        text,
        variables::LEASE,
    },
    host::kernel::become_subreaper,
    lease::journal::Journal,
    report::{console::Say, report_file::ReportFile},
    supervise::{
        child::{self, ChildError},
        finish::Outcome,
        inherited::Inherited,
        keeper_link::KeeperLink,
        outside_group::Rest,
        reap::Reaping,
        signals::Signals,
        terminal::{Terminal, stop_own_group},
        timers::Clocks,
        watch::{self, Watch},
    },
};

/// The promise to whoever sends a signal: within this the targets run again in any case.
const PATIENCE: Duration = Duration::from_secs(4);
pub(super) const REMAINS: Duration = Duration::from_secs(2);
const SUSPEND: Duration = Duration::from_secs(2);
pub(super) const HASTY_RETURN: Duration = Duration::from_secs(5);
/// Beyond `--restore-timeout`: reading swapped pages back.
const SWAP_RETURN: Duration = Duration::from_mins(5);
/// Whoever stopped the build on purpose continues it before.
pub(super) const STOPPED: Duration = Duration::from_secs(30);
const LIVE_TICK: Duration = Duration::from_millis(100);

/// What a run is made of.
#[derive(Debug)]
pub struct Plan {
    /// The command, program first.
    pub command: Vec<OsString>,
    /// Where it builds.
    pub site: BuildSite,
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
    /// The command as the report has it: the program, with its arguments only where that was asked
    /// for.
    pub command_shown: String,
    /// The history's key of it.
    pub history_key: String,
    /// `--report`.
    pub report: Option<ReportFile>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// makeroom is to end like this.
    Exit(Exit),
    /// The lease around this run covers it: makeroom is to become the command.
    Become(Vec<OsString>, Vec<i32>),
}

/// Runs it, with the signals that are received already.
pub fn drive(plan: Plan, inherited: Inherited, signals: Signals, say: &mut Say) -> Ended {
    become_subreaper(true);
    let linger = plan.lease.as_ref().is_some_and(|(request, _)| request.settings.linger.is_some());
    let mut drive = EventLoop {
        plan,
        inherited,
        say,
        signals,
        session: Session::new(linger),
        queue: VecDeque::new(),
        clocks: Clocks::default(),
        terminal: Terminal::find(),
        keeper: None,
        attempts: Attempts::default(),
        keeper_due: None,
        is_keeper_missed: false,
        has_given_up: false,
        has_tried_alone: false,
        child: None,
        reaping: Reaping::default(),
        watch: None,
        rest: Rest::default(),
        shortfall: false,
        covered: false,
        back: None,
        is_all_back: false,
        lingering: None,
        timed_out: false,
        thrash: None,
        cancelled: false,
        steps: Steps::default(),
        theirs: BTreeMap::new(),
        host: None,
        room: None,
        started_at: None,
        available_at_start_bytes: None,
        exit: None,
        ended: None,
        outcome: None,
        begun: Instant::now(),
    };
    drive.say.fold();
    drive.start_keeper();
    drive.run()
}

#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(super) struct EventLoop<'a> {
    pub(super) plan: Plan,
    pub(super) inherited: Inherited,
    pub(super) say: &'a mut Say,
    pub(super) signals: Signals,
    pub(super) session: Session,
    pub(super) queue: VecDeque<Event>,
    pub(super) clocks: Clocks,
    pub(super) terminal: Terminal,
    pub(super) keeper: Option<KeeperLink>,
    pub(super) attempts: Attempts,
    /// When to start another keeper.
    pub(super) keeper_due: Option<Instant>,
    /// It was said that there is none.
    pub(super) is_keeper_missed: bool,
    /// There will be none, because nothing is held.
    pub(super) has_given_up: bool,
    /// Everything was put back without one, or what could be.
    pub(super) has_tried_alone: bool,
    pub(super) child: Option<ProcessId>,
    pub(super) reaping: Reaping,
    pub(super) watch: Option<Watch>,
    /// What is left of a build that makeroom ends.
    pub(super) rest: Rest,
    pub(super) shortfall: bool,
    pub(super) covered: bool,
    pub(super) back: Option<Back>,
    /// A keeper has said that it is done: there is no need for another one.
    pub(super) is_all_back: bool,
    /// The room that the keeper keeps without us.
    pub(super) lingering: Option<Lingering>,
    pub(super) timed_out: bool,
    /// Memory was thrashing for too long.
    pub(super) thrash: Option<Thrash>,
    /// A signal to makeroom ended the build.
    pub(super) cancelled: bool,
    /// What was taken under pressure.
    pub(super) steps: Steps,
    /// What somebody else did to targets that are theirs now, by id.
    pub(super) theirs: BTreeMap<String, ForeignChange>,
    /// What a person calls the host, where it is another machine.
    pub(super) host: Option<String>,
    /// The room that was made for it.
    pub(super) room: Option<Room>,
    pub(super) started_at: Option<Timestamp>,
    /// This machine's MemAvailable then.
    pub(super) available_at_start_bytes: Option<u64>,
    /// How the build ended.
    pub(super) exit: Option<Exit>,
    /// A build that has ended and is not reported yet.
    pub(super) ended: Option<EndedBuild>,
    /// One whose end was said, and whose report is not written yet.
    pub(super) outcome: Option<Outcome>,
    pub(super) begun: Instant,
}

pub(super) struct EndedBuild {
    pub(super) exit: Exit,
    pub(super) took: Duration,
    /// The largest RSS of any one process that was waited for, in bytes.
    pub(super) largest_bytes: u64,
}

impl EventLoop<'_> {
    fn run(mut self) -> Ended {
        loop {
            while let Some(event) = self.queue.pop_front() {
                for act in self.session.handle(event) {
                    if let Act::Finish(exit) = act {
                        self.restore_alone_if_need_be();
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
    fn wait(&mut self) {
        let now = Instant::now();
        let watch = self.watch.as_ref().and_then(Watch::next);
        let (stderr, say_again) = self.say.awaited();
        let own = [self.rest.due, self.keeper_due, say_again].into_iter().flatten();
        let mut due: Vec<Instant> =
            self.clocks.next().into_iter().chain(watch).chain(own).collect();
        due.extend(self.reaping.due());
        if !matches!(self.session.stage(), Stage::Running | Stage::Ending) {
            due.push(now + LIVE_TICK);
        }
        // Rounded up, so that nothing wakes before it is due and then does nothing.
        let millis = due
            .into_iter()
            .min()
            .map(|at| at.saturating_duration_since(now).as_micros().div_ceil(1000));
        let timeout = millis.map_or(PollTimeout::NONE, |millis| {
            PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            self.keeper.as_ref().map(|keeper| PollFd::new(keeper.as_fd(), PollFlags::POLLIN)),
        );
        fds.extend(self.reaping.child_end().map(|end| PollFd::new(end, PollFlags::POLLIN)));
        fds.extend(stderr.map(|stderr| PollFd::new(stderr, PollFlags::POLLOUT)));
        let is_awaited = stderr.is_some();
        // EINTR is a signal, which is what was waited for.
        let _ = poll(&mut fds, timeout);
        if is_awaited && fds.last().is_some_and(|stderr| stderr.any() == Some(true)) {
            self.say.go_on_when_ready();
        }
    }

    fn collect(&mut self) {
        for signal in self.signals.take() {
            if signal == libc::SIGCHLD {
                self.reaping.is_wanted = true;
            } else {
                self.cancelled |= TERMINATING.contains(&signal);
                self.queue.push_back(Event::Signal(signal));
            }
        }
        self.reap();
        self.listen();
        if self.keeper_due.is_some_and(|due| due <= Instant::now()) {
            self.start_keeper();
        }
        for timer in self.clocks.take_due() {
            // What ended it first is why it ended.
            self.timed_out |= timer == Timer::Timeout && self.thrash.is_none();
            self.queue.push_back(Event::Due(timer));
        }
        let keeper = self.keeper.as_ref().map(KeeperLink::pid);
        if let Some(watch) = &mut self.watch {
            self.rest.are_strays_news |= watch.look_if_due(keeper);
            if self.rest.are_strays_news
                && let Some(keeper) = &mut self.keeper
            {
                self.rest.are_strays_news =
                    !keeper.mention(&ToKeeper::Strays { processes: watch.strays() });
            }
        }
        self.look_at_rest();
        self.say.tick();
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
                    Timer::Stopped => Some(STOPPED),
                    Timer::Suspend => Some(SUSPEND),
                    Timer::Return => Some(self.plan.restore_timeout.saturating_add(SWAP_RETURN)),
                    Timer::HastyReturn => Some(HASTY_RETURN),
                };
                if let Some(after) = after {
                    self.clocks.arm(timer, after);
                }
            }
            Act::EndRest => self.end_rest(),
            Act::Kill => self.kill_build(),
            Act::WatchRest => self.rest.due = Some(Instant::now()),
            Act::SayStopped => self.say_stopped(),
            Act::SayWhoRemains => self.say_who_remains(),
            Act::HandTerminal => self.terminal.hand_to(self.child.map_or(0, |child| child.pid)),
            Act::TakeTerminal => self.terminal.take_back(),
            Act::Suspend => self.tell_keeper(&ToKeeper::Suspend, Event::Suspended),
            Act::StopSelf => {
                self.say.settle();
                stop_own_group();
                self.queue.push_back(Event::Continued);
            }
            Act::Resume => self.tell_keeper(&ToKeeper::Resume, Event::RoomMade),
            Act::Linger => self.tell_keeper(&ToKeeper::Linger, Event::Released),
            Act::Release => {
                // A keeper that says nothing is waited for all the same, and that is shown.
                let held = self.held();
                if held > 0 {
                    self.say.progress(Phase::Restoring, 0, held);
                }
                self.tell_keeper(&ToKeeper::Release, Event::Released);
            }
            Act::Finish(_) => {}
        }
    }

    fn start_child(&mut self) {
        self.say.unfold();
        self.begun = Instant::now();
        self.started_at = Some(Timestamp::now());
        self.available_at_start_bytes =
            watch::now().filter(|_| self.host.is_none()).map(|memory| memory.available_bytes);
        if let Some((request, _)) = &self.plan.lease {
            // SAFETY: this process has one thread.
            unsafe {
                env::set_var(LEASE, &request.lease);
                // A makeroom inside the build finds the same leases, whatever named them.
                env::set_var("MAKEROOM_STATE_DIR", &request.state_dir);
            }
        }
        let started =
            child::fork_gated(&self.plan.command, &self.inherited, self.signals.handled())
                .and_then(|gated| {
                    self.child = Some(gated.process);
                    self.reaping.begin(gated.process.pid);
                    if let Some(keeper) = &mut self.keeper {
                        keeper.say(&ToKeeper::Child { process: gated.process });
                    }
                    gated.open()
                });
        match started {
            Ok(child) => {
                self.watch = Some(Watch::begin(self.plan.site, child.pid, self.host.is_some()))
            }
            Err(error) => {
                let code = if let ChildError::Exec { errno } = &error {
                    exit::of_failed_exec(*errno)
                } else {
                    exit::FAILED
                };
                let program = self
                    .plan
                    .command
                    .first()
                    .map(|program| program.to_string_lossy().into_owned())
                    .unwrap_or_default();
                self.say.error(
                    format!("cannot run `{}`: {error}", text::printable(&program)),
                    None,
                    None,
                );
                self.queue.push_back(Event::CannotStart(code));
            }
        }
    }
}
