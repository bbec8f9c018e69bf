//! No keeper to be had: keepers killed one after the other, and moments in which no process can be
//! started. Whatever is held is given back all the same, by a later keeper or by the supervisor
//! itself.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit};

use crate::support::{
    crowd,
    makeroom::{Run, Running},
    must_run, needed, process, programs,
    proxy::{Deed, Moment, Proxy},
    services::Services,
    site::{STUBBORN, Site, UNTIL_GO},
    wait_until,
};

const NOBODY: u32 = 65534;

/// Kills so many keepers, each as soon as it is there.
fn kill_in_a_row(run: &Running, count: usize) {
    let mut last = 0;
    for _ in 0..count {
        last = run.keeper_other_than(last);
        process::signal(last, libc::SIGKILL);
    }
}

#[test]
fn more_keepers_killed_in_a_row_than_are_started_at_once_and_the_services_run_in_the_end() {
    let site = Site::new();
    let services = site.services(2);
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    // There is a pause of a second before the sixth.
    kill_in_a_row(&run, 5);
    wait_until("it is said", || {
        run.written("err").contains(
            "the keeper died 5 times in a row; 2 containers held until there is one again",
        )
    });
    kill_in_a_row(&run, 2);
    // The next pause is of four seconds; the build's end is a moment to try again.
    let ended = Instant::now();
    site.go();
    run.wait()
        .expect_code(7)
        .expect_said("there is a keeper again")
        .expect_said("2 containers running again");
    crowd::expect_within(Duration::from_secs(3), ended);
    assert!(services.are("running"), "{:?}", services.statuses());
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn keepers_killed_in_a_row_do_not_keep_a_signal_waiting() {
    let site = Site::new();
    let services = site.services(2);
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    kill_in_a_row(&run, 7);
    let told = Instant::now();
    run.signal(libc::SIGTERM);
    services.wait_until_all("running");
    crowd::expect_within(Duration::from_secs(5), told);
    assert_eq!(run.wait().signal(), Some(libc::SIGTERM));
}

#[test]
fn keepers_killed_while_they_make_room_do_not_hold_the_build_up_and_what_they_took_comes_back() {
    for (strict, code) in [(None, 7), (Some("--strict"), 125)] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let services = site.services(2);
        // The first pauses and hears nothing of it, the others do not even get a list.
        proxy.on("pause", None, Deed::Silence(Moment::After));
        (2..=5).for_each(|nth| proxy.on("list", Some(nth), Deed::Silence(Moment::Before)));
        let mut run = site.makeroom(strict);
        let run = run.args(["--pause", &services.all(), "sh", "-c", "exit 7"]).spawn();
        services.wait_until_all("paused");
        kill_in_a_row(&run, 5);
        let done = run.wait();
        done.expect_code(code)
            .expect_said("no room is made: the keeper died 5 times in a row")
            .expect_within(Duration::from_secs(10));
        assert!(services.are("running"), "{:?}", services.statuses());
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}

/// A run by somebody for whom a limit on processes holds, which it does not for root.
struct Scene {
    site: Site,
    services: Services,
    program: PathBuf,
    state: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let site = Site::new();
        let services = site.services(2);
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        };
        open(site.engine(), 0o666);
        open(site.engine().parent().expect("a directory"), 0o755);
        open(&site.path(""), 0o1777);
        open(&site.work(), 0o1777);
        let (program, state) = (site.path("makeroom"), site.path("nobodys"));
        programs::copy_for_others(&program);
        fs::create_dir(&state).expect("a directory");
        chown(&state, Some(NOBODY), Some(NOBODY)).expect("chown");
        Self { site, services, program, state }
    }

    /// It builds, its keeper is gone, and none can be started.
    fn without_keeper(&self, options: &[&str], script: &str) -> Running {
        let mut run: Run = self.site.command(&self.program.to_string_lossy());
        run.user(NOBODY).env("MAKEROOM_STATE_DIR", &self.state).args(options);
        // Others' swap would be a reason to want root.
        let run =
            run.args(["--no-reclaim", "--pause", &self.services.all(), "sh", "-c", script]).spawn();
        self.site.child();
        assert!(self.services.are("paused"), "{:?}", self.services.statuses());
        let keeper = run.keeper();
        limit_processes(run.pid(), 0);
        process::signal(keeper, libc::SIGKILL);
        wait_until("it is said", || {
            run.written("err").contains("2 containers held until there is one again")
        });
        run
    }

    #[track_caller]
    fn expect_all_back(&self) {
        assert!(self.services.are("running"), "{:?}", self.services.statuses());
        let left: Vec<_> = fs::read_dir(self.state.join("leases"))
            .expect("leases")
            .filter_map(Result::ok)
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Sets the soft limit of a process of nobody's, as nobody: root may lack CAP_SYS_RESOURCE.
fn limit_processes(pid: i32, soft: u64) {
    let mut command = Command::new(needed("setpriv", "util-linux"));
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "prlimit",
        "--pid",
        &pid.to_string(),
    ]);
    must_run(command.arg(format!("--nproc={soft}:")));
}

#[test]
fn a_moment_in_which_no_process_can_be_started_passes() {
    let scene = Scene::new();
    let run = scene.without_keeper(&[], UNTIL_GO);
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).expect("a limit");
    limit_processes(run.pid(), hard);
    run.keeper();
    wait_until("it is said", || run.written("err").contains("there is a keeper again"));
    assert!(scene.services.are("paused"), "{:?}", scene.services.statuses());
    scene.site.go();
    run.wait()
        .expect_code(7)
        .expect_said("no keeper can be started")
        .expect_said("2 containers running again");
    scene.expect_all_back();
}

#[test]
fn with_no_process_to_be_had_at_the_end_the_supervisor_itself_puts_everything_back() {
    for (options, script, code) in [
        (&[][..], UNTIL_GO, 7),
        (&["--strict"][..], "echo $$ >child; while ! [ -e go ]; do sleep 0.02; done", 0),
    ] {
        let scene = Scene::new();
        let run = scene.without_keeper(options, script);
        scene.site.go();
        let done = run.wait();
        done.expect_code(code)
            .expect_said("makeroom puts everything back by itself")
            .expect_said("2 containers running again");
        scene.expect_all_back();
        let mut report = scene.site.command(&scene.program.to_string_lossy());
        report
            .user(NOBODY)
            .env("MAKEROOM_STATE_DIR", &scene.state)
            .args(["report"])
            .run()
            .expect_code(0);
    }
}

#[test]
fn with_no_process_to_be_had_makeroom_still_dies_of_the_childs_signal() {
    let scene = Scene::new();
    let run = scene.without_keeper(&[], UNTIL_GO);
    process::signal(scene.site.child(), libc::SIGKILL);
    assert_eq!(run.wait().signal(), Some(libc::SIGKILL));
    scene.expect_all_back();
}

#[test]
fn with_no_process_to_be_had_the_services_run_again_within_five_seconds_of_a_signal() {
    for (script, is_stubborn) in [(UNTIL_GO, false), (STUBBORN, true)] {
        let scene = Scene::new();
        let run = scene.without_keeper(&["--grace", "7s"], script);
        let child = scene.site.child();
        let told = Instant::now();
        run.signal(libc::SIGTERM);
        scene.services.wait_until_all("running");
        crowd::expect_within(Duration::from_secs(5), told);
        assert_eq!(process::runs(child), is_stubborn, "the grace is the build's all the same");
        scene.site.go();
        let done = run.wait();
        assert!(done.code() == Some(7) || done.signal() == Some(libc::SIGTERM), "{done:?}");
        scene.expect_all_back();
    }
}
