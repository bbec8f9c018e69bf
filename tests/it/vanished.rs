//! A target that is removed while it is held is a warning in every output and 125 with `--strict`,
//! whatever removed it and however it was taken; one that runs again under its name is not.

use std::fs;

use serde_json::Value;

use crate::support::{
    needed, process, schema,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    wait_until,
};

/// What the prune is for: what else is stopped belongs to other tests.
const LABEL: &str = "vanished.test";

/// A build that removes what is stopped, as many do.
fn prune(site: &Site) -> Vec<String> {
    let docker = needed("docker", "docker.io").display().to_string();
    let address = format!("unix://{}", site.engine().display());
    let filter = format!("label={LABEL}");
    [&docker, "-H", &address, "container", "prune", "--force", "--filter", &filter]
        .map(str::to_owned)
        .to_vec()
}

fn words(services: &Services, how: &str) -> String {
    format!("warning: `{}` was removed while it was {how}: it is gone", services.name(0))
}

#[test]
fn what_a_prune_in_the_build_removes_is_a_warning_in_every_output_and_125_with_strict() {
    for (options, code) in [(&[][..], 0), (&["-q"], 0), (&["--strict"], 125)] {
        let site = Site::new();
        let services = site.start(&Recipe::default().label(LABEL, "yes"), 1);
        let summary = site.work().join("summary.md");
        fs::write(&summary, "").expect("written");
        let told = site.path("told");
        let hook = format!("echo lost $MAKEROOM_NOT_RESTORED >'{}'", told.display());
        let mut run = site.makeroom(["--method", "stop", "--pause", &services.all()]);
        run.args(["--report", "report.json", "--on-restored", &hook]);
        run.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
        let done = run.args(options).args(prune(&site)).run();
        done.expect_code(code).expect_said(&words(&services, "stopped")).expect_said("hint:");
        assert_eq!(services.statuses(), ["gone"]);
        let told = fs::read_to_string(told).expect("the hook ran");
        assert_eq!(told.trim(), format!("lost {}", services.name(0)));
        let text = fs::read_to_string(site.work().join("report.json")).expect("a report");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        schema::must_fit("report", &report);
        assert_eq!(report["targets"][0]["theirs"], "removed");
        let summary = fs::read_to_string(&summary).expect("a summary");
        assert!(summary.contains("**no: removed by somebody else**"), "{summary}");
        let past = site.makeroom(["report"]).run();
        assert!(past.out.contains("gone        `"), "{}", past.out);
        let page = site.path("page.html");
        site.makeroom(["report", "--html"]).args([&page]).run().expect_code(0);
        let page = fs::read_to_string(page).expect("a page");
        assert!(page.contains("no: removed by somebody else"), "{page}");
    }
}

#[test]
fn one_that_is_paused_and_removed_is_gone_as_well_also_where_it_is_seen_only_at_the_end() {
    let site = Site::new();
    let services = site.services(2);
    let run = site
        .makeroom(["-q", "--strict", "--method", "pause", "--pause", &services.all()])
        .args(["sh", "-c", &UNTIL_GO.replace("exit 7", "exit 0")])
        .spawn();
    site.child();
    services.remove(0);
    site.go();
    run.wait().expect_code(125).expect_said(&words(&services, "paused"));
    assert_eq!(services.statuses(), ["gone", "running"]);
    assert!(site.journals().is_empty());
}

#[test]
fn one_that_somebody_recreated_in_the_meantime_runs_again_and_is_no_loss() {
    let site = Site::new();
    let services = site.services(1);
    let run = site
        .makeroom(["--strict", "--method", "stop", "--pause", &services.all()])
        .args(["sh", "-c", &UNTIL_GO.replace("exit 7", "exit 0")])
        .spawn();
    site.child();
    services.replace(0);
    site.go();
    let done = run.wait();
    done.expect_code(0).expect_said("recreated by somebody else");
    assert!(!done.err.contains("is gone"), "{}", done.err);
    assert_eq!(done.err.matches("recreated").count(), 1, "said once: {}", done.err);
    assert_eq!(services.statuses(), ["running"]);
}

#[test]
fn stop_and_recover_say_it_too() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["start", "--name", "ci", "--method", "stop", "--pause", &services.all()])
        .run()
        .expect_code(0);
    services.remove(0);
    site.makeroom(["stop", "ci"]).run().expect_code(0).expect_said(&words(&services, "stopped"));
    let services = site.services(1);
    let mut run = site
        .makeroom(["--method", "stop", "--pause", &services.all()])
        .args(["sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    run.kill_with_keeper();
    services.remove(0);
    let done = site.makeroom(["recover"]).run();
    done.expect_code(0).expect_said("warning: a lease of `sh` begun");
    done.expect_said(&format!("; removed meanwhile, and gone: `{}`", services.name(0)));
    site.go();
    wait_until("the lease is gone", || site.journals().is_empty());
}

#[test]
fn what_a_keeper_saw_removed_is_said_by_the_one_that_takes_over() {
    let site = Site::new();
    let services = site.services(2);
    let run = site
        .makeroom(["--method", "pause", "--pause", &services.all()])
        .args(["sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    services.remove(0);
    wait_until("it is seen", || run.written("err").contains("was removed by somebody else"));
    let keeper = run.keeper();
    process::signal(keeper, libc::SIGKILL);
    run.keeper_other_than(keeper);
    site.go();
    run.wait().expect_code(7).expect_said(&words(&services, "paused"));
    assert_eq!(services.statuses(), ["gone", "running"]);
}
