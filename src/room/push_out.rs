//! Owns pushing the memory of what was paused out to swap, and measuring what that gave. Runs in the
//! keeper.

use crate::{
    core::{
        few::Few,
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
    if taken.paused.is_empty() || !has_swap || !is_wanted {
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
        let name = text::printable(taken.names.get(&id).unwrap_or(&id));
        let text = format!("`{name}` gave back under half of its memory: {reason}");
        context.note_few(&mut few, Note::new(Level::Warning, text));
    }
    context.note_rest(&few, Level::Warning);
}
