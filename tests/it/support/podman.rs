//! Owns the private Podman: one `podman system service` a test process, with directories of its
//! own, started by the first test that needs it and gone when the process is. What this machine has
//! of Podman's is neither read nor changed.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use super::{api, dockerd::import, holder::Holder, needed, programs, wait_within};

/// podman is argument 2, its runtime argument 3. No ulimits: the default ones are above what a
/// container that runs the tests may set.
const HOLDER: &str = r#"
podman=$2 runtime=$3
cat >"$dir/containers.conf" <<END
[containers]
default_ulimits = []
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
END
cat >"$dir/storage.conf" <<END
[storage]
driver = "vfs"
graphroot = "$dir/root"
runroot = "$dir/run"
END
export CONTAINERS_CONF="$dir/containers.conf" CONTAINERS_STORAGE_CONF="$dir/storage.conf"
set -- "$podman" --root "$dir/root" --runroot "$dir/run" --tmpdir "$dir/tmp" --runtime "$runtime"
"$@" system service --time 0 "unix://$dir/podman.sock" </dev/null >>"$dir/log" 2>&1 &
service=$!
read -r _
kill "$service"
wait "$service"
"$@" unpause --all
"$@" rm --all --force --time 0
"#;

/// The private Podman.
pub struct Podman {
    holder: Holder,
}

/// The Podman of this test process.
///
/// # Panics
/// Where it cannot be had, with what to install.
pub fn engine() -> &'static Podman {
    static ENGINE: OnceLock<Podman> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let (podman, runtime) = (needed("podman", "podman"), needed("runc", "runc"));
        let made =
            Podman { holder: Holder::start("makeroom-it-podman-", HOLDER, &[&podman, &runtime]) };
        wait_within(Duration::from_mins(1), "podman answers", || api::answers(&made.socket()));
        import(&made.socket(), "busybox", programs::busybox().path());
        made
    })
}

impl Podman {
    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.holder.dir().join("podman.sock")
    }
}
