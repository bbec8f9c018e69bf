//! `makeroom plan`: the audit of the host's memory and what a run would do. Changes nothing.

use std::{collections::BTreeSet, ffi::OsString, process::ExitCode};

use futures_util::{StreamExt as _, future, stream};

use crate::{
    cli::{ChildArgs, PlanArgs},
    commands::{
        context::{Context, Ended, block_on, enter, print, reach},
        error::CommandError,
        need,
    },
    config::{Layer, Purpose, Settings},
    core::{
        machine::route::Route,
        plan::audit::{Audit, Facts, audit},
        run::exit::{DONE, NO},
        target::{
            choice::{self, Activity, Inspected, Listed},
            swarm,
        },
        text,
    },
    engine::client::{Engine, EngineError},
    host::{container::own_container, reclaim},
    report::{console::Say, plan_table},
    room::{machine::Machine, restore::at_once, services},
};

/// Shows it; 1 where the build does not fit.
#[must_use]
pub fn plan(args: PlanArgs) -> ExitCode {
    let flags = Layer::of_flags(args.room, ChildArgs::default(), args.common);
    enter(flags, Purpose::Build, |context| show(context, &args.command, args.json))
}

fn show(Context { settings, say, .. }: &mut Context, command: &[OsString], json: bool) -> Ended {
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
                format!("no container is seen: {}", text::printable(&error)),
                hint.as_deref(),
            );
            vec![]
        }
    };
    let pids: Vec<_> = containers
        .iter()
        .filter_map(|(listed, now)| Some((now.as_ref()?.pid, listed.id.clone())))
        .filter(|(pid, _)| *pid > 0)
        .collect();
    if let Route::NoWay { engine } = machine.shell.route() {
        return Err(format!("no way into {engine} is known; name one with --vm-shell \"COMMAND\""));
    }
    let measured = reclaim::look(&machine.shell, &pids).await.map_err(|error| error.to_string())?;
    if let Some((why, hint)) = measured.why_unseen(pids.len()) {
        say.warning(format!("{why}: these figures are this machine's"), Some(hint));
    }
    let own = own_container();
    let scalable = scalable(&machine, settings, &containers).await;
    let facts = Facts {
        host: machine.shell.host_name(),
        measured: &measured,
        containers: &containers,
        pause: &settings.room.pause,
        keep: &settings.room.keep,
        own_container: own.as_deref(),
        scalable: &scalable,
        method: settings.room.method,
        no_reclaim: settings.room.no_reclaim,
        swap: settings.room.swap,
        has_root: machine.shell.root().await.is_some(),
        need: need::of_plan(settings, command, say),
    };
    audit(&facts).ok_or_else(|| format!("the memory{} cannot be read", machine.shell.place()))
}

/// All containers, with the inspection of those that have processes.
async fn containers(
    machine: &Machine,
    say: &mut Say,
) -> Result<Vec<(Listed, Option<Inspected>)>, (String, Option<String>)> {
    if let Err(error) = machine.endpoint() {
        return Err((
            error.to_string(),
            Some("`docker context ls` shows what there is".to_owned()),
        ));
    }
    let said = |error: EngineError| (error.to_string(), error.hint());
    let engine = machine.engine().await.map_err(said)?;
    let listing = engine.list().await.map_err(said)?;
    if let Some(text) = listing.warning() {
        say.warning(text, None);
    }
    let inspecting = listing.containers.into_iter().map(|listed| inspected(&engine, listed));
    Ok(stream::iter(inspecting).buffered(at_once()).collect().await)
}

/// The Swarm services that a run would scale to 0, were it to stop them.
async fn scalable(
    machine: &Machine,
    settings: &Settings,
    containers: &[(Listed, Option<Inspected>)],
) -> Vec<String> {
    let listed: Vec<Listed> = containers.iter().map(|(listed, _)| listed.clone()).collect();
    let chosen = choice::choose(&listed, &settings.room.pause, &settings.room.keep).chosen;
    let is_meant = |task: &Listed| {
        chosen.iter().any(|&index| listed[index].id == task.id)
            && task.activity == Activity::Running
    };
    let services: BTreeSet<&str> =
        chosen.iter().filter_map(|&index| swarm::service_of(&listed[index])).collect();
    // What cannot be reached has no containers either, and that is said already.
    let Ok(engine) = machine.engine().await else { return Vec::new() };
    let looking =
        services.into_iter().map(|id| {
            let (engine, listed) = (&engine, &listed);
            async move {
                services::scalable(engine, id, listed, is_meant).await.ok().map(|_| id.to_owned())
            }
        });
    stream::iter(looking).buffered(at_once()).filter_map(future::ready).collect().await
}

/// One that vanishes between the list and this has no processes any more.
async fn inspected(engine: &Engine, listed: Listed) -> (Listed, Option<Inspected>) {
    let now = if listed.has_processes() { engine.inspect(&listed.id).await.ok() } else { None };
    (listed, now)
}
