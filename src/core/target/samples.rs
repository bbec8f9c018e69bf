//! Owns the targets that tests are made of: each the plainest of its sort, to be changed by `..`.

use std::time::Duration;

use crate::core::target::{
    healthcheck::Word,
    recorded::Target,
    seen::{Listed, Seen},
    state::{Incarnation, State},
};

/// A container that runs.
#[must_use]
pub fn listed(name: &str) -> Listed {
    Listed {
        id: format!("id-of-{name}"),
        names: vec![name.to_owned()],
        state: State::Running,
        ..Listed::default()
    }
}

/// A look at one that runs, in its first life.
#[must_use]
pub fn seen() -> Seen {
    Seen {
        state: State::Running,
        incarnation: Incarnation::new("t1"),
        ended_at: None,
        cgroup: None,
        never_stopped: None,
        stop_patience: Some(Duration::from_secs(10)),
        is_healthy: false,
        word: Word::None,
        probe: None,
        log_port: None,
        lives_in: vec![],
    }
}

/// What a journal keeps of a container in its first life.
#[must_use]
pub fn target(name: &str) -> Target {
    listed(name).target(&seen())
}
