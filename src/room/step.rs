//! Owns one step against memory pressure: the targets of its selector are taken like any others,
//! each intent on disk before its act, and given back when the pressure is gone. When it is due,
//! `core::machine::pressure` decides. Runs in the keeper.

use std::{slice, time::Instant};

use crate::{
    core::{
        lease::{late_call::awaited, state::Stage},
        machine::pressure::{Cause, Figures},
        run::{
            hook::Facts,
            note::{Level, Note},
            results::{Room, RoomTarget, Step},
            wire::FromKeeper,
        },
        target::{kind::USUAL, method::Method, seen::Listed, selector::Selector},
        text,
    },
    lease::journal::Journal,
    room::{announce, context::Context, leases, look, make::take_and_push_out, release::give_back},
};

/// What a step holds.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The ids of its targets.
    pub(crate) targets: Vec<String>,
    /// What comes back into memory when it is undone.
    pub(crate) held_bytes: u64,
    /// What a hook is told of it; `None` where nothing was taken.
    pub(crate) facts: Option<Facts>,
}

/// Takes a step, and tells of it. What this lease has already stays as it is.
pub(crate) async fn take_step(
    context: &Context<'_>,
    journal: &mut Journal,
    selector: &Selector,
    cause: Cause,
    figures: Figures,
) -> Taken {
    let begun = Instant::now();
    // What somebody else took from this lease stays theirs.
    let theirs = journal.state().theirs.clone();
    let room = room_of(context, journal, selector, |listed| !theirs.contains(&listed.id)).await;
    let Some(room) = room else { return Taken::default() };
    if room.targets.is_empty() {
        context.note(Note::new(
            Level::Detail,
            format!("`{}` has nothing more to give", text::printable(&selector.to_string())),
        ));
        return Taken::default();
    }
    let Room { targets, given_back_bytes, .. } = room;
    let step = Step {
        selector: selector.to_string(),
        cause,
        figures,
        targets,
        given_back_bytes,
        took: begun.elapsed(),
    };
    let taken = Taken {
        targets: step.targets.iter().map(|target| target.id.clone()).collect(),
        held_bytes: held_bytes(&step.targets),
        facts: Some(Facts::of_step(&step)),
    };
    (context.tell)(FromKeeper::StepTaken(step));
    taken
}

/// Makes more room with what this selector names and `is_meant`; `None` where that could not be
/// tried.
pub(crate) async fn room_of(
    context: &Context<'_>,
    journal: &mut Journal,
    selector: &Selector,
    is_meant: impl Fn(&Listed) -> bool,
) -> Option<Room> {
    let (leases, lock) = leases::look(context).await?;
    let mut found = look::at_targets(
        context,
        slice::from_ref(selector),
        &leases::recorded(journal.state(), &leases),
        false,
    )
    .await?;
    // What a keeper before this one has only announced is taken in earnest.
    let is_held =
        |id: &String| journal.state().targets.get(id).is_some_and(|held| held.stage == Stage::Held);
    found.chosen.retain(|listed| !is_held(&listed.id) && is_meant(listed));
    let mut room = Room::default();
    if found.chosen.is_empty() {
        return Some(room);
    }
    let opened = announce::open(context, journal, true);
    opened
        .map_err(|error| context.shortfall(format!("{error}; no {USUAL} is paused"), None))
        .ok()?;
    let measured = look::at_host(context, Some(&found)).await;
    take_and_push_out(
        context,
        found,
        journal,
        (leases, lock),
        measured.as_ref(),
        measured.as_ref(),
        &mut room,
    )
    .await;
    Some(room)
}

/// Undoes a step, and tells of it; what cannot be given back now stays this lease's until its
/// end.
pub(crate) async fn undo_step(context: &Context<'_>, journal: &mut Journal, step: &Taken) {
    let back = give_back(context, journal, |held| step.targets.contains(&held.target.id)).await;
    if let Some((name, reason)) = back.failed.first() {
        let text = format!(
            "`{}` cannot be given back yet: {}",
            text::printable(name),
            text::printable(reason)
        );
        (context.tell)(FromKeeper::Note(Note::new(Level::Warning, text)));
    }
    if let Some(late) = awaited(&back.late) {
        (context.tell)(FromKeeper::Note(Note::new(
            Level::Warning,
            format!("{late}: that is waited for at the end"),
        )));
    }
    (context.tell)(FromKeeper::StepUndone {
        kinds: back.kinds,
        running: back.running,
        restored: back.restored,
        took: back.took,
    });
}

fn held_bytes(targets: &[RoomTarget]) -> u64 {
    // A stopped service will want as much again; a paused one whose memory was not pushed out holds
    // it all the while.
    let held = |target: &RoomTarget| match target.method {
        Method::Pause => target.given_back_bytes,
        Method::Stop => target.memory_bytes,
    };
    targets.iter().filter_map(held).sum()
}
