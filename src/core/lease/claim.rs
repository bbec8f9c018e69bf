//! Owns what becomes of a chosen target when room is made: taken, joined, or left alone. Pure.

use crate::core::{
    lease::state::HeldTarget,
    target::{method::Method, seen::Seen, state::State},
};

/// What to do with a chosen target.
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

/// Decides for one target, from what it does, what this lease's journal says of it, and what
/// a live lease's journal says of it.
#[must_use]
pub fn claim(
    now: &Seen,
    own: Option<&HeldTarget>,
    other: Option<&HeldTarget>,
    is_awaited: bool,
) -> Claim {
    let is_as_left = |held: &HeldTarget| {
        held.target.incarnation.is_same(&now.incarnation)
            && match held.method {
                Method::Pause => now.state == State::Paused,
                Method::Stop => now.state == State::Stopped,
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
    match now.state {
        State::Running | State::Starting if is_awaited && own.is_none() => Claim::Awaited,
        // Whoever runs it decides about one that is about to start, and says why not.
        State::Running | State::Starting => Claim::Take,
        State::Paused => Claim::PausedByOther,
        State::Stopped => Claim::NotRunning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::target::{recorded::Target, samples, state::Incarnation};

    fn held(method: Method, incarnation: &str) -> HeldTarget {
        let incarnation = Incarnation::new(incarnation);
        HeldTarget::held(Target { incarnation, ..samples::target("n") }, method)
    }

    #[test]
    fn every_state_with_every_holder_is_claimed_as_the_table_says() {
        use Claim::{Join, NotRunning, Ours, PausedByOther, Take};
        use State::{Paused, Running, Starting, Stopped};
        let (pause, stop, old) =
            (held(Method::Pause, "t1"), held(Method::Stop, "t1"), held(Method::Pause, "t0"));
        for (state, own, other, expected) in [
            (Running, None, None, Take),
            (Starting, None, None, Take),
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
            let now = Seen { state, ..samples::seen() };
            assert_eq!(
                claim(&now, own, other, false),
                expected,
                "{state:?}, own {own:?}, other {other:?}"
            );
            let is_left = own.is_none() && expected == Take;
            assert_eq!(
                claim(&now, own, other, true),
                if is_left { Claim::Awaited } else { expected },
                "{state:?}, awaited"
            );
            // An engine that does not say when it was started: what is as it was left is held
            // still.
            let silent = Seen { incarnation: Incarnation::default(), ..now };
            let expected = match (state, own, other) {
                (Paused, Some(held), _) if held.method == Method::Pause => Ours(held.method),
                (Paused, None, Some(held)) if held.method == Method::Pause => Join(held.method),
                _ => expected,
            };
            assert_eq!(
                claim(&silent, own, other, false),
                expected,
                "silent: {state:?}, own {own:?}, other {other:?}"
            );
        }
    }
}
