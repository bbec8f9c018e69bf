//! What the child gets: exactly what it would have without makeroom, but for its group and its
//! place in the OOM killer's order.

use std::{io, path::PathBuf};

use nix::sys::resource::Resource;

use crate::support::{
    makeroom::{Done, Run},
    site::Site,
};

const MAKEROOM: &str = env!("CARGO_BIN_EXE_makeroom");

fn site() -> Site {
    Site::at(PathBuf::from("/nonexistent/docker.sock"))
}

/// What a command prints when it is run directly and when it is run by makeroom, both prepared
/// alike.
fn both(site: &Site, command: &[&str], prepare: impl Fn(&mut Run)) -> (Done, Done) {
    let mut direct = site.command(command[0]);
    direct.args(&command[1..]);
    let mut wrapped = site.makeroom(command);
    let [direct, wrapped] = [&mut direct, &mut wrapped].map(|run| {
        prepare(run);
        run.run()
    });
    direct.expect_code(0);
    wrapped.expect_code(0);
    (direct, wrapped)
}

/// grep looks at itself: nothing is between makeroom and it.
const SIGNALS: [&str; 4] = ["grep", "-E", "^Sig(Ign|Blk|Cgt|Pnd):", "/proc/self/status"];

#[track_caller]
fn same_signals(prepare: impl Fn(&mut Run)) -> String {
    let site = site();
    let (direct, wrapped) = both(&site, &SIGNALS, prepare);
    assert_eq!(wrapped.out, direct.out);
    assert_eq!(direct.out.lines().count(), 4, "{}", direct.out);
    direct.out
}

fn ignore(run: &mut Run, signals: &'static [i32]) {
    run.before_exec(move || {
        for &signal in signals {
            // SAFETY: SIG_IGN runs no code.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        Ok(())
    });
}

/// A line of the mask as the kernel prints it: bit n-1 is signal n.
fn has(status: &str, field: &str, signal: i32) -> bool {
    let line = status.lines().find(|line| line.starts_with(field)).expect(field);
    let mask = u64::from_str_radix(line.rsplit('\t').next().expect("a mask").trim(), 16)
        .expect("hexadecimal");
    mask & (1 << (signal - 1)) != 0
}

#[test]
fn a_plain_childs_signals_are_those_of_a_direct_run() {
    let status = same_signals(|_| {});
    assert!(!has(&status, "SigIgn", libc::SIGPIPE));
}

#[test]
fn an_ignored_sigpipe_stays_ignored() {
    let status = same_signals(|run| ignore(run, &[libc::SIGPIPE]));
    assert!(has(&status, "SigIgn", libc::SIGPIPE));
}

#[test]
fn what_a_background_job_ignores_stays_ignored() {
    let status = same_signals(|run| ignore(run, &[libc::SIGINT, libc::SIGQUIT]));
    assert!(has(&status, "SigIgn", libc::SIGINT));
}

#[test]
fn everything_that_can_be_ignored_stays_ignored() {
    const ALL: [i32; 17] = [1, 2, 3, 10, 12, 13, 14, 15, 17, 18, 20, 21, 22, 23, 28, 34, 64];
    let status = same_signals(|run| ignore(run, &ALL));
    assert!(ALL.iter().all(|&signal| has(&status, "SigIgn", signal)), "{status}");
}

#[test]
fn blocked_signals_stay_blocked() {
    const BLOCKED: [i32; 5] = [libc::SIGUSR1, libc::SIGTERM, libc::SIGCHLD, libc::SIGWINCH, 40];
    let status = same_signals(|run| {
        run.before_exec(|| {
            // SAFETY: the set is ours, made empty before it is used.
            let done = unsafe {
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&raw mut set);
                for signal in BLOCKED {
                    libc::sigaddset(&raw mut set, signal);
                }
                libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut())
            };
            if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        });
    });
    assert!(BLOCKED.iter().all(|&signal| has(&status, "SigBlk", signal)), "{status}");
}

#[test]
fn under_nohup_the_childs_signals_are_those_of_a_direct_run_under_nohup() {
    let site = site();
    let direct = site.command("nohup").args(SIGNALS).run();
    let wrapped = site.command("nohup").args([MAKEROOM]).args(SIGNALS).run();
    assert_eq!(wrapped.expect_code(0).out, direct.expect_code(0).out);
    assert!(has(&direct.out, "SigIgn", libc::SIGHUP));
}

#[test]
fn the_childs_descriptors_are_those_of_a_direct_run() {
    let site = site();
    let (direct, wrapped) = both(&site, &["ls", "/proc/self/fd"], |run| {
        run.before_exec(|| {
            // What the caller left open on purpose, as make's jobserver does. SAFETY: only copies a
            // descriptor.
            if unsafe { libc::dup2(0, 17) } == 17 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        });
    });
    assert_eq!(wrapped.out, direct.out);
    assert!(direct.out.lines().any(|line| line == "17"), "{}", direct.out);
}

#[test]
fn the_childs_directory_mask_limits_and_priority_are_those_of_a_direct_run() {
    let site = site();
    let script = "pwd; umask; ulimit -S -a; ulimit -H -a; nice; cat /proc/self/timerslack_ns; grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status";
    let (direct, wrapped) = both(&site, &["bash", "-c", script], |run| {
        run.limit_resource(Resource::RLIMIT_NOFILE, 100, 200).before_exec(|| {
            // SAFETY: single system calls on what is ours.
            unsafe {
                libc::umask(0o137);
                libc::setpriority(libc::PRIO_PROCESS, 0, 3);
            }
            Ok(())
        });
    });
    assert_eq!(wrapped.out, direct.out);
    assert!(direct.out.contains("0137") && direct.out.contains("100"), "{}", direct.out);
}

#[test]
fn the_childs_environment_gains_the_lease_and_nothing_else() {
    let site = site();
    let (direct, wrapped) = both(&site, &["env"], |run| {
        run.env("SECRET", "a b\nc");
    });
    let sorted = |done: &Done| {
        let mut lines: Vec<_> = done
            .out
            .lines()
            .filter(|line| !line.starts_with("MAKEROOM_LEASE="))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&wrapped), sorted(&direct));
    assert!(wrapped.out.contains("MAKEROOM_LEASE=") && !direct.out.contains("MAKEROOM_LEASE="));
}

#[test]
#[cfg_attr(
    makeroom_portable,
    ignore = "oom_score_adj is Linux's own; `portable` tests that it is left alone"
)]
fn the_kernel_prefers_the_child_to_what_it_would_have_been() {
    let site = site();
    let (direct, wrapped) = both(&site, &["cat", "/proc/self/oom_score_adj"], |_| {});
    let [direct, wrapped] =
        [direct, wrapped].map(|done| done.out.trim().parse::<i32>().expect("a number"));
    assert!(wrapped > direct || direct == 1000, "{wrapped} after {direct}");
}

#[test]
fn the_child_leads_a_group_of_its_own_in_the_callers_session() {
    let site = site();
    // Fields 1, 5 and 6 of proc_pid_stat(5): pid, group, session; the name has no blanks.
    let (direct, wrapped) =
        both(&site, &["cut", "-d", " ", "-f", "1,5,6", "/proc/self/stat"], |_| {});
    let fields = |done: &Done| {
        done.out
            .split_whitespace()
            .map(|field| field.parse::<i32>().expect("a number"))
            .collect::<Vec<_>>()
    };
    let (direct, wrapped) = (fields(&direct), fields(&wrapped));
    assert_eq!(wrapped[0], wrapped[1], "leads its group");
    assert_ne!(wrapped[1], direct[1], "not its caller's group");
    assert_eq!(wrapped[2], direct[2], "its caller's session");
}
