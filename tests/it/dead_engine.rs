//! Leases whose holder is dead and whose engine is gone or hangs: they cost the builds that come by
//! one short try, with nobody's lock held; `recover` has patience, and `recover --forget` gives one
//! up that a person names in full.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    makeroom::{Done, Run, Running},
    proxy::Proxy,
    services::Services,
    site::{Site, UNTIL_GO},
    swap, wait_until,
};

/// A lease in `site` that lost both its processes, with the engine behind this proxy.
fn abandoned(site: &Site, services: &Services, proxy: &Proxy) {
    let mut run =
        through(site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]), &proxy.socket())
            .spawn();
    site.child();
    run.kill_with_keeper();
    site.again();
    assert!(services.are("paused"));
}

fn through(mut run: Run, socket: &Path) -> Run {
    run.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    run
}

fn lease_of(journal: &Path) -> String {
    journal.file_stem().expect("a name").to_string_lossy().into_owned()
}

struct Dead {
    site: Site,
    services: Vec<Services>,
    proxies: Vec<Proxy>,
}

/// Three leases, each with an engine of its own.
fn three() -> Dead {
    let site = Site::new();
    let services: Vec<_> = (0..3).map(|_| site.services(1)).collect();
    let proxies: Vec<_> = (0..3).map(|_| Proxy::start()).collect();
    let begin = |(services, proxy): (&Services, &Proxy)| {
        through(site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]), &proxy.socket())
            .spawn()
    };
    // All live at once: each would bring back what the one before it had left.
    let mut runs: Vec<_> = services.iter().zip(&proxies).map(begin).collect();
    for services in &services {
        services.wait_until_all("paused");
    }
    wait_until("each build runs", || {
        runs.iter().all(|run| run.written("err").contains("1 container paused"))
    });
    runs.iter_mut().for_each(Running::kill_with_keeper);
    site.again();
    assert_eq!(site.journals().len(), 3);
    Dead { site, services, proxies }
}

#[test]
fn three_dead_leases_whose_engines_hang_cost_a_build_one_short_try_and_a_second_run_gets_its_room_meanwhile()
 {
    let Dead { site, services, proxies } = three();
    for proxy in &proxies {
        proxy.hang("/");
    }
    let own = site.services(1);
    let first = site.makeroom(["true"]).spawn();
    let second = site.makeroom(["--pause", &own.all(), "sh", "-c", "exit 4"]).run();
    second.expect_code(4).expect_said("1 container paused").expect_within(Duration::from_secs(9));
    let first = first.wait();
    first.expect_code(0).expect_within(Duration::from_secs(9));
    for services in &services {
        assert!(
            first.err.contains(services.name(0)) || second.err.contains(services.name(0)),
            "{}\n{}",
            first.err,
            second.err
        );
    }
    assert_eq!(site.journals().len(), 3, "what could not be put back stays recorded");
    proxies.iter().for_each(Proxy::forget);
    site.makeroom(["recover"]).run().expect_code(0);
    assert!(services.iter().all(|services| services.are("running")) && site.journals().is_empty());
}

#[test]
fn dead_leases_whose_engines_are_gone_are_said_with_what_they_hold_and_the_next_command() {
    let Dead { site, services, proxies } = three();
    let sockets: Vec<PathBuf> = proxies.iter().map(Proxy::socket).collect();
    drop(proxies);
    let done = site.makeroom(["sh", "-c", "exit 4"]).run();
    done.expect_code(4).expect_within(Duration::from_secs(6));
    for (services, journal) in services.iter().zip(site.journals()) {
        done.expect_said(services.name(0))
            .expect_said(&format!("makeroom recover --forget {}", lease_of(&journal)));
    }
    done.expect_said("cannot be reached").expect_said("`makeroom recover` tries for longer");
    // The engines come back.
    for socket in &sockets {
        fs::create_dir_all(socket.parent().expect("a directory")).expect("a directory");
        std::os::unix::fs::symlink(site.engine(), socket).expect("a link");
    }
    site.makeroom(["true"]).run().expect_code(0).expect_said("lost its holder");
    assert!(services.iter().all(|services| services.are("running")) && site.journals().is_empty());
}

#[test]
fn recover_tries_until_its_time_limit_and_an_engine_that_comes_back_by_then_has_everything_put_back()
 {
    let Dead { site, services, proxies } = three();
    for proxy in &proxies {
        proxy.hang("/");
    }
    let recover = site
        .makeroom(["recover", "--restore-timeout", "40s"])
        .limit(Duration::from_mins(1))
        .spawn();
    wait_until("each engine was asked", || proxies.iter().all(|proxy| proxy.seen("ping") > 2));
    // Whoever comes by is told who is at it.
    site.makeroom(["recover"]).run().expect_code(0).expect_said("another process is putting back");
    // Nobody is kept from working meanwhile.
    site.makeroom(["status"]).run().expect_code(0).expect_within(Duration::from_secs(4));
    proxies.iter().for_each(Proxy::forget);
    recover.wait().expect_code(0);
    assert!(services.iter().all(|services| services.are("running")) && site.journals().is_empty());
}

#[track_caller]
fn forget(site: &Site, lease: &str) -> Done {
    site.makeroom(["recover", "--forget", lease]).run()
}

#[test]
fn a_dead_lease_is_forgotten_by_its_full_id_alone_and_each_of_its_targets_is_printed_with_what_to_type()
 {
    let site = Site::new();
    let (services, proxy) = (site.services(2), Proxy::start());
    abandoned(&site, &services, &proxy);
    let journal = site.journals().remove(0);
    let lease = lease_of(&journal);
    let url = format!("unix://{}", proxy.socket().display());
    drop(proxy);
    for no in [&lease[..11], "", "../x", "0123456789ab", "*"] {
        forget(&site, no)
            .expect_code(125)
            .expect_said("cannot forget")
            .expect_said("nothing was changed");
        assert!(journal.exists(), "{no}");
    }
    let done = forget(&site, &lease);
    done.expect_code(0).expect_said("is forgotten");
    for (index, state) in services.states().into_iter().flatten().enumerate() {
        let line = format!("{}: docker --host {url} unpause {}\n", services.name(index), state.id);
        assert!(done.out.contains(&line) && state.status == "paused", "{line}: {}", done.out);
    }
    assert!(site.journals().is_empty());
    site.makeroom(["recover"]).run().expect_code(0).expect_said("nothing to recover");
    (0..2).for_each(|index| services.tell(index, "unpause"));
}

#[test]
fn a_lease_that_lives_or_shares_what_it_has_is_not_forgotten() {
    let site = Site::new();
    let (services, proxy) = (site.services(1), Proxy::start());
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    forget(&site, &lease_of(&site.journals()[0])).expect_code(125).expect_said("its holder lives");
    site.go();
    run.wait().expect_code(7);
    site.again();
    abandoned(&site, &services, &proxy);
    let journal = site.journals().remove(0);
    // A second one with the same target, as two runs that shared it leave.
    fs::copy(&journal, journal.with_file_name("0123456789ab.journal")).expect("copied");
    let done = forget(&site, &lease_of(&journal));
    done.expect_code(125)
        .expect_said(&format!("`{}` is another lease's as well", services.name(0)));
    assert_eq!(site.journals().len(), 2);
    site.makeroom(["recover"]).run().expect_code(0);
    assert!(services.are("running"));
}

#[test]
fn a_lease_whose_swap_is_active_is_not_forgotten_and_one_whose_area_is_off_names_the_file() {
    let turn = swap::turn();
    let site = Site::new();
    let area = turn.dir().join("an area");
    let mut run = site
        .makeroom([
            "--swap",
            &swap::more(16),
            "--swap-file",
            &area.display().to_string(),
            "sh",
            "-c",
            UNTIL_GO,
        ])
        .spawn();
    site.child();
    run.kill_with_keeper();
    let lease = lease_of(&site.journals()[0]);
    forget(&site, &lease)
        .expect_code(125)
        .expect_said("is active: `sudo swapoff` it first")
        .expect_said("nothing was changed");
    assert_eq!((turn.new_areas().len(), site.journals().len()), (1, 1));
    crate::support::must_run(std::process::Command::new("swapoff").arg(&area));
    let done = forget(&site, &lease);
    done.expect_code(0);
    assert!(done.out.contains(&format!("sudo rm '{}'", area.display())), "{}", done.out);
    assert!(area.exists() && site.journals().is_empty());
}
