//! Which build has the use of room that is made in a virtual machine.

use std::fs;

use crate::support::{dockerd, site::Site};

use super::{path_with, program};

#[test]
fn a_run_plan_and_doctor_say_which_builds_profit_by_what_runs_the_machine() {
    let site = Site::new();
    let services = site.services(1);
    program(&site, "colima", "while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"");
    let socket = site.path("home/.colima/default/docker.sock");
    let instance = site.path("home/.colima/_lima/colima");
    fs::create_dir_all(socket.parent().expect("a parent")).expect("a directory");
    fs::create_dir_all(&instance).expect("a directory");
    // A second name for the socket itself: a link would be followed to the engine's own.
    fs::hard_link(dockerd::engine().socket(), &socket).expect("linked");
    let makeroom = |words: &[&str]| {
        site.makeroom(words)
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("PATH", path_with(&site))
            .run()
    };
    let all = services.all();
    for (yaml, of_run, who) in [
        (
            "vmType: vz\n",
            "the room is in colima; `true` runs on this machine and does not use it: vz gives nothing back to it",
            "a build in colima's engine; not one on this machine: vz gives nothing back to it",
        ),
        (
            "vmType: krunkit\n",
            "the room is in colima; krunkit gives it back to this machine, where `true` runs",
            "a build in colima's engine, and one on this machine: krunkit gives free memory back to it",
        ),
        (
            "vmType: null\n",
            "the room is in colima; `true` runs on this machine and does not use it\n",
            "a build in colima's engine; not one on this machine\n",
        ),
    ] {
        fs::write(instance.join("lima.yaml"), yaml).expect("written");
        makeroom(&["--swap", "off", "--pause", &all, "true"]).expect_code(0).expect_said(of_run);
        let plan = makeroom(&["plan", "--pause", &all]);
        assert!(plan.out.contains(&format!("profits       {who}")), "{}{}", plan.out, plan.err);
        let doctor = makeroom(&["doctor"]);
        assert!(doctor.out.contains(&format!("ok    profits   {who}")), "{}", doctor.out);
        let plan = makeroom(&["plan", "--json", "--pause", &all]);
        let json: serde_json::Value = serde_json::from_str(&plan.out).expect("JSON");
        assert_eq!(json["here_profits"], yaml.contains("krunkit"), "{json}");
    }
}
