//! Owns what is done for services once they run again: waiting until those that were healthy
//! answer, and reading back what they have in swap. Part of restoring; nothing here can undo that
//! or fail it. Runs in the keeper.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};

use crate::{
    core::{
        lease::record::Target,
        run::{
            note::{Level, Note, Phase},
            results::Answer,
            wire::FromKeeper,
        },
        text, values,
    },
    engine::client::EngineError,
    host::{limits::calls_at_once, reclaim::PidAndId, warm},
    room::restore::{Restorer, at_once},
};

/// Between two questions to a service that does not answer yet: first as quickly as it might, then
/// as a person would.
const ASK: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
];

/// Services that are waited for at once: one that hangs is no reason not to ask the others. A
/// descriptor each.
const WAITED_FOR: usize = 256;

/// A target that runs again because of this lease.
pub(crate) struct Again {
    pub target: Target,
    /// When it did.
    pub since: Instant,
}

impl Restorer<'_> {
    /// Asks what was healthy before until it says that it is, all at once: the engine itself asks
    /// at the interval of the image, which can be minutes.
    pub(crate) async fn await_answers(&self, again: &[Again]) -> Vec<Answer> {
        let Some(limit) = self.afterwards.wait_healthy else { return Vec::new() };
        let asked: Vec<&Again> = again.iter().filter(|again| again.target.was_healthy).collect();
        let asking = asked.iter().map(|again| self.await_answer(again, limit));
        let mut answering = stream::iter(asking).buffer_unordered(calls_at_once(WAITED_FOR));
        let mut answers = Vec::with_capacity(asked.len());
        while let Some(answer) = answering.next().await {
            answers.push(answer);
            (self.tell)(FromKeeper::Progress {
                phase: Phase::Answering,
                done: answers.len(),
                total: asked.len(),
            });
        }
        answers
    }

    async fn await_answer(&self, again: &Again, limit: Duration) -> Answer {
        let asking = async {
            let mut attempt = 0;
            // One that cannot be asked at the moment is asked again: the limit ends it.
            while !self.is_content(&again.target).await.unwrap_or(false) {
                tokio::time::sleep(ASK[attempt.min(ASK.len() - 1)]).await;
                attempt += 1;
            }
            again.since.elapsed()
        };
        let after =
            tokio::time::timeout_at(values::deadline(again.since, limit).into(), asking).await.ok();
        Answer { id: again.target.id.clone(), name: again.target.name.clone(), after }
    }

    async fn is_content(&self, target: &Target) -> Result<bool, EngineError> {
        let engine = self.machine.engine().await?;
        match engine.inspect(&target.id).await?.probe {
            Some(probe) => engine.probe(&target.id, &probe).await,
            // It was healthy by a check that is gone.
            None => Ok(true),
        }
    }

    /// Reads back what these have in swap, for a while: their next request shall not be the slow
    /// one.
    pub(crate) async fn warm(&self, again: &[Again]) {
        let Some(limit) = self.afterwards.warm.filter(|_| !again.is_empty()) else { return };
        if let Err(error) = self.read_back(again, limit).await {
            self.note(Note::new(
                Level::Warning,
                format!(
                    "what the services have in swap is not read back: {}",
                    text::printable(&error)
                ),
            ));
        }
    }

    async fn read_back(&self, again: &[Again], limit: Duration) -> Result<(), String> {
        let engine = self.machine.engine().await.map_err(|error| error.to_string())?;
        let looking = again.iter().map(|again| async {
            Some((engine.inspect(&again.target.id).await.ok()?.pid, again.target.id.clone()))
        });
        let found: Vec<Option<PidAndId>> =
            stream::iter(looking).buffered(at_once()).collect().await;
        let found: Vec<PidAndId> = found.into_iter().flatten().collect();
        warm::read_back(&self.machine.shell, &found, limit).await.map_err(|error| error.to_string())
    }
}
