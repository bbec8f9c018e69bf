//! Faults while a swap area is made and taken away: both of makeroom's processes killed before and
//! after each program that a step runs, a swapoff that is killed, pages that do not fit, and runs
//! that want different sizes. Afterwards, or after one `recover`, no area is active and no file is
//! left. The steps go a way that leads to this machine, where some programs are the test's own.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    disk::Disk,
    makeroom::{Run, Running, wait_until_gone},
    process,
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

/// Leads to this machine; a step's PATH begins with the directory that this is in.
const WAY: &str = r#"#!/bin/sh
echo used >>"${0%/bin/*}/used"
sed -u "2s|PATH=|PATH=${0%/*}:|" | "$@"
"#;
/// Does what the real program of its name does, and holds before or after it where the test says
/// so, once.
const HELD: &str = r#"#!/bin/sh
name=${0##*/} dir=${0%/bin/*}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
hold() {
    mv "$dir/hold-$1-$name" "$dir/reached" 2>/dev/null || return
    while ! [ -e "$dir/go" ]; do sleep 0.02; done
}
hold before
"$name" "$@"
status=$?
hold after
exit "$status"
"#;
/// A busy machine takes its time.
pub const LONG: Duration = Duration::from_mins(2);
pub const MEBIBYTES: u64 = 32;

/// A site whose steps go that way, and a disk for its area.
pub struct Scene {
    pub site: Site,
    pub disk: Disk,
    dir: PathBuf,
}

impl Scene {
    /// With programs of these names that are held where [`Scene::hold`] says.
    pub fn new(programs: &[&str]) -> Self {
        let (disk, site) =
            (Disk::new("ext4", 512), Site::at(PathBuf::from("/nonexistent/docker.sock")));
        let _ = site.program("way", WAY);
        // The disk of a VM is written to the end before it is trimmed. This is no VM, and everybody
        // here would wait for that.
        let _ = site.program("sync", "#!/bin/sh\n");
        for program in programs {
            let _ = site.program(program, HELD);
        }
        Self { dir: disk.folder("swap"), site, disk }
    }

    /// Where the area is made.
    pub fn area(&self) -> PathBuf {
        self.dir.join("area")
    }

    /// A run that makes one of this size.
    pub fn run(&self, mebibytes: u64) -> Run {
        let way = self.site.path("bin/way");
        let options = [
            "--swap",
            &swap::more(mebibytes),
            "--vm-shell",
            &way.display().to_string(),
            "--swap-file",
        ]
        .map(OsString::from);
        let mut run = self.site.makeroom(options);
        run.args([self.area()]).limit(LONG);
        run
    }

    fn hold(&self, moment: &str, program: &str) {
        for file in ["reached", "go"] {
            let _ = fs::remove_file(self.site.path(file));
        }
        fs::write(self.site.path(&format!("hold-{moment}-{program}")), "").expect("written");
    }

    #[track_caller]
    fn wait_until_held(&self) {
        wait_until("the program is reached", || self.site.path("reached").exists());
    }

    fn let_go(&self) {
        fs::write(self.site.path("go"), "").expect("written");
    }

    /// How often the way was gone.
    fn used(&self) -> usize {
        fs::read_to_string(self.site.path("used")).map_or(0, |text| text.lines().count())
    }

    /// Expects that `recover` takes it away.
    #[track_caller]
    pub fn recover_removes_swap(&self) {
        let done = self.site.makeroom(["recover"]).limit(LONG).run();
        done.expect_code(0).expect_said("its swap removed");
    }

    /// Expects neither an area nor a journal.
    #[track_caller]
    pub fn assert_nothing_left(&self, what: &str) {
        assert_eq!(self.disk.areas(), Vec::<PathBuf>::new(), "{what}");
        assert_eq!(names_in(&self.dir), Vec::<OsString>::new(), "{what}");
        assert_eq!(self.site.journals(), Vec::<PathBuf>::new(), "{what}");
    }
}

fn names_in(dir: &Path) -> Vec<OsString> {
    fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect()
}

fn kill(pids: &[i32]) {
    for &pid in pids {
        process::signal(pid, libc::SIGKILL);
    }
}

/// What becomes of the step that the dead keeper had begun.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// It is killed as well, as with the machine.
    Dies,
    /// It goes on while `recover` is at it.
    GoesOn,
}

/// Kills both while a step is held there, and recovers.
fn kill_both(scene: &Scene, moment: &str, program: &str, step: Step) {
    let what = format!("{moment} {program}, the step {step:?}");
    eprintln!("{what}");
    scene.hold(moment, program);
    let mut run = scene.run(MEBIBYTES).args(["true"]).spawn();
    scene.wait_until_held();
    run.kill_with_keeper();
    let left = process::with_environment(&scene.site.mark());
    assert!(!left.is_empty(), "{what}: a step outlives its keeper");
    let recover = match step {
        Step::Dies => {
            kill(&left);
            wait_until_gone(Duration::from_secs(2), "the step", &left);
            scene.site.makeroom(["recover"]).limit(LONG).spawn()
        }
        Step::GoesOn => {
            let before = scene.used();
            let recover = scene.site.makeroom(["recover"]).limit(LONG).spawn();
            // It measures, and then takes away what it finds.
            wait_until("recover is at it", || scene.used() >= before + 2);
            scene.let_go();
            recover
        }
    };
    recover.wait().expect_code(0).expect_said("lost its holder");
    wait_until_gone(LONG, "the step", &left);
    scene.assert_nothing_left(&what);
}

fn kill_both_at(programs: &[&str], step: Step) {
    let _turn = swap::turn();
    let scene = Scene::new(programs);
    for program in programs {
        for moment in ["before", "after"] {
            kill_both(&scene, moment, program, step);
        }
    }
}

#[test]
fn both_killed_with_their_step_between_each_two_programs_that_make_an_area_leave_none_after_recover()
 {
    kill_both_at(&["fallocate", "mkswap", "ln", "swapon"], Step::Dies);
}

#[test]
fn both_killed_between_each_two_programs_of_a_step_that_goes_on_leave_none_after_recover() {
    kill_both_at(&["fallocate", "mkswap", "ln", "swapon"], Step::GoesOn);
}

#[test]
fn both_killed_around_swapoff_leave_no_area_after_recover() {
    for step in [Step::Dies, Step::GoesOn] {
        kill_both_at(&["swapoff"], step);
    }
}

/// A run whose swapoff is this program, once.
fn with_swapoff(script: &str) -> (Scene, Running) {
    let scene = Scene::new(&[]);
    let run = scene.run(MEBIBYTES).args(["sh", "-c", UNTIL_GO]).spawn();
    scene.site.child();
    let head = "#!/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nrm -f \"$0\"\n";
    let _ = scene.site.program("swapoff", &format!("{head}{script}\n"));
    (scene, run)
}

#[test]
fn a_swapoff_that_is_killed_before_the_area_is_off_leaves_it_said_and_recorded_and_recover_finishes()
 {
    let _turn = swap::turn();
    // As the kernel does, which picks swapoff's process first where memory runs out.
    let (scene, run) = with_swapoff("kill -KILL $$");
    scene.site.go();
    run.wait().expect_code(7).expect_said("stays").expect_said("makeroom recover");
    assert_eq!(scene.disk.areas(), [scene.area()]);
    assert_eq!(scene.site.journals().len(), 1);
    scene.recover_removes_swap();
    scene.assert_nothing_left("after recover");
}

#[test]
fn a_swapoff_that_is_killed_when_the_area_is_off_already_has_done_its_work() {
    let _turn = swap::turn();
    let (scene, run) = with_swapoff("swapoff \"$@\"; kill -KILL $$");
    scene.site.go();
    let done = run.wait();
    done.expect_code(7).expect_said("swap removed");
    scene.assert_nothing_left("at once");
}

#[test]
fn both_killed_while_swapoff_is_killed_as_well_leave_an_area_that_recover_takes_away() {
    let _turn = swap::turn();
    let (scene, mut run) = with_swapoff("echo >\"${0%/bin/*}/reached\"; exec sleep 60");
    scene.site.go();
    scene.wait_until_held();
    run.kill_with_keeper();
    let left = process::with_environment(&scene.site.mark());
    kill(&left);
    assert_eq!(scene.disk.areas(), [scene.area()]);
    scene.recover_removes_swap();
    scene.assert_nothing_left("after recover");
}

#[test]
fn an_area_whose_pages_do_not_fit_stays_is_said_and_recover_tries_again() {
    let _turn = swap::turn();
    let scene = Scene::new(&[]);
    let run = scene.run(MEBIBYTES).args(["sh", "-c", UNTIL_GO]).spawn();
    scene.site.child();
    // A machine with 20 MiB in the area and 4 MiB available: a step reads that with `head`.
    let used =
        "s|^\\([^ ]*/swap/area[[:space:]].*file[[:space:]]*[0-9]*[[:space:]]*\\)[0-9]*|\\120480|";
    let little =
        format!("s|^\\(MemAvailable:\\).*|\\1 4096 kB|; s|^\\(SwapFree:\\).*|\\1 0 kB|; {used}");
    let narrow =
        scene.site.program("head", &format!("#!/bin/sh\n/usr/bin/head \"$@\" | sed '{little}'\n"));
    scene.site.go();
    run.wait()
        .expect_code(7)
        .expect_said("20 MiB are in it and only 4.0 MiB are available")
        .expect_said("makeroom recover");
    assert_eq!(scene.disk.areas(), [scene.area()]);
    assert_eq!(scene.site.journals().len(), 1);
    let early = scene.site.makeroom(["recover"]).limit(LONG).run();
    early.expect_code(125).expect_said("20 MiB are in it").expect_said("makeroom recover");
    assert_eq!(scene.disk.areas(), [scene.area()]);
    fs::remove_file(narrow).expect("removed");
    scene.recover_removes_swap();
    scene.assert_nothing_left("when they fit");
}

#[test]
fn runs_that_want_different_sizes_share_or_add_and_the_last_one_out_removes_all() {
    const NAMED: &str = r#"echo $$ >"$0.pid"; while ! [ -e "$0.go" ]; do sleep 0.02; done"#;
    let _turn = swap::turn();
    for (wishes, areas) in [([MEBIBYTES, 3 * MEBIBYTES], 2), ([3 * MEBIBYTES, MEBIBYTES], 1)] {
        for order in [[0, 1], [1, 0]] {
            let what = format!("{wishes:?} MiB, ended in the order {order:?}");
            eprintln!("{what}");
            let scene = Scene::new(&[]);
            // Both wishes are of the swap that was free before either.
            let wishes = wishes.map(swap::more);
            let names = ["a", "b"];
            let mut runs = [0, 1].map(|index| {
                let area = scene.area();
                let mut run = scene.site.makeroom(["--swap", &wishes[index], "--swap-file"]);
                let run =
                    run.args([&area]).args(["sh", "-c", NAMED, names[index]]).limit(LONG).spawn();
                crate::support::wait_for_line(
                    &scene.site.work().join(format!("{}.pid", names[index])),
                );
                Some(run)
            });
            assert_eq!(scene.disk.areas().len(), areas, "{what}");
            for (position, index) in order.into_iter().enumerate() {
                fs::write(scene.site.work().join(format!("{}.go", names[index])), "")
                    .expect("written");
                let done = runs[index].take().expect("running").wait();
                done.expect_code(0);
                if position == 0 {
                    assert!(
                        !scene.disk.areas().is_empty(),
                        "{what}: the other one still has its swap"
                    );
                }
            }
            scene.assert_nothing_left(&what);
        }
    }
}
