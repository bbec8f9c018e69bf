//! `makeroom run`, and makeroom without a subcommand.

use std::{env, ffi::OsString, path::Path, process::ExitCode};

use nix::errno::Errno;

use crate::{
    cli::RunArgs,
    commands::{
        begin::begin_lease,
        command_use,
        error::CommandError,
        idle,
        invocation::{self, Invocation, enter, reach},
        need, unrunnable, wait,
    },
    config::{Layer, Purpose, Settings},
    core::{
        plan::estimate::Need,
        run::{
            build_site::{self, BuildSite},
            exit::{self, Exit},
        },
        text,
        variables::{LEASE, REPORT},
    },
    host::program::Program,
    lease::state_dir::StateLock,
    report::{console::Say, report_file::ReportFile},
    supervise::{
        event_loop::supervise,
        exit_like_child::end_as,
        inherited::{Inherited, outlive_limits},
        run::{Ended, Run},
        signals::Signals,
    },
};

const NOTHING: &str = "nothing was changed; the command was not started";

/// Makes room, runs the command, puts everything back.
#[must_use]
pub fn run(args: RunArgs) -> ExitCode {
    let inherited = Inherited::look();
    outlive_limits();
    let RunArgs { room, child, common, command } = args;
    let flags = Layer::of_flags(room, child, common);
    enter(flags, Purpose::Build, |invocation| build(invocation, command, inherited))
}

fn build(
    invocation: &mut Invocation,
    command: Vec<OsString>,
    inherited: Inherited,
) -> invocation::Ended {
    let Invocation { flags, settings, say } = invocation;
    let program = match Program::find(&command) {
        Ok(program) => program,
        Err(missing) => return Ok(unrunnable::tell(&command, &missing, settings, say)),
    };
    idle::tell(flags, settings, say);
    let report = open_report(settings, say)?;
    if flags.child.report.is_none() {
        // It asks for the report of this run, not of each one inside. SAFETY: this process has one
        // thread.
        unsafe { env::remove_var(REPORT) };
    }
    let site = build_site::of_command(&command);
    let mut signals = Signals::receive().map_err(|error| {
        CommandError::new(format!("cannot receive signals: {error}")).with_state(NOTHING)
    })?;
    let expected = need::expected(settings, &command, say);
    let turn = match await_turn(settings, site, expected, &mut signals, say) {
        Ok(turn) => turn,
        Err(exit) => {
            say.end();
            return Ok(end_as(exit));
        }
    };
    let begun = begin_lease(&settings.state_dir, settings.room.clone(), |request| {
        request.program = command.first().map(|program| {
            Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned()
        });
        request.need_bytes = need::of_run(settings, expected, say).map(|need| need.bytes);
        request.expected_bytes = expected.map(|need| need.bytes);
        request.uses = command_use::of(&command);
        request.builds_in_engine = site.is_in_engine();
        request.strict = settings.run.strict;
        request.timeout = settings.run.timeout;
        request.inside = env::var(LEASE).ok();
    });
    let lease = match begun {
        Ok(begun) => Some(begun),
        Err(error) if settings.run.strict => return Err(error.with_state(NOTHING)),
        Err(error) => {
            let reason = text::printable(&error.to_string());
            say.warning(
                format!("{reason}; nothing is changed, the command runs without room made"),
                error.hint().as_deref(),
            );
            None
        }
    };
    // The lease is there for the next one that waits.
    drop(turn);
    let words = command.iter().take(if settings.run.record_arguments { usize::MAX } else { 1 });
    let command_shown =
        words.map(|word| text::shell_word(&word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let name = command.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let run = Run {
        history_key: need::key(&command),
        command,
        program,
        site,
        lease,
        strict: settings.run.strict,
        timeout: settings.run.timeout,
        grace: settings.run.grace,
        restore_timeout: settings.room.restore_timeout,
        command_shown,
        report,
    };
    let ended = supervise(run, inherited, signals, say);
    say.end();
    match ended {
        Ended::Exit(exit) => Ok(end_as(exit)),
        Ended::Become(program, handled) => {
            inherited.give_back_dispositions(&handled);
            inherited.give_back_mask();
            let errno = program.execute();
            let (name, why) = (text::printable(&name), Errno::from_raw(errno).desc());
            say.error(format!("cannot run `{name}`: {why}"), None, None);
            Ok(exit::of_failed_exec(errno).into())
        }
    }
}

/// `--report`, opened before anything is changed.
fn open_report(settings: &Settings, say: &mut Say) -> Result<Option<ReportFile>, CommandError> {
    let Some(path) = &settings.run.report else { return Ok(None) };
    let error = match ReportFile::open(path) {
        Ok(file) => return Ok(Some(file)),
        Err(error) => error,
    };
    let text = format!(
        "the report cannot be written to {}: {error}",
        text::printable(&path.to_string_lossy())
    );
    if settings.run.strict {
        return Err(CommandError::new(text).with_state(NOTHING));
    }
    say.warning(text, None);
    Ok(None)
}

/// `--wait`. Inside a lease nothing is waited for: the build around this one would wait for itself.
fn await_turn(
    settings: &Settings,
    site: BuildSite,
    expected: Option<Need>,
    signals: &mut Signals,
    say: &mut Say,
) -> Result<Option<StateLock>, Exit> {
    let is_inside = || env::var(LEASE).is_ok_and(|lease| wait::is_inside(&lease, settings));
    let Some(limit) = settings.run.wait.filter(|_| !is_inside()) else { return Ok(None) };
    let Some(need) = expected else {
        say.info(
            "what this build needs is not known (--need, or an earlier run): it does not wait",
        );
        return Ok(None);
    };
    let host = match reach(settings) {
        Ok(machine) => machine.host(),
        Err(error) => {
            say.warning(format!("{error}: it does not wait"), None);
            return Ok(None);
        }
    };
    if host.is_some() && !site.is_in_engine() {
        say.info(
            "this build runs in front of the machine that room is made on: it does not wait for \
             others",
        );
        return Ok(None);
    }
    wait::for_turn(limit, need.bytes, host.as_ref(), settings, signals, say)
}
