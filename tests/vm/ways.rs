//! The ways to the engine and its VM beside Colima's: ssh, a forwarded socket with and without a
//! command into the VM, and TCP with and without TLS.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use crate::{
    place::{AREA, Hogs, Place, expect_no_swap_here, lines_with},
    support::{makeroom::Run, process, site::UNTIL_GO},
};

/// Where the connection of a lease has its sockets.
fn sockets(place: &Place) -> PathBuf {
    let journals = place.site.journals();
    let lease = journals
        .first()
        .and_then(|path| path.file_stem())
        .expect("a journal")
        .to_string_lossy()
        .into_owned();
    Path::new("/tmp").join(format!("mr-{lease}"))
}

fn over_ssh(place: &Place, hogs: &Hogs) -> Run {
    place.makeroom(["--engine", "ssh://vm", "--pause", hogs.all(), "--", "sh", "-c", UNTIL_GO])
}

/// How often somebody has logged in.
fn logins(place: &Place) -> u64 {
    place.vm.number("journalctl -q -u ssh -u 'ssh@*' | grep -c 'Accepted publickey' || true")
}

#[track_caller]
fn expect_room_made(place: &Place, hogs: &Hogs, held: u64) {
    assert!(hogs.are("paused"), "{:?}", hogs.states());
    let left = hogs.memory();
    assert!(left <= held / 20, "{left} of {held} bytes are left");
    assert_eq!(place.vm.areas(), [AREA]);
    expect_no_swap_here();
}

#[test]
fn over_ssh_one_connection_carries_the_engine_and_all_steps_and_nothing_of_it_stays() {
    let place = Place::ssh();
    let hogs = place.hogs(2, 60);
    let (held, before, logins_before) = (hogs.memory(), hogs.states(), logins(&place));
    let run = over_ssh(&place, &hogs).spawn();
    place.wait_for_build();
    expect_room_made(&place, &hogs, held);
    let sockets = sockets(&place);
    assert!(sockets.exists());
    place.site.go();
    run.wait()
        .expect_code(7)
        .expect_said("available in vm")
        .expect_said("2 containers running again")
        .expect_said("swap removed");
    assert_eq!(logins(&place) - logins_before, 1);
    assert_eq!(hogs.states(), before);
    assert!(!sockets.exists());
    place.expect_nothing_left();
}

#[test]
fn over_ssh_a_killed_keeper_leaves_no_connection_behind_and_the_next_one_puts_everything_back() {
    let place = Place::ssh();
    let hogs = place.hogs(2, 60);
    let before = hogs.states();
    let run = over_ssh(&place, &hogs).spawn();
    place.wait_for_build();
    let sockets = sockets(&place);
    let keeper = run.keeper();
    process::signal(keeper, libc::SIGKILL);
    run.keeper_other_than(keeper);
    place.site.go();
    run.wait().expect_code(7).expect_said("2 containers running again").expect_said("swap removed");
    assert_eq!(hogs.states(), before);
    assert!(!sockets.exists());
    place.expect_nothing_left();
}

#[test]
fn over_ssh_recover_puts_back_what_two_killed_processes_left_and_takes_their_sockets_away() {
    let place = Place::ssh();
    let hogs = place.hogs(2, 60);
    let before = hogs.states();
    let mut run = over_ssh(&place, &hogs).spawn();
    place.wait_for_build();
    let sockets = sockets(&place);
    run.kill_with_keeper();
    place.site.go();
    // The way is in the journal: nothing names the engine here.
    place
        .makeroom(["recover"])
        .run()
        .expect_code(0)
        .expect_said("2 containers running again; its swap removed");
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();
    assert!(!sockets.exists(), "{} is left", sockets.display());
}

#[test]
fn behind_a_forwarded_socket_without_a_way_services_are_paused_and_the_mend_is_said_once() {
    let place = Place::bare();
    let hogs = place.hogs(2, 60);
    let (held, before) = (hogs.memory(), hogs.states());
    let run = place.forwarded(["--pause", hogs.all(), "--", "sh", "-c", UNTIL_GO]).spawn();
    place.wait_for_build();
    assert!(hogs.are("paused"), "{:?}", hogs.states());
    assert!(hogs.memory() > held / 2, "nothing is pushed out without swap");
    assert_eq!(place.vm.areas(), Vec::<String>::new());
    expect_no_swap_here();
    place.site.go();
    let done = run.wait();
    done.expect_code(7)
        .expect_said("2 containers paused")
        .expect_said("2 containers running again");
    assert_eq!(lines_with(&done, "warning:").len(), 1, "{}", done.err);
    let hints = lines_with(&done, "hint:");
    assert!(hints.len() == 1 && hints[0].contains("--vm-shell"), "{}", done.err);
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();

    let strict =
        place.forwarded(["--strict", "--pause", hogs.all(), "--", "sh", "-c", "touch ran"]).run();
    strict.expect_code(125).expect_said("--vm-shell");
    assert!(!place.site.work().join("ran").exists());
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();
}

#[test]
fn behind_a_forwarded_socket_a_named_command_makes_the_room_and_recover_finds_it_in_the_journal() {
    let place = Place::bare();
    let hogs = place.hogs(2, 60);
    let (held, before) = (hogs.memory(), hogs.states());
    let mut run = place
        .forwarded([
            "--vm-shell",
            &place.vm.way(),
            "--pause",
            hogs.all(),
            "--",
            "sh",
            "-c",
            UNTIL_GO,
        ])
        .spawn();
    place.wait_for_build();
    expect_room_made(&place, &hogs, held);
    run.kill_with_keeper();
    place.site.go();
    assert!(hogs.are("paused"), "nobody is left who could put them back");
    place
        .makeroom(["recover"])
        .run()
        .expect_code(0)
        .expect_said("2 containers running again; its swap removed");
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();
}

/// A port of this machine that leads into the VM while it lives.
struct Port<'a> {
    place: &'a Place,
    forward: String,
    number: u16,
}

impl<'a> Port<'a> {
    fn to(place: &'a Place, there: &str) -> Self {
        // Free a moment ago; ssh says so where it is not any more.
        let number = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .expect("a port")
            .port();
        let forward = format!("127.0.0.1:{number}:{there}");
        let output = place.vm.ssh(&["-O", "forward", "-L", &forward, "vm"], "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { place, forward, number }
    }

    fn url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.number)
    }
}

impl Drop for Port<'_> {
    fn drop(&mut self) {
        let _ = self.place.vm.ssh(&["-O", "cancel", "-L", &self.forward, "vm"], "");
    }
}

#[test]
fn an_engine_at_a_tcp_port_is_reached_and_its_host_by_the_named_command() {
    let place = Place::bare();
    let hogs = place.hogs(1, 60);
    let (held, before) = (hogs.memory(), hogs.states());
    let port = Port::to(&place, "/var/run/docker.sock");
    let url = port.url();
    let run = place
        .makeroom([
            "--engine",
            &url,
            "--vm-shell",
            &place.vm.way(),
            "--pause",
            hogs.all(),
            "--",
            "sh",
            "-c",
            UNTIL_GO,
        ])
        .spawn();
    place.wait_for_build();
    expect_room_made(&place, &hogs, held);
    place.site.go();
    run.wait().expect_code(7).expect_said("1 container running again").expect_said("swap removed");
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();
    // Without the command it is as with any other forwarded socket.
    let done = place.makeroom(["--engine", &url, "--pause", hogs.all(), "--", "true"]).run();
    done.expect_code(0).expect_said("1 container paused").expect_said("--vm-shell");
    assert_eq!(lines_with(&done, "warning:").len(), 1, "{}", done.err);
    assert_eq!(hogs.states(), before);
}

#[test]
fn an_engine_behind_tls_is_reached_with_dockers_variables_and_with_a_context_and_by_recover() {
    let place = Place::bare();
    let hogs = place.hogs(1, 60);
    let before = hogs.states();
    let port = Port::to(&place, "127.0.0.1:2376");
    let certificates = place.vm.dir().join("tls");
    let args = ["--vm-shell", &place.vm.way(), "--pause", hogs.all(), "--", "sh", "-c", UNTIL_GO];

    let mut by_variables = place.makeroom(args);
    by_variables
        .env("DOCKER_HOST", port.url())
        .env("DOCKER_TLS_VERIFY", "1")
        .env("DOCKER_CERT_PATH", &certificates);
    let mut run = by_variables.spawn();
    place.wait_for_build();
    assert!(hogs.are("paused"), "{}", run.written("err"));
    run.kill_with_keeper();
    place.site.go();
    // No variable is needed: the journal knows where the certificates are.
    place
        .makeroom(["recover"])
        .run()
        .expect_code(0)
        .expect_said("1 container running again; its swap removed");
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();

    place.site.again();
    make_context(&place, &port.url(), &certificates);
    let run = place.makeroom(["--context", "there"].iter().chain(&args)).spawn();
    place.wait_for_build();
    assert!(hogs.are("paused"), "{}", run.written("err"));
    place.site.go();
    run.wait().expect_code(7).expect_said("1 container running again");
    assert_eq!(hogs.states(), before);
    place.expect_nothing_left();
}

/// What `docker context create there --docker host=…,ca=…,cert=…,key=…` leaves.
fn make_context(place: &Place, url: &str, certificates: &Path) {
    const SHA256_OF_THERE: &str =
        "e244f187f696561d5fd7e00f618e7ba641dc52e3c137380f6fa23a854b773aac";
    let contexts = place.site.path("home/.docker/contexts");
    let (meta, tls) = (
        contexts.join("meta").join(SHA256_OF_THERE),
        contexts.join("tls").join(SHA256_OF_THERE).join("docker"),
    );
    for dir in [&meta, &tls] {
        fs::create_dir_all(dir).expect("a directory");
    }
    let text = format!(
        r#"{{"Name":"there","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{url}","SkipTLSVerify":false}}}}}}"#
    );
    fs::write(meta.join("meta.json"), text).expect("written");
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        fs::copy(certificates.join(name), tls.join(name)).expect("copied");
    }
}

#[test]
fn an_engine_that_does_not_know_the_certificate_is_named_in_one_line_and_the_build_runs() {
    let place = Place::bare();
    let hogs = place.hogs(1, 10);
    let before = hogs.states();
    let port = Port::to(&place, "127.0.0.1:2376");
    for certificates in [None, Some(place.site.path("nothing"))] {
        let mut run =
            place.makeroom(["--swap", "off", "--pause", hogs.all(), "--", "sh", "-c", "exit 7"]);
        run.env("DOCKER_HOST", port.url());
        if let Some(certificates) = certificates {
            run.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", certificates);
        }
        let done = run.run();
        done.expect_code(7);
        assert_eq!(lines_with(&done, "warning:").len(), 1, "{}", done.err);
        assert_eq!(hogs.states(), before);
    }
}
