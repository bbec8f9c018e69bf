//! stderr that nobody reads: a pager, a stalled ssh, Ctrl-S, a CI agent that hangs. Whatever state
//! a run is in, what makeroom says holds up nothing that it does; what was left out is said when
//! somebody reads again.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    thread,
    time::Duration,
};

use crate::support::{
    makeroom::{Done, Run, Running},
    process, programs,
    proxy::{Moment, Proxy},
    services::Services,
    site::{STUBBORN, Site, UNTIL_GO},
    stalled::{Kind, Stalled},
    wait_for_line, wait_until, wait_within,
};

const NOBODY: u32 = 65534;
/// Within this after the first signal the services run again.
const PROMISED: Duration = Duration::from_secs(5);

/// A run whose stderr takes nothing.
struct Stage {
    proxy: Proxy,
    site: Site,
    services: Services,
    stalled: Stalled,
    flags: i32,
    /// The user whose stderr it is not: the kernel refuses to open it once more.
    is_nobody: bool,
    /// Whether makeroom can have a description of its own.
    has_its_own: bool,
}

impl Stage {
    fn new(kind: Kind, is_nobody: bool) -> Self {
        Self::with(kind, is_nobody, Stalled::full(kind))
    }

    fn with(kind: Kind, is_nobody: bool, stalled: Stalled) -> Self {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let services = site.services(1);
        let flags = stalled.flags();
        if is_nobody {
            let open = |path: &Path| {
                fs::set_permissions(path, fs::Permissions::from_mode(0o1777)).expect("a mode")
            };
            let socket = proxy.socket();
            for path in
                [&site.path(""), &site.work(), &socket, socket.parent().expect("a directory")]
            {
                open(path);
            }
            programs::copy_for_others(&site.path("makeroom"));
            fs::create_dir(site.state()).expect("a directory");
            chown(site.state(), Some(NOBODY), Some(NOBODY)).expect("chown");
        }
        let is_terminal = matches!(kind, Kind::Terminal | Kind::StoppedTerminal);
        let has_its_own =
            !is_nobody && (is_terminal || (kind == Kind::Pipe && !cfg!(makeroom_portable)));
        Self { proxy, site, services, stalled, flags, is_nobody, has_its_own }
    }

    fn makeroom(&self, args: &[&str]) -> Run {
        let mut run = if self.is_nobody {
            let mut run = self.site.command(&self.site.path("makeroom").to_string_lossy());
            run.user(NOBODY);
            run
        } else {
            self.site.makeroom::<[&str; 0]>([])
        };
        self.stalled.give_to(&mut run, 2);
        // SAFETY: a single system call. Ctrl-Z stops its group, which is not to be ours.
        run.before_exec(|| {
            if unsafe { libc::setpgid(0, 0) } == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
        run.args(args).env("TERM", "xterm");
        run
    }

    /// Starts it around this build.
    fn start(&self, options: &[&str], build: &str) -> Running {
        let mut run = self.makeroom(&["--method", "pause", "--pause", &self.services.all()]);
        run.args(options).args(["sh", "-c", build]).spawn()
    }

    /// The same, and waits until the build runs.
    #[track_caller]
    fn running(&self, options: &[&str], build: &str) -> Running {
        let run = self.start(options, build);
        self.site.child();
        assert!(self.services.are("paused"), "{:?}", self.services.statuses());
        assert_eq!(self.stalled.flags(), self.flags, "the build shares them");
        let descriptors = process::descriptors(run.pid());
        let ways = descriptors.values().filter(|name| *name == &descriptors[&2]).count();
        assert_eq!(ways > 1, self.has_its_own, "{descriptors:?}");
        let of_child = process::descriptors(self.site.child());
        assert!(
            !of_child.iter().any(|(fd, name)| *fd > 2 && *name == descriptors[&2]),
            "{of_child:?}"
        );
        run
    }

    /// Ctrl-Z, until it stands still.
    #[track_caller]
    fn suspend(&self, run: &Running) {
        run.signal(libc::SIGTSTP);
        wait_until("makeroom is stopped", || {
            process::stat(run.pid()).is_some_and(|stat| stat.state == 'T')
        });
        assert!(self.services.are("running"), "{:?}", self.services.statuses());
    }

    /// Waits for its end; the services run.
    #[track_caller]
    fn ends(&self, run: Running) -> Done {
        let begun = std::time::Instant::now();
        let done = run.wait();
        assert!(begun.elapsed() < PROMISED, "it took {:?}", begun.elapsed());
        wait_within(PROMISED, "the services run", || self.services.are("running"));
        assert_eq!(self.stalled.flags(), self.flags, "the shell shares them");
        done
    }
}

fn ends_by_itself(stage: &Stage) {
    let run = stage.running(&[], UNTIL_GO);
    stage.site.go();
    stage.ends(run).expect_code(7);
}

fn ends_by_a_signal(stage: &Stage) {
    let run = stage.running(&[], UNTIL_GO);
    run.signal(libc::SIGTERM);
    assert_eq!(stage.ends(run).signal(), Some(libc::SIGTERM));
}

fn is_stubborn_and_killed_by_a_second_signal(stage: &Stage) {
    let run = stage.running(&["--grace", "1h"], STUBBORN);
    run.signal(libc::SIGTERM);
    wait_within(PROMISED, "the services run beside the build", || stage.services.are("running"));
    assert!(process::runs(stage.site.child()));
    run.signal(libc::SIGTERM);
    assert_eq!(stage.ends(run).signal(), Some(libc::SIGKILL));
}

fn ends_while_it_waits_for_stderr_itself(stage: &Stage) {
    let run = stage.running(&[], "echo $$ >child; exec yes >&2");
    // It has the lock of a terminal's output then (tty_write_lock).
    let waits = || {
        process::stat(stage.site.child()).is_some_and(|stat| stat.state == 'S')
            && process::link(stage.site.child(), "exe").is_some_and(|exe| exe.ends_with("yes"))
    };
    wait_until("the build waits", waits);
    run.signal(libc::SIGTERM);
    assert_eq!(stage.ends(run).signal(), Some(libc::SIGTERM));
}

fn ends_by_its_timeout(stage: &Stage) {
    let run = stage.start(&["--timeout", "1s"], UNTIL_GO);
    stage.site.child();
    stage.ends(run).expect_code(124);
}

fn makes_room_and_goes_on(stage: &Stage) {
    let held = stage.proxy.hold("pause", 1, Moment::Before);
    let run = stage.start(&[], UNTIL_GO);
    held.wait();
    held.release();
    stage.site.child();
    stage.site.go();
    stage.ends(run).expect_code(7);
}

fn makes_room_and_gets_a_signal(stage: &Stage) {
    let held = stage.proxy.hold("pause", 1, Moment::After);
    let run = stage.start(&[], UNTIL_GO);
    held.wait();
    run.signal(libc::SIGTERM);
    held.release();
    assert_eq!(stage.ends(run).signal(), Some(libc::SIGTERM));
}

fn is_suspended_and_goes_on(stage: &Stage) {
    let run = stage.running(&[], UNTIL_GO);
    stage.suspend(&run);
    run.signal(libc::SIGCONT);
    stage.services.wait_until_all("paused");
    stage.site.go();
    stage.ends(run).expect_code(7);
}

fn is_suspended_and_gets_a_signal(stage: &Stage) {
    let run = stage.running(&[], UNTIL_GO);
    stage.suspend(&run);
    run.signal(libc::SIGTERM);
    run.signal(libc::SIGCONT);
    assert_eq!(stage.ends(run).signal(), Some(libc::SIGTERM));
}

fn returns_and_gets_two_signals(stage: &Stage) {
    let held = stage.proxy.hold("unpause", 1, Moment::Before);
    let mut run = stage.running(&[], UNTIL_GO);
    stage.site.go();
    held.wait();
    run.signal(libc::SIGTERM);
    run.signal(libc::SIGINT);
    wait_within(PROMISED, "it is gone though an engine hangs", || !run.is_running());
    held.release();
    stage.ends(run).expect_code(7);
}

type Play = (&'static str, fn(&Stage));

/// Every state of a run and every end of it.
const PLAYS: [Play; 10] = [
    ("ends by itself", ends_by_itself),
    ("gets a signal", ends_by_a_signal),
    ("gets two signals", is_stubborn_and_killed_by_a_second_signal),
    ("times out", ends_by_its_timeout),
    ("waits for stderr itself", ends_while_it_waits_for_stderr_itself),
    ("makes room", makes_room_and_goes_on),
    ("makes room, gets a signal", makes_room_and_gets_a_signal),
    ("is suspended", is_suspended_and_goes_on),
    ("is suspended, gets a signal", is_suspended_and_gets_a_signal),
    ("returns, gets two signals", returns_and_gets_two_signals),
];
/// Of these so many at once.
const AT_ONCE: usize = 5;

/// Plays all of them.
#[track_caller]
fn play(kind: Kind, is_nobody: bool) {
    let mut failed = Vec::new();
    for plays in PLAYS.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let begin = |&(name, play): &Play| {
                (name, scope.spawn(move || play(&Stage::new(kind, is_nobody))))
            };
            let playing: Vec<_> = plays.iter().map(begin).collect();
            failed.extend(
                playing.into_iter().filter_map(|(name, play)| play.join().is_err().then_some(name)),
            );
        });
    }
    assert!(failed.is_empty(), "{kind:?}: {failed:?}");
}

#[test]
fn a_full_pipe_holds_up_nothing_in_any_state() {
    play(Kind::Pipe, false);
}

#[test]
fn a_full_terminal_holds_up_nothing_in_any_state() {
    play(Kind::Terminal, false);
}

#[test]
fn a_terminal_that_ctrl_s_stopped_holds_up_nothing_in_any_state() {
    play(Kind::StoppedTerminal, false);
}

#[test]
fn a_full_socket_holds_up_nothing_in_any_state() {
    play(Kind::Socket, false);
}

#[test]
fn a_pipe_that_cannot_be_opened_again_holds_up_nothing_in_any_state() {
    play(Kind::Pipe, true);
}

#[test]
fn a_terminal_of_another_user_holds_up_nothing_in_any_state() {
    play(Kind::Terminal, true);
}

#[test]
fn a_stopped_terminal_of_another_user_holds_up_nothing_in_any_state() {
    play(Kind::StoppedTerminal, true);
}

#[test]
fn what_is_read_while_room_is_made_and_not_afterwards_holds_up_nothing() {
    for (kind, is_nobody) in
        [(Kind::Pipe, false), (Kind::Terminal, false), (Kind::Socket, false), (Kind::Pipe, true)]
    {
        let stage = Stage::with(kind, is_nobody, Stalled::empty(kind));
        let run = stage.running(&[], UNTIL_GO);
        stage.stalled.fill();
        stage.site.go();
        stage.ends(run).expect_code(7);
        stage.stalled.read().shows("1 service paused");
    }
}

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
    wait_until("room is made", || run.written("err").contains("1 service paused"));
    assert!(run.is_running() && services.are("paused"));
    run.signal(libc::SIGTERM);
    wait_within(PROMISED, "the services run", || services.are("running"));
    assert_eq!(run.wait().signal(), Some(libc::SIGTERM));
    wait_until("no lease is held", || site.journals().is_empty() && site.keepers().is_empty());
    let run = start();
    wait_until("room is made", || run.written("err").contains("1 service paused"));
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
            let text = reader.shows("1 service running again");
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
    let text = reader.shows("1 service running again");
    let expected = names.map(|name| format!("makeroom: warning: no container matches `{name}`"));
    assert_eq!(text.lines().take(3).collect::<Vec<_>>(), expected);
    assert!(
        text.lines().nth(3).is_some_and(|line| line.starts_with("makeroom: 1 service paused")),
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
