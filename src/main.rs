//! The command: parses, dispatches, and gives the exit code. Nothing else.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use makeroom::{
    cli::{Cli, Command, RunArgs, subcommand_first, usage},
    commands::{
        self,
        error::CommandError,
        invocation::{printed, refuse},
    },
    core::run::exit::DONE,
    keeper,
};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    // The second process of each run. It is no subcommand for people, so no help and no completion
    // has it.
    if words.get(1..).is_some_and(|words| words == ["keeper"]) && keeper::process::is_meant() {
        return keeper::process::main();
    }
    let words = subcommand_first(words);
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return answer(&error, &words),
    };
    match cli.command {
        Some(Command::Run(args)) => run(args),
        None => run(cli.run),
        Some(Command::Start(args)) => commands::start::start(args),
        Some(Command::Stop(args)) => commands::stop::stop(args),
        Some(Command::Plan(args)) => commands::plan::plan(args),
        Some(Command::Status(args)) => commands::status::status(args),
        Some(Command::Doctor(args)) => commands::doctor::doctor(args),
        Some(Command::Report(args)) => commands::report::report(args),
        Some(Command::Recover(args)) => commands::recover::recover(args),
        Some(Command::Swap(command)) => commands::swap::swap(command),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::whole(), "makeroom", &mut script);
            shown(io::stdout().write_all(&script))
        }
        Some(Command::Man) => shown(commands::man::print()),
    }
}

fn run(args: RunArgs) -> ExitCode {
    if args.command.is_empty() {
        return refuse(&CommandError::Usage("there is no command to run".to_owned()));
    }
    commands::run::run(args)
}

/// Help and version go to stdout and are no error; everything else is one line and an error.
fn answer(error: &clap::Error, words: &[OsString]) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return shown(error.print());
    }
    let whole = Cli::command();
    let meant = words
        .get(1)
        .and_then(|word| whole.get_subcommands().find(|command| word == command.get_name()));
    refuse(&CommandError::Usage(usage::one_line(error, meant.unwrap_or(&whole), words)))
}

fn shown(result: io::Result<()>) -> ExitCode {
    printed(result).map_or_else(|error| refuse(&error), |()| ExitCode::from(DONE))
}
