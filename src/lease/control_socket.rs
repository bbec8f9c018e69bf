//! Owns the control socket beside a started lease's journal: its name, and how it is reached and
//! removed. `core::run::wire` owns what is said over it, `keeper::control` listens. Runs wherever a
//! lease is looked at.

use std::{
    io,
    os::unix::net::{UnixListener, UnixStream},
};

use crate::lease::dir::Dir;

/// Listens as the keeper of this lease.
///
/// # Errors
/// The socket's own error.
pub fn listen(leases: &Dir, lease: &str) -> io::Result<UnixListener> {
    // Only a dead keeper of this very lease can have left one.
    remove(leases, lease)?;
    leases.listen(&socket_name(lease))
}

/// Connects to a started lease's keeper, from `stop`.
///
/// # Errors
/// The socket's own error if nobody answers.
pub fn connect(leases: &Dir, lease: &str) -> io::Result<UnixStream> {
    leases.connect(&socket_name(lease))
}

/// Removes the socket that a dead keeper may have left.
///
/// # Errors
/// If it exists and cannot be removed.
pub fn remove(leases: &Dir, lease: &str) -> io::Result<()> {
    leases.remove(&socket_name(lease))
}

fn socket_name(lease: &str) -> String {
    format!("{lease}.sock")
}
