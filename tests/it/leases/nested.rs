//! A makeroom inside a makeroom.

use std::{fs, path::PathBuf};

use crate::support::{
    makeroom::Run,
    process,
    services::Services,
    site::{Site, UNTIL_GO},
    wait_for_line,
};

#[test]
fn a_makeroom_inside_a_lease_that_covers_its_targets_becomes_its_command() {
    let site = Site::new();
    let services = site.services(2);
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    let script = "echo $$ $PPID >child; while ! [ -e go ]; do sleep 0.02; done; exit 7";
    let run = site
        .makeroom([
            "--pause",
            &services.all(),
            makeroom,
            "--pause",
            services.name(0),
            "sh",
            "-c",
            script,
        ])
        .spawn();
    let line = wait_for_line(&site.work().join("child"));
    let pids: Vec<i32> = line.split(' ').map(|pid| pid.parse().expect("a pid")).collect();
    assert_eq!(pids[1], run.pid(), "nothing is left between the outer supervisor and the command");
    assert!(services.are("paused"));
    assert_eq!((site.journals().len(), site.keepers().len()), (1, 1));
    site.go();
    run.wait().expect_code(7);
    assert!(services.are("running") && site.journals().is_empty());
}

#[test]
fn a_makeroom_inside_that_inherits_its_limits_becomes_its_command_and_one_with_a_shorter_limit_does_not()
 {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    // The command's parent: the outer supervisor, where nothing is left between the two.
    let parent = |run: &mut Run| -> bool {
        site.again();
        let run = run
            .args(["sh", "-c", "echo $PPID >child; while ! [ -e go ]; do sleep 0.02; done; exit 7"])
            .spawn();
        let is_outer = site.child() == run.pid();
        site.go();
        run.wait().expect_code(7);
        is_outer
    };
    let limits =
        [("MAKEROOM_TIMEOUT", "30m"), ("MAKEROOM_THEN", "a b"), ("MAKEROOM_ABORT_ON_THRASH", "5m")];
    for (name, value) in limits {
        assert!(parent(site.makeroom([makeroom]).env(name, value)), "{name}");
    }
    let file = site.work().join("makeroom.toml");
    fs::write(&file, "timeout = '30m'\nthen = ['a']\n").expect("written");
    assert!(parent(&mut site.makeroom([makeroom])), "by a file");
    assert!(
        parent(&mut site.makeroom(["--timeout", "20m", makeroom, "--timeout", "20m"])),
        "by flags"
    );
    assert!(!parent(&mut site.makeroom([makeroom, "--timeout", "20m"])), "a shorter one");
    assert!(!parent(&mut site.makeroom([makeroom, "--then", "b"])), "other steps");
    fs::remove_file(&file).expect("removed");
    assert!(!parent(&mut site.makeroom([makeroom, "--timeout", "20m"])), "the only one");
}

#[test]
fn a_makeroom_inside_a_lease_that_lacks_its_targets_takes_them_for_itself() {
    let site = Site::new();
    let (outer, inner) = (site.services(1), site.services(1));
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    let script = format!(
        "{makeroom} --pause '{}' sh -c 'echo $$ >inside; while ! [ -e out ]; do sleep 0.02; done; exit 3'; echo $? >inner; {UNTIL_GO}",
        inner.all()
    );
    let run = site.makeroom(["--pause", &outer.all(), "sh", "-c", &script]).spawn();
    wait_for_line(&site.work().join("inside"));
    assert!(outer.are("paused") && inner.are("paused"));
    fs::write(site.work().join("out"), "").expect("written");
    site.child();
    assert_eq!(wait_for_line(&site.work().join("inner")), "3");
    assert!(outer.are("paused") && inner.are("running"));
    site.go();
    run.wait().expect_code(7);
    assert!(outer.are("running") && site.journals().is_empty());
}

#[test]
fn a_makeroom_that_became_its_command_leaves_no_signals_of_its_own_to_it() {
    let site = Site::new();
    let services = site.services(1);
    // Not asked of a shell from outside: it blocks everything while it forks.
    let done =
        inside_makeroom(&site, &services, &["grep", "-E", "^Sig(Ign|Blk):", "/proc/self/status"])
            .run();
    let masks =
        done.expect_code(0).out.lines().map(|line| line.rsplit('\t').next()).collect::<Vec<_>>();
    assert_eq!(masks, [Some("0000000000000000"); 2], "{}", done.out);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "a subreaper is Linux's own")]
fn a_makeroom_that_became_its_command_is_no_subreaper_any_more() {
    let site = Site::new();
    let services = site.services(1);
    // A subreaper would be given the orphan. Without one it goes to the outer supervisor, which is
    // one.
    let wait = "while ! [ -e go ]; do sleep 0.02; done";
    let script = format!("sh -c '({wait}) & echo $! >orphan'; echo $$ >child; {wait}; exit 7");
    let run = inside_makeroom(&site, &services, &["sh", "-c", &script]).spawn();
    let child = site.child();
    let orphan = wait_for_line(&site.work().join("orphan")).parse().expect("a pid");
    assert_eq!(
        process::stat(orphan).expect("an orphan").parent,
        run.pid(),
        "the command is {child}"
    );
    site.go();
    run.wait().expect_code(7);
}

/// A makeroom that has all it asks for from the one around it.
fn inside_makeroom(site: &Site, services: &Services, command: &[&str]) -> Run {
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    let mut run =
        site.makeroom(["--pause", &services.all(), makeroom, "--pause", services.name(0)]);
    run.args(command);
    run
}
