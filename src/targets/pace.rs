//! Owns how many calls are under way at once, and how long their answers are waited for.

use std::time::Duration;

use crate::{
    engine::client::{PAUSE, STOP_MARGIN},
    host::limits::calls_at_once,
};

/// Calls that are under way at once, where so many files can be open.
const AT_ONCE: usize = 16;
/// What may take for ever to stop (a stop timeout of -1) is waited for no longer; its stop goes on.
const ENDLESS_STOP: Duration = Duration::from_mins(1);

/// How many calls may be under way at once.
#[must_use]
pub fn at_once() -> usize {
    calls_at_once(AT_ONCE)
}

/// How long the answer to a pause is waited for.
pub const PAUSE_LIMIT: Duration = PAUSE;

/// How long the answer to a stop is waited for, of a target that is given `patience`; `None`: for
/// ever.
#[must_use]
pub fn stop_limit(patience: Option<Duration>) -> Duration {
    patience.unwrap_or(ENDLESS_STOP).saturating_add(STOP_MARGIN)
}
