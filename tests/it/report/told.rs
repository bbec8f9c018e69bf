//! What a report, a page and a summary tell, and where they cannot be written.

use std::fs;

use serde_json::Value;

use crate::support::{
    cgroup::held_bytes,
    kernel::kills_turn,
    schema,
    services::Recipe,
    site::{Site, UNTIL_GO},
    swap,
};

use super::{MIB, read, reported, site};

#[test]
fn a_whole_run_is_told_with_its_targets_its_swap_and_its_memory() {
    let _kills = kills_turn();
    let (turn, site) = (swap::turn(), Site::new());
    let services = site.hogs(&Recipe::hog(60), 2);
    let area = turn.dir().join("area");
    let held: Vec<u64> =
        services.states().iter().map(|state| held_bytes(state.as_ref().expect("there"))).collect();
    let mut run = site.makeroom([
        "--report",
        "report.json",
        "--pause",
        &services.all(),
        "--swap",
        &swap::more(200),
        "--swap-file",
    ]);
    let run = run.args([area.as_os_str()]).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    site.go();
    run.wait().expect_code(7);
    let told = read(&site, "report.json");
    assert_eq!(
        (&told["command"], &told["exit"]["code"], &told["exit"]["signal"]),
        (&"sh".into(), &7.into(), &Value::Null)
    );
    let targets = told["targets"].as_array().expect("a list");
    assert_eq!(targets.len(), 2);
    for (target, held) in targets.iter().zip(held) {
        let (said, given) = (
            target["memory_bytes"].as_u64().expect("bytes"),
            target["given_back_bytes"].as_u64().expect("bytes"),
        );
        assert!(said.abs_diff(held) * 20 <= held, "{said} said, {held} held");
        assert!(given * 10 >= said * 9, "{target}");
        assert_eq!(
            (&target["restored"], &target["method"]),
            (&true.into(), &"pause".into()),
            "{target}"
        );
    }
    let swap = &told["swap"];
    assert_eq!(
        (&swap["made"], &swap["path"], &swap["removed"]),
        (&true.into(), &area.display().to_string().into(), &true.into()),
        "{swap}"
    );
    let memory = &told["memory"];
    assert!(
        memory["available_before_bytes"].is_number()
            && memory["available_with_room_bytes"].is_number(),
        "{memory}"
    );
    // What only samples of this machine tell is null where it takes none.
    let sampled = [
        &swap["peak_used_bytes"],
        &memory["available_min_bytes"],
        &memory["some_stall_s"],
        &memory["full_stall_s"],
        &memory["oom_kills"],
    ];
    assert!(sampled.iter().all(|figure| figure.is_null() == cfg!(makeroom_portable)), "{told:#}");
    if !cfg!(makeroom_portable) {
        assert!(swap["peak_used_bytes"].as_u64().expect("bytes") >= 100 * MIB, "{swap}");
        assert!(
            memory["available_min_bytes"].as_u64() <= memory["total_bytes"].as_u64(),
            "{memory}"
        );
    }
    assert_eq!(told["verdict"]["kind"], "own_error");
}

#[test]
fn the_arguments_are_in_it_only_where_that_was_asked_for() {
    let site = site();
    let (_, told) = reported(&site, &["sh", "-c", "exit 0", "the secret"]);
    assert_eq!(told["command"], "sh");
    assert!(!told.to_string().contains("secret"), "{told}");
    let (_, told) = reported(&site, &["--record-arguments", "sh", "-c", "exit 0", "no secret"]);
    assert_eq!(told["command"], "sh -c 'exit 0' 'no secret'");
}

#[test]
fn a_report_that_cannot_be_written_is_said_before_the_build_begins() {
    let site = site();
    let path = "/nonexistent/report.json";
    let lax = site.makeroom(["--report", path, "sh", "-c", "echo built >&2; exit 3"]).run();
    lax.expect_code(3);
    let (said, built) = (
        lax.err.find("the report cannot be written to").expect("said"),
        lax.err.find("built").expect("built"),
    );
    assert!(said < built, "{}", lax.err);
    site.makeroom(["--report", path, "--strict", "touch", "ran"])
        .run()
        .expect_code(125)
        .expect_said("the command was not started");
    assert!(!site.work().join("ran").exists());
}

#[test]
fn a_report_is_there_whole_or_not_at_all() {
    let site = site();
    let found = |site: &Site| {
        let entries = fs::read_dir(site.work()).expect("there");
        entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    // A command that is not there.
    site.makeroom(["--report", "report.json", "/nonexistent/program"]).run().expect_code(127);
    assert!(found(&site).is_empty(), "{:?}", found(&site));
    // One that becomes its command, in one that tells of both.
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    let (_, told) = reported(&site, &[makeroom, "--report", "inner.json", "sh", "-c", "exit 0"]);
    assert_eq!((&told["exit"]["code"], found(&site)), (&0.into(), vec!["report.json".to_owned()]));
    // While the build runs, the report of the last one is there.
    site.makeroom(["--report", "report.json", "sh", "-c", "cp report.json last.json"])
        .run()
        .expect_code(0);
    assert_eq!(read(&site, "last.json"), told);
    assert_ne!(read(&site, "report.json"), told);
}

#[test]
fn a_variable_asks_for_the_report_of_one_run_not_of_those_inside() {
    let site = site();
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    // Inside, a time limit has a supervisor of its own.
    let script =
        format!("echo ${{MAKEROOM_REPORT-none}}; {makeroom} --timeout 1m sh -c 'exit 3'; exit 4");
    let done = site.makeroom(["sh", "-c", &script]).env("MAKEROOM_REPORT", "report.json").run();
    assert_eq!(done.expect_code(4).out, "none\n");
    assert_eq!(read(&site, "report.json")["exit"]["code"], 4);
}

#[test]
fn a_fifo_that_nobody_reads_does_not_keep_the_build_and_a_handed_file_gets_the_report() {
    let site = site();
    nix::unistd::mkfifo(&site.work().join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    site.makeroom(["--report", "fifo", "sh", "-c", "exit 3"])
        .run()
        .expect_code(3)
        .expect_said("fifo: nobody reads from it");
    let done = site.makeroom(["--report", "/dev/stdout", "echo", "of the build"]).run();
    let json =
        done.expect_code(0).out.strip_prefix("of the build\n").expect("first the build's own");
    schema::must_fit("report", &serde_json::from_str(json).expect("JSON"));
    let piped = site
        .command("sh")
        .args(["-c", "\"$0\" --report /dev/stdout sh -c : | cat", env!("CARGO_BIN_EXE_makeroom")])
        .run();
    schema::must_fit("report", &serde_json::from_str(&piped.expect_code(0).out).expect("JSON"));
}

#[test]
fn a_summary_that_nobody_reads_is_said_and_not_waited_for() {
    let site = site();
    let fifo = site.work().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let done = site.makeroom(["sh", "-c", "exit 3"]).env("GITHUB_STEP_SUMMARY", &fifo).run();
    done.expect_code(3).expect_said("the job's summary cannot be written: nobody reads from it");
}

#[test]
fn the_last_run_and_each_by_its_lease_can_be_shown() {
    let site = site();
    site.makeroom(["report"]).run().expect_code(125).expect_said("there is no run yet");
    site.makeroom(["sh", "-c", "exit 3"]).run().expect_code(3);
    let first: Value =
        serde_json::from_str(&site.makeroom(["report", "--json"]).run().expect_code(0).out)
            .expect("JSON");
    schema::must_fit("report", &first);
    site.makeroom(["true"]).run().expect_code(0);
    let last = site.makeroom(["report"]).run();
    assert!(last.expect_code(0).out.contains("build       ok after "), "{}", last.out);
    let named = site.makeroom(["report", first["lease"].as_str().expect("a lease")]).run();
    assert!(named.expect_code(0).out.contains("build       failed with 3 after "), "{}", named.out);
    site.makeroom(["report", "000000000000"])
        .run()
        .expect_code(125)
        .expect_said("there is no report of 000000000000");
}

#[test]
fn each_end_of_a_build_has_its_sentence() {
    let _turn = kills_turn();
    let site = site();
    for (script, kind, words) in [
        ("exit 0", "ok", ""),
        ("exit 9", "own_error", "the build failed by itself with 9"),
        ("kill -KILL $$", "killed", "the build was killed"),
        ("exit 134", "abort", "as Node does at its heap's limit"),
    ] {
        let (done, told) = reported(&site, &["sh", "-c", script]);
        assert_eq!(told["verdict"]["kind"], kind, "{told:#}");
        let cause = told["verdict"]["cause"].as_str().unwrap_or_default();
        assert!(
            cause.contains(words) && done.err.contains(words),
            "{cause} should say {words}\n{}",
            done.err
        );
    }
    let (done, told) = reported(&site, &["--timeout", "200ms", "sleep", "60"]);
    assert_eq!((done.code(), &told["verdict"]["kind"]), (Some(124), &"timeout".into()), "{told:#}");
}

#[test]
fn the_page_is_one_file_without_a_script_and_tells_the_run() {
    let site = site();
    site.makeroom(["sh", "-c", "sleep 0.6; exit 3"]).run().expect_code(3);
    let written = site.makeroom(["report", "--html", "page.html"]).run();
    assert_eq!(written.expect_code(0).out, "");
    let page = fs::read_to_string(site.work().join("page.html")).expect("a page");
    for words in [
        "<!DOCTYPE html>",
        "<title>makeroom: sh</title>",
        "failed with 3 after",
        "class=\"curve available\"",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(words), "{words} in {page}");
    }
    for foreign in ["<script", "http://", "https://", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign} in {page}");
    }
    let refused = site.makeroom(["report", "--html", "/nonexistent/page.html"]).run();
    refused.expect_code(125).expect_said("the page cannot be written to /nonexistent/page.html: ");
    assert!(!refused.err.contains("hint"), "there is a report: {}", refused.err);
}

#[test]
fn github_actions_gets_a_summary_and_folds_around_our_own_lines() {
    let site = site();
    let summary = site.work().join("summary.md");
    fs::write(&summary, "# before\n").expect("written");
    let mut run = site.makeroom(["sh", "-c", "echo built >&2; exit 3"]);
    let done = run.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary).run();
    let err = &done.expect_code(3).err;
    let folds: Vec<_> =
        err.lines().filter(|line| line.starts_with("::") || *line == "built").collect();
    assert_eq!(
        folds,
        ["::group::makeroom", "::endgroup::", "built", "::group::makeroom", "::endgroup::"],
        "{err}"
    );
    let text = fs::read_to_string(&summary).expect("a summary");
    assert!(text.starts_with("# before\n### makeroom: sh failed with 3 after "), "{text}");
    assert!(text.contains("| peak of the build | "), "{text}");
}
