//! Exit code, report, JSON, job summary and hook tell the same story of how a build ended, whatever
//! its child did when it was told to end.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::support::{
    crowd,
    figures::Figures,
    makeroom::{Done, Run},
    proxy::{Deed, Moment, Proxy},
    schema,
    services::Services,
    site::{STUBBORN, Site, UNTIL_GO},
    wait_for,
};

/// A build that ends with this code when it is told to end.
fn obedient(code: u8) -> String {
    format!("trap 'exit {code}' TERM INT; echo $$ >child; while :; do sleep 0.02; done")
}

/// makeroom that tells in all ways what it has to tell.
fn telling(site: &Site, services: &Services) -> Run {
    let facts = site.path("facts").display().to_string();
    let hook = format!("env >{facts}.new; mv {facts}.new {facts}");
    let mut run = site.makeroom(["--report", "report.json", "--method", "pause"]);
    run.args(["--on-restored", &hook, "--pause", &services.all()]);
    run.env("GITHUB_STEP_SUMMARY", site.path("summary"));
    run
}

/// What each of them told: exit code and kind of end in the JSON, whether it was interrupted, the
/// first line of the summary, the build's line of `makeroom report`, and the hook's variables.
#[track_caller]
fn told(site: &Site) -> (Value, String, String, Vec<String>) {
    let text = fs::read_to_string(site.work().join("report.json")).expect("a report");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    schema::must_fit("report", &json);
    let summary = fs::read_to_string(site.path("summary")).expect("a summary");
    let summary = summary.lines().next().unwrap_or_default().to_owned();
    let report = site.makeroom(["report"]).run().out.clone();
    let build = report.lines().find(|line| line.starts_with("build")).expect("a line").to_owned();
    let facts = wait_for("the hook", || fs::read_to_string(site.path("facts")).ok());
    let of_end =
        |line: &&str| line.starts_with("MAKEROOM_EXIT=") || line.starts_with("MAKEROOM_ENDED_BY=");
    let mut facts: Vec<String> = facts.lines().filter(of_end).map(str::to_owned).collect();
    facts.sort();
    (json, summary, build, facts)
}

#[track_caller]
fn expect_story(site: &Site, done: &Done, code: i32, kind: &str, words: &str, facts: &[&str]) {
    done.expect_code(code);
    let (json, summary, build, found) = told(site);
    assert_eq!((&json["exit"]["code"], &json["verdict"]["kind"]), (&code.into(), &kind.into()));
    assert_eq!(json["interrupted"], words.contains("interrupted"), "{json:#}");
    for line in [&summary, &build, &done.err] {
        assert!(line.contains(words), "`{words}` is not in {line}");
    }
    assert_eq!(found, facts);
}

#[test]
fn a_build_that_its_time_limit_ended_is_told_so_everywhere_though_it_then_succeeded() {
    let site = Site::new();
    let services = site.services(1);
    let limit = crowd::option(crowd::lately(Duration::from_millis(300)));
    let facts = ["MAKEROOM_ENDED_BY=timeout", "MAKEROOM_EXIT=124"];
    let scripts = [obedient(0), obedient(9), "kill -STOP $$; sleep 60".to_owned()];
    for script in scripts {
        let mut run = telling(&site, &services);
        let done = run.args(["--timeout", &limit, "sh", "-c", &script]).run();
        expect_story(&site, &done, 124, "timeout", "ended by --timeout", &facts);
        done.expect_said("makeroom: --timeout ended the build after");
        fs::remove_file(site.path("summary")).expect("removed");
        fs::remove_file(site.path("facts")).expect("removed");
    }
}

#[test]
fn the_hook_of_a_build_that_outlives_its_limit_knows_how_it_will_have_ended() {
    let site = Site::new();
    let services = site.services(1);
    let limit = crowd::option(crowd::lately(Duration::from_millis(300)));
    let mut run = telling(&site, &services);
    let options = ["--timeout", &limit, "--grace", "1h", "sh", "-c", STUBBORN];
    let run = run.args(options).spawn();
    let facts = wait_for("the hook", || fs::read_to_string(site.path("facts")).ok());
    assert!(facts.contains("MAKEROOM_EXIT=124\n"), "{facts}");
    site.go();
    let facts = ["MAKEROOM_ENDED_BY=timeout", "MAKEROOM_EXIT=124"];
    expect_story(&site, &run.wait(), 124, "timeout", "ended by --timeout", &facts);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_build_that_thrashed_is_told_so_everywhere_though_it_then_succeeded() {
    let (site, figures) = (Site::new(), Figures::new(9000));
    let services = site.services(1);
    figures.stalled(100);
    let mut run = telling(&site, &services);
    let done = figures.over(run.args(["--abort-on-thrash", "1s", "sh", "-c", &obedient(0)])).run();
    let facts = ["MAKEROOM_ENDED_BY=thrash", "MAKEROOM_EXIT=124"];
    expect_story(&site, &done, 124, "thrash", "ended by --abort-on-thrash", &facts);
}

#[test]
fn a_build_that_a_signal_ended_keeps_its_code_and_is_told_to_be_interrupted() {
    let site = Site::new();
    let services = site.services(1);
    for (signal, code, kind, words) in
        [(libc::SIGINT, 0, "ok", "(interrupted)"), (libc::SIGTERM, 3, "cancelled", "(interrupted)")]
    {
        let mut run = telling(&site, &services);
        let run = run.args(["sh", "-c", &obedient(u8::try_from(code).expect("a code"))]).spawn();
        site.child();
        run.signal(signal);
        let done = run.wait();
        let exit = format!("MAKEROOM_EXIT={code}");
        let facts = ["MAKEROOM_ENDED_BY=interrupt", &exit];
        expect_story(&site, &done, code, kind, words, &facts);
        site.again();
        fs::remove_file(site.path("summary")).expect("removed");
        fs::remove_file(site.path("facts")).expect("removed");
    }
}

#[test]
fn a_signal_after_the_build_has_failed_is_not_why_it_failed() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let held = proxy.hold("unpause", 1, Moment::Before);
    let run = telling(&site, &services).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    site.go();
    held.wait();
    run.signal(libc::SIGTERM);
    held.release();
    expect_story(&site, &run.wait(), 7, "own_error", "failed with 7", &["MAKEROOM_EXIT=7"]);
}

#[test]
fn what_is_not_back_is_125_with_strict_in_the_report_and_for_the_hook_as_well() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    proxy.on("unpause", None, Deed::Answer(500, "no"));
    let mut run = telling(&site, &services);
    let done = run.args(["--strict", "--restore-timeout", "300ms", "sh", "-c", "exit 0"]).run();
    done.expect_code(125);
    let (json, summary, build, facts) = told(&site);
    assert_eq!(
        (&json["exit"]["code"], &json["verdict"]["kind"]),
        (&125.into(), &"not_restored".into())
    );
    for line in [&summary, &build] {
        assert!(line.contains("ok, but not everything is back"), "{line}");
    }
    assert_eq!(facts, ["MAKEROOM_EXIT=125"]);
    proxy.forget();
    site.makeroom(["recover"]).run().expect_code(0);
}
