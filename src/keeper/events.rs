//! Owns all sources of the keeper's events: what it is told, the host's figures, the steps that are
//! due by them, what hooks say, what others do to the targets, and the end of a lease that stands
//! on its own. Passes on what only has to be told. Decides nothing. Runs in the keeper.

use std::future;

use crate::{
    core::run::{
        lifecycle::{Event, Listening},
        wire::{FromKeeper, ToKeeper},
    },
    keeper::{
        control::Control,
        engine_watch::{EngineWatch, Sign},
        host_samples::HostSamples,
        input::{Heard, Input},
        operations::{Hooks, Tell},
        pressure_watch::{Due, PressureWatch},
    },
};

/// What has happened.
pub(crate) enum News {
    /// The keeper was told something.
    Heard(Heard),
    /// A step is due. None is while one is under way.
    Due(Due),
    /// Somebody else may have changed a target.
    Sign(Sign),
    /// A lease that stands on its own is to end.
    ControlEnded,
}

impl News {
    /// The event that this is for the lifecycle.
    pub(crate) fn event(&self) -> Event {
        match self {
            Self::Heard(Heard::Message(message)) => match message {
                ToKeeper::MakeRoom(_) => Event::MakeRoom,
                ToKeeper::Child { .. } => Event::Child,
                ToKeeper::Strays { .. } => Event::Strays,
                ToKeeper::Ending { .. } => Event::Ending,
                ToKeeper::Suspend => Event::Suspend,
                ToKeeper::Resume => Event::Resume,
                ToKeeper::Hold => Event::Hold,
                ToKeeper::Ended(_) => Event::Ended,
                ToKeeper::Linger => Event::Linger,
                ToKeeper::LookAround => Event::LookAround,
                ToKeeper::Release => Event::Release,
            },
            Self::Heard(Heard::End) => Event::EndOfFile,
            Self::Heard(Heard::Signal) => Event::Signal,
            Self::Due(Due::Take { .. }) => Event::StepDue,
            Self::Due(Due::Undo) => Event::UndoDue,
            Self::Sign(Sign::Again(_)) => Event::RetakeDue,
            Self::Sign(Sign::Happened(_) | Sign::Missed { .. } | Sign::Confirm(_)) => {
                Event::LookDue
            }
            Self::ControlEnded => Event::ControlEnded,
        }
    }
}

/// The sources.
pub(crate) struct EventSources<'a> {
    pub(crate) input: Input,
    pub(crate) samples: HostSamples<'a>,
    pub(crate) pressure: PressureWatch<'a>,
    pub(crate) engine: EngineWatch<'a>,
    pub(crate) hooks: Hooks,
    /// Set for a lease that stands on its own.
    pub(crate) control: Option<Control>,
    pub(crate) tell: Tell<'a>,
}

impl EventSources<'_> {
    /// Waits for the next of what is listened to. Nothing is lost when this is dropped half-way.
    pub(crate) async fn next(&mut self, listening: Listening) -> News {
        match listening {
            Listening::Everything { has_child, is_guarded } => {
                self.everything(has_child, is_guarded).await
            }
            Listening::EndAndChanges => tokio::select! {
                () = ended(&mut self.control) => News::ControlEnded,
                heard = self.input.hear() => News::Heard(heard),
                sign = self.engine.next(true) => News::Sign(sign),
            },
            Listening::Signals => News::Heard(self.input.signal().await),
            Listening::Nothing => future::pending().await,
        }
    }

    async fn everything(&mut self, has_child: bool, is_guarded: bool) -> News {
        loop {
            tokio::select! {
                heard = self.input.hear() => return News::Heard(heard),
                sample = self.samples.next(has_child) => {
                    (self.tell)(FromKeeper::Sample(sample));
                    if let Some(due) = self.pressure.hear(&sample, is_guarded) {
                        return News::Due(due);
                    }
                }
                note = self.hooks.next() => (self.tell)(FromKeeper::Note(note)),
                due = self.pressure.look(is_guarded) => return News::Due(due),
                sign = self.engine.next(is_guarded) => return News::Sign(sign),
            }
        }
    }
}

async fn ended(control: &mut Option<Control>) {
    match control {
        Some(control) => control.ended().await,
        None => future::pending().await,
    }
}
