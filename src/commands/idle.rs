//! Options of this command line that do nothing beside its others: said, because whoever types one
//! expects something of it. What a file or the environment sets for all runs is not meant for each
//! of them. Pure.

use crate::{
    config::{Layer, Settings},
    core::values::{MethodWish, SwapWish},
    report::console::Say,
};

/// Says which.
pub(super) fn tell(flags: &Layer, settings: &Settings, say: &mut Say) {
    for line in lines(flags, settings) {
        say.info(line);
    }
}

fn lines(flags: &Layer, settings: &Settings) -> Vec<String> {
    let (room, guard, settings) = (&flags.room, &flags.child.guard, &settings.room);
    let has_guard = settings.guard.is_some();
    let has_steps = settings.guard.as_ref().is_some_and(|guard| !guard.then.is_empty());
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
        (
            !room.keep.is_empty() && settings.pause.is_empty() && !has_steps,
            "--keep",
            "without --pause or --then",
        ),
        (guard.on_pressure.is_some() && !has_steps, "--on-pressure", "without --then"),
    ];
    all.into_iter()
        .filter(|(is_idle, ..)| *is_idle)
        .map(|(_, option, why)| format!("{option} does nothing {why}"))
        .collect()
}
