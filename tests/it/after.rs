//! What is done for services once they run again: those that were healthy are asked until they say
//! that they are, and what they have in swap is read back.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    api, crowd,
    disk::Disk,
    dockerd::engine,
    makeroom::Running,
    process,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

/// How often the engine itself asks.
const INTERVAL: Duration = Duration::from_secs(4);

/// Services that are healthy while there is a file `well` in the test's directory for them.
struct Patients {
    site: Site,
    services: Services,
}

impl Patients {
    fn new(count: usize) -> Self {
        Self::of(&Recipe::default(), count)
    }

    /// Each is well as well while there is a file `well-` with its host's name.
    fn of(recipe: &Recipe, count: usize) -> Self {
        let site = Site::new();
        let dir = site.path("health");
        fs::create_dir(&dir).expect("a directory");
        fs::write(dir.join("well"), "").expect("a file");
        let check = json!({
            "Test": ["CMD-SHELL", "test -e /health/well || test -e /health/well-$(hostname)"],
            "Interval": u64::try_from(INTERVAL.as_nanos()).expect("small"),
            "Timeout": 2_000_000_000,
            "Retries": 1,
        });
        let recipe = recipe
            .clone()
            .field("Healthcheck", check)
            // With a network of its own it has a name of its own.
            .host("NetworkMode", json!("none"))
            .host("Binds", json!([format!("{}:/health", dir.display())]));
        let services = site.start(&recipe, count);
        let made = Self { site, services };
        wait_until("all are healthy", || (0..count).all(|index| made.health(index) == "healthy"));
        made
    }

    /// A build that goes on, and in which all of them have fallen ill; they are waited for so long
    /// after it.
    fn sicken_in_a_build(&self, wait_healthy: &str) -> Running {
        let options = ["--wait-healthy", wait_healthy, "--pause", &self.services.all()];
        let run = self.site.makeroom(options).args(["sh", "-c", UNTIL_GO]).spawn();
        self.site.child();
        self.make(false);
        run
    }

    fn health(&self, index: usize) -> String {
        let path = format!("/containers/{}/json", self.services.name(index));
        let answer = api::must(&engine().socket(), "GET", &path, None).json();
        answer["State"]["Health"]["Status"].as_str().unwrap_or_default().to_owned()
    }

    fn make(&self, is_well: bool) {
        let file = self.site.path("health").join("well");
        if is_well { fs::write(file, "") } else { fs::remove_file(file) }.expect("done");
    }

    fn report(&self) -> Value {
        let told = self.site.makeroom(["report", "--json"]).run();
        serde_json::from_str(&told.expect_code(0).out).expect("JSON")
    }
}

#[test]
fn what_was_healthy_is_asked_at_once_and_the_report_has_each_ones_time() {
    for method in ["pause", "stop"] {
        let patients = Patients::new(2);
        let mut run = patients.site.makeroom([
            "--method",
            method,
            "--wait-healthy",
            "15s",
            "--pause",
            &patients.services.all(),
        ]);
        let begun = Instant::now();
        let done = run.args(["sh", "-c", "exit 3"]).run();
        done.expect_code(3)
            .expect_said("2 containers running again")
            .expect_said("2 healthy after");
        for target in patients.report()["targets"].as_array().expect("targets") {
            // The engine's own question comes later.
            let after_s = target["answered_after_s"].as_f64().expect("a time");
            let allowed = crowd::allowed(INTERVAL, begun).as_secs_f64();
            assert!(after_s < allowed, "{method}: {target}");
        }
    }
}

#[test]
fn one_that_is_not_healthy_in_time_is_named_and_changes_no_exit_code() {
    let patients = Patients::new(2);
    let services = &patients.services;
    let mut run =
        patients.site.makeroom(["--strict", "--wait-healthy", "1s", "--pause", &services.all()]);
    let run =
        run.args(["sh", "-c", "echo $$ >child; while ! [ -e go ]; do sleep 0.02; done"]).spawn();
    patients.site.child();
    patients.make(false);
    patients.site.go();
    let done = run.wait();
    done.expect_code(0).expect_said("not healthy in time");
    assert!(
        done.err.contains(services.name(0)) && done.err.contains(services.name(1)),
        "{}",
        done.err
    );
    assert!(services.are("running"));
    assert!(
        patients.report()["targets"]
            .as_array()
            .expect("targets")
            .iter()
            .all(|target| target["answered_after_s"].is_null())
    );
}

#[test]
fn the_end_of_a_run_waits_until_they_are_healthy() {
    let patients = Patients::new(1);
    let run = patients.sicken_in_a_build("20s");
    patients.site.go();
    wait_until("it runs again", || patients.services.are("running"));
    patients.make(true);
    run.wait().expect_code(7).expect_said("1 healthy after");
}

#[test]
fn one_that_answers_is_asked_beside_however_many_that_do_not() {
    // Each needs the one before, so the last runs again after all others.
    let names: Vec<String> = (0..18).map(|index| format!("service{index}")).collect();
    let chain =
        Recipe::default().compose("health", &names.iter().map(String::as_str).collect::<Vec<_>>());
    let patients = Patients::of(&chain, names.len());
    let well = patients.services.state(17).expect("a service").id;
    let run = patients.sicken_in_a_build("3s");
    fs::write(patients.site.path("health").join(format!("well-{}", &well[..12])), "")
        .expect("a file");
    let begun = Instant::now();
    patients.site.go();
    run.wait().expect_code(7).expect_said("running again and answering, but the engine calls");
    // Not only when the others' time is over.
    let allowed = crowd::allowed(Duration::from_secs(2), begun).as_secs_f64();
    for target in patients.report()["targets"].as_array().expect("targets") {
        let after_s = target["answered_after_s"].as_f64();
        assert_eq!(after_s.is_some(), target["name"] == patients.services.name(17), "{target}");
        assert!(after_s.is_none_or(|after_s| after_s < allowed), "{target}");
    }
}

#[test]
fn what_was_not_healthy_before_and_what_has_no_check_is_not_waited_for() {
    let patients = Patients::new(1);
    patients.make(false);
    wait_until("it is unhealthy", || patients.health(0) == "unhealthy");
    let plain = patients.site.services(1);
    let names = ["--pause", &patients.services.all(), "--pause", &plain.all()];
    let done = patients.site.makeroom(["--wait-healthy", "20s"]).args(names).args(["true"]).run();
    done.expect_code(0).expect_said("2 containers running again");
    assert!(!done.err.contains("healthy"), "{}", done.err);
}

#[test]
fn one_that_the_engine_has_not_asked_since_it_was_paused_was_healthy_all_the_same() {
    let patients = Patients::new(1);
    patients.services.tell(0, "pause");
    patients.services.tell(0, "unpause");
    assert_eq!(patients.health(0), "unhealthy", "what the engine calls it until it asks again");
    let done = patients
        .site
        .makeroom(["--wait-healthy", "15s", "--pause", &patients.services.all(), "true"])
        .run();
    done.expect_code(0).expect_said("1 healthy after");
}

#[test]
fn a_script_that_needs_its_images_shell_is_run_by_it() {
    let site = Site::new();
    let check = json!({ "Test": ["CMD-SHELL", "[ \"$OWN\" = shell ]"], "Interval": 100_000_000, "Timeout": 2_000_000_000 });
    let shell = json!(["/bin/busybox", "env", "OWN=shell", "/bin/busybox", "sh", "-c"]);
    let services =
        site.start(&Recipe::default().field("Healthcheck", check).field("Shell", shell), 1);
    let state = || {
        api::must(
            &engine().socket(),
            "GET",
            &format!("/containers/{}/json", services.name(0)),
            None,
        )
        .json()
    };
    wait_until("it is healthy", || state()["State"]["Health"]["Status"] == "healthy");
    let done = site.makeroom(["--wait-healthy", "15s", "--pause", &services.all(), "true"]).run();
    done.expect_code(0).expect_said("1 healthy after");
}

#[test]
fn a_started_lease_waits_for_them_when_it_ends() {
    let patients = Patients::new(1);
    let mut start = patients.site.makeroom([
        "start",
        "--name",
        "ci",
        "--wait-healthy",
        "15s",
        "--pause",
        &patients.services.all(),
    ]);
    start.run().expect_code(0);
    patients.site.makeroom(["stop", "ci"]).run().expect_code(0).expect_said("1 healthy after");
}

#[test]
fn a_name_whose_lease_is_being_released_is_free_for_another_one() {
    let patients = Patients::new(1);
    let site = &patients.site;
    let other = site.services(1);
    let start = |services: &Services, wait: &str| {
        let run = site
            .makeroom(["start", "--name", "ci", "--wait-healthy", wait, "--pause", &services.all()])
            .run();
        run.expect_code(0).out.clone()
    };
    let first = start(&patients.services, "10s");
    patients.make(false);
    let mut stopping = site.makeroom(["stop", "ci"]).spawn();
    wait_until("it runs again", || patients.services.are("running"));
    // It has the lock only when everything is given back.
    let status = site.makeroom(["status"]).run();
    assert!(
        status.out.contains("started as `ci`") && status.out.contains("; being given back"),
        "{}",
        status.out
    );
    assert_ne!(start(&other, "0s"), first);
    assert!(stopping.is_running() && other.are("paused"), "{}", stopping.written("err"));
    stopping.wait().expect_code(0).expect_said("not healthy in time");
    assert!(other.are("paused") && site.journals().len() == 1, "{:?}", site.journals());
    site.makeroom(["stop"]).run().expect_code(0).expect_said("1 container running again");
    assert!(other.are("running") && site.journals().is_empty());
}

/// What these services' processes have in swap.
fn swapped_kib(services: &Services) -> u64 {
    let of = |pid: i64| {
        let text =
            process::status(i32::try_from(pid).expect("a pid"), "VmSwap").unwrap_or_default();
        text.trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    services.states().into_iter().map(|state| of(state.expect("there").pid)).sum()
}

#[test]
fn what_services_have_in_swap_that_stays_is_read_back_where_that_is_asked_for() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), Site::new());
    let services = site.hogs(&Recipe::hog(40), 2);
    // Another lease needs the swap, so nothing is read back by its removal.
    let keep = ["start", "--name", "keep", "--swap", &swap::more(200), "--swap-file"];
    site.makeroom(keep).args([disk.folder("swap").join("area")]).run().expect_code(0);
    let mut left = Vec::new();
    for warm in [&[][..], &["--warm", "15s"]] {
        let mut run = site.makeroom(["--swap", "1MiB", "--pause", &services.all()]);
        let done = run.args(warm).args(["true"]).run();
        done.expect_code(0).expect_said("2 containers running again");
        assert!(!done.err.contains("not read back"), "{}", done.err);
        left.push(swapped_kib(&services));
    }
    assert!(
        left[0] > 60 << 10 && left[1] < 4 << 10,
        "in swap without and with --warm, in KiB: {left:?}"
    );
    site.makeroom(["stop", "keep"]).run().expect_code(0);
    assert!(disk.areas().is_empty());
}
