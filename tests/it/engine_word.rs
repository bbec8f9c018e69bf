//! The engine's own word for a service's health, which `compose up` and others go by: after a pause
//! it is waited for, or said.

use std::{fs, time::Duration};

use serde_json::json;

use crate::support::{
    api,
    compose::Project,
    dockerd::engine,
    proxy::{Deed, Proxy},
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    wait_until,
};

/// A service that others depend on, which the engine asks every 4 s, and one of those.
const DATABASE: &str = "
services:
  db:
    image: busybox
    network_mode: host
    command: ['/bin/sh', '-c', 'trap \"exit 0\" TERM; while :; do sleep 3600 & wait $$!; done']
    healthcheck: { test: ['CMD', '/bin/true'], interval: 4s, retries: 1 }
  web:
    image: busybox
    network_mode: host
    command: ['/bin/sh', '-c', 'trap \"exit 0\" TERM; while :; do sleep 3600 & wait $$!; done']
    environment: { V: '${V:-1}' }
    depends_on: { db: { condition: service_healthy } }
";

fn health(name: &str) -> String {
    let path = format!("/containers/{name}/json");
    let answer = api::must(&engine().socket(), "GET", &path, None).json();
    answer["State"]["Health"]["Status"].as_str().unwrap_or_default().to_owned()
}

/// One that the engine asks every 6 s, and calls healthy.
fn patients(site: &Site, recipe: &Recipe, test: &str) -> Services {
    let check = json!({
        "Test": ["CMD-SHELL", test],
        "Interval": 6_000_000_000_u64,
        "Timeout": 2_000_000_000_u64,
        "Retries": 1,
    });
    let services = site.start(&recipe.clone().field("Healthcheck", check), 1);
    wait_until("it is healthy", || health(services.name(0)) == "healthy");
    services
}

#[test]
fn a_compose_up_of_what_depends_on_a_target_works_after_a_run_that_waited() {
    let site = Site::new();
    let project = Project::new(&site, DATABASE);
    let (is_up, said) = project.run("up -d");
    assert!(is_up, "{said}");
    let selector = format!("compose:{}", project.name());
    let makeroom = |options: &[&str]| {
        let mut run = site.makeroom(options);
        run.args(["--method", "pause", "--pause", &selector, "true"]).run()
    };
    let done = makeroom(&[]);
    done.expect_code(0).expect_said(&format!(
        "the engine calls `{}` unhealthy until its next probe, within 4 s: --wait-healthy waits for that",
        project.container("db")
    ));
    let (is_up, said) = project.run("up -d --force-recreate --no-deps web");
    assert!(is_up, "{said}");
    wait_until("it is healthy", || health(&project.container("db")) == "healthy");
    makeroom(&["--wait-healthy", "20s"]).expect_code(0).expect_said("1 healthy after");
    let (is_up, said) = project.run("up -d --force-recreate web");
    assert!(is_up, "{said}");
}

#[test]
fn a_wait_that_is_too_short_says_what_is_still_out_and_for_how_long() {
    let site = Site::new();
    let services = patients(&site, &Recipe::default(), "true");
    let mut run = site.makeroom(["--strict", "--wait-healthy", "1s", "--pause", &services.all()]);
    let done = run.args(["true"]).run();
    done.expect_code(0).expect_within(Duration::from_secs(8)).expect_said(&format!(
        "running again and answering, but the engine calls `{}` unhealthy until its next probe, within 5 s",
        services.name(0)
    ));
    assert!(!done.err.contains("healthy after"), "{}", done.err);
}

#[test]
fn nothing_is_said_of_a_service_without_a_check_or_one_that_was_ill_before() {
    let site = Site::new();
    let plain = site.services(1);
    let done = site.makeroom(["--pause", &plain.all(), "true"]).run();
    assert!(!done.expect_code(0).err.contains("probe"), "{}", done.err);
}

#[test]
fn nothing_is_said_where_the_engine_calls_it_healthy_all_the_same() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = patients(&site, &Recipe::default(), "true");
    // As an engine whose word no pause changes.
    proxy.on(
        "inspect",
        None,
        Deed::Change(|answer| answer["State"]["Health"]["Status"] = json!("healthy")),
    );
    let done = site.makeroom(["--pause", &services.all(), "true"]).run();
    assert!(!done.expect_code(0).err.contains("probe"), "{}", done.err);
}

#[test]
fn a_check_that_hangs_and_an_engine_that_goes_away_end_no_wait_late() {
    for is_gone in [false, true] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let well = site.path("well");
        fs::create_dir(&well).expect("a directory");
        let bind = json!([format!("{}:/well", well.display())]);
        let recipe = Recipe::default().host("Binds", bind);
        let services = patients(&site, &recipe, "[ -e /well ] && [ ! -e /well/not ] || sleep 3600");
        let mut run = site.makeroom(["--wait-healthy", "3s", "--pause", &services.all()]);
        let run = run.args(["sh", "-c", UNTIL_GO]).spawn();
        site.child();
        if !is_gone {
            fs::write(well.join("not"), "").expect("written");
        }
        site.go();
        services.wait_until_all("running");
        if is_gone {
            proxy.hang("/containers");
        }
        let done = run.wait();
        done.expect_code(7).expect_within(Duration::from_secs(15));
        let expected = if is_gone { "running again" } else { "not healthy in time" };
        done.expect_said(expected);
    }
}
