//! Owns watching the host's memory while the build runs, for steps against memory pressure: this
//! machine by cheap looks of its own, another one by the samples that come from it anyway. Looks at
//! nothing unless that was asked for. Runs in the keeper: the supervisor knows no engine.

use std::{
    future,
    time::{Duration, Instant},
};

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{
    core::{
        machine::{
            pressure::{Cause, Figures, Guard, Move, Wish},
            route::Route,
            sample::HostSample,
        },
        run::{
            note::{Level, Note},
            wire::FromKeeper,
        },
    },
    host::sample,
    keeper::operations::Tell,
};

/// How often this machine is looked at.
const OFTEN: Duration = Duration::from_millis(250);

/// What is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// This step is to be taken.
    Take { step: usize, cause: Cause, figures: Figures },
    /// The last step is to be undone.
    Undo,
}

/// The watch for one build.
pub(crate) struct PressureWatch<'a> {
    /// `None` where nobody asked for it, or nothing can be seen.
    guard: Option<Guard>,
    wish: Option<&'a Wish>,
    begun: Instant,
    /// This machine is the host. Another one is known by its samples.
    is_here: bool,
    clock: Option<Interval>,
    has_seen: bool,
    tell: Tell<'a>,
}

impl<'a> PressureWatch<'a> {
    pub(crate) fn new(wish: Option<&'a Wish>, route: &Route, tell: Tell<'a>) -> Self {
        let mut watch = Self {
            guard: wish.cloned().map(Guard::new),
            wish,
            begun: Instant::now(),
            is_here: *route == Route::Here,
            clock: None,
            has_seen: false,
            tell,
        };
        if matches!(route, Route::NoWay { .. }) {
            watch.give_up();
        }
        watch
    }

    /// Takes in a sample of another machine; gives what is due by it. `is_guarded`: the build runs
    /// with its room.
    pub(crate) fn hear(&mut self, sample: &HostSample, is_guarded: bool) -> Option<Due> {
        if self.is_here || !is_guarded { None } else { self.see(sample) }
    }

    /// Looks at this machine until something is due; waits for ever where there is nothing to look
    /// for. Nothing is lost when this is dropped half-way.
    pub(crate) async fn look(&mut self, is_guarded: bool) -> Due {
        if !self.is_here || !is_guarded {
            return future::pending().await;
        }
        while self.guard.is_some() {
            self.clock.get_or_insert_with(clock).tick().await;
            let Some(sample) = sample::here() else {
                self.give_up();
                break;
            };
            if let Some(due) = self.see(&sample) {
                return due;
            }
        }
        future::pending().await
    }

    /// Notes that the step is taken, and holds this much.
    pub(crate) fn taken(&mut self, held_bytes: u64) {
        if let Some(guard) = &mut self.guard {
            guard.taken(held_bytes);
        }
    }

    /// Notes that the last step is undone.
    pub(crate) fn undone(&mut self) {
        if let Some(guard) = &mut self.guard {
            guard.undone(self.begun.elapsed());
        }
    }

    /// Begins with the first step again: the targets are back.
    pub(crate) fn begin_anew(&mut self) {
        self.guard = self.guard.as_ref().and(self.wish).cloned().map(Guard::new);
    }

    fn see(&mut self, sample: &HostSample) -> Option<Due> {
        if !std::mem::replace(&mut self.has_seen, true) && sample.full_stall.is_none() {
            self.tell_that_pressure_is_unknown();
        }
        match self.guard.as_mut()?.look(self.begun.elapsed(), sample)? {
            Move::Abort { thrashing, figures } => {
                (self.tell)(FromKeeper::Thrashing { time: thrashing, figures });
                None
            }
            Move::Take { step, cause, figures } => Some(Due::Take { step, cause, figures }),
            Move::Undo { .. } => Some(Due::Undo),
        }
    }

    fn tell_that_pressure_is_unknown(&self) {
        let no_pressure = "the host's kernel measures no pressure (/proc/pressure/memory)";
        self.note(if self.wish.is_some_and(|wish| wish.abort_after.is_some()) {
            Note::new(
                Level::Warning,
                format!("{no_pressure}: --abort-on-thrash has nothing to go by"),
            )
        } else {
            Note::new(Level::Detail, format!("{no_pressure}: steps are taken by --floor alone"))
        });
    }

    fn give_up(&mut self) {
        if self.guard.take().is_some() {
            let text = "the host's memory cannot be watched from here: \
                        no step of --then is taken, and nothing is aborted";
            self.note(Note::new(Level::Warning, text));
        }
    }

    fn note(&self, note: Note) {
        (self.tell)(FromKeeper::Note(note));
    }
}

fn clock() -> Interval {
    let mut clock = interval(OFTEN);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}
