//! Owns what becomes of a chosen container when room is made: taken, joined, or left alone. Pure.

use crate::core::{
    lease::record::HeldTarget,
    target::choice::{Activity, Inspected, Method, is_same_start},
};

/// What to do with a chosen container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It runs: take it.
    Take,
    /// This lease took it already, in a keeper that died since.
    Ours(Method),
    /// A live lease has it: copy its original state.
    Join(Method),
    /// It runs, and a call of another lease may still come: it is that one's.
    Awaited,
    /// Somebody else paused it: it is not ours to thaw later.
    PausedByOther,
    /// It does not run: there is nothing to take.
    NotRunning,
}

/// Decides for one container, from what it does, what this lease's journal says of it, and what
/// a live lease's journal says of it.
#[must_use]
pub fn claim(
    now: &Inspected,
    own: Option<&HeldTarget>,
    other: Option<&HeldTarget>,
    is_awaited: bool,
) -> Claim {
    let is_as_left = |held: &HeldTarget| {
        is_same_start(&held.target.started_at, &now.started_at)
            && match held.method {
                Method::Pause => now.activity == Activity::Paused,
                Method::Stop => now.activity == Activity::Stopped,
            }
    };
    if let Some(held) = own.filter(|held| is_as_left(held)) {
        return Claim::Ours(held.method);
    }
    // What another lease has only announced is done under the lock that we hold now, so it was
    // abandoned in between; joining is right all the same, because that lease restores it.
    if let Some(held) = other.filter(|held| is_as_left(held)) {
        return Claim::Join(held.method);
    }
    match now.activity {
        Activity::Running | Activity::Restarting if is_awaited && own.is_none() => Claim::Awaited,
        // The engine decides about one that is restarting, and says why not.
        Activity::Running | Activity::Restarting => Claim::Take,
        Activity::Paused => Claim::PausedByOther,
        Activity::Stopped => Claim::NotRunning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::lease::record::Target;

    fn held(method: Method, started_at: &str) -> HeldTarget {
        let target = Target {
            id: "i".into(),
            name: "n".into(),
            started_at: started_at.into(),
            project: None,
            service: None,
            depends_on: vec![],
            was_healthy: false,
            swarm: None,
        };
        HeldTarget::held(target, method)
    }

    #[test]
    fn every_activity_with_every_holder_is_claimed_as_the_table_says() {
        use Activity::{Paused, Restarting, Running, Stopped};
        use Claim::{Join, NotRunning, Ours, PausedByOther, Take};
        let (pause, stop, old) =
            (held(Method::Pause, "t1"), held(Method::Stop, "t1"), held(Method::Pause, "t0"));
        for (activity, own, other, expected) in [
            (Running, None, None, Take),
            (Restarting, None, None, Take),
            (Paused, None, None, PausedByOther),
            (Stopped, None, None, NotRunning),
            (Paused, Some(&pause), None, Ours(Method::Pause)),
            (Stopped, Some(&stop), None, Ours(Method::Stop)),
            (Running, Some(&pause), None, Take),
            (Stopped, Some(&pause), None, NotRunning),
            (Paused, Some(&old), None, PausedByOther),
            (Paused, None, Some(&pause), Join(Method::Pause)),
            (Stopped, None, Some(&stop), Join(Method::Stop)),
            (Running, None, Some(&pause), Take),
            (Paused, None, Some(&old), PausedByOther),
            (Running, None, Some(&old), Take),
            (Paused, None, Some(&stop), PausedByOther),
            (Paused, Some(&pause), Some(&pause), Ours(Method::Pause)),
        ] {
            let now = Inspected {
                activity,
                started_at: "t1".into(),
                pid: 1,
                auto_remove: false,
                stop_patience: None,
                log_port: None,
                is_healthy: false,
                probe: None,
            };
            assert_eq!(
                claim(&now, own, other, false),
                expected,
                "{activity:?}, own {own:?}, other {other:?}"
            );
            let is_left = own.is_none() && expected == Take;
            assert_eq!(
                claim(&now, own, other, true),
                if is_left { Claim::Awaited } else { expected },
                "{activity:?}, awaited"
            );
            // An engine that does not say when it was started: what is as it was left is held
            // still.
            let silent = Inspected { started_at: String::new(), ..now };
            let expected = match (activity, own, other) {
                (Paused, Some(held), _) if held.method == Method::Pause => Ours(held.method),
                (Paused, None, Some(held)) if held.method == Method::Pause => Join(held.method),
                _ => expected,
            };
            assert_eq!(
                claim(&silent, own, other, false),
                expected,
                "silent: {activity:?}, own {own:?}, other {other:?}"
            );
        }
    }
}
