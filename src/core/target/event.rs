//! Owns what may happen to a target, as its kind tells it. Pure.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was paused.
    Paused,
    /// It was thawed.
    Resumed,
    /// It was started.
    Started,
    /// It was sent a signal that is to end it.
    ToldToEnd,
    /// It ended.
    Ended,
    /// Whoever stopped it is done: it has ended.
    Stopped,
    /// It was removed.
    Removed,
}

/// An event about one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetEvent {
    /// What happened.
    pub happened: Happened,
    /// The target's id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
}
