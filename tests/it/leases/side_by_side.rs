//! Two builds with the same targets, people who change containers in mid-build, and a state
//! directory that is busy.

use std::{fs, time::Duration};

use crate::support::{
    makeroom::{Running, wait_until_gone},
    proxy::{Moment, Proxy},
    services::Services,
    site::Site,
    wait_for_line, wait_until,
};

/// One of several builds of one site, told apart by a name.
fn build(site: &Site, services: &Services, name: &str) -> Running {
    let script =
        format!("echo $$ >child-{name}; while ! [ -e go-{name} ]; do sleep 0.02; done; exit 7");
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", &script]).spawn();
    wait_for_line(&site.work().join(format!("child-{name}")));
    run
}

fn go(site: &Site, name: &str) {
    fs::write(site.work().join(format!("go-{name}")), "").expect("written");
}

#[derive(Clone, Copy, Debug)]
enum End {
    Regular,
    SupervisorKilled,
    BothKilled,
}

fn end(site: &Site, mut run: Running, name: &str, how: End) {
    let keeper = run.keeper();
    match how {
        End::Regular => {
            go(site, name);
            run.wait().expect_code(7);
        }
        End::SupervisorKilled => {
            run.kill();
            wait_until_gone(Duration::from_secs(10), "the keeper", &[keeper]);
        }
        End::BothKilled => run.kill_with_keeper(),
    }
}

#[test]
fn targets_of_two_builds_stay_paused_until_the_last_is_out_in_whatever_order_they_end() {
    let services = Site::new().services(2);
    let before = services.states();
    for first_is_a in [true, false] {
        for (first, last) in [
            (End::Regular, End::Regular),
            (End::SupervisorKilled, End::Regular),
            (End::BothKilled, End::Regular),
            (End::Regular, End::SupervisorKilled),
            (End::SupervisorKilled, End::SupervisorKilled),
        ] {
            eprintln!("{} first: {first:?}, then {last:?}", if first_is_a { "A" } else { "B" });
            let site = Site::new();
            let (a, b) = (build(&site, &services, "a"), build(&site, &services, "b"));
            let ((one, one_name), (other, other_name)) =
                if first_is_a { ((a, "a"), (b, "b")) } else { ((b, "b"), (a, "a")) };
            end(&site, one, one_name, first);
            assert!(services.are("paused"), "{:?}", services.statuses());
            end(&site, other, other_name, last);
            site.makeroom(["recover"]).run().expect_code(0);
            assert_eq!(services.states(), before);
            assert!(site.journals().is_empty(), "{:?}", site.journals());
        }
    }
}

#[test]
fn of_two_builds_whose_targets_overlap_each_restores_what_the_other_does_not_need() {
    let site = Site::new();
    let services = site.services(3);
    let select = |run: &mut crate::support::makeroom::Run, indices: [usize; 2], name: &str| {
        let script =
            format!("echo $$ >child-{name}; while ! [ -e go-{name} ]; do sleep 0.02; done; exit 7");
        let run = run
            .args(indices.iter().flat_map(|&index| ["--pause", services.name(index)]))
            .args(["sh", "-c", &script])
            .spawn();
        wait_for_line(&site.work().join(format!("child-{name}")));
        run
    };
    let a = select(&mut site.makeroom::<[&str; 0]>([]), [0, 1], "a");
    let b = select(&mut site.makeroom::<[&str; 0]>([]), [1, 2], "b");
    go(&site, "a");
    a.wait().expect_code(7);
    assert_eq!(services.statuses(), ["running", "paused", "paused"]);
    go(&site, "b");
    b.wait().expect_code(7);
    assert!(services.are("running") && site.journals().is_empty());
}

#[test]
fn many_builds_that_begin_and_end_at_once_leave_everything_as_it_was() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    for _ in 0..3 {
        let start = || site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 5"]).spawn();
        let runs: Vec<_> = std::iter::repeat_with(start).take(6).collect();
        for run in runs {
            run.wait().expect_code(5);
        }
        assert_eq!(services.states(), before);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

/// A build during which somebody does something to the first of two services, and how both are
/// afterwards.
fn meddled(act: impl Fn(&Services), then: [&str; 2]) {
    let site = Site::new();
    let services = site.services(2);
    let run = build(&site, &services, "a");
    act(&services);
    go(&site, "a");
    run.wait().expect_code(7);
    assert_eq!(services.statuses(), then);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn a_container_removed_in_mid_build_is_nothing_to_restore() {
    meddled(|services| services.remove(0), ["gone", "running"]);
}

#[test]
fn a_container_replaced_in_mid_build_is_somebody_elses() {
    meddled(|services| services.replace(0), ["running", "running"]);
    meddled(
        |services| {
            services.replace(0);
            services.tell(0, "pause");
        },
        ["paused", "running"],
    );
}

#[test]
fn a_container_restarted_in_mid_build_is_somebody_elses() {
    meddled(|services| services.tell(0, "restart"), ["running", "running"]);
    meddled(
        |services| {
            services.tell(0, "restart");
            services.tell(0, "pause");
        },
        ["paused", "running"],
    );
}

#[test]
fn a_container_unpaused_in_mid_build_goes_on_running() {
    meddled(|services| services.tell(0, "unpause"), ["running", "running"]);
}

#[test]
fn a_container_that_somebody_stopped_in_mid_build_stays_stopped() {
    meddled(|services| services.tell(0, "stop"), ["exited", "running"]);
}

#[test]
fn a_container_started_in_mid_build_is_left_alone() {
    let site = Site::new();
    let services = site.services(2);
    services.tell(0, "stop");
    let run = build(&site, &services, "a");
    services.tell(0, "start");
    assert_eq!(services.statuses(), ["running", "paused"]);
    go(&site, "a");
    run.wait().expect_code(7);
    assert!(services.are("running"));
}

#[test]
fn a_lease_is_not_started_where_the_state_directory_stays_busy() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["--pause", &services.all(), "true"]).run().expect_code(0);
    let busy = fs::File::open(site.state().join("lock")).expect("the lock's file");
    busy.lock().expect("locked");
    let done = site.makeroom(["start", "--name", "ci", "--pause", &services.all()]).run();
    done.expect_code(125).expect_said("is busy for 10 s").expect_said("room could not be made");
    assert_eq!(done.out, "");
    drop(busy);
    assert!(services.are("running"));
    wait_until("nothing is left of it", || site.journals().is_empty() && site.keepers().is_empty());
}

#[test]
fn a_lease_that_is_still_being_started_is_waited_for_by_stop() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let held = proxy.hold("pause", 1, Moment::After);
    let start = site.makeroom(["start", "--name", "ci", "--pause", &services.all()]).spawn();
    held.wait();
    // It holds when it has heard that room is made, and has no socket before that.
    start.signal(libc::SIGSTOP);
    held.release();
    let is_paused = || {
        site.journals()
            .iter()
            .any(|journal| fs::read_to_string(journal).is_ok_and(|text| text.contains("\"taken\"")))
    };
    wait_until("room is made", is_paused);
    let mut stop = site.makeroom(["stop", "ci"]).spawn();
    // By the time that others have had the lock, it has found nobody to ask.
    for _ in 0..3 {
        assert!(site.makeroom(["status"]).run().expect_code(0).out.contains("started as `ci`"));
    }
    assert!(stop.is_running(), "{}", stop.written("err"));
    start.signal(libc::SIGCONT);
    start.wait().expect_code(0);
    stop.wait().expect_code(0).expect_said("1 container running again");
    assert!(services.are("running") && site.journals().is_empty());
}
