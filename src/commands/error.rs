//! Owns why a subcommand failed: reason, what was not done for it, and a hint, printed at the one
//! door of the subcommands (`commands::invocation`) and nowhere else.

use std::io;

use crate::config::ConfigError;

/// Why a subcommand failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line cannot be understood.
    #[error("{0}")]
    Usage(String),
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What was asked for cannot be printed.
    #[error("cannot write to stdout: {0}")]
    Stdout(#[source] io::Error),
    /// Everything else.
    #[error("{reason}")]
    Failed { reason: String, not_done: Option<&'static str>, hint: Option<String> },
}

impl CommandError {
    /// It failed for this reason.
    #[expect(clippy::needless_pass_by_value, reason = "so that `map_err` takes it")]
    pub(super) fn new(reason: impl ToString) -> Self {
        Self::Failed { reason: reason.to_string(), not_done: None, hint: None }
    }

    /// And this was not done, or is as it was.
    pub(super) fn with_state(self, state: &'static str) -> Self {
        match self {
            Self::Failed { reason, hint, .. } => {
                Self::Failed { reason, not_done: Some(state), hint }
            }
            other => other,
        }
    }

    /// And this can be done about it.
    pub(super) fn with_hint(self, hint: impl Into<Option<String>>) -> Self {
        match self {
            Self::Failed { reason, not_done, .. } => {
                Self::Failed { reason, not_done, hint: hint.into() }
            }
            other => other,
        }
    }

    /// What was not done, or is as it was.
    #[must_use]
    pub fn not_done(&self) -> Option<&'static str> {
        match self {
            Self::Usage(_) => Some("nothing was changed; no command was started"),
            Self::Config(_) => Some("nothing was changed"),
            Self::Stdout(_) => None,
            Self::Failed { not_done, .. } => *not_done,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage(_) => Some("`makeroom --help`".to_owned()),
            Self::Config(error) => error.hint(),
            Self::Stdout(_) => None,
            Self::Failed { hint, .. } => hint.clone(),
        }
    }
}
