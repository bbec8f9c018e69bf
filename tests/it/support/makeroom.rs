//! Owns running the command under test: its scrubbed environment, its streams in files (so that a
//! daemon which the build leaves behind holds no pipe of ours), its end within a time limit.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

use nix::{
    sys::resource::{Resource, setrlimit},
    unistd::{Pid, setpgid},
};

use super::{
    PATIENCE, crowd, process,
    site::{Inner, Site},
    unique, wait_for, wait_within,
};

/// Where programs are, also what root's PATH of the caller does not have.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command, ready to run.
pub struct Run {
    command: Command,
    site: Rc<Inner>,
    stem: PathBuf,
    limit: Duration,
}

/// A command that runs.
pub struct Running {
    child: Child,
    stem: PathBuf,
    limit: Duration,
    begun: Instant,
    site: Rc<Inner>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    /// As the kernel has it.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub out: String,
    /// What it wrote to stderr.
    pub err: String,
    /// From its start to its end.
    pub took: Duration,
    begun: Instant,
}

impl Run {
    pub(super) fn new(site: &Site, program: &str) -> Self {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env("HOME", site.path("home"))
            .current_dir(site.work());
        command.env("DOCKER_HOST", format!("unix://{}", site.engine().display()));
        command.env("MAKEROOM_STATE_DIR", site.state()).env("MAKEROOM_SWAP", "off");
        let stem = site.path("log").join(unique("run"));
        command.stdin(Stdio::null());
        // SAFETY: a loop of single system calls. Whoever runs the tests may ignore or block signals
        // (a shell's background job ignores SIGINT and SIGQUIT; what glibc's posix_spawn started
        // ignores 32, which glibc's own calls refuse to touch); the kernel refuses SIGKILL and
        // SIGSTOP.
        unsafe {
            command.pre_exec(|| {
                // The kernel's own sigaction: SIG_DFL, no flags, no restorer, an empty mask.
                let by_default = [0_u64; 4];
                for signal in 1..=64 {
                    libc::syscall(
                        libc::SYS_rt_sigaction,
                        signal,
                        by_default.as_ptr(),
                        std::ptr::null_mut::<u64>(),
                        8,
                    );
                }
                // With a killed test process its makerooms end as well, and with them their builds.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                let mut none = std::mem::zeroed();
                libc::sigemptyset(&raw mut none);
                libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
                Ok(())
            })
        };
        Self { command, site: site.inner(), stem, limit: PATIENCE }
    }

    /// More arguments.
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(&mut self, args: I) -> &mut Self {
        self.command.args(args);
        self
    }

    /// One more variable.
    pub fn env(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.command.env(name, value);
        self
    }

    /// One variable less.
    pub fn without_env(&mut self, name: &str) -> &mut Self {
        self.command.env_remove(name);
        self
    }

    /// Another working directory.
    pub fn dir(&mut self, dir: &Path) -> &mut Self {
        self.command.current_dir(dir);
        self
    }

    /// As this user.
    pub fn user(&mut self, user: u32) -> &mut Self {
        self.command.uid(user).gid(user);
        self
    }

    /// How long it may take.
    pub fn limit(&mut self, limit: Duration) -> &mut Self {
        self.limit = limit;
        self
    }

    /// Runs this between fork and exec; it has to be async-signal-safe.
    pub fn before_exec(
        &mut self,
        act: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
    ) -> &mut Self {
        // SAFETY: the callers' acts are single system calls.
        unsafe { self.command.pre_exec(act) };
        self
    }

    /// It leads a process group of its own, as a shell's job does.
    pub fn in_own_group(&mut self) -> &mut Self {
        let own = Pid::from_raw(0);
        self.before_exec(move || setpgid(own, own).map_err(io::Error::from))
    }

    /// Limits it and all that it starts, softly and hard (setrlimit(2)).
    pub fn limit_resource(&mut self, resource: Resource, soft: u64, hard: u64) -> &mut Self {
        self.before_exec(move || setrlimit(resource, soft, hard).map_err(io::Error::from))
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&mut self) -> Done {
        self.spawn().wait()
    }

    /// Starts it.
    #[track_caller]
    pub fn spawn(&mut self) -> Running {
        let stream = |name| File::create(self.stem.with_extension(name)).expect("a stream's file");
        self.command.stdout(stream("out")).stderr(stream("err"));
        self.site.commands.borrow_mut().push((format!("{:?}", self.command), self.stem.clone()));
        let begun = Instant::now();
        let child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.command));
        Running {
            child,
            stem: self.stem.clone(),
            limit: self.limit,
            begun,
            site: Rc::clone(&self.site),
        }
    }
}

impl Running {
    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Sends it a signal, to it alone.
    pub fn signal(&self, signal: i32) {
        process::signal(self.pid(), signal);
    }

    /// What it has written so far.
    #[must_use]
    pub fn written(&self, stream: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.stem.with_extension(stream)).unwrap_or_default())
            .into_owned()
    }

    /// Its keeper, once there is one.
    #[track_caller]
    pub fn keeper(&self) -> i32 {
        self.keeper_other_than(0)
    }

    /// The keeper that comes after this one.
    #[track_caller]
    pub fn keeper_other_than(&self, before: i32) -> i32 {
        let is_keeper = |pid: &i32| {
            let is_child = |stat: process::Stat| stat.parent == self.pid() && stat.state != 'Z';
            let words = || fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            *pid != before
                && process::stat(*pid).is_some_and(is_child)
                && words().split(|&byte| byte == 0).nth(1) == Some(b"keeper")
        };
        wait_for("a keeper", || process::all().into_iter().find(is_keeper))
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Kills it as nothing can be prepared for, and waits until it is gone.
    #[track_caller]
    pub fn kill(&mut self) {
        self.child.kill().expect("a child");
        self.child.wait().expect("a child");
    }

    /// Kills it and its keeper. Stopped, it starts no other one in between.
    #[track_caller]
    pub fn kill_with_keeper(&mut self) {
        let keeper = self.keeper();
        self.signal(libc::SIGSTOP);
        process::signal(keeper, libc::SIGKILL);
        self.kill();
        wait_until_gone(Duration::from_secs(2), "the keeper", &[keeper]);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where it does not end within its limit.
    #[track_caller]
    pub fn wait(mut self) -> Done {
        let mut has_ended = !self.is_running();
        while !has_ended && !crowd::is_over(self.limit, self.begun) {
            let left = crowd::allowed(self.limit, self.begun).saturating_sub(self.begun.elapsed());
            has_ended = process::has_ended_within(self.pid(), left);
        }
        let took = self.begun.elapsed();
        assert!(has_ended, "it has not ended within {took:?}");
        let status = self.child.wait().expect("a child");
        let (out, err) = (self.written("out"), self.written("err"));
        Done { status, out, err, took, begun: self.begun }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only a test that panicked, or does not care, leaves it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = &self.site;
    }
}

impl Done {
    /// The exit code, where it ended with one.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that it died of.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Requires this exit code.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code(), Some(code), "{}\n{}", self.status, self.err);
        self
    }

    /// Requires these words on stderr.
    #[track_caller]
    pub fn expect_said(&self, words: &str) -> &Self {
        assert!(self.err.contains(words), "`{words}` is not in:\n{}", self.err);
        self
    }

    /// Requires that it ended within this time.
    #[track_caller]
    pub fn expect_within(&self, limit: Duration) -> &Self {
        let (took, allowed) = (self.took, crowd::allowed(limit, self.begun));
        assert!(took <= allowed, "it took {took:?}, allowed are {allowed:?}");
        self
    }
}

/// Waits until none of these processes runs.
#[track_caller]
pub fn wait_until_gone(limit: Duration, what: &str, pids: &[i32]) -> Duration {
    wait_within(limit, &format!("{what} {pids:?} gone"), || {
        pids.iter().all(|&pid| !process::runs(pid))
    })
}
