//! Owns one test's surroundings: home, working and state directory, the engine's address; and the
//! report that a failing test prints: commands, both streams, journals, containers, processes.
//! What a test left running is ended with it, found by the home that only its processes have.

use std::{
    cell::RefCell,
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    panic,
    path::{Path, PathBuf},
    rc::{Rc, Weak},
    sync::Once,
};

use tempfile::TempDir;

use super::{
    api, crowd,
    disk::Disk,
    dockerd,
    makeroom::Run,
    process,
    proxy::Proxy,
    services::{Recipe, Services},
    wait_for_line, wait_until,
};

thread_local! {
    static SITES: RefCell<Vec<Weak<Inner>>> = const { RefCell::new(Vec::new()) };
}

/// A build, for `sh -c`: tells its pid, waits for [`Site::go`], ends with 7.
pub const UNTIL_GO: &str = "echo $$ >child; while ! [ -e go ]; do sleep 0.02; done; exit 7";
/// The same, and SIGTERM does not end it.
pub const STUBBORN: &str =
    "trap '' TERM; echo $$ >child; while ! [ -e go ]; do sleep 0.02; done; exit 7";

/// One test's surroundings.
pub struct Site {
    inner: Rc<Inner>,
}

pub(super) struct Inner {
    dir: TempDir,
    engine: PathBuf,
    state: PathBuf,
    /// The commands run so far, each with the stem of its streams' files.
    pub(super) commands: RefCell<Vec<(String, PathBuf)>>,
    pub(super) services: RefCell<String>,
}

impl Site {
    /// Surroundings with the private engine.
    #[must_use]
    pub fn new() -> Self {
        Self::at(dockerd::engine().socket())
    }

    /// The same behind a proxy.
    #[must_use]
    pub fn behind(proxy: &Proxy) -> Self {
        Self::at(proxy.socket())
    }

    /// The same with any other socket: nothing needs to be there.
    #[must_use]
    pub fn at(engine: PathBuf) -> Self {
        Self::with_state(engine, Path::new("state"))
    }

    /// Surroundings with this engine whose state directory has this path in the test's own
    /// directory.
    #[must_use]
    pub fn with_state_at(engine: PathBuf, path: &str) -> Self {
        Self::with_state(engine, Path::new(path))
    }

    /// Surroundings with this engine whose state directory is on this disk.
    #[must_use]
    pub fn on(disk: &Disk, engine: PathBuf) -> Self {
        Self::with_state(engine, &disk.path("state"))
    }

    fn with_state(engine: PathBuf, state: &Path) -> Self {
        report_panics();
        crowd::begin();
        let dir = dockerd::directory("makeroom-site-");
        for name in ["home", "work", "log"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let state = dir.path().join(state);
        let inner = Rc::new(Inner {
            dir,
            engine,
            state,
            commands: RefCell::default(),
            services: RefCell::default(),
        });
        SITES.with_borrow_mut(|sites| sites.push(Rc::downgrade(&inner)));
        Self { inner }
    }

    /// A path in the test's own directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.inner.dir.path().join(name)
    }

    /// The child's working directory.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// The pid that a build wrote to `child`, as [`UNTIL_GO`] does.
    #[track_caller]
    pub fn child(&self) -> i32 {
        wait_for_line(&self.work().join("child")).parse().expect("a pid")
    }

    /// Lets [`UNTIL_GO`] end.
    pub fn go(&self) {
        fs::write(self.work().join("go"), "").expect("written");
    }

    /// Takes `child` and `go` away, for the next build.
    pub fn again(&self) {
        for name in ["child", "go"] {
            let _ = fs::remove_file(self.work().join(name));
        }
    }

    /// The state directory; makeroom makes it.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.inner.state.clone()
    }

    /// A program of this name in a directory for PATH; gives its path.
    #[must_use]
    pub fn program(&self, name: &str, text: &str) -> PathBuf {
        let dir = self.path("bin");
        fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        path
    }

    /// The engine's socket as makeroom sees it.
    #[must_use]
    pub fn engine(&self) -> &Path {
        &self.inner.engine
    }

    /// The journals that are there.
    #[must_use]
    pub fn journals(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.state().join("leases")) else { return Vec::new() };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
            .collect()
    }

    /// Starts `count` services.
    #[must_use]
    pub fn services(&self, count: usize) -> Services {
        self.start(&Recipe::default(), count)
    }

    /// Starts `count` services of this recipe.
    #[must_use]
    pub fn start(&self, recipe: &Recipe, count: usize) -> Services {
        let services = Services::start(dockerd::engine().socket(), recipe, count);
        let _ = writeln!(self.inner.services.borrow_mut(), "{}", services.prefix());
        services
    }

    /// Starts `count` services of this recipe for hogs, and waits until all their memory is
    /// touched.
    #[must_use]
    #[track_caller]
    pub fn hogs(&self, recipe: &Recipe, count: usize) -> Services {
        let services = self.start(recipe, count);
        wait_until("all memory is touched", || {
            (0..count).all(|index| services.log(index).contains("sum"))
        });
        services
    }

    /// makeroom with these arguments, ready to run.
    #[must_use]
    pub fn makeroom<I: IntoIterator<Item: AsRef<std::ffi::OsStr>>>(&self, args: I) -> Run {
        let mut run = self.command(env!("CARGO_BIN_EXE_makeroom"));
        run.args(args);
        run
    }

    /// Any other program in the same surroundings: what makeroom is compared with, or started by.
    #[must_use]
    pub fn command(&self, program: &str) -> Run {
        Run::new(self, program)
    }

    /// All that there is to know about this test: commands, both streams, journals, containers,
    /// processes.
    #[must_use]
    pub fn report(&self) -> String {
        self.inner.report()
    }

    pub(super) fn inner(&self) -> Rc<Inner> {
        Rc::clone(&self.inner)
    }

    /// `NAME=VALUE` of a variable that every process of this test has, and no other.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("HOME={}", self.path("home").display())
    }

    /// The keepers of this test's leases.
    #[must_use]
    pub fn keepers(&self) -> Vec<i32> {
        let is_keeper = |pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            process::runs(*pid) && words.split(|&byte| byte == 0).nth(1) == Some(b"keeper")
        };
        process::with_environment(&self.mark()).into_iter().filter(is_keeper).collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mark = format!("HOME={}", self.dir.path().join("home").display());
        for pid in process::with_environment(&mark) {
            process::signal(pid, libc::SIGKILL);
        }
    }
}

impl Inner {
    fn report(&self) -> String {
        let mut text = String::new();
        let read =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        for (command, stem) in &*self.commands.borrow() {
            let _ = writeln!(text, "── command\n{command}");
            for stream in ["out", "err"] {
                let _ = writeln!(text, "── {stream}\n{}", read(&stem.with_extension(stream)));
            }
        }
        let leases = self.state.join("leases");
        for path in
            fs::read_dir(leases).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
        {
            let _ = writeln!(text, "── {}\n{}", path.display(), read(&path));
        }
        let services = self.services.borrow();
        if !services.is_empty() {
            let _ = writeln!(
                text,
                "── containers\n{}── engine\n{}",
                containers(&services),
                dockerd::engine().log()
            );
        }
        let mark = format!("HOME={}", self.dir.path().join("home").display());
        let _ =
            writeln!(text, "── processes\n{}", process::table(&process::with_environment(&mark)));
        text
    }
}

fn containers(prefixes: &str) -> String {
    let listed =
        api::ask(&dockerd::engine().socket(), "GET", "/containers/json?all=1", "text/plain", b"");
    let listed = match listed {
        Ok(answer) => answer.json(),
        Err(error) => return format!("{error}\n"),
    };
    let mut text = String::new();
    for container in listed.as_array().into_iter().flatten() {
        let name = container["Names"][0].as_str().unwrap_or_default().trim_start_matches('/');
        if prefixes.lines().any(|prefix| name.starts_with(prefix)) {
            let _ = writeln!(text, "{name} {} {}", container["Status"], container["Id"]);
        }
    }
    text
}

/// A panic prints the reports of its thread's sites, before unwinding takes anything away.
fn report_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            before(info);
            let sites = SITES
                .with_borrow(|sites| sites.iter().filter_map(Weak::upgrade).collect::<Vec<_>>());
            for site in sites {
                eprintln!("{}", site.report());
            }
        }));
    });
}
