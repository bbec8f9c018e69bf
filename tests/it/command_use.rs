//! What the command itself enters, names or needs is never taken from it, however it was selected;
//! nor is a builder, unless it is named and nothing is built.

use std::fs;

use crate::support::{
    dockerd::engine,
    makeroom::Run,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    unique,
};

/// A site whose `docker` waits as a build does, whatever it is told.
fn site() -> Site {
    let site = Site::new();
    let _ = site.program("docker", &format!("#!/bin/sh\n{UNTIL_GO}\n"));
    site
}

/// A run of this command, with that `docker`.
fn command(site: &Site, options: &[&str], typed: &[&str]) -> Run {
    let path = format!("{}:/usr/bin:/bin", site.path("bin").display());
    let mut run = site.makeroom(options);
    run.args(["--method", "pause", "--"]).args(typed).env("PATH", path);
    run
}

/// Runs it; gives what the services were doing meanwhile, and what was said.
#[track_caller]
fn meanwhile(site: &Site, mut run: Run, services: &[&Services]) -> (Vec<String>, String) {
    site.again();
    let run = run.spawn();
    site.child();
    let states = services.iter().flat_map(|services| services.statuses()).collect();
    site.go();
    let done = run.wait();
    done.expect_code(7);
    assert!(services.iter().all(|services| services.are("running")));
    (states, done.err)
}

/// A project of compose in the site's working directory: `web` depends on `db`, and `mon` is there.
fn project(site: &Site) -> (String, Vec<Services>) {
    let name = unique("shop");
    let service = |service: &str, needs: &str| {
        let recipe = Recipe::default()
            .label("com.docker.compose.project", &name)
            .label("com.docker.compose.service", service)
            .label("com.docker.compose.depends_on", needs)
            .label("com.docker.compose.project.working_dir", &site.work().to_string_lossy());
        site.start(&recipe, 1)
    };
    let all =
        vec![service("web", "db:service_healthy:true"), service("db", ""), service("mon", "")];
    (name, all)
}

#[test]
fn the_container_that_the_command_enters_runs_on_however_it_was_selected() {
    let site = site();
    let (web, mon) = (site.services(1), site.services(1));
    let line = format!("`{}` is left out: the command enters it", web.name(0));
    let both = ["--pause", &web.all(), "--pause", &mon.all()];
    let by_name = ["--pause", web.name(0), "--pause", mon.name(0), "--strict"];
    let script = format!("sudo_is_not_there; docker exec {} true", web.name(0));
    for (options, typed) in [
        (&both[..], &["docker", "exec", "-it", "-e", "A=b", web.name(0), "sh"][..]),
        (&by_name, &["env", "A=1", "docker", "exec", web.name(0), "sh"]),
        (&both, &["sh", "-c", &script]),
    ] {
        let run = command(&site, options, typed);
        let (states, said) = meanwhile(&site, run, &[&web, &mon]);
        assert_eq!(states, ["running", "paused"], "{typed:?}");
        assert!(said.contains(&line), "{said}");
    }
    let plan = site.makeroom(["plan", "--pause", web.name(0), "docker", "exec", web.name(0)]).run();
    assert!(plan.out.contains(&line) && plan.out.contains("left to the command"), "{}", plan.out);
}

#[test]
fn a_service_of_compose_runs_on_with_all_that_it_depends_on() {
    let site = site();
    let (name, all) = project(&site);
    let all: Vec<&Services> = all.iter().collect();
    let select = format!("compose:{name}");
    let pause = ["--pause", &select];
    fs::create_dir(site.work().join("src")).expect("a directory");
    for typed in [
        &["docker", "compose", "exec", "-T", "web", "true"][..],
        &["docker", "compose", "-p", &name, "run", "--rm", "web", "true"],
        &["sh", "-c", "docker compose up -d web"],
    ] {
        let run = command(&site, &pause, typed);
        let (states, said) = meanwhile(&site, run, &all);
        assert_eq!(states, ["running", "running", "paused"], "{typed:?}");
        let line = format!("`{}` is left out: the command needs it", all[1].name(0));
        assert!(said.contains(&line), "{said}");
    }
    let run = command(&site, &pause, &["docker", "compose", "up", "-d"]);
    assert_eq!(meanwhile(&site, run, &all).0, ["running"; 3]);
    // The same project's images are built beside its containers.
    let run = command(&site, &pause, &["docker", "compose", "build", "web"]);
    assert_eq!(meanwhile(&site, run, &all).0, ["paused"; 3]);
    // What a service depends on by now stands in no label.
    fs::write(site.work().join("compose.yaml"), "").expect("written");
    let later = filetime_in_future(&site);
    let run = command(&site, &pause, &["docker", "compose", "up", "-d", "web"]);
    let (states, said) = meanwhile(&site, run, &all);
    assert_eq!(states, ["running"; 3], "{later}");
    assert!(said.contains("the compose file has changed since"), "{said}");
}

/// The engine tells when a container was made in whole seconds.
fn filetime_in_future(site: &Site) -> String {
    let file = fs::File::open(site.work().join("compose.yaml")).expect("a file");
    let later = std::time::SystemTime::now() + std::time::Duration::from_mins(1);
    file.set_modified(later).expect("a time");
    format!("{later:?}")
}

#[test]
fn a_builder_is_paused_only_where_it_is_named_and_nothing_is_built() {
    let site = site();
    let image = "moby/buildkit";
    let tag = format!("/images/busybox/tag?repo={image}&tag=it");
    crate::support::api::must(&engine().socket(), "POST", &tag, None);
    let builder = site.start(&Recipe::default().image("moby/buildkit:it"), 1);
    let glob = ["--pause", &builder.all()];
    let named = ["--pause", builder.name(0)];
    for (options, typed, expected) in [
        (&glob, &["sh", "-c", UNTIL_GO][..], "running"),
        (&glob, &["docker", "buildx", "build", "."], "running"),
        (&named, &["docker", "buildx", "build", "."], "running"),
        (&named, &["sh", "-c", UNTIL_GO], "paused"),
    ] {
        let run = command(&site, options, typed);
        let (states, said) = meanwhile(&site, run, &[&builder]);
        assert_eq!(states, [expected], "{typed:?}");
        assert_eq!(said.contains("is left out: it is a builder"), expected == "running", "{said}");
    }
}

#[test]
fn a_failed_build_is_told_what_it_may_have_missed_and_what_was_paused_before_is_warned_of() {
    let site = site();
    let (web, mon) = (site.services(1), site.services(1));
    let run = command(&site, &["--pause", mon.name(0)], &["sh", "-c", "exit 3"]).run();
    run.expect_code(3).expect_said(&format!(
        "`{0}` was not running meanwhile: if the build needs it, that is the likely cause (`--keep {0}`)",
        mon.name(0)
    ));
    web.tell(0, "pause");
    let typed = ["docker", "exec", web.name(0), "true"];
    let run = command(&site, &["--pause", mon.name(0)], &typed);
    site.go();
    let (mut run, line) =
        (run, format!("`{}` is paused already, and the command enters it", web.name(0)));
    run.run().expect_code(7).expect_said(&line);
    assert!(web.are("paused"));
}
