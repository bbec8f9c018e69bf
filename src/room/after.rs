//! Owns what is done for services once they run again: waiting until those that were healthy
//! answer, and reading back what they have in swap. Part of restoring; nothing here can undo that
//! or fail it. Runs in the keeper.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};

use crate::{
    core::{
        run::{
            note::{Level, Note, Phase},
            results::Answer,
            wire::FromKeeper,
        },
        target::recorded::Target,
        text, values,
    },
    host::{limits::calls_at_once, warm},
    room::{context::Context, retry::Backoff},
    targets::{error::TargetError, kind::TargetKind as _},
};

/// Services that are waited for at once: one that hangs is no reason not to ask the others. A
/// descriptor each.
const WAITED_FOR: usize = 256;

/// A target that runs again because of this lease.
pub(crate) struct Again {
    pub target: Target,
    /// When it did.
    pub since: Instant,
}

/// Asks what was healthy before until it says that it is, all at once: the engine itself asks
/// at the interval of the image, which can be minutes.
pub(crate) async fn await_answers(context: &Context<'_>, again: &[Again]) -> Vec<Answer> {
    let Some(limit) = context.request.settings.afterwards.wait_healthy else { return Vec::new() };
    let asked: Vec<&Again> = again.iter().filter(|again| again.target.was_healthy).collect();
    let asking = asked.iter().map(|again| await_answer(context, again, limit));
    let mut answering = stream::iter(asking).buffer_unordered(calls_at_once(WAITED_FOR));
    let mut answers = Vec::with_capacity(asked.len());
    while let Some(answer) = answering.next().await {
        answers.push(answer);
        (context.tell)(FromKeeper::Progress {
            phase: Phase::Answering,
            done: answers.len(),
            total: asked.len(),
        });
    }
    answers
}

async fn await_answer(context: &Context<'_>, again: &Again, limit: Duration) -> Answer {
    let asking = async {
        let mut backoff = Backoff::for_health();
        // One that cannot be asked at the moment is asked again: the limit ends it.
        while !is_content(context, &again.target).await.unwrap_or(false) {
            backoff.wait(None).await;
        }
        again.since.elapsed()
    };
    let after =
        tokio::time::timeout_at(values::deadline(again.since, limit).into(), asking).await.ok();
    Answer { id: again.target.id.clone(), name: again.target.name.clone(), after }
}

async fn is_content(context: &Context<'_>, target: &Target) -> Result<bool, TargetError> {
    let targets = context.machine.targets().await?;
    targets.of(target.kind()).is_healthy(target.handle()).await
}

/// Reads back what these have in swap, for a while: their next request shall not be the slow
/// one.
pub(crate) async fn warm(context: &Context<'_>, again: &[Again]) {
    let Some(limit) = context.request.settings.afterwards.warm.filter(|_| !again.is_empty()) else {
        return;
    };
    if let Err(error) = read_back(context, again, limit).await {
        context.note(Note::new(
            Level::Warning,
            format!("what the targets have in swap is not read back: {}", text::printable(&error)),
        ));
    }
}

async fn read_back(context: &Context<'_>, again: &[Again], limit: Duration) -> Result<(), String> {
    let targets = context.machine.targets().await.map_err(|error| error.to_string())?;
    let cgroups = targets.cgroups(again.iter().map(|again| again.target.handle())).await;
    let shell = &context.machine.shell;
    warm::read_back(shell, &cgroups, limit).await.map_err(|error| error.to_string())
}
