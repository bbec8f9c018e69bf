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
    cli::{ChildArgs, GuardArgs, StartArgs},
    config,
    core::{
        run::wire::{FromKeeper, Level, Started, ToKeeper},
        text,
    },
    host::process::identify,
    report::{console::Say, run_lines},
    supervise::{inherited::outlive_limits, keeper_link::KeeperLink, watch},
};

/// Nobody waits longer for room; the keeper puts back what it has when we go.
const PATIENCE: Duration = Duration::from_mins(10);
const TICK_MILLIS: u8 = 100;

/// Makes room and prints the lease's id.
#[must_use]
pub fn start(args: &StartArgs) -> ExitCode {
    outlive_limits();
    let settings = match config::settle(&args.room, &ChildArgs::default(), &args.common) {
        Ok(settings) => settings,
        Err(error) => return crate::commands::refuse(&error),
    };
    let mut say = crate::commands::voice(&settings);
    crate::commands::idle::tell(&args.room, &GuardArgs::default(), &settings, &mut say);
    let nothing = Some("nothing was changed");
    let while_process = match args.while_pid.map(|pid| (pid, identify(pid))) {
        Some((pid, None)) => {
            // The kernel says EPERM of a process that is there, also where /proc hides it
            // (kill(2)).
            let is_hidden = kill(Pid::from_raw(pid), None) == Err(Errno::EPERM);
            let (state, hint) = if is_hidden {
                (
                    format!("/proc hides the process {pid} from this user (hidepid)"),
                    Some("run makeroom as root"),
                )
            } else {
                (format!("there is no process {pid}"), None)
            };
            say.error(format!("--while-pid: {state}"), nothing, hint);
            return crate::commands::failed();
        }
        found => found.and_then(|(_, process)| process),
    };
    let started =
        Started { name: args.name.clone(), ttl: args.ttl.map(|span| span.0), while_process };
    let begun = crate::commands::begin_lease(&settings, |request| {
        request.started = Some(started);
        let expected = crate::commands::need::expected(&settings, &[], &mut say);
        request.need_bytes =
            crate::commands::need::of_run(&settings, expected, &mut say).map(|need| need.bytes);
    });
    let (request, journal) = match begun {
        Ok(begun) => begun,
        Err((reason, hint)) => {
            say.error(text::printable(&reason), nothing, hint.as_deref());
            return crate::commands::failed();
        }
    };
    let lease = request.lease.clone();
    let mut keeper = match KeeperLink::start(&journal) {
        Ok(keeper) => keeper,
        Err(error) => {
            say.error(format!("cannot start the keeper: {error}"), nothing, None);
            return crate::commands::failed();
        }
    };
    keeper.say(&ToKeeper::MakeRoom(Box::new(request)));
    let Some(held) = await_room(&mut keeper, &lease, settings.strict, &mut say) else {
        say.error(
            "room could not be made",
            Some("what was changed is put back"),
            Some("`makeroom status` shows what is left"),
        );
        return crate::commands::failed();
    };
    held.exit(&mut say)
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

    fn exit(self, say: &mut Say) -> ExitCode {
        match self.printed {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever closed stdout does not want the id.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                let hint = format!("`makeroom stop {}`", self.lease);
                say.error(
                    format!("cannot write to stdout: {error}"),
                    Some("the lease is held all the same"),
                    Some(&hint),
                );
                crate::commands::failed()
            }
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
                        watch::now().filter(|_| room.host.is_none()),
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
