//! Owns playing a round: every command and every fault at its time, one `recover` at the end, and then
//! the invariants. And playing many, with the seeds to find a round again.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

use crate::{
    faults::{self, Clock},
    invariants,
    plan::{Command, Fault, Round},
    support::{dockerd::engine, makeroom::Running, process, wait_within},
    world::World,
};

/// Rounds where nobody says how many.
const ROUNDS: u64 = 50;
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

#[test]
fn after_rounds_of_chaos_everything_is_as_it_was_before() {
    let number = |name: &str, otherwise: u64| env::var(name).map_or(otherwise, |text| text.parse().expect("a number"));
    let (rounds, first) = (number("MAKEROOM_CHAOS_ROUNDS", ROUNDS), number("MAKEROOM_CHAOS_SEED", 0));
    let log = env::var_os("MAKEROOM_CHAOS_LOG");
    let done = log.as_ref().and_then(|path| fs::read_to_string(path).ok()).map_or(0, |text| text.lines().count() as u64);
    let mut live_restore = false;
    let (begun, mut bad, mut clocks_left_out, mut engines_broken) = (Instant::now(), Vec::new(), 0, 0);
    for seed in first + done..first + rounds {
        let round = Round::of(seed);
        if round.live_restore != live_restore {
            live_restore = round.live_restore;
            faults::restart_engine("TERM", Duration::ZERO, live_restore);
        }
        let Played { violations, without_clock, engine_broke } = play(&round, seed);
        clocks_left_out += usize::from(without_clock);
        engines_broken += usize::from(engine_broke);
        let verdict = if violations.is_empty() { "holds".to_owned() } else { violations.join("; ").replace('\n', " ") };
        if let Some(path) = &log {
            let mut file = fs::File::options().append(true).create(true).open(path).expect("a log");
            writeln!(file, "{seed} {verdict}").expect("written");
        }
        if !violations.is_empty() {
            println!("seed {seed} VIOLATED\n  {}\n  {round:#?}", violations.join("\n  "));
            bad.push(seed);
        }
        let (played, minutes) = (seed + 1 - first - done, begun.elapsed().as_secs_f64() / 60.0);
        if played.is_multiple_of(25) || seed + 1 == first + rounds {
            #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
            let rate = played as f64 / minutes;
            println!("{played} rounds (seeds {} to {seed}), {} violated, {rate:.0} rounds a minute", first + done, bad.len());
        }
    }
    if engines_broken > 0 {
        println!(
            "in {engines_broken} rounds the killed engine could start a container for nobody any more, and that is what stayed recorded"
        );
    }
    if clocks_left_out > 0 {
        println!("LEFT OUT: the clock's jump in {clocks_left_out} rounds, which this machine does not allow");
    }
    assert!(bad.is_empty(), "violated with the seeds {bad:?}; `scripts/chaos 1 --seed SEED` plays one again");
}

/// How a round went.
struct Played {
    violations: Vec<String>,
    /// Its clock could not be moved.
    without_clock: bool,
    /// Its engine cannot start a container any more.
    engine_broke: bool,
}

/// Plays it.
fn play(round: &Round, seed: u64) -> Played {
    let world = World::new(round);
    let mut violations = Vec::new();
    let mut clock = None;
    let (mut without_clock, mut engine_broke) = (false, false);
    let mut running: Vec<Option<Running>> = round.commands.iter().map(|_| None).collect();
    let mut stops = Vec::new();
    thread::scope(|scope| {
        let begun = Instant::now();
        let mut events = events(round);
        while !events.is_empty() {
            // The earliest comes next; a fault can add what undoes it.
            let next = (0..events.len()).min_by_key(|&index| events[index].0).expect("some");
            let (at, event) = events.swap_remove(next);
            thread::sleep(Duration::from_millis(at).saturating_sub(begun.elapsed()));
            match event {
                Event::Command(index) => running[index] = Some(start(&world, round, index)),
                Event::Stop(index) => stops.push(spawn(&world, &["stop", &lease_name(index)])),
                Event::Thaw(pids) => faults::send(&pids, libc::SIGCONT),
                Event::DiskFreed => world.fill_disk(false),
                Event::Fault(Fault::Signal { command, victim, signal, frozen_ms }) => {
                    let Some(run) = &mut running[command] else { continue };
                    if !run.is_running() {
                        continue;
                    }
                    let pids = faults::pids(&world.site, run.pid(), victim);
                    faults::send(&pids, signal);
                    if signal == libc::SIGSTOP {
                        events.push((at + frozen_ms, Event::Thaw(pids)));
                    }
                }
                Event::Fault(Fault::Engine { signal, down_ms }) => {
                    let live_restore = round.live_restore;
                    scope.spawn(move || faults::restart_engine(signal, Duration::from_millis(down_ms), live_restore));
                }
                Event::Fault(Fault::Remove { service }) => drop(scope.spawn({
                    let service = &world.services[service];
                    move || faults::remove(service)
                })),
                Event::Fault(Fault::Recreate { service }) => drop(scope.spawn({
                    let service = &world.services[service];
                    move || faults::recreate(service)
                })),
                Event::Fault(Fault::FullDisk { full_ms }) => {
                    world.fill_disk(true);
                    events.push((at + full_ms, Event::DiskFreed));
                }
                Event::Fault(Fault::Clock { seconds }) => {
                    if clock.is_none() {
                        clock = Clock::shift(seconds);
                    }
                    without_clock |= clock.is_none();
                }
            }
        }
    });
    engine().wait_until_it_answers();
    for (index, run) in running.into_iter().enumerate() {
        let Some(run) = run else { continue };
        let done = run.wait();
        if let Some(expected) = round.expected_code(index)
            && done.code() != Some(expected)
        {
            violations.push(format!("command {index} ended with {}, not with {expected}: {}", done.status, done.err));
        }
    }
    for stop in stops {
        let _ = stop.wait();
    }
    // A `stop` that came before its `start` was done has stopped nothing.
    for index in 0..round.commands.len() {
        if matches!(round.commands[index].1, Command::Start { .. }) {
            let _ = spawn(&world, &["stop", &lease_name(index)]).wait();
        }
    }
    drop(clock);
    wait_within(PATIENCE, &format!("no process of round {seed} is left"), || process::with_environment(&world.site.mark()).is_empty());
    let recovered = spawn(&world, &["recover"]).wait();
    // An engine that is killed while it starts a container can be left unable to start it, for anybody and for good
    // ("id already in use"): then it is right that it stays recorded.
    if recovered.code() != Some(0) && round.kills_the_engine() && faults::engine_cannot_start(&world.services) {
        engine_broke = true;
    }
    violations.extend(invariants::violated(&world, round, engine_broke));
    if !violations.is_empty() {
        let mut text = String::new();
        let _ = write!(text, "recover ended with {} and said: {}", recovered.status, recovered.err);
        violations.push(text);
    }
    Played { violations, without_clock, engine_broke }
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
    let selector = world.selector();
    let area = world.swap_dir.path().join("area").display().to_string();
    let room = ["--pause", &selector, "--swap-file", &area, "--grace", "1s"];
    match &round.commands[index].1 {
        Command::Run { options, build_ms, is_stubborn } => {
            let trap = if *is_stubborn { "trap '' TERM INT HUP; " } else { "" };
            let script = format!("{trap}sleep {}.{:03}; exit 7", build_ms / 1000, build_ms % 1000);
            spawn(world, &[&room[..], options, &["--", "sh", "-c", &script]].concat())
        }
        Command::Start { options, .. } => {
            let name = lease_name(index);
            spawn(world, &[&["start", "--name", &name], &room[..4], options].concat())
        }
        Command::Recover => spawn(world, &["recover"]),
    }
}

fn lease_name(index: usize) -> String {
    format!("chaos{index}")
}

fn spawn(world: &World, words: &[&str]) -> Running {
    let mut run = world.site.makeroom(words);
    // A signal to its group must not reach the tests.
    run.before_exec(|| nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0)).map_err(Into::into));
    run.limit(PATIENCE).spawn()
}
