//! Owns the kinds of targets: what a person calls one, and what differs between them that decisions
//! rest on. Pure; `targets` acts on each.

use serde::{Deserialize, Serialize};

use crate::core::text::count;

/// What sort of target it is.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "TargetKind")]
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
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::SwarmService => "Swarm service",
        }
    }
}

/// Names one of them where they are of several kinds, or may be of any.
pub const ANY: &str = "target";

/// Names one of them where none is known: nearly everybody has nothing but these.
pub const USUAL: &str = Kind::Container.noun();

/// Gives the noun that fits all of these: their kind's, [`ANY`] for several kinds, and [`USUAL`]
/// where there are none.
pub fn noun_of(kinds: impl IntoIterator<Item = Kind>) -> &'static str {
    let mut kinds = kinds.into_iter();
    let Some(first) = kinds.next() else { return USUAL };
    if kinds.all(|kind| kind == first) { first.noun() } else { ANY }
}

/// Counts targets by [`noun_of`]: `2 containers`, `1 Swarm service`, and `3 targets` where they are
/// of several kinds.
pub fn counted(kinds: impl IntoIterator<Item = Kind>) -> String {
    let kinds: Vec<Kind> = kinds.into_iter().collect();
    count(kinds.len(), noun_of(kinds.iter().copied()))
}

#[cfg(test)]
mod tests {
    use Kind::{Container, SwarmService};

    use super::*;

    #[test]
    fn targets_are_counted_by_the_noun_that_fits_all_of_them() {
        for (kinds, text) in [
            (&[][..], "0 containers"),
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
