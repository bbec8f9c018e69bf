//! Owns how a started lease ends: through its control socket beside the journal, at the end of its
//! `--ttl`, or with the process of `--while-pid`. Runs in the keeper.

use std::{cell::OnceCell, io, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::{UnixListener, UnixStream},
};

use crate::{
    core::{
        machine::process::ProcessId,
        run::wire::{FromKeeper, Inbox, Started, ToKeeper},
    },
    host::{kernel::time_since_boot, process::is_alive},
    keeper::output::Output,
    lease::{control_socket, dir::Dir},
};

/// How often the boot-time clock and the watched process are looked at. A machine that slept wakes
/// up late anyway.
const LOOK: Duration = Duration::from_millis(500);
/// Whoever connects says what it wants at once.
const LISTEN: Duration = Duration::from_secs(2);

/// A started lease's end.
pub struct Control {
    listener: UnixListener,
    leases: Dir,
    lease: String,
    expires: Option<Duration>,
    while_process: Option<ProcessId>,
    /// Whoever asked for the end, and is told how it goes.
    asker: OnceCell<Output>,
}

impl Control {
    /// Opens the socket and starts the clock.
    ///
    /// # Errors
    /// Where the socket cannot be made.
    pub fn open(leases: &Dir, lease: &str, started: &Started) -> io::Result<Self> {
        let listener = control_socket::listen(leases, lease)?;
        listener.set_nonblocking(true)?;
        // Sleep counts: a `--ttl` is over though the laptop slept through it.
        let expires = started.ttl.map(|ttl| time_since_boot().saturating_add(ttl));
        let listener = UnixListener::from_std(listener)?;
        Ok(Self {
            listener,
            leases: leases.clone(),
            lease: lease.to_owned(),
            expires,
            while_process: started.while_process,
            asker: OnceCell::new(),
        })
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
                self.asker.get_or_init(|| Output::new(stream));
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
        // A socket without a journal is a leftover that nothing reads; the next keeper removes its
        // own.
        let _ = control_socket::remove(&self.leases, &self.lease);
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
