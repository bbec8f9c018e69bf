//! Owns one test's surroundings in front of the VM: its turn of the VM, the programs that lead
//! there on PATH, each call of them counted, and the services in the VM's engine. What a test left
//! is taken away before the next begins.

use std::{
    cell::Cell,
    ffi::OsStr,
    fs, panic,
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, Once, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    machine::{Vm, script, vm},
    support::{
        makeroom::{Done, Run, Running},
        must_run, process,
        site::Site,
        unique, wait_within,
    },
};

/// An emulated machine is slow, and so is one with little memory.
pub const PATIENCE: Duration = Duration::from_mins(3);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where Colima's data disk is, and makeroom's swap on it.
pub const AREA: &str = "/mnt/lima-colima/makeroom/swapfile";

/// One test's surroundings.
pub struct Place {
    /// Home, working and state directory, and the report of a failure.
    pub site: Site,
    /// The VM, this test's until the end.
    pub vm: &'static Vm,
    _reporting: Reporting,
    _turn: MutexGuard<'static, ()>,
}

impl Place {
    /// Nothing leads to the VM but what the test names.
    #[must_use]
    pub fn bare() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        // A test that panicked in its turn is tidied up after.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        vm().tidy();
        let place = Self {
            site: Site::at(vm().socket()),
            vm: vm(),
            _reporting: Reporting::begin(),
            _turn: turn,
        };
        fs::create_dir(place.site.path("bin")).expect("a directory");
        place
    }

    /// As Colima leaves a Mac: its socket and its context in the home, `colima` on PATH.
    #[must_use]
    pub fn colima() -> Self {
        let place = Self::bare();
        place.program(
            "colima",
            &format!(
                "MAKEROOM_TEST_VM={} {}",
                place.vm.dir().display(),
                script("colima").display()
            ),
            false,
        );
        place.connect_colima();
        place
    }

    /// `ssh` on PATH knows the VM as `vm`.
    #[must_use]
    pub fn ssh() -> Self {
        let place = Self::bare();
        place.program("ssh", &format!("/usr/bin/ssh -F {}", place.vm.ssh_config().display()), true);
        place
    }

    /// Forwards the engine's socket into the home again, as Colima does after each boot.
    pub fn connect_colima(&self) {
        must_run(
            Command::new(script("colima-home")).arg(self.vm.dir()).arg(self.site.path("home")),
        );
    }

    /// A program on PATH that notes its calls. Whoever starts it and kills it by its pid meets what
    /// it leads to where that is `replaced`; otherwise, as with colima, only the first of several.
    fn program(&self, name: &str, command: &str, replaced: bool) {
        let calls = self.site.path(&format!("{name}.calls"));
        let calls = calls.display();
        let text = if replaced {
            format!("#!/bin/sh\necho \"begin $$ $*\" >>{calls}\nexec {command} \"$@\"\n")
        } else {
            format!(
                "#!/bin/sh\necho \"begin $$ $*\" >>{calls}\n{command} \"$@\"\ncode=$?\necho \"end $$\" >>{calls}\nexit $code\n"
            )
        };
        self.write_program(name, &text);
    }

    /// Any program on PATH; gives its path.
    pub fn write_program(&self, name: &str, text: &str) -> PathBuf {
        self.site.program(name, text)
    }

    /// The calls of a program so far, those that have ended and those that run.
    #[must_use]
    pub fn calls(&self, name: &str) -> (Vec<String>, Vec<String>) {
        let text = fs::read_to_string(self.site.path(&format!("{name}.calls"))).unwrap_or_default();
        let ended: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("end ")).collect();
        let begun = text.lines().filter_map(|line| line.strip_prefix("begin ")?.split_once(' '));
        let (over, running): (Vec<_>, Vec<_>) = begun.partition(|(pid, _)| ended.contains(pid));
        let words = |calls: Vec<(&str, &str)>| {
            calls.into_iter().map(|(_, words)| words.to_owned()).collect()
        };
        (words(over), words(running))
    }

    /// makeroom as a person in this home runs it: no variable names an engine, and swap is not off.
    #[must_use]
    pub fn makeroom<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Run {
        let mut run = self.site.makeroom(args);
        run.without_env("DOCKER_HOST").without_env("MAKEROOM_SWAP").limit(PATIENCE);
        run.env("PATH", format!("{}:{PATH}", self.site.path("bin").display()));
        run
    }

    /// The same with the forwarded socket, which looks like any engine of this machine.
    #[must_use]
    pub fn forwarded<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Run {
        let mut run = self.makeroom(args);
        run.env("DOCKER_HOST", format!("unix://{}", self.vm.socket().display()));
        run
    }

    /// Starts `count` services that hold so much memory each, which nobody uses.
    #[must_use]
    pub fn hogs(&self, count: usize, mebibytes: usize) -> Hogs {
        self.hogs_of(count, &[&mebibytes.to_string()])
    }

    /// The same, and they read all of it every few seconds: no kernel swaps it out for free.
    #[must_use]
    pub fn hogs_in_use(&self, count: usize, mebibytes: usize) -> Hogs {
        self.hogs_of(count, &[&mebibytes.to_string(), "0", "2"])
    }

    fn hogs_of(&self, count: usize, arguments: &[&str]) -> Hogs {
        let prefix = unique("hog");
        let hogs = Hogs {
            vm: self.vm,
            names: (0..count).map(|index| format!("{prefix}-{index}")).collect(),
            all: format!("{prefix}-*"),
        };
        for name in &hogs.names {
            let _ = hogs.run("start", &[&[name.as_str(), "none"], arguments].concat());
        }
        let _ = hogs.sums();
        hogs
    }

    /// Requires that a run left nothing: in the VM no swap, no file and no process of a step, here
    /// no process, no swap and no journal.
    #[track_caller]
    pub fn expect_nothing_left(&self) {
        assert_eq!(self.vm.areas(), Vec::<String>::new());
        assert_eq!(self.vm.word("find /tmp -type f; find / -xdev -name '*makeroom*' ! -path '/opt/*' ! -path '/var/lib/docker/*'; find /mnt/lima-colima -type f"), "");
        wait_within(Duration::from_secs(20), "no step runs in the VM", || {
            self.vm.word("grep -lsF makeroom-sample /proc/[0-9]*/cmdline || true").is_empty()
        });
        wait_within(Duration::from_secs(20), "no process of the run is left", || {
            process::with_environment(&self.site.mark()).is_empty()
        });
        assert_eq!(self.site.journals(), Vec::<PathBuf>::new());
        expect_no_swap_here();
    }

    /// Waits until the build of [`UNTIL_GO`] runs.
    ///
    /// [`UNTIL_GO`]: crate::support::site::UNTIL_GO
    #[track_caller]
    pub fn wait_for_build(&self) {
        wait_within(PATIENCE, "the build runs", || self.site.work().join("child").exists());
    }

    /// After a signal the keeper goes on for as long as swapoff takes.
    #[track_caller]
    pub fn wait_until_swap_is_gone(&self) {
        wait_within(PATIENCE, "the swap in the VM is gone", || {
            self.vm.areas().is_empty() && self.site.journals().is_empty()
        });
    }
}

/// The MiB after these words, in what a run said: 196 for "peak " in `peak 196 MiB, …`.
#[track_caller]
pub fn mib_said(done: &Done, after: &str) -> f64 {
    let figure =
        done.err.split_once(after).unwrap_or_else(|| panic!("no `{after}` in:\n{}", done.err)).1;
    let words: Vec<_> = figure.split([' ', ',', '\n']).collect();
    words[0].parse::<f64>().expect("a number") * if words[1] == "GiB" { 1024.0 } else { 1.0 }
}

/// Requires that no swap was made on this machine.
#[track_caller]
pub fn expect_no_swap_here() {
    let areas = crate::support::swap::areas();
    let ours: Vec<_> = areas
        .iter()
        .filter(|area| area.starts_with("/var/lib/makeroom") || area.starts_with("/mnt"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}

/// Services in the VM.
pub struct Hogs {
    vm: &'static Vm,
    names: Vec<String>,
    all: String,
}

/// One service as the engine tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// `running`, `paused`, `exited`.
    pub status: String,
    /// Of its first process, in the VM.
    pub pid: i64,
    /// When it started.
    pub started_at: String,
}

impl Hogs {
    /// A glob that matches all of them and nothing else.
    #[must_use]
    pub fn all(&self) -> &str {
        &self.all
    }

    /// All of them as they are now.
    #[must_use]
    #[track_caller]
    pub fn states(&self) -> Vec<State> {
        let state = |line: &str| {
            let [_, status, pid, started_at] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("no state: {line}")
            };
            State {
                status: status.to_owned(),
                pid: pid.parse().expect("a pid"),
                started_at: started_at.to_owned(),
            }
        };
        self.all_of("states").lines().map(state).collect()
    }

    /// Whether each has this status.
    #[must_use]
    pub fn are(&self, status: &str) -> bool {
        self.states().iter().all(|state| state.status == status)
    }

    /// The bytes in their cgroups, in all.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let pids: Vec<_> = self.states().iter().map(|state| state.pid.to_string()).collect();
        let script = "for pid in PIDS; do path=$(cut -d: -f3 /proc/$pid/cgroup); cat /sys/fs/cgroup$path/memory.current; done";
        self.vm
            .sh(&script.replace("PIDS", &pids.join(" ")))
            .lines()
            .map(|line| line.parse::<u64>().expect("bytes"))
            .sum()
    }

    /// What each has last printed of its memory since it was started.
    #[must_use]
    #[track_caller]
    pub fn sums(&self) -> Vec<String> {
        self.last(&self.all_of("sums"))
    }

    /// Has each read all of its memory again; gives what it finds.
    #[must_use]
    #[track_caller]
    pub fn sums_again(&self) -> Vec<String> {
        self.last(&self.all_of("read"))
    }

    fn last(&self, sums: &str) -> Vec<String> {
        let of = |name: &String| {
            let mut own =
                sums.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            own.next_back().expect("a sum").to_owned()
        };
        self.names.iter().map(of).collect()
    }

    #[track_caller]
    fn all_of(&self, verb: &str) -> String {
        self.run(verb, &self.names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn run(&self, verb: &str, arguments: &[&str]) -> String {
        let mut services = Command::new(script("services"));
        let output = services.arg(self.vm.dir()).arg(verb).args(arguments).output().expect("bash");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{verb} {arguments:?}: {}\n{said}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// How many lines of makeroom's begin with this word after its name: `warning:`, `error:`.
#[must_use]
pub fn lines_with<'a>(done: &'a Done, word: &str) -> Vec<&'a str> {
    done.err
        .lines()
        .filter(|line| line.strip_prefix("makeroom: ").is_some_and(|line| line.starts_with(word)))
        .collect()
}

/// Waits until it has said this.
#[track_caller]
pub fn wait_until_said(run: &Running, words: &str) {
    wait_within(PATIENCE, &format!("it says `{words}`"), || run.written("err").contains(words));
}

thread_local! {
    static IN_TEST: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, a panic of its thread prints how the VM is; then it tells how long that was.
struct Reporting {
    begun: Instant,
}

impl Reporting {
    fn begin() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                before(info);
                if IN_TEST.take() {
                    eprintln!("{}", vm().report());
                }
            }));
        });
        IN_TEST.set(true);
        Self { begun: Instant::now() }
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        IN_TEST.set(false);
        // The VM is slow, and this shows where the time goes.
        eprintln!(
            "{} took {:.1} s",
            std::thread::current().name().unwrap_or("a test"),
            self.begun.elapsed().as_secs_f64()
        );
    }
}
