//! Owns what a person reads of the way to a host: the host's name, and the program that leads
//! there. Pure.

use crate::core::{machine::route::Route, text};

/// Where POSIX systems have it: no search for each script.
pub(super) const SH: &str = "/bin/sh";

/// What a person calls the host; `None` for this machine.
pub(super) fn host_name(route: &Route) -> Option<&str> {
    match route {
        Route::Here => None,
        Route::Behind(prefix) => Some(&prefix.name),
        Route::NoWay { engine } => Some(engine),
    }
}

/// The program that a script is given to, for a message.
pub(super) fn program(route: &Route) -> String {
    match route {
        Route::Behind(prefix) => text::printable(&prefix.words.join(" ")),
        Route::Here | Route::NoWay { .. } => SH.to_owned(),
    }
}
