//! Owns the private Podman: one `podman system service` a test process, with directories of its own, started by
//! the first test that needs it and gone when the process is, by the same means as the private dockerd. What
//! this machine has of Podman's is neither read nor changed.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt as _, process::CommandExt as _},
    },
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use super::{api, dockerd::import, needed, programs, wait_within};

/// The directory, podman and its runtime are the arguments. At the end of its input everything goes that was made there.
const HOLDER: &str = r#"
dir=$1 podman=$2 runtime=$3
cd /
export CONTAINERS_CONF="$dir/containers.conf" CONTAINERS_STORAGE_CONF="$dir/storage.conf"
set -- "$podman" --root "$dir/root" --runroot "$dir/run" --tmpdir "$dir/tmp" --runtime "$runtime"
"$@" system service --time 0 "unix://$dir/podman.sock" </dev/null &
service=$!
read -r _
kill "$service"
wait "$service"
"$@" unpause --all
"$@" rm --all --force --time 0
while read -r _ _ _ _ point _; do case $point in "$dir"/*) echo "$point" ;; esac; done </proc/self/mountinfo |
    sort -r | while read -r point; do umount -l "$point"; done
rm -rf --one-file-system "$dir"
"#;
/// No ulimits: the default ones are above what a container that runs the tests may set.
const CONTAINERS: &str = r#"
[containers]
default_ulimits = []
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;

/// The private Podman.
pub struct Podman {
    dir: PathBuf,
    /// Its end is the holder's.
    _holder: OwnedFd,
}

/// The Podman of this test process.
///
/// # Panics
/// Where it cannot be had, with what to install.
pub fn engine() -> &'static Podman {
    static ENGINE: OnceLock<Podman> = OnceLock::new();
    ENGINE.get_or_init(Podman::start)
}

impl Podman {
    #[allow(clippy::zombie_processes, reason = "the holder outlives this process: that is what it is for")]
    fn start() -> Self {
        let (podman, runtime) = (needed("podman", "podman"), needed("runc", "runc"));
        let dir = tempfile::Builder::new().prefix("makeroom-it-podman-").tempdir().expect("a directory").keep();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).expect("a mode");
        fs::write(dir.join("containers.conf"), CONTAINERS).expect("written");
        let path = |name: &str| dir.join(name).display().to_string();
        let storage = format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n", path("root"), path("run"));
        fs::write(dir.join("storage.conf"), storage).expect("written");
        let log = || File::options().create(true).append(true).open(dir.join("log")).expect("a log");
        let mut holder = Command::new("sh");
        holder.args(["-c", HOLDER, "makeroom-it"]).arg(&dir).args([podman, runtime]).stdin(Stdio::piped()).stdout(log()).stderr(log());
        // SAFETY: setsid is async-signal-safe. Ctrl-C at the tests' terminal must not reach the engine.
        unsafe { holder.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from)) };
        let mut holder = holder.spawn().expect("sh");
        let held = OwnedFd::from(holder.stdin.take().expect("piped"));
        let made = Self { dir, _holder: held };
        wait_within(Duration::from_mins(1), "podman answers", || {
            assert!(holder.try_wait().expect("a child").is_none(), "podman ended:\n{}", made.log());
            api::ask(&made.socket(), "GET", "/_ping", "text/plain", b"").is_ok_and(|answer| answer.status == 200)
        });
        import(&made.socket(), "busybox", programs::busybox().path());
        made
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("podman.sock")
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}
