//! Owns doing what goes wrong in a round: to processes, to the engine, to containers, to the disk and
//! to the clock. What is done here is undone here.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use crate::{
    plan::Victim,
    support::{api, dockerd::engine, process, services::Services, site::Site},
};

/// The pids that a signal to this victim goes to; negative ones are groups. `supervisor` has a group of its own.
pub fn pids(site: &Site, supervisor: i32, victim: Victim) -> Vec<i32> {
    // A started lease's keeper has no supervisor any more.
    let keepers = site.keepers();
    let own: Vec<i32> = keepers.iter().copied().filter(|pid| process::stat(*pid).is_some_and(|stat| stat.parent == supervisor)).collect();
    let keeper = own.first().or(keepers.first()).copied();
    match victim {
        Victim::Supervisor => vec![supervisor],
        Victim::Keeper => keeper.into_iter().collect(),
        // The keeper first: the supervisor would start another one.
        Victim::Both => keeper.into_iter().chain([supervisor]).collect(),
        Victim::Group => vec![-supervisor],
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

/// `docker rm -f`; an engine that is away or busy with it does not do it, which is as good a round.
pub fn remove(service: &Services) {
    let path = format!("/containers/{}?force=1", service.name(0));
    let _ = api::ask(&engine().socket(), "DELETE", &path, "text/plain", b"");
}

/// `docker compose up --force-recreate`, as far as it gets.
pub fn recreate(service: &Services) {
    remove(service);
    let socket = engine().socket();
    let body = service.body(0).to_string();
    let path = format!("/containers/create?name={}", service.name(0));
    let _ = api::ask(&socket, "POST", &path, "application/json", body.as_bytes());
    let _ = api::ask(&socket, "POST", &format!("/containers/{}/start", service.name(0)), "text/plain", b"");
}

/// Whether one of these is stopped, and the engine itself answers a start with an error of its own.
pub fn engine_cannot_start(services: &[Services]) -> bool {
    let refuses = |service: &Services| {
        let path = format!("/containers/{}/start", service.name(0));
        api::ask(&engine().socket(), "POST", &path, "text/plain", b"").is_ok_and(|answer| answer.status >= 500)
    };
    services.iter().any(|service| service.are("exited") && refuses(service))
}

/// The clock on the wall is another one until this is dropped, or this process ends, however it ends.
pub struct Clock(Child);

impl Clock {
    /// Moves it; `None` where this machine does not allow that.
    pub fn shift(seconds: i64) -> Option<Self> {
        // The difference is taken back, not the old time: what passed meanwhile has passed.
        let script =
            r#"move() { date -s "@$(($(date +%s) + $1))" >/dev/null; }; move "$1" || exit 1; echo moved; cat >/dev/null; move "$((-$1))""#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "clock", &seconds.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("sh");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a pipe");
        let moved = Self(child);
        (line == "moved\n").then_some(moved)
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
