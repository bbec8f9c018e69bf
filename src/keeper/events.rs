//! Owns all that the keeper takes in while it waits or acts: what is said to it, the host's figures
//! for the supervisor, what the guard makes of them, what hooks say, and what others do to the
//! targets. Decides nothing. Runs in the keeper.

use crate::{
    core::{machine::pressure::Move, run::wire::FromKeeper},
    keeper::{
        engine_watch::{EngineWatch, Sign},
        host_samples::HostSamples,
        input::{Heard, Input},
        pressure_watch::PressureWatch,
    },
    room::{context::Tell, hooks::Hooks},
};

/// What was taken in.
pub(crate) enum Sensed {
    /// Somebody said something.
    Heard(Heard),
    /// A step is due. None is while one is under way.
    Due(Move),
    /// Somebody may have touched a target.
    Sign(Sign),
}

/// The keeper's senses.
pub(crate) struct EventSources<'a> {
    pub(crate) ears: &'a mut Input,
    pub(crate) watch: HostSamples<'a>,
    pub(crate) guarding: PressureWatch<'a>,
    pub(crate) hands: EngineWatch<'a>,
    pub(crate) hooks: Hooks,
    pub(crate) tell: Tell<'a>,
}

impl EventSources<'_> {
    /// The next thing that is taken in. Nothing is lost when this is dropped half-way. `has_child`:
    /// there is a build; `is_guarded`: it has its room and runs.
    pub(crate) async fn next(&mut self, has_child: bool, is_guarded: bool) -> Sensed {
        loop {
            tokio::select! {
                heard = self.ears.hear() => return Sensed::Heard(heard),
                sample = self.watch.next(has_child) => {
                    (self.tell)(FromKeeper::Sample(sample));
                    if let Some(due) = self.guarding.hear(&sample, is_guarded) {
                        return Sensed::Due(due);
                    }
                }
                note = self.hooks.next() => (self.tell)(FromKeeper::Note(note)),
                due = self.guarding.look(is_guarded) => return Sensed::Due(due),
                sign = self.hands.next(is_guarded) => return Sensed::Sign(sign),
            }
        }
    }
}
