//! Owns what is said of leases that were found without their holder, and of what became of them. Pure.

use crate::core::{
    lease::{late_call::awaited, state::LeaseState},
    run::{
        note::{Level, Note},
        results::{Back, SwapBack},
    },
    target::kind::noun_of,
    text,
};

/// One line about a lease that was found without its holder, and what became of it.
#[must_use]
pub fn recovered(lease: &str, state: &LeaseState, back: &Back) -> Note {
    let opened = state.opened.as_ref();
    let whose = opened.map_or_else(String::new, |opened| {
        let program = opened
            .program
            .as_deref()
            .map_or_else(String::new, |program| format!(" of `{}`", text::printable(program)));
        format!("{program} begun {}", opened.at.strftime("%F %T UTC"))
    });
    let held = text::names(state.targets.values().map(|held| held.target.name.as_str()), 5);
    let mut said = format!("a lease{whose} had lost its holder");
    if !state.targets.is_empty() {
        let kinds = state.targets.values().map(|held| held.target.kind());
        said += &format!(
            " and still held {held}; {} running again",
            text::count(back.restored, noun_of(kinds))
        );
    }
    if !state.stopped.is_empty() {
        let stopped = text::names(state.stopped.values().map(String::as_str), 5);
        said += &format!("; {stopped} had been stopped by somebody else, and stays stopped");
    }
    if let Some((_, reason)) = back.failed.first() {
        said += &format!(", {} not: {}", back.failed.len(), text::printable(reason));
    }
    let vanished: Vec<&str> = back.vanished().collect();
    if !vanished.is_empty() {
        said += &format!("; removed meanwhile, and gone: {}", text::names(vanished.clone(), 5));
    }
    match &back.swap {
        Some(SwapBack::Removed) => said += "; its swap removed",
        Some(SwapBack::NotYet { path, reason } | SwapBack::Stays { path, reason }) => {
            said +=
                &format!("; its swap {} stays: {}", text::printable(path), text::printable(reason));
        }
        Some(SwapBack::HandedOver) | None => {}
    }
    if let Some(late) = awaited(&back.late) {
        said += &format!("; {late}");
    }
    let is_whole = back.failed.is_empty() && !matches!(back.swap, Some(SwapBack::Stays { .. }));
    if let Some(line) = state.damaged_line {
        let kept =
            if is_whole { format!("set aside as {lease}.damaged") } else { "kept".to_owned() };
        said += &format!(
            "; line {line} of its journal is damaged and may have held more: it is {kept}"
        );
        if !state.lost.is_empty() {
            let lost = text::names(state.lost.iter().map(String::as_str), 5);
            said += &format!("; it names {lost}, and what is to be done for that is lost");
        }
    }
    if !is_whole {
        let hint = format!(
            "`makeroom recover` tries for longer, `makeroom recover --forget {}` gives it up",
            text::printable(lease)
        );
        return Note::new(Level::Warning, said).hint(hint);
    }
    if state.damaged_line.is_some() {
        return Note::new(Level::Warning, said)
            .hint("`docker ps --all --filter status=paused --filter status=exited` shows what may still be down");
    }
    let is_well = back.late.is_empty() && vanished.is_empty();
    Note::new(if is_well { Level::Info } else { Level::Warning }, said)
}

/// One line about what became of the calls that were waited for.
#[must_use]
pub fn came(late: &Back) -> Note {
    match (late.restored, late.failed.is_empty()) {
        (0, true) => Note::new(Level::Info, "nothing came any more"),
        (restored, true) => Note::new(
            Level::Info,
            format!(
                "it came: {} running again",
                text::count(restored, noun_of(late.kinds.iter().copied()))
            ),
        ),
        // The last line says which.
        (_, false) => Note::new(Level::Info, "what came could not be put back"),
    }
}
