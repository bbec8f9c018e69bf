//! At a real terminal: a pty with an interactive bash, or makeroom alone, in its foreground. Keys
//! do what they do with any command; the child has the terminal when it asks; and makeroom's own
//! lines are coloured and alive only where a person sees them.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Arc, Mutex},
    thread,
};

use nix::pty::openpty;

use crate::support::{
    figures::Figures,
    makeroom::{Run, Running},
    process,
    proxy::{Moment, Proxy},
    services::Services,
    site::{Site, UNTIL_GO},
    wait_until,
};

/// A build that tells its pid and its parent's, and lives until it is ended.
const BEATING: &str =
    "echo $PPID >parent; echo $$ >child; while :; do echo >>beat; sleep 0.02; done";

/// A terminal with something in its foreground.
struct Terminal {
    master: File,
    screen: Arc<Mutex<Vec<u8>>>,
    running: Running,
}

impl Terminal {
    /// Starts this as the leader of a new session on a new terminal.
    #[track_caller]
    fn with(run: &mut Run) -> Self {
        let pty = openpty(None, None).expect("a pty");
        let (slave, error) = (pty.slave, |_| io::Error::last_os_error());
        let all_streams = [0, 1, 2];
        run.before_exec(move || {
            nix::unistd::setsid().map_err(error)?;
            // SAFETY: an ioctl without memory, and dup2: both async-signal-safe.
            unsafe {
                if libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) != 0
                    || all_streams.iter().any(|&to| libc::dup2(slave.as_raw_fd(), to) < 0)
                {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
        Self::around(run.spawn(), pty.master)
    }

    fn around(running: Running, master: OwnedFd) -> Self {
        let (master, screen) = (File::from(master), Arc::new(Mutex::new(Vec::new())));
        let (mut from, to) = (master.try_clone().expect("a descriptor"), Arc::clone(&screen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It ends with an error once nobody has the terminal any more, or this value is gone.
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                to.lock().expect("unpoisoned").extend_from_slice(&buffer[..length]);
            }
        });
        Self { master, screen, running }
    }

    /// An interactive shell with job control, which knows makeroom as `$mr`.
    #[track_caller]
    fn shell(site: &Site) -> Self {
        Self::shell_of(&mut site.command("bash"))
    }

    #[track_caller]
    fn shell_of(run: &mut Run) -> Self {
        run.args(["--norc", "--noprofile", "--noediting", "-i"])
            .env("mr", env!("CARGO_BIN_EXE_makeroom"))
            .env("PS1", "")
            .env("TERM", "xterm");
        let mut terminal = Self::with(run);
        terminal.answers("ready");
        terminal
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().expect("unpoisoned")).into_owned()
    }

    fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("typed");
    }

    #[track_caller]
    fn shows(&self, words: &str) {
        let is_shown = || self.screen().contains(words);
        let begun = std::time::Instant::now();
        while !is_shown() {
            assert!(
                begun.elapsed() < crate::support::PATIENCE,
                "`{words}` is not on the screen:\n{}",
                self.screen()
            );
            thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// The shell reads and answers again. What is typed is not what is answered, so that the
    /// terminal's echo does not count.
    #[track_caller]
    fn answers(&mut self, word: &str) {
        self.expect_shell_in_the_foreground();
        self.keys(&format!("echo an'swers-{word}-'\n"));
        self.shows(&format!("answers-{word}-\r\n"));
    }

    /// The exit code of what ended last.
    #[track_caller]
    fn expect_code(&mut self, code: &str) {
        self.expect_shell_in_the_foreground();
        self.keys("echo an'swers-'$?-\n");
        self.shows(&format!("answers-{code}-\r\n"));
    }

    /// The group that has the terminal.
    fn foreground(&self) -> i32 {
        nix::unistd::tcgetpgrp(&self.master).expect("a terminal").as_raw()
    }

    /// What is typed before that, a build that is about to stop may read.
    #[track_caller]
    fn expect_shell_in_the_foreground(&self) {
        wait_until("the shell has the terminal", || self.foreground() == self.running.pid());
    }

    #[track_caller]
    fn expect_foreground_other_than_the_shell(&self) {
        wait_until("a job has the terminal", || self.foreground() != self.running.pid());
    }
}

fn state(pid: i32) -> Option<char> {
    process::stat(pid).map(|stat| stat.state)
}

fn number_in(site: &Site, name: &str) -> i32 {
    crate::support::wait_for_line(&site.work().join(name)).parse().expect("a pid")
}

/// Whether it does nothing: stopped, or waiting in vfork(2) for a child that was stopped before its
/// exec.
fn stands_still(pid: i32) -> bool {
    let children =
        || fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let is_stopped = |pid: &str| pid.parse().is_ok_and(|pid| state(pid) == Some('T'));
    state(pid) == Some('T')
        || (state(pid) == Some('D') && children().split_whitespace().any(is_stopped))
}

/// How often the build has shown a sign of life.
fn beats(site: &Site) -> u64 {
    fs::metadata(site.work().join("beat")).map_or(0, |file| file.len())
}

#[track_caller]
fn wait_until_it_beats(site: &Site) {
    let before = beats(site);
    wait_until("the build goes on", || beats(site) > before + 2);
}

/// Types the build in, in front of or behind something else.
#[track_caller]
fn begin(terminal: &mut Terminal, site: &Site, services: &Services, line: &str) {
    let command = format!("$mr --pause '{}' sh -c '{BEATING}'", services.all());
    terminal.keys(&(line.replace("BUILD", &command) + "\n"));
    site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
}

#[test]
fn ctrl_c_ends_the_build_with_130_and_the_services_run() {
    let site = Site::new();
    let services = site.services(2);
    let mut terminal = Terminal::shell(&site);
    begin(&mut terminal, &site, &services, "BUILD");
    terminal.keys("\x03");
    terminal.expect_code("130");
    assert!(services.are("running") && !process::runs(site.child()));
    terminal.answers("after");
}

#[test]
fn ctrl_z_lets_the_services_run_and_fg_pauses_them_again() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    let mut terminal = Terminal::shell(&site);
    begin(&mut terminal, &site, &services, "BUILD");
    // Twice: what was resumed can be suspended again.
    for round in ["one", "two"] {
        wait_until_it_beats(&site);
        terminal.keys("\x1a");
        terminal.answers(round);
        assert!(services.are("running"), "{:?}", services.statuses());
        assert!(stands_still(site.child()) && state(number_in(&site, "parent")) == Some('T'));
        terminal.keys("fg\n");
        services.wait_until_all("paused");
        wait_until_it_beats(&site);
    }
    assert_eq!(terminal.screen().matches("Stopped").count(), 2, "{}", terminal.screen());
    terminal.keys("\x03");
    terminal.expect_code("130");
    assert_eq!(services.states(), before);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn ctrl_z_lets_the_services_of_a_step_run_as_well_and_after_fg_it_is_taken_again() {
    let (site, figures) = (Site::new(), Figures::new(100));
    let services = site.services(1);
    let before = services.states();
    let mut terminal = Terminal::shell_of(figures.over(&mut site.command("bash")));
    terminal.keys(&format!(
        "$mr --method pause --floor 200MiB --then '{}' sh -c '{BEATING}'\n",
        services.all()
    ));
    for round in ["one", "two"] {
        services.wait_until_all("paused");
        wait_until_it_beats(&site);
        terminal.keys("\x1a");
        terminal.answers(round);
        assert!(services.are("running"), "{:?}", services.statuses());
        terminal.keys("fg\n");
    }
    services.wait_until_all("paused");
    terminal.expect_foreground_other_than_the_shell();
    terminal.keys("\x03");
    terminal.expect_code("130");
    assert_eq!(services.states(), before);
}

#[test]
fn a_stopped_build_that_is_killed_leaves_its_services_running() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    begin(&mut terminal, &site, &services, "BUILD");
    terminal.keys("\x1a");
    terminal.answers("stopped");
    let (child, parent) = (site.child(), number_in(&site, "parent"));
    // bash sends SIGCONT as well.
    terminal.keys("kill %1\n");
    wait_until("build and makeroom are gone", || !process::runs(child) && !process::runs(parent));
    assert!(services.are("running") && site.journals().is_empty());
    terminal.answers("after");
}

#[test]
fn bg_goes_on_with_the_build_behind_the_shell() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    begin(&mut terminal, &site, &services, "BUILD");
    terminal.keys("\x1a");
    terminal.answers("stopped");
    terminal.keys("bg\n");
    services.wait_until_all("paused");
    wait_until_it_beats(&site);
    terminal.answers("beside");
    terminal.keys("kill %1; wait %1\n");
    terminal.expect_code("143");
    assert!(services.are("running"));
}

#[test]
fn a_build_that_asks_in_the_foreground_gets_the_terminal_and_the_shell_has_it_back() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    terminal.keys(&format!(
        "$mr --pause '{}' sh -c 'echo $$ >child; read x; echo got-$x-; exit 3'\n",
        services.all()
    ));
    let child = site.child();
    wait_until("the build has the terminal", || terminal.foreground() == child);
    terminal.keys("hello\n");
    terminal.shows("got-hello-\r\n");
    terminal.expect_code("3");
    terminal.answers("after");
    assert!(
        services.are("running") && !terminal.screen().contains("Stopped"),
        "{}",
        terminal.screen()
    );
}

#[test]
fn ctrl_c_and_ctrl_z_reach_a_build_that_has_the_terminal_itself() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    terminal.keys(&format!(
        "$mr --pause '{}' sh -c 'echo $$ >child; read x; read y; echo got-$x-$y-'\n",
        services.all()
    ));
    let child = site.child();
    wait_until("the build has the terminal", || terminal.foreground() == child);
    terminal.keys("\x1a");
    terminal.answers("stopped");
    assert!(services.are("running"));
    terminal.keys("fg\n");
    services.wait_until_all("paused");
    wait_until("the build has the terminal again", || terminal.foreground() == child);
    terminal.keys("hello\nworld");
    terminal.keys("\x03");
    terminal.expect_code("130");
    terminal.answers("after");
    assert!(services.are("running"));
}

#[test]
fn a_build_that_asks_in_the_background_stops_and_reads_after_fg() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    terminal.keys(&format!(
        "$mr --pause '{}' sh -c 'echo $PPID >parent; echo $$ >child; read x; echo got-$x-' &\n",
        services.all()
    ));
    let (child, parent) = (site.child(), number_in(&site, "parent"));
    wait_until("both are stopped", || state(child) == Some('T') && state(parent) == Some('T'));
    assert!(services.are("running"), "{:?}", services.statuses());
    terminal.answers("meanwhile");
    terminal.keys("fg\n");
    wait_until("the build has the terminal", || terminal.foreground() == child);
    assert!(services.are("paused"));
    terminal.keys("hello\n");
    terminal.shows("got-hello-\r\n");
    terminal.expect_code("0");
    assert!(services.are("running"));
}

#[test]
fn a_terminal_that_stops_whatever_writes_from_the_background_does_not_stop_makeroom() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    terminal.keys(&format!("stty tostop; $mr --pause '{}' sh -c '{UNTIL_GO}' &\n", services.all()));
    site.child();
    assert!(services.are("paused"));
    site.go();
    services.wait_until_all("running");
    terminal.keys("wait %1\n");
    terminal.expect_code("7");
    assert!(!terminal.screen().contains("Stopped"), "{}", terminal.screen());
}

#[test]
fn ctrl_c_reaches_makeroom_and_its_neighbours_in_a_pipeline() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    begin(
        &mut terminal,
        &site,
        &services,
        "BUILD | sh -c 'trap \"echo caught >neighbour; exit 9\" INT; while :; do sleep 0.02; done'",
    );
    terminal.expect_foreground_other_than_the_shell();
    terminal.keys("\x03");
    terminal.expect_shell_in_the_foreground();
    terminal.keys("echo an'swers-'${PIPESTATUS[*]}-\n");
    terminal.shows("answers-130 9-\r\n");
    assert_eq!(crate::support::wait_for_line(&site.work().join("neighbour")), "caught");
    assert!(services.are("running"));
}

#[test]
fn under_another_shell_ctrl_z_and_fg_do_not_hang() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    // Not its last command: a shell would become makeroom then.
    terminal.keys(&format!(
        "cat >script <<'END'\n$mr --pause '{}' sh -c '{BEATING}'\necho through\nEND\n",
        services.all()
    ));
    terminal.keys("sh ./script\n");
    site.child();
    terminal.keys("\x1a");
    // bash waits for the script's shell alone, which stops at once.
    terminal.answers("stopped");
    services.wait_until_all("running");
    let (child, parent) = (site.child(), number_in(&site, "parent"));
    wait_until("both are stopped", || stands_still(child) && state(parent) == Some('T'));
    terminal.keys("fg\n");
    services.wait_until_all("paused");
    wait_until_it_beats(&site);
    terminal.keys("\x03");
    terminal.answers("after");
    services.wait_until_all("running");
    assert!(services.are("running") && !process::runs(site.child()));
}

#[test]
fn under_another_shell_ctrl_z_at_a_build_that_has_the_terminal_stops_that_shell_too() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    let build = "echo $$ >child; read x; echo got-$x-";
    terminal.keys(&format!(
        "cat >script <<'END'\n$mr --pause '{}' sh -c '{build}'\necho through\nEND\n",
        services.all()
    ));
    terminal.keys("sh ./script\n");
    let child = site.child();
    wait_until("the build has the terminal", || terminal.foreground() == child);
    // It reaches the build's group alone: makeroom has to stop all of its own.
    terminal.keys("\x1a");
    terminal.answers("stopped");
    assert!(services.are("running"), "{:?}", services.statuses());
    terminal.keys("fg\n");
    wait_until("the build has the terminal again", || terminal.foreground() == child);
    assert!(services.are("paused"), "{:?}", services.statuses());
    terminal.keys("hello\n");
    terminal.shows("got-hello-\r\n");
    terminal.shows("through\r\n");
    terminal.answers("after");
}

#[test]
fn what_follows_makeroom_in_a_script_has_the_terminal_again() {
    let site = Site::new();
    let mut terminal = Terminal::shell(&site);
    // An interactive shell would take the terminal back itself; this one has no job control.
    terminal.keys("cat >script <<'END'\n$mr sh -c 'echo $$ >child; read x; echo got-$x-'\nread y; echo then-$y-\nEND\n");
    terminal.keys("sh ./script\n");
    let child = site.child();
    wait_until("the build has the terminal", || terminal.foreground() == child);
    terminal.keys("hello\n");
    terminal.shows("got-hello-\r\n");
    wait_until("the script has the terminal", || terminal.foreground() != child);
    terminal.keys("world\n");
    terminal.shows("then-world-\r\n");
    terminal.answers("after");
}

#[test]
fn a_terminal_that_is_closed_ends_the_build_and_the_services_run() {
    let site = Site::new();
    let services = site.services(1);
    let mut terminal = Terminal::shell(&site);
    begin(&mut terminal, &site, &services, "BUILD");
    let (child, parent) = (site.child(), number_in(&site, "parent"));
    // An interactive shell passes the hang-up on to its jobs.
    process::signal(terminal.running.pid(), libc::SIGHUP);
    services.wait_until_all("running");
    wait_until("build and makeroom are gone", || !process::runs(child) && !process::runs(parent));
    drop(terminal);
}

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
        assert!(done.out.contains("1 service paused"), "{:?}", done.out);
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
    terminal.shows("pausing services, 1 of 2");
    assert!(!terminal.screen().contains("built"));
    held.release();
    terminal.shows("built");
    let screen = terminal.screen();
    // Whatever is written after the live line begins with taking it away (CSI K or CSI 2K,
    // ECMA-48).
    let (_, after) = screen.rsplit_once("pausing services, ").expect("shown");
    let (cleared, _) = after.split_once("2 services paused").expect("the summary");
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
    terminal.shows("pausing services, 0 of 1");
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
            wait_until("a line", || run.written("err").contains("pausing services, 1 of 2 …\n"));
        }
        held.release();
        let done = run.wait();
        assert_eq!(
            done.expect_code(0).err.matches("pausing services").count(),
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
    terminal.shows("pausing services, 1 of 2 …\r\n");
    held.release();
    terminal.shows("running again");
    assert!(!terminal.screen().contains('\x1b'), "{:?}", terminal.screen());
    terminal.running.wait().expect_code(0);
}
