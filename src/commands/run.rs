//! `makeroom run`, and makeroom without a subcommand.

use std::{env, ffi::CString, os::unix::ffi::OsStringExt as _, path::Path, process::ExitCode};

use nix::unistd::execvp;

use crate::{
    cli::RunArgs,
    commands::{idle, need, wait},
    config::{self, Settings},
    core::{
        machine::pressure,
        plan::estimate::Need,
        run::{
            build_site::{self, BuildSite},
            exit::{self, Exit},
        },
        text,
        variables::LEASE,
    },
    lease::state_dir::StateLock,
    report::{console::Say, report_file::ReportFile},
    supervise::{
        event_loop::{Ended, Plan, drive},
        exit_like_child::end_as,
        inherited::{Inherited, outlive_limits},
        signals::Signals,
    },
};

/// Makes room, runs the command, puts everything back.
#[must_use]
pub fn run(args: RunArgs) -> ExitCode {
    let inherited = Inherited::look();
    outlive_limits();
    let settings = match config::settle(&args.room, &args.child, &args.common) {
        Ok(settings) => settings,
        Err(error) => return crate::commands::refuse(&error),
    };
    let mut say = crate::commands::voice(&settings);
    idle::tell(&args.room, &args.child.guard, &settings, &mut say);
    let program = args.command.first().map(|program| {
        Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned()
    });
    let report = match settings.report.as_ref().map(|path| (path, ReportFile::open(path))) {
        Some((path, Err(error))) => {
            let text = format!(
                "the report cannot be written to {}: {error}",
                text::printable(&path.to_string_lossy())
            );
            if settings.strict {
                say.error(text, Some("nothing was changed; the command was not started"), None);
                return crate::commands::failed();
            }
            say.warning(text, None);
            None
        }
        opened => opened.and_then(|(_, file)| file.ok()),
    };
    if args.child.report.is_none() {
        // It asks for the report of this run, not of each one inside. SAFETY: this process has one
        // thread.
        unsafe { env::remove_var("MAKEROOM_REPORT") };
    }
    let site = build_site::of_command(&args.command);
    let mut signals = match Signals::receive() {
        Ok(signals) => signals,
        Err(error) => {
            say.error(
                format!("cannot receive signals: {error}"),
                Some("nothing was changed; the command was not started"),
                None,
            );
            return crate::commands::failed();
        }
    };
    let expected = need::expected(&settings, &args.command, &mut say);
    let turn = match await_turn(&settings, site, expected, &mut signals, &mut say) {
        Ok(turn) => turn,
        Err(exit) => {
            say.end();
            return end_as(exit);
        }
    };
    let begun = crate::commands::begin_lease(&settings, |request| {
        request.program = program;
        request.need_bytes = need::of_run(&settings, expected, &mut say).map(|need| need.bytes);
        request.expected_bytes = expected.map(|need| need.bytes);
        request.settings.linger = settings.linger;
        request.builds_in_engine = site.is_in_engine();
        request.settings.guard = guard(&settings);
        request.timeout = settings.timeout;
        request.inside = env::var(LEASE).ok();
    });
    let lease = match begun {
        Ok(begun) => Some(begun),
        Err((reason, hint)) if settings.strict => {
            say.error(
                text::printable(&reason),
                Some("nothing was changed; the command was not started"),
                hint.as_deref(),
            );
            return crate::commands::failed();
        }
        Err((reason, hint)) => {
            say.warning(
                format!(
                    "{}; nothing is changed, the command runs without room made",
                    text::printable(&reason)
                ),
                hint.as_deref(),
            );
            None
        }
    };
    // The lease is there for the next one that waits.
    drop(turn);
    let words = args.command.iter().take(if settings.record_arguments { usize::MAX } else { 1 });
    let command_shown =
        words.map(|word| text::shell_word(&word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let history_key = need::key(&args.command);
    let plan = Plan {
        command: args.command,
        site,
        lease,
        strict: settings.strict,
        timeout: settings.timeout,
        grace: settings.grace,
        restore_timeout: settings.restore_timeout,
        command_shown,
        history_key,
        report,
    };
    match drive(plan, inherited, signals, &mut say) {
        Ended::Exit(exit) => {
            say.end();
            end_as(exit)
        }
        Ended::Become(command, handled) => {
            say.end();
            inherited.give_back_dispositions(&handled);
            inherited.give_back_mask();
            let words: Result<Vec<CString>, _> =
                command.iter().map(|word| CString::new(word.clone().into_vec())).collect();
            let words = match words {
                Ok(words) => words,
                Err(error) => {
                    say.error(error, None, None);
                    return crate::commands::failed();
                }
            };
            let Err(errno) = execvp(&words[0], &words);
            say.error(
                format!(
                    "cannot run `{}`: {}",
                    text::printable(&words[0].to_string_lossy()),
                    errno.desc()
                ),
                None,
                None,
            );
            ExitCode::from(exit::of_failed_exec(errno as i32))
        }
    }
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
    let Some(limit) = settings.wait.filter(|_| !is_inside()) else { return Ok(None) };
    let Some(need) = expected else {
        say.info(
            "what this build needs is not known (--need, or an earlier run): it does not wait",
        );
        return Ok(None);
    };
    let host = match crate::commands::reach(settings) {
        Ok(machine) => machine.host(),
        Err(error) => {
            say.warning(format!("{error}: it does not wait"), None);
            return Ok(None);
        }
    };
    if host.is_some() && !site.is_in_engine() {
        say.info("this build runs in front of the machine that room is made on: it does not wait for others");
        return Ok(None);
    }
    wait::for_turn(limit, need.bytes, host.as_ref(), settings, signals, say)
}

/// What the keeper is to watch for; nothing where nothing would come of it.
fn guard(settings: &Settings) -> Option<pressure::Wish> {
    let wish = pressure::Wish {
        then: settings.then.clone(),
        pressure: settings.pressure,
        floor_bytes: settings.floor.map(|floor| floor.bytes),
        abort_after: settings.abort_on_thrash,
    };
    (!wish.then.is_empty() || wish.abort_after.is_some()).then_some(wish)
}
