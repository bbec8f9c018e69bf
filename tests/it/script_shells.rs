//! The shell of a package manager's script dies: npm, pnpm and yarn pass a signal to that shell
//! only, and makeroom ends with it. Whatever is meant to outlive its shell does.

use std::{fs, path::PathBuf, process::Command, sync::OnceLock, time::Duration};

use crate::support::{
    makeroom::{Running, wait_until_gone},
    must_run, needed, process,
    services::Services,
    site::{Site, UNTIL_GO},
    wait_until, wait_within,
};

/// From the shell's death until the services run again.
const PROMISE: Duration = Duration::from_secs(5);

/// The managers that npm's registry has, each under a name of its own.
fn managers() -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("managers");
        if !dir.join("node_modules/yarn1").exists() {
            fs::create_dir_all(&dir).expect("a directory");
            let mut npm = Command::new(needed("npm", "npm"));
            npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
            must_run(npm.arg(&dir).args(["pnpm10@npm:pnpm@10", "yarn1@npm:yarn@1"]));
        }
        dir
    })
    .clone()
}

/// makeroom in front of this build, as a script has it.
fn line(services: &Services, build: &str) -> String {
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    format!("'{makeroom}' --pause '{}' --swap off -- sh -c '{build}'", services.all())
}

/// A project whose script `build` is makeroom with something after it, so that its shell stays.
fn project(site: &Site, services: &Services) {
    let script = format!("{} && true", line(services, UNTIL_GO));
    let package = serde_json::json!({ "name": "it", "scripts": { "build": script } });
    fs::write(site.work().join("package.json"), package.to_string()).expect("written");
}

/// The parent of the build is makeroom, and makeroom's is the shell.
fn makeroom_and_shell(site: &Site) -> (i32, i32) {
    let parent = |pid| process::stat(pid).expect("it runs").parent;
    let makeroom = parent(site.child());
    (makeroom, parent(makeroom))
}

#[track_caller]
fn expect_all_back(site: &Site, services: &Services, makeroom: i32) {
    wait_within(PROMISE, "the services run again", || services.are("running"));
    wait_until_gone(Duration::from_secs(10), "makeroom", &[makeroom]);
    wait_until("nothing is recorded", || site.journals().is_empty());
    assert!(!site.work().join("go").exists());
}

#[test]
fn a_signal_to_npm_pnpm_or_yarn_ends_the_build_and_the_services_run_again() {
    let dir = managers().join("node_modules");
    for words in [
        vec![needed("npm", "npm")],
        vec!["node".into(), dir.join("pnpm10/bin/pnpm.cjs")],
        vec!["node".into(), dir.join("yarn1/bin/yarn.js")],
    ] {
        let site = Site::new();
        let services = site.services(1);
        project(&site, &services);
        let mut manager = site.command(words[0].to_str().expect("text"));
        manager.args(&words[1..]).args(["run", "build"]);
        let run = manager.in_own_group().spawn();
        let (makeroom, _) = makeroom_and_shell(&site);
        assert!(services.are("paused"));
        run.signal(libc::SIGTERM);
        expect_all_back(&site, &services, makeroom);
        drop(run);
    }
}

/// A shell that runs makeroom in a script of this name, as a manager does.
fn script(
    site: &Site,
    services: &Services,
    name: &str,
    build: &str,
    (before, after): (&str, &str),
) -> Running {
    let script = format!("{before} {} {after}", line(services, build));
    let mut shell = site.command("sh");
    shell.args(["-c", &script]).env("npm_lifecycle_event", name);
    shell.in_own_group().spawn()
}

#[test]
fn the_death_of_a_scripts_shell_ends_the_build_whatever_it_died_of() {
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        let site = Site::new();
        let services = site.services(1);
        let run = script(&site, &services, "build", UNTIL_GO, ("", "; true"));
        let (makeroom, shell) = makeroom_and_shell(&site);
        assert_eq!(shell, run.pid());
        run.signal(signal);
        expect_all_back(&site, &services, makeroom);
        run.wait().expect_said("the shell of this script died, which ends the build");
    }
}

#[test]
fn a_signal_to_the_whole_group_is_one_signal_though_the_shell_dies_of_it_too() {
    let site = Site::new();
    let services = site.services(1);
    let build =
        "trap \"echo told >>told\" TERM; echo $$ >child; while ! [ -e go ]; do sleep 0.02; done";
    let run = script(&site, &services, "build", build, ("", "; true"));
    let (makeroom, _) = makeroom_and_shell(&site);
    process::signal_group(run.pid(), libc::SIGTERM);
    // A second one would have killed it.
    wait_within(PROMISE, "the services run again", || services.are("running"));
    assert!(process::runs(site.child()) && process::runs(makeroom));
    site.go();
    wait_until_gone(Duration::from_secs(10), "makeroom", &[makeroom]);
    let told = fs::read_to_string(site.work().join("told")).expect("it was told");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn what_is_meant_to_outlive_its_shell_does() {
    for (before, after, event) in [
        ("nohup", "; true", "build"),
        ("setsid -w", "; true", "build"),
        ("", "& wait", "build"),
        ("", "; true", ""),
    ] {
        let site = Site::new();
        let services = site.services(1);
        let mut run = script(&site, &services, event, UNTIL_GO, (before, after));
        let (makeroom, _) = makeroom_and_shell(&site);
        run.kill();
        // It has looked around since.
        process::wait_for_turns(makeroom, 3);
        assert!(services.are("paused"), "{before}{after}");
        site.go();
        wait_until_gone(Duration::from_secs(10), "makeroom", &[makeroom]);
        assert!(services.are("running"), "{before}{after}");
        let said = run.written("err");
        assert!(said.contains("build failed with 7"), "{said}");
    }
}
