//! Owns doing what goes wrong in a round: to processes, to the engine and to containers.

use std::{sync::Mutex, thread, time::Duration};

use crate::{
    plan::Victim,
    support::{api, dockerd::engine, process, services::Services, site::Site},
};

/// Whom a signal to this victim goes to, as pids, negative ones being groups, and in words; nobody,
/// where none of them is there. `supervisor` has a group of its own.
pub fn hit(
    site: &Site,
    supervisor: Option<i32>,
    victim: Victim,
) -> Option<(Vec<i32>, &'static str)> {
    let keepers = site.keepers();
    let is_own =
        |pid: &&i32| process::stat(**pid).is_some_and(|stat| Some(stat.parent) == supervisor);
    // A started lease's keeper has no supervisor any more.
    let keeper = keepers.iter().find(is_own).or(keepers.first()).copied();
    match (victim, supervisor, keeper) {
        (Victim::Keeper, _, Some(keeper)) | (Victim::Both, None, Some(keeper)) => {
            Some((vec![keeper], "the keeper"))
        }
        (Victim::Supervisor, Some(supervisor), _) | (Victim::Both, Some(supervisor), None) => {
            Some((vec![supervisor], "the supervisor"))
        }
        // The keeper first: the supervisor would start another one.
        (Victim::Both, Some(supervisor), Some(keeper)) => {
            Some((vec![keeper, supervisor], "the supervisor and its keeper"))
        }
        (Victim::Group, Some(supervisor), _) => Some((vec![-supervisor], "the supervisor's group")),
        (Victim::Supervisor | Victim::Group, None, _)
        | (Victim::Keeper | Victim::Both, _, None) => None,
    }
}

/// Sends it to each that is still there.
pub fn send(pids: &[i32], signal: i32) {
    for &pid in pids {
        assert!(pid.abs() > 1, "no process: {pid}");
        // SAFETY: kill has no memory to get wrong.
        unsafe { libc::kill(pid, signal) };
    }
}

/// The engine ends, is away for a while, and comes back.
pub fn restart_engine(signal: &str, down: Duration, live_restore: bool) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().expect("unpoisoned");
    engine().end(signal);
    thread::sleep(down);
    engine().start_again(live_restore);
}

/// How many files this process may have open from now on, softly; gives what it was.
pub fn limit_files(pid: i32, soft: u64) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is ours to write to, then to read from. The process may be gone, which is
    // fine.
    unsafe {
        if libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit) != 0 {
            return None;
        }
        let before = limit.rlim_cur;
        limit.rlim_cur = soft.min(limit.rlim_max);
        (libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) == 0)
            .then_some(before)
    }
}

/// `docker rm -f`; tells whether the engine did it. One that is away or busy with it makes as good
/// a round.
pub fn remove(service: &Services) -> bool {
    let path = format!("/containers/{}?force=1", service.name(0));
    is_done("DELETE", &path, b"")
}

/// `docker compose up --force-recreate`, as far as it gets; tells whether there is a new one.
pub fn recreate(service: &Services) -> bool {
    remove(service);
    let body = service.body(0).to_string();
    is_done("POST", &format!("/containers/create?name={}", service.name(0)), body.as_bytes())
        && is_done("POST", &format!("/containers/{}/start", service.name(0)), b"")
}

/// `docker unpause`, `start` or `stop` by somebody else; tells whether there was something to do.
pub fn hand(service: &Services, verb: &str) -> bool {
    is_done("POST", &format!("/containers/{}/{verb}", service.name(0)), b"")
}

fn is_done(method: &str, path: &str, body: &[u8]) -> bool {
    api::ask(&engine().socket(), method, path, "application/json", body)
        .is_ok_and(|answer| answer.status < 400)
}

/// Whether the engine itself answers a start of this one with an error of its own. An engine that
/// is killed while it starts a container can be left unable to start it, for anybody and for good
/// ("id already in use").
pub fn engine_cannot_start(service: &Services) -> bool {
    let path = format!("/containers/{}/start", service.name(0));
    api::ask(&engine().socket(), "POST", &path, "text/plain", b"")
        .is_ok_and(|answer| answer.status >= 500)
}
