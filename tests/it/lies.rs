//! An engine that says what no engine should: states that nobody knows, containers without an id,
//! no time of a start, answers without an end. What it says of one container costs no other one;
//! what is not known is neither somebody else's nor gone; and nothing is read without a limit.

use std::{
    io,
    net::{Shutdown, TcpListener},
    os::unix::net::UnixStream,
    path::PathBuf,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    proxy::{Deed, Proxy},
    site::{Site, UNTIL_GO},
};

const MIB: u64 = 1 << 20;

/// Containers that are no reason not to read the others.
fn odd_ones(list: &mut Value) {
    let odd = [
        json!({ "Id": "a".repeat(64), "Names": ["/odd-stopping"], "State": "stopping" }),
        json!({ "Id": "b".repeat(64), "Names": ["/odd-new"], "State": "hibernating", "Health": { "Status": "dizzy" } }),
        json!({ "Id": "c".repeat(64), "Names": null, "Labels": null, "State": null, "Ports": [{ "Type": "quic" }] }),
        json!({ "Id": "d".repeat(64), "Names": ["/odd-mount"], "State": "running", "Mounts": [{ "Type": "teleport" }] }),
    ];
    list.as_array_mut().expect("a list").splice(0..0, odd);
}

fn nameless_ones(list: &mut Value) {
    let broken = [json!(null), json!({ "Id": null, "Names": ["/odd-nameless"] })];
    list.as_array_mut().expect("a list").splice(0..0, broken);
}

#[test]
fn one_container_in_a_state_that_nobody_knows_costs_none_of_the_others() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let before = services.states();
    proxy.on("list", None, Deed::Change(odd_ones));
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
    site.go();
    let done = run.wait();
    done.expect_code(7);
    assert!(!done.err.contains("warning"), "nobody meant the odd ones: {}", done.err);
    assert_eq!(services.states(), before);
}

#[test]
fn containers_that_cannot_be_read_are_said_in_one_line_and_left_alone() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    proxy.on("list", None, Deed::Change(nameless_ones));
    let run = site
        .makeroom(["--pause", &services.all(), "--pause", "odd-*", "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    assert!(services.are("paused"));
    site.go();
    let done = run.wait();
    done.expect_code(7).expect_said(
        "the engine lists 2 containers without an id, and they are left alone: `odd-nameless`",
    );
    done.expect_said("no container matches `odd-*`");
    assert!(services.are("running"));
    site.makeroom(["doctor"]).run().expect_code(1);
}

#[test]
fn a_target_whose_inspection_has_values_that_nobody_knows_is_taken_and_put_back() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let before = services.states();
    proxy.on(
        "inspect",
        None,
        Deed::Change(|whole| {
            whole["State"]["Status"] = json!("winding-down");
            whole["State"]["Health"] = json!({ "Status": "dizzy", "Log": 1 });
            whole["HostConfig"]["RestartPolicy"] = json!({ "Name": "sometimes" });
            whole["Mounts"] = json!([{ "Type": "teleport" }]);
            whole["NetworkSettings"] = json!(7);
        }),
    );
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
    site.go();
    run.wait().expect_code(7).expect_said("2 containers running again");
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty());
}

type Lie = fn(&mut Value);

/// What an inspection leaves out or says wrongly once. Each is said at each of the looks of a run
/// in turn.
const ONCE: [(&str, Lie); 8] = [
    ("an empty start", |whole| whole["State"]["StartedAt"] = json!("")),
    ("never started", |whole| whole["State"]["StartedAt"] = json!("0001-01-01T00:00:00Z")),
    ("no start", |whole| whole["State"]["StartedAt"] = json!(null)),
    ("no state", |whole| whole["State"] = json!(null)),
    ("no flags", |whole| whole["State"]["Paused"] = json!(null)),
    ("a negative pid", |whole| whole["State"]["Pid"] = json!(-1)),
    ("another id", |whole| whole["Id"] = json!("e".repeat(64))),
    ("dead", |whole| whole["State"]["Status"] = json!("dead")),
];

#[test]
fn whatever_an_engine_leaves_out_at_one_look_nothing_stays_paused_or_stopped() {
    let sites: Vec<_> = ["pause", "stop"]
        .into_iter()
        .flat_map(|method| ONCE.map(|(what, lie)| (method, what, lie)))
        .collect();
    std::thread::scope(|scope| {
        for (method, what, lie) in sites {
            scope.spawn(move || {
                for look in 1..=5 {
                    let proxy = Proxy::start();
                    let site = Site::behind(&proxy);
                    let services = site.services(1);
                    proxy.on("inspect", Some(look), Deed::Change(lie));
                    // Sixteen of them stop and start at once.
                    let mut run = site.makeroom([
                        "--method",
                        method,
                        "--pause",
                        &services.all(),
                        "sh",
                        "-c",
                        "exit 7",
                    ]);
                    let done = run.limit(Duration::from_mins(1)).run();
                    done.expect_code(7);
                    assert!(
                        services.are("running"),
                        "{what} at look {look} of {method}: {:?}\n{}",
                        services.statuses(),
                        done.err
                    );
                    assert!(site.journals().is_empty(), "{what} at look {look} of {method}");
                }
            });
        }
    });
}

#[test]
fn a_start_that_is_not_known_when_it_is_put_back_is_nobody_elses() {
    for method in ["pause", "stop"] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let services = site.services(4);
        let run = site
            .makeroom(["--method", method, "--pause", &services.all(), "sh", "-c", UNTIL_GO])
            .spawn();
        site.child();
        proxy.on("inspect", None, Deed::Change(|whole| whole["State"]["StartedAt"] = json!("")));
        site.go();
        run.wait().expect_code(7).expect_said("4 containers running again");
        assert!(services.are("running"), "{:?}", services.statuses());
        assert!(site.journals().is_empty());
    }
}

#[test]
fn a_target_whose_start_is_never_known_is_not_taken_and_that_is_said() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(1);
    proxy.on(
        "inspect",
        None,
        Deed::Change(|whole| whole["State"]["StartedAt"] = json!("0001-01-01T00:00:00Z")),
    );
    let run = site.makeroom(["--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(services.are("running"));
    site.go();
    let done = run.wait();
    done.expect_code(7);
    done.expect_said(&format!(
        "`{}` is left alone: the engine does not say when it was started",
        services.name(0)
    ));
    let strict = site.makeroom(["--strict", "--pause", &services.all(), "touch", "ran"]).run();
    strict.expect_code(125).expect_said("does not say when it was started");
}

#[test]
fn what_cannot_be_told_when_it_is_put_back_is_kept_and_said_and_mended_later() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let before = services.states();
    let mut run = site.makeroom([
        "--restore-timeout",
        "1s",
        "--pause",
        &services.all(),
        "sh",
        "-c",
        UNTIL_GO,
    ]);
    let run = run.spawn();
    site.child();
    proxy.on(
        "inspect",
        None,
        Deed::Change(|whole| whole["State"] = json!({ "Status": "somewhere" })),
    );
    site.go();
    let done = run.wait();
    done.expect_code(7)
        .expect_said("NOT running again")
        .expect_said("it does not say whether the container runs");
    assert!(services.are("paused") && site.journals().len() == 1);
    proxy.forget();
    site.makeroom(["recover"]).run().expect_code(0);
    assert_eq!(services.states(), before);
    assert!(site.journals().is_empty());
}

/// Without an end, as far as anybody reads.
const ENDLESS: u64 = 1 << 40;

#[test]
fn an_answer_without_an_end_is_refused_and_not_read_into_memory() {
    const GAP: &str = "                                ";
    for (call, status, first) in [
        ("ping", 200, ""),
        ("list", 200, "["),
        ("list", 500, "{\"message\":\""),
        ("inspect", 200, "{"),
        ("inspect", 404, "{\"message\":\""),
        ("pause", 500, "{\"message\":\""),
        ("unpause", 500, "{\"message\":\""),
    ] {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let services = site.services(1);
        proxy.on(call, Some(1), Deed::Flood(status, first, GAP, ENDLESS));
        let mut run = site.makeroom(["--pause", &services.all(), "sh", "-c", "exit 7"]);
        let done = run.limit(Duration::from_mins(1)).run();
        done.expect_code(7);
        // What is in a socket's buffers was taken as well.
        assert!(
            proxy.flooded() < 80 * MIB,
            "{call} {status}: {} MiB were read",
            proxy.flooded() / MIB
        );
        if call == "list" || call == "pause" {
            done.expect_said("the engine's answer is refused: it is larger than 64 MiB");
        }
        assert!(services.are("running"), "{call} {status}: {:?}", services.statuses());
        assert!(site.journals().is_empty(), "{call} {status}");
    }
}

/// A port of this machine behind which this socket is, for as long as the test process lives.
fn port_before(socket: PathBuf) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(engine) = UnixStream::connect(&socket) else { return };
            let (mut from, mut to) = (
                client.try_clone().expect("a descriptor"),
                engine.try_clone().expect("a descriptor"),
            );
            thread::spawn(move || {
                io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Write))
            });
            let (mut from, mut to) = (engine, client);
            // Who has read enough closes its end, and the other end learns of it.
            thread::spawn(move || {
                io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Both))
            });
        }
    });
    port
}

#[test]
fn an_engine_over_tcp_is_asked_like_any_other_and_read_no_further() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let before = services.states();
    let url = format!("tcp://127.0.0.1:{}", port_before(proxy.socket()));
    let pause = ["--engine", &url, "--vm-shell", "env", "--pause", &services.all()];
    let run = site.makeroom(pause).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
    site.go();
    run.wait().expect_code(7).expect_said("2 containers running again");
    assert_eq!(services.states(), before);
    proxy.on("list", None, Deed::Flood(200, "[", "                ", ENDLESS));
    let done = site.makeroom(pause).args(["true"]).limit(Duration::from_mins(1)).run();
    done.expect_code(0).expect_said("the engine's answer is refused: it is larger than 64 MiB");
}

#[test]
fn an_event_without_an_end_is_not_read_and_costs_nothing_but_itself() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    let services = site.services(2);
    let before = services.states();
    proxy.on("events", None, Deed::Flood(200, "{\"Action\":\"", "xxxxxxxxxxxxxxxx", ENDLESS));
    let run = site.makeroom(["-v", "--pause", &services.all(), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    crate::support::wait_until("three connections for events were made", || {
        proxy.seen("events") >= 3
    });
    assert!(services.are("paused"));
    assert!(proxy.flooded() < 20 * MIB, "{} MiB were read", proxy.flooded() / MIB);
    site.go();
    run.wait().expect_code(7);
    assert_eq!(services.states(), before);
}

#[test]
fn ten_thousand_warnings_of_a_kind_are_twenty_and_a_number() {
    let site = Site::new();
    let mut run = site.makeroom((0..10_000).map(|number| format!("--pause=absent-{number}")));
    let done = run.args(["true"]).limit(Duration::from_mins(1)).run();
    done.expect_code(0)
        .expect_said("no container matches `absent-19`")
        .expect_said("… and 9,980 more of this kind");
    assert!(done.err.lines().count() < 30, "{} lines", done.err.lines().count());
    let plan = site
        .makeroom(["plan"])
        .args((0..10_000).map(|number| format!("--pause=absent-{number}")))
        .limit(Duration::from_mins(1))
        .run();
    assert!(
        plan.out.contains("warning: … and 9,980 more of this kind")
            && plan.out.lines().count() < 100,
        "{}",
        plan.out
    );
}
