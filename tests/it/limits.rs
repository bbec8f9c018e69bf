//! The limit on open files that somebody's shell set for something else: makeroom raises it for
//! itself, does with what it leaves, and gives it back to everything that it starts.

use std::{fs, time::Duration};

use serde_json::json;

use nix::sys::resource::Resource;

use crate::support::{
    makeroom::Run,
    proxy::{Deed, Proxy},
    site::{Site, UNTIL_GO},
};

/// With these limits on open files, soft and hard.
fn with_files(run: &mut Run, soft: u64, hard: u64) -> &mut Run {
    run.limit_resource(Resource::RLIMIT_NOFILE, soft, hard)
}

fn leaked(value: &serde_json::Value) -> &'static str {
    Box::leak(value.to_string().into_boxed_str())
}

/// An engine with two hundred containers, which run whatever is done to them.
fn two_hundred(proxy: &Proxy) {
    let one = |number: u32| json!({ "Id": format!("{number:064x}"), "Names": [format!("/many-{number}")], "State": "running" });
    proxy.on("list", None, Deed::Answer(200, leaked(&(0..200).map(one).collect())));
    let state =
        json!({ "Running": true, "Paused": false, "Pid": 0, "StartedAt": "2026-01-01T00:00:00Z" });
    proxy.on(
        "inspect",
        None,
        Deed::Answer(200, leaked(&json!({ "State": state, "HostConfig": {}, "Config": {} }))),
    );
    proxy.on("pause", None, Deed::Answer(204, ""));
}

#[test]
fn two_hundred_containers_are_paused_with_as_few_open_files_as_there_may_be() {
    for files in [26, 64] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        two_hundred(&proxy);
        // Nobody knows what these hold, so that a pause by choice would leave them alone.
        let pause = ["--method", "pause", "--pause", "many-*"];
        let mut run = site.makeroom(pause);
        run.args(["sh", "-c", "exit 7"]);
        let done = with_files(&mut run, files, files).limit(Duration::from_mins(1)).run();
        done.expect_code(7).expect_said("200 containers paused");
        assert!(!done.err.contains("open files"), "{files}: {}", done.err);
        assert_eq!((proxy.seen("pause"), site.journals().len()), (200, 0), "{files}");
    }
}

#[test]
fn the_limit_is_raised_for_makeroom_and_for_nobody_else() {
    let site = Site::new();
    let services = site.services(1);
    let steps = site.path("steps");
    let text = format!("#!/bin/sh\nulimit -Sn >>{}\nexec \"$@\"\n", steps.display());
    let way = site.program("way", &text);
    let mut run = site.makeroom(["--pause", &services.all(), "--vm-shell"]);
    run.args([format!("{} env", way.display())])
        .args(["--on-room-made", "echo hook $(ulimit -Sn) $(ulimit -Hn)"]);
    run.args(["sh", "-c", &format!("echo $(ulimit -Sn) $(ulimit -Hn) >limits; {UNTIL_GO}")]);
    let run = with_files(&mut run, 100, 500).spawn();
    site.child();
    for pid in [run.pid(), run.keeper()] {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("a process");
        let files: Vec<_> = limits
            .lines()
            .filter(|line| line.starts_with("Max open files"))
            .flat_map(str::split_whitespace)
            .collect();
        assert_eq!(files[3..5], ["500", "500"], "{limits}");
    }
    site.go();
    run.wait().expect_code(7).expect_said("on_room_made: hook 100 500");
    assert_eq!(fs::read_to_string(site.work().join("limits")).expect("a build"), "100 500\n");
    let steps = fs::read_to_string(steps).expect("steps");
    assert!(!steps.is_empty() && steps.lines().all(|soft| soft == "100"), "{steps}");
}

#[test]
fn a_command_that_needs_no_room_of_its_own_gets_its_limit_back_as_well() {
    let site = Site::new();
    let services = site.services(1);
    let inner =
        format!("{} --pause {} sh -c 'ulimit -Sn'", env!("CARGO_BIN_EXE_makeroom"), services.all());
    let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", &inner]);
    let done = with_files(&mut run, 100, 500).run();
    done.expect_code(0);
    assert_eq!(done.out, "100\n");
}

#[test]
fn a_hook_that_says_thousands_of_lines_is_heard_with_twenty() {
    let site = Site::new();
    let services = site.services(1);
    let mut run = site.makeroom(["--pause", &services.all(), "--on-room-made", "seq 1 1000"]);
    let done = run.args(["sh", "-c", "exit 7"]).run();
    done.expect_code(7)
        .expect_said("on_room_made: 20")
        .expect_said("on_room_made: … and 980 more of this kind");
    assert!(!done.err.contains("on_room_made: 21"), "{}", done.err);
}
