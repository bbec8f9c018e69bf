//! "It was memory" in one sentence: a build that the kernel kills at its cgroup's limit, one that
//! V8 ends, one that fails by itself, each with what was seen and no more.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

use crate::support::{
    cgroup::{is_v1, mounted},
    kernel::kills_turn,
    programs,
    proxy::{Deed, Moment, Proxy},
    schema,
    site::Site,
    swap,
};

/// A memory cgroup with this limit, gone at drop.
struct Limited(PathBuf);

impl Limited {
    fn new(limit_bytes: u64) -> Self {
        let root = if is_v1() { mounted("memory") } else { mounted("cgroup2") };
        let dir = root.join(crate::support::unique("makeroom-test"));
        fs::create_dir(&dir).expect("a cgroup");
        let file = if is_v1() { "memory.limit_in_bytes" } else { "memory.max" };
        fs::write(dir.join(file), limit_bytes.to_string()).expect("a limit");
        Self(dir)
    }

    /// A script that goes into it and becomes this command.
    fn run(&self, command: &str) -> String {
        format!("echo $$ >'{}'; exec {command}", self.0.join("cgroup.procs").display())
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // Busy until the kernel has buried the last process.
        crate::support::wait_until("the cgroup is empty", || fs::remove_dir(&self.0).is_ok());
    }
}

#[track_caller]
fn reported(site: &Site, script: &str) -> (String, Value) {
    let done = site.makeroom(["--report", "report.json", "sh", "-c", script]).run();
    let told = serde_json::from_str(
        &fs::read_to_string(site.work().join("report.json")).expect("a report"),
    )
    .expect("JSON");
    schema::must_fit("report", &told);
    (done.err.clone(), told)
}

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "OOM kills of this machine are seen on Linux only")]
fn a_build_that_the_kernel_kills_at_a_cgroups_limit_is_told_so_and_no_swap_is_advised() {
    // With swap it would not die.
    let (_kills, _swap) = (kills_turn(), swap::turn());
    let (site, limited) = (site(), Limited::new(48 << 20));
    let (err, told) =
        reported(&site, &limited.run(&format!("'{}' 200 1", programs::grower().display())));
    assert_eq!(
        (&told["verdict"]["kind"], &told["exit"]["signal"]),
        (&"oom_kill".into(), &9.into()),
        "{told:#}"
    );
    assert!(err.contains("the kernel killed the build for memory at a limit of its own"), "{err}");
    assert!(err.contains("memory.max of its cgroup") && !err.contains("--swap"), "{err}");
}

#[test]
fn a_build_that_dies_of_v8s_limit_is_told_what_node_does_there_and_what_was_not_seen() {
    let node =
        Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    let site = site();
    // Without Node the shell ends as Node does.
    let script = if node {
        "exec node --max-old-space-size=20 -e 'const a = []; for (;;) a.push(new Array(1e4).fill(1))'"
    } else {
        "kill -ABRT $$"
    };
    let (err, told) = reported(&site, script);
    assert_eq!(
        (&told["verdict"]["kind"], &told["exit"]["signal"]),
        (&"abort".into(), &6.into()),
        "{told:#}"
    );
    assert!(
        err.contains("as Node does at its heap's limit") && err.contains("was not seen"),
        "{err}"
    );
}

#[test]
fn a_build_that_fails_by_itself_is_not_said_to_have_died_of_memory() {
    let _turn = kills_turn();
    let (err, told) = reported(&site(), "exit 2");
    assert_eq!(told["verdict"]["kind"], "own_error", "{told:#}");
    assert!(err.contains("the build failed by itself with 2"), "{err}");
}

#[test]
fn an_engine_that_goes_away_under_the_build_in_it_is_the_cause() {
    let _turn = kills_turn();
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let docker = site.program("docker", "#!/bin/sh\nexit 1\n").display().to_string();
    proxy.on("unpause", Some(1), Deed::Cut(Moment::Before));
    let told = |words: &[&str]| {
        let mut run = site.makeroom([
            "--report",
            "report.json",
            "--method",
            "pause",
            "--swap",
            "off",
            "--pause",
            &services.all(),
        ]);
        let done = run.args(words).run();
        done.expect_code(1).expect_said("1 container running again");
        let told = serde_json::from_str(
            &fs::read_to_string(site.work().join("report.json")).expect("a report"),
        )
        .expect("JSON");
        schema::must_fit("report", &told);
        (done.err.clone(), told["verdict"]["kind"].clone())
    };
    let (err, kind) = told(&[&docker, "build", "."]);
    assert_eq!(kind, "engine_lost", "{err}");
    assert!(
        err.contains("the engine went away while the build ran in it")
            && err.contains("journalctl"),
        "{err}"
    );
    // A build that does not run in the engine does not die of it.
    proxy.forget();
    proxy.on("unpause", Some(3), Deed::Cut(Moment::Before));
    assert_eq!(told(&["sh", "-c", "exit 1"]).1, "own_error");
}
