//! Owns what becomes of a target that somebody else changed while it was held: which targets a sign
//! is about, what a look at one means, that the journal lets it go, and that it is told; with
//! `--insist` the target is to be taken again, a few times. Runs in the keeper.

use std::collections::BTreeMap;

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
        target::{
            event::{Happened, TargetEvent},
            method::Method,
            recorded::Target,
            seen::Seen,
            state::State,
        },
        text,
    },
    keeper::{
        engine_watch::{EngineWatch, Sign},
        operations::{Context, Tell},
    },
    lease::journal::Journal,
};

/// How many looks, a second apart, are left to what was told to end: the engine's own limit is 10 s.
const LONGEST_END: u32 = 15;

/// What is remembered of earlier changes.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Targets that somebody removed.
    removed: Vec<Target>,
    /// Targets that somebody stopped, and perhaps only to start them again: that is not told yet.
    stopped: Vec<Target>,
    /// What somebody wanted to end, by id, as far as the engine has told on one connection.
    /// With how often it was waited for since.
    told_to_end: BTreeMap<String, u32>,
    /// A target with a health check that somebody started again, until it is told who does that.
    restarted: Option<Target>,
    /// That was told.
    is_blamed: bool,
    budget: RetakeBudget,
}

impl Past {
    /// Takes in a sign before anything is looked at.
    pub(crate) fn take_in(&mut self, sign: &Sign) {
        match sign {
            Sign::Happened(event) => match event.happened {
                Happened::ToldToEnd | Happened::Stopped => {
                    self.told_to_end.entry(event.id.clone()).or_default();
                }
                Happened::Started | Happened::Removed => drop(self.told_to_end.remove(&event.id)),
                Happened::Paused | Happened::Resumed | Happened::Ended => {}
            },
            // An engine that ends tells its containers to end first.
            Sign::Missed { .. } => self.told_to_end.clear(),
            Sign::Confirm(_) | Sign::Again(_) => {}
        }
    }

    /// Whether somebody wanted the target with this id to end.
    pub(crate) fn was_told_to_end(&self, id: &str) -> bool {
        self.told_to_end.contains_key(id)
    }

    /// Whether the target with this id, which runs, is about to end because somebody wants that: a
    /// stop takes its time. Not for ever: some use what they were sent as they like.
    fn is_ending(&mut self, id: &str) -> bool {
        let Some(times) = self.told_to_end.get_mut(id) else { return false };
        *times += 1;
        *times <= LONGEST_END
    }

    /// Whether somebody wanted it to end, and it was paused and not stopped by us.
    pub(crate) fn may_have_been_stopped(&self, held: &HeldTarget) -> bool {
        held.method == Method::Pause && self.was_told_to_end(&held.target.id)
    }

    /// The first target that may have been restarted because it was paused.
    pub(crate) fn take_restarted(&mut self) -> Option<Target> {
        let target = self.restarted.take().filter(|_| !self.is_blamed)?;
        self.is_blamed = true;
        Some(target)
    }

    fn take_stopped(&mut self, id: &str) -> Option<Target> {
        let index = self.stopped.iter().position(|target| target.id == id)?;
        Some(self.stopped.remove(index))
    }
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

/// Tells of a target that somebody stopped, once it is known whether it stays so.
pub(crate) fn note_stopped(
    past: &mut Past,
    sign: &Sign,
    engine: &mut EngineWatch<'_>,
    context: Context<'_>,
) {
    let (id, change) = match sign {
        Sign::Happened(event) if event.happened == Happened::Started => {
            (&event.id, ForeignChange::Started)
        }
        Sign::Happened(event) if event.happened == Happened::Removed => {
            (&event.id, ForeignChange::Removed)
        }
        Sign::Confirm(id) => (id, ForeignChange::Stopped),
        Sign::Happened(_) | Sign::Missed { .. } | Sign::Again(_) => return,
    };
    if let Some(target) = past.take_stopped(id) {
        answer(&target, change, past, engine, context);
    }
}

/// Tells of what was stopped and not told of yet: there is no time to wait for more.
pub(crate) fn tell_rest(past: &mut Past, tell: Tell<'_>) {
    for target in std::mem::take(&mut past.stopped) {
        tell_of(&target, ForeignChange::Stopped, Reply::LeftAlone, tell);
    }
}

/// Does what follows from a look at a target: lets it go where somebody changed it, or asks for
/// another look. `by_somebody`: it has ended, and somebody wanted that.
pub(crate) fn act_on(
    (held, now, by_somebody): (&HeldTarget, Option<&Seen>, bool),
    look: Look,
    past: &mut Past,
    journal: &mut Journal,
    engine: &mut EngineWatch<'_>,
    context: Context<'_>,
) {
    match change_since_taken(held, now) {
        Some(ForeignChange::Unpaused)
            if look != Look::Second || past.is_ending(&held.target.id) =>
        {
            engine.confirm(held.target.id.clone());
        }
        Some(change) => let_go((&held.target, change), look, past, journal, engine, context),
        None if by_somebody => {
            let change = ForeignChange::Stopped;
            let_go((&held.target, change), look, past, journal, engine, context);
        }
        // It was seen to run, and nothing of ours has paused it since.
        None if look == Look::Second
            && !context.request.settings.insist
            && now.is_some_and(|now| now.state == State::Paused) =>
        {
            let change = ForeignChange::Unpaused;
            let_go((&held.target, change), look, past, journal, engine, context);
        }
        None => {}
    }
}

fn let_go(
    (target, change): (&Target, ForeignChange),
    look: Look,
    past: &mut Past,
    journal: &mut Journal,
    engine: &mut EngineWatch<'_>,
    context: Context<'_>,
) {
    let tell = context.tell;
    let how = match change {
        ForeignChange::Removed => Restored::Removed,
        ForeignChange::Stopped => Restored::Stopped,
        _ => Restored::Theirs,
    };
    let record = Record::Restored { id: target.id.clone(), how };
    // What somebody stopped looks like what an engine has stopped: nothing else tells.
    let recorded = match journal.intend(std::slice::from_ref(&record)) {
        Ok(()) => Ok(()),
        Err(_) => journal.note(&record),
    };
    if let Err(error) = recorded {
        tell(FromKeeper::Note(Note::new(Level::Detail, error.to_string())));
    }
    if change == ForeignChange::Stopped {
        past.stopped.push(target.clone());
        engine.confirm(target.id.clone());
        return;
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
    answer(target, change, past, engine, context);
}

/// Says what is done about it, and asks for that.
fn answer(
    target: &Target,
    change: ForeignChange,
    past: &mut Past,
    engine: &mut EngineWatch<'_>,
    Context { request, tell, .. }: Context<'_>,
) {
    if change == ForeignChange::Started && target.was_healthy {
        past.restarted = Some(target.clone());
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
