//! Owns putting everything back in the supervisor itself, where no process can be started for a
//! keeper: what a keeper would have said is gathered, to be heard in its place. Runs in the
//! supervisor.

use std::{cell::RefCell, io, time::Instant};

use crate::{
    core::run::{
        session::TERMINATING,
        wire::{FromKeeper, Request},
    },
    lease::journal::Journal,
    room::without_keeper,
    supervise::{signals::Signals, timers::HASTY_RESTORE},
};

/// What came of it.
#[derive(Debug)]
pub(super) struct Restored {
    /// What a keeper would have said.
    pub(super) messages: Vec<FromKeeper>,
    /// The signals that came meanwhile.
    pub(super) signals: Vec<i32>,
    /// Why nothing was put back, where that is so.
    pub(super) error: Option<io::Error>,
}

/// Puts everything back. Whoever sent a signal does not wait long, nor does a build that is being
/// ended: `is_hasty`, or from a signal on.
pub(super) fn restore_alone(
    journal: &Journal,
    request: &Request,
    signals: &mut Signals,
    is_hasty: bool,
) -> Restored {
    let said = RefCell::new(Vec::new());
    let mut deadline = is_hasty.then(|| Instant::now() + HASTY_RESTORE);
    let (mut came, mut interrupts) = (Vec::new(), 0);
    let is_enough = || {
        for signal in signals.take() {
            interrupts += u32::from(TERMINATING.contains(&signal));
            came.push(signal);
        }
        if interrupts > 0 {
            deadline.get_or_insert_with(|| Instant::now() + HASTY_RESTORE);
        }
        interrupts > 1 || deadline.is_some_and(|deadline| deadline <= Instant::now())
    };
    let tell = |message| said.borrow_mut().push(message);
    let error = without_keeper::restore(journal, request, is_enough, &tell).err();
    Restored { messages: said.into_inner(), signals: came, error }
}
