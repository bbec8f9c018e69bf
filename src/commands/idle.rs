//! Options of this command line that do nothing beside its others: said, because whoever types one
//! expects something of it. What a file or the environment sets for all runs is not meant for each
//! of them. Pure.

use crate::{
    cli::{GuardArgs, RoomArgs},
    config::Settings,
    core::values::{MethodWish, SwapWish},
    report::console::Say,
};

/// Says which.
pub(super) fn tell(room: &RoomArgs, guard: &GuardArgs, settings: &Settings, say: &mut Say) {
    for line in lines(room, guard, settings) {
        say.info(line);
    }
}

fn lines(room: &RoomArgs, guard: &GuardArgs, settings: &Settings) -> Vec<String> {
    let has_steps = !settings.then.is_empty();
    let has_guard = has_steps || settings.abort_on_thrash.is_some();
    let all = [
        (
            room.swap_file.is_some() && settings.swap == SwapWish::Off,
            "--swap-file",
            "with --swap off",
        ),
        (
            room.stop_timeout.is_some() && settings.method == MethodWish::Pause,
            "--stop-timeout",
            "with --method pause",
        ),
        (guard.floor.is_some() && !has_guard, "--floor", "without --then or --abort-on-thrash"),
        (
            guard.pressure.is_some() && !has_guard,
            "--pressure",
            "without --then or --abort-on-thrash",
        ),
        (guard.on_pressure.is_some() && !has_steps, "--on-pressure", "without --then"),
    ];
    all.into_iter()
        .filter(|(is_idle, ..)| *is_idle)
        .map(|(_, option, why)| format!("{option} does nothing {why}"))
        .collect()
}
