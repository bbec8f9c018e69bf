//! The subcommands, one file each: composition only.

pub mod doctor;
mod forget;
mod idle;
pub mod man;
mod need;
pub mod plan;
pub mod recover;
pub mod report;
pub mod run;
pub mod schemas;
pub mod start;
pub mod status;
pub mod stop;
pub mod swap;
mod unseen;
pub mod usage;
mod wait;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use crate::{
    config::{ConfigError, Settings},
    core::{
        run::{
            exit::FAILED,
            room_settings::{Afterwards, RoomSettings},
            wire::{self, Request, ToKeeper},
        },
        text,
        values::ColorWish,
    },
    engine::endpoint::Wish,
    host::container::{Place, place_of},
    lease::{journal::Journal, leases::new_id, state_dir::StateDir},
    report::console::Say,
    room::machine::Machine,
};

/// makeroom itself failed.
#[must_use]
pub fn failed() -> ExitCode {
    ExitCode::from(FAILED)
}

/// Prints to stdout what was asked for, and gives the exit code that is due then.
#[must_use]
pub fn print(shown: &str, due: ExitCode) -> ExitCode {
    printed(io::stdout().write_all(shown.as_bytes()), due)
}

/// The exit code after printing to stdout: the one that is due, or 125 and a line where it could
/// not be written to.
#[must_use]
pub fn printed(result: io::Result<()>, due: ExitCode) -> ExitCode {
    match result.and_then(|()| io::stdout().flush()) {
        Ok(()) => due,
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => due,
        Err(error) => {
            Say::new(ColorWish::Auto, false, false, false).error(
                format!("cannot write to stdout: {error}"),
                None,
                None,
            );
            failed()
        }
    }
}

/// A usage error or a setting that cannot be used: one line, and nothing was done.
#[must_use]
pub fn refuse(error: &ConfigError) -> ExitCode {
    let mut say = Say::new(ColorWish::Auto, false, false, false);
    say.error(
        text::printable(&error.to_string()),
        Some("nothing was changed"),
        error.hint().as_deref(),
    );
    failed()
}

/// The voice that the settings ask for. The first that it says is whose files they leave out.
#[must_use]
pub fn voice(settings: &Settings) -> Say {
    let mut say = Say::new(settings.color, settings.quiet, settings.verbose, settings.strict);
    for refused in &settings.refused {
        say.warning(refused.reason(), Some(&refused.hint()));
    }
    say
}

/// Begins a lease: its journal, and what its keeper is asked for, which is the settings and what
/// `complete` adds to them. Where that is not possible, nothing may be changed; what is said then
/// is the reason and the way out.
///
/// # Errors
/// Reason and hint.
pub fn begin_lease(
    settings: &Settings,
    complete: impl FnOnce(&mut Request),
) -> Result<(Request, Journal), (String, Option<String>)> {
    let dir = absolute(&settings.state_dir).map_err(|error| (error, None))?;
    let swap_file =
        settings.swap_file.as_deref().map(absolute).transpose().map_err(|error| (error, None))?;
    if place_of(Path::new(&dir)) == Place::Fleeting {
        let place = text::shell_word(&dir);
        let reason =
            format!("this is a container, and the state directory {place} would vanish with it");
        return Err((
            reason,
            Some(format!("put it on a volume: docker run -v makeroom:{place} …")),
        ));
    }
    let state =
        StateDir::open(Path::new(&dir)).map_err(|error| (error.to_string(), Some(error.hint())))?;
    let lease = new_id().map_err(|error| (error.to_string(), None))?;
    let mut request = Request {
        lease: lease.clone(),
        state_dir: dir,
        settings: RoomSettings {
            pause: settings.pause.clone(),
            keep: settings.keep.clone(),
            method: settings.method,
            no_reclaim: settings.no_reclaim,
            swap: settings.swap,
            swap_file,
            engine: settings.engine.clone(),
            context: settings.context.clone(),
            vm_shell: settings.vm_shell.clone(),
            stop_timeout: settings.stop_timeout,
            restore_timeout: settings.restore_timeout,
            insist: settings.insist,
            hooks: settings.hooks.clone(),
            afterwards: Afterwards { wait_healthy: settings.wait_healthy, warm: settings.warm },
            linger: None,
            guard: None,
        },
        ..Request::default()
    };
    complete(&mut request);
    if wire::line(&ToKeeper::MakeRoom(Box::new(request.clone()))).len() > wire::LONGEST_BYTES {
        let reason = format!(
            "all selectors together are longer than {}",
            text::size(wire::LONGEST_BYTES as u64)
        );
        return Err((
            reason,
            Some("a glob, `label:` or `compose:` names many containers at once".to_owned()),
        ));
    }
    let journal = Journal::create(&state, &lease).map_err(|error| (error.to_string(), None))?;
    Ok((request, journal))
}

/// A path as journals and steps on the host are told it: whoever reads it may be in another
/// directory.
///
/// # Errors
/// Where there is no working directory, or it is not text.
fn absolute(path: &Path) -> Result<String, String> {
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    path.into_os_string().into_string().map_err(|path| format!("{} is not UTF-8", path.display()))
}

/// The way to the engine that the settings name, and to its host.
///
/// # Errors
/// Where there is no name for a connection of its own.
pub fn reach(settings: &Settings) -> Result<Machine, String> {
    let wish = Wish { engine: settings.engine.clone(), context: settings.context.clone() };
    let name = new_id().map_err(|error| error.to_string())?;
    Ok(Machine::find(&wish, settings.vm_shell.as_ref(), &name))
}

/// Runs a short command's work with the engine.
///
/// # Errors
/// What the work says, or that there is no runtime.
pub fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(work)
}
