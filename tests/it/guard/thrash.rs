//! The end of a build that thrashes, and what the guard is told and sees.

use std::fs;

use crate::support::{
    figures::Figures,
    makeroom::Run,
    process,
    site::{STUBBORN, Site, UNTIL_GO},
    wait_until,
};

use super::{FLOOR, LOW_MIB, PLENTY_MIB, guarded, report, wait_until_paused};

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_build_that_thrashes_with_no_step_left_is_ended_with_124_and_told_why() {
    let (site, figures) = (Site::new(), Figures::new(PLENTY_MIB));
    let services = site.services(1);
    let options = [
        "--report",
        "report.json",
        "--abort-on-thrash",
        "2s",
        "--then",
        &services.all(),
        "--grace",
        "300ms",
    ];
    let run = guarded(&site, &figures, &options).args(["sh", "-c", STUBBORN]).spawn();
    let child = site.child();
    figures.stalled(80);
    let done = run.wait();
    done.expect_code(124)
        .expect_said("1 more container paused")
        .expect_said("and no step is left: the build is ended");
    done.expect_said("build ended by --abort-on-thrash after")
        .expect_said("1 container running again");
    done.expect_said("thrashing for 2.").expect_said("though 1 step was taken");
    assert!(!process::runs(child) && services.are("running"));
    let told = report(&site);
    assert_eq!(
        (&told["verdict"]["kind"], &told["steps"][0]["cause"]),
        (&"thrash".into(), &"pressure".into()),
        "{told:#}"
    );
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn the_abort_needs_no_steps_and_a_build_that_only_fills_memory_is_not_ended() {
    let site = Site::at("/nonexistent/docker.sock".into());
    let figures = Figures::new(1);
    guarded(&site, &figures, &["--abort-on-thrash", "1s", "sleep", "3"]).run().expect_code(0);
    figures.stalled(100);
    let done = guarded(&site, &figures, &["--abort-on-thrash", "1s", "sleep", "60"]).run();
    done.expect_code(124).expect_said("memory had been thrashing for 1.");
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn without_psi_the_floor_still_counts_and_that_is_said_once_with_details() {
    let (site, figures) = (Site::new(), Figures::new(LOW_MIB));
    let services = site.services(2);
    let mut run = site.makeroom(["-v", "--method", "pause", "--floor", FLOOR]);
    // Two steps are two looks.
    run.args(["--then", services.name(0), "--then", services.name(1), "sh", "-c", UNTIL_GO]);
    let run = figures.over_without_pressure(&mut run).spawn();
    site.child();
    services.wait_until_all("paused");
    wait_until("it is said", || {
        run.written("err").matches("makeroom: 400 MiB available: 1 more container paused").count()
            == 2
    });
    site.go();
    let done = run.wait();
    done.expect_code(7);
    assert_eq!(done.err.matches("measures no pressure").count(), 1, "{}", done.err);
    let mut run = site.makeroom(["--abort-on-thrash", "1s", "sleep", "1"]);
    figures
        .over_without_pressure(&mut run)
        .run()
        .expect_code(0)
        .expect_said("--abort-on-thrash has nothing to go by");
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn a_repositorys_file_and_the_environment_may_ask_for_it() {
    let (site, figures) = (Site::new(), Figures::new(LOW_MIB));
    let services = site.services(2);
    let taken = |run: &mut Run, index: usize| {
        site.again();
        let run = figures.over(run).args(["sh", "-c", UNTIL_GO]).spawn();
        site.child();
        wait_until_paused(&services, index);
        site.go();
        run.wait().expect_code(7);
        assert!(services.are("running"));
    };
    let file = format!(
        "then = ['{}']\npressure = '5%'\nfloor = '{FLOOR}'\nabort_on_thrash = '1h'\n",
        services.name(0)
    );
    fs::write(site.work().join("makeroom.toml"), file).expect("written");
    taken(&mut site.makeroom(["--method", "pause"]), 0);
    let mut run = site.makeroom(["--method", "pause"]);
    run.env("MAKEROOM_THEN", services.name(1))
        .env("MAKEROOM_PRESSURE", "20")
        .env("MAKEROOM_FLOOR", "450MiB");
    taken(run.env("MAKEROOM_ABORT_ON_THRASH", "1h"), 1);
}
