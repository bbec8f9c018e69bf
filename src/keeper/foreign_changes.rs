//! Owns what becomes of a target that somebody else changed while it was held: which targets a sign
//! is about, what a look at one means, that the journal lets it go, and that it is told; with
//! `--insist` the target is to be taken again, a few times. Runs in the keeper.

use crate::{
    core::{
        lease::{
            foreign_change::{
                ForeignChange, Reply, RetakeBudget, change_since_taken, is_sign, replaced,
            },
            record::{Record, Restored},
            state::{HeldTarget, LeaseState},
        },
        run::{
            note::{Level, Note},
            wire::FromKeeper,
        },
        target::{event::TargetEvent, recorded::Target, seen::Seen},
        text,
    },
    keeper::{
        engine_watch::{EngineWatch, Sign},
        operations::{Context, Tell},
    },
    lease::journal::Journal,
};

/// What is remembered of earlier changes.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Targets that somebody removed.
    removed: Vec<Target>,
    budget: RetakeBudget,
}

/// Which look at a target it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    First,
    /// The engine was away, and may have done itself what is seen.
    AfterItWasAway,
    /// What is seen was seen a while ago as well.
    Second,
}

/// The ids of the targets that a sign is about, and how each is to be looked at.
pub(crate) fn to_look_at(sign: &Sign, held: &LeaseState) -> (Vec<String>, Look) {
    match sign {
        Sign::Happened(event) if is_sign(event, held) => (vec![event.id.clone()], Look::First),
        Sign::Missed { engine_was_away } => {
            let look = if *engine_was_away { Look::AfterItWasAway } else { Look::First };
            (held.targets.keys().cloned().collect(), look)
        }
        Sign::Confirm(id) => (vec![id.clone()], Look::Second),
        Sign::Happened(_) | Sign::Again(_) => (vec![], Look::First),
    }
}

/// The target with this id, where it is held and an engine's event tells what becomes of it.
pub(crate) fn held<'a>(id: &str, state: &'a LeaseState) -> Option<&'a HeldTarget> {
    state.targets.get(id).filter(|held| held.target.kind().tells_changes())
}

/// Tells of a target that was removed before, where this event tells of another one in its place.
pub(crate) fn note_replacement(past: &mut Past, event: &TargetEvent, tell: Tell<'_>) {
    if let Some(target) = replaced(event, &past.removed).cloned() {
        past.removed.retain(|removed| removed.id != target.id);
        tell_of(&target, ForeignChange::Recreated, Reply::LeftAlone, tell);
    }
}

/// Does what follows from a look at a target: lets it go where somebody changed it, or asks for
/// another look.
pub(crate) fn act_on(
    (held, now): (&HeldTarget, Option<&Seen>),
    look: Look,
    past: &mut Past,
    journal: &mut Journal,
    engine: &mut EngineWatch<'_>,
    context: Context<'_>,
) {
    match change_since_taken(held, now) {
        Some(ForeignChange::Unpaused) if look != Look::Second => {
            engine.confirm(held.target.id.clone());
        }
        Some(change) => let_go((&held.target, change), look, past, journal, engine, context),
        None => {}
    }
}

fn let_go(
    (target, change): (&Target, ForeignChange),
    look: Look,
    past: &mut Past,
    journal: &mut Journal,
    engine: &mut EngineWatch<'_>,
    Context { request, tell, .. }: Context<'_>,
) {
    let how = if change == ForeignChange::Removed { Restored::Removed } else { Restored::Theirs };
    if let Err(error) = journal.note(&Record::Restored { id: target.id.clone(), how }) {
        tell(FromKeeper::Note(Note::new(Level::Detail, error.to_string())));
    }
    if change == ForeignChange::Started && look == Look::AfterItWasAway {
        // Its restart policy's doing, as far as anybody can tell.
        let text = format!(
            "`{}` was started while the engine was away: it is left alone",
            text::printable(&target.name)
        );
        tell(FromKeeper::Note(Note::new(Level::Detail, text)));
        return;
    }
    if change == ForeignChange::Removed {
        past.removed.push(target.clone());
    }
    let reply = match request.settings.insist && change.leaves_it_there() {
        false => Reply::LeftAlone,
        true if past.budget.once_more(&target.id) => Reply::TakenAgain,
        true => Reply::GivenUp,
    };
    if reply == Reply::TakenAgain {
        engine.take_again(target.clone());
    }
    tell_of(target, change, reply, tell);
}

fn tell_of(target: &Target, change: ForeignChange, reply: Reply, tell: Tell<'_>) {
    let (id, name) = (target.id.clone(), target.name.clone());
    tell(FromKeeper::Touched { id, name, change, reply });
}
