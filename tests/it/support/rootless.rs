//! Owns the private engine without root: one dockerd a test process, in a user namespace of a user
//! that no machine has, made known in a mount namespace alone; started by the first test that needs
//! it and gone when the process is. Without systemd it has no cgroups.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use super::{api, dockerd::import, holder::Holder, needed, programs, wait_within};

/// The user whose engine it is.
pub const USER: u32 = 23456;

/// The user is argument 2. What a user needs for it (docs.docker.com, "Rootless mode"): subordinate
/// ids, a home, a runtime directory, /dev/net/tun.
const HOLDER: &str = r#"
user=$2
unshare --mount --propagation private sh -ec '
    dir=$1 user=$2
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
    export HOME="$dir/home" XDG_RUNTIME_DIR="$dir/runtime" PATH="$PATH:/usr/sbin:/sbin:/usr/share/docker.io/contrib"
    unset DBUS_SESSION_BUS_ADDRESS
    exec setpriv --reuid "$user" --regid "$user" --clear-groups dockerd-rootless.sh --storage-driver vfs \
        --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --shutdown-timeout 2
' sh "$dir" "$user" </dev/null >>"$dir/log" 2>&1 &
engine=$!
read -r _
kill -TERM "$engine"
tries=0
while kill -0 "$engine" && [ "$tries" -lt 150 ]; do tries=$((tries + 1)); sleep 0.1; done
kill -KILL "$engine"
"#;

/// The private engine without root.
pub struct Rootless {
    holder: Holder,
}

/// The engine without root of this test process.
///
/// # Panics
/// Where it cannot be had, with what to install.
pub fn engine() -> &'static Rootless {
    static ENGINE: OnceLock<Rootless> = OnceLock::new();
    ENGINE.get_or_init(|| {
        for (program, package) in [
            ("newuidmap", "uidmap"),
            ("slirp4netns", "slirp4netns"),
            ("rootlesskit", "rootlesskit"),
        ] {
            let _ = needed(program, package);
        }
        let made = Rootless {
            holder: Holder::start("makeroom-it-rootless-", HOLDER, &[Path::new(&USER.to_string())]),
        };
        wait_within(Duration::from_mins(1), "dockerd without root answers", || {
            api::ask(&made.socket(), "GET", "/_ping", "text/plain", b"")
                .is_ok_and(|answer| answer.status == 200)
        });
        import(&made.socket(), "busybox", programs::busybox().path());
        made
    })
}

impl Rootless {
    /// Its user's `XDG_RUNTIME_DIR`.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.holder.dir().join("runtime")
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime_dir().join("docker.sock")
    }
}
