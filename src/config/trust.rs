//! Owns what a `makeroom.toml` that comes with a repository may say: it is somebody else's. Pure.

#![expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    clippy::unnecessary_wraps,
    reason = "the table of options gives each rule its field, and asks each alike"
)]

use std::time::Duration;

use crate::core::values::{MethodWish, Span};

/// What a file may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It is the user's, the system's, or was named: everything.
    Full,
    /// It lies in or above the working directory, whoever wrote it.
    Repository,
}

/// Why a repository's file may not say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// This key is not for it.
    Key,
    /// This value of the key is not for it.
    Value(&'static str),
    /// It is too long.
    TooLong,
}

/// For so long at most a repository's file keeps targets from running, or their users from going
/// on.
const LONGEST: Duration = Duration::from_hours(1);

/// What to make room with, and when: anybody may say that.
pub(super) fn anything<T>(_: &T) -> Option<Objection> {
    None
}

/// Programs, paths and engines are the user's own to name.
pub(super) fn nothing<T>(_: &T) -> Option<Objection> {
    Some(Objection::Key)
}

/// A method that ends nothing.
pub(super) fn no_stop(said: &Option<MethodWish>) -> Option<Objection> {
    (*said == Some(MethodWish::Stop)).then_some(Objection::Value("method = \"stop\""))
}

/// A time that is no longer than an hour.
pub(super) fn an_hour(said: &Option<Span>) -> Option<Objection> {
    said.filter(|span| span.0 > LONGEST).map(|_| Objection::TooLong)
}
