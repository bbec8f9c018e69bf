//! Who restarts what the engine calls unhealthy: beside the targets they are named with the remedy,
//! among them they come back when the engine calls the others healthy again.

use std::{
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;

use crate::support::{
    api,
    dockerd::engine,
    needed,
    services::{Recipe, Services},
    site::{Site, UNTIL_GO},
    wait_until,
};

/// Of several at once nobody could tell who it was.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Restarts what the engine calls unhealthy, of the containers with `$1` in their name, and counts its
/// looks; with the machine's own docker client, which is mounted.
const LOOP: &str = r#"while :; do
for id in $(docker ps -q --filter name="$1-" --filter health=unhealthy); do docker restart -t 1 "$id"; done
echo >>/own/looks
sleep 0.2
done"#;

fn health(name: &str) -> String {
    let path = format!("/containers/{name}/json");
    let answer = api::must(&engine().socket(), "GET", &path, None).json();
    answer["State"]["Health"]["Status"].as_str().unwrap_or_default().to_owned()
}

fn patients(site: &Site, count: usize) -> Services {
    let check =
        json!({ "Test": ["CMD", "/bin/true"], "Interval": 3_000_000_000_u64, "Retries": 1 });
    let services = site.start(&Recipe::default().field("Healthcheck", check), count);
    wait_until_healthy(&services);
    services
}

fn wait_until_healthy(services: &Services) {
    wait_until("all are healthy", || {
        (0..services.count()).all(|index| health(services.name(index)) == "healthy")
    });
}

/// A container with what is at this place on the host in it, where it finds the socket at `within`;
/// it restarts what is unhealthy of these services, by [`LOOP`], in its command or out of sight.
fn enforcer(site: &Site, of: &Services, mount: &str, within: &str, is_in_sight: bool) -> Services {
    let own = site.path("own");
    let _ = fs::create_dir(&own);
    fs::write(own.join("loop"), LOOP).expect("written");
    let docker = needed("docker", "docker.io");
    let binds = [
        format!("{mount}:/engine"),
        format!("{}:/own", own.display()),
        format!("{}:/usr/bin/docker:ro", docker.display()),
        "/lib:/lib:ro".to_owned(),
        "/lib64:/lib64:ro".to_owned(),
    ];
    let begin = format!("export DOCKER_HOST=unix:///engine{within}; set -- {}; ", of.prefix());
    let script = begin + if is_in_sight { LOOP } else { ". /own/loop" };
    let services = site.start(&Recipe::default().script(&script).host("Binds", json!(binds)), 1);
    wait_until_it_looks(site);
    services
}

/// Waits until it has looked twice more: whatever it saw before is acted on.
fn wait_until_it_looks(site: &Site) {
    let looks = || fs::read(site.path("own").join("looks")).map_or(0, |looks| looks.len());
    let before = looks();
    wait_until("it has looked", || looks() >= before + 2);
}

/// A container with the socket in it, which does nothing with it.
fn idle(site: &Site) -> Services {
    let bind = json!([format!("{}:/engine", socket())]);
    site.start(&Recipe::default().host("Binds", bind), 1)
}

fn socket() -> String {
    engine().socket().display().to_string()
}

fn starts(services: &Services) -> Vec<String> {
    services.states().into_iter().map(|state| state.expect("there").started_at).collect()
}

#[test]
fn one_beside_the_targets_is_named_with_the_remedy_and_remembered() {
    let (_turn, site) = (turn(), Site::new());
    let services = patients(&site, 2);
    let own = enforcer(&site, &services, &socket(), "", false);
    let name = own.name(0).to_owned();
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
    wait_until_healthy(&services);
    // It was seen to restart targets, so it waits for them.
    let before = starts(&services);
    let mut run = site.makeroom(["--method", "pause", "--pause", &services.all()]);
    let done = run.args(["--pause", &name, "true"]).run();
    done.expect_code(0).expect_said("3 containers running again").expect_said(&format!(
        "`{name}` restarts what the engine calls unhealthy: it comes back when the others are healthy"
    ));
    wait_until_it_looks(&site);
    assert_eq!(starts(&services), before, "{}", done.err);
    assert!(own.are("running") && site.journals().is_empty());
}

#[test]
fn one_among_the_targets_that_is_known_by_its_own_words_restarts_none_of_them() {
    let _turn = turn();
    for method in ["pause", "stop"] {
        let site = Site::new();
        let services = patients(&site, 2);
        let directory = engine().socket().parent().expect("a directory").display().to_string();
        let own = enforcer(&site, &services, &directory, "/docker.sock", true);
        let mut run = site.makeroom(["--method", method, "--pause", &services.all()]);
        let run = run.args(["--pause", own.name(0), "sh", "-c", UNTIL_GO]).spawn();
        site.child();
        site.go();
        let done = run.wait();
        done.expect_code(7).expect_said("3 containers running again");
        let after = starts(&services);
        wait_until_it_looks(&site);
        assert_eq!(starts(&services), after, "{method}: {}", done.err);
        assert!(own.are("running") && !done.err.contains("somebody else"), "{}", done.err);
    }
}

#[test]
fn after_a_signal_everything_comes_back_at_once() {
    let (_turn, site) = (turn(), Site::new());
    let services = patients(&site, 2);
    let own = enforcer(&site, &services, &socket(), "", true);
    let mut run = site.makeroom(["--method", "pause", "--pause", &services.all()]);
    let run = run.args(["--pause", own.name(0), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let journal = fs::read_to_string(site.journals().pop().expect("a journal")).expect("read");
    assert!(journal.contains(r#""watch":"enforcer""#), "{journal}");
    run.signal(libc::SIGTERM);
    let done = run.wait();
    done.expect_within(Duration::from_secs(8));
    wait_until("all run", || services.are("running") && own.are("running"));
    assert!(!done.err.contains("comes back when"), "{}", done.err);
}

#[test]
fn one_that_somebody_stops_meanwhile_stays_stopped_and_nobody_waits_for_it() {
    let (_turn, site) = (turn(), Site::new());
    let services = patients(&site, 1);
    let own = enforcer(&site, &services, &socket(), "", true);
    let mut run = site.makeroom(["--method", "pause", "--pause", &services.all()]);
    let run = run.args(["--pause", own.name(0), "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    // A stop would thaw it for a last look.
    own.tell(0, "kill");
    wait_until("it is said", || run.written("err").contains("stays stopped"));
    site.go();
    let done = run.wait();
    done.expect_code(7).expect_said("1 container running again");
    assert!(own.are("exited") && !done.err.contains("comes back when"), "{}", done.err);
}

#[test]
fn what_only_holds_the_socket_waits_for_nobody() {
    let (_turn, site) = (turn(), Site::new());
    let services = patients(&site, 1);
    let own = idle(&site);
    let mut run = site.makeroom(["--method", "pause", "--pause", &services.all()]);
    let done = run.args(["--pause", own.name(0), "true"]).run();
    done.expect_code(0).expect_said("2 containers running again");
    assert!(!done.err.contains("comes back when") && own.are("running"), "{}", done.err);
}
