//! Owns what it means that somebody else touched a target while it was held: which of the engine's
//! events are worth a look, what a look says, and how often `--insist` takes a target again. Pure.
//!
//! An event is only the reason for a look. What is as it was left is held still, whatever happened
//! in between: so late events of makeroom's own acts, and old ones that an engine tells again, mean
//! nothing.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::core::{
    lease::record::{HeldTarget, LeaseState, Stage, Target},
    target::choice::{Activity, Inspected, Method, is_same_start},
};

/// What somebody else did to a target. Its words are values of the report's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForeignChange {
    /// It was paused and runs.
    Unpaused,
    /// It was started, or restarted, since it was taken.
    Started,
    /// There is no such container any more.
    Removed,
    /// And there is another one in its place.
    Recreated,
}

impl ForeignChange {
    /// Whether the target can be taken again after this.
    #[must_use]
    pub fn leaves_it_there(self) -> bool {
        matches!(self, Self::Unpaused | Self::Started)
    }
}

/// What makeroom does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The target is theirs from now on.
    LeftAlone,
    /// `--insist`: it is taken again in a while.
    TakenAgain,
    /// The same, but that was done [`MOST_TIMES`] already.
    GivenUp,
}

/// An event of the engine about one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineEvent {
    /// The engine's word: `unpause`, `start`, `destroy`, …
    pub action: String,
    /// The container's full id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
}

/// The actions that are worth a look; podman calls a removal `remove`.
pub const ACTIONS: [&str; 4] = ["unpause", "start", "destroy", "remove"];

impl EngineEvent {
    /// Whether the container that it is about is to be looked at.
    #[must_use]
    pub fn is_sign(&self, state: &LeaseState) -> bool {
        ACTIONS.contains(&self.action.as_str()) && state.targets.contains_key(&self.id)
    }

    /// The removed target in whose place this container was started: it has its name, as compose's
    /// have. Another one of the same service can be a replica that was there all the time.
    #[must_use]
    pub fn replaces<'a>(&self, removed: &'a [Target]) -> Option<&'a Target> {
        removed
            .iter()
            .filter(|_| self.action == "start")
            .find(|target| self.name.as_ref() == Some(&target.name))
    }
}

/// What a look at a held target says that somebody did to it; `now` is `None` where it is gone.
#[must_use]
pub fn deed(held: &HeldTarget, now: Option<&Inspected>) -> Option<ForeignChange> {
    let Some(now) = now else { return Some(ForeignChange::Removed) };
    if !is_same_start(&held.target.started_at, &now.started_at) {
        return Some(ForeignChange::Started);
    }
    // One that runs may be about to be paused by a call of ours that comes late.
    let is_unpaused = held.stage == Stage::Held
        && held.method == Method::Pause
        && now.activity == Activity::Running;
    is_unpaused.then_some(ForeignChange::Unpaused)
}

/// A target is taken again so often and no more: a fight without an end helps nobody.
pub const MOST_TIMES: u32 = 3;

/// How often each target was taken again, by container id.
#[derive(Debug, Default)]
pub struct RetakeBudget {
    times: HashMap<String, u32>,
}

impl RetakeBudget {
    /// Whether this target may be taken once more. It counts as taken then.
    pub fn once_more(&mut self, id: &str) -> bool {
        let times = self.times.entry(id.to_owned()).or_default();
        *times += 1;
        *times <= MOST_TIMES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(id: &str) -> Target {
        Target {
            id: id.to_owned(),
            name: format!("name-of-{id}"),
            started_at: "t1".to_owned(),
            project: Some("p".to_owned()),
            service: Some(format!("service-of-{id}")),
            depends_on: vec![],
            was_healthy: false,
            swarm: None,
        }
    }

    fn held(method: Method, stage: Stage) -> HeldTarget {
        HeldTarget { stage, ..HeldTarget::held(target("a"), method) }
    }

    fn now(activity: Activity, started_at: &str) -> Inspected {
        Inspected {
            activity,
            started_at: started_at.to_owned(),
            pid: 1,
            auto_remove: false,
            stop_patience: None,
            log_port: None,
            is_healthy: false,
            probe: None,
        }
    }

    #[test]
    fn what_a_look_means_is_as_the_table_says() {
        use Activity::{Paused, Restarting, Running, Stopped};
        use ForeignChange::{Started, Unpaused};
        use Stage::{Held, Intended, Unknown};
        for (method, stage, activity, started_at, expected) in [
            (Method::Pause, Held, Paused, "t1", None),
            (Method::Pause, Held, Running, "t1", Some(Unpaused)),
            // A restarting engine stops what is paused.
            (Method::Pause, Held, Stopped, "t1", None),
            (Method::Pause, Held, Running, "t2", Some(Started)),
            (Method::Pause, Held, Stopped, "t2", Some(Started)),
            (Method::Pause, Held, Paused, "t2", Some(Started)),
            // What the engine does not say is not another start.
            (Method::Pause, Held, Paused, "", None),
            (Method::Stop, Held, Stopped, "0001-01-01T00:00:00Z", None),
            (Method::Pause, Intended, Running, "t1", None),
            (Method::Pause, Unknown, Running, "t1", None),
            (Method::Pause, Unknown, Running, "t2", Some(Started)),
            (Method::Stop, Held, Stopped, "t1", None),
            (Method::Stop, Held, Running, "t2", Some(Started)),
            (Method::Stop, Intended, Running, "t1", None),
            (Method::Stop, Held, Restarting, "t1", None),
        ] {
            let found = deed(&held(method, stage), Some(&now(activity, started_at)));
            assert_eq!(found, expected, "{method:?} {stage:?} {activity:?} {started_at}");
        }
        assert_eq!(deed(&held(Method::Stop, Held), None), Some(ForeignChange::Removed));
    }

    #[test]
    fn only_some_events_about_what_is_held_are_worth_a_look() {
        let state = LeaseState {
            targets: [("a".to_owned(), held(Method::Pause, Stage::Held))].into(),
            ..LeaseState::default()
        };
        for (action, id, expected) in [
            ("unpause", "a", true),
            ("start", "a", true),
            ("destroy", "a", true),
            ("remove", "a", true),
            ("pause", "a", false),
            ("die", "a", false),
            ("exec_start: sh", "a", false),
            ("unpause", "b", false),
        ] {
            let happening = EngineEvent {
                action: action.to_owned(),
                id: id.to_owned(),
                ..EngineEvent::default()
            };
            assert_eq!(happening.is_sign(&state), expected, "{action} of {id}");
        }
    }

    #[test]
    fn a_container_replaces_a_removed_one_by_its_name_once_it_is_started() {
        let removed = [target("a"), target("b")];
        let happening = |action: &str, name: Option<&str>| EngineEvent {
            action: action.to_owned(),
            id: "new".to_owned(),
            name: name.map(str::to_owned),
        };
        let replaced =
            |happening: EngineEvent| happening.replaces(&removed).map(|target| target.id.clone());
        assert_eq!(replaced(happening("start", Some("name-of-b"))).as_deref(), Some("b"));
        assert_eq!(replaced(happening("create", Some("name-of-b"))), None);
        assert_eq!(replaced(happening("start", Some("other"))), None);
        assert_eq!(replaced(happening("start", None)), None);
    }

    #[test]
    fn each_target_is_taken_again_three_times_and_no_more() {
        let mut insistence = RetakeBudget::default();
        assert_eq!([(); 4].map(|()| insistence.once_more("a")), [true, true, true, false]);
        assert!(insistence.once_more("b"));
    }
}
