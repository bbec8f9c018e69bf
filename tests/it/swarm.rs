//! Services of a Docker Swarm: their tasks are paused like other containers, and a service is
//! stopped by its number of replicas. The swarm is a single node, on an engine of its own.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    makeroom::{Running, wait_until_gone},
    process,
    proxy::{Deed, Moment, Proxy},
    schema,
    services::Recipe,
    site::{Site, UNTIL_GO},
    swarm::{SwarmService, swarm},
    wait_for_line, wait_until,
};

fn build(site: &Site, service: &SwarmService, method: &str, script: &str) -> Running {
    site.makeroom(["--method", method, "--pause", &service.tasks_glob(), "sh", "-c", script])
        .spawn()
}

/// A build that has the service at 0, and waits.
fn stopping(site: &Site, service: &SwarmService) -> Running {
    let run = build(site, service, "stop", UNTIL_GO);
    site.child();
    assert_eq!(service.replicas(), Some(0));
    run
}

#[track_caller]
fn nothing_is_left(site: &Site) {
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn tasks_are_paused_and_swarm_does_not_replace_them() {
    let (site, service) = (Site::at(swarm()), SwarmService::replicated(2));
    let (before, spec) = (service.tasks(), service.spec());
    let run = build(&site, &service, "pause", UNTIL_GO);
    site.child();
    assert_eq!((service.count("paused"), service.tasks().len()), (2, 2));
    site.go();
    run.wait().expect_code(7).expect_said("2 containers paused");
    assert_eq!((service.tasks(), service.spec()), (before, spec));
    nothing_is_left(&site);
}

#[test]
fn a_service_is_scaled_to_0_and_back_and_nothing_else_of_its_spec_changes() {
    let (site, service) = (Site::at(swarm()), SwarmService::replicated(2));
    let before = service.spec();
    let report = site.path("report.json");
    let run = site
        .makeroom(["--method", "stop", "--pause", &service.tasks_glob(), "--report"])
        .args([report.as_os_str()])
        .args(["sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    assert_eq!((service.replicas(), service.count("running")), (Some(0), 0));
    let mut meanwhile = service.spec().expect("the service");
    meanwhile["Mode"]["Replicated"]["Replicas"] = json!(2);
    assert_eq!(Some(meanwhile), before);
    let said = format!("stopped  {}, scaled from 2 to 0", service.name());
    let status = site.makeroom(["status"]).run();
    assert!(status.out.contains(&said), "{}", status.out);
    site.go();
    run.wait()
        .expect_code(7)
        .expect_said("1 Swarm service stopped")
        .expect_said("1 Swarm service running again");
    assert_eq!(service.spec(), before);
    service.wait_until_it_runs(2);
    nothing_is_left(&site);
    let report: Value =
        serde_json::from_slice(&std::fs::read(report).expect("a report")).expect("JSON");
    let target = &report["targets"][0];
    assert_eq!((&target["name"], &target["id"]), (&json!(service.name()), &json!(service.id())));
    assert_eq!(target["kind"], json!("swarm_service"));
    assert_eq!((&target["method"], &target["restored"]), (&json!("stop"), &json!(true)));
    schema::must_fit("report", &report);
}

#[test]
fn plan_shows_the_tasks_of_a_service_as_stopped_and_those_of_a_global_one_as_paused() {
    let (site, service, global) =
        (Site::at(swarm()), SwarmService::replicated(1), SwarmService::global());
    for (service, method) in [(&service, "stop"), (&global, "pause")] {
        let plan = site
            .makeroom(["plan", "--json", "--method", "stop", "--pause", &service.tasks_glob()])
            .run();
        let plan: Value = serde_json::from_str(&plan.out).expect("JSON");
        assert_eq!(plan["targets"][0]["method"], json!(method), "{plan}");
    }
}

#[test]
fn a_started_lease_holds_it_at_0_until_it_is_stopped_its_keeper_killed_or_not() {
    let service = SwarmService::replicated(1);
    for is_killed in [false, true] {
        let site = Site::at(swarm());
        site.makeroom(["start", "--method", "stop", "--pause", &service.tasks_glob()])
            .run()
            .expect_code(0);
        assert_eq!(service.replicas(), Some(0));
        if is_killed {
            let keepers = site.keepers();
            for &keeper in &keepers {
                process::signal(keeper, libc::SIGKILL);
            }
            wait_until_gone(Duration::from_secs(10), "the keeper", &keepers);
        }
        let verb = if is_killed { "recover" } else { "stop" };
        site.makeroom([verb]).run().expect_code(0);
        assert_eq!(service.replicas(), Some(1));
        service.wait_until_it_runs(1);
        nothing_is_left(&site);
    }
}

#[test]
fn recover_scales_it_back_when_both_processes_were_killed_in_mid_build() {
    let (site, service) = (Site::at(swarm()), SwarmService::replicated(2));
    let before = service.spec();
    stopping(&site, &service).kill_with_keeper();
    assert_eq!(service.replicas(), Some(0));
    site.makeroom(["recover"]).run().expect_code(0).expect_said(service.name());
    assert_eq!(service.spec(), before);
    service.wait_until_it_runs(2);
    nothing_is_left(&site);
}

#[test]
fn it_has_its_number_in_the_end_wherever_makeroom_is_killed_around_an_update() {
    let service = SwarmService::replicated(2);
    let before = service.spec();
    for nth in [1, 2] {
        for moment in [Moment::Before, Moment::After] {
            for both in [true, false] {
                eprintln!(
                    "killed {moment:?} update {nth}, {}",
                    if both { "both" } else { "the keeper" }
                );
                let proxy = Proxy::before(swarm());
                let site = Site::behind(&proxy);
                let held = proxy.hold("update", nth, moment);
                let mut run = build(&site, &service, "stop", "true");
                held.wait();
                if both {
                    run.kill_with_keeper();
                    held.release();
                } else {
                    process::signal(run.keeper(), libc::SIGKILL);
                    held.release();
                    run.wait().expect_code(0);
                }
                site.makeroom(["recover"]).run().expect_code(0);
                assert_eq!(service.spec(), before);
                nothing_is_left(&site);
                service.wait_until_it_runs(2);
            }
        }
    }
}

#[test]
fn an_update_that_comes_after_recover_is_refused_by_the_engine() {
    let service = SwarmService::replicated(2);
    let proxy = Proxy::before(swarm());
    let site = Site::behind(&proxy);
    let late = proxy.hold("update", 1, Moment::Before);
    let mut run = build(&site, &service, "stop", "true");
    late.wait();
    run.kill_with_keeper();
    site.makeroom(["recover"]).run().expect_code(0);
    nothing_is_left(&site);
    late.release();
    assert_eq!(service.replicas(), Some(2));
}

#[test]
fn an_update_that_swarm_itself_got_ahead_of_is_tried_again() {
    let service = SwarmService::replicated(1);
    let proxy = Proxy::before(swarm());
    let refusal = r#"{"message":"rpc error: code = Unknown desc = update out of sequence"}"#;
    for nth in [1, 3] {
        proxy.on("update", Some(nth), Deed::Answer(500, refusal));
    }
    let site = Site::behind(&proxy);
    build(&site, &service, "stop", "true")
        .wait()
        .expect_code(0)
        .expect_said("1 Swarm service running again");
    assert_eq!((service.replicas(), proxy.seen("update")), (Some(1), 4));
    nothing_is_left(&site);
}

#[test]
fn what_somebody_else_makes_of_it_in_mid_build_is_theirs() {
    let (site, service) = (Site::at(swarm()), SwarmService::replicated(1));
    let run = stopping(&site, &service);
    service.scale(3);
    site.go();
    run.wait().expect_code(7).expect_said("was scaled by somebody else and stays so");
    assert_eq!(service.replicas(), Some(3));
    nothing_is_left(&site);
}

#[test]
fn a_service_that_is_removed_in_mid_build_is_missed_by_nobody() {
    let (site, service) = (Site::at(swarm()), SwarmService::replicated(1));
    let run = stopping(&site, &service);
    service.remove();
    site.go();
    run.wait().expect_code(7);
    assert_eq!(service.spec(), None);
    nothing_is_left(&site);
}

#[test]
fn of_two_builds_with_one_service_the_last_one_out_scales_it_back() {
    for first in ["a", "b"] {
        let (site, service) = (Site::at(swarm()), SwarmService::replicated(2));
        let begin = |name: &str| {
            let script = format!(
                "echo $$ >child-{name}; while ! [ -e go-{name} ]; do sleep 0.02; done; exit 7"
            );
            let run = build(&site, &service, "stop", &script);
            wait_for_line(&site.work().join(format!("child-{name}")));
            (name.to_owned(), run)
        };
        let end = |(name, run): (String, Running)| {
            std::fs::write(site.work().join(format!("go-{name}")), "").expect("written");
            run.wait().expect_code(7).expect_said("1 Swarm service stopped");
        };
        let (one, other) = (begin("a"), begin("b"));
        let (first, last) = if first == "a" { (one, other) } else { (other, one) };
        end(first);
        assert_eq!(service.replicas(), Some(0));
        end(last);
        assert_eq!(service.replicas(), Some(2));
        service.wait_until_it_runs(2);
        nothing_is_left(&site);
    }
}

#[test]
fn a_global_service_is_paused_under_stop_and_that_is_said() {
    let (site, service) = (Site::at(swarm()), SwarmService::global());
    let before = (service.tasks(), service.spec());
    let run = build(&site, &service, "stop", UNTIL_GO);
    site.child();
    assert_eq!(service.count("paused"), 1);
    site.go();
    run.wait().expect_code(7).expect_said("it has no number of replicas: it is global, or a job");
    assert_eq!((service.tasks(), service.spec()), before);
}

#[test]
fn a_service_with_a_task_that_is_kept_is_not_scaled() {
    let (site, service) = (Site::at(swarm()), SwarmService::replicated(2));
    let kept = service.tasks()[0].name.clone();
    let run = site
        .makeroom([
            "--method",
            "stop",
            "--pause",
            &service.tasks_glob(),
            "--keep",
            &kept,
            "sh",
            "-c",
            UNTIL_GO,
        ])
        .spawn();
    site.child();
    assert_eq!(
        (service.replicas(), service.count("paused"), service.count("running")),
        (Some(2), 1, 1)
    );
    site.go();
    run.wait().expect_code(7).expect_said("is one of its tasks and no target");
    wait_until("both run", || service.count("running") == 2);
}

#[test]
fn on_an_engine_that_manages_no_swarm_tasks_are_paused_and_that_is_said() {
    let site = Site::new();
    let recipe = Recipe::default()
        .label("com.docker.swarm.task.id", "t")
        .label("com.docker.swarm.service.id", "s");
    let tasks = site.start(&recipe, 1);
    let run =
        site.makeroom(["--method", "stop", "--pause", &tasks.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(tasks.are("paused"), "{:?}", tasks.statuses());
    site.go();
    run.wait().expect_code(7).expect_said("This node is not a swarm manager");
    assert!(tasks.are("running"), "{:?}", tasks.statuses());
}
