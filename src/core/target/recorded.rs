//! Owns a target as a journal keeps it: enough to know it again, and to undo what was done to it.
//! Pure.

use serde::{Deserialize, Serialize};

use crate::core::{
    target::{kind::Kind, method::Method, state::Incarnation, watcher::Watch},
    text,
};

/// What undoes a stop, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Undo {
    /// A container is started.
    #[default]
    Container,
    /// A service is scaled back.
    SwarmService(Scaled),
}

/// What is kept of a service that is scaled to 0: enough to scale it back, and to know which
/// selectors meant it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    /// The number that it had; never 0.
    pub replicas: u64,
    /// The names of the containers that its tasks were.
    pub tasks: Vec<String>,
}

impl Scaled {
    /// A service with this number: one that has neither it nor 0 was scaled by somebody else.
    #[must_use]
    pub fn incarnation(replicas: u64) -> Incarnation {
        Incarnation::new(format!("{replicas} replicas"))
    }
}

impl Undo {
    /// The kind that it is of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Container => Kind::Container,
            Self::SwarmService(_) => Kind::SwarmService,
        }
    }

    /// What it is scaled back to; `None` for what has no number.
    #[must_use]
    pub fn replicas(&self) -> Option<u64> {
        match self {
            Self::Container => None,
            Self::SwarmService(scaled) => Some(scaled.replicas),
        }
    }
}

/// A target as it was when it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OnDisk")]
pub struct Target {
    /// Its id: opaque, and no other target's of any kind.
    pub id: String,
    /// The name, for messages only.
    pub name: String,
    /// Another one means that it was started anew since, and is not ours.
    pub incarnation: Incarnation,
    /// What undoes a stop, and so of which kind it is.
    pub undo: Undo,
    /// Compose's project.
    pub project: Option<String>,
    /// Compose's service.
    pub service: Option<String>,
    /// The services of the same project that it depends on.
    pub depends_on: Vec<String>,
    /// Its health check was content.
    pub was_healthy: bool,
    /// In whose namespaces it lives: an id, or a name. It can be started only once those run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lives_in: Vec<String>,
    /// How it watches others: such a one comes back last. Since version 6; a makeroom that does not
    /// know it brings it back with the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
}

/// What finds a target again at its kind.
#[derive(Clone, Copy, Debug)]
pub struct Handle<'a> {
    /// Its id.
    pub id: &'a str,
    /// What undoes a stop, and so of which kind it is.
    pub undo: &'a Undo,
}

impl Target {
    /// What finds it again.
    #[must_use]
    pub fn handle(&self) -> Handle<'_> {
        Handle { id: &self.id, undo: &self.undo }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.undo.kind()
    }

    /// The arguments of `docker` that a person types to undo this by hand.
    #[must_use]
    pub fn undo_by_hand(&self, method: Method) -> String {
        let id = text::shell_word(&self.id);
        match (&self.undo, method) {
            (Undo::SwarmService(scaled), _) => format!("service scale {id}={}", scaled.replicas),
            (Undo::Container, Method::Pause) => format!("unpause {id}"),
            (Undo::Container, Method::Stop) => format!("start {id}"),
        }
    }
}

/// A target in any version of the journal that is read. Up to version 5 a container's incarnation
/// was `started_at`, and a service's number stood beside it as `swarm` (since version 4).
#[derive(Deserialize)]
struct OnDisk {
    id: String,
    name: String,
    #[serde(default, alias = "started_at")]
    incarnation: String,
    #[serde(default)]
    undo: Option<Undo>,
    #[serde(default)]
    swarm: Option<Scaled>,
    project: Option<String>,
    service: Option<String>,
    depends_on: Vec<String>,
    #[serde(default)]
    was_healthy: bool,
    /// Since version 6. Without it they are started at once, and those that come too early are
    /// tried again.
    #[serde(default)]
    lives_in: Vec<String>,
    #[serde(default)]
    watch: Option<Watch>,
}

impl From<OnDisk> for Target {
    fn from(read: OnDisk) -> Self {
        let OnDisk { id, name, incarnation, undo, swarm, .. } = read;
        let undo = undo.or_else(|| swarm.map(Undo::SwarmService)).unwrap_or_default();
        let incarnation = match &undo {
            Undo::SwarmService(scaled) => Scaled::incarnation(scaled.replicas),
            Undo::Container => Incarnation::of_start(&incarnation),
        };
        Self {
            id,
            name,
            incarnation,
            undo,
            project: read.project,
            service: read.service,
            depends_on: read.depends_on,
            was_healthy: read.was_healthy,
            lives_in: read.lives_in,
            watch: read.watch,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(target: serde_json::Value) -> Target {
        serde_json::from_value(target).expect("a target")
    }

    #[test]
    fn a_target_of_an_older_journal_is_undone_as_it_would_have_been() {
        let plain = json!({
            "id": "a", "name": "db", "started_at": "t1",
            "project": null, "service": null, "depends_on": []
        });
        let container = read(plain.clone());
        assert_eq!(
            (container.kind(), &container.incarnation),
            (Kind::Container, &Incarnation::new("t1"))
        );
        assert_eq!(container.undo_by_hand(Method::Pause), "unpause a");
        assert_eq!(container.undo_by_hand(Method::Stop), "start a");
        let mut service = plain;
        service["started_at"] = json!("");
        service["swarm"] = json!({ "replicas": 3, "tasks": ["db.1"] });
        let service = read(service);
        assert_eq!(
            service.undo,
            Undo::SwarmService(Scaled { replicas: 3, tasks: vec!["db.1".to_owned()] })
        );
        assert_eq!(service.incarnation, Scaled::incarnation(3));
        assert_eq!(service.undo_by_hand(Method::Stop), "service scale a=3");
    }

    #[test]
    fn what_is_written_is_read_again_as_it_was() {
        for undo in [
            Undo::Container,
            Undo::SwarmService(Scaled { replicas: 2, tasks: vec!["web.1".to_owned()] }),
        ] {
            let incarnation = match undo.replicas() {
                Some(replicas) => Scaled::incarnation(replicas),
                None => Incarnation::new("t1"),
            };
            let target = Target {
                undo,
                incarnation,
                was_healthy: true,
                lives_in: vec!["vpn".to_owned()],
                watch: None,
                ..crate::core::target::samples::target("a")
            };
            let line = serde_json::to_value(&target).expect("json");
            assert_eq!(read(line.clone()), target, "{line}");
        }
    }
}
