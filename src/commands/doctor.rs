//! `makeroom doctor`: checks what a run needs, a line each, with the fix. Changes nothing.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{
    cli::{ChildArgs, DoctorArgs},
    commands::{
        error::CommandError,
        invocation::{Ended, Invocation, block_on, enter, print, reach},
    },
    config::{Layer, Purpose, Settings},
    core::{
        machine::{
            doctor::{self, Check, HostState},
            inside::Inside,
            route::Route,
            vm,
            way::Way,
        },
        run::{
            exit::{DONE, NO},
            room_settings::RoomSettings,
        },
        target::{cgroup_of::CgroupOf, kind::counted, seen::Listed, state::State},
        text,
    },
    host::{
        container::{Place, inside, own_container, place_of},
        findings::{self, Findings},
        shell::Root,
    },
    lease::{leases::Leases, state_dir::StateDir},
    room::machine::Machine,
};

/// A run that makes or gives back room at this moment is over soon.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Checks; 1 where something is to fix.
#[must_use]
pub fn doctor(args: DoctorArgs) -> ExitCode {
    let flags = Layer::of_flags(args.room, ChildArgs::default(), args.common);
    enter(flags, Purpose::Advice, check)
}

fn check(invocation: &mut Invocation) -> Ended {
    let checks = block_on(look(&invocation.settings))
        .map_err(|error| CommandError::new(error).with_state("nothing was checked"))?;
    let line = |check: &Check| {
        let state = text::printable(&check.state);
        match &check.fix {
            None => format!("ok    {:<9} {state}\n", check.what),
            Some(fix) => format!(
                "FIX   {:<9} {state}\n      {:<9} {}\n",
                check.what,
                "",
                text::printable(fix)
            ),
        }
    };
    let is_well = checks.iter().all(|check| check.fix.is_none());
    print(&checks.iter().map(line).collect::<String>())?;
    Ok(if is_well { DONE } else { NO }.into())
}

async fn look(settings: &Settings) -> Result<Vec<Check>, String> {
    let machine = reach(settings)?;
    let (of_engine, listed) = of_engine(&machine).await;
    let mut checks = vec![of_engine];
    // What `config` leaves relative has no directory to lie in.
    let swap_file = settings.room.swap_file.as_deref();
    swap_file.map(std::path::absolute).transpose().map_err(|error| error.to_string())?;
    checks.extend(of_host(&machine, &settings.room, &settings.state_dir, &listed).await);
    checks.extend(of_state(settings));
    checks.push(of_boot());
    Ok(checks)
}

/// The check, and what the engine lists.
async fn of_engine(machine: &Machine) -> (Check, Vec<Listed>) {
    let endpoint = match machine.endpoint() {
        Ok(endpoint) => endpoint,
        Err(error) => {
            let fix = "`docker context ls` shows what there is";
            return (Check::ill("engine", error.to_string(), fix), Vec::new());
        }
    };
    let begun = Instant::now();
    let listed = async { machine.targets().await?.list(&[]).await };
    match listed.await {
        Ok(listed) => {
            if let Some(text) = listed.warning() {
                let fix = "`docker ps --all` shows what it lists";
                return (Check::ill("engine", text, fix), listed.targets);
            }
            let (url, by, all) = (
                endpoint.url(),
                &endpoint.named_by,
                counted(listed.targets.iter().map(Listed::kind)),
            );
            let state =
                format!("{url} ({by}), {all}, answers within {} ms", begun.elapsed().as_millis());
            (Check::well("engine", state), listed.targets)
        }
        Err(error) => {
            let hint = error.hint().unwrap_or_else(|| {
                "`docker version` with the same settings shows whether the engine answers"
                    .to_owned()
            });
            (Check::ill("engine", error.to_string(), hint), Vec::new())
        }
    }
}

async fn of_host(
    machine: &Machine,
    settings: &RoomSettings,
    state_dir: &Path,
    listed: &[Listed],
) -> Vec<Check> {
    let shell = &machine.shell;
    if let Route::NoWay { engine } = shell.route() {
        let state = format!("no way into {engine} is known: targets are only paused or stopped");
        let profits = vm::who_profits(engine, machine.vm_driver());
        return vec![
            Check::ill("host", state, "name the way with --vm-shell \"COMMAND\""),
            Check::well("profits", profits),
        ];
    }
    let name = shell.host_name().unwrap_or("this machine").to_owned();
    let begun = Instant::now();
    let inside = if *shell.route() == Route::Here {
        inside(|id| listed.iter().any(|listed| listed.id == id))
    } else {
        Inside::Nothing
    };
    let shown = shown(machine, listed).await;
    let Findings { measured, facts, swap_path } = match findings::look(
        shell,
        settings.swap_file.as_deref(),
        |path| is_recorded(state_dir, path, machine.host().as_ref()),
        &shown,
    )
    .await
    {
        Ok(found) => found,
        Err(error) => {
            let hint = error.hint().unwrap_or("`makeroom status` shows what is known of it");
            return vec![Check::ill("host", format!("{name}: {error}"), hint)];
        }
    };
    let memory = measured.memory.map_or_else(
        || "its memory is not known".to_owned(),
        |memory| {
            format!(
                "{} available of {}",
                text::size_in_tenths(memory.available_bytes),
                text::size_in_tenths(memory.total_bytes)
            )
        },
    );
    let mut checks = vec![Check::well(
        "host",
        format!("{name}, {memory}, answers within {} ms", begun.elapsed().as_millis()),
    )];
    if let Some(host) = shell.host_name() {
        checks.push(Check::well("profits", vm::who_profits(host, machine.vm_driver())));
    }
    let root = shell.root().await.map(|root| match root {
        Root::Already => "yes",
        Root::Sudo => "by sudo, which asks for no password",
    });
    checks.extend(doctor::of_host(&HostState {
        facts: &facts,
        free_swap: measured.free_swap(),
        root,
        swap: settings.swap,
        swap_path: &swap_path,
        no_reclaim: settings.no_reclaim,
        inside,
        unseen: measured.why_unseen(shown.len(), inside),
    }));
    checks
}

/// Whether a lease has an area at this path. What is not known is said by the check of the leases.
pub(super) fn is_recorded(state_dir: &Path, path: &str, host: Option<&Way>) -> bool {
    let Ok(Some(state)) = StateDir::open_existing(state_dir) else { return false };
    let Ok(lock) = state.lock(LOCK_PATIENCE) else { return false };
    Leases::look(&state, &lock, None).is_ok_and(|leases| leases.has_area(path, host))
}

/// The cgroup of one target that runs: what shows a run which kernel they are on.
async fn shown(machine: &Machine, listed: &[Listed]) -> Vec<CgroupOf> {
    let own = own_container();
    let mut running = listed
        .iter()
        .filter(|listed| listed.state == State::Running && own.as_ref() != Some(&listed.id));
    let Some(one) = running.next() else { return Vec::new() };
    let Ok(targets) = machine.targets().await else { return Vec::new() };
    targets.cgroups([one.handle()]).await
}

/// systemd.timer(5) and systemctl(1), "enable": a link in the directory of what wants it.
/// sd_booted(3) for systemd itself.
fn of_boot() -> Check {
    let is_there = |path: &str| Path::new(path).symlink_metadata().is_ok();
    let wanted = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"]
        .map(|dir| format!("{dir}/timers.target.wants/makeroom-recover.timer"));
    doctor::of_boot(is_there("/run/systemd/system"), wanted.iter().any(|path| is_there(path)))
}

fn of_state(settings: &Settings) -> Vec<Check> {
    let dir = &settings.state_dir;
    let shown = dir.display();
    if place_of(dir) == Place::Fleeting {
        let word = text::shell_word(&dir.to_string_lossy());
        let fix = format!("put it on a volume: docker run -v makeroom:{word} …");
        return vec![Check::ill(
            "state",
            format!("{shown} is in a container and would vanish with it"),
            fix,
        )];
    }
    let state = match StateDir::open_existing(dir) {
        Ok(Some(state)) => state,
        Ok(None) => return vec![Check::well("state", format!("{shown}, made by the first run"))],
        Err(error) => return vec![Check::ill("state", error.to_string(), error.hint())],
    };
    let leases = state.lock(LOCK_PATIENCE).map_err(|error| error.to_string());
    let leases = leases
        .and_then(|lock| Leases::look(&state, &lock, None).map_err(|error| error.to_string()));
    let of_leases = match leases {
        Ok(leases) => {
            doctor::of_leases(leases.live.len(), leases.dead.len(), leases.unreadable.len())
        }
        Err(error) => Check::ill("leases", error, "`makeroom status` shows what is held"),
    };
    vec![Check::well("state", shown.to_string()), of_leases]
}
