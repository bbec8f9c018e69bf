//! `makeroom status`: leases, targets, swap and memory, for people and as JSON. Changes nothing.

use std::{process::ExitCode, time::Duration};

use serde::Serialize;

use crate::{
    cli::{ChildArgs, RoomArgs, StatusArgs},
    commands::{
        error::CommandError,
        invocation::{Ended, Invocation, block_on, enter, print, reach},
        unseen::{self, StateDirSeen, Unseen},
    },
    config::{Layer, Purpose, Settings},
    core::{
        lease::{late_call::LateCall, record::Kind, state::LeaseState},
        machine::memory::{ActiveSwap, Memory},
        run::exit::DONE,
        target::method::Method,
        text,
    },
    host::{kernel::moment, reclaim},
    lease::{
        journal::Journal,
        leases::{Leases, id_of, set_aside},
    },
};

/// A run that makes or gives back room at this moment is over soon.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Status {
    /// The leases that are held.
    leases: Vec<Lease>,
    /// What could not be read, a sentence each.
    unreadable: Vec<String>,
    /// What a person calls the host; null is this machine.
    host: Option<String>,
    /// The host's memory; null where it does not answer.
    memory: Option<Memory>,
    /// The host's active swap areas.
    swap: Vec<Area>,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Lease {
    /// Its id.
    #[serde(rename = "lease")]
    id: String,
    /// What made it; null where it is just begun.
    kind: Option<Kind>,
    /// The name that `start --name` gave it.
    name: Option<String>,
    /// The build's program.
    program: Option<String>,
    /// When it was made.
    since: Option<String>,
    /// Until when it is kept after its build.
    lingers_until: Option<String>,
    /// Whether what it has is being given back.
    releasing: bool,
    /// Whether its holder lives; what a dead one holds is for `makeroom recover`.
    alive: bool,
    /// What it holds.
    targets: Vec<Target>,
    /// The paths of its swap areas.
    areas: Vec<String>,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Target {
    /// Its name.
    name: String,
    /// Its full id, in the words of its kind.
    id: String,
    /// How it makes room.
    method: Method,
    /// What it is scaled back to; null where it has no such number.
    replicas: Option<u64>,
    /// It runs, and a call that was sent may still pause or stop it.
    awaited: bool,
    /// Until when, where that is known.
    awaited_until: Option<String>,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Area {
    /// Where it is.
    path: String,
    /// Its size.
    size_bytes: u64,
    /// How much of it is in use.
    used_bytes: u64,
}

/// Shows what is held.
#[must_use]
pub fn status(args: StatusArgs) -> ExitCode {
    let room = RoomArgs { host: args.host, ..RoomArgs::default() };
    let flags = Layer::of_flags(room, ChildArgs::default(), args.common);
    enter(flags, Purpose::Upkeep, |invocation| show(invocation, args.json))
}

fn show(Invocation { settings, say, .. }: &mut Invocation, json: bool) -> Ended {
    let opened = unseen::open(settings, false, say)?;
    let unseen = unseen::look(settings);
    let found = look(settings, &opened, &unseen).map_err(CommandError::new)?;
    let shown = if json {
        serde_json::to_string_pretty(&found)
            .map_or_else(|error| error.to_string(), |json| json + "\n")
    } else {
        describe(&found)
    };
    print(&shown)?;
    let Unseen::Held(line) = unseen else { return Ok(DONE.into()) };
    Err(CommandError::new(line).with_hint("sudo makeroom status".to_owned()))
}

fn look(settings: &Settings, state: &StateDirSeen, unseen: &Unseen) -> Result<Status, String> {
    let mut found = block_on(look_at_host(settings))?;
    match unseen {
        Unseen::Held(line) | Unseen::Perhaps { line, .. } => found.unreadable.push(line.clone()),
        Unseen::Nothing => {}
    }
    let state = match state {
        StateDirSeen::State(state) => state,
        StateDirSeen::Absent => return Ok(found),
        StateDirSeen::Denied => {
            found.unreadable.push(settings.state_dir.to_string_lossy().into_owned());
            return Ok(found);
        }
    };
    let lock = state.lock(LOCK_PATIENCE).map_err(|error| error.to_string())?;
    let leases = Leases::look(state, &lock, None).map_err(|error| error.to_string())?;
    let live = leases.live.iter().map(|(lease, state)| of_state(lease, state, true));
    let dead = leases
        .dead
        .iter()
        .map(|journal: &Journal| of_state(&id_of(journal.path()), journal.state(), false));
    found.leases = live.chain(dead).collect();
    found.unreadable.extend(leases.unreadable.iter().map(ToString::to_string));
    let aside = set_aside(state.leases()).map_err(|error| error.to_string())?;
    found
        .unreadable
        .extend(aside.iter().map(|path| format!("the damaged journal {} is kept", path.display())));
    Ok(found)
}

async fn look_at_host(settings: &Settings) -> Result<Status, String> {
    let machine = reach(settings)?;
    // The leases are worth showing also where the host does not answer.
    let measured = reclaim::measure(&machine.shell).await.unwrap_or_default();
    let area =
        |ActiveSwap { path, size_bytes, used_bytes, .. }| Area { path, size_bytes, used_bytes };
    Ok(Status {
        host: machine.shell.host_name().map(str::to_owned),
        memory: measured.memory,
        swap: measured.swaps.into_iter().map(area).collect(),
        ..Status::default()
    })
}

fn of_state(lease: &str, state: &LeaseState, alive: bool) -> Lease {
    let opened = state.opened.as_ref();
    // While room is made the same calls are under way.
    let is_waiting = state.is_releasing() || !alive;
    let late: Vec<LateCall> = if is_waiting { state.late_calls(moment()) } else { Vec::new() };
    let late_call = |id: &str| late.iter().find(|call| call.id == id);
    Lease {
        id: lease.to_owned(),
        kind: opened.map(|opened| opened.kind),
        name: opened.and_then(|opened| opened.name.clone()),
        program: opened.and_then(|opened| opened.program.clone()),
        since: opened.map(|opened| opened.at.to_string()),
        lingers_until: opened
            .and_then(|opened| opened.lingers_until)
            .map(|until| until.to_string()),
        releasing: state.is_releasing(),
        alive,
        targets: state
            .targets
            .values()
            .map(|held| Target {
                name: held.target.name.clone(),
                id: held.target.id.clone(),
                method: held.method,
                replicas: held.target.undo.replicas(),
                awaited: late_call(&held.target.id).is_some(),
                awaited_until: late_call(&held.target.id)
                    .and_then(|call| Some(call.until?.to_string())),
            })
            .collect(),
        areas: state.areas.keys().cloned().collect(),
    }
}

fn describe(status: &Status) -> String {
    let mut lines = Vec::new();
    if status.leases.is_empty() && status.unreadable.is_empty() {
        lines.push("no lease is held".to_owned());
    }
    for lease in &status.leases {
        let what = match (lease.kind, &lease.name, &lease.program) {
            (_, _, Some(program)) if lease.lingers_until.is_some() => {
                format!("kept after `{}`", text::printable(program))
            }
            (_, Some(name), _) => format!("started as `{}`", text::printable(name)),
            (Some(Kind::Start), None, _) => "started".to_owned(),
            (_, _, Some(program)) => format!("run of `{}`", text::printable(program)),
            _ => "just begun".to_owned(),
        };
        let since = lease.since.as_deref().unwrap_or("now");
        let holder = match (lease.alive, lease.releasing) {
            (true, false) => "",
            (true, true) => "; being given back",
            (false, _) => "; its holder is dead: makeroom recover",
        };
        let until = lease
            .lingers_until
            .as_ref()
            .map_or_else(String::new, |until| format!(" until {until}"));
        lines.push(format!("{}  {what}{until}, since {since}{holder}", lease.id));
        for target in &lease.targets {
            let how = if target.method == Method::Pause { "paused" } else { "stopped" };
            let back = target
                .replicas
                .map_or_else(String::new, |replicas| format!(", scaled from {replicas} to 0"));
            if target.awaited {
                let until = target
                    .awaited_until
                    .as_ref()
                    .map_or_else(|| "at any time".to_owned(), |until| format!("until {until}"));
                lines.push(format!(
                    "    awaited  {}, which may still be {how} {until}",
                    text::printable(&target.name)
                ));
                continue;
            }
            lines.push(format!("    {how:<8} {}{back}", text::printable(&target.name)));
        }
        lines.extend(
            lease.areas.iter().map(|path| format!("    swap     {}", text::printable(path))),
        );
    }
    lines.extend(
        status.unreadable.iter().map(|error| format!("unreadable: {}", text::printable(error))),
    );
    if let Some(host) = &status.host {
        let answer = if status.memory.is_none() { "; it does not answer" } else { "" };
        lines.push(format!("host        {}{answer}", text::printable(host)));
    }
    if let Some(memory) = status.memory {
        lines.push(format!(
            "memory      {} available of {}",
            text::size(memory.available_bytes),
            text::size(memory.total_bytes)
        ));
        lines.push(match memory.swap_total_bytes {
            0 => "swap        none".to_owned(),
            total_bytes => format!(
                "swap        {} free of {}",
                text::size(memory.swap_free_bytes),
                text::size(total_bytes)
            ),
        });
    }
    lines.extend(status.swap.iter().map(|area| {
        format!("    {} used in {}", text::size(area.used_bytes), text::printable(&area.path))
    }));
    lines.join("\n") + "\n"
}
