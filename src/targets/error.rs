//! Owns why a call about a target did not do what it was for, whichever kind it is of.

use std::time::Duration;

use crate::engine::client::EngineError;

/// Why a call about a target failed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The engine's error.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It was made to change, and has not.
    #[error("the engine says that it is done, and nothing has changed")]
    NotSeen,
    /// No journal tells which engine it is on, and this one does not know it.
    #[error("the engine at {url} does not know it, and the journal does not tell of another one")]
    Unknown { url: String },
    /// Nobody answers for the call any more.
    #[error("the engine's answer was lost: the call was given up")]
    GivenUp,
    /// The answer is late; the call goes on.
    #[error("the engine has not answered for {} s", after.as_secs())]
    Silent { after: Duration },
    /// Its kind has no such thing.
    #[error("nothing of this kind can be {done}")]
    Unable { done: &'static str },
}

impl TargetError {
    /// There is none with this id any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_not_found())
    }

    /// It could not be frozen at that moment, and runs on; another attempt may do it.
    #[must_use]
    pub fn is_freezer_busy(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_freezer_busy())
    }

    /// It is not in a state for this.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_conflict())
    }

    /// Whoever runs it is gone or went away, as opposed to refusing this call.
    #[must_use]
    pub fn is_engine_gone(&self) -> bool {
        matches!(self, Self::GivenUp)
            || matches!(self, Self::Engine(error) if error.is_engine_gone())
    }

    /// Whether the call may have done something, or may still, though nobody said so.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_outcome_unknown(),
            Self::GivenUp | Self::Silent { .. } => true,
            Self::NotSeen | Self::Unknown { .. } | Self::Unable { .. } => false,
        }
    }

    /// Whether the call is under way still, for all that is known.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        matches!(
            self,
            Self::Silent { .. }
                | Self::Engine(EngineError::Silent { .. } | EngineError::TasksStay { .. })
        )
    }

    /// Whether the connection broke over it.
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        matches!(self, Self::GivenUp | Self::Engine(EngineError::Lost { .. }))
    }

    /// Whether this will be said each time, as of an engine that tells no events.
    #[must_use]
    pub fn is_refused_for_good(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Refused { status: 400..=499 | 501, .. }))
    }

    /// What a person can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        if let Self::Engine(error) = self { error.hint() } else { None }
    }
}
