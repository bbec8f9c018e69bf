//! A swapoff that fails for the moment, with the memory free that it would need: it is called again
//! within `--restore-timeout`, its keeper goes on behind the build's back, and a good build stays a
//! good one. What will not pass is said in swapoff's own words.

use std::fs;

use crate::{
    support::{process, services::Recipe, site::Site, swap, wait_until},
    swap_faults::{LONG, MEBIBYTES, Scene},
};

/// Fails as long as there is a file with these words.
const FAILING: &str = r#"#!/bin/sh
dir=${0%/bin/*}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
echo tried >>"$dir/tried"
if words=$(cat "$dir/words" 2>/dev/null); then echo "$words" >&2; exit 2; fi
exec swapoff "$@"
"#;
const NO_MEMORY: &str = "swapoff: ./area: swapoff failed: Cannot allocate memory";

fn scene() -> Scene {
    let scene = Scene::new(&[]);
    let _ = scene.site.program("swapoff", FAILING);
    scene
}

fn say(scene: &Scene, words: &str) {
    fs::write(scene.site.path("words"), format!("{words}\n")).expect("written");
}

fn tried(scene: &Scene) -> usize {
    fs::read_to_string(scene.site.path("tried")).map_or(0, |text| text.lines().count())
}

#[test]
fn a_swapoff_that_fails_for_a_moment_is_called_again_and_a_good_build_stays_a_good_one() {
    let _turn = swap::turn();
    for words in
        ["Cannot allocate memory", "Interrupted system call", "Resource temporarily unavailable"]
    {
        let scene = scene();
        say(&scene, &format!("swapoff: ./area: swapoff failed: {words}"));
        let run = scene.run(MEBIBYTES).args(["--strict", "true"]).spawn();
        wait_until("it has failed twice", || tried(&scene) >= 2);
        fs::remove_file(scene.site.path("words")).expect("removed");
        let done = run.wait();
        done.expect_code(0).expect_said("swap removed");
        assert!(!done.err.contains("swapoff"), "{}", done.err);
        scene.assert_nothing_left(words);
    }
}

#[test]
fn a_way_that_is_cut_while_swap_is_removed_is_gone_again() {
    let _turn = swap::turn();
    let scene = Scene::new(&[]);
    // The connection breaks under the first swapoff.
    let text = "#!/bin/sh\nrm -f \"$0\"; kill -KILL $PPID\n";
    let run = scene
        .run(MEBIBYTES)
        .args(["--strict", "sh", "-c", "while ! [ -e go ]; do sleep 0.02; done"])
        .spawn();
    wait_until("the area is there", || !scene.disk.areas().is_empty());
    let _ = scene.site.program("swapoff", text);
    scene.site.go();
    run.wait().expect_code(0).expect_said("swap removed");
    scene.assert_nothing_left("at once");
}

#[test]
fn what_is_not_off_in_time_is_said_and_its_keeper_takes_it_away_later() {
    let _turn = swap::turn();
    let scene = scene();
    say(&scene, NO_MEMORY);
    let done = scene.run(MEBIBYTES).args(["--strict", "--restore-timeout", "1s", "true"]).run();
    done.expect_code(0)
        .expect_said(&format!("is not off yet: {NO_MEMORY}; the keeper goes on trying"));
    assert_eq!(scene.disk.areas(), [scene.area()]);
    assert!(tried(&scene) > 2, "{} times", tried(&scene));
    let status = scene.site.makeroom(["status"]).run();
    assert!(status.out.contains("being given back"), "{}", status.out);
    // Whoever is asked meanwhile touches nothing.
    scene.site.makeroom(["recover"]).run().expect_said("another process is putting back");
    fs::remove_file(scene.site.path("words")).expect("removed");
    wait_until("the keeper is done", || scene.site.keepers().is_empty());
    scene.assert_nothing_left("once it could be done");
}

#[test]
fn a_keeper_that_is_told_to_end_leaves_the_area_recorded_for_recover() {
    let _turn = swap::turn();
    let scene = scene();
    say(&scene, NO_MEMORY);
    scene.run(MEBIBYTES).args(["--restore-timeout", "1s", "true"]).run().expect_code(0);
    for keeper in scene.site.keepers() {
        process::signal(keeper, libc::SIGTERM);
    }
    wait_until("the keeper is gone", || scene.site.keepers().is_empty());
    assert_eq!(scene.disk.areas(), [scene.area()]);
    let early = scene.site.makeroom(["recover", "--restore-timeout", "1s"]).limit(LONG).run();
    early.expect_code(125).expect_said(&format!("stays: {NO_MEMORY}"));
    fs::remove_file(scene.site.path("words")).expect("removed");
    scene.recover_removes_swap();
    scene.assert_nothing_left("after recover");
}

#[test]
fn what_will_not_pass_is_said_in_swapoffs_own_words_and_not_tried_again() {
    let _turn = swap::turn();
    let scene = scene();
    let words = "swapoff: ./area: swapoff failed: Operation not permitted";
    say(&scene, words);
    let done = scene.run(MEBIBYTES).args(["--strict", "true"]).run();
    done.expect_code(125).expect_said(&format!("stays: {words}")).expect_said("makeroom recover");
    assert_eq!(tried(&scene), 1);
    fs::remove_file(scene.site.path("words")).expect("removed");
    scene.recover_removes_swap();
    scene.assert_nothing_left("after recover");
}

#[test]
fn twelve_good_builds_beside_busy_services_are_twelve_good_builds() {
    let turn = swap::turn();
    let site = Site::new();
    let large = site.hogs(&Recipe::busy_hog(100, 20), 1);
    let small = site.hogs(&Recipe::busy_hog(60, 20), 1);
    let area = turn.dir().join("area");
    for run in 0..12 {
        let mut makeroom = site.makeroom(["--strict", "--swap", &swap::more(512), "--swap-file"]);
        makeroom.args([&area]).args(["--pause", &large.all(), "--pause", &small.all()]);
        let done = makeroom.args(["sleep", "0.3"]).limit(LONG).run();
        done.expect_code(0).expect_said("swap removed");
        assert!(!area.exists() && turn.new_areas().is_empty(), "run {run}");
    }
}
