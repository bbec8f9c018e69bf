//! Owns the private engine: one dockerd a test process, started by the first test that needs it
//! and gone when the process is, however it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use tempfile::TempDir;

use super::{api, holder::Holder, needed, process, programs, wait_within};

/// dockerd is argument 2; argument 3, where there is one, is the busybox that sets up a network of
/// its own for it. Own namespace: where the machine has a containerd, dockerd uses that one, and
/// two dockerds with one namespace remove each other's tasks.
const HOLDER: &str = r#"
dockerd=$2 busybox=$3
start() {
    set -- "$dockerd" --data-root "$dir/data" --exec-root "$dir/exec" -p "$dir/dockerd.pid" -H "unix://$dir/docker.sock" \
        --containerd-namespace "makeroom-it-$$" --containerd-plugins-namespace "makeroom-it-plugins-$$" \
        --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --shutdown-timeout 2 "$@"
    [ -z "$busybox" ] || set -- unshare --net sh -c '"$0" ip link set lo up; exec "$@"' "$busybox" "$@"
    "$@" </dev/null >>"$dir/log" 2>&1 &
    engine=$!
    echo "$engine" >"$dir/engine"
}
start
while read -r verb words; do
    case $verb in
        end)
            kill "-$words" "$engine"
            wait "$engine"
            # Its containerd dies with it, and is still there for the next one where nobody reaps.
            rm -f "$dir/exec/containerd/containerd.pid" "$dir/dockerd.pid"
            : >"$dir/engine"
            ;;
        start) start $words ;;
    esac
done
kill -TERM "$engine"
tries=0
while kill -0 "$engine" && [ "$tries" -lt 150 ]; do tries=$((tries + 1)); sleep 0.1; done
kill -KILL "$engine"
wait "$engine"
"#;

/// The private engine.
pub struct Dockerd {
    holder: Holder,
}

/// The engine of this test process.
///
/// # Panics
/// Where it cannot be had, with what to install or to change.
pub fn engine() -> &'static Dockerd {
    ENGINE.get_or_init(|| Dockerd::start(&[]))
}

static ENGINE: OnceLock<Dockerd> = OnceLock::new();

/// A directory for one test. Where there is an engine it goes with the engine's at the latest.
#[must_use]
pub fn directory(prefix: &str) -> TempDir {
    let parent =
        ENGINE.get().map_or_else(std::env::temp_dir, |engine| engine.holder.dir().to_owned());
    tempfile::Builder::new().prefix(prefix).tempdir_in(parent).expect("a directory")
}

impl Dockerd {
    /// Starts one, with what the holder's script takes beside dockerd.
    pub(super) fn start(more: &[&Path]) -> Self {
        let dockerd = needed("dockerd", "docker.io");
        let made = Self {
            holder: Holder::start("makeroom-it-", HOLDER, &[&[dockerd.as_path()], more].concat()),
        };
        made.wait_until_it_answers();
        import(&made.socket(), "busybox", programs::busybox().path());
        made
    }

    /// Waits until it answers, after a start.
    pub fn wait_until_it_answers(&self) {
        wait_within(Duration::from_mins(1), "dockerd answers", || {
            assert!(self.pid().is_none_or(process::runs), "dockerd ended:\n{}", self.log());
            api::ask(&self.socket(), "GET", "/_ping", "text/plain", b"")
                .is_ok_and(|answer| answer.status == 200)
        });
    }

    fn pid(&self) -> Option<i32> {
        fs::read_to_string(self.holder.dir().join("engine")).ok()?.trim().parse().ok()
    }

    /// Ends it by this signal, and waits until it has ended.
    pub fn end(&self, signal: &str) {
        self.holder.tell(&format!("end {signal}"));
        wait_within(Duration::from_mins(1), "dockerd has ended", || self.pid().is_none());
    }

    /// Starts it again. `live_restore`: it leaves its containers alone when it ends.
    pub fn start_again(&self, live_restore: bool) {
        self.holder.tell(if live_restore { "start --live-restore" } else { "start" });
        wait_within(Duration::from_mins(1), "dockerd is started", || self.pid().is_some());
        self.wait_until_it_answers();
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.holder.dir().join("docker.sock")
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.holder.dir().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// The image with the hog in it, made when it is first asked for.
    pub fn hog_image(&self) -> &'static str {
        static HOG: OnceLock<()> = OnceLock::new();
        HOG.get_or_init(|| import(&self.socket(), "hog", programs::hog().path()));
        "hog"
    }
}

/// Makes an image of a directory, in the engine behind this socket.
///
/// # Panics
/// Where the engine refuses it.
#[track_caller]
pub fn import(socket: &Path, image: &str, root: &Path) {
    let tar = Command::new("tar").arg("-C").arg(root).args(["-c", "."]).output().expect("tar");
    assert!(tar.status.success(), "tar: {}", String::from_utf8_lossy(&tar.stderr));
    let path = format!("/images/create?fromSrc=-&repo={image}&tag=latest");
    let answer =
        api::ask(socket, "POST", &path, "application/x-tar", &tar.stdout).expect("the engine");
    // The status is sent before the work is done: an error comes in the body.
    assert!(
        answer.status == 200 && !answer.text().contains("\"error\""),
        "import: {} {}",
        answer.status,
        answer.text()
    );
}
