//! `makeroom swap on|off|status`: swap that stays, on the engine's host.

use std::process::ExitCode;

use crate::{
    cli::{RoomArgs, SwapArgs, SwapCommand},
    config::{self, Settings},
    core::{
        machine::{memory::ActiveSwap, swap::missing},
        text::{self, size},
        values::SwapWish,
    },
    host::{
        permanent_swap::{self, Found},
        shell::{Shell, ShellError},
        swap::{Removal, SwapError},
    },
    report::console::Say,
};

const ELSEWHERE: &str = "name another place with --swap-file PATH, or a size with --swap SIZE";

/// Turns swap that stays on or off, or shows what is there.
#[must_use]
pub fn swap(command: &SwapCommand) -> ExitCode {
    let (args, size) = match command {
        SwapCommand::On { args, swap, .. } => (args, *swap),
        SwapCommand::Off { args } | SwapCommand::Status { args } => (args, None),
    };
    let room = RoomArgs { swap: size, host: args.host.clone(), ..RoomArgs::default() };
    let settings = match config::settle_apart(&room, &args.common) {
        Ok(settings) => settings,
        Err(error) => return crate::commands::refuse(&error),
    };
    let mut say = crate::commands::voice(&settings);
    match crate::commands::block_on(async { Ok(act(command, args, &settings, &mut say).await) }) {
        Ok(Ok(code)) => code,
        Ok(Err(failed)) => {
            say.error(text::printable(&failed.what), Some(failed.state), failed.hint);
            crate::commands::failed()
        }
        Err(error) => {
            say.error(error, Some("nothing was changed"), None);
            crate::commands::failed()
        }
    }
}

struct Failed {
    what: String,
    /// How things are now.
    state: &'static str,
    hint: Option<&'static str>,
}

impl Failed {
    fn new(what: String, hint: Option<&'static str>) -> Self {
        Self { what, state: "nothing was changed", hint }
    }
}

impl From<SwapError> for Failed {
    fn from(error: SwapError) -> Self {
        let hint =
            if let SwapError::Shell(shell) = &error { ShellError::hint(shell) } else { None };
        Self::new(error.to_string(), hint)
    }
}

async fn act(
    command: &SwapCommand,
    args: &SwapArgs,
    settings: &Settings,
    say: &mut Say,
) -> Result<ExitCode, Failed> {
    let machine = crate::commands::reach(settings).map_err(|error| Failed::new(error, None))?;
    if let Err(error) = machine.endpoint() {
        return Err(Failed::new(
            error.to_string(),
            Some("`docker context ls` shows what there is"),
        ));
    }
    // The key `swap_file` names the file that runs make and take away: swap that stays in its place
    // would be in their way.
    let path = match &args.swap_file {
        None => permanent_swap::default_path(),
        Some(path) => {
            let text = path
                .to_str()
                .ok_or_else(|| Failed::new(format!("{} is not UTF-8", path.display()), None))?;
            text.to_owned()
        }
    };
    if !path.starts_with('/') {
        return Err(Failed::new(
            format!("`{path}` is not an absolute path, and the host may be another machine"),
            None,
        ));
    }
    let shell = &machine.shell;
    let found = permanent_swap::look(shell, &path).await?;
    match command {
        SwapCommand::On { persist, .. } => {
            on(shell, &path, &found, *persist, settings, say).await.map(|()| ExitCode::SUCCESS)
        }
        SwapCommand::Off { .. } => off(shell, &path, &found, say).await.map(|()| ExitCode::SUCCESS),
        SwapCommand::Status { .. } => {
            Ok(crate::commands::print(&status(shell, &path, &found), ExitCode::SUCCESS))
        }
    }
}

async fn on(
    shell: &Shell,
    path: &str,
    found: &Found,
    persist: bool,
    settings: &Settings,
    say: &mut Say,
) -> Result<(), Failed> {
    let SwapWish::Free(wish) = settings.swap else {
        return Err(Failed::new(
            "the size of the swap to turn on is `off`".to_owned(),
            Some("name one with --swap SIZE"),
        ));
    };
    let total_bytes = found.measured.memory.map_or(0, |memory| memory.swap_total_bytes);
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
            let after = permanent_swap::turn_on(shell, path, size_bytes).await.map_err(
                |error| match error {
                    SwapError::Refused(reason) => Failed::new(
                        format!("no swap is made at {}: {reason}", text::printable(path)),
                        Some(ELSEWHERE),
                    ),
                    shell @ SwapError::Shell(_) => shell.into(),
                },
            )?;
            let free_bytes = after.memory.map_or(0, |memory| memory.swap_free_bytes);
            say.info(format!(
                "swap is on{place}: {} at {}; {} free in all",
                size(size_bytes),
                text::printable(path),
                size(free_bytes)
            ));
        }
        None => say.info(format!("swap is on already{place}: {}", text::printable(path))),
    }
    let kept_until_boot = |error| Failed {
        state: "the swap is on until the next boot, /etc/fstab is as it was",
        ..Failed::from(error)
    };
    if persist && permanent_swap::persist(shell, path, true).await.map_err(kept_until_boot)? {
        say.info("and at every boot: one line in /etc/fstab".to_owned());
    }
    Ok(())
}

async fn off(shell: &Shell, path: &str, found: &Found, say: &mut Say) -> Result<(), Failed> {
    let active = found.measured.swap_at(path);
    let removal =
        permanent_swap::turn_off(shell, path, active.map_or(0, |swap| swap.size_bytes)).await?;
    let line_left = |error| Failed {
        state: "the swap is off, its line in /etc/fstab is still there",
        ..Failed::from(error)
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
    for ActiveSwap { path: active, size_bytes, used_bytes } in &found.measured.swaps {
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
