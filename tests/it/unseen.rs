//! What cannot be seen is not nothing: a directory that another user may not read, processes that
//! /proc hides, options that others make idle. Each is said, and ends with 125 where it was asked
//! for or where something is held there.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::support::{
    makeroom::Run,
    needed, programs,
    services::Recipe,
    site::{Site, UNTIL_GO},
};

/// Somebody who is not root.
const SOMEBODY: u32 = 1234;
const MARK: &str = "/var/lib/makeroom.held";

/// A /var/lib of its own, a user `somebody`, and a step for each of them: its streams and code in
/// files by its name.
const HEAD: &str = r#"
mount -t tmpfs -o mode=755 lib /var/lib || exit 99
cp /etc/passwd passwd && echo "somebody:x:1234:1234::$PWD/home:/bin/sh" >>passwd && mount --bind passwd /etc/passwd || exit 99
root() { name=$1; shift; "$M" "$@" >"$name.out" 2>"$name.err" </dev/null; echo $? >"$name.code"; }
user() { name=$1; shift; HOME=$PWD/home setpriv --reuid=1234 --regid=1234 --clear-groups "$M" "$@" >"$name.out" 2>"$name.err" </dev/null; echo $? >"$name.code"; }
mkdir home && chown 1234:1234 home
"#;

/// A site that everybody can use, with a copy of the program.
fn open_site(site: &Site) -> PathBuf {
    for dir in [site.path(""), site.work()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o1777)).expect("a mode");
    }
    let program = site.path("makeroom");
    programs::copy_for_others(&program);
    program
}

/// Runs these steps in a mount namespace of their own.
fn play(site: &Site, steps: &str) {
    let program = open_site(site);
    let mut run = site.command("unshare");
    run.args(["--mount", "--propagation", "private", "sh", "-c"])
        .args([format!("{HEAD}\n{steps}\nexit 0")]);
    run.env("M", program).without_env("MAKEROOM_STATE_DIR").run().expect_code(0);
}

/// How a step ended, and what it said.
fn ended(site: &Site, step: &str) -> (i32, String) {
    let read =
        |kind: &str| fs::read_to_string(site.work().join(format!("{step}.{kind}"))).expect(step);
    (read("code").trim().parse().expect("a code"), read("out") + &read("err"))
}

#[track_caller]
fn expect(site: &Site, step: &str, code: i32, says: &str) {
    let (found, said) = ended(site, step);
    assert!(
        found == code && said.contains(says),
        "{step}: {found}, expected {code} and `{says}`:\n{said}"
    );
}

#[test]
fn what_root_holds_is_said_to_everybody_else_and_ends_with_125_and_the_mark_goes_with_the_last_lease()
 {
    let site = Site::new();
    let services = site.services(2);
    play(
        &site,
        &format!(
            "user before stop
             root start start --name night --pause {all}
             stat -c '%a %s %u' {MARK} >mark
             user own_start start --name own; user own_named stop own; user own_start2 start; user own_alone stop
             user own_start3 start; user own_all stop --all
             user stop stop; user named stop night; user status status; user json status --json; user recover recover
             root start2 start --name day --pause {one}
             root end stop night; ls {MARK} >still
             root end2 stop day; ls {MARK} >gone 2>&1
             user after stop; user after_named stop night; user after_recover recover; user after_status status
             root root_stop stop
             ",
            all = services.all(),
            one = services.name(0),
        ),
    );
    expect(&site, "before", 0, "no lease is held");
    expect(&site, "start", 0, "2 containers paused");
    assert_eq!(fs::read_to_string(site.work().join("mark")).expect("a mark"), "444 0 0\n");
    let held = "error: root holds leases in /var/lib/makeroom, which this user may not read";
    for step in ["stop", "named", "status", "recover"] {
        expect(&site, step, 125, held);
        expect(&site, step, 125, "hint: ");
        expect(&site, step, 125, "sudo makeroom ");
    }
    expect(&site, "named", 125, "sudo makeroom stop night");
    let (code, said) = ended(&site, "own_named");
    assert!(code == 0 && !said.contains("root"), "{said}");
    expect(&site, "own_alone", 0, "root holds leases");
    expect(&site, "own_all", 125, held);
    let (code, json) = ended(&site, "json");
    assert!(code == 125 && json.contains("\"root holds leases in /var/lib/makeroom"), "{json}");
    for step in ["start2", "end", "end2"] {
        expect(&site, step, 0, "");
    }
    assert_eq!(fs::read_to_string(site.work().join("still")).expect("read"), format!("{MARK}\n"));
    assert!(fs::read_to_string(site.work().join("gone")).expect("read").contains("No such file"));
    expect(&site, "after", 0, "whether root holds anything in /var/lib/makeroom cannot be seen");
    expect(
        &site,
        "after_recover",
        0,
        "whether root holds anything in /var/lib/makeroom cannot be seen",
    );
    expect(
        &site,
        "after_status",
        0,
        "whether root holds anything in /var/lib/makeroom cannot be seen",
    );
    expect(
        &site,
        "after_named",
        125,
        "error: `night` is no lease that is held here; whether root holds anything in /var/lib/makeroom cannot be seen",
    );
    expect(&site, "root_stop", 0, "no lease is held");
    assert!(services.are("running"));
}

#[test]
fn the_mark_of_a_holder_that_died_goes_when_its_lease_is_recovered_and_one_without_a_lease_with_the_next_look()
 {
    let site = Site::new();
    let services = site.services(1);
    play(
        &site,
        &format!(
            r#""$M" --pause {all} sh -c 'for p in $(cat /proc/$PPID/task/$PPID/children); do grep -q keeper /proc/$p/cmdline && kill -STOP $PPID && kill -9 $p $PPID; done' >/dev/null 2>&1
             ls {MARK} >held
             # What was killed lives until the kernel has come to it.
             for try in $(seq 100); do root recover recover; grep -q 'running again' recover.err && break; sleep 0.1; done
             ls {MARK} >gone 2>&1
             : >{MARK}; root again recover; ls {MARK} >gone2 2>&1
             "#,
            all = services.all()
        ),
    );
    assert_eq!(fs::read_to_string(site.work().join("held")).expect("read"), format!("{MARK}\n"));
    expect(&site, "recover", 0, "1 container running again");
    for name in ["gone", "gone2"] {
        assert!(
            fs::read_to_string(site.work().join(name)).expect("read").contains("No such file"),
            "{name}"
        );
    }
    assert!(services.are("running"));
}

#[test]
fn leases_of_the_user_who_became_root_are_said_and_a_name_that_may_be_theirs_is_no_success() {
    let site = Site::new();
    let services = site.services(1);
    fs::set_permissions(site.engine(), fs::Permissions::from_mode(0o666)).expect("a mode");
    fs::set_permissions(
        site.engine().parent().expect("a directory"),
        fs::Permissions::from_mode(0o755),
    )
    .expect("a mode");
    play(
        &site,
        &format!(
            "user start start --name night --pause {all}
             export SUDO_UID=1234
             root stop stop; root named stop night; root recover recover
             user end stop night
             root after stop night
             ",
            all = services.all()
        ),
    );
    expect(&site, "start", 0, "1 container paused");
    for step in ["stop", "recover"] {
        expect(&site, step, 0, "; `somebody` has leases of their own in ");
    }
    expect(
        &site,
        "named",
        125,
        "error: `night` is no lease that is held here; `somebody` has leases of their own in ",
    );
    expect(&site, "named", 125, "hint: without sudo: makeroom stop night");
    expect(&site, "end", 0, "");
    expect(&site, "after", 0, "no lease is held");
    assert!(services.are("running") && !Path::new(MARK).exists());
}

/// As somebody, with the program that everybody may run.
fn as_somebody(site: &Site, program: &Path, args: &[&str]) -> Run {
    let mut run = site.command(&program.to_string_lossy());
    run.user(SOMEBODY).without_env("MAKEROOM_STATE_DIR").args(args);
    run
}

#[test]
fn a_state_directory_that_was_named_and_may_not_be_read_is_an_error() {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    let program = open_site(&site);
    let closed = site.path("closed");
    fs::create_dir(&closed).expect("a directory");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("a mode");
    let named = closed.join("state");
    for args in [
        &["stop"][..],
        &["stop", "night"],
        &["stop", "--all"],
        &["recover"],
        &["status"],
        &["status", "--json"],
    ] {
        let by_flag = as_somebody(&site, &program, args).args(["--state-dir"]).args([&named]).run();
        let by_variable =
            as_somebody(&site, &program, args).env("MAKEROOM_STATE_DIR", &named).run();
        for done in [by_flag, by_variable] {
            done.expect_code(125)
                .expect_said("cannot use the state directory")
                .expect_said("ermission denied");
        }
    }
    // The user's own, which nobody named: said, and no error, unless a name was asked for.
    let own = site.path("home").join(".local");
    fs::create_dir(&own).expect("a directory");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).expect("a mode");
    for args in [&["stop"][..], &["recover"], &["status"]] {
        let done = as_somebody(&site, &program, args).run();
        done.expect_code(0)
            .expect_said("ermission denied")
            .expect_said("whether anything is held there is not known");
        assert!(
            !done.err.contains("no lease") && !done.err.contains("nothing to recover"),
            "{}",
            done.err
        );
    }
    as_somebody(&site, &program, &["stop", "night"])
        .run()
        .expect_code(125)
        .expect_said("error: cannot use the state directory");
}

/// A /proc that shows everybody their own processes only.
const HIDDEN: &str = r#"mount -t proc -o hidepid=2 proc /proc || exit 99
exec setpriv --reuid=1234 --regid=1234 --clear-groups "$@""#;
/// The same for a user with sudo that asks for no password.
const HIDDEN_WITH_SUDO: &str = r#"mount -t tmpfs -o mode=755 sudoers /etc/sudoers.d || exit 99
echo 'nobody ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/makeroom-test && chmod 440 /etc/sudoers.d/makeroom-test || exit 99
mount -t proc -o hidepid=2 proc /proc || exit 99
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@""#;

fn hidden(site: &Site, program: &Path, script: &str, args: &[&str]) -> Run {
    fs::set_permissions(site.engine(), fs::Permissions::from_mode(0o666)).expect("a mode");
    fs::set_permissions(
        site.engine().parent().expect("a directory"),
        fs::Permissions::from_mode(0o755),
    )
    .expect("a mode");
    let mut run = site.command("unshare");
    run.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .args([program])
        .args(args);
    run.env("MAKEROOM_STATE_DIR", site.path("somebodys"));
    run
}

#[test]
fn processes_that_proc_hides_are_not_taken_for_another_kernels() {
    let site = Site::new();
    let program = open_site(&site);
    let services = site.services(2);
    let all = services.all();
    let run = hidden(&site, &program, HIDDEN, &["--pause", &all, "sh", "-c", UNTIL_GO]).spawn();
    site.child();
    assert!(services.are("paused"));
    site.go();
    let done = run.wait();
    done.expect_code(7).expect_said("/proc hides the engine's containers from this user (hidepid): targets are only paused or stopped");
    done.expect_said("hint: run makeroom as root, or have them shown to you: `sudo mount -o remount,hidepid=0 /proc`");
    assert!(!done.err.contains("forwarded socket"), "{}", done.err);
    assert!(services.are("running"));
    let plan = hidden(&site, &program, HIDDEN, &["plan", "--pause", &all]).run();
    plan.expect_said("/proc hides the engine's containers from this user (hidepid): these figures are this machine's");
    let while_pid = hidden(&site, &program, HIDDEN, &["start", "--while-pid", "1"]).run();
    while_pid
        .expect_code(125)
        .expect_said("--while-pid: /proc hides the process 1 from this user (hidepid)");
}

#[test]
fn who_may_become_root_looks_at_what_proc_hides_as_root() {
    let _ = needed("sudo", "sudo");
    let site = Site::new();
    let program = open_site(&site);
    let services = site.start(&Recipe::default(), 1);
    let done =
        hidden(&site, &program, HIDDEN_WITH_SUDO, &["plan", "--json", "--pause", &services.all()])
            .run();
    assert!(!done.err.contains("hidepid"), "{}", done.err);
    let plan: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert!(
        plan["targets"][0]["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0),
        "{}",
        done.out
    );
}

#[test]
fn a_stop_that_is_asked_for_by_name_stops_also_where_nothing_is_to_be_pushed_out() {
    let site = Site::new();
    let services = site.services(2);
    let run = site
        .makeroom([
            "--method",
            "stop",
            "--no-reclaim",
            "--pause",
            &services.all(),
            "sh",
            "-c",
            UNTIL_GO,
        ])
        .spawn();
    site.child();
    assert!(services.are("exited"), "{:?}", services.statuses());
    site.go();
    run.wait().expect_code(7).expect_said("2 containers stopped");
    assert!(services.are("running"));
}

#[test]
fn a_stop_that_cannot_be_undone_is_a_pause_and_that_is_said() {
    let site = Site::new();
    let services = site.start(&Recipe::default().auto_remove(), 1);
    let run = site
        .makeroom(["--method", "stop", "--pause", &services.all(), "sh", "-c", UNTIL_GO])
        .spawn();
    site.child();
    assert!(services.are("paused"));
    site.go();
    let name = services.name(0);
    run.wait().expect_code(7).expect_said(&format!(
        "`{name}` is paused and not stopped: the engine removes it when it ends (--rm)"
    ));
    assert!(services.are("running"));
}

#[test]
fn what_does_nothing_is_said() {
    let site = Site::new();
    let services = site.services(1);
    let (all, name) = (services.all(), services.name(0));
    for (args, says) in [
        (&["--pause", &all, "--keep", name][..], format!("--keep leaves nothing of `{all}`")),
        (
            &["--swap", "off", "--swap-file", "/x"],
            "--swap-file does nothing with --swap off".to_owned(),
        ),
        (
            &["--method", "pause", "--stop-timeout", "1s"],
            "--stop-timeout does nothing with --method pause".to_owned(),
        ),
        (&["--floor", "1G"], "--floor does nothing without --then or --abort-on-thrash".to_owned()),
        (
            &["--pressure", "5"],
            "--pressure does nothing without --then or --abort-on-thrash".to_owned(),
        ),
        (
            &["--on-pressure", "true", "--abort-on-thrash", "1m"],
            "--on-pressure does nothing without --then".to_owned(),
        ),
    ] {
        let done = site.makeroom(args).args(["sh", "-c", "exit 7"]).run();
        done.expect_code(7).expect_said(&says);
        assert!(!site.makeroom(["-q"]).args(args).args(["true"]).run().err.contains(&says));
    }
    assert!(services.are("running"));
}
