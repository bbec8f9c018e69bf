//! `makeroom start`: makes room and keeps it, in a keeper that outlives this command.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::kill,
    unistd::Pid,
};

use crate::{
    cli::{ChildArgs, StartArgs},
    commands::{
        begin::begin_lease,
        error::CommandError,
        idle,
        invocation::{Ended, Invocation, enter},
        need,
    },
    config::{Layer, Purpose},
    core::{
        machine::process::ProcessId,
        run::{
            exit::DONE,
            note::Level,
            room_settings::RoomSettings,
            wire::{FromKeeper, Started, ToKeeper},
        },
        values::SwapWish,
    },
    host::process::identify,
    report::{console::Say, run_lines},
    supervise::{inherited::outlive_limits, keeper_link::KeeperLink, memory_watch},
};

/// Nobody waits longer for room; the keeper puts back what it has when we go.
const PATIENCE: Duration = Duration::from_mins(10);
const TICK_MILLIS: u8 = 100;
const NOTHING: &str = "nothing was changed";

/// Makes room and prints the lease's id.
#[must_use]
pub fn start(args: StartArgs) -> ExitCode {
    outlive_limits();
    let StartArgs { room, common, name, ttl, while_pid } = args;
    let flags = Layer::of_flags(room, ChildArgs::default(), common);
    enter(flags, Purpose::Build, |invocation| {
        idle::tell(&invocation.flags, &invocation.settings, &mut invocation.say);
        let while_process = while_pid.map(watched).transpose()?;
        make_room(invocation, Started { name, ttl: ttl.map(|span| span.0.0), while_process })
    })
}

fn watched(pid: i32) -> Result<ProcessId, CommandError> {
    let refused = |state: String, hint: Option<String>| {
        CommandError::new(format!("--while-pid: {state}")).with_state(NOTHING).with_hint(hint)
    };
    identify(pid).ok_or_else(|| {
        // The kernel says EPERM of a process that is there, also where /proc hides it (kill(2)).
        if kill(Pid::from_raw(pid), None) == Err(Errno::EPERM) {
            let state = format!("/proc hides the process {pid} from this user (hidepid)");
            refused(state, Some("run makeroom as root".to_owned()))
        } else {
            refused(format!("there is no process {pid}"), None)
        }
    })
}

fn make_room(Invocation { settings, say, .. }: &mut Invocation, started: Started) -> Ended {
    // There is no build: none to watch the memory of, and none to linger after.
    let room = RoomSettings { guard: None, linger: None, ..settings.room.clone() };
    let begun = begin_lease(&settings.state_dir, room, |request| {
        request.started = Some(started);
        let expected = need::expected(settings, &[], say);
        request.need_bytes = need::of_run(settings, expected, say).map(|need| need.bytes);
    });
    let (request, journal) = begun.map_err(|error| error.with_state(NOTHING))?;
    let lease = request.lease.clone();
    let mut keeper = KeeperLink::start(&journal).map_err(|error| {
        CommandError::new(format!("cannot start the keeper: {error}")).with_state(NOTHING)
    })?;
    keeper.say(&ToKeeper::MakeRoom(Box::new(request)));
    let held = await_room(&mut keeper, &lease, settings.run.strict, say).ok_or_else(|| {
        CommandError::new("room could not be made")
            .with_state("what was changed is put back")
            .with_hint("`makeroom status` shows what is left".to_owned())
    })?;
    if settings.room.pause.is_empty() {
        let holds = if settings.room.swap == SwapWish::Off { "nothing" } else { "swap alone" };
        say.warning(
            format!("start without --pause: the lease holds {holds}"),
            Some("--pause SELECTOR says which containers make room"),
        );
    }
    held.end()
}

/// A lease that is held, and whether its id is out.
struct Held {
    lease: String,
    printed: io::Result<()>,
}

impl Held {
    /// Prints the id; waits for whoever reads it.
    fn print(lease: &str) -> Self {
        Self { lease: lease.to_owned(), printed: writeln!(io::stdout(), "{lease}") }
    }

    fn end(self) -> Ended {
        match self.printed {
            // Whoever closed stdout does not want the id.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CommandError::new(format!("cannot write to stdout: {error}"))
                    .with_state("the lease is held all the same")
                    .with_hint(format!("`makeroom stop {}`", self.lease)))
            }
            _ => Ok(DONE.into()),
        }
    }
}

fn await_room(keeper: &mut KeeperLink, lease: &str, strict: bool, say: &mut Say) -> Option<Held> {
    let begun = Instant::now();
    let mut shortfall = false;
    let mut held = None;
    while begun.elapsed() < PATIENCE {
        let (messages, is_there) = keeper.listen();
        for message in messages {
            match message {
                FromKeeper::Note(note) => {
                    shortfall |= note.level == Level::Shortfall;
                    say.note(&note);
                }
                FromKeeper::Progress { phase, done, total } => say.progress(phase, done, total),
                // Going away without a word makes the keeper put everything back.
                FromKeeper::RoomMade(_) if strict && shortfall => return None,
                FromKeeper::RoomMade(room) => {
                    say.settle();
                    say.info(run_lines::room_made(
                        &room,
                        memory_watch::now().filter(|_| room.host.is_none()),
                    ));
                    // Ended while nobody reads stdout, it has told nobody of a lease: then there is
                    // to be none.
                    held = Some(Held::print(lease));
                    keeper.say(&ToKeeper::Hold);
                }
                FromKeeper::Holding => return held,
                FromKeeper::HeldAlready { lease } => {
                    say.info(format!("held already as {lease}"));
                    return Some(Held::print(&lease));
                }
                FromKeeper::Covered
                | FromKeeper::Lingering(_)
                | FromKeeper::Sample(_)
                | FromKeeper::Suspended
                | FromKeeper::TargetsBack(_)
                | FromKeeper::StepTaken(_)
                | FromKeeper::StepUndone { .. }
                | FromKeeper::Thrashing { .. }
                | FromKeeper::Touched { .. }
                | FromKeeper::TakenAgain(_)
                | FromKeeper::Released(_) => {}
            }
        }
        if !is_there {
            return None;
        }
        say.tick();
        // EINTR is answered by the next turn.
        let _ = poll(
            &mut [PollFd::new(keeper.as_fd(), PollFlags::POLLIN)],
            PollTimeout::from(TICK_MILLIS),
        );
    }
    None
}
