//! Owns what is said where a command cannot be run, before anything is touched: why, and what was
//! probably meant. What is looked up for that costs nobody anything: no build waits for it.

use std::{
    cell::OnceCell,
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::CommandFactory as _;
use nix::unistd::{User, geteuid};
use tokio::time::timeout;

use crate::{
    cli::Cli,
    commands::invocation::{block_on, reach},
    config::Settings,
    core::{
        run::{
            exit::of_failed_exec,
            meant::{self, Typed, World},
            search::Missing,
        },
        target::{seen::Listed, selector::Selector},
    },
    host::program,
    report::console::Say,
};

/// For so long the engine is asked which names it knows.
const ENGINE: Duration = Duration::from_secs(2);
/// Where programs are that a PATH of sudo's, of cron's or of systemd's need not have.
const USUAL: [&str; 6] = [
    "/usr/local/bin",
    "/usr/local/sbin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/snap/bin",
    "/usr/local/go/bin",
];
/// And below a home.
const USUAL_AT_HOME: [&str; 14] = [
    ".local/bin",
    "bin",
    ".cargo/bin",
    ".local/share/pnpm",
    "Library/pnpm",
    ".bun/bin",
    ".deno/bin",
    ".volta/bin",
    ".yarn/bin",
    ".npm-global/bin",
    ".asdf/shims",
    ".local/share/mise/shims",
    "go/bin",
    ".nix-profile/bin",
];
/// Each version that it has installed has a directory here.
const NVM: &str = ".nvm/versions/node";

/// Says why this command cannot be run; gives the exit code for that.
pub(super) fn tell(
    command: &[OsString],
    missing: &Missing,
    settings: &Settings,
    say: &mut Say,
) -> ExitCode {
    let command: Vec<String> =
        command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let typed: Vec<String> =
        env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let before = typed.len().saturating_sub(command.len());
    let mut options = typed.get(..before).unwrap_or_default();
    let is_apart = options.last().is_some_and(|last| last == "--");
    if is_apart {
        options = &options[..before - 1];
    }
    let typed = Typed { options, is_apart, command: &command };
    let hint = meant::hint(&typed, missing, &Here { settings, targets: OnceCell::new() });
    let name = command.first().map(String::as_str).unwrap_or_default();
    say.error(
        meant::reason(missing, name),
        Some("nothing was changed; no command was started"),
        hint.as_deref(),
    );
    of_failed_exec(missing.errno).into()
}

/// This machine, and the engine that the settings name.
struct Here<'a> {
    settings: &'a Settings,
    /// What the engine has, once it was asked.
    targets: OnceCell<Option<Vec<Listed>>>,
}

impl World for Here<'_> {
    fn runs(&self, name: &str) -> bool {
        program::is_there(OsStr::new(name))
    }

    fn is_target(&self, name: &str) -> Option<bool> {
        let selector: Selector = name.parse().ok()?;
        let listed = self.targets.get_or_init(|| targets(self.settings)).as_ref()?;
        Some(listed.iter().any(|listed| selector.matches(listed)))
    }

    fn elsewhere(&self, name: &str) -> Option<String> {
        let is_there = |dir: &PathBuf| program::look(&dir.join(name)).is_ok();
        let found = usual_places().into_iter().find(is_there)?;
        Some(found.to_string_lossy().into_owned())
    }

    fn is_sudo(&self) -> bool {
        sudos_user().is_some()
    }

    fn is_here(&self, name: &str) -> bool {
        program::look(Path::new(name)).is_ok()
    }

    fn subcommands(&self) -> Vec<String> {
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
    }
}

/// The targets that the engine has; `None` where it does not say.
fn targets(settings: &Settings) -> Option<Vec<Listed>> {
    let machine = reach(settings).ok()?;
    machine.endpoint().ok()?;
    let listed = block_on(async {
        let listing = async {
            let targets = machine.targets().await.map_err(|error| error.to_string())?;
            targets.list(&[]).await.map_err(|error| error.to_string())
        };
        timeout(ENGINE, listing).await.map_err(|error| error.to_string())?
    });
    Some(listed.ok()?.targets)
}

/// The user who has become root by sudo.
fn sudos_user() -> Option<String> {
    env::var("SUDO_USER").ok().filter(|user| geteuid().is_root() && !user.is_empty())
}

fn usual_places() -> Vec<PathBuf> {
    let of_user = sudos_user().and_then(|user| User::from_name(&user).ok().flatten());
    let homes = [of_user.map(|user| user.dir), env::home_dir()].into_iter().flatten();
    let at_home = homes.flat_map(|home| {
        let versions = fs::read_dir(home.join(NVM)).into_iter().flatten();
        let mut versions: Vec<PathBuf> =
            versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
        versions.sort();
        USUAL_AT_HOME.iter().map(move |dir| home.join(dir)).chain(versions.into_iter().rev())
    });
    USUAL.iter().map(PathBuf::from).chain(at_home).collect()
}
