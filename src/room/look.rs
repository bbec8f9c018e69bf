//! Owns the looks before room is made: which targets are meant, and what the host is like. Changes
//! nothing. Runs in the keeper.

use std::collections::BTreeMap;

use crate::{
    core::{
        few::Few,
        machine::{cgroup::Measured, inside::Inside, route::Route},
        run::note::{Level, Note},
        target::{
            cgroup_of::CgroupOf,
            choice::choose,
            command_use::{self, Why},
            kind::USUAL,
            recorded::Target,
            seen::{Listed, Seen},
            selector::{Selector, any_matches},
            state::State,
        },
        text,
        values::SwapWish,
    },
    host::{
        container::{inside, own_container},
        reclaim,
    },
    room::{context::Context, enforcers},
    targets::{all::Targets, error::TargetError},
};

/// What was found.
pub(crate) struct Found {
    pub(crate) targets: Targets,
    pub(crate) chosen: Vec<Listed>,
    /// All that is listed.
    pub(crate) listed: Vec<Listed>,
    /// What of it the command itself works with, by id.
    pub(crate) used: BTreeMap<String, Why>,
    /// What of that would be chosen otherwise, by its place in the list.
    left_out: Vec<(usize, Why)>,
    /// The chosen ones that run, or else one that tells as much of the host, as they were seen.
    pub(crate) seen: Vec<(Listed, Seen)>,
    /// The cgroups of the chosen ones that run, or else of one other that has processes: what shows
    /// which kernel they are on.
    cgroups: Vec<CgroupOf>,
    /// Where makeroom is, as seen from these.
    inside: Inside,
}

/// Looks for targets before the build: also for steps that may be needed later. What is wrong with
/// them is better known now than when memory is short.
pub(crate) async fn at_targets_first(context: &Context<'_>, recorded: &[&Target]) -> Option<Found> {
    let settings = &context.request.settings;
    let then = settings.guard.as_ref().map_or(&[][..], |guard| &guard.then);
    if settings.pause.is_empty() && then.is_empty() {
        return None;
    }
    let all = [&settings.pause[..], then].concat();
    let mut found = at_targets(context, &all, recorded, true).await?;
    found.chosen.retain(|listed| any_matches(&settings.pause, listed));
    tell_used(context, &found);
    Some(found)
}

/// Says what is left to the command; and what it will find paused, as somebody else has left it.
fn tell_used(context: &Context<'_>, found: &Found) {
    let (mut left_out, mut paused) = (Few::default(), Few::default());
    for (index, why) in &found.left_out {
        let text = why.told(found.listed[*index].name());
        context.note_few(&mut left_out, Note::new(Level::Info, text));
    }
    context.note_rest(&left_out, Level::Info);
    for listed in found.listed.iter().filter(|listed| listed.state == State::Paused) {
        let Some(why) = found.used.get(&listed.id).filter(|why| why.is_certain()) else { continue };
        let name = text::printable(listed.name());
        let text = format!("`{name}` is paused already, and {}", why.clause());
        context.note_few(&mut paused, Note::new(Level::Warning, text));
    }
    context.note_rest(&paused, Level::Warning);
}

/// Looks for the targets that are meant by these selectors; `recorded` are those that leases have
/// taken. `is_first`: what matches nothing was asked for and is not to be had.
pub(crate) async fn at_targets(
    context: &Context<'_>,
    selectors: &[Selector],
    recorded: &[&Target],
    is_first: bool,
) -> Option<Found> {
    if let Err(error) = context.machine.endpoint() {
        let hint = "`docker context ls` shows what there is".to_owned();
        context.shortfall(format!("{error}; no {USUAL} is paused"), Some(hint));
        return None;
    }
    let found = async {
        let targets = context.machine.targets().await?;
        let listing = targets.list(recorded).await?;
        Ok::<_, TargetError>((targets, listing))
    };
    let failed = |error: TargetError| {
        context.shortfall(format!("{error}; no {USUAL} is paused"), error.hint());
    };
    let (targets, listing) = found.await.map_err(failed).ok()?;
    if let Some(text) = listing.warning() {
        context.note(Note::new(Level::Warning, text));
    }
    let mut listed = listing.targets;
    enforcers::mark_seen(context, &mut listed);
    let used = command_use::used(&context.request.uses, &listed, selectors);
    let (chosen, left_out) = chosen(context, &listed, selectors, &used, is_first);
    let used = used.into_iter().map(|(index, why)| (listed[index].id.clone(), why)).collect();
    let runs = |listed: &&Listed| listed.state == State::Running;
    let mut shown: Vec<&Listed> = chosen.iter().filter(runs).collect();
    if shown.is_empty() {
        // One that is taken already tells as much, and does not end in the meantime.
        let is_paused = |listed: &&Listed| listed.state == State::Paused;
        shown.extend(chosen.iter().find(is_paused).or_else(|| listed.iter().find(runs)));
    }
    let looked = targets.looks(shown.iter().map(|listed| listed.handle())).await;
    let both = shown.into_iter().zip(looked);
    let seen: Vec<_> =
        both.filter_map(|(listed, seen)| Some((listed.clone(), seen.ok()?))).collect();
    let cgroups = seen.iter().filter_map(|(_, seen)| seen.cgroup.clone()).collect();
    let inside = inside(|id| listed.iter().any(|listed| listed.id == id));
    Some(Found { targets, chosen, listed, used, left_out, seen, cgroups, inside })
}

/// What is chosen, and what of it is left to the command.
fn chosen(
    context: &Context<'_>,
    listed: &[Listed],
    selectors: &[Selector],
    used: &BTreeMap<usize, Why>,
    is_first: bool,
) -> (Vec<Listed>, Vec<(usize, Why)>) {
    let settings = &context.request.settings;
    let choice = choose(listed, selectors, &settings.keep, used);
    let level = if is_first { Level::Shortfall } else { Level::Warning };
    let mut few = Few::default();
    for selector in choice.unmatched {
        let text = format!("no {USUAL} matches `{}`", text::printable(&selector));
        context.note_few(&mut few, Note { hint: several(&selector), ..Note::new(level, text) });
    }
    context.note_rest(&few, level);
    let mut few = Few::default();
    for at in choice.idle.into_iter().filter(|_| is_first) {
        let selector = text::printable(&settings.keep[at].to_string());
        let text = format!("no {USUAL} matches `{selector}`, which --keep names");
        // What a file keeps is kept on each machine, whatever there is on this one.
        let level = if at < settings.keep_typed { Level::Warning } else { Level::Detail };
        context.note_few(&mut few, Note::new(level, text));
    }
    context.note_rest(&few, Level::Detail);
    let mut few = Few::default();
    for selector in choice.kept {
        let text = format!("--keep leaves nothing of `{}`", text::printable(&selector));
        context.note_few(&mut few, Note::new(Level::Info, text));
    }
    context.note_rest(&few, Level::Info);
    let own = own_container();
    let chosen = choice.chosen.into_iter().map(|index| listed[index].clone());
    let chosen = chosen.filter(|listed| own.as_ref() != Some(&listed.id)).collect();
    (chosen, choice.left_out)
}

/// What to type where several names were put into one.
fn several(selector: &str) -> Option<String> {
    let names: Vec<&str> = selector.split(',').filter(|name| !name.is_empty()).collect();
    let is_plain = |name: &&str| !name.contains(['{', '}', '=', ':', ' ']);
    (names.len() > 1 && names.iter().all(is_plain)).then(|| {
        let options = names.iter().map(|name| format!("--pause {}", text::shell_word(name)));
        text::printable(&options.collect::<Vec<_>>().join(" "))
    })
}

/// Looks at the host once, for all that is decided later. `None`, and said, where nothing can be
/// made there.
pub(crate) async fn at_host(context: &Context<'_>, found: Option<&Found>) -> Option<Measured> {
    let Context { request, machine, .. } = *context;
    let settings = &request.settings;
    let wants_swap = settings.swap != SwapWish::Off;
    let wants_reclaim = !settings.no_reclaim && found.is_some_and(|found| !found.chosen.is_empty());
    // An engine that cannot be reached is in a VM that cannot be reached either, and that is said
    // already.
    let is_down =
        found.is_none() && !settings.pause.is_empty() && *machine.shell.route() != Route::Here;
    if is_down || !(wants_swap || wants_reclaim || request.need_bytes.is_some()) {
        return None;
    }
    let cgroups = found.map_or(&[][..], |found| &found.cgroups);
    let looked = match machine.shell.route() {
        Route::NoWay { engine } => {
            Err(no_way(&format!("no way into {} is known", text::printable(engine))))
        }
        _ => match context.cancel.or(reclaim::look(&machine.shell, cgroups)).await? {
            Ok(measured) => {
                // What is elsewhere is not hidden by where we are.
                let is_here = *machine.shell.route() == Route::Here;
                let inside = found.filter(|_| is_here).map(|found| found.inside);
                why_blind(
                    &measured,
                    cgroups.len(),
                    inside.unwrap_or_default(),
                    &machine.shell.place(),
                )
                .map_or(Ok(measured), Err)
            }
            Err(error) => Err((
                format!(
                    "cannot measure memory: {error}; no swap is made and no memory is pushed out"
                ),
                error.hint().map(str::to_owned),
            )),
        },
    };
    looked.map_err(|(text, hint)| context.shortfall(text, hint)).ok()
}

/// Why nothing can be made on a host that was measured so, with the way out. `asked` cgroups were
/// looked for there.
fn why_blind(
    measured: &Measured,
    asked: usize,
    inside: Inside,
    place: &str,
) -> Option<(String, Option<String>)> {
    if measured.memory.is_none() {
        let text = format!(
            "the memory{place} cannot be read (/proc/meminfo is hidden?): no swap is made and no memory is pushed out"
        );
        let hint = "run makeroom where /proc is whole (not mounted with subset=pid), or name the host with --vm-shell";
        return Some((text, Some(hint.to_owned())));
    }
    let (why, hint) = measured.why_unseen(asked, inside)?;
    Some(if measured.is_hidden || inside != Inside::Nothing {
        (nothing_is_made(why), Some(hint.to_owned()))
    } else {
        no_way(why)
    })
}

fn no_way(why: &str) -> (String, Option<String>) {
    let hint =
        "name a way into it with --vm-shell \"COMMAND\", or say --swap off --no-reclaim".to_owned();
    (nothing_is_made(why), Some(hint))
}

fn nothing_is_made(why: &str) -> String {
    format!(
        "{why}: targets are only paused or stopped, no swap is made and no memory is pushed out"
    )
}
