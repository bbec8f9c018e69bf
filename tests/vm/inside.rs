//! Owns makeroom in the VM itself, as on a server: its program there, and scripts that begin with
//! what the tests of its cgroup share.

use std::{path::Path, process::Command, sync::Once};

use crate::{
    machine::Vm,
    place::{Hogs, Place},
    support::must_run,
};

/// Where the program is; `/opt` is not looked through for leftovers.
const PROGRAM: &str = "/opt/makeroom-test/makeroom";

/// `$m` is makeroom with one service to pause, up to its command; what it says goes to
/// `/run/test/said` where the script sends it. Nothing here waits for a time, only for
/// conditions, and not for ever.
const PRELUDE: &str = r#"
m="PROGRAM -v --swap off --no-reclaim --method pause --pause ALL --"
runs() { [ -n "$(docker ps -q --filter name=PREFIX --filter status=running)" ]; }
is_paused() { [ -n "$(docker ps -q --filter name=PREFIX --filter status=paused)" ]; }
keeper() { pgrep -f '^makeroom keeper$'; }
no_keeper() { ! keeper >/dev/null; }
where_keeper() { cut -d: -f3 /proc/$(keeper)/cgroup; }
units() { systemctl list-units --all --no-legend 'makeroom*'; }
no_units() { [ -z "$(units)" ]; }
says() { grep -q "$1" /run/test/said; }
has_said() { says 'the keeper is in' || says 'the keeper stays in'; }
uptime() { cut -d' ' -f1 /proc/uptime; }
never() { echo "never: $*" >&2; cat /run/test/said >&2; exit 9; }
within() {
    end=$(( $(date +%s) + 60 ))
    until "$@"; do [ $(date +%s) -lt $end ] || never "$@"; sleep 0.05; done
}
fresh() { rm -rf /run/test; install -d -m 777 /run/test; }
"#;

/// A build that tells that it runs, and waits for `/run/test/go`.
pub const BUILD: &str = "sh -c \
    'touch /run/test/ran; while ! [ -e /run/test/go ]; do sleep 0.05; done' \
    </dev/null >/run/test/said 2>&1";

/// A build that waits until it is said where the keeper is, and notes where that is and which units
/// there are.
pub const LOOKING: &str = "sh -c \
    'until grep -q \"the keeper [is]\" /run/test/said; do sleep 0.05; done; \
    cut -d: -f3 /proc/$(pgrep -f \"^makeroom keeper$\")/cgroup /proc/self/cgroup; \
    systemctl list-units --all --no-legend \"makeroom*\"' \
    </dev/null 2>/run/test/said >/run/test/where";

/// makeroom in the VM, with one service.
pub struct Inside {
    pub place: Place,
    pub hogs: Hogs,
}

impl Inside {
    #[must_use]
    pub fn new() -> Self {
        let place = Place::bare();
        install(place.vm);
        let hogs = place.hogs(1, 20);
        Self { place, hogs }
    }

    /// What a script in it begins with.
    #[must_use]
    pub fn prelude(&self) -> String {
        let all = self.hogs.all();
        let prelude = PRELUDE.replace("PROGRAM", PROGRAM).replace("ALL", all);
        prelude.replace("PREFIX", all.trim_end_matches('*'))
    }

    /// Runs a script as root; gives what it printed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.place.vm.sh(&format!("{}{script}", self.prelude()))
    }

    /// What a script, or makeroom, has written there.
    #[track_caller]
    pub fn written(&self, name: &str) -> String {
        self.place.vm.sh(&format!("cat /run/test/{name}"))
    }

    /// Requires that the service runs, and that nothing is left of a run.
    #[track_caller]
    pub fn expect_nothing_left(&self) {
        assert!(self.hogs.are("running"), "{:?}", self.hogs.states());
        self.sh("within no_keeper; within no_units");
        assert_eq!(self.place.vm.word("find /sys/fs/cgroup -type d -name 'makeroom-keeper*'"), "");
        assert_eq!(self.place.vm.word("ls /var/lib/makeroom/leases 2>/dev/null || true"), "");
    }
}

/// Once for this VM. The program is linked to this machine's C library; the VM's is newer.
fn install(vm: &Vm) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let small = dir.path().join("makeroom");
        let program = Path::new(env!("CARGO_BIN_EXE_makeroom"));
        must_run(Command::new("strip").arg("-o").arg(&small).arg(program));
        let mut copy = Command::new("scp");
        copy.arg("-qCF").arg(vm.ssh_config()).arg(&small).arg(format!("vm-root:{PROGRAM}"));
        must_run(&mut copy);
    });
}
