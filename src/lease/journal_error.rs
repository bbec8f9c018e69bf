//! Owns what goes wrong with a journal, and which of it may pass by itself.

use std::{io, path::PathBuf};

use crate::{core::lease::lines::Unreadable, lease::dir};

/// What went wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot write the journal {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// It is not known whose lease it is or whether its holder lives, so nothing may be done that
    /// another lease could forbid.
    #[error("cannot look at the journal {}: {source}", path.display())]
    Unseen { path: PathBuf, source: io::Error },
    #[error("the journal {} is not used: {source}", path.display())]
    Misfit { path: PathBuf, source: io::Error },
    #[error("cannot read the journal {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: Unreadable },
}

impl JournalError {
    /// Tells whether a live lease of which nothing is known may be behind it.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        matches!(self, Self::Unseen { .. })
    }

    /// Tells whether it may succeed in a moment.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unseen { source, .. } if may_pass(source))
    }

    pub(super) fn looking(path: PathBuf, source: io::Error) -> Self {
        if dir::is_misfit(&source) {
            Self::Misfit { path, source }
        } else {
            Self::Unseen { path, source }
        }
    }
}

/// Tells whether this is a shortage that others can end: of descriptors or memory (open(2)).
#[must_use]
pub fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EINTR | libc::EAGAIN)
    )
}
