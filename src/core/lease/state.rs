//! Owns what a lease still has to give back: the fold of its records. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::core::{
    lease::{
        late_call::{Call, LateCall, Moment},
        record::{Area, Kind, Opened, Record, Restored},
    },
    machine::way::Way,
    target::{method::Method, recorded::Target},
};

/// How far a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Announced, perhaps done.
    Intended,
    /// The engine was asked and its answer was lost: it may still do it.
    Unknown,
    /// Done, perhaps by another lease.
    Held,
}

/// A target that a lease still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTarget {
    /// The target as it was.
    pub target: Target,
    /// What was done to it.
    pub method: Method,
    /// How far.
    pub stage: Stage,
    /// The call that was announced and whose outcome is not known; `None` also where a journal
    /// before version 5 has it.
    pub call: Option<Call>,
    /// What may still come of calls before that one.
    pub earlier: Option<Call>,
}

impl HeldTarget {
    /// One whose outcome is known.
    #[must_use]
    pub fn held(target: Target, method: Method) -> Self {
        Self { target, method, stage: Stage::Held, call: None, earlier: None }
    }

    /// What may still come of all that was sent, though the target looks as it did before. Where
    /// the journal does not tell, the call counts as sent when that was `seen`, to a container that
    /// is given `patience` to stop.
    #[must_use]
    pub fn open_call(&self, seen: Moment, patience: Option<Duration>) -> Option<Call> {
        let untold = || match self.method {
            Method::Pause => Call::pause(seen, Duration::ZERO),
            Method::Stop => Call::stop(seen, patience, Duration::ZERO),
        };
        match self.stage {
            Stage::Held => self.earlier,
            Stage::Intended | Stage::Unknown => {
                Some(self.call.unwrap_or_else(untold).later(self.earlier))
            }
        }
    }

    /// What may still come of all that was sent, though the target looks as the call left it: one of
    /// several calls did that, and it is not known which.
    #[must_use]
    pub fn other_calls(&self) -> Option<Call> {
        let earlier = self.earlier?;
        Some(self.call.map_or(earlier, |call| call.later(Some(earlier))))
    }
}

/// An area that a lease still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldArea {
    /// The area.
    pub area: Area,
    /// Its removal has begun: it counts as absent.
    pub removing: bool,
}

/// What a journal says a lease still has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseState {
    /// The first record; `None` in a journal whose first line was never finished.
    pub opened: Option<Opened>,
    /// By target id.
    pub targets: BTreeMap<String, HeldTarget>,
    /// By path.
    pub areas: BTreeMap<String, HeldArea>,
    /// The ids of targets that became somebody else's; nothing is owed to them.
    pub theirs: BTreeSet<String>,
    /// By id, what was removed while this lease had it. Nothing brings that back.
    pub removed: BTreeMap<String, HeldTarget>,
    /// The names of those among them that somebody stopped, by id.
    pub stopped: BTreeMap<String, String>,
    /// The first line of the journal that does not hold what was written, if there is one: it may
    /// have had more.
    pub damaged_line: Option<usize>,
    /// The targets and areas that are named, and whose own records are not there: only damage does
    /// that.
    pub lost: BTreeSet<String>,
}

impl LeaseState {
    /// The way to the host that its areas are on; `None` for this machine.
    #[must_use]
    pub fn host(&self) -> Option<&Way> {
        self.opened.as_ref()?.host.as_ref()
    }

    /// Whether it is kept after its build, for the next one.
    #[must_use]
    pub fn lingers(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.lingers_until.is_some())
    }

    /// Whether a build runs in it, which its room outlasts. A started lease, as which one lingers,
    /// ends when it likes.
    #[must_use]
    pub fn is_of_a_build(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.kind == Kind::Run) && !self.is_releasing()
    }

    /// Whether its release has begun.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.releasing)
    }

    /// Whether nothing is left to give back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.areas.is_empty()
    }

    /// The calls of this lease that may still take effect after this moment, by what is recorded.
    #[must_use]
    pub fn late_calls(&self, now: Moment) -> Vec<LateCall> {
        let late = |held: &HeldTarget| {
            let call = held.open_call(now, None).filter(|call| {
                !call.left(now).is_zero() && !held.target.kind().refuses_late_calls()
            })?;
            let HeldTarget { target, method, .. } = held;
            Some(LateCall {
                id: target.id.clone(),
                name: target.name.clone(),
                method: *method,
                until: call.until(),
            })
        };
        self.targets.values().filter_map(late).collect()
    }

    fn lose(&mut self, record: &Record) {
        match record {
            Record::Taken { id, .. } | Record::NotRestored { id, .. }
                if !self.targets.contains_key(id) =>
            {
                self.lost.insert(id.clone());
            }
            Record::AreaMade { path }
            | Record::AreaRemoving { path }
            | Record::AreaStays { path, .. }
                if !self.areas.contains_key(path) =>
            {
                self.lost.insert(path.clone());
            }
            Record::Restored { id, .. }
            | Record::NotTaken { id, .. }
            | Record::AreaGone { path: id, .. } => {
                self.lost.remove(id);
            }
            _ => {}
        }
    }

    /// Takes one more record into account.
    pub fn apply(&mut self, record: &Record) {
        self.lose(record);
        match record {
            Record::Opened(opened) => {
                let mut opened = opened.clone();
                // A keeper that could not reach the engine, as for want of files, knows less than
                // the one before it.
                if let Some(before) = self.opened.take().filter(|_| opened.engine.is_none()) {
                    (opened.engine, opened.certificates, opened.host) =
                        (before.engine, before.certificates, opened.host.or(before.host));
                }
                self.opened = Some(opened);
            }
            Record::Taking { target, method, call } => {
                // A keeper before this one can have died over a call that is still on its way.
                let before = self.targets.remove(&target.id);
                let earlier = before.and_then(|before| {
                    before.call.map_or(before.earlier, |call| Some(call.later(before.earlier)))
                });
                let held = HeldTarget {
                    target: target.clone(),
                    method: *method,
                    stage: Stage::Intended,
                    call: *call,
                    earlier,
                };
                self.targets.insert(target.id.clone(), held);
                self.theirs.remove(&target.id);
                self.removed.remove(&target.id);
                self.stopped.remove(&target.id);
            }
            Record::Joined { target, method, call } => {
                let joined =
                    HeldTarget { earlier: *call, ..HeldTarget::held(target.clone(), *method) };
                self.targets.insert(target.id.clone(), joined);
            }
            Record::Taken { id, unknown, call } => {
                if let Some(held) = self.targets.get_mut(id) {
                    (held.stage, held.call) = match unknown {
                        Some(_) => (Stage::Unknown, call.or(held.call)),
                        None => (Stage::Held, None),
                    };
                }
            }
            Record::Restored { id, how: how @ (Restored::Theirs | Restored::Stopped) } => {
                let held = self.targets.remove(id);
                self.theirs.insert(id.clone());
                if let Some(held) = held.filter(|_| *how == Restored::Stopped) {
                    self.stopped.insert(id.clone(), held.target.name);
                }
            }
            Record::NotTaken { id, .. } => match self.targets.get_mut(id) {
                // This call did nothing, and one before it may still come.
                Some(held) if held.earlier.is_some() => {
                    (held.stage, held.call, held.earlier) = (Stage::Unknown, held.earlier, None);
                }
                _ => drop(self.targets.remove(id)),
            },
            Record::Restored { id, how: Restored::Removed } => {
                self.removed.extend(self.targets.remove_entry(id));
            }
            Record::Restored { id, .. } => {
                self.targets.remove(id);
            }
            Record::AreaMaking { area } | Record::AreaJoined { area } => {
                self.areas
                    .insert(area.path.clone(), HeldArea { area: area.clone(), removing: false });
            }
            Record::AreaRemoving { path } => {
                if let Some(held) = self.areas.get_mut(path) {
                    held.removing = true;
                }
            }
            Record::AreaGone { path, .. } => {
                self.areas.remove(path);
            }
            Record::NotRestored { .. } | Record::AreaMade { .. } | Record::AreaStays { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
