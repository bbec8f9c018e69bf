//! Owns the keeper's life from its first message to its exit: it moves towards what is wanted
//! (room, no room for a while, everything back), whatever comes in between.

use std::{
    collections::VecDeque,
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
use tokio::net::UnixStream;

use nix::sys::stat::{SFlag, fstat};

use crate::{
    core::{
        lease::{foreign_change::RetakeBudget, record::LeaseState},
        machine::process::ProcessId,
        run::{
            exit::Exit,
            hook::{Event, Facts, Whose},
            note::{Level, Note},
            oom_log::Killed,
            verdict::Spare,
            wire::{FromKeeper, Request, ToKeeper},
        },
        target::recorded::Target,
    },
    engine::endpoint::Wish,
    host::kernel::{JOURNAL_FD, STATE_DIR_FD},
    keeper::{
        control::Control,
        engine_watch::EngineWatch,
        events::{EventSources, Sensed},
        host_samples::HostSamples,
        input::{Heard, Input},
        orphan,
        output::Output,
        pressure_watch::PressureWatch,
        process,
    },
    lease::{journal::Journal, state_dir::StateDir},
    room::{
        cancel::Cancel,
        context::Context,
        context::Tell,
        hooks::Hooks,
        late_calls::Waiting,
        machine::Machine,
        make::Made,
        post_mortem, release,
        step::{self, Taken},
    },
};

/// A supervisor that starts a keeper has its first message ready.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// What the keeper moves towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
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
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(crate::core::run::exit::FAILED) }
}

/// Whether this process was started to be one: a supervisor talks to it over its stdin. Without
/// that the word is a command's name.
#[must_use]
pub fn is_meant() -> bool {
    fstat(io::stdin()).is_ok_and(|stat| {
        SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
    })
}

async fn live() -> io::Result<()> {
    let stdin = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stdin.set_nonblocking(true)?;
    let mouth = Output::new(UnixStream::from_std(stdin.try_clone()?)?);
    let tell = |message: FromKeeper| mouth.say(&message);
    let mut ears = Input::new(UnixStream::from_std(stdin)?)?;
    let Ok(Heard::Message(ToKeeper::MakeRoom(request))) =
        tokio::time::timeout(FIRST_MESSAGE, ears.hear()).await
    else {
        return Ok(());
    };
    // SAFETY: whoever started this process gave it the journal as this descriptor, and nothing else
    // here owns it.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(JOURNAL_FD) });
    // SAFETY: the same.
    let dir = unsafe { OwnedFd::from_raw_fd(STATE_DIR_FD) };
    let state =
        StateDir::inherited(dir, Path::new(&request.state_dir)).map_err(io::Error::other)?;
    let journal = Journal::inherited(file, &state, &request.lease).map_err(io::Error::other)?;
    // One that takes over restores what is recorded, whatever names an engine by now.
    let machine = if request.adopt {
        Machine::recorded(
            journal.state().opened.as_ref(),
            request.settings.vm_shell.as_ref(),
            &request.lease,
        )
    } else {
        let wish = Wish {
            engine: request.settings.engine.clone(),
            context: request.settings.context.clone(),
        };
        Machine::find(&wish, request.settings.vm_shell.as_ref(), &request.lease)
    };
    let mut life = Lifecycle::new(&request, &state, &machine, &tell);
    tokio::select! { () = Box::pin(life.keep(journal, &mut ears)) => {}, () = mouth.go_on() => {} }
    mouth.finish().await;
    Ok(())
}

#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(crate) struct Lifecycle<'a> {
    pub(crate) request: &'a Request,
    pub(crate) state: &'a StateDir,
    pub(crate) machine: &'a Machine,
    pub(crate) tell: Tell<'a>,
    pub(crate) wanted: Wanted,
    /// Room is made, as well as it could be.
    pub(crate) has_room: bool,
    /// The steps that were taken since, in order.
    pub(crate) steps: Vec<Taken>,
    /// What was taken in while something else was done.
    pub(crate) later: VecDeque<Sensed>,
    /// Targets that somebody removed.
    pub(crate) removed: Vec<Target>,
    pub(crate) insistence: RetakeBudget,
    pub(crate) child: Option<ProcessId>,
    /// When that was heard of.
    child_since: Instant,
    /// What of the build was last seen outside of the child's group.
    strays: Vec<ProcessId>,
    /// The supervisor ends the build.
    is_ending: bool,
    /// How the build ended.
    exit: Option<Exit>,
    /// A started lease that stands on its own.
    pub(crate) holding: bool,
    /// The room is to be kept after the build.
    pub(crate) lingers: bool,
    /// The build was killed for want of room, perhaps.
    looks_around: bool,
}

impl<'a> Lifecycle<'a> {
    fn new(
        request: &'a Request,
        state: &'a StateDir,
        machine: &'a Machine,
        tell: Tell<'a>,
    ) -> Self {
        Self {
            request,
            state,
            machine,
            tell,
            wanted: Wanted::Room,
            has_room: request.adopt,
            steps: Vec::new(),
            later: VecDeque::new(),
            removed: Vec::new(),
            insistence: RetakeBudget::default(),
            child: None,
            child_since: Instant::now(),
            strays: Vec::new(),
            is_ending: false,
            exit: None,
            holding: false,
            lingers: false,
            looks_around: false,
        }
    }

    async fn keep(&mut self, mut journal: Journal, ears: &mut Input) {
        let Self { request, state, machine, tell, .. } = *self;
        let cancel = Cancel::default();
        let restorer = Context { request, state, machine, cancel: &cancel, tell };
        let watch = HostSamples::new(&machine.shell, request.builds_in_engine);
        if request.started.is_none() && !request.adopt {
            watch.expect_child();
        }
        let guarding =
            PressureWatch::new(request.settings.guard.as_ref(), machine.shell.route(), tell);
        let mut senses = EventSources {
            ears,
            watch,
            guarding,
            hands: EngineWatch::new(machine, tell),
            hooks: hooks_of(request),
            tell,
        };
        if request.adopt && !journal.state().targets.is_empty() {
            senses.hands.take_over();
        }
        let mut control: Option<Control> = None;
        // Whether the hooks were told of room; what is made again after Ctrl-Z is no news.
        let mut is_announced = request.adopt;
        loop {
            match self.wanted {
                Wanted::Room if !self.has_room => {
                    let made = self.acquire(&mut journal, &mut senses).await;
                    self.has_room = true;
                    match made {
                        // What was begun for nothing is put back by the next turn.
                        _ if self.wanted != Wanted::Room => {}
                        Made::Room(room) => {
                            let facts = Facts::of_room(&room);
                            // The build starts first.
                            tell(FromKeeper::RoomMade(*room));
                            if !std::mem::replace(&mut is_announced, true) {
                                senses.hooks.begin(Event::RoomMade, &facts);
                            }
                        }
                        Made::Covered => {
                            tell(FromKeeper::Covered);
                            break;
                        }
                        Made::HeldAlready(lease) => {
                            tell(FromKeeper::HeldAlready { lease });
                            break;
                        }
                        // Whoever waits for the lease hears of no room.
                        Made::NotRecorded => break,
                    }
                }
                Wanted::NoRoom if self.has_room => {
                    self.has_room = false;
                    release::suspend(&restorer, &mut journal).await;
                    self.forget_steps(&mut senses);
                    tell(FromKeeper::Suspended);
                }
                Wanted::Room if std::mem::take(&mut self.lingers) => {
                    if let Some(sample) = senses.watch.last().await {
                        tell(FromKeeper::Sample(sample));
                    }
                    // What memory pressure took, only this build needed.
                    for step in std::mem::take(&mut self.steps).iter().rev() {
                        step::undo_step(&restorer, &mut journal, step).await;
                    }
                    self.later.clear();
                    control = self.linger(&mut journal).await;
                }
                Wanted::Room | Wanted::NoRoom => {
                    if self.holding && control.is_none() {
                        control = self.hold();
                    }
                    if let Some(control) = &mut control {
                        self.stand(control, &mut journal, &mut senses).await;
                    } else if self.wanted != Wanted::Release {
                        self.go_on(&mut journal, &mut senses).await;
                    }
                }
                Wanted::ReleaseOrphan => {
                    // What a build that ended by itself has left behind was left on purpose.
                    if let Some(child) =
                        self.child.filter(|_| self.exit.is_none() || self.is_ending)
                    {
                        orphan::end(child, &self.strays, &request.lease).await;
                    }
                    self.wanted = Wanted::Release;
                }
                Wanted::Release => break,
            }
        }
        let waiting = self.release(journal, control, &restorer, &mut senses, is_announced).await;
        if let Some(waiting) = waiting {
            // Told to end, it leaves that recorded, for `recover`.
            tokio::select! { _ = release::wait_for(&restorer, waiting) => {}, _ = senses.ears.signal() => {} }
        }
    }

    /// Puts everything back and tells of it, whoever asked for it; gives what may still come.
    async fn release(
        &mut self,
        journal: Journal,
        control: Option<Control>,
        restorer: &Context<'_>,
        senses: &mut EventSources<'_>,
        is_announced: bool,
    ) -> Option<Waiting> {
        let tell = self.tell;
        let also = |message: FromKeeper| {
            if let Some(control) = &control {
                control.tell(&message);
            }
            tell(message);
        };
        // The last figures are looked at while everything is put back, and cost it nothing.
        let restoring = Context { tell: &also, ..*restorer };
        let held = journal.state().clone();
        let ((mut back, waiting), last) =
            future::join(release::release(&restoring, journal), senses.watch.last()).await;
        (back.spare, back.killed) = self.look_around(&held).await;
        if let Some(sample) = last {
            tell(FromKeeper::Sample(sample));
        }
        if let Some(facts) = Facts::of_back(&held, &back, self.exit).filter(|_| is_announced) {
            senses.hooks.begin(Event::Restored, &facts);
        }
        senses.hooks.finish(&also).await;
        also(FromKeeper::Released(back));
        if let Some(control) = &control {
            control.finish().await;
        }
        waiting
    }

    /// What was taken, and by whose hand, is over: room is made anew when the build goes on.
    fn forget_steps(&mut self, senses: &mut EventSources<'_>) {
        self.steps.clear();
        self.later.clear();
        senses.guarding.begin_anew();
        senses.hands.begin_anew();
    }

    pub(crate) fn take_in(&mut self, heard: &Heard) {
        let over = matches!(self.wanted, Wanted::Release | Wanted::ReleaseOrphan);
        match heard {
            Heard::Message(ToKeeper::Child { process }) => {
                self.child = Some(*process);
                self.child_since = Instant::now();
            }
            Heard::Message(ToKeeper::Strays { processes }) => self.strays.clone_from(processes),
            Heard::Message(ToKeeper::Ending) => self.is_ending = true,
            Heard::Message(ToKeeper::Hold) => self.holding = true,
            Heard::Message(ToKeeper::Ended { exit }) => self.exit = Some(*exit),
            Heard::Message(ToKeeper::Linger) => self.lingers = true,
            Heard::Message(ToKeeper::LookAround) => self.looks_around = true,
            Heard::Message(ToKeeper::Suspend) if !over => self.wanted = Wanted::NoRoom,
            Heard::Message(ToKeeper::Resume) if !over => self.wanted = Wanted::Room,
            Heard::Message(ToKeeper::Release) | Heard::Signal => self.wanted = Wanted::Release,
            Heard::End if !self.holding && !self.lingers && !over => {
                self.wanted = Wanted::ReleaseOrphan
            }
            Heard::Message(_) | Heard::End => {}
        }
    }

    /// Looks for what a build that may have been killed for memory is to be told, once.
    pub(crate) async fn look_around(&mut self, held: &LeaseState) -> (Vec<Spare>, Vec<Killed>) {
        if !std::mem::take(&mut self.looks_around) {
            return <_>::default();
        }
        let within = self.child_since.elapsed();
        let taken: Vec<String> = held.targets.keys().cloned().collect();
        let (spare, killed) = future::join(
            post_mortem::spare(self.machine, self.request, &taken),
            post_mortem::killed(self.machine, within),
        )
        .await;
        (spare, killed)
    }

    fn hold(&mut self) -> Option<Control> {
        let started = self.request.started.clone().unwrap_or_default();
        match Control::open(self.state.leases(), &self.request.lease, &started) {
            Ok(control) => {
                (self.tell)(FromKeeper::Holding);
                Some(control)
            }
            Err(error) => {
                // A lease that `stop` could not reach would be held for ever.
                (self.tell)(FromKeeper::Note(Note::new(
                    Level::Shortfall,
                    format!("the lease cannot be held: {error}"),
                )));
                self.wanted = Wanted::Release;
                None
            }
        }
    }
}

fn hooks_of(request: &Request) -> Hooks {
    let whose = Whose {
        lease: request.lease.clone(),
        state_dir: request.state_dir.clone(),
        program: request.program.clone(),
    };
    Hooks::new(request.settings.hooks.clone(), whose)
}
