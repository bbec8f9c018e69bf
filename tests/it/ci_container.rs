//! makeroom inside a CI job's container that has the engine's socket: its own container is never
//! paused, whatever was selected; nothing is changed where its journal would go with the container;
//! and where the journal stays, a cancelled job's services are put back by the next job.

use std::{fs, path::Path};

use serde_json::json;

use crate::support::{
    dockerd::engine,
    services::{Recipe, Services},
    site::Site,
    unique, wait_for_line,
};

/// What a job runs until the test lets it end.
const UNTIL_GO: &str = "echo $$ >/work/child; while ! [ -e /work/go ]; do sleep 0.02; done; exit 7";

struct Scene {
    site: Site,
    /// What the services and the jobs themselves are labelled with.
    label: String,
    services: Services,
}

fn scene() -> Scene {
    let (site, label) = (Site::new(), unique("pipeline"));
    let services = site.start(&Recipe::default().label("ci", &label), 2);
    fs::create_dir(site.path("volume")).expect("a directory");
    Scene { site, label, services }
}

impl Scene {
    /// Starts a job's container that types this, and keeps what it says and its exit code. makeroom
    /// is dynamically linked: what it needs is mounted where it is here.
    fn job(&self, makeroom: &str, keeps_state: bool, cgroups: &str) -> Services {
        let libraries =
            ["/lib", "/lib64", "/usr/lib"].into_iter().filter(|dir| Path::new(dir).exists());
        let mut binds: Vec<String> = libraries.map(|dir| format!("{dir}:{dir}:ro")).collect();
        let mut bind = |from: &Path, to: &str| binds.push(format!("{}:{to}", from.display()));
        bind(Path::new(env!("CARGO_BIN_EXE_makeroom")), "/bin/makeroom");
        bind(&engine().socket(), "/var/run/docker.sock");
        bind(&self.site.work(), "/work");
        if keeps_state {
            bind(&self.site.path("volume"), "/var/lib/makeroom");
        }
        for name in ["child", "go", "code", "err"] {
            let _ = fs::remove_file(self.site.work().join(name));
        }
        let script = format!("{makeroom} 2>/work/err; echo $? >/work/code; exec sleep 1000000");
        let job = Recipe::default().label("ci", &self.label).script(&script);
        let job = job.host("Binds", json!(binds)).host("CgroupnsMode", json!(cgroups));
        self.site.start(&job.field("Env", json!(["MAKEROOM_SWAP=off"])), 1)
    }

    /// A build in front of which everything with the label is paused: the services, and the job's
    /// own container.
    fn building(&self, options: &str) -> String {
        format!(
            "makeroom {options} --no-reclaim --pause label:ci={} sh -c '{UNTIL_GO}'",
            self.label
        )
    }

    #[track_caller]
    fn code(&self) -> String {
        wait_for_line(&self.site.work().join("code"))
    }

    fn said(&self) -> String {
        fs::read_to_string(self.site.work().join("err")).unwrap_or_default()
    }

    fn journals(&self) -> usize {
        fs::read_dir(self.site.path("volume").join("leases")).map_or(0, Iterator::count)
    }
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "whether this is a container is seen on Linux only")]
fn a_jobs_own_container_is_never_paused_though_it_is_selected() {
    // In a cgroup namespace of its own /proc/self/cgroup says nothing but `/`.
    for cgroups in ["host", "private"] {
        let scene = scene();
        let before = scene.services.states();
        let job = scene.job(&scene.building("--strict"), true, cgroups);
        scene.site.child();
        assert!(
            scene.services.are("paused"),
            "{cgroups}: {:?}\n{}",
            scene.services.statuses(),
            scene.said()
        );
        assert!(job.are("running"), "{cgroups}: {:?}", job.statuses());
        scene.site.go();
        assert_eq!(scene.code(), "7", "{cgroups}: {}", scene.said());
        assert!(
            scene.said().contains("2 containers paused")
                && scene.said().contains("2 containers running again"),
            "{}",
            scene.said()
        );
        assert_eq!(scene.services.states(), before, "{cgroups}");
        assert_eq!(scene.journals(), 0, "{cgroups}");
    }
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "whether this is a container is seen on Linux only")]
fn without_a_volume_for_the_state_directory_nothing_is_changed_and_one_warning_has_the_mount() {
    let scene = scene();
    let before = scene.services.states();
    let _job = scene.job(&scene.building(""), false, "host");
    scene.site.child();
    assert_eq!(scene.services.states(), before);
    scene.site.go();
    assert_eq!(scene.code(), "7", "{}", scene.said());
    let said = scene.said();
    assert!(said.contains("docker run -v makeroom:/var/lib/makeroom"), "{said}");
    assert_eq!(said.matches("warning").count(), 1, "{said}");
    for command in
        [scene.building("--strict"), format!("makeroom start --pause label:ci={}", scene.label)]
    {
        let _job = scene.job(&command, false, "host");
        assert_eq!(scene.code(), "125", "{}", scene.said());
        assert!(
            scene.said().contains("docker run -v makeroom:/var/lib/makeroom"),
            "{}",
            scene.said()
        );
        assert!(!scene.site.work().join("child").exists(), "the build was not to be started");
        assert_eq!(scene.services.states(), before);
    }
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "whether this is a container is seen on Linux only")]
fn what_a_cancelled_job_held_is_put_back_by_the_next_job() {
    let scene = scene();
    let before = scene.services.states();
    for next in ["makeroom recover", "makeroom sh -c 'exit 3'"] {
        let job = scene.job(&scene.building(""), true, "host");
        scene.site.child();
        assert!(scene.services.are("paused"), "{:?}\n{}", scene.services.statuses(), scene.said());
        // Supervisor, keeper and build at once.
        job.remove(0);
        assert!(scene.services.are("paused"), "nobody is left who could");
        assert_eq!(scene.journals(), 1);
        let _next = scene.job(next, true, "host");
        let code = if next.ends_with("recover") { "0" } else { "3" };
        assert_eq!(scene.code(), code, "{}", scene.said());
        assert!(
            scene.said().contains("lost its holder")
                && scene.said().contains("2 containers running again"),
            "{}",
            scene.said()
        );
        assert_eq!(scene.services.states(), before);
        assert_eq!(scene.journals(), 0);
    }
}

/// With the options that the hint names a job's makeroom does all that it does outside.
const RECIPE: [&str; 5] = [
    "--pid host",
    "--cap-add SYS_ADMIN",
    "--security-opt seccomp=unconfined",
    "--cgroupns host",
    "-v /sys/fs/cgroup:/sys/fs/cgroup:rw",
];
const WHY: &str =
    "makeroom is in a container of this engine and does not see the memory of the others";

#[test]
#[cfg_attr(makeroom_portable, ignore = "whether this is a container is seen on Linux only")]
fn where_a_job_sees_nobody_it_stops_what_is_worth_it_and_plan_and_doctor_say_so_with_the_recipe() {
    let scene = scene();
    let hog = scene.site.hogs(&Recipe::hog(60).label("ci", &scene.label), 1);
    let kept = scene.site.hogs(&Recipe::hog(60).label("ci", &scene.label).auto_remove(), 1);
    let before = (scene.services.states(), kept.states());
    let pause = format!("--pause label:ci={}", scene.label);
    let _job =
        scene.job(&format!("makeroom --swap 64MiB {pause} sh -c '{UNTIL_GO}'"), true, "private");
    scene.site.child();
    assert_eq!(hog.statuses(), ["exited"], "{}", scene.said());
    assert_eq!(kept.statuses(), ["running"], "{}", scene.said());
    scene.site.go();
    assert_eq!(scene.code(), "7", "{}", scene.said());
    let said = scene.said();
    let not_seen = "its memory is not seen from here";
    for words in [
        format!(
            "{WHY}: targets are only paused or stopped, no swap is made and no memory is pushed out"
        ),
        format!("`{}` is stopped, a pause would free nothing: {not_seen}", hog.name(0)),
        format!(
            "`{}` is left alone: a pause would free nothing ({not_seen}), and it is not stopped: the engine removes it",
            kept.name(0)
        ),
    ] {
        assert!(said.contains(&words), "{words} should be in:\n{said}");
    }
    assert!(RECIPE.iter().all(|option| said.contains(option)), "{said}");
    assert!(hog.are("running"));
    assert_eq!((scene.services.states(), kept.states()), before);
    for (command, rows) in [
        (
            format!("makeroom plan --swap 64MiB {pause}"),
            vec![
                format!("{WHY}: these figures are this machine's"),
                "stop, + 6".to_owned(),
                format!("left alone: {not_seen}; the engine removes it"),
            ],
        ),
        (
            format!("makeroom doctor --swap 64MiB {pause}"),
            vec![format!("FIX   targets   {WHY}: no swap is made and no memory is pushed out")],
        ),
    ] {
        let _job = scene.job(&format!("{command} >/work/out"), true, "private");
        scene.code();
        let out = fs::read_to_string(scene.site.work().join("out")).expect("what it printed");
        let said = out + &scene.said();
        for words in rows.iter().map(String::as_str).chain(RECIPE) {
            assert!(said.contains(words), "{words} should be in:\n{said}");
        }
        assert!(!said.contains("cgroup_enable") && !said.contains("forwarded"), "{said}");
    }
}
