//! Owns what happens in a round: every command and every fault at its time, or at its call to the
//! engine.

use std::{
    collections::BTreeSet,
    panic::resume_unwind,
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    clock::ClockTurn,
    faults,
    plan::{Fault, Round, Victim, When},
    rounds::{PATIENCE, spawn},
    schedule::{self, Event},
    support::{
        dockerd::engine,
        makeroom::Running,
        proxy::{Deed, Meeting, Moment},
    },
    world::World,
};

/// With so few none can be opened.
const NO_FILES: u64 = 3;
/// Between two looks for a keeper that is to come, and how many there are.
const LOOK_MS: u64 = 40;
const LOOKS: usize = 50;

/// A call at which a fault comes; it goes on when it is told for how long it is held still.
struct Met {
    fault: usize,
    go_on: mpsc::Sender<Duration>,
}

/// The commands of a round, which may still run.
pub struct Commands {
    pub running: Vec<Option<Running>>,
    pub stops: Vec<Running>,
    /// The engine is away, and stays so.
    pub is_engine_away: bool,
}

struct Stage<'a, 'scope> {
    round: &'a Round,
    world: &'a World,
    clock: Option<&'a mut ClockTurn>,
    played: &'a mut BTreeSet<String>,
    begun: Instant,
    /// What comes, and when, in milliseconds.
    events: Vec<(u64, Event)>,
    acts: Vec<(String, ScopedJoinHandle<'scope, bool>)>,
    commands: Commands,
}

/// Plays what happens in it; gives the commands, which may still run.
pub fn play(
    round: &Round,
    world: &World,
    clock: Option<&mut ClockTurn>,
    played: &mut BTreeSet<String>,
) -> Commands {
    let (meet, meetings) = mpsc::channel();
    for (fault, (when, _)) in round.faults.iter().enumerate() {
        if let (When::AtCall { call, nth, moment }, Some(proxy)) = (when, &world.proxy) {
            let meet = meet.clone();
            let act = move || {
                let (go_on, told) = mpsc::channel();
                // A round that is over has nothing to tell.
                if meet.send(Met { fault, go_on }).is_ok()
                    && let Ok(hold) = told.recv()
                {
                    thread::sleep(hold);
                }
            };
            proxy.on(call, Some(*nth), Deed::Meet(*moment, Meeting::new(act)));
        }
    }
    thread::scope(|scope| {
        let commands = Commands {
            running: round.commands.iter().map(|_| None).collect(),
            stops: Vec::new(),
            is_engine_away: false,
        };
        let (begun, events) = (Instant::now(), schedule::of(round));
        let mut stage =
            Stage { round, world, clock, played, begun, events, acts: Vec::new(), commands };
        loop {
            // The earliest comes next; a fault can add what undoes it.
            let next = (0..stage.events.len()).min_by_key(|&index| stage.events[index].0);
            if next.is_none() && (world.proxy.is_none() || stage.are_over()) {
                break;
            }
            let due = next.map_or(Instant::now() + Duration::from_millis(LOOK_MS), |next| {
                begun + Duration::from_millis(stage.events[next].0)
            });
            match meetings.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Met { fault, go_on }) => {
                    let hold =
                        stage.fault(&round.faults[fault].1, Some(round.faults[fault].0), scope);
                    // Whoever called may be gone.
                    let _ = go_on.send(hold);
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(next) = next {
                        let (_, event) = stage.events.swap_remove(next);
                        stage.play(event, scope);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => unreachable!("this thread can send as well"),
            }
        }
        drop(meet);
        for (words, act) in stage.acts {
            if act.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                stage.played.insert(words);
            }
        }
        stage.commands
    })
}

impl<'a, 'scope> Stage<'a, 'scope> {
    /// Whether all commands have ended, or one never will.
    fn are_over(&mut self) -> bool {
        let all = self.commands.running.iter_mut().flatten().chain(&mut self.commands.stops);
        self.begun.elapsed() > PATIENCE || all.into_iter().all(|run| !run.is_running())
    }

    fn later(&mut self, after_ms: u64, event: Event) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).expect("not so long");
        self.events.push((now + after_ms, event));
    }

    fn play<'env>(&mut self, event: Event, scope: &'scope thread::Scope<'scope, 'env>)
    where
        'a: 'scope,
    {
        match event {
            Event::Command(index) => self.begin(index),
            Event::Stop(index) => {
                if self.commands.running[index].as_mut().is_some_and(Running::is_running) {
                    self.played.insert("`stop` while its `start` makes room".to_owned());
                }
                let name = self.round.commands[index].1.lease_name().expect("a start");
                self.commands.stops.push(spawn(self.world, self.round, &["stop", name]));
            }
            Event::Thaw(pids) => faults::send(&pids, libc::SIGCONT),
            Event::DiskFreed => self.world.fill_disk(false),
            Event::FilesBack(limits) => {
                for (pid, before) in limits {
                    // It may be gone.
                    let _ = faults::limit_files(pid, before);
                }
            }
            Event::KillKeeper { command, done, left, gap_ms, looks } => {
                self.kill_keeper(command, (done, left), gap_ms, looks);
            }
            Event::Fault(fault) => {
                self.fault(&fault, None, scope);
            }
        }
    }

    fn begin(&mut self, index: usize) {
        let (round, command) = (self.round, &self.round.commands[index].1);
        let name = command.lease_name();
        let is_taken = |other: usize| {
            name.is_some()
                && self.commands.running[other].is_some()
                && round.commands[other].1.lease_name() == name
        };
        if (0..self.commands.running.len()).any(is_taken) {
            self.played.insert("two `start` with one name".to_owned());
        }
        self.played.extend(command.features());
        self.commands.running[index] = Some(schedule::start(self.world, round, index));
    }

    /// Whom this reaches of the command.
    fn hit(&mut self, command: usize, victim: Victim) -> Option<(Vec<i32>, &'static str)> {
        let run = self.commands.running[command].as_mut()?;
        let supervisor = run.is_running().then(|| run.pid());
        faults::hit(&self.world.site, supervisor, victim)
    }

    fn kill_keeper(
        &mut self,
        command: usize,
        (done, left): (usize, usize),
        gap_ms: u64,
        looks: usize,
    ) {
        let Some((pids, _)) = self.hit(command, Victim::Keeper) else {
            // The next one is being started, or there will be none.
            if looks > 0 {
                self.later(
                    LOOK_MS,
                    Event::KillKeeper { command, done, left, gap_ms, looks: looks - 1 },
                );
            }
            return;
        };
        faults::send(&pids, libc::SIGKILL);
        if done > 0 {
            self.played.insert("keepers killed in a row".to_owned());
        }
        if left > 1 {
            self.later(
                gap_ms,
                Event::KillKeeper { command, done: done + 1, left: left - 1, gap_ms, looks: LOOKS },
            );
        }
    }

    /// None of these can open a file for a while.
    fn take_files(&mut self, pids: &[i32], whom: &str, for_ms: u64) {
        let limited = |&pid: &i32| Some((pid, faults::limit_files(pid, NO_FILES)?));
        let limits: Vec<_> = pids.iter().filter_map(limited).collect();
        if !limits.is_empty() {
            self.played.insert(format!("no file can be opened by {whom}"));
            self.later(for_ms, Event::FilesBack(limits));
        }
    }

    /// Does it; gives for how long the call that it came at is held still.
    fn fault<'env>(
        &mut self,
        fault: &Fault,
        at: Option<When>,
        scope: &'scope thread::Scope<'scope, 'env>,
    ) -> Duration
    where
        'a: 'scope,
    {
        let world = self.world;
        let when = if at.is_some() { ", at a call" } else { "" };
        match *fault {
            Fault::Signal { command, victim, signal, frozen_ms } => {
                let has_supervisor =
                    self.commands.running[command].as_mut().is_some_and(Running::is_running);
                let Some((pids, whom)) = self.hit(command, victim) else { return Duration::ZERO };
                faults::send(&pids, signal);
                let makes_room = victim == Victim::Keeper
                    && has_supervisor
                    && !world.begun(command).exists()
                    && at.is_none();
                let when = if makes_room { " while it makes room" } else { when };
                self.played.insert(format!("{} to {whom}{when}", name_of(signal)));
                if signal == libc::SIGSTOP {
                    self.later(frozen_ms, Event::Thaw(pids));
                }
            }
            Fault::KeepersInARow { command, count, gap_ms } => {
                self.kill_keeper(command, (0, count), gap_ms, LOOKS);
            }
            Fault::NoFiles { command, victim, for_ms } => {
                let Some((pids, whom)) = self.hit(command, victim) else { return Duration::ZERO };
                self.take_files(&pids, &format!("{whom}{when}"), for_ms);
            }
            Fault::Late { held_ms } => {
                let Some(When::AtCall { call, moment, .. }) = at else { return Duration::ZERO };
                let what = if moment == Moment::Before {
                    format!("`{call}` held on its way")
                } else {
                    format!("answer of `{call}` held")
                };
                let long = if held_ms > 4000 { ", for long" } else { "" };
                self.played.insert(format!("{what}{long}"));
                return Duration::from_millis(held_ms);
            }
            Fault::Engine { signal, down_ms } => {
                let (how, live_restore) =
                    (if signal == "KILL" { "killed" } else { "ended" }, self.round.live_restore);
                let containers = if live_restore {
                    "its containers go on"
                } else {
                    "its containers end with it"
                };
                let restart = move || {
                    faults::restart_engine(signal, Duration::from_millis(down_ms), live_restore);
                    true
                };
                self.acts.push((format!("engine {how}, {containers}{when}"), scope.spawn(restart)));
            }
            Fault::EngineStaysAway => {
                engine().end("KILL");
                self.commands.is_engine_away = true;
                self.played.insert("engine away until `recover` has given up".to_owned());
            }
            Fault::Remove { service } => {
                let service = &world.services[service];
                self.acts.push((
                    format!("container removed{when}"),
                    scope.spawn(|| faults::remove(service)),
                ));
            }
            Fault::Recreate { service } => {
                let service = &world.services[service];
                self.acts.push((
                    format!("container replaced{when}"),
                    scope.spawn(|| faults::recreate(service)),
                ));
            }
            Fault::Hand { service, verb } => {
                let service = &world.services[service];
                self.acts.push((
                    format!("somebody else's {verb}{when}"),
                    scope.spawn(move || faults::hand(service, verb)),
                ));
            }
            Fault::FullDisk { full_ms } => {
                world.fill_disk(true);
                self.played.insert(format!("state disk full{when}"));
                self.later(full_ms, Event::DiskFreed);
            }
            Fault::Clock { seconds } => {
                let is_moved = self.clock.as_mut().is_some_and(|clock| clock.shift(seconds));
                self.played.insert(
                    if is_moved {
                        "clock moved"
                    } else {
                        "left out: clock moved (not allowed here)"
                    }
                    .to_owned(),
                );
            }
        }
        Duration::ZERO
    }
}

fn name_of(signal: i32) -> &'static str {
    Signal::try_from(signal).expect("a signal").as_str()
}
