//! Owns reading what the keeper is told: messages and end-of-file from its standard input, and
//! signals. Decides nothing. Runs in the keeper.

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
    /// The other end is closed, or sends what is no message: the supervisor is gone.
    End,
    /// SIGTERM, SIGINT or SIGHUP: restore now, and exit.
    Signal,
}

/// The keeper's standard input, and its signals.
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

    /// Waits for a message, a signal or the end. Nothing is lost when this is dropped half-way.
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
                ready = self.stream.readable() => {
                    if ready.is_err() || !read(&self.stream, &mut self.inbox) {
                        self.ended = true;
                        return Heard::End;
                    }
                }
                _ = terminate.recv() => return Heard::Signal,
                _ = interrupt.recv() => return Heard::Signal,
                _ = hangup.recv() => return Heard::Signal,
            }
        }
    }

    /// Waits for a signal, and for nothing else.
    pub(crate) async fn signal(&mut self) -> Heard {
        let [terminate, interrupt, hangup] = &mut self.signals;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
        Heard::Signal
    }
}

/// Reads what there is; gives whether the other end is still there.
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
