//! Owns what is done for services once they run again: waiting until those that were healthy
//! answer and the engine says so, or looking whether it does, and reading back what they have in swap. Part of restoring; nothing here can undo that
//! or fail it. Runs in the keeper.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, future, stream};

use crate::{
    core::{
        run::{
            note::{Level, Note, Phase},
            results::Answer,
            wire::FromKeeper,
        },
        target::{healthcheck::Word, recorded::Target},
        text, values,
    },
    host::{limits::calls_at_once, warm},
    room::{context::Context, retry::Backoff},
    targets::{error::TargetError, kind::TargetKind as _, pace::at_once},
};

/// Services that are waited for at once: one that hangs is no reason not to ask the others. A
/// descriptor each.
const WAITED_FOR: usize = 256;
/// A look for what is only said takes no longer.
const LOOK: Duration = Duration::from_secs(1);

/// A target that runs again because of this lease.
pub(crate) struct Again {
    pub target: Target,
    /// When it did.
    pub since: Instant,
}

/// Asks what was healthy before until it says that it is, and the engine until it says so too, all
/// at once: the engine itself asks at the interval of the image, which can be minutes, and whoever
/// comes next goes by its word.
pub(crate) async fn await_answers(context: &Context<'_>, again: &[Again]) -> Vec<Answer> {
    let Some(limit) = context.request.settings.afterwards.wait_healthy else { return Vec::new() };
    let asked = were_healthy(again);
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

/// Waits until the engine calls healthy what was before, so long at most; gives the names of what it
/// does not.
pub(crate) async fn await_words(
    context: &Context<'_>,
    again: &[Again],
    limit: Duration,
) -> Vec<String> {
    let deadline = values::deadline(Instant::now(), limit);
    let waiting = were_healthy(again).into_iter().map(|again| async move {
        let mut backoff = Backoff::for_health();
        loop {
            let looking = tokio::time::timeout_at(deadline.into(), word(context, &again.target));
            let is_good =
                looking.await.is_ok_and(|word| word.is_ok_and(|(word, _)| word.is_good()));
            if is_good || !backoff.wait(Some(deadline)).await {
                return (!is_good).then(|| again.target.name.clone());
            }
        }
    });
    let names: Vec<_> =
        stream::iter(waiting).buffer_unordered(calls_at_once(WAITED_FOR)).collect().await;
    names.into_iter().flatten().collect()
}

/// Looks at what was healthy before, where that was not waited for; gives what the engine does not
/// call healthy yet.
pub(crate) async fn lagging(context: &Context<'_>, again: &[Again]) -> Vec<Answer> {
    if context.request.settings.afterwards.wait_healthy.is_some() {
        return Vec::new();
    }
    let asked = were_healthy(again);
    let looking = asked.into_iter().map(|again| async move {
        let looking = tokio::time::timeout(LOOK, word(context, &again.target));
        // One that cannot be looked at now is nothing to say something of.
        Some(answer(again, None, None, looking.await.ok()?.ok()?))
    });
    let looked: Vec<_> = stream::iter(looking).buffered(at_once()).collect().await;
    looked.into_iter().flatten().filter(|answer| !answer.word.is_good()).collect()
}

fn were_healthy(again: &[Again]) -> Vec<&Again> {
    again.iter().filter(|again| again.target.was_healthy).collect()
}

async fn await_answer(context: &Context<'_>, again: &Again, limit: Duration) -> Answer {
    let deadline = values::deadline(again.since, limit).into();
    let asking = async {
        let mut backoff = Backoff::for_health();
        // One that cannot be asked at the moment is asked again: the limit ends it.
        while !is_content(context, &again.target).await.unwrap_or(false) {
            backoff.wait(None).await;
        }
        again.since.elapsed()
    };
    let mut last = (Word::None, Duration::ZERO);
    let hearing = async {
        let mut backoff = Backoff::for_health();
        loop {
            if let Ok(heard) = word(context, &again.target).await {
                last = heard;
                if last.0.is_good() {
                    return again.since.elapsed();
                }
            }
            backoff.wait(None).await;
        }
    };
    let (after, called) = future::join(
        tokio::time::timeout_at(deadline, asking),
        tokio::time::timeout_at(deadline, hearing),
    )
    .await;
    // It may have been called healthy by an engine that does not know of the pause.
    let after = after.ok();
    let called = after.zip(called.ok()).map(|(after, called)| after.max(called));
    answer(again, after, called, last)
}

fn answer(
    again: &Again,
    after: Option<Duration>,
    called_healthy_after: Option<Duration>,
    (word, interval): (Word, Duration),
) -> Answer {
    Answer {
        id: again.target.id.clone(),
        name: again.target.name.clone(),
        after,
        called_healthy_after,
        word,
        asks_within: interval.saturating_sub(again.since.elapsed()),
    }
}

/// What the engine calls it, and how often it asks.
async fn word(context: &Context<'_>, target: &Target) -> Result<(Word, Duration), TargetError> {
    let seen = context.machine.targets().await?.look(target.handle()).await?;
    Ok((seen.word, seen.probe.map_or(Duration::ZERO, |probe| probe.interval)))
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
