//! Owns pushing the memory of what was paused out to swap, and measuring what that gave. Runs in the
//! keeper.

use crate::{
    core::{
        few::Few,
        machine::cgroup::WORTH_A_WORD_BYTES,
        run::{
            note::{Level, Note, Phase},
            results::Room,
            wire::FromKeeper,
        },
        text,
    },
    host::reclaim,
    room::{context::Context, take::Taken},
};

/// Pushes it out, where there is swap for it and that is wanted; adds to the room what it gave.
pub(crate) async fn push_out(context: &Context<'_>, taken: &Taken, room: &mut Room) {
    // Without swap a frozen target's memory has nowhere to go.
    let has_swap = room.memory.is_some_and(|memory| memory.swap_free_bytes > 0);
    let is_wanted = !context.request.settings.no_reclaim && !context.cancel.is_said();
    if taken.paused.is_empty() || !is_wanted {
        return;
    }
    if !has_swap {
        tell_if_only_one_keeps_its_memory(context, taken, room);
        return;
    }
    let total = taken.paused.len();
    (context.tell)(FromKeeper::Progress { phase: Phase::Reclaiming, done: 0, total });
    let pushed = tokio::select! {
        pushed = reclaim::reclaim(&context.machine.shell, &taken.paused) => pushed,
        () = context.cancel.wait() => return,
    };
    let (given, after) = match pushed {
        Ok(pushed) => pushed,
        Err(error) => {
            let hint = error.hint().map(str::to_owned);
            context.shortfall(format!("the paused memory is not pushed out: {error}"), hint);
            return;
        }
    };
    room.given_back_bytes = Some(given.bytes);
    for target in &mut room.targets {
        target.given_back_bytes = given.by_target.get(&target.id).copied();
    }
    room.available_change_bytes = given.available_change_bytes;
    room.memory = after.memory.or(room.memory);
    if let Some(text) = given.why_little() {
        let hint = "swap on a disk frees all of it: `--swap SIZE`, with `--swap-file PATH` where that is another disk";
        context.note(Note::new(Level::Warning, text).hint(hint));
    }
    let mut few = Few::default();
    for (id, reason) in given.reluctant {
        let name = name_of(taken, &id);
        if is_only(taken, room) && given.unmoved.contains(&id) {
            context.shortfall(format!("`{name}` gave back nothing: {reason}"), None);
        } else {
            let text = format!("`{name}` gave back under half of its memory: {reason}");
            context.note_few(&mut few, Note::new(Level::Warning, text));
        }
    }
    context.note_rest(&few, Level::Warning);
    let mut few = Few::default();
    for id in &taken.theirs {
        let Some(bytes) = given.by_target.get(id).filter(|bytes| **bytes > 0) else { continue };
        let (name, bytes) = (name_of(taken, id), text::size(*bytes));
        let text = format!("`{name}`, paused by somebody else, gave back {bytes}");
        context.note_few(&mut few, Note::new(Level::Info, text));
    }
    context.note_rest(&few, Level::Info);
}

fn name_of(taken: &Taken, id: &str) -> String {
    text::printable(taken.names.get(id).map_or(id, String::as_str))
}

/// Whether one target is all that makes room.
fn is_only(taken: &Taken, room: &Room) -> bool {
    taken.paused.len() == 1 && room.stopped == 0 && room.targets.len() <= 1
}

/// One that was paused by wish is room that was asked for and not had.
fn tell_if_only_one_keeps_its_memory(context: &Context<'_>, taken: &Taken, room: &Room) {
    let Some(target) = room.targets.first().filter(|_| is_only(taken, room)) else { return };
    if room.memory.is_some() && target.memory_bytes.is_some_and(|bytes| bytes >= WORTH_A_WORD_BYTES)
    {
        let name = text::printable(&target.name);
        context.shortfall(format!("`{name}` gave back nothing: there is no free swap"), None);
    }
}
