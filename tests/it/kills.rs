//! Both of makeroom's processes killed at each call to the engine, before it and after it: whoever
//! is left, or comes later, brings everything back.

use std::{thread, time::Duration};

use crate::support::{
    makeroom::wait_until_gone,
    process,
    proxy::{Moment, Proxy},
    services::Services,
    site::Site,
    wait_within,
};

/// The services of each.
const COUNT: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Supervisor,
    Keeper,
    Both,
}

/// Kills at every call of a run: before and after each pause and each unpause.
fn kill_at_every_call(victim: Victim) {
    // All at once: what a dead keeper sent may still come for half a minute, and is waited for.
    thread::scope(|scope| {
        for verb in ["pause", "unpause"] {
            for nth in 1..=COUNT {
                for moment in [Moment::Before, Moment::After] {
                    scope.spawn(move || {
                        let services = Site::new().services(COUNT);
                        let before = services.states();
                        kill_at(&services, victim, verb, nth, moment);
                        assert_eq!(
                            services.states(),
                            before,
                            "{victim:?} killed {moment:?} {verb} {nth}"
                        );
                    });
                }
            }
        }
    });
}

fn kill_at(services: &Services, victim: Victim, verb: &'static str, nth: usize, moment: Moment) {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let held = proxy.hold(verb, nth, moment);
    let mut run = site.makeroom(["--pause", &services.all(), "true"]).spawn();
    held.wait();
    let keeper = run.keeper();
    match victim {
        Victim::Supervisor => {
            run.kill();
            held.release();
            wait_until_gone(Duration::from_mins(1), "the keeper", &[keeper]);
        }
        Victim::Keeper => {
            process::signal(keeper, libc::SIGKILL);
            held.release();
            run.wait().expect_code(0);
        }
        Victim::Both => {
            run.kill_with_keeper();
            held.release();
        }
    }
    site.makeroom(["recover"]).limit(Duration::from_mins(1)).run().expect_code(0);
    wait_within(Duration::from_mins(1), "nothing is recorded", || site.journals().is_empty());
}

#[test]
fn all_run_in_the_end_wherever_the_supervisor_is_killed() {
    kill_at_every_call(Victim::Supervisor);
}

#[test]
fn all_run_in_the_end_wherever_the_keeper_is_killed() {
    kill_at_every_call(Victim::Keeper);
}

#[test]
fn all_run_in_the_end_wherever_both_are_killed() {
    kill_at_every_call(Victim::Both);
}

#[test]
fn a_pause_of_a_dead_keeper_that_comes_late_is_undone_though_the_next_keeper_got_a_409_for_its_own()
{
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    let (late, own) =
        (proxy.hold("pause", 1, Moment::Before), proxy.hold("pause", 2, Moment::Before));
    let run = site.makeroom(["--pause", &services.all(), "true"]).spawn();
    late.wait();
    process::signal(run.keeper(), libc::SIGKILL);
    own.wait();
    late.release();
    assert!(services.are("paused"));
    own.release();
    run.wait().expect_code(0);
    assert!(services.are("running"), "{:?}", services.statuses());
}

#[test]
fn a_keeper_that_is_told_to_end_while_it_makes_room_holds_no_build_up() {
    for (strict, code) in [(None, 7), (Some("--strict"), 125)] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let services = site.services(2);
        let held = proxy.hold("pause", 1, Moment::Before);
        let mut run = site.makeroom(strict);
        let run = run.args(["--pause", &services.all(), "sh", "-c", "exit 7"]).spawn();
        held.wait();
        process::signal(run.keeper(), libc::SIGTERM);
        held.release();
        run.wait().expect_code(code).expect_said("the keeper was told to end");
        assert!(services.are("running"), "{:?}", services.statuses());
        assert!(site.journals().is_empty(), "{:?}", site.journals());
    }
}
