//! `makeroom swap on|off|status`: swap that stays, on the engine's host.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{
    cli::{ChildArgs, RoomArgs, SwapCommand},
    commands::{
        error::CommandError,
        invocation::{Invocation, block_on, enter, print, reach},
    },
    config::{Layer, Purpose, Settings},
    core::{
        machine::{memory::ActiveSwap, swap::missing},
        run::exit::DONE,
        text::{self, size},
        values::{self, SwapWish},
    },
    host::{
        permanent_swap::{self, Found},
        shell::Shell,
        swap::{Removal, SwapError},
    },
    report::console::Say,
    room::retry,
};

const ELSEWHERE: &str = "name another place with --swap-file PATH, or a size with --swap SIZE";

/// How things are where nothing was done.
const AS_BEFORE: &str = "nothing was changed";

/// Turns swap that stays on or off, or shows what is there.
#[must_use]
pub fn swap(command: SwapCommand) -> ExitCode {
    let (act, args, size) = match command {
        SwapCommand::On { persist, swap, args } => (Act::On { persist }, args, swap),
        SwapCommand::Off { args } => (Act::Off, args, None),
        SwapCommand::Status { args } => (Act::Show, args, None),
    };
    let room = RoomArgs { swap: size, host: args.host, ..RoomArgs::default() };
    let flags = Layer::of_flags(room, ChildArgs::default(), args.common);
    enter(flags, Purpose::Upkeep, |Invocation { settings, say, .. }| {
        let path = args.swap_file.as_deref();
        block_on(async { Ok(act_on_host(act, path, settings, say).await) })
            .map_err(|error| CommandError::new(error).with_state(AS_BEFORE))??;
        Ok(DONE.into())
    })
}

#[derive(Clone, Copy, Debug)]
enum Act {
    On { persist: bool },
    Off,
    Show,
}

fn refused(what: impl ToString, hint: Option<&str>) -> CommandError {
    CommandError::new(what).with_state(AS_BEFORE).with_hint(hint.map(str::to_owned))
}

impl From<SwapError> for CommandError {
    fn from(error: SwapError) -> Self {
        let hint = error.hint();
        refused(error, hint)
    }
}

async fn act_on_host(
    act: Act,
    path: Option<&Path>,
    settings: &Settings,
    say: &mut Say,
) -> Result<(), CommandError> {
    let machine = reach(settings).map_err(|error| refused(error, None))?;
    if let Err(error) = machine.endpoint() {
        return Err(refused(error, Some("`docker context ls` shows what there is")));
    }
    // The key `swap_file` names the file that runs make and take away: swap that stays in its place
    // would be in their way.
    let path = match path {
        None => permanent_swap::default_path(),
        Some(path) => path
            .to_str()
            .ok_or_else(|| refused(format!("{} is not UTF-8", path.display()), None))?
            .to_owned(),
    };
    if !path.starts_with('/') {
        let what = format!("`{path}` is not an absolute path, and the host may be another machine");
        return Err(refused(what, None));
    }
    let shell = &machine.shell;
    let found = permanent_swap::look(shell, &path).await?;
    match act {
        Act::On { persist } => on(shell, &path, &found, persist, settings.room.swap, say).await,
        Act::Off => off(shell, &path, &found, settings.room.restore_timeout, say).await,
        Act::Show => print(&status(shell, &path, &found)),
    }
}

async fn on(
    shell: &Shell,
    path: &str,
    found: &Found,
    persist: bool,
    wish: SwapWish,
    say: &mut Say,
) -> Result<(), CommandError> {
    let SwapWish::Free(wish) = wish else {
        let what = "the size of the swap to turn on is `off`";
        return Err(refused(what, Some("name one with --swap SIZE")));
    };
    // zram is memory: what a build needs beyond that is to be elsewhere.
    let zram_bytes: u64 =
        found.measured.swaps.iter().filter(|swap| swap.is_zram()).map(|swap| swap.size_bytes).sum();
    let total_bytes = found
        .measured
        .memory
        .map_or(0, |memory| memory.swap_total_bytes.saturating_sub(zram_bytes));
    let is_on = found.measured.swap_at(path).is_some();
    let place = shell.place();
    match missing(wish.bytes, total_bytes).filter(|_| !is_on) {
        None if !is_on => {
            // Made by hand, or the system's own: it does what is wanted, and is nobody's to persist
            // or remove.
            let there = text::names(found.measured.swaps.iter().map(|swap| swap.path.as_str()), 4);
            say.info(format!(
                "{} of swap are there already{place} ({there}); nothing is changed",
                size(total_bytes)
            ));
            return Ok(());
        }
        Some(size_bytes) => {
            let priority = found.measured.free_swap().priority_ahead();
            let made = permanent_swap::turn_on(shell, path, size_bytes, priority).await.map_err(
                |error| match error {
                    SwapError::Refused(reason) | SwapError::NotYet(reason) => {
                        let what =
                            format!("no swap is made at {}: {reason}", text::printable(path));
                        refused(what, Some(ELSEWHERE))
                    }
                    other @ (SwapError::Shell(_) | SwapError::Denied) => other.into(),
                },
            )?;
            if let Some(text) = made.why_smaller(size_bytes, path) {
                say.warning(text, Some(ELSEWHERE));
            }
            let free_bytes = made.after.memory.map_or(0, |memory| memory.swap_free_bytes);
            say.info(format!(
                "swap is on{place}: {} at {}; {} free in all",
                size(made.size_bytes),
                text::printable(path),
                size(free_bytes)
            ));
        }
        None => say.info(format!("swap is on already{place}: {}", text::printable(path))),
    }
    let kept_until_boot = |error| {
        CommandError::from(error)
            .with_state("the swap is on until the next boot, /etc/fstab is as it was")
    };
    if persist && permanent_swap::persist(shell, path, true).await.map_err(kept_until_boot)? {
        say.info("and at every boot: one line in /etc/fstab".to_owned());
    }
    Ok(())
}

async fn off(
    shell: &Shell,
    path: &str,
    found: &Found,
    limit: Duration,
    say: &mut Say,
) -> Result<(), CommandError> {
    let size_bytes = found.measured.swap_at(path).map_or(0, |swap| swap.size_bytes);
    let last = values::deadline(Instant::now(), limit);
    let removal =
        retry::removal(last, || permanent_swap::turn_off(shell, path, size_bytes)).await?;
    let line_left = |error| {
        CommandError::from(error)
            .with_state("the swap is off, its line in /etc/fstab is still there")
    };
    let line_removed = found.is_persistent
        && permanent_swap::persist(shell, path, false).await.map_err(line_left)?;
    let mut done = Vec::new();
    if removal == Removal::Removed {
        done.push(format!("{} is off and deleted{}", text::printable(path), shell.place()));
    }
    if line_removed {
        done.push("its line is out of /etc/fstab".to_owned());
    }
    if done.is_empty() {
        done.push(format!(
            "no swap of `makeroom swap on` is there{}; nothing is changed",
            shell.place()
        ));
    }
    say.info(done.join("; "));
    Ok(())
}

fn status(shell: &Shell, path: &str, found: &Found) -> String {
    let mut lines = Vec::new();
    for ActiveSwap { path: active, size_bytes, used_bytes, .. } in &found.measured.swaps {
        let whose = match (active == path, found.is_persistent) {
            (true, true) => "  by `makeroom swap on --persist`, at every boot",
            (true, false) => "  by `makeroom swap on`, until the next boot",
            (false, _) => "",
        };
        lines.push(format!(
            "{:>9} used of {:>9}  {}{whose}",
            size(*used_bytes),
            size(*size_bytes),
            text::printable(active)
        ));
    }
    if lines.is_empty() {
        lines.push(format!("no swap is active{}", shell.place()));
    }
    lines.join("\n") + "\n"
}
