//! Owns which of the chosen targets are taken, which are shared with another lease, and by which
//! method: nothing is changed yet but what is shared. Runs in the keeper.

use std::collections::HashMap;

use crate::{
    core::{
        few::Few,
        lease::{
            claim::{Claim, claim},
            late_call::{Call, Moment, awaited},
            record::Record,
            state::HeldTarget,
        },
        machine::cgroup::Measured,
        run::{
            note::{Level, Note},
            results::RoomTarget,
        },
        target::{
            candidate::Candidate,
            cgroup_of::CgroupOf,
            method::{Method, MethodFacts, method},
            recorded::Target,
            seen::{Listed, Seen},
        },
        text,
    },
    host::kernel::moment,
    lease::{journal::Journal, leases::Leases},
    room::{
        context::Context,
        look::Found,
        mark::mark_held,
        shared,
        worth::{tell_stopped, weigh_all},
    },
    targets::{error::TargetError, wholes},
};

/// What the chosen targets come to.
#[derive(Default)]
pub(crate) struct Claimed {
    /// To be taken, by this method.
    pub(crate) candidates: Vec<(Candidate, Method)>,
    /// Taken already, by this lease or another one.
    pub(crate) joined: Vec<RoomTarget>,
    /// The cgroups of what is paused already.
    pub(crate) paused: Vec<CgroupOf>,
    /// The ids of those among them that somebody else has paused, and that stay so.
    pub(crate) theirs: Vec<String>,
    /// The name of each, by its id.
    pub(crate) names: HashMap<String, String>,
}

/// What claiming looks at.
struct Holders<'a> {
    leases: &'a Leases,
    /// All that is listed, and what of it is chosen.
    all: &'a [Listed],
    chosen: &'a [Listed],
    sizes: Option<&'a Measured>,
    at: Moment,
}

impl Holders<'_> {
    fn chooses(&self, id: &str) -> bool {
        self.chosen.iter().any(|listed| listed.id == id)
    }
}

/// Looks at each of the chosen ones and claims it. `sizes` is the host before swap was made, with the
/// targets; `measured` after it.
pub(crate) async fn claim_all(
    context: &Context<'_>,
    journal: &mut Journal,
    leases: &Leases,
    found: &Found,
    sizes: Option<&Measured>,
    measured: Option<&Measured>,
) -> Claimed {
    let Found { targets, chosen, listed: all, .. } = found;
    let looked = targets.looks(chosen.iter().map(Listed::handle)).await;
    let holders = Holders { leases, all, chosen, sizes, at: moment() };
    let (mut claimed, mut few) = (Claimed::default(), Few::default());
    let mut candidates = Vec::with_capacity(looked.len());
    for (seen, listed) in looked.into_iter().zip(chosen) {
        match seen {
            Ok(seen) => {
                let taken =
                    claim_one(context, journal, &holders, listed, seen, &mut claimed, &mut few);
                candidates.extend(taken);
            }
            // It went away since the list was made.
            Err(error) if error.is_gone() => {}
            Err(error) => tell_unseen(context, listed, &error, &mut few),
        }
    }
    context.note_rest(&few, Level::Warning);
    let facts = facts(context, &candidates, sizes, measured);
    let with_methods = methods(candidates, facts);
    let with_methods = weigh_all(context, targets, with_methods, facts, sizes, measured).await;
    let with_methods = shared::spare(context, found, with_methods, facts).await;
    tell_stopped(context, facts, &with_methods);
    let own = journal.state();
    claimed.candidates = wholes::in_place_of_parts(
        targets,
        with_methods,
        |id| own.targets.contains_key(id),
        |text| context.note(Note::new(Level::Warning, text)),
    )
    .await;
    claimed
}

fn tell_unseen(context: &Context<'_>, listed: &Listed, error: &TargetError, few: &mut Few) {
    let text = format!("cannot inspect `{}`: {error}", text::printable(listed.name()));
    context.shortfall_few(few, text, None);
}

/// Claims one target; gives it where it is to be taken.
fn claim_one(
    context: &Context<'_>,
    journal: &mut Journal,
    holders: &Holders<'_>,
    listed: &Listed,
    seen: Seen,
    claimed: &mut Claimed,
    few: &mut Few,
) -> Option<Candidate> {
    let target = listed.target(&seen);
    let name = text::printable(&target.name);
    claimed.names.insert(target.id.clone(), target.name.clone());
    let memory_bytes =
        holders.sizes.and_then(|sizes| Some(sizes.targets.get(&target.id)?.used_bytes));
    let own = journal.state().targets.get(&target.id);
    let other = holders.leases.holder_of(&target.id).map(|(_, held)| held);
    let original = own.or(other).map_or(&target, |held| &held.target).clone();
    let late = holders.leases.late_call(&target.id, holders.at);
    match claim(&seen, own, other, late.is_some()) {
        Claim::Take if !seen.incarnation.is_known() => {
            // A journal tells a target from its next incarnation by nothing else.
            let text =
                format!("`{name}` is left alone: the engine does not say when it was started");
            context.shortfall_few(few, text, Some("leave it out with --keep".to_owned()));
        }
        Claim::Take => {
            let announced = own.is_some();
            let part_of = listed.part_of.clone();
            let stays = None;
            return Some(Candidate { target, memory_bytes, seen, stays, part_of, announced });
        }
        Claim::Ours(method) => {
            claimed.joined.push(room_target(&original, memory_bytes, method));
            claimed.paused.extend(seen.cgroup);
            context.record(journal, &Record::Taken { id: target.id, unknown: None, call: None });
        }
        Claim::Join(method) => {
            mark_held(context);
            let call = other.and_then(HeldTarget::other_calls);
            let with_it = match shared::stopped_with(context, holders.leases, holders.all, other) {
                Ok(sharers) => sharers,
                Err(why) => {
                    context.note(Note::new(Level::Info, why));
                    return None;
                }
            };
            join(context, journal, (original, method, call), memory_bytes, claimed);
            for held in with_it.into_iter().filter(|held| !holders.chooses(&held.target.id)) {
                let one = (held.target.clone(), held.method, held.other_calls());
                join(context, journal, one, None, claimed);
            }
        }
        Claim::Awaited => {
            let why = awaited(late.as_slice()).unwrap_or_default();
            let text = format!("{why}, by another run: it is left to that one");
            context.note(Note::new(Level::Warning, text));
        }
        Claim::PausedByOther => {
            let text = format!("`{name}` was paused by somebody else and stays so");
            context.note(Note::new(Level::Info, text));
            // Its state is theirs; its memory is in the build's way all the same.
            claimed.theirs.push(target.id);
            claimed.paused.extend(seen.cgroup);
        }
        Claim::NotRunning => {
            context.note(Note::new(Level::Detail, format!("`{name}` does not run")));
        }
    }
    None
}

/// Shares one with the lease that has it.
fn join(
    context: &Context<'_>,
    journal: &mut Journal,
    (target, method, call): (Target, Method, Option<Call>),
    memory_bytes: Option<u64>,
    claimed: &mut Claimed,
) {
    let joined = room_target(&target, memory_bytes, method);
    // Not recorded, it is the other lease's alone, which brings it back when that ends.
    match journal.announce(&Record::Joined { target, method, call }) {
        Ok(()) => claimed.joined.push(joined),
        Err(error) => {
            let text = format!("`{}` is not shared: {error}", text::printable(&joined.name));
            context.note(Note::new(Level::Warning, text));
        }
    }
}

fn facts(
    context: &Context<'_>,
    candidates: &[Candidate],
    sizes: Option<&Measured>,
    measured: Option<&Measured>,
) -> MethodFacts {
    let settings = &context.request.settings;
    let ids = candidates.iter().map(|candidate| candidate.target.id.as_str());
    MethodFacts {
        wish: settings.method,
        no_reclaim: settings.no_reclaim,
        swap_free_bytes: measured.map_or(0, |measured| measured.free_swap().net_bytes()),
        targets_bytes: sizes.and_then(|sizes| sizes.sum_bytes(ids)),
    }
}

fn methods(candidates: Vec<Candidate>, facts: MethodFacts) -> Vec<(Candidate, Method)> {
    let with_method = |candidate: Candidate| {
        let comes_back = candidate.seen.never_stopped.is_none();
        let method = method(facts, candidate.memory_bytes, comes_back);
        (candidate, method)
    };
    candidates.into_iter().map(with_method).collect()
}

pub(crate) fn room_target(
    target: &Target,
    memory_bytes: Option<u64>,
    method: Method,
) -> RoomTarget {
    RoomTarget {
        name: target.name.clone(),
        id: target.id.clone(),
        kind: target.kind(),
        method,
        memory_bytes,
        given_back_bytes: None,
    }
}
