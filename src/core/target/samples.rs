//! Owns the targets that tests are made of: each the plainest of its sort, to be changed by `..`.

use std::{collections::HashMap, time::Duration};

use crate::core::target::{
    recorded::{Target, Undo},
    seen::{Listed, Seen},
    state::{Incarnation, State},
};

/// A container that runs.
pub fn listed(name: &str) -> Listed {
    Listed {
        id: format!("id-of-{name}"),
        undo: Undo::Container,
        names: vec![name.to_owned()],
        labels: HashMap::new(),
        state: State::Running,
        ports: Vec::new(),
        part_of: None,
    }
}

/// A look at one that runs, in its first life.
pub fn seen() -> Seen {
    Seen {
        state: State::Running,
        incarnation: Incarnation::new("t1"),
        cgroup: None,
        never_stopped: None,
        stop_patience: Some(Duration::from_secs(10)),
        is_healthy: false,
        probe: None,
        log_port: None,
    }
}

/// What a journal keeps of a container in its first life.
pub fn target(name: &str) -> Target {
    listed(name).target(&seen())
}
