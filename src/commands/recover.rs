//! `makeroom recover`: the restore of leases whose holder is dead.

use std::process::ExitCode;

use crate::{
    cli::{ChildArgs, RecoverArgs},
    commands::{
        error::CommandError,
        forget::forget,
        invocation::{Ended, Invocation, block_on, enter, print},
        unseen::{self, StateDirSeen, Unseen},
    },
    config::{Layer, Purpose, Settings},
    core::{
        few::Few,
        lease::{late_call::awaited, state::LeaseState},
        run::{
            exit::{DONE, FAILED},
            wire::FromKeeper,
        },
        text,
    },
    host::kernel::moment,
    lease::{
        leases::{Leases, set_aside},
        state_dir::StateDir,
    },
    report::{console::Say, foreign_change_lines, run_lines},
    room::{
        hooks,
        mark::unmark,
        recover::{Effort, recover as recover_the_dead},
    },
    supervise::inherited::outlive_limits,
};

/// Puts back what dead holders left.
#[must_use]
pub fn recover(args: RecoverArgs) -> ExitCode {
    outlive_limits();
    let flags = Layer::of_flags(args.restore.into(), ChildArgs::default(), args.common);
    enter(flags, Purpose::Upkeep, |Invocation { settings, say, .. }| {
        let opened = unseen::open(settings, false, say)?;
        match &args.forget {
            Some(lease) => give_up(opened.state(), lease, settings, say),
            None => put_back(&opened, settings, say),
        }
    })
}

fn put_back(opened: &StateDirSeen, settings: &Settings, say: &mut Say) -> Ended {
    let recovered = match opened.state() {
        Some(state) => block_on(recover_all(state, settings, say)).map_err(CommandError::new)?,
        None => Recovered { is_whole: true, is_any: false },
    };
    let Recovered { is_whole, is_any } = recovered;
    let is_nothing = is_whole && !is_any && !matches!(opened, StateDirSeen::Denied);
    match unseen::look(settings) {
        Unseen::Held(line) => {
            let hint = "`sudo makeroom recover`, or `sudo makeroom stop` for what was started";
            return Err(CommandError::new(line).with_hint(hint.to_owned()));
        }
        Unseen::Perhaps { line, .. } if is_nothing => {
            say.info(format!("nothing to recover; {line}"));
        }
        Unseen::Nothing if is_nothing => say.info("nothing to recover"),
        Unseen::Perhaps { .. } | Unseen::Nothing => {}
    }
    Ok(if is_whole { DONE } else { FAILED }.into())
}

fn give_up(state: Option<&StateDir>, lease: &str, settings: &Settings, say: &mut Say) -> Ended {
    let forgetting = async {
        match state {
            Some(state) => forget(state, lease, settings).await,
            None => Err("there is no lease".to_owned()),
        }
    };
    let shown = block_on(forgetting).map_err(|error| {
        CommandError::new(format!("cannot forget {lease}: {error}"))
            .with_state("nothing was changed")
    })?;
    let printed = print(&shown);
    say.info(format!(
        "the lease {} is forgotten; nothing else was changed",
        text::printable(lease)
    ));
    printed?;
    Ok(DONE.into())
}

struct Recovered {
    /// Nothing is left.
    is_whole: bool,
    /// There was anything.
    is_any: bool,
}

async fn recover_all(
    state: &StateDir,
    settings: &Settings,
    say: &mut Say,
) -> Result<Recovered, String> {
    let lock =
        state.lock_later(settings.room.restore_timeout).await.map_err(|error| error.to_string())?;
    let leases = Leases::look(state, &lock, None).map_err(|error| error.to_string())?;
    let mut is_whole = leases.unreadable.is_empty();
    let others: Vec<String> =
        leases.live.iter().filter_map(|(_, state)| being_put_back(state)).collect();
    let mut few = Few::default();
    for error in leases.unreadable.iter().filter(|_| few.may()) {
        say.warning(
            format!("{}; it is left alone", text::printable(&error.to_string())),
            Some("`docker ps --filter status=paused` shows what may still be paused"),
        );
    }
    if let Some(rest) = few.rest() {
        say.warning(rest, None);
    }
    let say = std::cell::RefCell::new(say);
    let tell = |message: FromKeeper| match message {
        FromKeeper::Note(note) => say.borrow_mut().note(&note),
        FromKeeper::Touched { name, change, reply, .. } => {
            say.borrow_mut().info(foreign_change_lines::touched(&name, change, reply, None));
        }
        _ => {}
    };
    let effort = Effort::Full(settings.room.restore_timeout);
    let restored =
        recover_the_dead(state, (leases, lock), effort, settings.room.vm_shell.as_ref(), &tell)
            .await;
    for (before, back) in &restored {
        hooks::after_the_dead(&settings.room.hooks, state.path(), before, back, &tell).await;
        // What a damaged line held is not known.
        is_whole &= before.damaged_line.is_none();
        if let Some(line) = run_lines::not_back(back) {
            is_whole = false;
            say.borrow_mut().error(
                line,
                None,
                Some("fix the cause, then `makeroom recover` again"),
            );
        }
    }
    for other in &others {
        say.borrow_mut().info(other);
    }
    let aside = set_aside(state.leases()).map_err(|error| error.to_string())?;
    if let Some(last) = aside.last() {
        let kept = text::count(aside.len(), "damaged journal");
        say.borrow_mut().info(format!(
            "{kept} kept, the last one as {}: nothing reads it any more",
            text::printable(&last.to_string_lossy())
        ));
    }
    if restored.is_empty() {
        // A keeper that died over the last of its work may have left it.
        unmark(state).await?;
    }
    Ok(Recovered { is_whole, is_any: !restored.is_empty() || !others.is_empty() })
}

/// What somebody else is at, in a line; `None` where that has not begun.
fn being_put_back(state: &LeaseState) -> Option<String> {
    if !state.is_releasing() || state.is_empty() {
        return None;
    }
    if let Some(late) = awaited(&state.late_calls(moment())) {
        return Some(format!("{late}; another process waits for that"));
    }
    let held = state
        .targets
        .values()
        .map(|held| held.target.name.as_str())
        .chain(state.areas.keys().map(String::as_str));
    Some(format!("another process is putting back {}", text::names(held, 5)))
}
