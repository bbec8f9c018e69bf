//! Owns why a script did not run on the host, and what a person can do about it. Pure.

use std::{io, time::Duration};

use crate::{
    core::{machine::route::Route, text},
    host::shell::names::{host_name, program},
};

/// Why a script did not run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    #[error("this needs root{place}, or sudo that asks for no password")]
    NoRoot { place: String },
    #[error("no way into {engine} is known")]
    NoWay { engine: String },
    #[error("cannot run `{program}`: {source}")]
    Io { program: String, source: io::Error },
    #[error("{} has not answered for {} s", text::printable(host), after.as_secs())]
    Silent { host: String, after: Duration },
    #[error("`{program}` gives the step a terminal, which changes what it reads and prints")]
    Terminal { program: String },
    #[error("{0}")]
    Failed(String),
}

impl ShellError {
    /// The way could not be taken, or was cut.
    pub(super) fn io(route: &Route, source: io::Error) -> Self {
        Self::Io { program: program(route), source }
    }

    /// The host did not answer in time.
    pub(super) fn silent(route: &Route, after: Duration) -> Self {
        Self::Silent { host: host_name(route).unwrap_or("the step").to_owned(), after }
    }

    /// Whether the script may still be at it, or may have done all without being able to say so.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Failed(_))
    }

    /// Whether the next try may get through: a way can be busy.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.is_outcome_unknown()
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRoot { .. } => {
                Some("run makeroom as root, or allow sudo without a password (`sudo visudo`)")
            }
            Self::NoWay { .. } => Some("name the way with --vm-shell \"COMMAND\""),
            Self::Io { .. } => {
                Some("name the way into the VM with --vm-shell \"COMMAND\", or leave it out")
            }
            Self::Terminal { .. } => {
                Some("leave the option that asks for a terminal (-t) out of the command")
            }
            Self::Silent { .. } => {
                Some("a machine that is out of memory may not answer for minutes")
            }
            Self::Failed(_) => None,
        }
    }
}
