//! Owns what the keeper hears: messages and end-of-file from its standard input, and signals.
//! Decides nothing.

use std::io;

use tokio::{
    net::UnixStream,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::core::run::wire::{Inbox, ToKeeper};

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message.
    Message(ToKeeper),
    /// The other end is closed, or talks nonsense: whoever was there is gone.
    End,
    /// SIGTERM, SIGINT or SIGHUP: restore now, and exit.
    Signal,
}

/// The keeper's ears.
pub(crate) struct Input {
    stream: UnixStream,
    inbox: Inbox,
    ended: bool,
    signals: [Signal; 3],
}

impl Input {
    /// Listens to a connected socket and to the signals.
    ///
    /// # Errors
    /// Where the runtime cannot watch them.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        let signals = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ];
        Ok(Self { stream, inbox: Inbox::default(), ended: false, signals })
    }

    /// The next thing that is heard. Nothing is lost when this is dropped half-way.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            match self.inbox.take() {
                Some(Ok(message)) => return Heard::Message(message),
                Some(Err(_)) => self.ended = true,
                None => {}
            }
            if self.ended {
                // An end is an end; after it only signals are heard.
                return self.signal().await;
            }
            let [terminate, interrupt, hangup] = &mut self.signals;
            tokio::select! {
                ready = self.stream.readable() => if ready.is_err() || !read(&self.stream, &mut self.inbox) {
                    self.ended = true;
                    return Heard::End;
                },
                _ = terminate.recv() => return Heard::Signal,
                _ = interrupt.recv() => return Heard::Signal,
                _ = hangup.recv() => return Heard::Signal,
            }
        }
    }

    /// Waits until it is told to end: by a message or a signal. That the other end is gone means
    /// nothing.
    pub(crate) async fn told_to_end(&mut self) {
        while !matches!(self.hear().await, Heard::Message(ToKeeper::Release) | Heard::Signal) {}
    }

    /// The next signal, and nothing else.
    pub(crate) async fn signal(&mut self) -> Heard {
        let [terminate, interrupt, hangup] = &mut self.signals;
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {}, _ = hangup.recv() => {} }
        Heard::Signal
    }
}

/// Whether the other end is still there.
fn read(stream: &UnixStream, inbox: &mut Inbox) -> bool {
    let mut buffer = [0; 4096];
    match stream.try_read(&mut buffer) {
        Ok(0) => false,
        Ok(length) => {
            inbox.push(&buffer[..length]);
            true
        }
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}
