//! Owns the private engines: a dockerd of each kind a test process, started by the first test that
//! needs it and gone when the process is, however it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use tempfile::TempDir;

use super::{api, holder::Holder, needed, process, programs, wait_within};

/// How it is started is argument 2, its user argument 3. Own namespaces: where the machine has a
/// containerd, dockerd uses that one, and two dockerds with one namespace remove each other's tasks.
/// What a user needs for it (docs.docker.com, "Rootless mode"): subordinate ids, a home, a runtime
/// directory, /dev/net/tun; made known in a mount namespace alone.
const HOLDER: &str = r#"
how=$2 user=$3
PATH=$PATH:/usr/sbin:/sbin:/usr/share/docker.io/contrib
# Gives way to the engine, which is then the process that this was.
become() {
    set -- --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --shutdown-timeout 2 "$@"
    [ "$how" = user ] || set -- dockerd --data-root "$dir/data" --exec-root "$dir/exec" -p "$dir/dockerd.pid" -H "unix://$dir/docker.sock" \
        --containerd-namespace "makeroom-it-$$" --containerd-plugins-namespace "makeroom-it-plugins-$$" "$@"
    case $how in
        root) exec "$@" ;;
        network) exec unshare --net sh -c 'busybox ip link set lo up; exec "$@"' sh "$@" ;;
        user) exec unshare --mount --propagation private sh -ec '
            dir=$1 user=$2
            shift 2
            { cat /etc/passwd; echo "makeroom:x:$user:$user::$dir/home:/bin/sh"; } >"$dir/passwd"
            { cat /etc/group; echo "makeroom:x:$user:"; } >"$dir/group"
            echo "makeroom:2000000:65536" >"$dir/subuid"
            cp "$dir/subuid" "$dir/subgid"
            for file in passwd group subuid subgid; do
                mount --bind "$dir/$file" "/etc/$file"
            done
            mknod -m 666 "$dir/tun" c 10 200
            [ ! -e /dev/net/tun ] || mount --bind "$dir/tun" /dev/net/tun
            mkdir "$dir/home" "$dir/runtime"
            chown "$user:$user" "$dir/home" "$dir/runtime"
            chmod 700 "$dir/runtime"
            cd "$dir/home"
            export HOME="$dir/home" XDG_RUNTIME_DIR="$dir/runtime"
            unset DBUS_SESSION_BUS_ADDRESS
            exec setpriv --reuid "$user" --regid "$user" --clear-groups dockerd-rootless.sh --storage-driver vfs "$@"
            ' sh "$dir" "$user" "$@" ;;
    esac
}
start() {
    become "$@" </dev/null >>"$dir/log" 2>&1 &
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
/// The user whose engine the one without root is. No machine has them.
pub const USER: u32 = 23456;

/// How it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By root.
    Root,
    /// By root, in a network of its own.
    OwnNetwork,
    /// By [`USER`], without root. Without systemd it has no cgroups.
    Rootless,
}

impl How {
    /// The holder's word for it, and what it takes beside dockerd: program and package.
    fn words(self) -> (&'static str, &'static [(&'static str, &'static str)]) {
        match self {
            Self::Root => ("root", &[]),
            Self::OwnNetwork => ("network", &[("busybox", "busybox-static")]),
            Self::Rootless => (
                "user",
                &[
                    ("newuidmap", "uidmap"),
                    ("slirp4netns", "slirp4netns"),
                    ("rootlesskit", "rootlesskit"),
                ],
            ),
        }
    }
}

/// A private engine.
pub struct Dockerd {
    holder: Holder,
    how: How,
}

/// The engine of this test process.
///
/// # Panics
/// Where it cannot be had, with what to install or to change.
pub fn engine() -> &'static Dockerd {
    ENGINE.get_or_init(|| Dockerd::start(How::Root))
}

/// The engine without root of this test process.
///
/// # Panics
/// Where it cannot be had, with what to install.
pub fn rootless() -> &'static Dockerd {
    static ROOTLESS: OnceLock<Dockerd> = OnceLock::new();
    ROOTLESS.get_or_init(|| Dockerd::start(How::Rootless))
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
    /// Starts one.
    pub(super) fn start(how: How) -> Self {
        let (word, programs) = how.words();
        for (program, package) in [("dockerd", "docker.io")].iter().chain(programs) {
            let _ = needed(program, package);
        }
        let arguments = [word, &USER.to_string()].map(PathBuf::from);
        let arguments = arguments.each_ref().map(PathBuf::as_path);
        let made = Self { holder: Holder::start("makeroom-it-", HOLDER, &arguments), how };
        made.wait_until_it_answers();
        import(&made.socket(), "busybox", programs::busybox().path());
        made
    }

    /// Waits until it answers, after a start.
    pub fn wait_until_it_answers(&self) {
        wait_within(Duration::from_mins(1), "dockerd answers", || {
            assert!(self.pid().is_none_or(process::runs), "dockerd ended:\n{}", self.log());
            api::answers(&self.socket())
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
        if self.how == How::Rootless { self.runtime_dir() } else { self.holder.dir().to_owned() }
            .join("docker.sock")
    }

    /// Its user's `XDG_RUNTIME_DIR`, where it is without root.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.holder.dir().join("runtime")
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
