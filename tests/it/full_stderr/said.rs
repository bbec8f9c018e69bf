//! Commands, reports and hooks whose words nobody reads, and what is said when somebody reads again.

use std::fs;

use crate::support::{
    makeroom::Run,
    site::{Site, UNTIL_GO},
    stalled::{Kind, Stalled},
    wait_for_line, wait_until, wait_within,
};

use super::{PROMISED, Stage};

#[test]
fn a_report_that_nobody_reads_is_not_waited_for_without_end() {
    let (site, stalled) = (Site::new(), Stalled::full(Kind::Pipe));
    let services = site.services(1);
    for variable in ["MAKEROOM_REPORT", "GITHUB_STEP_SUMMARY"] {
        let mut run =
            with(1, &stalled, site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]));
        let run = run.env(variable, "/dev/stdout").spawn();
        site.go();
        run.wait().expect_code(7).expect_said(" cannot be written: nobody reads it\n");
        assert!(services.are("running"));
    }
}

/// A command that is not a run, with a stderr or a stdout that takes nothing.
fn with(descriptor: i32, stalled: &Stalled, mut run: Run) -> Run {
    stalled.give_to(&mut run, descriptor);
    run
}

#[test]
fn short_commands_do_what_they_do_whoever_reads_stderr() {
    let (site, stalled) = (Site::new(), Stalled::full(Kind::Pipe));
    let services = site.services(1);
    let silent = |args: &[&str]| with(2, &stalled, site.makeroom(args)).run();
    // A lease whose holder is dead.
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    run.kill_with_keeper();
    assert!(services.are("paused"));
    silent(&["recover"]).expect_code(0).expect_within(PROMISED);
    assert!(services.are("running"));
    let done = silent(&["start", "--pause", &services.all(), "--pause", "no-such-service"]);
    done.expect_code(0).expect_within(PROMISED);
    assert!(services.are("paused") && done.out.len() == 13, "{:?}", done.out);
    silent(&["stop", done.out.trim()]).expect_code(0).expect_within(PROMISED);
    assert!(services.are("running"));
    for (args, code) in [
        (&["plan", "--need", "900TiB"][..], 1),
        (&["status"], 0),
        (&["swap", "status"], 0),
        (&["swap", "on", "--swap-file", "relative"], 125),
        (&["stop"], 0),
        (&["--no-such-option"], 125),
        (&["--state-dir", "/proc/none", "true"], 0),
    ] {
        silent(args).expect_code(code).expect_within(PROMISED);
    }
}

#[test]
fn a_lease_whose_id_nobody_reads_ends_with_the_start_that_prints_it() {
    let (site, stalled) = (Site::new(), Stalled::full(Kind::Pipe));
    let services = site.services(1);
    let start = || with(1, &stalled, site.makeroom(["start", "--pause", &services.all()])).spawn();
    let mut run = start();
    wait_until("room is made", || run.written("err").contains("1 container paused"));
    assert!(run.is_running() && services.are("paused"));
    run.signal(libc::SIGTERM);
    wait_within(PROMISED, "the services run", || services.are("running"));
    assert_eq!(run.wait().signal(), Some(libc::SIGTERM));
    wait_until("no lease is held", || site.journals().is_empty() && site.keepers().is_empty());
    let run = start();
    wait_until("room is made", || run.written("err").contains("1 container paused"));
    let reader = stalled.read();
    run.wait().expect_code(0);
    let id = reader.shows("\n");
    assert!(services.are("paused"));
    site.makeroom(["stop", id.trim()]).run().expect_code(0);
    assert!(services.are("running"));
}

/// More warnings than are kept: each names a selector that matches nothing.
const WARNINGS: usize = 20;

const SELECTOR_BYTES: usize = 10_000;

fn selectors() -> Vec<String> {
    (0..WARNINGS)
        .flat_map(|number| ["--pause".to_owned(), format!("no-{number:0SELECTOR_BYTES$}")])
        .collect()
}

#[test]
fn what_was_left_out_is_said_when_somebody_reads_again_and_with_q_as_well() {
    for (options, news) in [(&[][..], 1), (&["-q"], 0)] {
        let stage = Stage::new(Kind::Pipe, false);
        let selectors = selectors();
        let options: Vec<&str> =
            options.iter().copied().chain(selectors.iter().map(String::as_str)).collect();
        let run = stage.running(&options, UNTIL_GO);
        let Stage { site, stalled, .. } = stage;
        let reader = stalled.read();
        let text = reader.shows("not written: nobody read stderr\n");
        let warnings = text
            .lines()
            .filter(|line| line.contains("no container matches") && line.len() > SELECTOR_BYTES)
            .count();
        let said = text.lines().find_map(|line| {
            line.strip_prefix("makeroom: warning: ")?
                .strip_suffix(" lines were not written: nobody read stderr")
        });
        let left_out: usize = said.unwrap_or_else(|| panic!("{text}")).parse().expect("a number");
        assert!(left_out > 0);
        assert_eq!(warnings + left_out, WARNINGS + news, "{text}");
        site.go();
        run.wait().expect_code(7);
        if news > 0 {
            let text = reader.shows("1 container running again");
            assert!(text.find("nobody read") < text.find("running again"), "{text}");
        }
    }
}

#[test]
fn a_line_of_which_a_pipe_takes_a_part_comes_out_whole_and_before_the_next() {
    let (site, stalled) = (Site::new(), Stalled::empty(Kind::Pipe));
    let services = site.services(1);
    let names = ["a", "b", "c"].map(|letter| letter.repeat(6000));
    let mut run = site.makeroom(["--pause", &services.all()]);
    for name in &names {
        run.args(["--pause", name]);
    }
    stalled.give_to(&mut run, 2);
    let run = run.args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let reader = stalled.read();
    site.go();
    run.wait().expect_code(7);
    let text = reader.shows("1 container running again");
    let expected = names.map(|name| format!("makeroom: warning: no container matches `{name}`"));
    assert_eq!(text.lines().take(3).collect::<Vec<_>>(), expected);
    assert!(
        text.lines().nth(3).is_some_and(|line| line.starts_with("makeroom: 1 container paused")),
        "{text}"
    );
}

#[test]
fn the_folds_of_a_log_that_nobody_reads_hold_up_nothing_and_close_what_they_open() {
    let (site, stalled) = (Site::new(), Stalled::full(Kind::Pipe));
    let services = site.services(1);
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]);
    stalled.give_to(&mut run, 2);
    let run = run.env("GITHUB_ACTIONS", "true").spawn();
    site.child();
    let reader = stalled.read();
    reader.shows("::endgroup::\n");
    site.go();
    run.wait().expect_code(7);
    let text = reader.shows("running again");
    wait_until("the last fold is closed", || reader.text().ends_with("::endgroup::\n"));
    assert_eq!(
        reader.text().matches("::group::makeroom\n").count(),
        reader.text().matches("::endgroup::\n").count(),
        "{text}"
    );
}

#[test]
fn a_hook_that_says_ten_mebibytes_ends_and_is_cut_and_that_is_said() {
    for kind in [Kind::Pipe, Kind::Terminal] {
        let stage = Stage::new(kind, false);
        for hook in [
            "yes | head -c 10485760 >&2; echo ended >hooked",
            "yes | head -c 10485760; echo ended >hooked",
        ] {
            let hook =
                hook.replace("hooked", &stage.site.work().join("hooked").display().to_string());
            let run = stage.running(&["--on-room-made", &hook], UNTIL_GO);
            wait_for_line(&stage.site.work().join("hooked"));
            fs::remove_file(stage.site.work().join("hooked")).expect("removed");
            stage.site.go();
            stage.ends(run).expect_code(7);
            stage.site.again();
        }
    }
    let site = Site::new();
    let services = site.services(1);
    let run = site
        .makeroom(["--pause", &services.all(), "--on-restored", "yes | head -c 10485760", "true"])
        .run();
    run.expect_code(0)
        .expect_said("on_restored: y\n")
        .expect_said("on_restored said more than 8.0 KiB: the rest is left out\n");
}

#[test]
fn a_stderr_that_is_gone_fails_nothing() {
    let site = Site::new();
    let services = site.services(1);
    for script in ["exec 2>&-; exec \"$@\"", "\"$@\" 2> >(exec true); exit $?"] {
        let run = ["--pause", &services.all(), "--pause", "no-such-service", "sh", "-c", "exit 7"];
        let done = site
            .command("bash")
            .args(["-c", script, "bash", env!("CARGO_BIN_EXE_makeroom")])
            .args(run)
            .run();
        done.expect_code(7).expect_within(PROMISED);
        assert!(services.are("running"));
    }
}
