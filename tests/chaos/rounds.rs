//! Owns playing a round: what happens in it, one `recover` at the end, and then the invariants.
//! Which rounds, and what is told of them, is `sitting`'s.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::Resource;
use serde_json::Value;

use crate::{
    builds,
    clock::ClockTurn,
    events::{self, Commands},
    invariants,
    plan::{Round, Surroundings},
    stranger::Ground,
    support::{
        dockerd::engine,
        makeroom::{Done, Running},
        proxy::Proxy,
        stalled::Stalled,
    },
    world::World,
};

/// After this no command of a round goes on, and no process of one is there, for a reason.
pub const PATIENCE: Duration = Duration::from_mins(4);
/// Between two looks at all processes of the machine.
const LOOK: Duration = Duration::from_millis(100);
/// How long an engine that stays away is tried.
const SHORT: &str = "1s";

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
    let race = world.ground.as_ref().map(Ground::race);
    let slow = round.services.iter().filter_map(|service| service.slow_stop);
    faults.extend(slow.filter(|_| round.may_stop()).map(|stop| match stop.timeout {
        Some(-1) => "slow stop without a limit".to_owned(),
        _ if stop.takes_ms > 4000 => "slow stop, for long".to_owned(),
        _ => "slow stop".to_owned(),
    }));
    let Commands { running, stops, is_engine_away } =
        events::play(round, &world, turn.as_mut(), faults);
    if !is_engine_away {
        engine().wait_until_it_answers();
    }
    let mut said = String::new();
    for (index, run) in running.into_iter().enumerate() {
        let Some(run) = run else { continue };
        let done = run.wait();
        violations.extend(judge_code(&world, round, index, &done));
        said += &done.err;
    }
    for stop in stops {
        let done = stop.wait();
        if round.faults.is_empty() && round.stranger.is_none() && done.code() != Some(0) {
            violations
                .push(format!("`stop` ended with {}, and nothing had gone wrong", done.status));
        }
        said += &done.err;
    }
    violations.extend(shared_names(&world, round));
    // A `stop` that came before its `start` was done has stopped nothing.
    for name in round.lease_names() {
        said += &spawn(&world, round, &["stop", name]).wait().err;
    }
    drop(turn);
    let begun = Instant::now();
    let is_held = || world.proxy.as_ref().is_some_and(Proxy::is_held);
    while begun.elapsed() < PATIENCE && !builds::processes(&world).is_empty() {
        thread::sleep(LOOK);
    }
    if is_engine_away {
        violations.extend(give_up_and_come_back(&world, round));
    }
    if round.is_heard() && !world.site.journals().is_empty() && !said.contains("recover") {
        violations.push("something stays recorded, and nobody was told of `recover`".to_owned());
    }
    let unrecovered = world.site.report();
    let recovered = spawn(&world, round, &["recover"]).wait();
    if let (Some(race), Some(stranger)) = (race, round.stranger) {
        let got = race.stop();
        faults.insert(
            if got > 0 {
                "a stranger who gets root's names for moments"
            } else {
                "a stranger who plants files"
            }
            .to_owned(),
        );
        if got == 0 && (stranger.has_state || stranger.has_swap) {
            violations.push("the stranger did not even try".to_owned());
        }
    }
    builds::end_strays(&world);
    // What comes after all was said to be over is nobody's to bring back.
    while begun.elapsed() < PATIENCE && is_held() {
        thread::sleep(LOOK);
    }
    let found = invariants::look(&world, round);
    if found.engine_broke {
        faults.insert("the killed engine can start a container for nobody any more".to_owned());
    } else if round.stranger.is_none_or(|stranger| !stranger.may_have_state())
        && recovered.code() != Some(0)
    {
        violations.push(format!("the last `recover` ended with {}", recovered.status));
    }
    violations.extend(found.violated);
    let mut report = String::new();
    if !violations.is_empty() {
        let calls = world.proxy.as_ref().map(Proxy::report).unwrap_or_default();
        let _ = write!(
            report,
            "{round:#?}\n━━ before `recover`\n{unrecovered}\n━━ afterwards\n{}\n━━ calls\n{calls}",
            world.site.report()
        );
    }
    Played { violations, report }
}

/// Why this command did not end as it had to.
fn judge_code(world: &World, round: &Round, index: usize, done: &Done) -> Vec<String> {
    let Some(expected) = round.expected_code(index) else { return Vec::new() };
    let ended = (done.code() != Some(expected))
        .then(|| format!("command {index} ended with {}, not with {expected}", done.status));
    ended.into_iter().chain(builds::judge(world, index, expected, done)).collect()
}

/// `recover` gives up on the engine, which keeps what is recorded and is no success; then the
/// engine comes back.
fn give_up_and_come_back(world: &World, round: &Round) -> Option<String> {
    let done = spawn(world, round, &["recover", "--restore-timeout", SHORT]).wait();
    let is_recorded = !world.site.journals().is_empty();
    engine().start_again(round.live_restore);
    (is_recorded && (done.code() == Some(0) || !done.err.contains("hint"))).then(|| {
        format!("`recover` left something recorded without a word: {} {}", done.status, done.err)
    })
}

/// A name is held by one lease at most.
fn shared_names(world: &World, round: &Round) -> Vec<String> {
    let names = round.lease_names();
    if names.is_empty() {
        return Vec::new();
    }
    let status = spawn(world, round, &["status", "--json"]).wait();
    let status: Value = serde_json::from_str(&status.out).unwrap_or_default();
    let holders = |name: &str| {
        let is_one = |lease: &&Value| lease["name"] == name && lease["alive"] == true;
        status["leases"].as_array().into_iter().flatten().filter(is_one).count()
    };
    names
        .into_iter()
        .filter(|name| holders(name) > 1)
        .map(|name| format!("{} leases are named {name}", holders(name)))
        .collect()
}

/// Starts one of makeroom's commands.
pub fn spawn(world: &World, round: &Round, words: &[&str]) -> Running {
    spawn_with(world, round, words, &Surroundings::default(), None)
}

/// The same in these surroundings.
pub fn spawn_with(
    world: &World,
    round: &Round,
    words: &[&str],
    surroundings: &Surroundings,
    stalled: Option<&Stalled>,
) -> Running {
    let mut run = world.site.makeroom(words);
    if round.leaves_the_engine_away() {
        run.env("MAKEROOM_RESTORE_TIMEOUT", SHORT);
    }
    // A signal to its group must not reach the tests.
    run.in_own_group();
    if let Some(files) = surroundings.files {
        run.limit_resource(Resource::RLIMIT_NOFILE, files, files);
    }
    if let Some(stalled) = stalled {
        stalled.give_to(&mut run, 2);
    }
    run.limit(PATIENCE).spawn()
}
