//! Owns the command line's definitions, and nothing else: completions and the man page come from
//! here.

mod subcommands;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueHint};

pub use subcommands::{
    DoctorArgs, PlanArgs, RecoverArgs, ReportArgs, StartArgs, StatusArgs, StopArgs, SwapArgs,
    SwapCommand,
};

use crate::core::{
    machine::way::Prefix,
    target::selector::Selector,
    values::{ColorWish, MethodWish, NeedWish, Percent, Size, Span, SwapWish},
};

const EXAMPLES: &str = "\
Examples:
  makeroom --pause 'mana-mon-*' -- pnpm build     pause the monitoring, build, put it back
  makeroom --pause label:tier=mon --swap 4GiB make -j8
  makeroom start --name ci --pause 'mon-*'        keep room across CI steps, until:
  makeroom stop ci

A COMMAND named like a subcommand needs `--` before it. Options can also be set in
makeroom.toml and as MAKEROOM_… variables; `makeroom man` has all the rest.";

/// Makes room in memory for a build: pauses containers, swaps them out, and puts all back after.
#[derive(Debug, Parser)]
#[command(name = "makeroom", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(
    disable_help_subcommand = true,
    override_usage = "makeroom [OPTIONS] [--] COMMAND [ARG...]\n       makeroom SUBCOMMAND"
)]
pub struct Cli {
    /// What to do; without one, a run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The run's own.
    #[command(flatten)]
    pub run: RunArgs,
}

impl Cli {
    /// The definitions with the options that are left out of `--help`, which is to fit a screen:
    /// for completions and the man page.
    #[must_use]
    pub fn whole() -> clap::Command {
        let shown = |command: clap::Command| command.mut_args(|argument| argument.hide(false));
        shown(Self::command()).mut_subcommands(shown)
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make room, run a command, put everything back
    Run(RunArgs),
    /// Make room and keep it across CI steps; prints the lease's id
    Start(StartArgs),
    /// Put back what `start` changed
    Stop(StopArgs),
    /// Show who holds the memory, and whether a build fits; exit 1 where it does not
    Plan(PlanArgs),
    /// Show leases, targets, swap and memory
    Status(StatusArgs),
    /// Put back what dead holders left
    Recover(RecoverArgs),
    /// Show the last run, or the one named
    Report(ReportArgs),
    /// Check what a run needs, with the fix; exit 1 where there is something to fix
    Doctor(DoctorArgs),
    /// Turn swap on that stays, or off again
    #[command(subcommand)]
    Swap(SwapCommand),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page
    Man,
}

/// `makeroom run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// How room is made.
    #[command(flatten)]
    pub room: RoomArgs,
    /// How the child is run.
    #[command(flatten)]
    pub child: ChildArgs,
    /// Where things are, and how much is said.
    #[command(flatten)]
    pub common: CommonArgs,
    /// The command to run
    #[arg(trailing_var_arg = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// How room is made.
#[derive(Debug, Default, Args)]
pub struct RoomArgs {
    /// Containers to make room with: name, glob, re:REGEX, label:KEY[=VALUE],
    /// compose:PROJECT[/SERVICE]
    #[arg(long, value_name = "SELECTOR")]
    pub pause: Vec<Selector>,
    /// Containers never to touch; wins over --pause
    #[arg(long, value_name = "SELECTOR")]
    pub keep: Vec<Selector>,
    /// auto, pause or stop; auto: stop where swap cannot hold them
    #[arg(long, value_name = "METHOD")]
    pub method: Option<MethodWish>,
    /// Leave what is paused in memory
    #[arg(long)]
    pub no_reclaim: bool,
    /// Room for only this much; auto: as the last runs took [default: all]
    #[arg(long, value_name = "SIZE|auto")]
    pub need: Option<NeedWish>,
    /// Swap to have active and free: a size, or off [default: 2GiB]
    #[arg(long, value_name = "SIZE|off", allow_hyphen_values = true)]
    pub swap: Option<SwapWish>,
    /// Its file [default: /var/lib/makeroom/swapfile; Colima: on its disk]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub swap_file: Option<PathBuf>,
    /// Which engine, and the way to it.
    #[command(flatten)]
    pub host: HostArgs,
    /// Before the engine kills a stopping container [default: its own]
    #[arg(long, value_name = "DUR", hide = true)]
    pub stop_timeout: Option<Span>,
    /// For putting back [default: 30s]
    #[arg(long, value_name = "DUR")]
    pub restore_timeout: Option<Span>,
    /// Afterwards, wait so long until what was healthy answers again
    #[arg(long, value_name = "DUR")]
    pub wait_healthy: Option<Span>,
    /// Afterwards, read back for so long what services have in swap
    #[arg(long, value_name = "DUR", hide = true)]
    pub warm: Option<Span>,
    /// Take again, up to three times, what somebody else unpaused or started meanwhile
    #[arg(long, hide = true)]
    pub insist: bool,
    /// Room that cannot be made is an error (125)
    #[arg(long)]
    pub strict: bool,
    /// Commands of one's own that are told what happens.
    #[command(flatten)]
    pub hooks: HookArgs,
}

/// Commands that are told what happens to the room. Not on the screen of `--help`: see
/// [`Cli::whole`].
#[derive(Clone, Debug, Default, Args)]
pub struct HookArgs {
    /// Run by `sh -c` beside the build's start, with the facts in MAKEROOM_EVENT, MAKEROOM_SERVICES
    /// and their like
    #[arg(long, value_name = "COMMAND", hide = true, value_hint = ValueHint::CommandString)]
    pub on_room_made: Option<String>,
    /// The same when everything is back
    #[arg(long, value_name = "COMMAND", hide = true, value_hint = ValueHint::CommandString)]
    pub on_restored: Option<String>,
}

/// Which engine, and the way to the machine that it runs on.
#[derive(Clone, Debug, Default, Args)]
pub struct HostArgs {
    /// unix:///PATH, tcp://HOST:PORT or ssh://DEST [default: as docker does]
    #[arg(long, value_name = "URL", conflicts_with = "context")]
    pub engine: Option<String>,
    /// The docker context
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Runs a command on the engine's VM: "colima ssh --" [default: found]
    #[arg(long, value_name = "COMMAND")]
    pub vm_shell: Option<Prefix>,
}

/// How the child is run.
#[derive(Debug, Default, Args)]
pub struct ChildArgs {
    /// What is done when memory gets short meanwhile.
    #[command(flatten)]
    pub guard: GuardArgs,
    /// End the build after this (124)
    #[arg(long, value_name = "DUR")]
    pub timeout: Option<Span>,
    /// From the signal to SIGKILL [default: 10s]
    #[arg(long, value_name = "DUR")]
    pub grace: Option<Span>,
    /// Wait this long for builds beside which this one does not fit
    #[arg(long, value_name = "DUR")]
    pub wait: Option<Span>,
    /// Keep the room this long after the build, for the next one
    #[arg(long, value_name = "DUR")]
    pub linger: Option<Span>,
    /// Write the run's report as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// Keep the arguments in the report, too; they may hold secrets
    #[arg(long, hide = true)]
    pub record_arguments: bool,
}

/// What is done when memory gets short while the build runs.
#[derive(Debug, Default, Args)]
pub struct GuardArgs {
    /// Containers to pause only once memory is short: a step each
    #[arg(long, value_name = "SELECTOR")]
    pub then: Vec<Selector>,
    /// Short: all stalls for so much of the time [default: 10%]
    #[arg(long, value_name = "PERCENT", hide = true)]
    pub pressure: Option<Percent>,
    /// Short: less is available, or soon will be [default: 192MiB or 3%]
    #[arg(long, value_name = "SIZE")]
    pub floor: Option<Size>,
    /// End the build (124) after so long under pressure, no step left
    #[arg(long, value_name = "DUR")]
    pub abort_on_thrash: Option<Span>,
    /// Run by `sh -c` when a step was taken, with the facts in MAKEROOM_EVENT, MAKEROOM_SERVICES
    /// and their like
    #[arg(long, value_name = "COMMAND", hide = true, value_hint = ValueHint::CommandString)]
    pub on_pressure: Option<String>,
}

/// Where things are, and how much is said.
#[derive(Debug, Default, Args)]
pub struct CommonArgs {
    /// Use this file instead of each makeroom.toml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Where leases are recorded
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
    /// A directory whose makeroom.toml counts though it is somebody else's
    #[arg(long, value_name = "DIR", hide = true, value_hint = ValueHint::DirPath)]
    pub safe_directory: Vec<PathBuf>,
    /// Only warnings and errors
    #[arg(short, long)]
    pub quiet: bool,
    /// Details
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// auto, always or never
    #[arg(long, value_name = "WHEN")]
    pub color: Option<ColorWish>,
}

/// Moves options that stand before a subcommand behind it: `makeroom -q status` is `makeroom status
/// -q`, so that a subcommand's name needs no particular place, and no option is read for a run that
/// is none.
#[must_use]
pub fn subcommand_first(words: Vec<OsString>) -> Vec<OsString> {
    let command = Cli::command();
    let takes_value = |word: &str| {
        let named = command.get_arguments().find(|argument| {
            argument.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long))
                || argument.get_short().is_some_and(|short| {
                    word.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4]))
                })
        });
        named.is_some_and(|argument| argument.get_action().takes_values())
    };
    let mut place = 1;
    while let Some(word) = words.get(place).map(|word| word.to_string_lossy()) {
        if word == "--" || !word.starts_with('-') {
            break;
        }
        place += if takes_value(&word) { 2 } else { 1 };
    }
    let is_subcommand = words
        .get(place)
        .and_then(|word| word.to_str())
        .is_some_and(|word| command.get_subcommands().any(|sub| sub.get_name() == word));
    let mut moved = words;
    if is_subcommand {
        let subcommand = moved.remove(place);
        moved.insert(1, subcommand);
    }
    moved
}

#[cfg(test)]
mod tests;
