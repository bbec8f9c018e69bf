//! A stranger who owns a directory above root's state directory, or waits in a sticky one, and puts
//! another in its place again and again while root runs makeroom. What they plant is a lease whose
//! way to the host is a command of theirs. MAKEROOM_RACE_SECONDS says for how long; CI has a few.

use std::{
    ffi::CString,
    fs, io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, PermissionsExt as _, chown, symlink},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{journal::Journal, site::Site};

const STRANGER: u32 = 1234;

/// This thread is the stranger from here on: the kernel's own calls are for one thread
/// (setresuid(2), "C library/kernel differences").
fn become_stranger() {
    // SAFETY: system calls that read what is ours.
    let done = unsafe {
        libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) == 0
            && libc::syscall(libc::SYS_setresgid, STRANGER, STRANGER, STRANGER) == 0
            && libc::syscall(libc::SYS_setresuid, STRANGER, STRANGER, STRANGER) == 0
    };
    assert!(done, "{}", io::Error::last_os_error());
}

fn exchange(one: &Path, other: &Path) {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("a path");
    let (one, other) = (text(one), text(other));
    let here = libc::AT_FDCWD;
    // SAFETY: two paths that live as long as the call.
    unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            here,
            one.as_ptr(),
            here,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
}

/// A state directory with a lease whose way to the host writes down who goes it.
fn plant(dir: &Path, got: &Path) {
    let leases = dir.join("leases");
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&leases).expect("a directory");
    let command = format!("id -u >>'{}'; exit 1", got.display());
    Journal::of("0123456789ab")
        .with("kind", json!("start"))
        .with("program", Value::Null)
        .with_area_behind(&json!(["/bin/sh", "-c", command]))
        .write(&leases.join("0123456789ab.journal"));
}

fn seconds() -> Duration {
    Duration::from_secs(
        std::env::var("MAKEROOM_RACE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2),
    )
}

/// Runs all that opens a state directory again and again while the stranger does `turn`; tells how
/// often each did.
#[track_caller]
fn race(site: &Site, state: &Path, got: &Path, turn: impl Fn(usize) + Sync) {
    let (is_over, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut runs, mut refused) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            become_stranger();
            while !is_over.load(Ordering::Relaxed) {
                let nth = turns.fetch_add(1, Ordering::Relaxed);
                turn(nth);
                // As many lengths as there are moments between a look and what comes after it.
                thread::sleep(Duration::from_micros(nth as u64 * 37 % 1500));
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < seconds() {
            for words in
                [&["recover"][..], &["start", "--ttl", "1s"], &["stop", "--all"], &["true"]]
            {
                let done = site.makeroom(words).env("MAKEROOM_STATE_DIR", state).run();
                runs += 1;
                refused += usize::from(done.err.contains("state directory"));
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let turns = turns.into_inner();
    let root = fs::read_to_string(got).unwrap_or_default().lines().count();
    println!(
        "{runs} commands, {refused} refused, {turns} turns of the stranger, {root} commands of theirs run"
    );
    assert!(runs >= 4 && turns > 0);
    assert_eq!(root, 0, "a command of the stranger was run by root");
}

fn scene() -> (Site, PathBuf, PathBuf) {
    let site = Site::at(PathBuf::from("/nonexistent/docker.sock"));
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o711)).expect("a mode");
    let got = site.path("got");
    let his = site.path("his");
    fs::create_dir(&his).expect("a directory");
    (site, his, got)
}

#[test]
fn whoever_owns_a_directory_above_the_state_directory_gets_nothing_by_renaming_it() {
    let (site, his, got) = scene();
    let (state, evil) = (his.join("x"), his.join("evil"));
    // Root's own, as an earlier run made it.
    fs::DirBuilder::new().mode(0o700).create(&state).expect("a directory");
    fs::DirBuilder::new().mode(0o700).create(state.join("leases")).expect("a directory");
    plant(&evil, &got);
    for path in [&his, &evil, &evil.join("leases"), &evil.join("leases/0123456789ab.journal")] {
        chown(path, Some(STRANGER), Some(STRANGER)).expect("root gives it away");
    }
    race(&site, &state, &got, |_| exchange(&state, &evil));
}

#[test]
fn whoever_waits_in_a_sticky_directory_gets_nothing_by_being_first() {
    let (site, shared, got) = scene();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).expect("a mode");
    let (above, planted) = (shared.join("above"), site.path("planted"));
    let state = above.join("x");
    plant(&planted.join("x"), &got);
    let real = site.path("real");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(real.join("x/leases"))
        .expect("a directory");
    for path in [
        &planted,
        &planted.join("x"),
        &planted.join("x/leases"),
        &planted.join("x/leases/0123456789ab.journal"),
    ] {
        chown(path, Some(STRANGER), Some(STRANGER)).expect("root gives it away");
    }
    let next = shared.join("next");
    race(&site, &state, &got, |nth| {
        let _ = symlink(if nth % 2 == 0 { &real } else { &planted }, &next);
        let _ = fs::rename(&next, &above);
    });
    fs::remove_file(&above).expect("the stranger's link");
    // Where there is none, the directory is root's, and the stranger cannot take it away.
    race(&site, &state, &got, |_| {
        let _ = symlink(&planted, &next);
        let _ = fs::rename(&next, &above);
        let _ = fs::remove_file(&above);
    });
}
