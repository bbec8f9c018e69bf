//! Variables that are called as makeroom's are: one that nobody knows is an error before a build
//! and a warning where nothing is built, and none of those that makeroom, its hooks, its tests and
//! its scripts set is such a one.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use ::makeroom::{
    config::is_known,
    core::variables::{OTHERS, PREFIX},
};

use crate::support::{
    figures::Figures,
    makeroom::Run,
    proxy::Proxy,
    site::{Site, UNTIL_GO},
    wait_for,
};

const MAKEROOM: &str = env!("CARGO_BIN_EXE_makeroom");
const COMPLAINT: &str = "no such variable";
/// Where the names are that are no options.
const LIST: &str = "src/core/variables.rs";

fn nowhere() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

/// A name of this ending; spelled out it would be found by the last test here.
fn named(ending: &str) -> String {
    format!("{PREFIX}{ending}")
}

/// One that nobody knows.
fn mistyped(run: &mut Run) -> &mut Run {
    run.env(&named("PUASE"), "x")
}

#[test]
fn one_that_nobody_knows_is_an_error_before_a_build_and_nothing_is_touched() {
    let proxy = Proxy::start();
    let site = Site::behind(&proxy);
    for words in [
        &["touch", "started"][..],
        &["run", "--pause", "x", "--", "touch", "started"],
        &["-q", "touch", "started"],
        &["start", "--name", "x"],
        &["plan"],
    ] {
        let done = mistyped(&mut site.makeroom(words)).run();
        done.expect_code(125)
            .expect_said(&format!(
                "makeroom: error: {}: {COMPLAINT}; the nearest is MAKEROOM_PAUSE\n",
                named("PUASE")
            ))
            .expect_said("makeroom: nothing was changed\n")
            .expect_said(&format!("hint: correct its name, or `unset {}`", named("PUASE")));
        assert!(!site.work().join("started").exists() && !site.state().exists(), "{words:?}");
        assert!(done.out.is_empty() && proxy.seen("list") == 0, "{words:?}: {}", done.out);
    }
}

#[test]
fn one_that_nobody_knows_is_a_warning_where_nothing_is_built() {
    let site = nowhere();
    let warning = format!("warning: {}: {COMPLAINT}", named("PUASE"));
    for words in [
        &["recover"][..],
        &["recover", "--forget", "x"],
        &["stop"],
        &["status"],
        &["status", "--json", "-q"],
        &["report"],
        &["swap", "status"],
        &["doctor"],
    ] {
        let without = site.makeroom(words).run();
        let with = mistyped(&mut site.makeroom(words)).run();
        assert_eq!(with.code(), without.code(), "{words:?}: {}", with.err);
        assert_eq!(with.err.matches(&warning).count(), 1, "{words:?}: {}", with.err);
        assert!(!without.err.contains(COMPLAINT), "{words:?}: {}", without.err);
    }
    for words in [&["--help"][..], &["man"], &["completions", "bash"]] {
        let done = mistyped(&mut site.makeroom(words)).run();
        assert_eq!(done.expect_code(0).err, "", "{words:?}");
    }
}

#[test]
fn a_mistyped_name_keeps_nothing_from_being_restored() {
    let site = Site::new();
    let services = site.services(1);
    let pause = ["--method", "pause", "--pause", &services.all()];
    let mut run = site.makeroom(pause).args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    run.kill_with_keeper();
    assert!(services.are("paused"));
    mistyped(&mut site.makeroom(["recover"])).run().expect_code(0).expect_said(COMPLAINT);
    assert!(services.are("running"), "{:?}", services.statuses());
    site.makeroom(["start", "--name", "x"]).args(pause).run().expect_code(0);
    assert!(services.are("paused"));
    mistyped(&mut site.makeroom(["stop", "x"])).run().expect_code(0).expect_said(COMPLAINT);
    assert!(services.are("running"), "{:?}", services.statuses());
    assert!(site.journals().is_empty());
}

#[test]
fn a_bad_value_is_an_error_before_a_build_and_keeps_nothing_from_being_restored() {
    let site = Site::new();
    let services = site.services(1);
    let pause = ["--method", "pause", "--pause", &services.all()];
    let dir = site.path("home/.config/makeroom");
    fs::create_dir_all(&dir).expect("a directory");
    let file = dir.join("makeroom.toml");
    let of_variable = "MAKEROOM_GRACE: `soon` is not a duration";
    let of_file = format!("{}:2: ", file.display());
    for (variable, text, said) in [
        ("soon", "", of_variable),
        ("", "keep = ['x']\npuase = ['y']\n", of_file.as_str()),
        ("", "\n[[[", of_file.as_str()),
    ] {
        let mut run = site.makeroom(pause).args(["sh", "-c", UNTIL_GO]).spawn();
        site.child();
        run.kill_with_keeper();
        site.again();
        fs::write(&file, text).expect("written");
        let refused = site.makeroom(["true"]).env("MAKEROOM_GRACE", variable).run();
        refused.expect_code(125).expect_said(&format!("error: {said}"));
        assert!(services.are("paused"));
        let recover = site.makeroom(["recover"]).env("MAKEROOM_GRACE", variable).run();
        recover
            .expect_code(0)
            .expect_said(&format!("warning: {said}"))
            .expect_said("hint: that is passed over here; a run would refuse it");
        assert!(services.are("running"), "{:?}", services.statuses());
        fs::remove_file(&file).expect("removed");
    }
    assert!(site.journals().is_empty());
}

#[test]
fn an_empty_one_is_none_and_a_name_is_compared_letter_by_letter() {
    let site = nowhere();
    site.makeroom(["true"]).env(&named("PUASE"), "").run().expect_code(0);
    site.makeroom(["true"]).env("makeroom_pause", "re:(").run().expect_code(0);
    let nearest = "the nearest is MAKEROOM_PAUSE";
    site.makeroom(["true"]).env(&named("pause"), "x").run().expect_code(125).expect_said(nearest);
    // Bytes that are no text, in the value and in the name.
    let odd = OsStr::from_bytes(b"\xff");
    let unknown = site.makeroom(["true"]).env(&named("PUASE"), odd).run();
    unknown.expect_code(125).expect_said(COMPLAINT);
    let known = site.makeroom(["true"]).env("MAKEROOM_PAUSE", odd).run();
    known.expect_code(125).expect_said("error: MAKEROOM_PAUSE: it is not UTF-8\n");
    let setting = [PREFIX.as_bytes(), b"PAUS\xff\x1b=x"].concat();
    let done =
        site.command("env").args([OsStr::from_bytes(&setting)]).args([MAKEROOM, "true"]).run();
    done.expect_code(125)
        .expect_said(&named("PAUS\u{fffd}\\u{1b}: no such variable"))
        .expect_said(nearest);
    assert!(!done.err.contains('\x1b'), "{:?}", done.err);
}

/// What a makeroom inside is asked to do, for `sh -c`, with its exit codes; `$0` is makeroom.
const INSIDE: &str = "\"$0\" run -- true; echo run $?; \"$0\" start --name n; echo start $?; \
    \"$0\" plan; echo plan $?; \"$0\" status; echo status $?; \"$0\" doctor; echo doctor $?; \
    \"$0\" stop; echo stop $?; \"$0\" recover; echo recover $?; env";

#[test]
fn inside_a_build_and_with_the_tests_variables_all_are_known() {
    let site = nowhere();
    let mut run = site.makeroom(["sh", "-c", INSIDE, MAKEROOM]);
    // What a person sets for all runs, and what whoever runs the tests and scripts sets.
    for (name, value) in [
        ("MAKEROOM_PAUSE", "x"),
        ("MAKEROOM_GRACE", "1s"),
        ("MAKEROOM_ON_RESTORED", "true"),
        ("MAKEROOM_REPORT", "report.json"),
        ("MAKEROOM_LINGER", "1s"),
        ("MAKEROOM_THEN", "y"),
    ] {
        run.env(name, value);
    }
    for name in OTHERS {
        run.env(name, "1");
    }
    let done = run.run();
    done.expect_code(0);
    assert!(!done.err.contains(COMPLAINT), "{}", done.err);
    for line in ["run 0", "start 0", "status 0", "stop 0", "recover 0", "MAKEROOM_GRACE=1s"] {
        assert!(done.out.lines().any(|said| said == line), "`{line}` is not in {}", done.out);
    }
    // The lease is the build's own, and the report that of the run around it.
    assert!(done.out.contains("MAKEROOM_LEASE=") && !done.out.contains("MAKEROOM_LEASE=1\n"));
    assert!(!done.out.contains("MAKEROOM_REPORT="), "{}", done.out);
}

#[test]
#[cfg_attr(makeroom_portable, ignore = "this machine's memory is seen on Linux only")]
fn inside_each_hook_all_are_known() {
    let (site, figures) = (Site::new(), Figures::new(9000));
    let services = site.services(2);
    let hook = |name: &str| {
        let file = site.path(name).display().to_string();
        format!(
            "exec >{file}.new 2>&1; {MAKEROOM} run -- true; echo run $?; {MAKEROOM} plan; \
             {MAKEROOM} status; echo status $?; env; mv {file}.new {file}"
        )
    };
    let mut run = site.makeroom(["--method", "pause", "--pause", services.name(0)]);
    run.args(["--then", services.name(1), "--floor", "500MiB"]);
    for event in ["room-made", "pressure", "restored"] {
        run.args([format!("--on-{event}"), hook(event)]);
    }
    figures.over(&mut run);
    let run = run.args(["sh", "-c", UNTIL_GO]).spawn();
    site.child();
    let told = |event: &str, facts: &[&str]| {
        let text = wait_for(event, || fs::read_to_string(site.path(event)).ok());
        assert!(!text.contains(COMPLAINT), "{event}: {text}");
        for line in ["run 0", "status 0"] {
            assert!(text.lines().any(|said| said == line), "{event}: `{line}` is not in {text}");
        }
        for fact in facts {
            assert!(text.contains(&format!("\n{PREFIX}{fact}")), "{event}: no {fact} in {text}");
        }
    };
    told("room-made", &["EVENT=room_made", "LEASE=", "STATE_DIR=", "PROGRAM=sh", "SERVICES="]);
    figures.available(400);
    told("pressure", &["EVENT=pressure", "AVAILABLE_BYTES="]);
    site.go();
    run.wait().expect_code(7);
    told("restored", &["EVENT=restored", "NOT_RESTORED=", "EXIT=7"]);
}

/// The names in a text that begin as makeroom's variables do.
fn names(text: &str) -> impl Iterator<Item = String> {
    let is_name =
        |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    text.split(move |letter| !is_name(letter))
        .filter(|word| word.strip_prefix(PREFIX).is_some_and(|rest| !rest.is_empty()))
        .map(|word| word.trim_end_matches('_').to_owned())
}

#[test]
fn each_name_in_the_repository_is_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"])
        .args(["--exclude-standard"])
        .current_dir(root)
        .output()
        .expect("git");
    let files: Vec<_> =
        listed.stdout.split(|&byte| byte == 0).filter(|file| !file.is_empty()).collect();
    assert!(listed.status.success() && files.len() > 100, "{listed:?}");
    let mut found = BTreeSet::new();
    for file in files {
        // One that was removed and is not yet committed as such.
        let Ok(bytes) = fs::read(root.join(OsStr::from_bytes(file))) else { continue };
        for name in names(&String::from_utf8_lossy(&bytes)) {
            let file = String::from_utf8_lossy(file);
            assert!(is_known(&name), "{name} in {file} is in no list: see {LIST}");
            if file != LIST {
                found.insert(name);
            }
        }
    }
    for name in OTHERS {
        assert!(found.contains(name), "nobody uses {name}");
    }
}
