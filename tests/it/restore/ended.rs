//! After success, failure and signals; what is not waited for; limits.

use std::{fs, time::Duration};

use nix::sys::resource::Resource;

use crate::support::{
    process,
    services::Recipe,
    site::{STUBBORN, Site, UNTIL_GO},
    wait_for_line, wait_until, wait_within,
};

use super::build;

#[test]
fn a_build_that_fails_gives_its_code_and_every_service_is_as_before() {
    let site = Site::new();
    let services = site.services(3);
    let before = services.states();
    let done = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 7"]).run();
    done.expect_code(7)
        .expect_said("3 containers paused")
        .expect_said("3 containers running again");
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn targets_are_paused_while_the_child_runs_and_nothing_else_is() {
    let site = Site::new();
    let (targets, others) = (site.services(3), site.services(1));
    let run = site
        .makeroom(["--pause", &targets.all(), "--keep", targets.name(1), "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    assert_eq!(targets.statuses(), ["paused", "running", "paused"]);
    assert_eq!(others.statuses(), ["running"]);
    site.go();
    run.wait().expect_code(7);
    assert!(targets.are("running"));
}

#[test]
fn each_kind_of_selector_finds_its_containers() {
    let site = Site::new();
    let project = crate::support::unique("shop");
    let services =
        site.start(&Recipe::default().label("tier", &project).compose(&project, &["db", "web"]), 2);
    for (selector, expected) in [
        (services.name(1).to_owned(), ["running", "paused"]),
        (services.all(), ["paused", "paused"]),
        (format!("re:^{}-0$", services.prefix()), ["paused", "running"]),
        ("label:tier=".to_owned() + &project, ["paused", "paused"]),
        (format!("compose:{project}"), ["paused", "paused"]),
        (format!("compose:{project}/web"), ["running", "paused"]),
    ] {
        site.again();
        let run = site.makeroom(["--pause", &selector, "sh", "-c", UNTIL_GO]).spawn();
        site.child();
        assert_eq!(services.statuses(), expected, "{selector}");
        site.go();
        run.wait().expect_code(7);
        assert!(services.are("running"), "{selector}");
    }
}

#[test]
fn what_somebody_else_paused_or_stopped_stays_so() {
    let site = Site::new();
    let services = site.services(3);
    services.tell(0, "pause");
    services.tell(1, "stop");
    let before = services.states();
    let run = build(&site, &services, UNTIL_GO);
    assert_eq!(services.statuses(), ["paused", "exited", "paused"]);
    site.go();
    run.wait().expect_code(7);
    assert_eq!(services.states(), before);
}

#[test]
fn each_terminating_signal_ends_the_build_and_the_services_run_again() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        site.again();
        let run = build(&site, &services, "ulimit -c 0; echo $$ >child; exec sleep 60");
        assert!(services.are("paused"), "signal {signal}");
        run.signal(signal);
        let done = run.wait();
        assert_eq!(done.signal(), Some(signal), "{}", done.status);
        assert!(!process::runs(site.child()), "signal {signal}");
        assert_eq!(services.states(), before, "signal {signal}");
        // After a signal nobody waits for the last of the keeper's work.
        wait_until("the journal is gone", || site.journals().is_empty());
    }
}

#[test]
fn a_terminating_signal_while_room_is_made_starts_no_build_and_puts_everything_back() {
    use crate::support::proxy::{Moment, Proxy};
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let before = services.states();
    let held = proxy.hold("pause", 1, Moment::After);
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", "touch started"]).spawn();
    held.wait();
    run.signal(libc::SIGTERM);
    held.release();
    assert_eq!(run.wait().signal(), Some(libc::SIGTERM));
    assert_eq!(services.states(), before);
    assert!(!site.work().join("started").exists());
}

#[test]
fn the_targets_stay_paused_until_the_whole_group_of_the_build_is_gone() {
    let site = Site::new();
    let services = site.services(1);
    // As pnpm does: the first process dies of the signal at once, what it started takes a moment.
    let script = "(trap '' TERM; sh -c 'echo $PPID' >slow; while ! [ -e go ]; do sleep 0.02; done) & echo $$ >child; wait";
    let mut run = build(&site, &services, script);
    let slow: i32 = wait_for_line(&site.work().join("slow")).parse().expect("a pid");
    run.signal(libc::SIGTERM);
    wait_until("the first process is gone", || !process::runs(site.child()));
    assert!(process::runs(slow) && run.is_running() && services.are("paused"));
    site.go();
    assert_eq!(run.wait().signal(), Some(libc::SIGTERM));
    assert!(!process::runs(slow) && services.are("running"));
}

#[test]
fn a_child_that_ignores_the_signal_does_not_keep_the_services_down() {
    let site = Site::new();
    let services = site.services(2);
    let run = build(&site, &services, STUBBORN);
    run.signal(libc::SIGTERM);
    let took = wait_within(Duration::from_secs(6), "the targets run", || services.are("running"));
    assert!(took >= Duration::from_millis(3500), "{took:?}: the group had no time to end");
    assert!(process::runs(site.child()), "the child lives, which is what was to be shown");
    site.go();
    run.wait().expect_code(7);
}

#[test]
fn a_second_term_kills_the_build() {
    let site = Site::new();
    let services = site.services(1);
    let told = "trap 'echo told >told' TERM; echo $$ >child; while :; do sleep 0.02; done";
    let mut run = build(&site, &services, told);
    run.signal(libc::SIGTERM);
    // Sent at once, the two would be one.
    wait_for_line(&site.work().join("told"));
    assert!(run.is_running() && process::runs(site.child()), "one alone does not kill");
    run.signal(libc::SIGTERM);
    let done = run.wait();
    assert_eq!(done.signal(), Some(libc::SIGKILL), "{}", done.status);
    done.expect_within(Duration::from_secs(3));
    assert!(!process::runs(site.child()) && services.are("running"));
}

#[test]
fn a_daemon_that_the_build_leaves_behind_is_not_waited_for_and_lives() {
    let site = Site::new();
    let services = site.services(1);
    let script = "setsid sleep 60 >/dev/null 2>&1 & echo $! >daemon; exit 4";
    let done = site.makeroom(["--pause", &services.all(), "sh", "-c", script]).run();
    done.expect_code(4).expect_within(Duration::from_secs(5));
    let daemon: i32 = fs::read_to_string(site.work().join("daemon"))
        .expect("daemon")
        .trim()
        .parse()
        .expect("a pid");
    assert!(process::runs(daemon));
    assert!(services.are("running"));
    process::signal(daemon, libc::SIGKILL);
}

#[test]
fn a_daemon_in_the_builds_own_group_is_not_waited_for_either() {
    let site = Site::new();
    let done =
        site.makeroom(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $! >daemon; exit 4"]).run();
    done.expect_code(4).expect_within(Duration::from_secs(5));
    assert!(process::runs(
        fs::read_to_string(site.work().join("daemon"))
            .expect("daemon")
            .trim()
            .parse()
            .expect("a pid")
    ));
}

#[test]
fn stopped_services_start_again_in_the_order_they_depend_on_each_other() {
    let site = Site::new();
    let project = crate::support::unique("shop");
    // As most are in production; a stop by request is none that the engine undoes by itself.
    let services = site
        .start(&Recipe::default().compose(&project, &["db", "api", "web"]).restart("always"), 3);
    let run = site
        .makeroom([
            "--method",
            "stop",
            "--pause",
            &format!("compose:{project}"),
            "sh",
            "-c",
            UNTIL_GO,
        ])
        .spawn();
    site.child();
    assert!(services.are("exited"), "{:?}", services.statuses());
    site.go();
    run.wait().expect_code(7).expect_said("3 containers");
    assert!(services.are("running"), "{:?}", services.statuses());
    let started: Vec<_> =
        services.states().into_iter().flatten().map(|state| state.started_at).collect();
    assert!(started.is_sorted(), "db, api, web: {started:?}");
}

#[test]
fn a_container_that_would_not_come_back_is_paused_though_stop_is_asked_for() {
    let site = Site::new();
    let services = site.start(&Recipe::default().auto_remove(), 1);
    let before = services.states();
    let run = site
        .makeroom(["--method", "stop", "--pause", &services.all(), "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
    site.go();
    run.wait().expect_code(7);
    assert_eq!(services.states(), before);
}

#[test]
fn a_time_limit_of_nothing_is_no_reason_not_to_try() {
    let site = Site::new();
    let services = site.services(3);
    for method in ["pause", "stop"] {
        let done = site
            .makeroom([
                "--method",
                method,
                "--restore-timeout",
                "0s",
                "--pause",
                &services.all(),
                "sh",
                "-c",
                "exit 7",
            ])
            .run();
        done.expect_code(7).expect_said("3 containers running again");
        assert!(
            services.are("running") && site.journals().is_empty(),
            "{method}: {:?}",
            services.statuses()
        );
    }
}

#[test]
fn a_limit_on_the_size_of_files_costs_neither_the_exit_code_nor_a_service() {
    let site = Site::new();
    let services = site.services(3);
    for bytes in [0, 512, 1024, 2048, 4096] {
        let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 6"]);
        run.limit_resource(Resource::RLIMIT_FSIZE, bytes, bytes).run().expect_code(6);
        services.wait_until_all("running");
        assert!(site.journals().is_empty(), "{bytes}: {:?}", site.journals());
    }
    // It gets the signal all the same.
    let child = ["-c", "(ulimit -f 0; exec sh -c 'echo x >file') 2>/dev/null; echo $?"];
    assert_eq!(
        site.makeroom(["sh"]).args(child).run().out,
        site.command("sh").args(child).run().out
    );
}
