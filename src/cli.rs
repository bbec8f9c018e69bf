//! Owns the command line's definitions, and nothing else: completions and the man page come from
//! here.

mod options;
mod subcommands;
pub mod usage;

use std::ffi::OsString;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueHint};

pub use options::{ChildArgs, CommonArgs, GuardArgs, HookArgs, HostArgs, RoomArgs, Switch};
pub use subcommands::{
    DoctorArgs, PlanArgs, RecoverArgs, ReportArgs, RestoreArgs, StartArgs, StatusArgs, StopArgs,
    SwapArgs, SwapCommand,
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
#[command(name = "makeroom", version, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true)]
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
    #[arg(
        trailing_var_arg = true,
        value_name = "COMMAND",
        value_hint = ValueHint::CommandWithArguments
    )]
    pub command: Vec<OsString>,
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
