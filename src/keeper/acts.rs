//! Owns what the keeper does while it goes on listening: making room, and the steps against memory
//! pressure. Part of the keeper's life in `life`.

use super::{
    acquire::{Acquired, Acquirer},
    cancel::Cancel,
    life::{Life, Wanted},
    restore::Restorer,
    senses::{Sensed, Senses},
};
use crate::{
    core::{
        guard::Move,
        hook::Event,
        wire::{Afterwards, FromKeeper},
    },
    lease::journal::Journal,
};

impl Life<'_> {
    pub(super) async fn acquire(&mut self, journal: &mut Journal, senses: &mut Senses<'_>) -> Acquired {
        let cancel = Cancel::default();
        let acquirer = Acquirer { request: self.request, state: self.state, reach: self.reach, tell: self.tell, cancel: &cancel };
        self.listening(acquirer.acquire(journal), &cancel, senses).await
    }

    /// Takes the step that is due, or undoes it.
    pub(super) async fn step(&mut self, due: Move, journal: &mut Journal, senses: &mut Senses<'_>) {
        let Self { request, state, reach, tell, .. } = *self;
        let cancel = Cancel::default();
        // A line that moves has no place in a build's output.
        let lines = |message: FromKeeper| {
            if !matches!(message, FromKeeper::Progress { .. }) {
                tell(message);
            }
        };
        match due {
            Move::Take { step, cause, figures } => {
                let acquirer = Acquirer { request, state, reach, tell: &lines, cancel: &cancel };
                let selector = request.guard.iter().flat_map(|guard| &guard.then).nth(step).map_or("", String::as_str);
                let taken = self.listening(acquirer.take_step(journal, selector, cause, figures), &cancel, senses).await;
                senses.guarding.taken(taken.held_bytes);
                if let Some(facts) = &taken.facts {
                    senses.hooks.begin(Event::Pressure, facts);
                }
                self.steps.push(taken);
            }
            Move::Undo { .. } => {
                let restorer = Restorer { state, reach, limit: request.restore_timeout, afterwards: Afterwards::default(), tell: &lines };
                let step = self.steps.pop().unwrap_or_default();
                // What is not done in time is in the journal still, and given back with the rest.
                self.listening(cancel.or(restorer.undo_step(journal, &step)), &cancel, senses).await;
                senses.guarding.undone();
            }
            // The supervisor was told already.
            Move::Abort { .. } => {}
        }
    }

    /// Works while listening: whoever changes their mind meanwhile is heard at once.
    async fn listening<T>(&mut self, work: impl Future<Output = T>, cancel: &Cancel, senses: &mut Senses<'_>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                news = senses.next(self.child.is_some(), self.is_guarded()) => if let Sensed::Heard(heard) = news {
                    self.take_in(&heard);
                    // A build that is over, its room kept or not, needs no more of it.
                    if self.wanted != Wanted::Room || self.lingers {
                        cancel.say();
                    }
                },
            }
        }
    }

    /// The build runs with the room that was made for it.
    pub(super) fn is_guarded(&self) -> bool {
        self.child.is_some() && self.has_room && self.wanted == Wanted::Room
    }
}
