//! Owns the control socket of a started lease, beside its journal: its name, and how it is reached
//! and removed. What is said over it is `core::run::wire`'s; who listens is `keeper::control`. Runs
//! wherever a lease is looked at.

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
    // Only a keeper of this very lease, which died, can have left one.
    remove(leases, lease)?;
    leases.listen(&socket_name(lease))
}

/// Connects to a started lease's keeper, from `stop`.
///
/// # Errors
/// The socket's own error where nobody answers.
pub fn connect(leases: &Dir, lease: &str) -> io::Result<UnixStream> {
    leases.connect(&socket_name(lease))
}

/// Removes the socket that a keeper which died may have left.
///
/// # Errors
/// Where it is there and cannot be removed.
pub fn remove(leases: &Dir, lease: &str) -> io::Result<()> {
    leases.remove(&socket_name(lease))
}

fn socket_name(lease: &str) -> String {
    format!("{lease}.sock")
}
