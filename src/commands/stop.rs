//! `makeroom stop`: ends started leases, through their keepers, or by restoring where nobody
//! answers.

use std::{
    io::{self, Read as _, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{
    cli::{ChildArgs, StopArgs},
    commands::{
        error::CommandError,
        invocation::{Ended, Invocation, block_on, enter},
        unseen,
        wanted::{Known, Wanted},
    },
    config::{Layer, Purpose, Settings},
    core::{
        lease::{late_call::awaited, state::LeaseState},
        run::{
            exit::{DONE, FAILED},
            results::{Back, SwapBack},
            wire::{self, FromKeeper, Inbox, Request, ToKeeper},
        },
        text, values,
    },
    host::kernel::moment,
    lease::{
        control_socket,
        journal::{Journal, Looked},
        leases::id_of,
        state_dir::StateDir,
    },
    report::{console::Say, foreign_change_lines, health_lines, run_lines, vanished_lines},
    room::{
        cancel::Cancel,
        context::Context,
        hooks,
        machine::Machine,
        recovered::{came, recovered},
        release,
    },
    supervise::inherited::outlive_limits,
};

/// Beyond `--restore-timeout`: reading swapped pages back.
const SWAP_PATIENCE: Duration = Duration::from_mins(5);

/// How often a lease that is still being started is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Puts back what `start` changed.
#[must_use]
pub fn stop(args: StopArgs) -> ExitCode {
    outlive_limits();
    let StopArgs { leases, all, restore, common } = args;
    let flags = Layer::of_flags(restore.into(), ChildArgs::default(), common);
    let wanted = Wanted { leases, all };
    enter(flags, Purpose::Upkeep, |invocation| stop_all(invocation, &wanted))
}

fn stop_all(Invocation { settings, say, .. }: &mut Invocation, wanted: &Wanted) -> Ended {
    let opened = unseen::open(settings, !wanted.leases.is_empty(), say)?;
    let wrong = |error: String| {
        CommandError::new(error)
            .with_state("nothing was changed")
            .with_hint("`makeroom status` shows the leases".to_owned())
    };
    let known = match opened.state() {
        Some(state) => Known::look(state, settings).map_err(wrong)?,
        None => Known::default(),
    };
    for error in &known.unsure {
        say.warning(
            format!("{}; whether it is to be stopped is not known", text::printable(error)),
            None,
        );
    }
    let chosen = wanted.choose(&known).map_err(wrong)?;
    let mut is_whole = wanted.tell_missing(&opened, &known, &chosen, settings, say);
    is_whole &= known.unsure.is_empty();
    if let Some(state) = opened.state() {
        for lease in chosen {
            is_whole &= stop_one(state, &lease, settings, say).map_err(wrong)?;
        }
    }
    Ok(if is_whole { DONE } else { FAILED }.into())
}

/// Whether nothing is left of it.
fn stop_one(
    state: &StateDir,
    lease: &str,
    settings: &Settings,
    say: &mut Say,
) -> Result<bool, String> {
    let Stopped { back, abandoned } = match end(state, lease, settings, say) {
        Ok(Some(stopped)) => stopped,
        // Somebody else ended it in between.
        Ok(None) => {
            say.info(format!("lease {lease} has ended"));
            return Ok(true);
        }
        Err(error) => {
            say.error(
                format!("cannot end the lease {lease}: {}", text::printable(&error)),
                None,
                Some("makeroom recover"),
            );
            return Ok(false);
        }
    };
    match abandoned {
        Some(before) => {
            say.note(&recovered(lease, &before, &back));
            tell_hook(state, settings, &before, &back, say)?;
        }
        None => {
            say.info(run_lines::all_back(&back).unwrap_or_else(|| format!("lease {lease} ended")));
        }
    }
    if let Some(line) = health_lines::not_healthy(&back) {
        say.warning(line, Some("`docker ps` shows their health, `docker logs` what they say"));
    }
    if let Some(line) = vanished_lines::replaced(&back) {
        say.info(line);
    }
    if let Some(line) = vanished_lines::vanished(&back) {
        say.warning(line, vanished_lines::keep_from_vanishing(&back));
    }
    if let Some(line) = health_lines::lagging(&back) {
        say.info(line);
    }
    let mut is_whole = true;
    if let Some(line) = awaited(&back.late) {
        is_whole = false;
        say.warning(
            format!("{line}; the keeper waits for that"),
            Some("`makeroom status` shows it"),
        );
    }
    if let Some(line) = run_lines::swap_not_off(&back) {
        say.warning(
            format!("{line}; the keeper goes on trying"),
            Some("`makeroom status` shows it"),
        );
    }
    if let Some(line) = run_lines::not_back(&back) {
        is_whole = false;
        say.error(line, None, Some("makeroom recover"));
    }
    Ok(is_whole)
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
    block_on(async {
        hooks::after_the_dead(&settings.room.hooks, state.path(), before, back, &tell).await;
        Ok(())
    })
}

/// How a lease was ended.
struct Stopped {
    back: Back,
    /// What it still had, where its holder was dead.
    abandoned: Option<LeaseState>,
}

fn end(
    state: &StateDir,
    lease: &str,
    settings: &Settings,
    say: &mut Say,
) -> Result<Option<Stopped>, String> {
    let deadline = values::deadline(Instant::now(), settings.room.restore_timeout);
    loop {
        let silent = match ask(
            state,
            lease,
            settings.room.restore_timeout.saturating_add(SWAP_PATIENCE),
            say,
        ) {
            Ok(back) => return Ok(Some(Stopped { back, abandoned: None })),
            Err(silent) => silent,
        };
        let lock = state.lock(settings.room.restore_timeout).map_err(|error| error.to_string())?;
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
                return Ok(Some(Stopped { back, abandoned: None }));
            }
            // Or swap, which its keeper goes on removing.
            Looked::Live(held) if held.is_releasing() && held.targets.is_empty() => {
                let path = held.areas.into_keys().next().unwrap_or_default();
                let reason = "swapoff has failed so far".to_owned();
                let swap = Some(SwapBack::NotYet { path, reason });
                return Ok(Some(Stopped {
                    back: Back { swap, ..Back::default() },
                    abandoned: None,
                }));
            }
            Looked::Live(_) => return Err(format!("its keeper does not answer: {silent}")),
            Looked::Dead(journal) => {
                drop(lock);
                debug_assert_eq!(id_of(journal.path()), lease);
                return block_on(async { Ok(Some(restore(state, *journal, settings, say).await)) });
            }
        }
    }
}

async fn restore(
    state: &StateDir,
    journal: Journal,
    settings: &Settings,
    say: &mut Say,
) -> Stopped {
    let abandoned = journal.state().clone();
    let machine = Machine::recorded(
        abandoned.opened.as_ref(),
        settings.room.vm_shell.as_ref(),
        &id_of(journal.path()),
    );
    if let Some(note) = machine.refusal(&abandoned) {
        say.note(&note);
    }
    let request = Request::to_restore(&id_of(journal.path()), settings.room.restore_timeout);
    let cancel = Cancel::default();
    let say = std::cell::RefCell::new(say);
    let tell = |message: FromKeeper| {
        if let FromKeeper::Touched { name, change, reply, .. } = message {
            say.borrow_mut().info(foreign_change_lines::touched(&name, change, reply, None));
        }
    };
    let context =
        Context { request: &request, state, machine: &machine, cancel: &cancel, tell: &tell };
    let (mut back, rest) = release::release(&context, journal).await;
    let rest = release::leave_areas(&context, rest, &mut back);
    if let (Some(rest), Some(late)) = (rest, awaited(&back.late)) {
        say.borrow_mut().warning(format!("{late}: waiting for that"), None);
        let late = release::wait_for(&context, rest).await;
        say.borrow_mut().note(&came(&late));
        back.add_late(late);
    }
    Stopped { back, abandoned: Some(abandoned) }
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
                FromKeeper::Touched { name, change, reply, .. } => {
                    say.info(foreign_change_lines::touched(&name, change, reply, None));
                }
                FromKeeper::Released(back) => return Ok(back),
                _ => {}
            }
        }
    }
}
