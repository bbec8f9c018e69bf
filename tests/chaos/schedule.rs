//! Owns what comes in a round at which time, and how its commands are started.

use crate::{
    builds,
    plan::{Command, Fault, Round, When},
    rounds::{spawn, spawn_with},
    support::makeroom::Running,
    world::World,
};

/// What comes at a time in a round.
pub enum Event {
    Command(usize),
    /// `stop` for a started lease.
    Stop(usize),
    Fault(Fault),
    Thaw(Vec<i32>),
    DiskFreed,
    FilesBack(Vec<(i32, u64)>),
    /// Another keeper of this command's is killed.
    KillKeeper {
        command: usize,
        done: usize,
        left: usize,
        gap_ms: u64,
        looks: usize,
    },
}

/// What comes in it, each with its time in milliseconds; faults at a call have none.
#[must_use]
pub fn of(round: &Round) -> Vec<(u64, Event)> {
    let commands =
        round.commands.iter().enumerate().map(|(index, (at, _))| (*at, Event::Command(index)));
    let stops =
        round.commands.iter().enumerate().filter_map(|(index, (at, command))| match command {
            Command::Start { held_ms, .. } => Some((at + held_ms, Event::Stop(index))),
            Command::Run { .. } | Command::Recover => None,
        });
    let faults = round.faults.iter().filter_map(|(when, fault)| match when {
        When::At(at) => Some((*at, Event::Fault(fault.clone()))),
        When::AtCall { .. } => None,
    });
    commands.chain(stops).chain(faults).collect()
}

/// Starts one of its commands.
pub fn start(world: &World, round: &Round, index: usize) -> Running {
    let (all, first) = (world.selector(), world.selector_of_first());
    let area = world.area().display().to_string();
    let room = ["--pause", &all, "--swap-file", &area, "--grace", "1s"];
    let guarded = [
        "--pause",
        &first,
        "--then",
        &all,
        "--floor",
        "1TiB",
        "--swap-file",
        &area,
        "--grace",
        "1s",
    ];
    let command = &round.commands[index].1;
    let (surroundings, stalled) = (command.surroundings(), world.stalled[index].as_ref());
    match command {
        Command::Run { options, is_guarded, build, .. } => {
            let script = builds::script(world, index, build);
            let timeout = build.timeout_ms.map(|timeout| format!("{timeout}ms"));
            let timeout =
                timeout.as_deref().map_or(Vec::new(), |timeout| vec!["--timeout", timeout]);
            let room = if *is_guarded { &guarded[..] } else { &room };
            let words = [room, options, &timeout, &["--", "sh", "-c", &script]].concat();
            spawn_with(world, round, &words, &surroundings, stalled)
        }
        Command::Start { options, name, .. } => {
            let words = [&["start", "--name", name], &room[..4], options].concat();
            spawn_with(world, round, &words, &surroundings, stalled)
        }
        Command::Recover => spawn(world, round, &["recover"]),
    }
}
