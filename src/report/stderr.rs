//! Owns what is written to stderr and when: at once as far as it is taken, the rest as soon as it
//! is. It never holds anything up. Runs in the supervisor and in short commands.

use std::{
    io,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use crate::{
    core::run::unsaid::{Rank, Unsaid},
    report::sink::Sink,
};

/// How soon to try again where poll(2) says that something is taken and nothing is, as for a device
/// on macOS.
const AGAIN: Duration = Duration::from_millis(50);

/// Writes to stderr, and keeps what is not written yet.
#[derive(Debug, Default)]
pub(super) struct Stderr {
    /// Found when there is something to write.
    sink: Option<Sink>,
    unsaid: Unsaid,
    /// When to ask again, after it said that it takes something and took nothing.
    not_before: Option<Instant>,
}

impl Stderr {
    /// Writes this now, later, or not at all.
    pub(super) fn say(&mut self, piece: Vec<u8>, rank: Rank) {
        self.unsaid.push(piece, rank);
        self.go_on();
    }

    /// Writes as much as is taken; tells whether anything was.
    pub(super) fn go_on(&mut self) -> bool {
        let mut is_taken = false;
        while let Some(bytes) = self.unsaid.next() {
            if self.sink.is_none() {
                self.sink = Sink::find();
            }
            match self.sink.as_ref().map(|sink| sink.write(bytes)) {
                Some(Ok(length @ 1..)) => {
                    self.unsaid.wrote(length);
                    is_taken = true;
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Some(Ok(0)) => return is_taken,
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return is_taken,
                // A stderr that nobody has open any more fails nothing.
                Some(Err(_)) | None => self.unsaid.forget(),
            }
        }
        is_taken
    }

    /// Does the same when poll(2) says that something is taken.
    pub(super) fn go_on_when_ready(&mut self) {
        self.not_before = (!self.go_on()).then(|| Instant::now() + AGAIN);
    }

    /// Takes the number of lines that were left out, once that can be said.
    pub(super) fn take_left_out(&mut self) -> usize {
        self.unsaid.take_left_out()
    }

    /// Tells what to wait for while something is unsaid (POLLOUT), or until when asking is useless.
    pub(super) fn awaited(&self) -> (Option<BorrowedFd<'_>>, Option<Instant>) {
        match self.not_before.filter(|at| *at > Instant::now()) {
            _ if self.unsaid.is_empty() => (None, None),
            None => (self.sink.as_ref().map(Sink::as_fd), None),
            until => (None, until),
        }
    }

    /// Tells whether all is written.
    pub(super) fn is_done(&self) -> bool {
        self.unsaid.is_empty()
    }

    /// Leaves the rest unsaid.
    pub(super) fn forget(&mut self) {
        self.unsaid.forget();
    }
}
