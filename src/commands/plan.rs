//! `makeroom plan`: the audit of the host's memory and what a run would do. Changes nothing.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    process::ExitCode,
};

use futures_util::{StreamExt as _, future, stream};

use crate::{
    cli::{ChildArgs, PlanArgs},
    commands::{
        command_use,
        doctor::is_recorded,
        error::CommandError,
        invocation::{Ended, Invocation, block_on, enter, print, reach},
        need,
    },
    config::{Layer, Purpose, Settings},
    core::{
        machine::{
            cgroup::{Cgroup, Measured},
            inside::Inside,
            route::Route,
            swap::{Disk, missing},
        },
        plan::{audit::audit, facts::Facts, format::Audit},
        run::{
            exit::{DONE, NO},
            room_settings::RoomSettings,
        },
        target::{
            cgroup_of::CgroupOf,
            choice,
            command_use::{CommandUse, used},
            kind::USUAL,
            seen::{Listed, Seen},
            state::State,
        },
        text,
        values::SwapWish,
    },
    host::{
        container::{inside, own_container},
        findings, reclaim,
    },
    report::{console::Say, plan_table},
    room::machine::Machine,
    targets::{all::Targets, error::TargetError, kind::TargetKind as _, pace::at_once, wholes},
};

/// Shows it; 1 where the build does not fit.
#[must_use]
pub fn plan(args: PlanArgs) -> ExitCode {
    let flags = Layer::of_flags(args.room, ChildArgs::default(), args.common);
    enter(flags, Purpose::Build, |invocation| show(invocation, &args.command, args.json))
}

fn show(
    Invocation { settings, say, .. }: &mut Invocation,
    command: &[OsString],
    json: bool,
) -> Ended {
    let audit = block_on(look(settings, command, say))
        .map_err(|error| CommandError::new(error).with_state("nothing is known of the memory"))?;
    let shown = if json {
        serde_json::to_string_pretty(&audit)
            .map_or_else(|error| error.to_string(), |json| json + "\n")
    } else {
        plan_table::table(&audit)
    };
    print(&shown)?;
    Ok(if audit.fits == Some(false) { NO } else { DONE }.into())
}

async fn look(settings: &Settings, command: &[OsString], say: &mut Say) -> Result<Audit, String> {
    let machine = reach(settings)?;
    let containers = match containers(&machine, say).await {
        Ok(containers) => containers,
        Err((error, hint)) => {
            say.warning(
                format!("no {USUAL} is seen: {}", text::printable(&error)),
                hint.as_deref(),
            );
            vec![]
        }
    };
    let cgroups: Vec<CgroupOf> =
        containers.iter().filter_map(|(_, seen)| seen.as_ref()?.cgroup.clone()).collect();
    if let Route::NoWay { engine } = machine.shell.route() {
        return Err(format!("no way into {engine} is known; name one with --vm-shell \"COMMAND\""));
    }
    let mut measured =
        reclaim::look(&machine.shell, &cgroups).await.map_err(|error| error.to_string())?;
    let inside = if *machine.shell.route() == Route::Here {
        inside(|id| containers.iter().any(|(listed, _)| listed.id == id))
    } else {
        Inside::Nothing
    };
    let unseen = measured.why_unseen(cgroups.len(), inside);
    if let Some((why, hint)) = unseen {
        say.warning(format!("{why}: these figures are this machine's"), Some(hint));
        measured.targets = asked_sizes(&machine, &containers).await;
    }
    let has_root = machine.shell.root().await.is_some();
    // Where nothing is seen, or without root, a run makes none, which the sums know.
    let (swap, swap_place) = if unseen.is_none() && has_root {
        swap_to_have(&machine, settings, &measured, say).await
    } else {
        (settings.room.swap, None)
    };
    let own = own_container();
    let uses = command_use::of(command);
    let stopped_as_wholes = stopped_as_wholes(&machine, settings, &containers, &uses).await;
    let facts = Facts {
        host: machine.shell.host_name(),
        vm_driver: machine.vm_driver(),
        measured: &measured,
        containers: &containers,
        pause: &settings.room.pause,
        keep: &settings.room.keep,
        uses: &uses,
        own_container: own.as_deref(),
        stopped_as_wholes: &stopped_as_wholes,
        method: settings.room.method,
        no_reclaim: settings.room.no_reclaim,
        swap,
        swap_place: swap_place.as_ref().map(|(path, disk)| (path.as_str(), *disk)),
        has_root,
        is_unseen: unseen.is_some(),
        need: need::of_plan(settings, command, say),
    };
    audit(&facts).ok_or_else(|| format!("the memory{} cannot be read", machine.shell.place()))
}

/// All containers, with the inspection of those that have processes.
async fn containers(
    machine: &Machine,
    say: &mut Say,
) -> Result<Vec<(Listed, Option<Seen>)>, (String, Option<String>)> {
    if let Err(error) = machine.endpoint() {
        return Err((
            error.to_string(),
            Some("`docker context ls` shows what there is".to_owned()),
        ));
    }
    let said = |error: TargetError| (error.to_string(), error.hint());
    let targets = machine.targets().await.map_err(said)?;
    let listing = targets.list(&[]).await.map_err(said)?;
    if let Some(text) = listing.warning() {
        say.warning(text, None);
    }
    let inspecting = listing.targets.into_iter().map(|listed| looked_at(&targets, listed));
    Ok(stream::iter(inspecting).buffered(at_once()).collect().await)
}

/// The swap that a run would have, with the place of the area that it would make and the disk that
/// this is on: no more than there is, where none can be made, which is said.
async fn swap_to_have(
    machine: &Machine,
    settings: &Settings,
    measured: &Measured,
    say: &mut Say,
) -> (SwapWish, Option<(String, Disk)>) {
    let wish = settings.room.swap;
    let SwapWish::Free(size) = wish else { return (wish, None) };
    if missing(size.bytes, measured.free_swap().ahead_bytes).is_none() {
        return (wish, None);
    }
    let host = machine.host();
    let recorded = |path: &str| is_recorded(&settings.state_dir, path, host.as_ref());
    let swap_file = settings.room.swap_file.as_deref();
    let Ok(found) = findings::look(&machine.shell, swap_file, recorded, &[]).await else {
        return (wish, None);
    };
    let Some((why, fix)) = found.facts.why_no_swap(&found.swap_path) else {
        return (wish, found.facts.disk.map(|disk| (found.swap_path, disk)));
    };
    say.warning(format!("no swap would be made: {}", text::printable(&why)), Some(&fix));
    (SwapWish::Off, None)
}

/// What these hold, in the engine's words.
async fn asked_sizes(
    machine: &Machine,
    containers: &[(Listed, Option<Seen>)],
) -> HashMap<String, Cgroup> {
    let Ok(targets) = machine.targets().await else { return HashMap::new() };
    let asking = containers.iter().filter(|(_, seen)| seen.is_some()).map(|(listed, _)| {
        let kind = targets.of(listed.kind());
        async move {
            let memory = kind.memory(listed.handle()).await.ok().flatten()?;
            Some((listed.id.clone(), memory))
        }
    });
    stream::iter(asking).buffered(at_once()).filter_map(future::ready).collect().await
}

/// What a run would stop in the place of its parts, were it to stop them.
async fn stopped_as_wholes(
    machine: &Machine,
    settings: &Settings,
    containers: &[(Listed, Option<Seen>)],
    uses: &CommandUse,
) -> Vec<String> {
    let listed: Vec<Listed> = containers.iter().map(|(listed, _)| listed.clone()).collect();
    let RoomSettings { pause, keep, .. } = &settings.room;
    let chosen = choice::choose(&listed, pause, keep, &used(uses, &listed, pause)).chosen;
    let is_meant = |part: &Listed| {
        chosen.iter().any(|&index| listed[index].id == part.id) && part.state == State::Running
    };
    let wholes: BTreeSet<&String> =
        chosen.iter().filter_map(|&index| listed[index].part_of.as_ref()).collect();
    // What cannot be reached has no containers either, and that is said already.
    let Ok(targets) = machine.targets().await else { return Vec::new() };
    let looking = wholes.into_iter().map(|id| {
        let (targets, listed) = (&targets, &listed);
        async move { wholes::find(targets, id, listed, is_meant).await.ok().map(|_| id.clone()) }
    });
    stream::iter(looking).buffered(at_once()).filter_map(future::ready).collect().await
}

/// One that vanishes between the list and this has no processes any more.
async fn looked_at(targets: &Targets, listed: Listed) -> (Listed, Option<Seen>) {
    let seen = if listed.has_processes() { targets.look(listed.handle()).await.ok() } else { None };
    (listed, seen)
}
