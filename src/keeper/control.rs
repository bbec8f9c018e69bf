//! Owns how a started lease ends: through its control socket beside the journal, at the end of its
//! `--ttl`, or with the process of `--while-pid`. Runs in the keeper; `connect` in `stop`.

use std::{cell::OnceCell, io, os::unix::net::UnixStream as StdStream, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::{UnixListener, UnixStream},
};

use super::mouth::Mouth;
use crate::{
    core::{
        record::ProcessId,
        wire::{FromKeeper, Inbox, Started, ToKeeper},
    },
    host::{kernel::time_since_boot, process::is_alive},
    lease::dir::Dir,
};

/// How often the boot-time clock and the watched process are looked at. A machine that slept wakes up late anyway.
const LOOK: Duration = Duration::from_millis(500);
/// Whoever connects says what it wants at once.
const LISTEN: Duration = Duration::from_secs(2);

/// A started lease's end.
pub struct Control {
    listener: UnixListener,
    leases: Dir,
    name: String,
    expires: Option<Duration>,
    while_process: Option<ProcessId>,
    /// Whoever asked for the end, and is told how it goes.
    asker: OnceCell<Mouth>,
}

impl Control {
    /// Opens the socket and starts the clock.
    ///
    /// # Errors
    /// Where the socket cannot be made.
    pub fn open(leases: &Dir, lease: &str, started: &Started) -> io::Result<Self> {
        let name = socket_name(lease);
        // Only a keeper of this very lease, which died, can have left one.
        remove(leases, lease)?;
        let listener = leases.listen(&name)?;
        listener.set_nonblocking(true)?;
        // Sleep counts: a `--ttl` is over though the laptop slept through it.
        let expires = started.ttl.map(|ttl| time_since_boot().saturating_add(ttl));
        let listener = UnixListener::from_std(listener)?;
        Ok(Self { listener, leases: leases.clone(), name, expires, while_process: started.while_process, asker: OnceCell::new() })
    }

    /// Waits for the end, whichever comes first.
    pub async fn ended(&mut self) {
        loop {
            let is_over = self.expires.is_some_and(|expires| time_since_boot() >= expires);
            if is_over || self.while_process.is_some_and(|process| !is_alive(process)) {
                return;
            }
            if let Ok(Ok((stream, _))) = tokio::time::timeout(LOOK, self.listener.accept()).await
                && let Some(stream) = asked_to_release(stream).await
            {
                self.asker.get_or_init(|| Mouth::new(stream));
                return;
            }
        }
    }

    /// Tells whoever asked.
    pub fn tell(&self, message: &FromKeeper) {
        if let Some(asker) = self.asker.get() {
            asker.say(message);
        }
    }

    /// Says what whoever asked had no time to hear.
    pub async fn finish(&self) {
        if let Some(asker) = self.asker.get() {
            asker.finish().await;
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A socket without a journal is a leftover that nothing reads; the next keeper removes its own.
        let _ = self.leases.remove(&self.name);
    }
}

async fn asked_to_release(mut stream: UnixStream) -> Option<UnixStream> {
    let mut inbox = Inbox::default();
    let mut buffer = [0; 256];
    let listening = async {
        loop {
            match stream.read(&mut buffer).await {
                Ok(length) if length > 0 => inbox.push(&buffer[..length]),
                _ => return None,
            }
            if let Some(message) = inbox.take::<ToKeeper>() {
                return message.ok();
            }
        }
    };
    let said = tokio::time::timeout(LISTEN, listening).await.ok().flatten();
    (said == Some(ToKeeper::Release)).then_some(stream)
}

/// Connects to a started lease's keeper, from `stop`.
///
/// # Errors
/// The socket's own error where nobody answers.
pub fn connect(leases: &Dir, lease: &str) -> io::Result<StdStream> {
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
