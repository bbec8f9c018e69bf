//! Owns the looks before room is made: which targets are meant, and what the host is like. Changes
//! nothing. Runs in the keeper.

use crate::{
    core::{
        few::Few,
        machine::{cgroup::Measured, inside::Inside, route::Route},
        run::note::{Level, Note},
        target::{
            cgroup_of::CgroupOf,
            choice::choose,
            kind::USUAL,
            recorded::Target,
            seen::Listed,
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
    room::context::Context,
    targets::{all::Targets, error::TargetError},
};

/// What was found.
pub(crate) struct Found {
    pub(crate) targets: Targets,
    pub(crate) chosen: Vec<Listed>,
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
    let mut found = at_targets(context, &[&settings.pause[..], then].concat(), recorded).await?;
    found.chosen.retain(|listed| any_matches(&settings.pause, listed));
    Some(found)
}

/// Looks for the targets that are meant by these selectors; `recorded` are those that leases have
/// taken.
pub(crate) async fn at_targets(
    context: &Context<'_>,
    selectors: &[Selector],
    recorded: &[&Target],
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
    let listed = listing.targets;
    let chosen = chosen(context, &listed, selectors);
    let runs = |listed: &&Listed| listed.state == State::Running;
    let mut shown: Vec<&Listed> = chosen.iter().filter(runs).collect();
    if shown.is_empty() {
        // One that is taken already tells as much, and does not end in the meantime.
        let is_paused = |listed: &&Listed| listed.state == State::Paused;
        shown.extend(chosen.iter().find(is_paused).or_else(|| listed.iter().find(runs)));
    }
    let cgroups = targets.cgroups(shown.into_iter().map(Listed::handle)).await;
    let inside = inside(|id| listed.iter().any(|listed| listed.id == id));
    Some(Found { targets, chosen, cgroups, inside })
}

fn chosen(context: &Context<'_>, listed: &[Listed], selectors: &[Selector]) -> Vec<Listed> {
    let choice = choose(listed, selectors, &context.request.settings.keep);
    let mut few = Few::default();
    for selector in choice.unmatched {
        let text = format!("no {USUAL} matches `{}`", text::printable(&selector));
        context.note_few(&mut few, Note::new(Level::Warning, text));
    }
    context.note_rest(&few, Level::Warning);
    let mut few = Few::default();
    for selector in choice.kept {
        let text = format!("--keep leaves nothing of `{}`", text::printable(&selector));
        context.note_few(&mut few, Note::new(Level::Info, text));
    }
    context.note_rest(&few, Level::Info);
    let own = own_container();
    let chosen = choice.chosen.into_iter().map(|index| listed[index].clone());
    chosen.filter(|listed| own.as_ref() != Some(&listed.id)).collect()
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
