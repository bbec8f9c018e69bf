//! Owns what the keeper does while it goes on listening: making room, and the steps against memory
//! pressure. Part of the keeper's life in `life`.

use jiff::Timestamp;

use crate::{
    core::{
        machine::pressure::Move,
        run::{hook::Event, wire::FromKeeper},
    },
    keeper::{
        events::{EventSources, Sensed},
        lifecycle::{Lifecycle, Wanted},
    },
    lease::journal::Journal,
    room::{
        cancel::Cancel,
        context::Context,
        make::{self, Made},
        step,
    },
};

impl Lifecycle<'_> {
    /// Acts on the next thing that is taken in.
    pub(crate) async fn go_on(&mut self, journal: &mut Journal, senses: &mut EventSources<'_>) {
        let news = match self.later.pop_front() {
            Some(news) => news,
            None => senses.next(self.child.is_some(), self.is_guarded()).await,
        };
        match news {
            Sensed::Heard(heard) => self.take_in(&heard),
            Sensed::Due(step) => Box::pin(self.step(step, journal, senses)).await,
            Sensed::Sign(sign) => Box::pin(self.attend(sign, journal, senses)).await,
        }
    }

    pub(crate) async fn acquire(
        &mut self,
        journal: &mut Journal,
        senses: &mut EventSources<'_>,
    ) -> Made {
        let cancel = Cancel::default();
        let context = Context {
            request: self.request,
            state: self.state,
            machine: self.machine,
            tell: self.tell,
            cancel: &cancel,
        };
        let since = Timestamp::now();
        let made = self.listening(make::make(&context, journal), &cancel, senses).await;
        if !journal.state().targets.is_empty() {
            senses.hands.follow(since);
        }
        made
    }

    /// Takes the step that is due, or undoes it.
    pub(crate) async fn step(
        &mut self,
        due: Move,
        journal: &mut Journal,
        senses: &mut EventSources<'_>,
    ) {
        let Self { request, state, machine, tell, .. } = *self;
        let cancel = Cancel::default();
        // A line that moves has no place in a build's output.
        let lines = |message: FromKeeper| {
            if !matches!(message, FromKeeper::Progress { .. }) {
                tell(message);
            }
        };
        match due {
            Move::Take { step, cause, figures } => {
                let context = Context { request, state, machine, tell: &lines, cancel: &cancel };
                let Some(selector) =
                    request.settings.guard.iter().flat_map(|guard| &guard.then).nth(step)
                else {
                    return;
                };
                let since = Timestamp::now();
                let taken = self
                    .listening(
                        step::take_step(&context, journal, selector, cause, figures),
                        &cancel,
                        senses,
                    )
                    .await;
                senses.guarding.taken(taken.held_bytes);
                if !taken.targets.is_empty() {
                    senses.hands.follow(since);
                }
                if let Some(facts) = &taken.facts {
                    senses.hooks.begin(Event::Pressure, facts);
                }
                self.steps.push(taken);
            }
            Move::Undo { .. } => {
                let context = Context { request, state, machine, cancel: &cancel, tell: &lines };
                let step = self.steps.pop().unwrap_or_default();
                senses.hands.leave(&step.targets);
                // What is not done in time is in the journal still, and given back with the rest.
                self.listening(
                    cancel.or(step::undo_step(&context, journal, &step)),
                    &cancel,
                    senses,
                )
                .await;
                senses.guarding.undone();
            }
            // The supervisor was told already.
            Move::Abort { .. } => {}
        }
    }

    /// Works while listening: whoever changes their mind meanwhile is heard at once; the rest is
    /// for later.
    pub(crate) async fn listening<T>(
        &mut self,
        work: impl Future<Output = T>,
        cancel: &Cancel,
        senses: &mut EventSources<'_>,
    ) -> T {
        let mut work = Box::pin(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                news = senses.next(self.child.is_some(), self.is_guarded()) => match news {
                    Sensed::Heard(heard) => {
                        self.take_in(&heard);
                        // A build that is over, its room kept or not, needs no more of it.
                        if self.wanted != Wanted::Room || self.lingers {
                            cancel.say();
                        }
                    }
                    later => self.later.push_back(later),
                },
            }
        }
    }

    /// The build runs with the room that was made for it.
    pub(crate) fn is_guarded(&self) -> bool {
        self.child.is_some() && self.has_room && self.wanted == Wanted::Room
    }
}
