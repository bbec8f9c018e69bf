//! Owns what is found of targets: what a kind lists, and what a look at one of them says. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use jiff::Timestamp;

use crate::core::{
    target::{
        cgroup_of::CgroupOf,
        healthcheck::{Probe, Word},
        kind::Kind,
        lives_in::LivesIn,
        recorded::{Handle, Target, Undo},
        start_order::{COMPOSE_DEPENDS_ON, COMPOSE_PROJECT, COMPOSE_SERVICE, depends_on},
        state::{Incarnation, State},
        watcher::Watch,
    },
    text,
};

/// A target as its kind lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its id: opaque, and no other target's of any kind.
    pub id: String,
    /// What undoes a stop, and so of which kind it is.
    pub undo: Undo,
    /// Its names, the ones that selectors match.
    pub names: Vec<String>,
    /// The image that it was made of, by the name that it was made with.
    pub image: Option<String>,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// What it was doing when the list was made.
    pub state: State,
    /// Its ports as the host knows them.
    pub ports: Vec<u16>,
    /// The target that is stopped in its place and with all its other parts, by its id.
    pub part_of: Option<String>,
    /// When it was made, in seconds since 1970.
    pub created_at: Option<i64>,
    /// How it watches others.
    pub watch: Option<Watch>,
}

impl Listed {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.undo.kind()
    }

    /// What finds it again.
    #[must_use]
    pub fn handle(&self) -> Handle<'_> {
        Handle { id: &self.id, undo: &self.undo }
    }

    /// Whether it holds memory.
    #[must_use]
    pub fn has_processes(&self) -> bool {
        matches!(self.state, State::Running | State::Paused)
    }

    /// The name that a person knows it by.
    #[must_use]
    pub fn name(&self) -> &str {
        // A legacy link adds names of the form `other/alias`; the container's own has no slash.
        self.names
            .iter()
            .find(|name| !name.contains('/'))
            .or(self.names.first())
            .map_or(&self.id, |name| name)
    }

    /// What a journal keeps of it, as it was seen to be.
    #[must_use]
    pub fn target(&self, seen: &Seen) -> Target {
        let label = |key: &str| self.labels.get(key).cloned();
        Target {
            id: self.id.clone(),
            name: self.name().to_owned(),
            incarnation: seen.incarnation.clone(),
            undo: self.undo.clone(),
            project: label(COMPOSE_PROJECT),
            service: label(COMPOSE_SERVICE),
            depends_on: label(COMPOSE_DEPENDS_ON)
                .map(|value| depends_on(&value))
                .unwrap_or_default(),
            was_healthy: seen.is_healthy,
            lives_in: seen.owners(),
            watch: self.watch,
        }
    }
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The targets, in their kind's order.
    pub targets: Vec<Listed>,
    /// What is listed beside them and cannot be read: a name, where there is one.
    pub unreadable: Vec<Option<String>>,
}

impl Listing {
    /// What a person has to know of it.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let known: Vec<&str> = self.unreadable.iter().flatten().map(String::as_str).collect();
        let names =
            if known.is_empty() { String::new() } else { format!(": {}", text::names(known, 5)) };
        let (count, these) = match self.unreadable.len() {
            0 => return None,
            1 => ("1 container".to_owned(), "it is"),
            count => (text::count(count, "container"), "they are"),
        };
        Some(format!("the engine lists {count} without an id, and {these} left alone{names}"))
    }
}

/// A target as a look at it has found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it was doing at that moment.
    pub state: State,
    /// Which life of it that is.
    pub incarnation: Incarnation,
    /// When it ended the last time; `None` where it never did, or where that is not known.
    pub ended_at: Option<Timestamp>,
    /// Its cgroup; `None` where it has no processes.
    pub cgroup: Option<CgroupOf>,
    /// Why it would never come back from a stop, in the words for a person who wanted it stopped.
    pub never_stopped: Option<&'static str>,
    /// How long it is given to stop; `None`: for ever.
    pub stop_patience: Option<Duration>,
    /// Its health check was content when it was last asked.
    pub is_healthy: bool,
    /// What the engine says of that now.
    pub word: Word,
    /// That check.
    pub probe: Option<Probe>,
    /// The port that its log is sent to.
    pub log_port: Option<u16>,
    /// Where it lives, beside its own namespaces.
    pub lives_in: Vec<LivesIn>,
}

impl Seen {
    /// In whose namespaces it lives: each once.
    fn owners(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.lives_in.iter().map(|lives| &lives.of).collect();
        all.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::target::samples;

    #[test]
    fn the_name_shown_is_the_containers_own_and_not_a_links() {
        let linked =
            Listed { names: vec!["proxy/db".to_owned(), "db".to_owned()], ..samples::listed("x") };
        assert_eq!(linked.name(), "db");
        assert_eq!(Listed { names: vec![], ..samples::listed("x") }.name(), "id-of-x");
    }
}
