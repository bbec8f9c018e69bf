//! Owns what happens to targets, as their kinds tell it, one after the other.

use std::future;

use futures_util::future::select_all;

use crate::{
    core::target::event::TargetEvent, engine::events::Events, targets::error::TargetError,
};

/// What happens to targets from some time on.
#[derive(Debug, Default)]
pub struct Changes {
    sources: Vec<Source>,
}

#[derive(Debug)]
enum Source {
    Engine(Events),
}

impl Changes {
    pub(super) fn of_engine(events: Events) -> Self {
        Self { sources: vec![Source::Engine(events)] }
    }

    /// These, and those of others.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.sources.extend(others.sources);
        self
    }

    /// The next one; waits for ever where nothing is told. Nothing is lost when this is dropped
    /// half-way.
    ///
    /// # Errors
    /// [`TargetError`] when there will be no other of one kind.
    pub async fn next(&mut self) -> Result<TargetEvent, TargetError> {
        if self.sources.is_empty() {
            return future::pending().await;
        }
        let next = self.sources.iter_mut().map(|source| Box::pin(source.next()));
        select_all(next).await.0
    }
}

impl Source {
    async fn next(&mut self) -> Result<TargetEvent, TargetError> {
        match self {
            Self::Engine(events) => Ok(events.next().await?),
        }
    }
}
