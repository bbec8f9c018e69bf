//! Owns what it means that somebody else touched a target while it was held: which
//! events are worth a look, what a look says, and how often `--insist` takes a target again. Pure.
//!
//! An event is only the reason for a look. What is as it was left is held still, whatever happened
//! in between: so late events of makeroom's own acts, and old ones that an engine tells again, mean
//! nothing.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::core::{
    lease::state::{HeldTarget, LeaseState, Stage},
    target::{
        event::{Happened, TargetEvent},
        method::Method,
        recorded::Target,
        seen::Seen,
        state::State,
    },
};

/// What somebody else did to a target. Its words are values of the report's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForeignChange {
    /// It was paused and runs.
    Unpaused,
    /// It was started, or restarted, since it was taken.
    Started,
    /// It was stopped, or killed, and stays so.
    Stopped,
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

/// Whether what it is about is to be looked at.
#[must_use]
pub fn is_sign(event: &TargetEvent, state: &LeaseState) -> bool {
    let Some(held) = state.targets.get(&event.id) else { return false };
    match event.happened {
        Happened::Resumed | Happened::Started | Happened::Removed => true,
        // One that was stopped has ended by that.
        Happened::Ended | Happened::Stopped => held.method == Method::Pause,
        Happened::Paused | Happened::ToldToEnd => false,
    }
}

/// How a target came to its end that was paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Somebody stopped or killed it.
    BySomebody,
    /// It crashed, or the kernel killed it.
    ByItself,
    /// Nobody can tell.
    Unknown,
}

/// What its kind remembers of a target that was paused tells how it ended: only what remembers the
/// pause was there all the while. An engine that stops its containers because it ends is no
/// somebody, and the next one remembers no pause.
#[must_use]
pub fn end(remembered: &[Happened]) -> End {
    let Some(paused) = remembered.iter().rposition(|happened| *happened == Happened::Paused) else {
        return End::Unknown;
    };
    let after = &remembered[paused..];
    if after.iter().any(|one| matches!(one, Happened::ToldToEnd | Happened::Stopped)) {
        End::BySomebody
    } else if after.contains(&Happened::Ended) {
        End::ByItself
    } else {
        End::Unknown
    }
}

/// Whether a target that was paused has ended since, whoever did that.
#[must_use]
pub fn has_ended(held: &HeldTarget, now: &Seen) -> bool {
    held.method == Method::Pause
        && now.state == State::Stopped
        && held.target.incarnation.is_same(&now.incarnation)
}

/// The removed target in whose place this one was started: it has its name, as compose's have.
/// Another one of the same service can be a replica that was there all the time.
#[must_use]
pub fn replaced<'a>(event: &TargetEvent, removed: &'a [Target]) -> Option<&'a Target> {
    removed
        .iter()
        .filter(|_| event.happened == Happened::Started)
        .find(|target| event.name.as_ref() == Some(&target.name))
}

/// What a look at a held target says that somebody did to it; `now` is `None` where it is gone.
#[must_use]
pub fn change_since_taken(held: &HeldTarget, now: Option<&Seen>) -> Option<ForeignChange> {
    let Some(now) = now else { return Some(ForeignChange::Removed) };
    if !held.target.incarnation.is_same(&now.incarnation) {
        return Some(ForeignChange::Started);
    }
    // One that runs may be about to be paused by a call of ours that comes late.
    let is_unpaused =
        held.stage == Stage::Held && held.method == Method::Pause && now.state == State::Running;
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
    use crate::core::target::{samples, state::Incarnation};

    fn target(id: &str) -> Target {
        Target { id: id.to_owned(), name: format!("name-of-{id}"), ..samples::target(id) }
    }

    fn held(method: Method, stage: Stage) -> HeldTarget {
        HeldTarget { stage, ..HeldTarget::held(target("a"), method) }
    }

    fn now(state: State, incarnation: &str) -> Seen {
        Seen { state, incarnation: Incarnation::of_start(incarnation), ..samples::seen() }
    }

    #[test]
    fn what_a_look_means_is_as_the_table_says() {
        use ForeignChange::{Started, Unpaused};
        use Stage::{Held, Intended, Unknown};
        use State::{Paused, Running, Starting, Stopped};
        for (method, stage, state, incarnation, expected) in [
            (Method::Pause, Held, Paused, "t1", None),
            (Method::Pause, Held, Running, "t1", Some(Unpaused)),
            // An engine that restarts stops what is paused.
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
            (Method::Stop, Held, Starting, "t1", None),
        ] {
            let found = change_since_taken(&held(method, stage), Some(&now(state, incarnation)));
            assert_eq!(found, expected, "{method:?} {stage:?} {state:?} {incarnation}");
        }
        assert_eq!(
            change_since_taken(&held(Method::Stop, Held), None),
            Some(ForeignChange::Removed)
        );
    }

    fn event(happened: Happened, id: &str, name: Option<&str>) -> TargetEvent {
        TargetEvent { happened, id: id.to_owned(), name: name.map(str::to_owned) }
    }

    #[test]
    fn only_some_events_about_what_is_held_are_worth_a_look() {
        let state = LeaseState {
            targets: [
                ("a".to_owned(), held(Method::Pause, Stage::Held)),
                ("s".to_owned(), held(Method::Stop, Stage::Held)),
            ]
            .into(),
            ..LeaseState::default()
        };
        for (happened, id, expected) in [
            (Happened::Resumed, "a", true),
            (Happened::Started, "a", true),
            (Happened::Removed, "a", true),
            (Happened::Paused, "a", false),
            (Happened::ToldToEnd, "a", false),
            (Happened::Ended, "a", true),
            (Happened::Stopped, "a", true),
            (Happened::Ended, "s", false),
            (Happened::Stopped, "s", false),
            (Happened::Started, "s", true),
            (Happened::Resumed, "b", false),
        ] {
            assert_eq!(
                is_sign(&event(happened, id, None), &state),
                expected,
                "{happened:?} of {id}"
            );
        }
    }

    #[test]
    fn only_what_remembers_the_pause_can_tell_how_it_ended() {
        use Happened::{Ended, Paused, Resumed, Stopped, ToldToEnd};
        for (remembered, expected) in [
            (&[][..], End::Unknown),
            (&[Paused], End::Unknown),
            (&[ToldToEnd, Ended, Stopped], End::Unknown),
            (&[Paused, Ended], End::ByItself),
            (&[Paused, ToldToEnd, Ended], End::BySomebody),
            (&[Paused, ToldToEnd, Resumed, Ended, Stopped], End::BySomebody),
            // By a signal of its own.
            (&[Paused, Resumed, Ended, Stopped], End::BySomebody),
            (&[ToldToEnd, Ended, Stopped, Paused, Ended], End::ByItself),
        ] {
            assert_eq!(end(remembered), expected, "{remembered:?}");
        }
    }

    #[test]
    fn a_target_replaces_a_removed_one_by_its_name_once_it_is_started() {
        let removed = [target("a"), target("b")];
        let replaced = |happened, name| {
            replaced(&event(happened, "new", name), &removed).map(|target| target.id.clone())
        };
        assert_eq!(replaced(Happened::Started, Some("name-of-b")).as_deref(), Some("b"));
        assert_eq!(replaced(Happened::Ended, Some("name-of-b")), None);
        assert_eq!(replaced(Happened::Started, Some("other")), None);
        assert_eq!(replaced(Happened::Started, None), None);
    }

    #[test]
    fn each_target_is_taken_again_three_times_and_no_more() {
        let mut insistence = RetakeBudget::default();
        assert_eq!([(); 4].map(|()| insistence.once_more("a")), [true, true, true, false]);
        assert!(insistence.once_more("b"));
    }
}
