//! Who restarts what the engine calls unhealthy: beside the targets they are named with the remedy,
//! among them they come back when the engine calls the others healthy again.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::json;

use crate::support::{
    api,
    dockerd::engine,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    wait_until,
};

/// A container that is the enforcer as far as anybody can see: while it runs and is not paused, what
/// the engine calls unhealthy is restarted, by a thread of the test in its place.
struct Enforcer<'a> {
    own: Services,
    others: &'a Services,
}

impl Enforcer<'_> {
    fn play<T>(&self, act: impl FnOnce() -> T) -> T {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    for index in 0..self.others.count() {
                        if self.own.are("running") && health(self.others.name(index)) == "unhealthy"
                        {
                            self.others.tell(index, "restart?t=1");
                        }
                    }
                    thread::sleep(Duration::from_millis(100));
                }
            });
            let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            is_over.store(true, Ordering::SeqCst);
            acted.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

fn health(name: &str) -> String {
    let path = format!("/containers/{name}/json");
    let answer = api::must(&engine().socket(), "GET", &path, None).json();
    answer["State"]["Health"]["Status"].as_str().unwrap_or_default().to_owned()
}

fn patients(site: &Site, count: usize) -> Services {
    let check =
        json!({ "Test": ["CMD", "/bin/true"], "Interval": 3_000_000_000_u64, "Retries": 1 });
    let services = site.start(&Recipe::default().field("Healthcheck", check), count);
    wait_until("all are healthy", || {
        (0..count).all(|index| health(services.name(index)) == "healthy")
    });
    services
}

/// A container with what is at this place on the host in it, and with these words in its command.
fn watcher(site: &Site, mount: &str, words: &str) -> Services {
    let script = format!("# {words}\ntrap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done");
    let bind = json!([format!("{mount}:/engine")]);
    site.start(&Recipe::default().script(&script).host("Binds", bind), 1)
}

fn socket() -> String {
    engine().socket().display().to_string()
}

fn starts(services: &Services) -> Vec<String> {
    services.states().into_iter().map(|state| state.expect("there").started_at).collect()
}

#[test]
fn one_beside_the_targets_is_named_with_the_remedy_and_remembered() {
    let site = Site::new();
    let services = patients(&site, 2);
    let own = watcher(&site, &socket(), "it heals");
    let enforcer = Enforcer { own, others: &services };
    let name = enforcer.own.name(0).to_owned();
    enforcer.play(|| {
        let mut run = site.makeroom(["--method", "pause", "--pause", &services.all()]);
        let run = run.args(["sh", "-c", UNTIL_GO]).spawn();
        site.child();
        wait_until("the remedy is said", || run.written("err").contains("select it as well"));
        site.go();
        let done = run.wait();
        done.expect_code(7)
            .expect_said(&format!("`{name}` holds the engine's socket, and may be what restarts"))
            .expect_said(&format!("select it as well: --pause {name}; it comes back last"));
        site.again();
        wait_until("all are healthy", || {
            (0..2).all(|index| health(services.name(index)) == "healthy")
        });
        // It was seen to restart targets, so it waits for them.
        let before = starts(&services);
        let all = [services.all(), name.clone()];
        let mut run = site.makeroom(["--method", "pause"]);
        let done = run.args(["--pause", &all[0], "--pause", &all[1], "true"]).run();
        done.expect_code(0).expect_said("3 containers running again").expect_said(&format!(
            "`{name}` restarts what the engine calls unhealthy: it comes back when the others are healthy"
        ));
        assert_eq!(starts(&services), before, "{}", done.err);
        assert!(enforcer.own.are("running") && site.journals().is_empty());
    });
}

#[test]
fn one_among_the_targets_that_is_known_by_its_own_words_restarts_none_of_them() {
    for method in ["pause", "stop"] {
        let site = Site::new();
        let services = patients(&site, 2);
        let directory = engine().socket().parent().expect("a directory").display().to_string();
        let own = watcher(&site, &directory, "restart what is unhealthy");
        let enforcer = Enforcer { own, others: &services };
        enforcer.play(|| {
            let mut run = site.makeroom(["--method", method, "--pause", &services.all()]);
            let run = run.args(["--pause", enforcer.own.name(0), "sh", "-c", UNTIL_GO]).spawn();
            site.child();
            site.go();
            let done = run.wait();
            done.expect_code(7).expect_said("3 containers running again");
            let (now, err) = (starts(&services), &done.err);
            wait_until("it has looked", || enforcer.own.are("running"));
            thread::sleep(Duration::from_millis(500));
            assert_eq!(starts(&services), now, "{err}");
            assert!(!err.contains("somebody else"), "{err}");
        });
    }
}

#[test]
fn after_a_signal_everything_comes_back_at_once_and_the_enforcer_last() {
    let site = Site::new();
    let services = patients(&site, 2);
    let own = watcher(&site, &socket(), "restart what is unhealthy");
    let mut run = site.makeroom(["--method", "pause", "--pause", &services.all()]);
    let run = run.args(["--pause", own.name(0), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let journal = fs::read_to_string(site.journals().pop().expect("a journal")).expect("read");
    assert!(journal.contains(r#""watch":"enforcer""#), "{journal}");
    run.signal(libc::SIGTERM);
    let done = run.wait();
    done.expect_within(Duration::from_secs(8));
    assert!(services.are("running") && own.are("running"), "{}", done.err);
    assert!(!done.err.contains("comes back when"), "{}", done.err);
}

#[test]
fn what_only_holds_the_socket_comes_back_last_and_waits_for_nobody() {
    let site = Site::new();
    let services = patients(&site, 1);
    let own = watcher(&site, &socket(), "it shows");
    let mut run = site.makeroom(["--method", "pause", "--pause", &services.all()]);
    let done = run.args(["--pause", own.name(0), "true"]).run();
    done.expect_code(0).expect_said("2 containers running again");
    assert!(!done.err.contains("comes back when") && own.are("running"), "{}", done.err);
}
