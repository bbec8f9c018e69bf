//! Owns what is done about targets, and containers beside them, that restart what the engine calls
//! unhealthy: the former come back when it calls the others healthy again, the latter are named.
//! Runs in the keeper, and in `stop` for leases whose holder is dead.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    core::{
        lease::state::LeaseState,
        run::note::{Level, Note},
        target::{
            recorded::Target,
            seen::Listed,
            start_order,
            state::State,
            watcher::{Suspects, Watch, suspects},
        },
        text,
    },
    host::container::own_container,
    lease::enforcers::Enforcers,
    room::{
        after::{self, Again},
        context::Context,
    },
};

/// So long they wait for the others.
const LIMIT: Duration = Duration::from_secs(30);

/// The ids of the targets that come back when the engine calls the others healthy: none where
/// whoever ends the lease does not wait, or nothing would be waited for.
pub(crate) fn put_off(context: &Context<'_>, held: &LeaseState) -> BTreeSet<String> {
    let targets: Vec<&Target> = held.targets.values().map(|held| &held.target).collect();
    let (last, others): (Vec<_>, Vec<_>) = start_order::levels(&targets)
        .into_iter()
        .partition(|level| level.watch == Some(Watch::Enforcer));
    let all = |levels: Vec<start_order::Level>| levels.into_iter().flat_map(|level| level.indices);
    let is_any_waited_for = all(others).any(|index| targets[index].was_healthy);
    if context.cancel.is_said() || !is_any_waited_for {
        return BTreeSet::new();
    }
    all(last).map(|index| targets[index].id.clone()).collect()
}

/// Waits until the engine calls healthy what is back, as long as it is worth it.
pub(crate) async fn await_others(
    context: &Context<'_>,
    again: &[Again],
    held: &LeaseState,
    put_off: &BTreeSet<String>,
) {
    let names = put_off.iter().filter_map(|id| Some(held.targets.get(id)?.target.name.as_str()));
    let names = text::names(names, 5);
    if !again.iter().any(|again| again.target.was_healthy) {
        return;
    }
    context.note(Note::new(
        Level::Info,
        format!(
            "{names} restarts what the engine calls unhealthy: it comes back when the others are healthy, after {} s at the latest",
            LIMIT.as_secs()
        ),
    ));
    let still = after::await_words(context, again, LIMIT).await;
    if !still.is_empty() {
        let still = text::names(still.iter().map(String::as_str), 5);
        let text = format!("the engine still calls {still} unhealthy, and {names} comes back");
        context.note(Note::new(Level::Warning, text));
    }
}

/// Marks those of the listed that were seen to restart targets of an earlier lease.
pub(crate) fn mark_seen(context: &Context<'_>, listed: &mut [Listed]) {
    let mut watching = listed.iter_mut().filter(|one| one.watch == Some(Watch::Socket)).peekable();
    if watching.peek().is_none() {
        return;
    }
    let seen = Enforcers::of(context.state).read();
    for one in watching.filter(|one| seen.iter().any(|name| name == one.name())) {
        one.watch = Some(Watch::Enforcer);
    }
}

/// Names what may have restarted a target while it was held, with the remedy, and remembers it where
/// it can be no other.
pub(crate) async fn tell_of(context: &Context<'_>, held: &LeaseState, restarted: &Target) {
    let listing = async { context.machine.targets().await?.list(&[]).await };
    // Where that cannot be told, the change itself is said all the same.
    let Ok(listing) = listing.await else { return };
    let own = own_container();
    let runs = |one: &&Listed| {
        one.state == State::Running
            && own.as_ref() != Some(&one.id)
            && one.id != restarted.id
            && !held.targets.contains_key(&one.id)
    };
    let beside: Vec<&Listed> = listing.targets.iter().filter(runs).collect();
    let known = |one: &&&Listed| one.watch == Some(Watch::Enforcer);
    let found = suspects(beside.iter().map(|one| (one.name(), one.watch)));
    let (text, names) = match found {
        Suspects::None => return,
        Suspects::Known(names) => {
            let which = text::names(names.iter().copied(), 3);
            (
                format!("{which} restarts what the engine calls unhealthy, and so what is paused"),
                names,
            )
        }
        Suspects::Unknown(names) => {
            let which = text::names(names.iter().copied(), 3);
            let holds = if names.len() == 1 { "holds" } else { "hold" };
            (
                format!(
                    "{which} {holds} the engine's socket, and may be what restarts `{}` because it is paused",
                    text::printable(&restarted.name)
                ),
                names,
            )
        }
    };
    if let ([name], false) = (&names[..], beside.iter().any(|one| known(&one)))
        && let Err(error) = Enforcers::of(context.state).add(name)
    {
        context.note(Note::new(Level::Detail, format!("that is not remembered: {error}")));
    }
    let options: Vec<String> =
        names.iter().map(|name| format!("--pause {}", text::shell_word(name))).collect();
    let hint = format!("select it as well: {}; it comes back last", options.join(" "));
    context.note(Note::new(Level::Warning, text).hint(hint));
}
