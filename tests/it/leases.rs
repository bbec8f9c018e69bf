//! More than one who has a say: two builds with the same targets, a makeroom inside a makeroom,
//! people who change containers in mid-build; and the keeper, which nobody else may hold or end.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    makeroom::{Run, Running, wait_until_gone},
    process,
    proxy::{Moment, Proxy},
    services::Services,
    site::{Site, UNTIL_GO},
    wait_for_line, wait_until, wait_within,
};

/// One of several builds of one site, told apart by a name.
fn build(site: &Site, services: &Services, name: &str) -> Running {
    let script =
        format!("echo $$ >child-{name}; while ! [ -e go-{name} ]; do sleep 0.02; done; exit 7");
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", &script]).spawn();
    wait_for_line(&site.work().join(format!("child-{name}")));
    run
}

fn go(site: &Site, name: &str) {
    fs::write(site.work().join(format!("go-{name}")), "").expect("written");
}

#[derive(Clone, Copy, Debug)]
enum End {
    Regular,
    SupervisorKilled,
    BothKilled,
}

fn end(site: &Site, mut run: Running, name: &str, how: End) {
    let keeper = run.keeper();
    match how {
        End::Regular => {
            go(site, name);
            run.wait().expect_code(7);
        }
        End::SupervisorKilled => {
            run.kill();
            wait_until_gone(Duration::from_secs(10), "the keeper", &[keeper]);
        }
        End::BothKilled => run.kill_with_keeper(),
    }
}

#[test]
fn targets_of_two_builds_stay_paused_until_the_last_is_out_in_whatever_order_they_end() {
    let services = Site::new().services(2);
    let before = services.states();
    for first_is_a in [true, false] {
        for (first, last) in [
            (End::Regular, End::Regular),
            (End::SupervisorKilled, End::Regular),
            (End::BothKilled, End::Regular),
            (End::Regular, End::SupervisorKilled),
            (End::SupervisorKilled, End::SupervisorKilled),
        ] {
            eprintln!("{} first: {first:?}, then {last:?}", if first_is_a { "A" } else { "B" });
            let site = Site::new();
            let (a, b) = (build(&site, &services, "a"), build(&site, &services, "b"));
            let ((one, one_name), (other, other_name)) =
                if first_is_a { ((a, "a"), (b, "b")) } else { ((b, "b"), (a, "a")) };
            end(&site, one, one_name, first);
            assert!(services.are("paused"), "{:?}", services.statuses());
            end(&site, other, other_name, last);
            site.makeroom(["recover"]).run().expect_code(0);
            assert_eq!(services.states(), before);
            assert!(site.journals().is_empty(), "{:?}", site.journals());
        }
    }
}

#[test]
fn of_two_builds_whose_targets_overlap_each_restores_what_the_other_does_not_need() {
    let site = Site::new();
    let services = site.services(3);
    let select = |run: &mut crate::support::makeroom::Run, indices: [usize; 2], name: &str| {
        let script =
            format!("echo $$ >child-{name}; while ! [ -e go-{name} ]; do sleep 0.02; done; exit 7");
        let run = run
            .args(indices.iter().flat_map(|&index| ["--pause", services.name(index)]))
            .args(["sh", "-c", &script])
            .spawn();
        wait_for_line(&site.work().join(format!("child-{name}")));
        run
    };
    let a = select(&mut site.makeroom::<[&str; 0]>([]), [0, 1], "a");
    let b = select(&mut site.makeroom::<[&str; 0]>([]), [1, 2], "b");
    go(&site, "a");
    a.wait().expect_code(7);
    assert_eq!(services.statuses(), ["running", "paused", "paused"]);
    go(&site, "b");
    b.wait().expect_code(7);
    assert!(services.are("running") && site.journals().is_empty());
}

#[test]
fn many_builds_that_begin_and_end_at_once_leave_everything_as_it_was() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    for _ in 0..3 {
        let start = || site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 5"]).spawn();
        let runs: Vec<_> = std::iter::repeat_with(start).take(6).collect();
        for run in runs {
            run.wait().expect_code(5);
        }
        assert_eq!(services.states(), before);
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

#[test]
fn a_makeroom_inside_a_lease_that_covers_its_targets_becomes_its_command() {
    let site = Site::new();
    let services = site.services(2);
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    let script = "echo $$ $PPID >child; while ! [ -e go ]; do sleep 0.02; done; exit 7";
    let run = site
        .makeroom([
            "--pause",
            &services.all(),
            makeroom,
            "--pause",
            services.name(0),
            "sh",
            "-c",
            script,
        ])
        .spawn();
    let line = wait_for_line(&site.work().join("child"));
    let pids: Vec<i32> = line.split(' ').map(|pid| pid.parse().expect("a pid")).collect();
    assert_eq!(pids[1], run.pid(), "nothing is left between the outer supervisor and the command");
    assert!(services.are("paused"));
    assert_eq!((site.journals().len(), site.keepers().len()), (1, 1));
    site.go();
    run.wait().expect_code(7);
    assert!(services.are("running") && site.journals().is_empty());
}

#[test]
fn a_makeroom_inside_that_inherits_its_limits_becomes_its_command_and_one_with_a_shorter_limit_does_not()
 {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    // The command's parent: the outer supervisor, where nothing is left between the two.
    let parent = |run: &mut Run| -> bool {
        site.again();
        let run = run
            .args(["sh", "-c", "echo $PPID >child; while ! [ -e go ]; do sleep 0.02; done; exit 7"])
            .spawn();
        let is_outer = site.child() == run.pid();
        site.go();
        run.wait().expect_code(7);
        is_outer
    };
    let limits =
        [("MAKEROOM_TIMEOUT", "30m"), ("MAKEROOM_THEN", "a b"), ("MAKEROOM_ABORT_ON_THRASH", "5m")];
    for (name, value) in limits {
        assert!(parent(site.makeroom([makeroom]).env(name, value)), "{name}");
    }
    let file = site.work().join("makeroom.toml");
    fs::write(&file, "timeout = '30m'\nthen = ['a']\n").expect("written");
    assert!(parent(&mut site.makeroom([makeroom])), "by a file");
    assert!(
        parent(&mut site.makeroom(["--timeout", "20m", makeroom, "--timeout", "20m"])),
        "by flags"
    );
    assert!(!parent(&mut site.makeroom([makeroom, "--timeout", "20m"])), "a shorter one");
    assert!(!parent(&mut site.makeroom([makeroom, "--then", "b"])), "other steps");
    fs::remove_file(&file).expect("removed");
    assert!(!parent(&mut site.makeroom([makeroom, "--timeout", "20m"])), "the only one");
}

#[test]
fn a_makeroom_inside_a_lease_that_lacks_its_targets_takes_them_for_itself() {
    let site = Site::new();
    let (outer, inner) = (site.services(1), site.services(1));
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    let script = format!(
        "{makeroom} --pause '{}' sh -c 'echo $$ >inside; while ! [ -e out ]; do sleep 0.02; done; exit 3'; echo $? >inner; {UNTIL_GO}",
        inner.all()
    );
    let run = site.makeroom(["--pause", &outer.all(), "sh", "-c", &script]).spawn();
    wait_for_line(&site.work().join("inside"));
    assert!(outer.are("paused") && inner.are("paused"));
    fs::write(site.work().join("out"), "").expect("written");
    site.child();
    assert_eq!(wait_for_line(&site.work().join("inner")), "3");
    assert!(outer.are("paused") && inner.are("running"));
    site.go();
    run.wait().expect_code(7);
    assert!(outer.are("running") && site.journals().is_empty());
}

/// A build during which somebody does something to the first of two services, and how both are
/// afterwards.
fn meddled(act: impl Fn(&Services), then: [&str; 2]) {
    let site = Site::new();
    let services = site.services(2);
    let run = build(&site, &services, "a");
    act(&services);
    go(&site, "a");
    run.wait().expect_code(7);
    assert_eq!(services.statuses(), then);
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn a_container_removed_in_mid_build_is_nothing_to_restore() {
    meddled(|services| services.remove(0), ["gone", "running"]);
}

#[test]
fn a_container_replaced_in_mid_build_is_somebody_elses() {
    meddled(|services| services.replace(0), ["running", "running"]);
    meddled(
        |services| {
            services.replace(0);
            services.tell(0, "pause");
        },
        ["paused", "running"],
    );
}

#[test]
fn a_container_restarted_in_mid_build_is_somebody_elses() {
    meddled(|services| services.tell(0, "restart"), ["running", "running"]);
    meddled(
        |services| {
            services.tell(0, "restart");
            services.tell(0, "pause");
        },
        ["paused", "running"],
    );
}

#[test]
fn a_container_unpaused_in_mid_build_goes_on_running() {
    meddled(|services| services.tell(0, "unpause"), ["running", "running"]);
}

#[test]
fn a_container_that_was_stopped_in_mid_build_runs_again_because_it_ran_before() {
    // The engine thaws it for that, and tells nobody: only what it is unpaused for by itself is
    // somebody's.
    meddled(|services| services.tell(0, "stop"), ["running", "running"]);
}

#[test]
fn a_container_started_in_mid_build_is_left_alone() {
    let site = Site::new();
    let services = site.services(2);
    services.tell(0, "stop");
    let run = build(&site, &services, "a");
    services.tell(0, "start");
    assert_eq!(services.statuses(), ["running", "paused"]);
    go(&site, "a");
    run.wait().expect_code(7);
    assert!(services.are("running"));
}

/// A run whose caller leaves things behind for its children: a descriptor, ignored and blocked
/// signals, a directory, and the variables by which CI runners find what they kill.
fn burdened(site: &Site) -> (Running, i32) {
    let mut run = site.makeroom(["sh", "-c", UNTIL_GO]);
    for name in [
        "RUNNER_TRACKING_ID",
        "JENKINS_NODE_COOKIE",
        "JENKINS_SERVER_COOKIE",
        "BUILD_ID",
        "CI_JOB_ID",
        "BUILDKITE_JOB_ID",
        "TOKEN",
    ] {
        run.env(name, "hunter2");
    }
    let run = run
        .before_exec(|| {
            // SAFETY: single system calls.
            let done = unsafe {
                libc::signal(libc::SIGINT, libc::SIG_IGN);
                libc::setpgid(0, 0);
                libc::dup2(0, 17)
            };
            if done == 17 { Ok(()) } else { Err(io::Error::last_os_error()) }
        })
        .spawn();
    site.child();
    let keeper = run.keeper();
    (run, keeper)
}

fn nowhere() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

#[test]
fn the_keeper_has_its_socket_its_journal_and_its_state_directory_open_and_nothing_else_of_its_callers()
 {
    let site = nowhere();
    let (run, keeper) = burdened(&site);
    let open = process::descriptors(keeper);
    let leases = site.state().join("leases");
    for (number, what) in &open {
        let is_its_own = match number {
            0 => what.starts_with("socket:"),
            1 | 2 => what == "/dev/null",
            3 => what.starts_with(&format!("{}/", leases.display())),
            4 => Path::new(what) == site.state(),
            // tokio's: epoll, its waker, and the pair that signals arrive on.
            _ if Path::new(what) == leases => true,
            _ => what.starts_with("anon_inode:") || what.starts_with("socket:"),
        };
        assert!(is_its_own, "{number}: {what} in {open:?}");
    }
    assert!((0..5).all(|number| open.contains_key(&number)), "{open:?}");
    site.go();
    run.wait().expect_code(7);
}

#[test]
fn nobody_but_the_two_holds_the_lease() {
    let site = nowhere();
    let (run, keeper) = burdened(&site);
    let leases = site.state().join("leases").to_string_lossy().into_owned();
    let holders: Vec<i32> = process::with_environment(&site.mark())
        .into_iter()
        .filter(|&pid| process::descriptors(pid).values().any(|what| what.starts_with(&leases)))
        .collect();
    let mut expected = vec![run.pid(), keeper];
    expected.sort_unstable();
    assert_eq!(holders, expected);
    site.go();
    run.wait().expect_code(7);
}

#[test]
fn the_keeper_has_nothing_by_which_a_runner_finds_what_it_kills() {
    let site = nowhere();
    let (run, keeper) = burdened(&site);
    let environment = process::environment(keeper);
    assert!(
        !environment.iter().any(|entry| entry.to_string_lossy().contains("hunter2")),
        "{environment:?}"
    );
    let stat = process::stat(keeper).expect("a keeper");
    assert_eq!((stat.session, stat.group), (keeper, keeper), "its own session and group");
    assert_eq!(process::link(keeper, "cwd"), Some(PathBuf::from("/")));
    for field in ["SigBlk", "SigIgn"] {
        let mask = u64::from_str_radix(&process::status(keeper, field).expect(field), 16)
            .expect("hexadecimal");
        assert_eq!(
            mask & (1 << (libc::SIGINT - 1) | 1 << (libc::SIGTERM - 1) | 1 << (libc::SIGHUP - 1)),
            0,
            "{field}"
        );
    }
    site.go();
    run.wait().expect_code(7);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "oom_score_adj is Linux's own")]
fn the_keeper_is_the_last_that_the_kernel_kills() {
    let site = nowhere();
    let (run, keeper) = burdened(&site);
    // Lowering needs CAP_SYS_RESOURCE, which root in a container may lack: as far as this process
    // could.
    let lowest = site
        .command("sh")
        .args([
            "-c",
            "echo -1000 2>/dev/null >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj",
        ])
        .run()
        .out;
    assert_eq!(
        fs::read_to_string(format!("/proc/{keeper}/oom_score_adj")).expect("a score"),
        lowest
    );
    site.go();
    run.wait().expect_code(7);
}

#[test]
fn a_runner_that_kills_the_whole_group_leaves_the_keeper_which_restores() {
    let site = Site::new();
    let services = site.services(2);
    let before = services.states();
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]);
    // SAFETY: a single system call.
    let run = run
        .before_exec(|| {
            if unsafe { libc::setpgid(0, 0) } == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        })
        .spawn();
    let child = site.child();
    let keeper = run.keeper();
    process::signal_group(run.pid(), libc::SIGKILL);
    wait_within(Duration::from_secs(2), "all run", || services.are("running"));
    assert!(!process::runs(child));
    assert_eq!(services.states(), before);
    wait_until_gone(Duration::from_secs(2), "the keeper", &[keeper]);
}

#[test]
fn a_makeroom_that_became_its_command_leaves_no_signals_of_its_own_to_it() {
    let site = Site::new();
    let services = site.services(1);
    // Not asked of a shell from outside: it blocks everything while it forks.
    let done =
        inside_makeroom(&site, &services, &["grep", "-E", "^Sig(Ign|Blk):", "/proc/self/status"])
            .run();
    let masks =
        done.expect_code(0).out.lines().map(|line| line.rsplit('\t').next()).collect::<Vec<_>>();
    assert_eq!(masks, [Some("0000000000000000"); 2], "{}", done.out);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "a subreaper is Linux's own")]
fn a_makeroom_that_became_its_command_is_no_subreaper_any_more() {
    let site = Site::new();
    let services = site.services(1);
    // A subreaper would be given the orphan. Without one it goes to the outer supervisor, which is
    // one.
    let wait = "while ! [ -e go ]; do sleep 0.02; done";
    let script = format!("sh -c '({wait}) & echo $! >orphan'; echo $$ >child; {wait}; exit 7");
    let run = inside_makeroom(&site, &services, &["sh", "-c", &script]).spawn();
    let child = site.child();
    let orphan = wait_for_line(&site.work().join("orphan")).parse().expect("a pid");
    assert_eq!(
        process::stat(orphan).expect("an orphan").parent,
        run.pid(),
        "the command is {child}"
    );
    site.go();
    run.wait().expect_code(7);
}

/// A makeroom that has all it asks for from the one around it.
fn inside_makeroom(site: &Site, services: &Services, command: &[&str]) -> Run {
    let makeroom = env!("CARGO_BIN_EXE_makeroom");
    let mut run =
        site.makeroom(["--pause", &services.all(), makeroom, "--pause", services.name(0)]);
    run.args(command);
    run
}

#[test]
fn a_lease_is_not_started_where_the_state_directory_stays_busy() {
    let site = Site::new();
    let services = site.services(1);
    site.makeroom(["--pause", &services.all(), "true"]).run().expect_code(0);
    let busy = fs::File::open(site.state().join("lock")).expect("the lock's file");
    busy.lock().expect("locked");
    let done = site.makeroom(["start", "--name", "ci", "--pause", &services.all()]).run();
    done.expect_code(125).expect_said("is busy for 10 s").expect_said("room could not be made");
    assert_eq!(done.out, "");
    drop(busy);
    assert!(services.are("running"));
    wait_until("nothing is left of it", || site.journals().is_empty() && site.keepers().is_empty());
}

#[test]
fn a_lease_that_is_still_being_started_is_waited_for_by_stop() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let held = proxy.hold("pause", 1, Moment::After);
    let start = site.makeroom(["start", "--name", "ci", "--pause", &services.all()]).spawn();
    held.wait();
    // It holds when it has heard that room is made, and has no socket before that.
    start.signal(libc::SIGSTOP);
    held.release();
    let is_paused = || {
        site.journals()
            .iter()
            .any(|journal| fs::read_to_string(journal).is_ok_and(|text| text.contains("\"taken\"")))
    };
    wait_until("room is made", is_paused);
    let mut stop = site.makeroom(["stop", "ci"]).spawn();
    // By the time that others have had the lock, it has found nobody to ask.
    for _ in 0..3 {
        assert!(site.makeroom(["status"]).run().expect_code(0).out.contains("started as `ci`"));
    }
    assert!(stop.is_running(), "{}", stop.written("err"));
    start.signal(libc::SIGCONT);
    start.wait().expect_code(0);
    stop.wait().expect_code(0).expect_said("1 service running again");
    assert!(services.are("running") && site.journals().is_empty());
}
