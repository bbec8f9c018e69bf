//! What gains nothing is not done: a service whose memory cannot be pushed out is stopped instead of
//! paused where it may be, and left alone otherwise, each with the reason; `plan` says the same. What
//! somebody else has paused keeps its state and gives its memory. Each test has the machine's swap to
//! itself.

use serde_json::json;

use crate::support::{
    api,
    cgroup::{held_bytes, is_v1},
    disk::Disk,
    dockerd::engine,
    makeroom::Run,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    swap,
};

const MIB: u64 = 1 << 20;

/// A run with enough swap for these.
fn building(site: &Site, disk: &Disk, services: &[&Services], options: &[&str]) -> Run {
    let mut run = site.makeroom(options);
    run.args(services.iter().flat_map(|services| ["--pause".to_owned(), services.all()]));
    let dir = disk.path("swap");
    std::fs::create_dir_all(&dir).expect("a directory");
    run.args(["--swap", &swap::more(300), "--swap-file"]).args([dir.join("area")]);
    run
}

/// One that the kernel may not swap, by its settings, and why.
fn may_not_swap() -> (Recipe, &'static str) {
    if is_v1() {
        (Recipe::hog(50).host("MemorySwappiness", json!(0)), "its swappiness is 0")
    } else {
        let limit = json!(200 * MIB);
        let recipe = Recipe::hog(50).host("Memory", limit.clone()).host("MemorySwap", limit);
        (recipe, "it may not use swap (memory.swap.max is 0)")
    }
}

#[test]
fn what_cannot_be_swapped_is_stopped_or_left_alone_and_said_and_plan_says_the_same() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 600), Site::new());
    let (may_not, reason) = may_not_swap();
    let locked_why = "its memory is locked (mlock)";
    let willing = site.hogs(&Recipe::hog(50), 1);
    let unswappable = site.hogs(&may_not, 1);
    let locked = site.hogs(&Recipe::hold(50), 1);
    let kept = site.hogs(&Recipe::hold(50).auto_remove(), 1);
    let services = [&willing, &unswappable, &locked, &kept];
    let before = [&willing, &kept].map(Services::states);
    let plan = building(&site, &disk, &services, &["plan"]).run();
    let row = |services: &Services| {
        let row = plan.out.lines().find(|line| line.starts_with(services.name(0)));
        row.unwrap_or_else(|| panic!("no {} in:\n{}", services.name(0), plan.out)).to_owned()
    };
    assert!(row(&willing).contains("pause, + "), "{}", plan.out);
    for stopped in [&unswappable, &locked] {
        assert!(row(stopped).contains("stop, + "), "{}", plan.out);
    }
    assert!(row(&kept).contains(&format!("left alone: {locked_why}; the engine removes it")));
    let run = building(&site, &disk, &services, &[]).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(willing.are("paused") && kept.are("running"));
    assert!(unswappable.are("exited") && locked.are("exited"));
    site.go();
    let done = run.wait();
    done.expect_code(7).expect_said("1 container paused, 2 containers stopped");
    for (service, why) in [(&unswappable, reason), (&locked, locked_why)] {
        let name = service.name(0);
        done.expect_said(&format!("`{name}` is stopped, a pause would free nothing: {why}"));
    }
    done.expect_said(&format!(
        "`{}` is left alone: a pause would free nothing ({locked_why}), and it is not stopped: the engine removes it when it ends (--rm)",
        kept.name(0)
    ));
    assert!(services.iter().all(|services| services.are("running")));
    assert_eq!([&willing, &kept].map(Services::states), before);
}

#[test]
fn a_method_pause_pauses_all_the_same_and_nothing_given_back_by_the_only_target_fails_with_strict()
{
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 600), Site::new());
    let (may_not, reason) = may_not_swap();
    for (recipe, why) in [(may_not, reason), (Recipe::hold(50), "its memory is locked (mlock)")] {
        let service = site.hogs(&recipe, 1);
        let before = service.states();
        site.again();
        let pausing = ["--method", "pause"];
        let run =
            building(&site, &disk, &[&service], &pausing).args(["sh", "-c", UNTIL_GO]).spawn();
        site.child();
        assert!(service.are("paused"));
        site.go();
        let says = format!("`{}` gave back nothing: {why}", service.name(0));
        run.wait().expect_code(7).expect_said("1 container paused").expect_said(&says);
        let strict = ["--strict", "--method", "pause"];
        let done = building(&site, &disk, &[&service], &strict).args(["true"]).run();
        done.expect_code(125).expect_said(&says).expect_said("the command was not started");
        assert_eq!(service.states(), before);
    }
    // Left alone, it is room that was asked for and not had.
    let kept = site.hogs(&Recipe::hold(50).auto_remove(), 1);
    building(&site, &disk, &[&kept], &["--strict"]).args(["true"]).run().expect_code(125);
    // One that gives all that it has does not fail, nor does it when that is out already.
    let willing = site.hogs(&Recipe::hog(50), 1);
    building(&site, &disk, &[&willing], &["--strict"]).args(["true"]).run().expect_code(0);
}

#[test]
fn without_swap_the_only_one_that_is_paused_by_wish_gives_nothing_and_fails_with_strict() {
    let _turn = swap::turn();
    if !swap::areas().is_empty() {
        eprintln!("SKIPPED: this test needs a machine without active swap");
        return;
    }
    let site = Site::new();
    let service = site.hogs(&Recipe::hog(50), 1);
    let words = ["--method", "pause", "--swap", "off", "--pause", &service.all()];
    let says = format!("`{}` gave back nothing: there is no free swap", service.name(0));
    site.makeroom(words).args(["true"]).run().expect_code(0).expect_said(&says);
    site.makeroom(words).args(["--strict", "true"]).run().expect_code(125);
    assert!(service.are("running"));
}

#[test]
fn what_somebody_else_has_paused_stays_so_and_gives_its_memory() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 600), Site::new());
    let service = site.hogs(&Recipe::hog(70), 1);
    let name = service.name(0);
    api::must(&engine().socket(), "POST", &format!("/containers/{name}/pause"), None);
    let state = service.state(0).expect("there");
    let plan = building(&site, &disk, &[&service], &["plan"]).run();
    let row = plan.out.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert!(row.contains("paused already, + 7"), "{}", plan.out);
    let run =
        building(&site, &disk, &[&service], &["--strict"]).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(held_bytes(&state) < 10 * MIB, "{} MiB are left", held_bytes(&state) / MIB);
    let journals = site.journals();
    let journal = std::fs::read_to_string(&journals[0]).expect("a journal");
    assert!(!journal.contains(name), "nothing of it is recorded: {journal}");
    site.go();
    let done = run.wait();
    done.expect_code(7)
        .expect_said(&format!("`{name}` was paused by somebody else and stays so"))
        .expect_said(&format!("`{name}`, paused by somebody else, gave back 7"))
        .expect_said("given back");
    assert_eq!(service.state(0), Some(state), "it is paused still");
    // Out already, it has nothing more to give, which is no failure.
    let again = building(&site, &disk, &[&service], &["--strict"]).args(["true"]).run();
    again.expect_code(0);
    api::must(&engine().socket(), "POST", &format!("/containers/{name}/unpause"), None);
}

#[test]
fn what_cannot_be_pushed_out_is_not_stopped_where_others_live_in_it() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 600), Site::new());
    let vpn = site.hogs(&Recipe::hold(50).host("NetworkMode", json!("none")), 1);
    let mode = json!(format!("container:{}", vpn.name(0)));
    let app = site.start(&Recipe::default().host("NetworkMode", mode), 1);
    let before = [&vpn, &app].map(Services::states);
    let words = format!("`{}` lives in its network", app.name(0));
    let plan = building(&site, &disk, &[&vpn], &["plan"]).run();
    let row = plan.out.lines().find(|line| line.starts_with(vpn.name(0))).unwrap_or_default();
    assert!(row.contains(&format!("left alone: {words}")), "{}", plan.out);
    let done = building(&site, &disk, &[&vpn], &[]).args(["true"]).run();
    done.expect_code(0).expect_said(&format!("`{}` is left alone: {words}", vpn.name(0)));
    assert!(!done.err.contains("is stopped"), "{}", done.err);
    assert_eq!([&vpn, &app].map(Services::states), before, "neither was touched");
}
