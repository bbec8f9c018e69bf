//! Owns what must hold after a round, whatever happened in it: everything as it was before.

use std::fs;

use crate::{
    plan::{Before, Round},
    support::{process, swap},
    world::{World, swappiness},
};

/// What does not hold, a line each. `engine_broke`: it cannot start a container any more, whoever asks.
pub fn violated(world: &World, round: &Round, engine_broke: bool) -> Vec<String> {
    let mut found = Vec::new();
    for index in 0..world.services.len() {
        found.extend(service(world, round, index, engine_broke));
    }
    let left = |what: &str, left: String| (!left.is_empty()).then(|| format!("{what} left: {left}"));
    let new_areas: Vec<_> = swap::areas().into_iter().filter(|area| !world.swaps.contains(area)).collect();
    found.extend(left("swap", new_areas.iter().map(|area| area.display().to_string()).collect::<Vec<_>>().join(", ")));
    let files = fs::read_dir(world.swap_dir.path()).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    found.extend(left("files of swap", files.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>().join(", ")));
    let is_recorded = engine_broke && world.services.iter().any(|service| service.are("exited"));
    if !is_recorded {
        found.extend(left("journals", world.site.journals().iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")));
    }
    found.extend(left("processes", process::table(&process::with_environment(&world.site.mark()))));
    if swappiness() != world.swappiness {
        found.push(format!("vm.swappiness is {}, was {}", swappiness(), world.swappiness));
    }
    found
}

fn service(world: &World, round: &Round, index: usize, engine_broke: bool) -> Option<String> {
    let (planned, before) = (&round.services[index], &world.before[index]);
    let now = world.services[index].state(0);
    let status = now.as_ref().map_or("gone", |now| now.status.as_str());
    let wrong = |why: &str| Some(format!("service {index} ({planned:?}) is {status}: {why}"));
    if round.meddles_with(index) {
        // Somebody else's by now: it is only not left paused.
        return if status == "paused" { wrong("it was removed or replaced, and the new one is nobody's to pause") } else { None };
    }
    if round.kills_the_engine() && (!round.live_restore || planned.auto_remove) {
        // An engine that ends so takes its containers with it, the paused ones as well; and those with --rm (seen with
        // 20.10) when it starts again, also where it was to leave them alone.
        return if status == "paused" { wrong("nobody is left who paused it") } else { None };
    }
    if engine_broke && status == "exited" {
        return None;
    }
    let expected = match planned.before {
        Before::Running => "running",
        Before::Paused => "paused",
        Before::Stopped => &before.status,
    };
    if status != expected {
        return wrong(&format!("it was {expected}"));
    }
    // Only who is stopped is another process afterwards; one with --rm never is.
    let may_restart = planned.before == Before::Running && !planned.auto_remove && round.may_stop();
    let same = now.as_ref().is_some_and(|now| now.started_at == before.started_at && now.pid == before.pid);
    if same || may_restart { None } else { wrong("it was restarted") }
}
