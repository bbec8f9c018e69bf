//! Owns the builds of a round: their scripts, and what becomes of the processes that they leave.

use std::{
    ffi::OsString,
    fs,
    time::{Duration, Instant},
};

use crate::{
    plan::{Build, Habit},
    support::{PATIENCE, makeroom::Done, process},
    world::World,
};

/// What only a process that left its build has in its environment.
const STRAY: &str = "CHAOS_STRAY=1";

/// A build for `sh -c`. It ends with 7.
#[must_use]
pub fn script(world: &World, index: usize, build: &Build) -> String {
    let begun = world.begun(index);
    let begun = begun.display();
    let trap = if build.ignores_signals { "trap '' TERM INT HUP; " } else { "" };
    let sleep = format!("sleep {}.{:03}", build.takes_ms / 1000, build.takes_ms % 1000);
    let stray =
        |trap: &str| format!("{STRAY} setsid sh -c '{trap}echo $$ >stray-{index}; exec sleep 300'");
    let left = format!("while ! [ -s stray-{index} ]; do sleep 0.01; done");
    match build.habit {
        Habit::Plain => format!("{trap}: >{begun}; {sleep}; exit 7"),
        Habit::LeavesOne => format!("{trap}{} & {left}; : >{begun}; {sleep}; exit 7", stray("")),
        Habit::LeavesAnOrphan => {
            format!("{trap}({} &); {left}; : >{begun}; {sleep}; exit 7", stray("trap \"\" TERM; "))
        }
        Habit::IsStopped => {
            format!("{trap}({sleep}; kill -CONT $$) & : >{begun}; kill -STOP $$; exit 7")
        }
    }
}

/// What is wrong with the process that this command's build left, where it is known what has to
/// become of it: it is ended with a build that makeroom ends, and lives after one that ended by
/// itself.
#[must_use]
pub fn judge(world: &World, index: usize, expected: i32, done: &Done) -> Option<String> {
    let stray = fs::read_to_string(world.site.work().join(format!("stray-{index}"))).ok()?;
    let stray: i32 = stray.trim().parse().ok()?;
    match (expected, done.code()) {
        (124, Some(124)) => {
            let begun = Instant::now();
            while process::runs(stray) && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(20));
            }
            process::runs(stray)
                .then(|| format!("what build {index} left in another session outlives its timeout"))
        }
        (7, Some(7)) => (!process::runs(stray)).then(|| {
            format!(
                "what build {index} left on purpose was ended, and the build had ended by itself"
            )
        }),
        _ => None,
    }
}

/// The processes of a round, without what builds left.
#[must_use]
pub fn processes(world: &World) -> Vec<i32> {
    let (_, others) = all(world);
    others
}

/// Ends what builds left.
pub fn end_strays(world: &World) {
    let (strays, _) = all(world);
    for stray in strays {
        process::signal(stray, libc::SIGKILL);
    }
}

fn all(world: &World) -> (Vec<i32>, Vec<i32>) {
    let mark = world.site.mark();
    // Each is read once: one that has ended in between has nothing in it any more.
    let found = process::all().into_iter().map(|pid| (pid, process::environment(pid)));
    let has = |environment: &[OsString], entry: &str| {
        environment.iter().any(|found| found.as_encoded_bytes() == entry.as_bytes())
    };
    let ours = found.filter(|(pid, environment)| {
        has(environment, &mark) && pid.unsigned_abs() != std::process::id()
    });
    let (strays, others): (Vec<_>, Vec<_>) =
        ours.partition(|(_, environment)| has(environment, STRAY));
    let pids = |found: Vec<(i32, _)>| found.into_iter().map(|(pid, _)| pid).collect();
    (pids(strays), pids(others))
}
