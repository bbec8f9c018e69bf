//! Owns playing a round: every command and every fault at its time, one `recover` at the end, and then
//! the invariants. Pure playing; which rounds, and what is told of them, is `sitting`'s.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    panic::resume_unwind,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    clock::ClockTurn,
    faults, invariants,
    plan::{Command, Fault, Round, Victim},
    support::{dockerd::engine, makeroom::Running, process},
    world::World,
};

/// After this no command of a round goes on, and no process of one is there, for a reason.
const PATIENCE: Duration = Duration::from_mins(2);

/// What comes at a time in a round.
enum Event {
    Command(usize),
    /// `stop` for a started lease.
    Stop(usize),
    Fault(Fault),
    Thaw(Vec<i32>),
    DiskFreed,
}

/// How a round went.
pub struct Played {
    /// What does not hold, a line each.
    pub violations: Vec<String>,
    /// All that there is to know, where something does not hold.
    pub report: String,
}

/// Plays it. `faults` gets what went wrong in it, in words that are the same in each round.
pub fn play(round: &Round, faults: &mut BTreeSet<String>) -> Played {
    let world = World::new(round);
    let mut violations = Vec::new();
    let mut turn = round.moves_the_clock().then(ClockTurn::wait);
    let Commands { running, stops } = play_events(round, &world, turn.as_mut(), faults);
    engine().wait_until_it_answers();
    for (index, run) in running.into_iter().enumerate() {
        let Some(run) = run else { continue };
        let done = run.wait();
        if let Some(expected) = round.expected_code(index)
            && done.code() != Some(expected)
        {
            violations.push(format!("command {index} ended with {}, not with {expected}", done.status));
        }
    }
    for stop in stops {
        let done = stop.wait();
        if round.faults.is_empty() && done.code() != Some(0) {
            violations.push(format!("`stop` ended with {}, and nothing had gone wrong", done.status));
        }
    }
    violations.extend(shared_names(&world, round));
    // A `stop` that came before its `start` was done has stopped nothing.
    for name in round.lease_names() {
        let _ = spawn(&world, &["stop", name]).wait();
    }
    drop(turn);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && !process::with_environment(&world.site.mark()).is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    let unrecovered = world.site.report();
    let _ = spawn(&world, &["recover"]).wait();
    let found = invariants::look(&world, round);
    if found.engine_broke {
        faults.insert("the killed engine can start a container for nobody any more".to_owned());
    }
    violations.extend(found.violated);
    let mut report = String::new();
    if !violations.is_empty() {
        let _ = write!(report, "{round:#?}\n━━ before `recover`\n{unrecovered}\n━━ afterwards\n{}", world.site.report());
    }
    Played { violations, report }
}

/// The commands of a round, which may still run.
struct Commands {
    running: Vec<Option<Running>>,
    stops: Vec<Running>,
}

/// Plays what happens in it; gives the commands, which may still run.
fn play_events(round: &Round, world: &World, mut turn: Option<&mut ClockTurn>, played: &mut BTreeSet<String>) -> Commands {
    let mut running: Vec<Option<Running>> = round.commands.iter().map(|_| None).collect();
    let mut stops = Vec::new();
    thread::scope(|scope| {
        let mut acts = Vec::new();
        let begun = Instant::now();
        let mut events = events(round);
        while !events.is_empty() {
            // The earliest comes next; a fault can add what undoes it.
            let next = (0..events.len()).min_by_key(|&index| events[index].0).expect("some");
            let (at, event) = events.swap_remove(next);
            thread::sleep(Duration::from_millis(at).saturating_sub(begun.elapsed()));
            match event {
                Event::Command(index) => {
                    let name = round.commands[index].1.lease_name();
                    let is_taken =
                        |other: usize| name.is_some() && running[other].is_some() && round.commands[other].1.lease_name() == name;
                    if (0..running.len()).any(is_taken) {
                        played.insert("two `start` with one name".to_owned());
                    }
                    played.extend(round.commands[index].1.features());
                    running[index] = Some(start(world, round, index));
                }
                Event::Stop(index) => {
                    if running[index].as_mut().is_some_and(Running::is_running) {
                        played.insert("`stop` while its `start` makes room".to_owned());
                    }
                    let name = round.commands[index].1.lease_name().expect("a start");
                    stops.push(spawn(world, &["stop", name]));
                }
                Event::Thaw(pids) => faults::send(&pids, libc::SIGCONT),
                Event::DiskFreed => world.fill_disk(false),
                Event::Fault(Fault::Signal { command, victim, signal, frozen_ms }) => {
                    let Some(run) = &mut running[command] else { continue };
                    let supervisor = run.is_running().then(|| run.pid());
                    let Some((pids, whom)) = faults::hit(&world.site, supervisor, victim) else { continue };
                    faults::send(&pids, signal);
                    let makes_room = victim == Victim::Keeper && supervisor.is_some() && !world.begun(command).exists();
                    let when = if makes_room { " while it makes room" } else { "" };
                    played.insert(format!("{} to {whom}{when}", name_of(signal)));
                    if signal == libc::SIGSTOP {
                        events.push((at + frozen_ms, Event::Thaw(pids)));
                    }
                }
                Event::Fault(Fault::Engine { signal, down_ms }) => {
                    let (how, live_restore) = (if signal == "KILL" { "killed" } else { "ended" }, round.live_restore);
                    let containers = if live_restore { "its containers go on" } else { "its containers end with it" };
                    let restart = move || {
                        faults::restart_engine(signal, Duration::from_millis(down_ms), live_restore);
                        true
                    };
                    acts.push((format!("engine {how}, {containers}"), scope.spawn(restart)));
                }
                Event::Fault(Fault::Remove { service }) => {
                    let service = &world.services[service];
                    acts.push(("container removed".to_owned(), scope.spawn(|| faults::remove(service))));
                }
                Event::Fault(Fault::Recreate { service }) => {
                    let service = &world.services[service];
                    acts.push(("container replaced".to_owned(), scope.spawn(|| faults::recreate(service))));
                }
                Event::Fault(Fault::Hand { service, verb }) => {
                    let service = &world.services[service];
                    acts.push((format!("somebody else's {verb}"), scope.spawn(move || faults::hand(service, verb))));
                }
                Event::Fault(Fault::FullDisk { full_ms }) => {
                    world.fill_disk(true);
                    played.insert("state disk full".to_owned());
                    events.push((at + full_ms, Event::DiskFreed));
                }
                Event::Fault(Fault::Clock { seconds }) => {
                    let is_moved = turn.as_mut().is_some_and(|turn| turn.shift(seconds));
                    played.insert(if is_moved { "clock moved" } else { "left out: clock moved (not allowed here)" }.to_owned());
                }
            }
        }
        for (words, act) in acts {
            if act.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                played.insert(words);
            }
        }
    });
    Commands { running, stops }
}

fn events(round: &Round) -> Vec<(u64, Event)> {
    let commands = round.commands.iter().enumerate().map(|(index, (at, _))| (*at, Event::Command(index)));
    let stops = round.commands.iter().enumerate().filter_map(|(index, (at, command))| match command {
        Command::Start { held_ms, .. } => Some((at + held_ms, Event::Stop(index))),
        Command::Run { .. } | Command::Recover => None,
    });
    let faults = round.faults.iter().map(|(at, fault)| (*at, Event::Fault(fault.clone())));
    commands.chain(stops).chain(faults).collect()
}

fn start(world: &World, round: &Round, index: usize) -> Running {
    let (all, first) = (world.selector(), world.selector_of_first());
    let area = world.swap_dir.path().join("area").display().to_string();
    let room = ["--pause", &all, "--swap-file", &area, "--grace", "1s"];
    let guarded = ["--pause", &first, "--then", &all, "--floor", "1TiB", "--swap-file", &area, "--grace", "1s"];
    match &round.commands[index].1 {
        Command::Run { options, is_guarded, build_ms, is_stubborn } => {
            let trap = if *is_stubborn { "trap '' TERM INT HUP; " } else { "" };
            let begun = world.begun(index);
            let script = format!("{trap}: >{}; sleep {}.{:03}; exit 7", begun.display(), build_ms / 1000, build_ms % 1000);
            let room = if *is_guarded { &guarded[..] } else { &room };
            spawn(world, &[room, options, &["--", "sh", "-c", &script]].concat())
        }
        Command::Start { options, name, .. } => spawn(world, &[&["start", "--name", name], &room[..4], options].concat()),
        Command::Recover => spawn(world, &["recover"]),
    }
}

/// A name is held by one lease at most.
fn shared_names(world: &World, round: &Round) -> Vec<String> {
    let names = round.lease_names();
    if names.is_empty() {
        return Vec::new();
    }
    let status = spawn(world, &["status", "--json"]).wait();
    let status: Value = serde_json::from_str(&status.out).unwrap_or_default();
    let holders = |name: &str| {
        let is_one = |lease: &&Value| lease["name"] == name && lease["alive"] == true;
        status["leases"].as_array().into_iter().flatten().filter(is_one).count()
    };
    names.into_iter().filter(|name| holders(name) > 1).map(|name| format!("{} leases are named {name}", holders(name))).collect()
}

fn name_of(signal: i32) -> &'static str {
    Signal::try_from(signal).expect("a signal").as_str()
}

fn spawn(world: &World, words: &[&str]) -> Running {
    let mut run = world.site.makeroom(words);
    // A signal to its group must not reach the tests.
    run.before_exec(|| nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0)).map_err(Into::into));
    run.limit(PATIENCE).spawn()
}
