//! Owns what a person is told while a run goes on: when a keeper says something, and when somebody
//! stopped the build. Runs in the supervisor.

use crate::{
    core::{
        run::{heard::Heard, wire::FromKeeper},
        target::kind::{Kind, counted},
    },
    report::{console::Say, foreign_change_lines, run_lines, step_lines},
    supervise::{memory_watch, timers::SAY_STOPPED},
};

/// Tells it, before the record takes it in. `is_released`: the keeper was told its last.
pub(super) fn announce(say: &mut Say, message: &FromKeeper, heard: &Heard, is_released: bool) {
    match message {
        FromKeeper::Note(note) => say.note(note),
        FromKeeper::Progress { phase, done, total } => say.progress(*phase, *done, *total),
        FromKeeper::RoomMade(_) | FromKeeper::Covered if heard.is_refused() => {
            say.settle();
            say.error(
                "room could not be made as asked, and --strict is set",
                Some("the command was not started"),
                None,
            );
        }
        FromKeeper::RoomMade(room) => {
            say.settle();
            let here = memory_watch::now().filter(|_| room.host.is_none());
            say.info(run_lines::room_made(room, here));
            if let Some(line) =
                run_lines::room_elsewhere(room, &heard.about.command, heard.about.site)
            {
                say.info(line);
            }
        }
        FromKeeper::StepTaken(step) => say.info(step_lines::taken(step)),
        FromKeeper::StepUndone { kinds, restored, took, .. } => {
            say.info(step_lines::undone(kinds, *restored, *took));
        }
        FromKeeper::Thrashing { time, figures } if heard.is_running() => {
            say.warning(step_lines::thrashing(*time, figures), None);
        }
        FromKeeper::Touched { id, name, change, reply } => {
            say.info(foreign_change_lines::touched(name, *change, *reply, heard.target(id)));
        }
        FromKeeper::TakenAgain(target) => say.info(foreign_change_lines::taken_again(target)),
        FromKeeper::TargetsBack(_) => say.settle(),
        FromKeeper::Released(_) => {
            say.settle();
            if !is_released && !heard.is_covered {
                say.warning(
                    "the keeper was told to end: everything is put back already, the build goes on",
                    None,
                );
            }
        }
        FromKeeper::Thrashing { .. }
        | FromKeeper::Sample(_)
        | FromKeeper::Covered
        | FromKeeper::HeldAlready { .. }
        | FromKeeper::Suspended
        | FromKeeper::Holding
        | FromKeeper::Lingering(_) => {}
    }
}

/// Says that somebody has stopped the build, where that keeps targets of these kinds paused.
pub(super) fn say_stopped(say: &mut Say, held: &[Kind], child: i32) {
    if !held.is_empty() {
        let hint = format!("`kill -CONT -- -{child}` lets it go on");
        say.warning(stopped_line(held), Some(&hint));
    }
}

fn stopped_line(held: &[Kind]) -> String {
    let stay = if held.len() == 1 { "stays" } else { "stay" };
    format!(
        "the build is stopped (SIGSTOP) since {} s, and {} {stay} paused",
        SAY_STOPPED.as_secs(),
        counted(held.iter().copied())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_somebody_stopped_is_said_with_what_it_keeps_paused() {
        for (kinds, held) in [
            (vec![Kind::ALL[0]; 3], "3 containers stay"),
            (vec![Kind::ALL[0]], "1 container stays"),
            (Kind::ALL.to_vec(), "2 targets stay"),
        ] {
            let expected = format!("the build is stopped (SIGSTOP) since 30 s, and {held} paused");
            assert_eq!(stopped_line(&kinds), expected);
        }
    }
}
