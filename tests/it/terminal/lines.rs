//! What is written there: colours, and the live line of what takes its time, only where a person
//! sees them.

use std::sync::Arc;

use crate::support::{
    proxy::{Moment, Proxy},
    services::Services,
    site::{Site, UNTIL_GO},
    wait_until,
};

use super::Terminal;

/// What makeroom writes to a terminal of its own.
#[track_caller]
fn written_on_a_terminal(
    site: &Site,
    services: &Services,
    options: &[&str],
    environment: &[(&str, &str)],
) -> String {
    let mut run = site.makeroom(["--pause", &services.all()]);
    run.args(options).args(["sh", "-c", "echo bui'lt'; exit 5"]).env("TERM", "xterm-256color");
    for (name, value) in environment {
        run.env(name, value);
    }
    let Terminal { master, screen, running } = Terminal::with(&mut run);
    running.wait().expect_code(5);
    let text = || String::from_utf8_lossy(&screen.lock().expect("unpoisoned")).into_owned();
    wait_until("the last line", || text().contains("running again"));
    drop(master);
    assert!(text().contains("built\r\n") && text().contains("paused"), "{}", text());
    text()
}

#[test]
fn colours_are_for_a_person_at_a_terminal() {
    let site = Site::new();
    let services = site.services(1);
    for (options, environment, coloured) in [
        (&[][..], &[][..], true),
        (&["--color", "always"], &[("NO_COLOR", "1"), ("CI", "true")], true),
        (&["--color", "never"], &[], false),
        (&[], &[("NO_COLOR", "1")], false),
        (&[], &[("CI", "true")], false),
        (&[], &[("TERM", "dumb")], false),
        (&[], &[("MAKEROOM_COLOR", "never")], false),
    ] {
        let text = written_on_a_terminal(&site, &services, options, environment);
        assert_eq!(text.contains("\x1b["), coloured, "{options:?} {environment:?}: {text:?}");
    }
}

#[test]
fn away_from_a_terminal_there_are_colours_only_when_asked_for() {
    let site = Site::new();
    let services = site.services(1);
    for (options, coloured) in [(&[][..], false), (&["--color", "always"], true)] {
        // stderr is a file here, and a pipe there.
        let done = site
            .makeroom(["--pause", &services.all()])
            .args(options)
            .args(["true"])
            .env("TERM", "xterm")
            .run();
        assert_eq!(done.expect_code(0).err.contains("\x1b["), coloured, "{:?}", done.err);
        let script = format!(
            "{} --pause '{}' {} true 2>&1 | cat",
            env!("CARGO_BIN_EXE_makeroom"),
            services.all(),
            options.join(" ")
        );
        let done = site.command("sh").args(["-c", &script]).env("TERM", "xterm").run();
        assert_eq!(done.expect_code(0).out.contains("\x1b["), coloured, "{:?}", done.out);
        assert!(done.out.contains("1 container paused"), "{:?}", done.out);
    }
}

#[test]
fn a_slow_pause_shows_a_live_line_that_is_gone_afterwards() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let held = proxy.hold("pause", 1, Moment::Before);
    let mut run = site.makeroom(["--pause", &services.all()]);
    let terminal = Terminal::with(run.args(["sh", "-c", "echo bui'lt'"]).env("TERM", "xterm"));
    terminal.shows("pausing targets, 1 of 2");
    assert!(!terminal.screen().contains("built"));
    held.release();
    terminal.shows("built");
    let screen = terminal.screen();
    // Whatever is written after the live line begins with taking it away (CSI K or CSI 2K,
    // ECMA-48).
    let (_, after) = screen.rsplit_once("pausing targets, ").expect("shown");
    let (cleared, _) = after.split_once("2 containers paused").expect("the summary");
    assert!(cleared.contains("\x1b[2K") || cleared.contains("\x1b[K"), "{screen:?}");
    terminal.running.wait().expect_code(0);
}

#[test]
fn a_build_that_waits_for_another_shows_for_whom_and_ctrl_c_takes_the_line_away() {
    let site = Site::new();
    let holder = site.makeroom(["--need", "900TiB", "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let mut run = site.makeroom(["--need", "1MiB", "--wait", "1h", "true"]);
    let mut terminal = Terminal::with(run.env("TERM", "xterm"));
    terminal.shows("waiting for `sh` (since ");
    terminal.keys("\x03");
    let screen = Arc::clone(&terminal.screen);
    assert_eq!(terminal.running.wait().signal(), Some(libc::SIGINT));
    // What was written last is read a moment later.
    wait_until("the line is taken away", || {
        let shown = String::from_utf8_lossy(&screen.lock().expect("unpoisoned")).into_owned();
        shown
            .rsplit_once("together need")
            .is_some_and(|(_, after)| after.contains("\x1b[2K") || after.contains("\x1b[K"))
    });
    site.go();
    holder.wait().expect_code(7);
}

#[test]
fn a_pause_that_hangs_from_the_first_service_on_shows_a_live_line_as_well() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let held = proxy.hold("pause", 1, Moment::Before);
    let mut run = site.makeroom(["--pause", &services.all()]);
    let terminal = Terminal::with(run.args(["true"]).env("TERM", "xterm"));
    held.wait();
    terminal.shows("pausing targets, 0 of 1");
    held.release();
    terminal.running.wait().expect_code(0);
}

#[test]
fn a_log_gets_one_plain_line_for_a_slow_pause_and_none_when_quiet() {
    for (options, lines) in [(&[][..], 1), (&["-q"], 0)] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let services = site.services(2);
        let held = proxy.hold("pause", 1, Moment::Before);
        let run = site.makeroom(["--pause", &services.all()]).args(options).args(["true"]).spawn();
        held.wait();
        if lines > 0 {
            wait_until("a line", || run.written("err").contains("pausing targets, 1 of 2 …\n"));
        }
        held.release();
        let done = run.wait();
        assert_eq!(
            done.expect_code(0).err.matches("pausing targets").count(),
            lines,
            "{:?}",
            done.err
        );
        assert!(!done.err.contains('\x1b'), "{:?}", done.err);
    }
}

#[test]
fn a_ci_log_on_a_terminal_gets_no_live_line() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let held = proxy.hold("pause", 1, Moment::Before);
    let mut run = site.makeroom(["--pause", &services.all()]);
    let terminal = Terminal::with(run.args(["true"]).env("TERM", "xterm").env("CI", "1"));
    terminal.shows("pausing targets, 1 of 2 …\r\n");
    held.release();
    terminal.shows("running again");
    assert!(!terminal.screen().contains('\x1b'), "{:?}", terminal.screen());
    terminal.running.wait().expect_code(0);
}
