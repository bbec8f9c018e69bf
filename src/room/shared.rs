//! Owns that a stop cuts nobody off: what lives in the namespaces of a target is found before that is
//! stopped, and stopped with it or not at all; and what another lease has stopped with a target is
//! shared with it. Changes nothing. Runs in the keeper.

use crate::{
    core::{
        few::Few,
        lease::state::HeldTarget,
        run::note::{Level, Note},
        target::{
            candidate::Candidate,
            method::{Method, MethodFacts},
            seen::{Listed, Seen},
            selector::any_matches,
            shared::{Fate, Resident, StopFacts, fate},
            start_order::lives_with,
        },
        text,
    },
    host::container::own_container,
    lease::leases::Leases,
    room::{context::Context, look::Found},
};

/// Leaves those of the candidates running that cannot be stopped without cutting others off, or has
/// them paused where nobody asked for a stop and that gives something. Others are looked at only where
/// something is to be stopped.
pub(crate) async fn spare(
    context: &Context<'_>,
    found: &Found,
    candidates: Vec<(Candidate, Method)>,
    facts: MethodFacts,
) -> Vec<(Candidate, Method)> {
    let stopped = |(candidate, method): &(Candidate, Method)| {
        (*method == Method::Stop).then(|| candidate.target.id.clone())
    };
    let stopped: Vec<String> = candidates.iter().filter_map(stopped).collect();
    if stopped.is_empty() {
        return candidates;
    }
    let residents = residents(context, found, &candidates).await;
    let may_push_out = facts.swap_free_bytes > 0 && context.machine.shell.root().await.is_some();
    let (mut few, mut spared) = (Few::default(), Vec::with_capacity(candidates.len()));
    for (mut candidate, method) in candidates {
        let (id, is_part) = (&candidate.target.id, candidate.part_of.is_some());
        let facts = StopFacts {
            wish: facts.wish,
            pause_gives: may_push_out && candidate.stays.is_none(),
            stopped: &stopped,
            all: &residents,
        };
        let fate = if method == Method::Stop { fate(id, is_part, facts) } else { Fate::Stopped };
        match fate {
            Fate::Stopped => spared.push((candidate, method)),
            Fate::LeftAlone(why) => {
                let (text, hint) = why.told(&candidate.target.name, "is left alone");
                context.shortfall_few(&mut few, text, Some(hint));
            }
            Fate::Paused(why) => {
                let (text, _) = why.told(&candidate.target.name, "is paused and not stopped");
                context.note_few(&mut few, Note::new(Level::Info, text));
                // Its whole is stopped without it, or not at all.
                candidate.part_of = None;
                spared.push((candidate, Method::Pause));
            }
        }
    }
    context.note_rest(&few, Level::Warning);
    spared
}

/// All that have processes, and where they live. What is a candidate was looked at already.
async fn residents(
    context: &Context<'_>,
    found: &Found,
    candidates: &[(Candidate, Method)],
) -> Vec<Resident> {
    let Found { targets, listed: all, used, .. } = found;
    let (own, keep) = (own_container(), &context.request.settings.keep);
    let resident = |listed: &Listed, seen: &Seen| {
        let is_kept = own.as_ref() == Some(&listed.id) || any_matches(keep, listed);
        Resident::beside(listed, seen, is_kept, used.get(&listed.id).copied())
    };
    let seen = |listed: &Listed| {
        let (one, _) = candidates.iter().find(|(one, _)| one.target.id == listed.id)?;
        Some(resident(listed, &one.seen))
    };
    let mut residents: Vec<Resident> = all.iter().filter_map(seen).collect();
    let is_other = |listed: &&Listed| {
        listed.has_processes() && !residents.iter().any(|known| known.id == listed.id)
    };
    let others: Vec<&Listed> = all.iter().filter(is_other).collect();
    let looked = targets.looks(others.iter().map(|listed| listed.handle())).await;
    let mut few = Few::default();
    for (listed, seen) in others.into_iter().zip(looked) {
        match seen {
            Ok(seen) => residents.push(resident(listed, &seen)),
            // It went away since the list was made.
            Err(error) if error.is_gone() => {}
            Err(error) => {
                let text = format!(
                    "cannot inspect `{}`: {error}; whether a stop cuts it off is not known",
                    text::printable(listed.name())
                );
                context.note_few(&mut few, Note::new(Level::Warning, text));
            }
        }
    }
    context.note_rest(&few, Level::Warning);
    residents
}

/// What other leases have stopped together with this one: it can be started only after that, and so
/// is shared with it.
///
/// # Errors
/// Why this one is not shared, where one of them is to be kept.
pub(crate) fn stopped_with<'a>(
    context: &Context<'_>,
    leases: &'a Leases,
    all: &[Listed],
    held: Option<&'a HeldTarget>,
) -> Result<Vec<&'a HeldTarget>, String> {
    let mut found: Vec<&HeldTarget> =
        held.filter(|held| held.method == Method::Stop).into_iter().collect();
    let stopped: Vec<&HeldTarget> = leases
        .holding()
        .flat_map(|(_, state)| state.targets.values())
        .filter(|held| held.method == Method::Stop)
        .collect();
    let mut next = 0;
    while let Some(owner) = found.get(next).copied() {
        let lives = |one: &&&HeldTarget| {
            lives_with(&one.target, &owner.target)
                && !found.iter().any(|known| known.target.id == one.target.id)
        };
        let more: Vec<&HeldTarget> = stopped.iter().filter(lives).copied().collect();
        found.extend(more);
        next += 1;
    }
    let sharers = found.split_off(found.len().min(1));
    let is_kept = |one: &&&HeldTarget| {
        let listed = all.iter().find(|listed| listed.id == one.target.id);
        listed.is_some_and(|listed| any_matches(&context.request.settings.keep, listed))
    };
    match (sharers.iter().find(is_kept), found.first()) {
        (Some(kept), Some(owner)) => Err(format!(
            "`{}` is not shared with the run that has stopped it: `{}` lives with it, and is kept",
            text::printable(&owner.target.name),
            text::printable(&kept.target.name)
        )),
        _ => Ok(sharers),
    }
}
