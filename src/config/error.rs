//! Owns why settings cannot be used, in one line each, and what a person can do about it. Pure.

use std::path::PathBuf;

use crate::config::{found::Refused, unknown::UnknownVariable};

/// Why the settings cannot be used; one line, with the place and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}:{line}: {message}", path.display())]
    File { path: PathBuf, line: usize, message: String },
    #[error(
        "{}:{line}: `{key}` may not be set by a makeroom.toml that comes with a repository; \
         set it in {}",
        path.display(),
        user.display()
    )]
    NotTrusted { path: PathBuf, line: usize, key: String, user: PathBuf },
    #[error(
        "{}:{line}: `{key}` is one hour at most in a makeroom.toml that comes with a repository; \
         set more in {}",
        path.display(),
        user.display()
    )]
    TooLong { path: PathBuf, line: usize, key: String, user: PathBuf },
    #[error("{}", .0.reason())]
    Refused(Refused),
    #[error("{variable}: {message}")]
    Environment { variable: String, message: String },
    #[error("{0}")]
    UnknownVariable(UnknownVariable),
    #[error("{key}: {} is not UTF-8, and a lease's journal could not name it", path.display())]
    NotText { key: &'static str, path: PathBuf },
    #[error("neither HOME nor XDG_STATE_HOME is set; name a state directory with --state-dir DIR")]
    NoHome,
}

impl ConfigError {
    /// What a person can do about it, where the error does not say so.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refused) => Some(refused.hint()),
            Self::UnknownVariable(unknown) => Some(unknown.hint()),
            _ => None,
        }
    }

    /// What a person is told where this is passed over.
    #[must_use]
    pub fn hint_to_pass_over(&self) -> String {
        self.hint().unwrap_or_else(|| "that is passed over here; a run would refuse it".to_owned())
    }

    /// The same without a word of what is in the file.
    pub(super) fn without_content(self) -> Self {
        match self {
            Self::File { path, line, .. } => {
                let message = "not what a makeroom.toml holds; it is a link, and what it leads to \
                               is not shown"
                    .to_owned();
                Self::File { path, line, message }
            }
            other => other,
        }
    }
}
