//! Owns the one door of the subcommands: what each of them works with, and how its end becomes an
//! exit code. What a subcommand failed for is printed here.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    commands::error::CommandError,
    config::{self, Layer, Purpose, Settings},
    core::{run::exit::FAILED, text::printable, values::ColorWish},
    lease::leases::new_id,
    report::console::Say,
    room::machine::Machine,
};

/// What a subcommand works with.
#[derive(Debug)]
pub struct Invocation {
    /// What was typed.
    pub flags: Layer,
    /// What that, the environment and the files come to.
    pub settings: Settings,
    /// The voice that the settings ask for.
    pub say: Say,
}

/// How a subcommand ended; a failure that took more than one line is said already.
pub type Ended = Result<ExitCode, CommandError>;

/// Settles what the flags and all else say, does the work, and gives the exit code. The first that
/// is said is what does not count: files of somebody else's, variables that nobody knows.
pub(super) fn enter(
    flags: Layer,
    purpose: Purpose,
    work: impl FnOnce(&mut Invocation) -> Ended,
) -> ExitCode {
    let settings = match config::settle(&flags, purpose) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error.into()),
    };
    let ui = &settings.ui;
    let mut say = Say::new(ui.color, ui.quiet, ui.verbose, settings.run.strict);
    for refused in &settings.refused {
        say.warning(refused.reason(), Some(&refused.hint()));
    }
    for fault in &settings.faults {
        say.warning(printable(&fault.to_string()), Some(&fault.hint_to_pass_over()));
    }
    let mut invocation = Invocation { flags, settings, say };
    let ended = work(&mut invocation);
    ended.unwrap_or_else(|error| tell(&error, &mut invocation.say))
}

/// Prints why nothing was begun; the settings say nothing about it yet.
#[must_use]
pub fn refuse(error: &CommandError) -> ExitCode {
    tell(error, &mut Say::new(ColorWish::Auto, false, false, false))
}

fn tell(error: &CommandError, say: &mut Say) -> ExitCode {
    say.error(printable(&error.to_string()), error.not_done(), error.hint().as_deref());
    ExitCode::from(FAILED)
}

/// Prints to stdout what was asked for.
///
/// # Errors
/// Where it cannot be written to.
pub(super) fn print(shown: &str) -> Result<(), CommandError> {
    printed(io::stdout().write_all(shown.as_bytes()))
}

/// Whether all is out that was printed to stdout.
///
/// # Errors
/// Where it could not be written to.
pub fn printed(result: io::Result<()>) -> Result<(), CommandError> {
    match result.and_then(|()| io::stdout().flush()) {
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::Stdout(error)),
        _ => Ok(()),
    }
}

/// The way to the engine that the settings name, and to its host.
///
/// # Errors
/// Where there is no name for a connection of its own.
pub(super) fn reach(settings: &Settings) -> Result<Machine, String> {
    let name = new_id().map_err(|error| error.to_string())?;
    Ok(Machine::of_settings(&settings.room, &name))
}

/// Runs a short command's work with the engine.
///
/// # Errors
/// What the work says, or that there is no runtime.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(work)
}
