//! The command: parses, dispatches, and gives the exit code. Nothing else.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use makeroom::{
    cli::{Cli, Command, subcommand_first},
    commands,
    core::{text, values::ColorWish},
    keeper,
    report::console::Say,
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
        Err(error) => return refuse(&error, &words),
    };
    match cli.command {
        Some(Command::Run(args)) => run(args),
        None => run(cli.run),
        Some(Command::Start(args)) => commands::start::start(&args),
        Some(Command::Stop(args)) => commands::stop::stop(&args),
        Some(Command::Plan(args)) => commands::plan::plan(&args),
        Some(Command::Status(args)) => commands::status::status(&args),
        Some(Command::Doctor(args)) => commands::doctor::doctor(&args),
        Some(Command::Report(args)) => commands::report::report(&args),
        Some(Command::Recover(args)) => commands::recover::recover(&args),
        Some(Command::Swap(command)) => commands::swap::swap(&command),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::whole(), "makeroom", &mut script);
            commands::printed(io::stdout().write_all(&script), ExitCode::SUCCESS)
        }
        Some(Command::Man) => commands::printed(commands::man::print(), ExitCode::SUCCESS),
    }
}

fn run(args: makeroom::cli::RunArgs) -> ExitCode {
    if args.command.is_empty() {
        return usage("there is no command to run");
    }
    commands::run::run(args)
}

/// Help and version go to stdout and are no error; everything else is one line and 125.
fn refuse(error: &clap::Error, words: &[OsString]) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return commands::printed(error.print(), ExitCode::SUCCESS);
    }
    let whole = Cli::command();
    let meant = words
        .get(1)
        .and_then(|word| whole.get_subcommands().find(|command| word == command.get_name()));
    usage(&commands::usage::one_line(error, meant.unwrap_or(&whole)))
}

fn usage(message: &str) -> ExitCode {
    let mut say = Say::new(ColorWish::Auto, false, false, false);
    say.error(
        text::printable(message),
        Some("nothing was changed; no command was started"),
        Some("`makeroom --help`"),
    );
    commands::failed()
}
