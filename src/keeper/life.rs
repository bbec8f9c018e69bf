//! Owns the keeper's life from its first message to its exit: it moves towards what is wanted
//! (room, no room for a while, everything back), whatever comes in between.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, FromRawFd as _, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use futures_util::future;

use super::{
    acquire::{Acquired, Acquirer},
    cancel::Cancel,
    control::Control,
    ears::{Ears, Heard},
    look_around, orphan, process,
    reach::Reach,
    restore::Restorer,
    watch_host::HostWatch,
};
use crate::{
    core::{
        record::ProcessId,
        wire::{self, FromKeeper, Level, Note, Request, ToKeeper},
    },
    engine::endpoint::Wish,
    lease::{journal::Journal, state_dir::StateDir},
};

/// A supervisor that starts a keeper has its first message ready.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// What the keeper moves towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Room,
    /// The build is stopped: the targets run.
    NoRoom,
    /// Everything back, and exit.
    Release,
    /// The same, after ending a build that nobody supervises any more.
    ReleaseOrphan,
}

/// The keeper's whole process. It says nothing on its own: what goes wrong reaches the
/// supervisor as a note, or is found again by `recover`.
#[must_use]
pub fn main() -> ExitCode {
    let done = process::settle().and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(live())
    });
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(crate::core::exit::FAILED) }
}

async fn live() -> io::Result<()> {
    let stdin = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stdin.set_nonblocking(true)?;
    let mouth = stdin.try_clone()?;
    // Progress that a stopped supervisor does not read is not worth waiting for.
    let tell = |message: FromKeeper| drop(io::Write::write_all(&mut &mouth, wire::line(&message).as_bytes()));
    let mut ears = Ears::new(tokio::net::UnixStream::from_std(stdin)?)?;
    let Ok(Heard::Message(ToKeeper::MakeRoom(request))) = tokio::time::timeout(FIRST_MESSAGE, ears.hear()).await else {
        return Ok(());
    };
    // SAFETY: whoever started this process gave it the journal as this descriptor, and nothing else here owns it.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(process::JOURNAL_FD) });
    let state = StateDir::open(Path::new(&request.state_dir)).map_err(io::Error::other)?;
    let journal = Journal::inherited(file, &state.leases(), &request.lease).map_err(io::Error::other)?;
    let mut life = Life { wanted: Wanted::Room, child: None, child_since: Instant::now(), holding: false, looks_around: false };
    life.keep(&request, &state, journal, &mut ears, &tell).await;
    Ok(())
}

struct Life {
    wanted: Wanted,
    child: Option<ProcessId>,
    /// When that was heard of.
    child_since: Instant,
    /// A started lease that stands on its own.
    holding: bool,
    /// The build was killed for want of room, perhaps.
    looks_around: bool,
}

impl Life {
    async fn keep(&mut self, request: &Request, state: &StateDir, mut journal: Journal, ears: &mut Ears, tell: super::Tell<'_>) {
        // One that takes over restores what is recorded, whatever names an engine by now.
        let reach = if request.adopt {
            Reach::recorded(journal.state().opened.as_ref(), &request.lease)
        } else {
            let wish = Wish { engine: request.engine.clone(), context: request.context.clone() };
            Reach::find(&wish, request.vm_shell.as_ref(), &request.lease)
        };
        let restorer = Restorer { state, reach: &reach, limit: request.restore_timeout, afterwards: request.afterwards, tell };
        let mut watch = HostWatch::new(&reach.shell, request.builds_in_engine);
        let mut control: Option<Control> = None;
        let mut has_room = request.adopt;
        loop {
            match self.wanted {
                Wanted::Room if !has_room => {
                    has_room = true;
                    match self.acquire(request, state, &reach, &mut journal, ears, tell).await {
                        // What was begun for nothing is put back by the next turn.
                        _ if self.wanted != Wanted::Room => {}
                        Acquired::Room(room) => tell(FromKeeper::RoomMade(*room)),
                        Acquired::Covered => {
                            tell(FromKeeper::Covered);
                            break;
                        }
                        Acquired::HeldAlready(lease) => {
                            tell(FromKeeper::HeldAlready { lease });
                            break;
                        }
                        // Whoever waits for the lease hears of no room.
                        Acquired::NotRecorded => break,
                    }
                }
                Wanted::NoRoom if has_room => {
                    has_room = false;
                    restorer.suspend(&mut journal).await;
                    tell(FromKeeper::Suspended);
                }
                Wanted::Room | Wanted::NoRoom => {
                    if self.holding && control.is_none() {
                        control = self.hold(request, state, tell);
                    }
                    if let Some(control) = &mut control {
                        tokio::select! {
                            () = control.ended() => self.wanted = Wanted::Release,
                            // The starter is gone by now: only signals are left to hear.
                            _ = ears.signal() => self.wanted = Wanted::Release,
                        }
                    } else if self.wanted != Wanted::Release {
                        tokio::select! {
                            heard = ears.hear() => self.take_in(&heard),
                            sample = watch.next(self.child.is_some()) => tell(FromKeeper::Sample(sample)),
                        }
                    }
                }
                Wanted::ReleaseOrphan => {
                    if let Some(child) = self.child {
                        orphan::end(child).await;
                    }
                    self.wanted = Wanted::Release;
                }
                Wanted::Release => break,
            }
        }
        let also = |message: FromKeeper| {
            if let Some(control) = &control {
                control.tell(&message);
            }
            tell(message);
        };
        // The last figures are looked at while everything is put back, and cost it nothing.
        let restoring = Restorer { tell: &also, ..restorer };
        let taken: Vec<String> = journal.state().targets.keys().cloned().collect();
        let (mut back, last) = future::join(restoring.release(journal), watch.last()).await;
        if self.looks_around {
            let within = self.child_since.elapsed();
            (back.spare, back.killed) =
                future::join(look_around::spare(&reach, request, &taken), look_around::killed(&reach, within)).await;
        }
        if let Some(sample) = last {
            tell(FromKeeper::Sample(sample));
        }
        also(FromKeeper::Released(back));
    }

    /// Makes room while listening: whoever changes their mind meanwhile is heard at once.
    async fn acquire(
        &mut self,
        request: &Request,
        state: &StateDir,
        reach: &Reach,
        journal: &mut Journal,
        ears: &mut Ears,
        tell: super::Tell<'_>,
    ) -> Acquired {
        let cancel = Cancel::default();
        let acquirer = Acquirer { request, state, reach, tell, cancel: &cancel };
        let making = acquirer.acquire(journal);
        tokio::pin!(making);
        loop {
            tokio::select! {
                room = &mut making => return room,
                heard = ears.hear() => {
                    self.take_in(&heard);
                    if self.wanted != Wanted::Room {
                        cancel.say();
                    }
                }
            }
        }
    }

    fn take_in(&mut self, heard: &Heard) {
        let over = matches!(self.wanted, Wanted::Release | Wanted::ReleaseOrphan);
        match heard {
            Heard::Message(ToKeeper::Child { process }) => {
                self.child = Some(*process);
                self.child_since = Instant::now();
            }
            Heard::Message(ToKeeper::Hold) => self.holding = true,
            Heard::Message(ToKeeper::LookAround) => self.looks_around = true,
            Heard::Message(ToKeeper::Suspend) if !over => self.wanted = Wanted::NoRoom,
            Heard::Message(ToKeeper::Resume) if !over => self.wanted = Wanted::Room,
            Heard::Message(ToKeeper::Release) | Heard::Signal => self.wanted = Wanted::Release,
            Heard::End if !self.holding && !over => self.wanted = Wanted::ReleaseOrphan,
            Heard::Message(_) | Heard::End => {}
        }
    }

    fn hold(&mut self, request: &Request, state: &StateDir, tell: super::Tell<'_>) -> Option<Control> {
        let started = request.started.clone().unwrap_or_default();
        match Control::open(&state.leases(), &request.lease, &started) {
            Ok(control) => {
                tell(FromKeeper::Holding);
                Some(control)
            }
            Err(error) => {
                // A lease that `stop` could not reach would be held for ever.
                tell(FromKeeper::Note(Note::new(Level::Shortfall, format!("the lease cannot be held: {error}"))));
                self.wanted = Wanted::Release;
                None
            }
        }
    }
}
