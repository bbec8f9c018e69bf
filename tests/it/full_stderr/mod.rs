//! stderr that nobody reads: a pager, a stalled ssh, Ctrl-S, a CI agent that hangs. Whatever state
//! a run is in, what makeroom says holds up nothing that it does; what was left out is said when
//! somebody reads again.

mod said;
mod states;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    time::Duration,
};

use crate::support::{
    crowd,
    makeroom::{Done, Run, Running},
    process, programs,
    proxy::Proxy,
    services::Services,
    site::Site,
    stalled::{Kind, Stalled},
    wait_until, wait_within,
};

const NOBODY: u32 = 65534;

/// Within this after the first signal the services run again.
const PROMISED: Duration = Duration::from_secs(5);

/// A run whose stderr takes nothing.
struct Stage {
    proxy: Proxy,
    site: Site,
    services: Services,
    stalled: Stalled,
    flags: i32,
    /// The user whose stderr it is not: the kernel refuses to open it once more.
    is_nobody: bool,
    /// Whether makeroom can have a description of its own.
    has_its_own: bool,
}

impl Stage {
    fn new(kind: Kind, is_nobody: bool) -> Self {
        Self::with(kind, is_nobody, Stalled::full(kind))
    }

    fn with(kind: Kind, is_nobody: bool, stalled: Stalled) -> Self {
        let proxy = Proxy::start();
        let site = Site::behind(&proxy);
        let services = site.services(1);
        let flags = stalled.flags();
        if is_nobody {
            let open = |path: &Path| {
                fs::set_permissions(path, fs::Permissions::from_mode(0o1777)).expect("a mode");
            };
            let socket = proxy.socket();
            for path in
                [&site.path(""), &site.work(), &socket, socket.parent().expect("a directory")]
            {
                open(path);
            }
            programs::copy_for_others(&site.path("makeroom"));
            fs::create_dir(site.state()).expect("a directory");
            chown(site.state(), Some(NOBODY), Some(NOBODY)).expect("chown");
        }
        let is_terminal = matches!(kind, Kind::Terminal | Kind::StoppedTerminal);
        let has_its_own =
            !is_nobody && (is_terminal || (kind == Kind::Pipe && !cfg!(makeroom_portable)));
        Self { proxy, site, services, stalled, flags, is_nobody, has_its_own }
    }

    fn makeroom(&self, args: &[&str]) -> Run {
        let mut run = if self.is_nobody {
            let mut run = self.site.command(&self.site.path("makeroom").to_string_lossy());
            run.user(NOBODY);
            run
        } else {
            self.site.makeroom::<[&str; 0]>([])
        };
        self.stalled.give_to(&mut run, 2);
        // Ctrl-Z stops its group, which is not to be ours.
        run.in_own_group();
        run.args(args).env("TERM", "xterm");
        run
    }

    /// Starts it around this build.
    fn start(&self, options: &[&str], build: &str) -> Running {
        let mut run = self.makeroom(&["--method", "pause", "--pause", &self.services.all()]);
        run.args(options).args(["sh", "-c", build]).spawn()
    }

    /// The same, and waits until the build runs.
    #[track_caller]
    fn running(&self, options: &[&str], build: &str) -> Running {
        let run = self.start(options, build);
        self.site.child();
        assert!(self.services.are("paused"), "{:?}", self.services.statuses());
        assert_eq!(self.stalled.flags(), self.flags, "the build shares them");
        let descriptors = process::descriptors(run.pid());
        let ways = descriptors.values().filter(|name| *name == &descriptors[&2]).count();
        assert_eq!(ways > 1, self.has_its_own, "{descriptors:?}");
        let of_child = process::descriptors(self.site.child());
        assert!(
            !of_child.iter().any(|(fd, name)| *fd > 2 && *name == descriptors[&2]),
            "{of_child:?}"
        );
        run
    }

    /// Ctrl-Z, until it stands still.
    #[track_caller]
    fn suspend(&self, run: &Running) {
        run.signal(libc::SIGTSTP);
        wait_until("makeroom is stopped", || {
            process::stat(run.pid()).is_some_and(|stat| stat.state == 'T')
        });
        assert!(self.services.are("running"), "{:?}", self.services.statuses());
    }

    /// Waits for its end; the services run.
    #[track_caller]
    fn ends(&self, run: Running) -> Done {
        let begun = std::time::Instant::now();
        let done = run.wait();
        crowd::expect_within(PROMISED, begun);
        wait_within(PROMISED, "the services run", || self.services.are("running"));
        assert_eq!(self.stalled.flags(), self.flags, "the shell shares them");
        done
    }
}
