//! Owns targets of no engine at all, for tests of what is done with targets: each act is written down
//! where the test reads it, and can be made to fail.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use jiff::Timestamp;

use crate::{
    core::{
        machine::cgroup::Cgroup,
        target::{
            cgroup_of::CgroupOf,
            event::Happened,
            kind::Kind,
            recorded::{Handle, Target},
            samples,
            seen::{Listed, Listing, Seen},
            state::{Incarnation, State},
        },
    },
    engine::client::EngineError,
    targets::{changes::Changes, error::TargetError, kind::TargetKind},
};

/// How an act fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is refused, and nothing was done.
    Refused,
    /// Its answer is lost, and nothing was done.
    LostBefore,
    /// Its answer is lost, and it was done.
    LostAfter,
}

/// Says of each act whether it is to fail, and how, and writes it down.
pub type Acts = Rc<dyn Fn(&str) -> Option<Failure>>;

/// A world of targets.
#[derive(Clone)]
pub struct FakeTargets {
    acts: Acts,
    targets: Rc<RefCell<Vec<(Listed, Seen)>>>,
    remembered: Rc<RefCell<HashMap<String, Vec<Happened>>>>,
}

impl std::fmt::Debug for FakeTargets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("FakeTargets").finish_non_exhaustive()
    }
}

/// Its targets of one kind.
pub(crate) struct FakeKind {
    fake: FakeTargets,
    kind: Kind,
}

impl FakeTargets {
    /// A world with these, which all run.
    pub fn new(listed: Vec<Listed>, acts: Acts) -> Self {
        let seen = |listed: &Listed| Seen {
            cgroup: Some(CgroupOf::Process { pid: 7, id: listed.id.clone() }),
            ..samples::seen()
        };
        let targets = listed.into_iter().map(|listed| (listed.clone(), seen(&listed))).collect();
        Self { acts, targets: Rc::new(RefCell::new(targets)), remembered: Rc::default() }
    }

    pub(crate) fn of(&self, kind: Kind) -> FakeKind {
        FakeKind { fake: self.clone(), kind }
    }

    /// Lets one end, in a way that its kind remembers like this.
    pub fn ended(&self, name: &str, remembered: &[Happened]) {
        for (listed, seen) in self.targets.borrow_mut().iter_mut() {
            if listed.name() == name {
                seen.state = State::Stopped;
                self.remembered.borrow_mut().insert(listed.id.clone(), remembered.to_vec());
            }
        }
    }

    /// What each of them is doing.
    #[must_use]
    pub fn states(&self) -> Vec<State> {
        self.targets.borrow().iter().map(|(_, seen)| seen.state).collect()
    }

    fn act(
        &self,
        act: &str,
        id: &str,
        done: impl FnOnce(&mut Seen) -> Result<(), TargetError>,
    ) -> Result<(), TargetError> {
        let name = self.name(id)?;
        let failure = (self.acts)(&format!("{act} {name}"));
        if let Some(failure) = failure.filter(|failure| *failure != Failure::LostAfter) {
            return Err(error(failure));
        }
        let mut targets = self.targets.borrow_mut();
        let (_, seen) = targets.iter_mut().find(|(one, _)| one.id == id).ok_or_else(gone)?;
        done(seen).and(failure.map_or(Ok(()), |failure| Err(error(failure))))
    }

    fn name(&self, id: &str) -> Result<String, TargetError> {
        let targets = self.targets.borrow();
        let found = targets.iter().find(|(listed, _)| listed.id == id);
        found.map(|(listed, _)| listed.name().to_owned()).ok_or_else(gone)
    }
}

fn error(failure: Failure) -> TargetError {
    TargetError::Engine(match failure {
        Failure::Refused => refused(409),
        Failure::LostBefore | Failure::LostAfter => EngineError::Lost { cause: "cut".to_owned() },
    })
}

fn gone() -> TargetError {
    TargetError::Engine(refused(404))
}

fn refused(status: u16) -> EngineError {
    EngineError::Refused { status, message: "no".to_owned() }
}

impl TargetKind for FakeKind {
    async fn list(&self, _recorded: &[&Target]) -> Result<Listing, TargetError> {
        if self.kind != Kind::Container {
            return Ok(Listing::default());
        }
        if let Some(failure) = (self.fake.acts)("list") {
            return Err(error(failure));
        }
        let all = self.fake.targets.borrow();
        let now = |(listed, seen): &(Listed, Seen)| Listed { state: seen.state, ..listed.clone() };
        Ok(Listing { targets: all.iter().map(now).collect(), unreadable: Vec::new() })
    }

    async fn look(&self, one: Handle<'_>) -> Result<Seen, TargetError> {
        let name = self.fake.name(one.id)?;
        if let Some(failure) = (self.fake.acts)(&format!("look {name}")) {
            return Err(error(failure));
        }
        let targets = self.fake.targets.borrow();
        let found = targets.iter().find(|(listed, _)| listed.id == one.id);
        found.map(|(_, seen)| seen.clone()).ok_or_else(gone)
    }

    async fn pause(&self, one: Handle<'_>) -> Result<(), TargetError> {
        self.fake.act("pause", one.id, |seen| become_from(seen, State::Running, State::Paused))
    }

    async fn resume(&self, one: Handle<'_>) -> Result<(), TargetError> {
        self.fake.act("resume", one.id, |seen| become_from(seen, State::Paused, State::Running))
    }

    async fn stop(
        &self,
        one: Handle<'_>,
        _patience: Option<Duration>,
        _limit: Duration,
    ) -> Result<(), TargetError> {
        self.fake.act("stop", one.id, |seen| {
            seen.state = State::Stopped;
            Ok(())
        })
    }

    async fn start(&self, one: Handle<'_>) -> Result<(), TargetError> {
        self.fake.act("start", one.id, |seen| {
            if seen.state != State::Running {
                (seen.state, seen.incarnation) = (State::Running, Incarnation::new("t2"));
            }
            Ok(())
        })
    }

    async fn is_healthy(&self, _one: Handle<'_>) -> Result<bool, TargetError> {
        Ok(true)
    }

    async fn remembered(&self, one: Handle<'_>, _now: &Seen) -> Vec<Happened> {
        self.fake.remembered.borrow().get(one.id).cloned().unwrap_or_default()
    }

    async fn memory(&self, _one: Handle<'_>) -> Result<Option<Cgroup>, TargetError> {
        Ok(None)
    }

    fn changes(&self, _since: Timestamp) -> Changes {
        Changes::default()
    }
}

fn become_from(seen: &mut Seen, from: State, to: State) -> Result<(), TargetError> {
    if seen.state != from {
        return Err(TargetError::Engine(refused(409)));
    }
    seen.state = to;
    Ok(())
}
