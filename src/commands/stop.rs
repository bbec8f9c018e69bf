//! `makeroom stop`: ends started leases, through their keepers, or by restoring where nobody
//! answers.

use std::{
    io::{self, Read as _, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{
    cli::{HostArgs, RoomArgs, StopArgs},
    commands::unseen::{self, Unseen},
    config::{self, Settings},
    core::{
        lease::{
            late_call::awaited,
            record::{Kind, LeaseState, Opened},
        },
        run::{
            room_settings::Afterwards,
            wire::{self, Back, FromKeeper, Inbox, ToKeeper},
        },
        text, values,
    },
    host::kernel::moment,
    lease::{
        control_socket,
        journal::{Journal, Looked},
        leases::{Leases, id_of},
        state_dir::StateDir,
    },
    report::{console::Say, run_lines},
    room::{
        hooks,
        machine::Machine,
        recover::{came, recovered},
        restore::Restorer,
    },
    supervise::inherited::outlive_limits,
};

/// Beyond `--restore-timeout`: reading swapped pages back.
const SWAP_PATIENCE: Duration = Duration::from_mins(5);

/// How often a lease that is still being started is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Puts back what `start` changed.
#[must_use]
pub fn stop(args: &StopArgs) -> ExitCode {
    outlive_limits();
    let host = HostArgs { vm_shell: args.vm_shell.clone(), ..HostArgs::default() };
    let room = RoomArgs { restore_timeout: args.restore_timeout, host, ..RoomArgs::default() };
    let settings = match config::settle_apart(&room, &args.common) {
        Ok(settings) => settings,
        Err(error) => return crate::commands::refuse(&error),
    };
    let mut say = crate::commands::voice(&settings);
    let state = match unseen::open(&settings, !args.leases.is_empty(), &mut say) {
        Ok(state) => state,
        Err(code) => return code,
    };
    match stop_all(state, args, &settings, &mut say) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => crate::commands::failed(),
        Err(error) => {
            say.error(
                text::printable(&error),
                Some("nothing was changed"),
                Some("`makeroom status` shows the leases"),
            );
            crate::commands::failed()
        }
    }
}

fn stop_all(
    state: unseen::Opened,
    args: &StopArgs,
    settings: &Settings,
    say: &mut Say,
) -> Result<bool, String> {
    let (known, unsure) = if let unseen::Opened::State(state) = &state {
        known(state, settings)?
    } else {
        <_>::default()
    };
    for error in &unsure {
        say.warning(
            format!("{}; whether it is to be stopped is not known", text::printable(error)),
            None,
        );
    }
    let chosen = choose(args, &known)?;
    let missing: Vec<&str> = args
        .leases
        .iter()
        .filter(|wanted| !known.iter().any(|opened| is_named(opened, wanted)))
        .map(String::as_str)
        .collect();
    let none = match (&state, chosen.is_empty()) {
        (unseen::Opened::State(_), true) if unsure.is_empty() => Some("no such lease is held"),
        (unseen::Opened::Absent, _) => Some("no lease is held"),
        _ => None,
    };
    let is_only = args.leases.is_empty() && !chosen.is_empty() && !args.all;
    let mut is_whole = tell_unseen(args, &missing, is_only, none, say, unseen::look(settings));
    if !chosen.is_empty() && is_whole && !missing.is_empty() {
        say.info(format!("no lease is held as {}", text::names(missing, 5)));
    }
    is_whole &= unsure.is_empty();
    // Without a state directory none was chosen.
    let unseen::Opened::State(state) = state else { return Ok(is_whole) };
    for lease in chosen {
        match end(&state, &lease, settings, say) {
            Ok(Some(Ended { back, abandoned })) => {
                match abandoned {
                    Some(before) => {
                        say.note(&recovered(&lease, &before, &back));
                        tell_hook(&state, settings, &before, &back, say)?;
                    }
                    None => say.info(
                        run_lines::all_back(&back)
                            .unwrap_or_else(|| format!("lease {lease} ended")),
                    ),
                }
                if let Some(line) = run_lines::not_healthy(&back) {
                    say.warning(
                        line,
                        Some("`docker ps` shows their health, `docker logs` what they say"),
                    );
                }
                if let Some(line) = awaited(&back.late) {
                    is_whole = false;
                    say.warning(
                        format!("{line}; the keeper waits for that"),
                        Some("`makeroom status` shows it"),
                    );
                }
                if let Some(line) = run_lines::not_back(&back) {
                    is_whole = false;
                    say.error(line, None, Some("makeroom recover"));
                }
            }
            // Somebody else ended it in between.
            Ok(None) => say.info(format!("lease {lease} has ended")),
            Err(error) => {
                is_whole = false;
                say.error(
                    format!("cannot end the lease {lease}: {}", text::printable(&error)),
                    None,
                    Some("makeroom recover"),
                );
            }
        }
    }
    Ok(is_whole)
}

/// Says what others may hold, and that there is `none` of this user's; whether nothing is missing
/// that was asked for: `missing` are the names that nobody here has, and `is_only` is the one lease
/// that was meant.
fn tell_unseen(
    args: &StopArgs,
    missing: &[&str],
    is_only: bool,
    none: Option<&str>,
    say: &mut Say,
    unseen: Unseen,
) -> bool {
    let names: Vec<String> = missing.iter().map(|name| text::shell_word(name)).collect();
    let command = |way: &str| {
        [way, "stop"]
            .into_iter()
            .chain(names.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    };
    match (unseen, missing) {
        // All that was asked for by name is here.
        (Unseen::Held(_), []) if !args.leases.is_empty() => {}
        (Unseen::Held(line), []) if is_only => say.info(line),
        (Unseen::Held(line), _) => {
            say.error(line, None, Some(&command("sudo makeroom")));
            return false;
        }
        (Unseen::Perhaps { line, command: way }, [first, ..]) => {
            let text =
                format!("`{}` is no lease that is held here; {line}", text::printable(first));
            say.error(text, None, Some(&command(way)));
            return false;
        }
        (Unseen::Perhaps { line, .. }, []) => {
            if let Some(none) = none {
                say.info(format!("{none}; {line}"));
            }
        }
        (Unseen::Nothing, _) => {
            if let Some(none) = none {
                say.info(none);
            }
        }
    }
    true
}

/// Whether this is the lease's id or its name.
fn is_named(opened: &Opened, wanted: &String) -> bool {
    *wanted == opened.lease || Some(wanted) == opened.name.as_ref()
}

fn tell_hook(
    state: &StateDir,
    settings: &Settings,
    before: &LeaseState,
    back: &Back,
    say: &mut Say,
) -> Result<(), String> {
    let say = std::cell::RefCell::new(say);
    let tell = |message: FromKeeper| {
        if let FromKeeper::Note(note) = message {
            say.borrow_mut().note(&note);
        }
    };
    crate::commands::block_on(async {
        hooks::after_the_dead(&settings.hooks, state.path(), before, back, &tell).await;
        Ok(())
    })
}

/// All leases that are recorded, dead ones as well: what a dead keeper held is put back here. And
/// why others were not seen.
fn known(state: &StateDir, settings: &Settings) -> Result<(Vec<Opened>, Vec<String>), String> {
    let lock = state.lock(settings.restore_timeout).map_err(|error| error.to_string())?;
    let leases = Leases::look(state, &lock, None).map_err(|error| error.to_string())?;
    let live = leases.live.iter().map(|(_, state)| state);
    let known = live
        .chain(leases.dead.iter().map(Journal::state))
        .filter_map(|state| state.opened.clone())
        .collect();
    Ok((known, leases.unreadable.iter().map(ToString::to_string).collect()))
}

fn choose(args: &StopArgs, known: &[Opened]) -> Result<Vec<String>, String> {
    let started: Vec<_> = known.iter().filter(|opened| opened.kind == Kind::Start).collect();
    if let Some(run) =
        known.iter().find(|opened| opened.kind == Kind::Run && args.leases.contains(&opened.lease))
    {
        return Err(format!("{} is the lease of a run, which ends with its build", run.lease));
    }
    // What is being given back is only waited for.
    let names: Vec<_> = started
        .iter()
        .filter(|opened| !opened.releasing)
        .map(|opened| opened.name.as_deref().unwrap_or(&opened.lease))
        .collect();
    if !args.all && args.leases.is_empty() && names.len() > 1 {
        return Err(format!(
            "{} leases are held: {}; name one, or use --all",
            names.len(),
            names.join(", ")
        ));
    }
    let is_meant = |opened: &&Opened| {
        args.leases.is_empty() || args.leases.iter().any(|wanted| is_named(opened, wanted))
    };
    Ok(started.into_iter().filter(is_meant).map(|opened| opened.lease.clone()).collect())
}

/// How a lease was ended.
struct Ended {
    back: Back,
    /// What it still had, where its holder was dead.
    abandoned: Option<LeaseState>,
}

fn end(
    state: &StateDir,
    lease: &str,
    settings: &Settings,
    say: &mut Say,
) -> Result<Option<Ended>, String> {
    let deadline = values::deadline(Instant::now(), settings.restore_timeout);
    loop {
        let silent =
            match ask(state, lease, settings.restore_timeout.saturating_add(SWAP_PATIENCE), say) {
                Ok(back) => return Ok(Some(Ended { back, abandoned: None })),
                Err(silent) => silent,
            };
        let lock = state.lock(settings.restore_timeout).map_err(|error| error.to_string())?;
        match Journal::look(state, lease).map_err(|error| error.to_string())? {
            Looked::Gone => return Ok(None),
            // Its `start` still makes room, and its keeper listens when that is done.
            Looked::Live(_) if Instant::now() < deadline => {
                drop(lock);
                std::thread::sleep(ASK_AGAIN);
            }
            // Nothing is left but what may still come, and its keeper waits for that.
            Looked::Live(held) if held.is_releasing() && !held.late_calls(moment()).is_empty() => {
                let back = Back { late: held.late_calls(moment()), ..Back::default() };
                return Ok(Some(Ended { back, abandoned: None }));
            }
            Looked::Live(_) => return Err(format!("its keeper does not answer: {silent}")),
            Looked::Dead(journal) => {
                drop(lock);
                debug_assert_eq!(id_of(journal.path()), lease);
                return crate::commands::block_on(async {
                    Ok(Some(restore(state, *journal, settings, say).await))
                });
            }
        }
    }
}

async fn restore(state: &StateDir, journal: Journal, settings: &Settings, say: &mut Say) -> Ended {
    let abandoned = journal.state().clone();
    let machine = Machine::recorded(
        abandoned.opened.as_ref(),
        settings.vm_shell.as_ref(),
        &id_of(journal.path()),
    );
    if let Some(note) = machine.refusal(&abandoned) {
        say.note(&note);
    }
    let restorer = Restorer {
        state,
        machine: &machine,
        limit: settings.restore_timeout,
        afterwards: Afterwards::default(),
        tell: &|_| {},
    };
    let (mut back, waiting) = restorer.release(journal).await;
    if let (Some(waiting), Some(late)) = (waiting, awaited(&back.late)) {
        say.warning(format!("{late}: waiting for that"), None);
        let late = restorer.wait_for(waiting).await;
        say.note(&came(&late));
        back.add_late(late);
    }
    Ended { back, abandoned: Some(abandoned) }
}

/// Asks the lease's keeper, and waits until it has put everything back.
fn ask(state: &StateDir, lease: &str, patience: Duration, say: &mut Say) -> io::Result<Back> {
    let mut stream = control_socket::connect(state.leases(), lease)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(wire::line(&ToKeeper::Release).as_bytes())?;
    let mut inbox = Inbox::default();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => inbox.push(&buffer[..length]),
        }
        while let Some(message) = inbox.take::<FromKeeper>() {
            match message.map_err(io::Error::other)? {
                FromKeeper::Note(note) => say.note(&note),
                FromKeeper::Released(back) => return Ok(back),
                _ => {}
            }
        }
    }
}
