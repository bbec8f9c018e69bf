//! Owns restoring the leases of dead holders, before room is made and in `recover`: the state directory's lock is
//! held only as long as a release holds it. Runs in the keeper and in `recover`.

use super::{Tell, reach::Reach, restore::Restorer};
use crate::{
    core::{
        record::LeaseState,
        text,
        way::Prefix,
        wire::{Afterwards, Back, FromKeeper, Level, Note, SwapBack},
    },
    lease::{
        journal::Journal,
        leases::{Leases, id_of},
        state_dir::{StateDir, StateLock},
    },
};

/// Restores all dead leases that were found, tells of each, and gives what those that had anything were like before.
/// `limit` is `--restore-timeout`. Their journals stay locked until they are gone, so nobody else recovers them, and
/// marked, so nobody takes them for leases that hold something. `vm_shell` is gone where a recorded way cannot be.
pub async fn recover(
    state: &StateDir,
    (mut leases, lock): (Leases, StateLock),
    limit: std::time::Duration,
    vm_shell: Option<&Prefix>,
    tell: Tell<'_>,
) -> Vec<(LeaseState, Back)> {
    let dead = std::mem::take(&mut leases.dead);
    let reach = |journal: &Journal| Reach::recorded(journal.state().opened.as_ref(), vm_shell, &id_of(journal.path()));
    let reaches: Vec<Reach> = dead.iter().map(reach).collect();
    let mut partings = Vec::with_capacity(dead.len());
    for (mut journal, reach) in dead.into_iter().zip(&reaches) {
        let before = journal.state().clone();
        let restorer = Restorer { state, reach, limit, afterwards: Afterwards::default(), tell };
        if !before.is_empty() {
            if let Some(note) = reach.refusal(&before) {
                tell(FromKeeper::Note(note));
            }
            restorer.mark(&mut journal);
        }
        partings.push((before, restorer, restorer.part(journal, &leases).await));
    }
    drop((leases, lock));
    let mut restored = Vec::new();
    for (before, restorer, parting) in partings {
        let back = restorer.finish_recovery(parting).await;
        if !before.is_empty() {
            tell(FromKeeper::Note(recovered(&before, &back)));
            restored.push((before, back));
        }
    }
    restored
}

/// One line about a lease that was found without its holder, and what became of it.
#[must_use]
pub fn recovered(state: &LeaseState, back: &Back) -> Note {
    let whose = state.opened.as_ref().map_or_else(String::new, |opened| {
        let program = opened.program.as_deref().map_or_else(String::new, |program| format!(" of `{}`", text::printable(program)));
        format!("{program} begun {}", opened.at.strftime("%F %T UTC"))
    });
    let held = text::names(state.targets.values().map(|held| held.target.name.as_str()), 5);
    let mut said = format!("a lease{whose} had lost its holder");
    if !state.targets.is_empty() {
        said += &format!(" and still held {held}; {} running again", text::count(back.restored, "service"));
    }
    if !back.failed.is_empty() {
        said += &format!(", {} not", back.failed.len());
    }
    match &back.swap {
        Some(SwapBack::Removed) => said += "; its swap removed",
        Some(SwapBack::Stays { path, reason }) => said += &format!("; its swap {} stays: {reason}", text::printable(path)),
        Some(SwapBack::HandedOver) | None => {}
    }
    let is_whole = back.failed.is_empty() && !matches!(back.swap, Some(SwapBack::Stays { .. }));
    let note = Note::new(if is_whole { Level::Info } else { Level::Warning }, said);
    if is_whole { note } else { note.hint("makeroom recover") }
}
