//! Owns where a run is: the state of its policy, the events that wait for it, what was heard so
//! far, and the voice that tells of it. Runs in the supervisor.

use std::{collections::VecDeque, time::Instant};

use crate::{
    core::run::{
        heard::Heard,
        session::{Event, Session, Stage},
    },
    report::console::Say,
};

/// A run, as far as it has come.
pub(super) struct RunState<'a> {
    pub(super) say: &'a mut Say,
    pub(super) session: Session,
    pub(super) queue: VecDeque<Event>,
    pub(super) heard: Heard,
    /// The child's beginning, or before that the loop's.
    pub(super) begun: Instant,
}

impl RunState<'_> {
    /// Queues an event.
    pub(super) fn push(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    /// Whether the build runs, and is neither stopped nor being ended.
    pub(super) fn is_running(&self) -> bool {
        self.session.stage() == Stage::Running
    }
}
