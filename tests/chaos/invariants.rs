//! Owns what must hold after a round, whatever happened in it: everything as it was before.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    builds, faults,
    plan::{Before, Round, Service},
    support::{process, services::State, swap},
    world::World,
};

/// An engine that has just come back starts its containers within this.
const ENGINE_PATIENCE: Duration = Duration::from_secs(10);

/// How a round's world is found.
#[derive(Default)]
pub struct Found {
    /// What does not hold, a line each.
    pub violated: Vec<String>,
    /// The engine cannot start a container any more, whoever asks: then it is right that it stays
    /// recorded.
    pub engine_broke: bool,
}

/// Looks at everything.
pub fn look(world: &World, round: &Round) -> Found {
    let mut found = Found::default();
    for index in 0..world.services.len() {
        service(world, round, index, &mut found);
    }
    let left = |what: &str, left: Vec<String>| {
        (!left.is_empty()).then(|| format!("{what} left: {}", left.join(", ")))
    };
    let areas = swap::areas().into_iter().filter(|area| area.starts_with(world.swap_dir.path()));
    found.violated.extend(left("swap", areas.map(|area| area.display().to_string()).collect()));
    let area = world.area();
    found.violated.extend(left("files of swap", names(area.parent().expect("a directory"))));
    if !found.engine_broke {
        // Journals, sockets, and what was set aside.
        found.violated.extend(left("leases", names(&world.site.state().join("leases"))));
    }
    let processes = builds::processes(world).into_iter().map(|pid| process::table(&[pid]));
    found.violated.extend(left("processes", processes.collect()));
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    let is_ours =
        |point: &&Path| point.starts_with(world.site.path("")) && **point != *world.site.state();
    found.violated.extend(left(
        "mounts",
        points.filter(is_ours).map(|point| point.display().to_string()).collect(),
    ));
    if let Some(ground) = &world.ground {
        found.violated.extend(ground.judge(round.kills_the_engine()));
    }
    found
}

/// What is in a directory, where there is one.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect()
}

fn service(world: &World, round: &Round, index: usize, found: &mut Found) {
    let (planned, before) = (&round.services[index], &world.before[index]);
    let begun = Instant::now();
    loop {
        let now = world.services[index].state(0);
        let status = now.as_ref().map_or("gone", |now| now.status.as_str());
        let judged = judge(round, index, before, now.as_ref());
        let was_ended =
            round.kills_the_engine() && planned.before == Before::Running && status == "exited";
        if was_ended && faults::engine_cannot_start(&world.services[index]) {
            found.engine_broke = true;
            return;
        }
        let Err(why) = judged else { return };
        if was_ended || !round.kills_the_engine() || begun.elapsed() > ENGINE_PATIENCE {
            found.violated.push(format!("service {index} ({planned:?}) is {status}: {why}"));
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Why this service, as it is now, is not as it has to be.
fn judge(round: &Round, index: usize, before: &State, now: Option<&State>) -> Result<(), String> {
    let planned = &round.services[index];
    let status = now.map_or("gone", |now| now.status.as_str());
    let require = |holds: bool, why: &str| if holds { Ok(()) } else { Err(why.to_owned()) };
    // What a stranger had paused beforehand is paused by the stranger.
    let is_nobodys_pause = status != "paused" || planned.before == Before::Paused;
    if round.meddles_with(index) {
        return require(
            is_nobodys_pause,
            "it was removed or replaced, and the new one is nobody's to pause",
        );
    }
    if round.has_hand(index, "stop") {
        return require(is_nobodys_pause, "somebody else stopped it: nobody is left who paused it");
    }
    if planned.before == Before::Stopped && round.has_hand(index, "start") {
        return require(
            is_nobodys_pause,
            "somebody else started it, and nobody paused it beforehand",
        );
    }
    if planned.before == Before::Paused && round.has_hand(index, "unpause") && status == "running" {
        return Ok(());
    }
    if planned.before == Before::Stopped {
        let is_right = status == before.status
            || (status == "running" && round.kills_the_engine() && engine_starts(planned, before));
        return require(is_right, &format!("it was {}", before.status));
    }
    if round.kills_the_engine() && (!round.live_restore || planned.auto_remove) {
        // An engine that ends so takes its containers with it, the paused ones as well; and those
        // with --rm (seen with 20.10) when it starts again, also where it was to leave them alone.
        require(is_nobodys_pause, "nobody is left who paused it")?;
        // What `unless-stopped` makes of an engine's own end depends on how it ended (seen with
        // 20.10, without makeroom).
        let comes_back = planned.before == Before::Running && planned.policy == "always";
        return require(
            !comes_back || status == "running",
            "it ran, and its policy makes it run again",
        );
    }
    if status == "exited"
        && round.ends_the_engine()
        && now.is_some_and(|now| now.started_at != before.started_at)
    {
        // It ran again. An engine that is told to end leaves its containers alone only where it
        // sees one run at that moment (moby, `daemon.Shutdown`): a first one that is just being
        // started it takes with it.
        return Ok(());
    }
    let expected = if planned.before == Before::Paused { "paused" } else { "running" };
    require(status == expected, &format!("it was {expected}"))?;
    // Only who is stopped is another process afterwards; one with --rm never is.
    let may_restart = planned.before == Before::Running && !planned.auto_remove && round.may_stop();
    let is_same =
        now.is_some_and(|now| now.started_at == before.started_at && now.pid == before.pid);
    require(is_same || may_restart, "it was restarted")
}

/// Whether an engine that starts again starts this stopped container (moby, `daemon.restore` and
/// `ShouldRestart`): only `unless-stopped` asks whether somebody stopped it.
fn engine_starts(planned: &Service, before: &State) -> bool {
    planned.policy == "always" || (planned.policy == "on-failure" && before.exit_code != 0)
}
