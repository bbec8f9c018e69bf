//! Owns restoring where no process can be started for a keeper: the supervisor does it itself then,
//! by the keeper's own release. What takes a process is not done here, and said: swap stays
//! recorded for `recover`, the hook is not run. Runs in the supervisor, as its last resort.

use std::{fs::File, io, os::fd::AsFd as _, time::Duration};

use tokio::runtime::Builder;

use crate::{
    core::run::{
        note::{Level, Note},
        wire::{FromKeeper, Request},
    },
    lease::journal::Journal,
    room::{
        cancel::Cancel,
        context::{Context, Tell},
        machine::Machine,
        release::{leave_areas, release},
    },
};

/// How often is asked whether to go on.
const TICK: Duration = Duration::from_millis(50);

/// Gives back all that the lease has, and tells what a keeper would tell. `is_enough` ends it
/// half-way: what is not done by then is still recorded.
///
/// # Errors
/// Where there is no runtime, or the journal cannot be read: nothing was done then.
pub fn restore(
    journal: &Journal,
    request: &Request,
    is_enough: impl FnMut() -> bool,
    tell: Tell<'_>,
) -> io::Result<()> {
    let file = File::from(journal.as_fd().try_clone_to_owned()?);
    let state = journal.state_dir().clone();
    let journal = Journal::inherited(file, &state, &request.lease).map_err(io::Error::other)?;
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let machine = Machine::recorded(journal.state().opened.as_ref(), None, &request.lease);
        let cancel = Cancel::default();
        let context = Context { request, state: &state, machine: &machine, cancel: &cancel, tell };
        if request.settings.hooks.on_restored.is_some() && !journal.state().is_empty() {
            tell(FromKeeper::Note(Note::new(
                Level::Warning,
                "--on-restored is not run: no process can be started for it",
            )));
        }
        tokio::select! {
            // What may still come stays recorded.
            (mut back, rest) = Box::pin(release(&context, journal)) => {
                leave_areas(&context, rest, &mut back);
                tell(FromKeeper::Released(back));
            }
            () = wait_until(is_enough) => {}
        }
    });
    Ok(())
}

async fn wait_until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::time::sleep(TICK).await;
    }
}
