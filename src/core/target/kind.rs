//! Owns the kinds of targets: what a person calls one, and what differs between them that decisions
//! rest on. Pure; `targets` acts on each.

use serde::{Deserialize, Serialize};

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
}
