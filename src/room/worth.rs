//! Owns leaving alone what gains nothing: a target whose memory cannot be pushed out is stopped
//! instead of paused where it may be, and otherwise runs on, each said with the reason. Runs in the
//! keeper.

use futures_util::{StreamExt as _, stream};

use crate::{
    core::{
        few::Few,
        machine::cgroup::Measured,
        plan::gain::{Holding, PushOut, Worth, weigh},
        run::note::{Level, Note},
        target::{
            candidate::Candidate,
            method::{Method, MethodFacts},
        },
        text,
        values::MethodWish,
    },
    room::context::Context,
    targets::{all::Targets, kind::TargetKind as _, pace::at_once},
};

/// Weighs each with its method. `sizes` is the host before swap was made, with the targets;
/// `measured` after it. What is not seen there is asked of the engine.
pub(crate) async fn weigh_all(
    context: &Context<'_>,
    targets: &Targets,
    candidates: Vec<(Candidate, Method)>,
    facts: MethodFacts,
    sizes: Option<&Measured>,
    measured: Option<&Measured>,
) -> Vec<(Candidate, Method)> {
    let is_free = facts.wish == MethodWish::Pause || facts.no_reclaim;
    if is_free || candidates.is_empty() || context.cancel.is_said() {
        tell_not_stopped(context, facts, &candidates);
        return candidates;
    }
    let has_root = measured.is_some() && context.machine.shell.root().await.is_some();
    let push_out = PushOut { host: sizes, has_root, swap_free_bytes: facts.swap_free_bytes };
    let asking = candidates.into_iter().map(|(mut candidate, method)| async move {
        if candidate.memory_bytes.is_none() && method == Method::Pause {
            candidate.memory_bytes = asked_bytes(targets, &candidate).await;
        }
        (candidate, method)
    });
    let weighed: Vec<_> = stream::iter(asking).buffered(at_once()).collect().await;
    let mut left = Few::default();
    let mut taken = Vec::with_capacity(weighed.len());
    for (mut candidate, method) in weighed {
        let target = Holding {
            cgroup: sizes.and_then(|sizes| sizes.targets.get(&candidate.target.id)),
            bytes: candidate.memory_bytes,
        };
        let name = text::printable(&candidate.target.name);
        candidate.stays = push_out.why_nothing(&target);
        match weigh(facts, method, &push_out, &target, candidate.seen.never_stopped) {
            Worth::Take(method) => taken.push((candidate, method)),
            Worth::StopFor(_) => taken.push((candidate, Method::Stop)),
            Worth::Leave { why, not_stopped } => {
                let text = format!(
                    "`{name}` is left alone: a pause would free nothing ({why}), and it is not stopped: {not_stopped}"
                );
                let hint = "--method pause pauses it all the same".to_owned();
                context.shortfall_few(&mut left, text, Some(hint));
            }
        }
    }
    context.note_rest(&left, Level::Warning);
    tell_not_stopped(context, facts, &taken);
    taken
}

/// Says of those that are stopped only because a pause would free nothing.
pub(crate) fn tell_stopped(
    context: &Context<'_>,
    facts: MethodFacts,
    candidates: &[(Candidate, Method)],
) {
    let mut few = Few::default();
    for (candidate, method) in candidates {
        if let (MethodWish::Auto, Method::Stop, Some(why)) = (facts.wish, method, candidate.stays) {
            let name = text::printable(&candidate.target.name);
            let text = format!("`{name}` is stopped, a pause would free nothing: {why}");
            context.note_few(&mut few, Note::new(Level::Info, text));
        }
    }
    context.note_rest(&few, Level::Info);
}

fn tell_not_stopped(context: &Context<'_>, facts: MethodFacts, candidates: &[(Candidate, Method)]) {
    let mut few = Few::default();
    for (candidate, _) in candidates {
        if let (MethodWish::Stop, Some(why)) = (facts.wish, candidate.seen.never_stopped) {
            let name = text::printable(&candidate.target.name);
            let text = format!("`{name}` is paused and not stopped: {why}");
            context.note_few(&mut few, Note::new(Level::Warning, text));
        }
    }
    context.note_rest(&few, Level::Warning);
}

/// One that does not answer is one whose size is not known.
async fn asked_bytes(targets: &Targets, candidate: &Candidate) -> Option<u64> {
    let target = &candidate.target;
    let memory = targets.of(target.kind()).memory(target.handle()).await;
    memory.ok().flatten().map(|cgroup| cgroup.used_bytes)
}
