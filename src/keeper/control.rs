//! Owns how a lease that stands on its own ends: through its control socket beside the journal, at
//! the end of its `--ttl`, or with the process of `--while-pid`. Runs in the keeper.

use std::{io, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::{UnixListener, UnixStream},
    time::Instant,
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

/// The end of a lease that stands on its own.
pub struct Control {
    listener: UnixListener,
    leases: Dir,
    lease: String,
    expires: Option<Duration>,
    while_process: Option<ProcessId>,
    caller: Option<Caller>,
    /// Whoever asked for the end, and is told how it goes.
    asker: Option<Output>,
}

/// Somebody who has connected, and has not said what for.
struct Caller {
    stream: UnixStream,
    inbox: Inbox,
    until: Instant,
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
            caller: None,
            asker: None,
        })
    }

    /// Waits for the end, whichever comes first. Nothing is lost when this is dropped half-way.
    pub async fn ended(&mut self) {
        loop {
            let Some(caller) = &mut self.caller else {
                let is_over = self.expires.is_some_and(|expires| time_since_boot() >= expires);
                if is_over || self.while_process.is_some_and(|process| !is_alive(process)) {
                    return;
                }
                if let Ok(Ok((stream, _))) =
                    tokio::time::timeout(LOOK, self.listener.accept()).await
                {
                    let (inbox, until) = (Inbox::default(), Instant::now() + LISTEN);
                    self.caller = Some(Caller { stream, inbox, until });
                }
                continue;
            };
            let said = tokio::time::timeout_at(caller.until, hear(caller)).await.ok().flatten();
            let caller = self.caller.take();
            if said == Some(ToKeeper::Release) {
                self.asker = caller.map(|caller| Output::new(caller.stream));
                return;
            }
        }
    }

    /// Tells whoever asked.
    pub fn tell(&self, message: &FromKeeper) {
        if let Some(asker) = &self.asker {
            asker.say(message);
        }
    }

    /// Says what whoever asked had no time to hear.
    pub async fn finish(&self) {
        if let Some(asker) = &self.asker {
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

/// The first thing that is said; `None` where that is nothing, or nonsense.
async fn hear(caller: &mut Caller) -> Option<ToKeeper> {
    let mut buffer = [0; 256];
    loop {
        if let Some(message) = caller.inbox.take::<ToKeeper>() {
            return message.ok();
        }
        match caller.stream.read(&mut buffer).await {
            Ok(length) if length > 0 => caller.inbox.push(&buffer[..length]),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::{core::run::wire, lease::state_dir::StateDir};

    #[tokio::test(flavor = "current_thread")]
    async fn whoever_asks_for_the_end_is_heard_though_waiting_for_it_was_dropped_half_way() {
        let base = tempfile::tempdir().expect("a directory");
        let state = StateDir::open(base.path()).expect("a state directory");
        let leases = state.leases();
        let mut control = Control::open(leases, "l", &Started::default()).expect("a socket");
        let mut asker = control_socket::connect(leases, "l").expect("connected");
        let message = wire::line(&ToKeeper::Release);
        for part in [&message.as_bytes()[..5], &message.as_bytes()[5..]] {
            assert!(
                tokio::time::timeout(Duration::from_millis(20), control.ended()).await.is_err(),
                "not all is said"
            );
            asker.write_all(part).expect("written");
        }
        let ended = tokio::time::timeout(Duration::from_secs(5), control.ended()).await;
        assert!(ended.is_ok() && control.asker.is_some());
    }
}
