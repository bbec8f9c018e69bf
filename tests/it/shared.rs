//! What lives in the namespaces of a target is never cut off: that target is stopped together with
//! it, and started before it, or not at all.

use std::fs;

use serde_json::json;

use crate::support::{
    proxy::{Deed, Proxy},
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    swap, wait_for_line,
};

/// The three modes with which one can live in another one.
const NAMESPACES: [(&str, &str, &str); 3] = [
    ("NetworkMode", "net", "lives in its network"),
    ("PidMode", "pid", "lives in its pid namespace"),
    ("IpcMode", "ipc", "lives in its ipc namespace"),
];

/// One of whose namespaces others may make use.
fn owner(site: &Site) -> Services {
    site.start(
        &Recipe::default().host("NetworkMode", json!("none")).host("IpcMode", json!("shareable")),
        1,
    )
}

/// One that lives in this namespace of that one.
fn living(site: &Site, mode: &str, owner: &Services) -> Services {
    let recipe = Recipe::default().host("NetworkMode", json!("none"));
    site.start(&recipe.host(mode, json!(format!("container:{}", owner.name(0)))), 1)
}

/// Which namespace of this sort the first process of it is in.
fn namespace(of: &Services, sort: &str) -> String {
    let pid = of.state(0).expect("it is there").pid;
    let link = fs::read_link(format!("/proc/{pid}/ns/{sort}")).expect("it runs");
    link.to_string_lossy().into_owned()
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "namespaces are seen on Linux only")]
fn what_others_live_in_is_not_stopped_without_them_and_the_line_to_type_is_said() {
    for (mode, sort, words) in NAMESPACES {
        let site = Site::new();
        let vpn = owner(&site);
        let app = living(&site, mode, &vpn);
        let before = (vpn.states(), app.states());
        let stop = ["--method", "stop", "--pause", vpn.name(0)];
        let done = site.makeroom(stop).args(["true"]).run();
        let line = format!("`{}` is left alone: `{}` {words}", vpn.name(0), app.name(0));
        done.expect_code(0).expect_said(&line).expect_said("nothing paused").expect_said(&format!(
            "hint: --pause {} --pause {} stops them together",
            vpn.name(0),
            app.name(0)
        ));
        site.makeroom(stop).args(["--strict", "true"]).run().expect_code(125).expect_said(&line);
        let kept = ["--pause", app.name(0), "--keep", app.name(0)];
        let done = site.makeroom(stop).args(kept).args(["true"]).run();
        done.expect_code(0).expect_said("would cut it off for good (it is kept)");
        let plan = site.makeroom(["plan"]).args(stop).run();
        plan.expect_code(0);
        let planned = format!("`{}` would be left alone: `{}` {words}", vpn.name(0), app.name(0));
        assert!(plan.out.contains(&planned), "{}", plan.out);
        assert_eq!((vpn.states(), app.states()), before, "{mode}");
        assert_eq!(namespace(&vpn, sort), namespace(&app, sort));
        // It is frozen like any other.
        let frozen = ["--method", "pause", "--pause", vpn.name(0), "true"];
        site.makeroom(frozen).run().expect_code(0).expect_said("1 container paused");
        assert_eq!((vpn.states(), app.states()), before, "{mode}");
    }
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "namespaces are seen on Linux only")]
fn where_all_are_selected_they_are_stopped_together_and_share_it_again_afterwards() {
    for (mode, sort, _) in NAMESPACES {
        for is_killed in [false, true] {
            let site = Site::new();
            let vpn = owner(&site);
            let app = living(&site, mode, &vpn);
            // An engine has nobody live in the ipc namespace of one that does so itself.
            let deeper = (mode != "IpcMode").then(|| living(&site, mode, &app));
            let all: Vec<&Services> = [&app, &vpn].into_iter().chain(&deeper).collect();
            let select = all.iter().flat_map(|one| ["--pause", one.name(0)]);
            let words = ["--method", "stop"].into_iter().chain(select);
            let mut run = site.makeroom(words).args(["sh", "-c", UNTIL_GO]).spawn();
            site.child();
            // In their own time: nobody is killed with the one that it lives in.
            for one in &all {
                let now = one.state(0).expect("it is there");
                assert_eq!((now.status.as_str(), now.exit_code), ("exited", 0), "{mode}");
            }
            if is_killed {
                run.kill_with_keeper();
                site.makeroom(["recover"]).run().expect_code(0);
            } else {
                site.go();
                let said = format!("{} containers running again", all.len());
                run.wait().expect_code(7).expect_said(&said);
            }
            for one in &all {
                assert!(one.are("running"), "{mode}: {:?}", one.statuses());
                assert_eq!(namespace(one, sort), namespace(&vpn, sort), "{mode}");
            }
            assert!(site.journals().is_empty());
        }
    }
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "namespaces are seen on Linux only")]
fn one_that_does_not_stop_keeps_what_it_lives_in_running() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let vpn = owner(&site);
    let app = living(&site, "NetworkMode", &vpn);
    let before = (vpn.states(), app.states());
    proxy.on("stop", Some(1), Deed::Answer(409, "{\"message\":\"no\"}"));
    let all = ["--method", "stop", "--pause", vpn.name(0), "--pause", app.name(0), "true"];
    let done = site.makeroom(all).run();
    done.expect_code(0).expect_said(&format!("cannot stop `{}`", app.name(0)));
    done.expect_said(&format!(
        "`{}` is not stopped: `{}`, which lives in it, runs on",
        vpn.name(0),
        app.name(0)
    ));
    assert_eq!((vpn.states(), app.states()), before);
    assert_eq!(proxy.seen("stop"), 1);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "swap is seen on Linux only")]
fn auto_never_stops_what_others_live_in() {
    let turn = swap::turn();
    if !swap::areas().is_empty() {
        return;
    }
    let area = turn.dir().join("swapfile").to_string_lossy().into_owned();
    let more = swap::more(16);
    for (options, words) in [
        // Without swap a pause gives nothing, and a stop is what would be done otherwise.
        (&["--swap", "off"][..], "is left alone"),
        // It is short for both.
        (&["--swap", &more, "--swap-file", &area], "is paused and not stopped"),
    ] {
        let site = Site::new();
        let vpn = site.hogs(&Recipe::hog(30).host("NetworkMode", json!("none")), 1);
        let app = living(&site, "NetworkMode", &vpn);
        let before = vpn.states();
        let select = ["--pause", vpn.name(0), "--pause", app.name(0), "true"];
        let done = site.makeroom(options).args(select).run();
        done.expect_code(0).expect_said(&format!("`{}` {words}: `{}`", vpn.name(0), app.name(0)));
        assert_eq!(vpn.states(), before, "{options:?}");
        assert!(app.are("running"));
    }
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "namespaces are seen on Linux only")]
fn a_run_that_shares_what_is_stopped_shares_who_lives_in_it_as_well() {
    for keeps in [false, true] {
        let site = Site::new();
        let vpn = owner(&site);
        let app = living(&site, "NetworkMode", &vpn);
        let both = ["--method", "stop", "--pause", vpn.name(0), "--pause", app.name(0)];
        let first = site.makeroom(both).args(["sh", "-c", UNTIL_GO]).spawn();
        site.child();
        let script = "echo $$ >second; while ! [ -e end ]; do sleep 0.02; done";
        let mut second = site.makeroom(["--method", "stop", "--pause", vpn.name(0)]);
        if keeps {
            second.args(["--keep", app.name(0)]);
        }
        let second = second.args(["sh", "-c", script]).spawn();
        wait_for_line(&site.work().join("second"));
        site.go();
        first.wait().expect_code(7);
        let expected = if keeps { "running" } else { "exited" };
        assert!(
            vpn.are(expected) && app.are(expected),
            "{:?} {:?}",
            vpn.statuses(),
            app.statuses()
        );
        fs::write(site.work().join("end"), "").expect("written");
        let done = second.wait();
        if keeps {
            done.expect_said("is not shared with the run that has stopped it");
        } else {
            done.expect_said("2 containers running again");
        }
        assert!(vpn.are("running") && app.are("running"));
        assert_eq!(namespace(&vpn, "net"), namespace(&app, "net"));
    }
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "namespaces are seen on Linux only")]
fn others_are_looked_at_only_where_something_is_to_be_stopped() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let (services, _others) = (site.services(2), site.services(3));
    let looks = |method: &str| {
        let before = proxy.seen("inspect");
        let select = ["--method", method, "--pause", &services.all(), "true"];
        site.makeroom(select).run().expect_code(0);
        proxy.seen("inspect") - before
    };
    // Two before each is taken, and two when it is brought back.
    assert_eq!(looks("pause"), 8);
    assert!(looks("stop") >= 8 + 3);
    assert!(services.are("running"));
}
