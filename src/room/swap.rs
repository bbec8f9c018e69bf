//! Owns making sure of swap before targets are taken: sharing what other leases made, making what
//! is missing. What is on the host is `host::swap`'s. Runs in the keeper.

use std::path::Path;

use crate::{
    core::{
        lease::{
            record::{Area, AreaGone, Record},
            state::LeaseState,
        },
        machine::{cgroup::Measured, swap as sums},
        run::{
            note::{Level, Note},
            results::Room,
        },
        text,
        values::{Size, SwapWish},
    },
    host::swap,
    lease::{journal::Journal, leases::Leases},
    room::{context::Context, mark::mark_held},
};

const ELSEWHERE: &str =
    "name another place with --swap-file PATH, a size with --swap SIZE, or --swap off";

/// Makes sure of swap; gives the host as it is afterwards. `is_wanted`: else only what is there
/// already is shared.
pub(crate) async fn ensure(
    context: &Context<'_>,
    journal: &mut Journal,
    leases: &Leases,
    before: Option<Measured>,
    is_wanted: bool,
    room: &mut Room,
) -> Option<Measured> {
    let SwapWish::Free(wish) = context.request.settings.swap else { return before };
    let measured = before?;
    join_areas(context, journal, leases, &measured);
    let shell = &context.machine.shell;
    drop_unfinished_areas(context, journal, &measured).await;
    let kept_bytes = kept_bytes(context, leases, &measured);
    let free = measured.free_swap();
    let missing = sums::missing(wish.bytes, free.ahead_bytes.saturating_add(kept_bytes));
    let Some(size_bytes) = missing.filter(|_| measured.memory.is_some()) else {
        return Some(measured);
    };
    if !is_wanted || context.cancel.is_said() {
        return Some(measured);
    }
    let own_dir = swap::own_dir(&measured);
    let default = format!("{own_dir}/swapfile");
    let wished = context.request.settings.swap_file.as_deref().unwrap_or(&default);
    if shell.root().await.is_none() {
        let hint = by_hand(wished, wish);
        context.shortfall(
            format!(
                "no swap is made: this needs root{}, or sudo that asks for no password",
                shell.place()
            ),
            Some(
                shell
                    .host_name()
                    .map_or(hint.clone(), |host| format!("in {}: {hint}", text::printable(host))),
            ),
        );
        return Some(measured);
    }
    let area = area(context, journal, leases, wished, size_bytes);
    mark_held(context);
    if let Err(error) = journal.intend(&[Record::AreaMaking { area: area.clone() }]) {
        context.shortfall(format!("no swap is made: {error}"), None);
        return Some(measured);
    }
    let making = swap::make(shell, &area, &own_dir, free.priority_ahead());
    match context.cancel.or(making).await {
        // Announced, and perhaps under way: restoring finds it.
        None => Some(measured),
        Some(Ok(made)) => {
            if let Some(text) = made.why_smaller(area.size_bytes, &area.path) {
                context.shortfall(text, Some(ELSEWHERE.to_owned()));
            }
            room.swap_made_bytes = Some(made.size_bytes);
            room.swap_path = Some(area.path.clone());
            context.record(journal, &Record::AreaMade { path: area.path });
            Some(made.after)
        }
        Some(Err(error)) => {
            // One that may still be made stays announced: restoring looks.
            if !matches!(&error, swap::SwapError::Shell(shell) if shell.is_outcome_unknown()) {
                context.record(
                    journal,
                    &Record::AreaGone { path: area.path.clone(), how: AreaGone::AlreadySo },
                );
            }
            let is_denied = matches!(error, swap::SwapError::Denied);
            let hint = error.hint().filter(|_| is_denied).unwrap_or(ELSEWHERE);
            context.shortfall(
                format!("no swap is made at {}: {error}", text::printable(&area.path)),
                Some(hint.to_owned()),
            );
            Some(measured)
        }
    }
}

/// What a keeper before this one had begun to make and did not finish.
async fn drop_unfinished_areas(context: &Context<'_>, journal: &mut Journal, measured: &Measured) {
    let begun: Vec<Area> = journal
        .state()
        .areas
        .values()
        .map(|held| held.area.clone())
        .filter(|area| measured.swap_at(&area.path).is_none())
        .collect();
    for area in begun {
        if swap::remove(&context.machine.shell, &area).await.is_ok() {
            context
                .record(journal, &Record::AreaGone { path: area.path, how: AreaGone::AlreadySo });
        }
    }
}

/// What another live lease made and this one needs is removed by the last of them.
fn join_areas(context: &Context<'_>, journal: &mut Journal, leases: &Leases, measured: &Measured) {
    let host = context.machine.host();
    let others = leases.on_host(host.as_ref()).flat_map(|(_, state)| state.areas.values());
    let shared: Vec<Area> = others
        .filter(|held| !held.removing && measured.swap_at(&held.area.path).is_some())
        .map(|held| held.area.clone())
        .collect();
    for area in shared {
        mark_held(context);
        if !journal.state().areas.contains_key(&area.path)
            && let Err(error) = journal.announce(&Record::AreaJoined { area })
        {
            context.note(Note::new(Level::Warning, format!("swap is not shared: {error}")));
        }
    }
}

/// What the areas of lingering leases hold is what this run would have pushed out itself: as
/// good as free.
fn kept_bytes(context: &Context<'_>, leases: &Leases, measured: &Measured) -> u64 {
    let host = context.machine.host();
    let is_kept = |path: &str| {
        let needs = |state: &&LeaseState| state.areas.get(path).is_some_and(|held| !held.removing);
        let mut holders =
            leases.on_host(host.as_ref()).map(|(_, state)| state).filter(needs).peekable();
        holders.peek().is_some() && holders.all(LeaseState::lingers)
    };
    let kept = measured.swaps.iter().filter(|swap| is_kept(&swap.path));
    kept.map(|swap| swap.used_bytes).sum()
}

fn area(
    context: &Context<'_>,
    journal: &Journal,
    leases: &Leases,
    wished: &str,
    size_bytes: u64,
) -> Area {
    let label = swap::label_of(&context.request.lease);
    let path = if is_recorded(context, journal, leases, wished) {
        format!("{wished}-{}", context.request.lease)
    } else {
        wished.to_owned()
    };
    Area { path, size_bytes, label }
}

/// A path that any lease has is not free: also one on its way out, and one without a holder
/// whose removal failed. What an unreadable journal names is not known: no path is free then.
fn is_recorded(context: &Context<'_>, journal: &Journal, leases: &Leases, path: &str) -> bool {
    let host = context.machine.host();
    let ours = journal.state();
    let is_ours = ours.host() == host.as_ref() && ours.areas.contains_key(path);
    !leases.unreadable.is_empty() || is_ours || leases.has_area(path, host.as_ref())
}

/// The commands that make the swap that makeroom may not make.
fn by_hand(path: &str, wish: Size) -> String {
    let dir =
        text::shell_word(&Path::new(path).parent().unwrap_or(Path::new("/")).to_string_lossy());
    let path = text::shell_word(path);
    let acts = [
        format!("mkdir -p {dir}"),
        format!("fallocate -l {} {path}", wish.bytes),
        format!("chmod 600 {path}"),
        format!("mkswap {path}"),
        format!("swapon {path}"),
    ];
    acts.map(|act| format!("sudo {act}")).join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_to_type_can_be_typed_whatever_the_path_holds() {
        let typed = by_hand("/data/a b/swap", Size { bytes: 4096 });
        assert!(
            typed.starts_with(
                "sudo mkdir -p '/data/a b' && sudo fallocate -l 4096 '/data/a b/swap' && "
            ),
            "{typed}"
        );
        assert!(typed.ends_with(" && sudo swapon '/data/a b/swap'"), "{typed}");
    }
}
