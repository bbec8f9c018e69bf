//! At a real terminal: a pty with an interactive bash, or makeroom alone, in its foreground. Keys
//! do what they do with any command; the child has the terminal when it asks; and makeroom's own
//! lines are coloured and alive only where a person sees them.

mod jobs;
mod lines;

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Arc, Mutex},
    thread,
};

use nix::pty::openpty;

use crate::support::{
    PATIENCE, comes_true_within,
    makeroom::{Run, Running},
    process,
    services::Services,
    site::Site,
    wait_until,
};

/// A build that tells its pid and its parent's, and lives until it is ended.
const BEATING: &str =
    "echo $PPID >parent; echo $$ >child; while :; do echo >>beat; sleep 0.02; done";

/// A terminal with something in its foreground.
struct Terminal {
    master: File,
    screen: Arc<Mutex<Vec<u8>>>,
    running: Running,
}

impl Terminal {
    /// Starts this as the leader of a new session on a new terminal.
    #[track_caller]
    fn with(run: &mut Run) -> Self {
        let pty = openpty(None, None).expect("a pty");
        let (slave, error) = (pty.slave, |_| io::Error::last_os_error());
        let all_streams = [0, 1, 2];
        run.before_exec(move || {
            nix::unistd::setsid().map_err(error)?;
            // SAFETY: an ioctl without memory, and dup2: both async-signal-safe.
            unsafe {
                if libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) != 0
                    || all_streams.iter().any(|&to| libc::dup2(slave.as_raw_fd(), to) < 0)
                {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
        Self::around(run.spawn(), pty.master)
    }

    fn around(running: Running, master: OwnedFd) -> Self {
        let (master, screen) = (File::from(master), Arc::new(Mutex::new(Vec::new())));
        let (mut from, to) = (master.try_clone().expect("a descriptor"), Arc::clone(&screen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It ends with an error once nobody has the terminal any more, or this value is gone.
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                to.lock().expect("unpoisoned").extend_from_slice(&buffer[..length]);
            }
        });
        Self { master, screen, running }
    }

    /// An interactive shell with job control, which knows makeroom as `$mr`.
    #[track_caller]
    fn shell(site: &Site) -> Self {
        Self::shell_of(&mut site.command("bash"))
    }

    #[track_caller]
    fn shell_of(run: &mut Run) -> Self {
        run.args(["--norc", "--noprofile", "--noediting", "-i"])
            .env("mr", env!("CARGO_BIN_EXE_makeroom"))
            .env("PS1", "")
            .env("TERM", "xterm");
        let mut terminal = Self::with(run);
        terminal.answers("ready");
        terminal
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().expect("unpoisoned")).into_owned()
    }

    fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("typed");
    }

    #[track_caller]
    fn shows(&self, words: &str) {
        let is_shown = || self.screen().contains(words);
        let has_come = comes_true_within(PATIENCE, is_shown);
        assert!(has_come, "`{words}` is not on the screen:\n{}", self.screen());
    }

    /// The shell reads and answers again. What is typed is not what is answered, so that the
    /// terminal's echo does not count.
    #[track_caller]
    fn answers(&mut self, word: &str) {
        self.expect_shell_in_the_foreground();
        self.keys(&format!("echo an'swers-{word}-'\n"));
        self.shows(&format!("answers-{word}-\r\n"));
    }

    /// The exit code of what ended last.
    #[track_caller]
    fn expect_code(&mut self, code: &str) {
        self.expect_shell_in_the_foreground();
        self.keys("echo an'swers-'$?-\n");
        self.shows(&format!("answers-{code}-\r\n"));
    }

    /// The group that has the terminal.
    fn foreground(&self) -> i32 {
        nix::unistd::tcgetpgrp(&self.master).expect("a terminal").as_raw()
    }

    /// What is typed before that, a build that is about to stop may read.
    #[track_caller]
    fn expect_shell_in_the_foreground(&self) {
        wait_until("the shell has the terminal", || self.foreground() == self.running.pid());
    }

    #[track_caller]
    fn expect_foreground_other_than_the_shell(&self) {
        wait_until("a job has the terminal", || self.foreground() != self.running.pid());
    }
}

fn state(pid: i32) -> Option<char> {
    process::stat(pid).map(|stat| stat.state)
}

fn number_in(site: &Site, name: &str) -> i32 {
    crate::support::wait_for_line(&site.work().join(name)).parse().expect("a pid")
}

/// Whether it does nothing: stopped, or waiting in vfork(2) for a child that was stopped before its
/// exec.
fn stands_still(pid: i32) -> bool {
    let children =
        || fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let is_stopped = |pid: &str| pid.parse().is_ok_and(|pid| state(pid) == Some('T'));
    state(pid) == Some('T')
        || (state(pid) == Some('D') && children().split_whitespace().any(is_stopped))
}

/// How often the build has shown a sign of life.
fn beats(site: &Site) -> u64 {
    fs::metadata(site.work().join("beat")).map_or(0, |file| file.len())
}

#[track_caller]
fn wait_until_it_beats(site: &Site) {
    let before = beats(site);
    wait_until("the build goes on", || beats(site) > before + 2);
}

/// Types the build in, in front of or behind something else.
#[track_caller]
fn begin(terminal: &mut Terminal, site: &Site, services: &Services, line: &str) {
    let command = format!("$mr --pause '{}' sh -c '{BEATING}'", services.all());
    terminal.keys(&(line.replace("BUILD", &command) + "\n"));
    site.child();
    assert!(services.are("paused"), "{:?}", services.statuses());
}
