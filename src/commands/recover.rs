//! `makeroom recover`: the restore of leases whose holder is dead.

use std::process::ExitCode;

use crate::{
    cli::{HostArgs, RecoverArgs, RoomArgs},
    config::{self, Settings},
    core::{text, wire::FromKeeper},
    keeper::{hooks, recover::recover as recover_the_dead},
    lease::{leases::Leases, state_dir::StateDir},
    report::{say::Say, summary},
    supervise::inherited::outlive_limits,
};

/// Puts back what dead holders left.
#[must_use]
pub fn recover(args: &RecoverArgs) -> ExitCode {
    outlive_limits();
    let host = HostArgs { vm_shell: args.vm_shell.clone(), ..HostArgs::default() };
    let room = RoomArgs { restore_timeout: args.restore_timeout, host, ..RoomArgs::default() };
    let settings = match config::settle_apart(&room, &args.common) {
        Ok(settings) => settings,
        Err(error) => return super::refuse(&error),
    };
    let mut say = super::voice(&settings);
    let state = match super::existing_state(&settings, &mut say) {
        Ok(Some(state)) => state,
        Ok(None) => {
            say.info("nothing to recover");
            return ExitCode::SUCCESS;
        }
        Err(code) => return code,
    };
    match super::block_on(recover_all(&state, &settings, &mut say)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => super::failed(),
        Err(error) => {
            say.error(text::printable(&error), None, None);
            super::failed()
        }
    }
}

/// Whether nothing is left.
async fn recover_all(state: &StateDir, settings: &Settings, say: &mut Say) -> Result<bool, String> {
    let lock = state.lock_later(settings.restore_timeout).await.map_err(|error| error.to_string())?;
    let leases = Leases::look(state, &lock, None).map_err(|error| error.to_string())?;
    let mut is_whole = leases.unreadable.is_empty();
    for error in &leases.unreadable {
        say.warning(
            format!("{}; it is left alone", text::printable(&error.to_string())),
            Some("`docker ps --filter status=paused` shows what may still be paused"),
        );
    }
    let say = std::cell::RefCell::new(say);
    let tell = |message: FromKeeper| {
        if let FromKeeper::Note(note) = message {
            say.borrow_mut().note(&note);
        }
    };
    let restored = recover_the_dead(state, (leases, lock), settings.restore_timeout, settings.vm_shell.as_ref(), &tell).await;
    for (before, back) in &restored {
        hooks::after_the_dead(&settings.hooks, state.path(), before, back, &tell).await;
        if let Some(line) = summary::not_back(back) {
            is_whole = false;
            say.borrow_mut().error(line, None, Some("mend the cause, then `makeroom recover` again"));
        }
    }
    if restored.is_empty() && is_whole {
        say.borrow_mut().info("nothing to recover");
    }
    Ok(is_whole)
}
