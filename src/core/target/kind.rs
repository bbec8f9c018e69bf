//! Owns the kinds of targets: what a person calls one, and what differs between them that decisions
//! rest on. Pure; `targets` acts on each.

use serde::{Deserialize, Serialize};

use crate::core::text::count;

/// What sort of target it is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A container of the engine's.
    #[default]
    Container,
    /// A Swarm service, in the place of all its tasks.
    SwarmService,
}

impl Kind {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Container, Self::SwarmService];

    /// Whether a call that nobody waits for any more can be made to do nothing: a service's names
    /// the version that it was made for, and is refused once there is a newer one.
    #[must_use]
    pub fn refuses_late_calls(self) -> bool {
        self == Self::SwarmService
    }

    /// Whether the engine tells when somebody touches one. No event tells of a service's number.
    #[must_use]
    pub fn tells_changes(self) -> bool {
        self == Self::Container
    }

    /// What is said of one that somebody else has changed meanwhile, and that stays so; `None`
    /// where that goes without saying.
    #[must_use]
    pub fn left_as_changed(self, name: &str) -> Option<String> {
        (self == Self::SwarmService)
            .then(|| format!("`{name}` was scaled by somebody else and stays so"))
    }

    /// Names one of them in a message.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::SwarmService => "Swarm service",
        }
    }
}

/// Counts targets by the noun that fits all of them: `2 containers`, `1 Swarm service`, and
/// `3 targets` where they are of several kinds.
pub fn counted(kinds: impl IntoIterator<Item = Kind>) -> String {
    let mut kinds = kinds.into_iter();
    let Some(first) = kinds.next() else { return count(0, ANY_KIND) };
    let (number, same) =
        kinds.fold((1, true), |(number, same), kind| (number + 1, same && kind == first));
    count(number, if same { first.noun() } else { ANY_KIND })
}

const ANY_KIND: &str = "target";

#[cfg(test)]
mod tests {
    use Kind::{Container, SwarmService};

    use super::*;

    #[test]
    fn targets_are_counted_by_the_noun_that_fits_all_of_them() {
        for (kinds, text) in [
            (&[][..], "0 targets"),
            (&[Container], "1 container"),
            (&[Container, Container], "2 containers"),
            (&[SwarmService], "1 Swarm service"),
            (&[SwarmService, SwarmService], "2 Swarm services"),
            (&[Container, SwarmService], "2 targets"),
            (&[SwarmService, Container, Container], "3 targets"),
            (&[Container, SwarmService, Container], "3 targets"),
        ] {
            assert_eq!(counted(kinds.iter().copied()), text, "{kinds:?}");
        }
    }

    #[test]
    fn a_kind_is_written_in_snake_case() {
        for (kind, json) in [(Container, "\"container\""), (SwarmService, "\"swarm_service\"")] {
            assert_eq!(serde_json::to_string(&kind).ok().as_deref(), Some(json));
            assert_eq!(serde_json::from_str::<Kind>(json).ok(), Some(kind));
        }
    }
}
