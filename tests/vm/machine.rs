//! Owns the VM: one for this process, booted by the first test that needs it and gone when the
//! process is, however it ends. A small shell boots it and holds the read end of a pipe whose write
//! end is in this process; at end-of-file it takes the VM down. Nothing here relies on a `Drop`.

use std::{
    fs,
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use crate::support::{needed, process, wait_within};

/// The scripts' directory is argument 1, the VM's 2, the driver 3. The pipe is read before the VM
/// is up as well: what nobody waits for any more is not booted to its end.
const HOLDER: &str = r#"
scripts=$1 dir=$2 driver=$3
cd /
("$scripts/boot" "$dir" && "$scripts/tls" "$dir" && "$scripts/driver" "$dir" "$driver" --restart && touch "$dir/ready") </dev/null >"$dir.log" 2>&1 || touch "$dir.failed"
cat >/dev/null
"$scripts/down" "$dir" --wipe
rm -rf "$dir" "$dir.log" "$dir.failed"
"#;
/// It boots in half a minute; its disks may have to be made first.
const PATIENCE: Duration = Duration::from_mins(30);
/// What a command in the VM may take.
const LIMIT: &str = "90";

/// The VM.
pub struct Vm {
    dir: PathBuf,
    _holder: Option<OwnedFd>,
}

/// The VM of this process.
pub fn vm() -> &'static Vm {
    static VM: OnceLock<Vm> = OnceLock::new();
    VM.get_or_init(Vm::start)
}

/// One of the scripts beside this file.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm").join(name)
}

/// The engine's cgroup driver.
#[must_use]
pub fn driver() -> String {
    std::env::var("MAKEROOM_VM_DRIVER").unwrap_or_else(|_| "cgroupfs".to_owned())
}

impl Vm {
    #[expect(
        clippy::zombie_processes,
        reason = "the holder outlives this process: that is what it is for"
    )]
    fn start() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests make a VM: run them as root");
        let _ = needed("ssh", "openssh-client");
        // For whoever works on these tests: a VM that `boot` and `tls` have prepared, and that
        // stays.
        let made = if let Some(dir) = std::env::var_os("MAKEROOM_VM_DIR") {
            Self { dir: dir.into(), _holder: None }
        } else {
            // A short path: a socket's address holds 108 bytes.
            let dir =
                tempfile::Builder::new().prefix("mr-vm-").tempdir().expect("a directory").keep();
            let mut holder = Command::new("sh");
            holder.args(["-c", HOLDER, "makeroom-vm"]).arg(script("")).arg(&dir).arg(driver());
            holder.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            // SAFETY: setsid is async-signal-safe. Ctrl-C at the tests' terminal must not reach the
            // VM.
            unsafe { holder.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from)) };
            let mut holder = holder.spawn().expect("sh");
            let made = Self { dir, _holder: holder.stdin.take().map(OwnedFd::from) };
            wait_within(PATIENCE, "the VM is up", || {
                let log = || fs::read_to_string(made.dir.with_extension("log")).unwrap_or_default();
                assert!(!made.dir.with_extension("failed").exists(), "there is no VM:\n{}", log());
                made.dir.join("ready").exists()
            });
            made
        };
        // What every test begins with.
        made.sh("cp -p /etc/fstab /root/fstab; sync");
        made
    }

    /// Its directory here.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its engine's socket, forwarded to here.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    /// The ssh configuration that knows it as `vm`.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.dir.join("ssh_config")
    }

    /// Words that run a command in it, as a person would give them to `--vm-shell`.
    #[must_use]
    pub fn way(&self) -> String {
        self.way_of("vm")
    }

    /// The same for another of its users: `vm-nosudo`.
    #[must_use]
    pub fn way_of(&self, host: &str) -> String {
        format!("ssh -F {} {host}", self.ssh_config().display())
    }

    /// ssh itself, with its own options.
    pub fn ssh(&self, args: &[&str], input: &str) -> Output {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", LIMIT, "ssh", "-F"]).arg(self.ssh_config()).args(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("timeout");
        // One that cannot connect says so, and reads nothing.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        child.wait_with_output().expect("an end")
    }

    /// Runs a script in it as root, by Debian's own tools; it has to succeed. Gives what it
    /// printed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = self.ssh(
            &["vm", "sudo /bin/sh -s"],
            &format!("PATH=/usr/sbin:/usr/bin\nset -e\n{script}\n"),
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "in the VM: {script}: {}\n{said}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same where one word is the answer.
    #[track_caller]
    pub fn word(&self, script: &str) -> String {
        self.sh(script).trim().to_owned()
    }

    /// The same where a number is the answer.
    #[track_caller]
    pub fn number(&self, script: &str) -> u64 {
        let text = self.word(script);
        text.parse().unwrap_or_else(|error| panic!("{script}: `{text}`: {error}"))
    }

    /// Its active swap areas.
    #[track_caller]
    pub fn areas(&self) -> Vec<String> {
        self.sh("awk 'NR > 1 { print $1 }' /proc/swaps").lines().map(str::to_owned).collect()
    }

    /// What its disks take on this machine.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(self.dir.join("data.qcow2")).expect("a disk").blocks() * 512
    }

    /// Ends it as a power cut does.
    #[track_caller]
    pub fn die(&self) {
        let pid: i32 = fs::read_to_string(self.dir.join("qemu.pid"))
            .expect("a pid")
            .trim()
            .parse()
            .expect("a pid");
        process::signal(pid, libc::SIGKILL);
        wait_within(Duration::from_secs(20), "QEMU is gone", || !process::runs(pid));
    }

    /// Ends it as its own administrator does.
    #[track_caller]
    pub fn shut_down(&self) {
        let pid: i32 = fs::read_to_string(self.dir.join("qemu.pid"))
            .expect("a pid")
            .trim()
            .parse()
            .expect("a pid");
        // The connection may end before the command's answer is there.
        let _ = self.ssh(&["vm", "sudo systemctl poweroff"], "");
        wait_within(Duration::from_mins(2), "the VM has shut down", || !process::runs(pid));
    }

    /// Boots it again.
    #[track_caller]
    pub fn boot(&self) {
        let output = Command::new(script("boot")).arg(&self.dir).output().expect("boot");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Takes away what a failed test left, so that it fails alone.
    pub(crate) fn tidy(&self) {
        if self.ssh(&["vm", "true"], "").status.success() {
            self.sh(TIDY);
        } else {
            let _ = Command::new(script("down")).arg(&self.dir).status();
            self.boot();
            self.sh(TIDY);
        }
    }

    /// How it is now, for the report of a test that fails.
    #[must_use]
    pub fn report(&self) -> String {
        let look = "docker ps -a --no-trunc; cat /proc/swaps; free -m; ps -ef | tail -n 30";
        let now = self.ssh(&["-o", "ConnectTimeout=5", "vm", look], "");
        let console = fs::read(self.dir.join("console.log")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        // systemd draws its progress there.
        let lines: Vec<_> = console.lines().filter(|line| !line.contains('\u{1b}')).collect();
        let tail = &lines[lines.len().saturating_sub(25)..];
        format!(
            "── the VM\n{}── its console\n{}",
            String::from_utf8_lossy(&now.stdout),
            tail.join("\n")
        )
    }
}

const TIDY: &str = r#"
ids=$(docker ps -aq)
[ -z "$ids" ] || docker rm -f $ids >/dev/null
[ ! -d /run/test ] || touch /run/test/go
[ ! -d /sys/fs/cgroup/ci ] || {
    echo 1 >/sys/fs/cgroup/ci/cgroup.kill
    find /sys/fs/cgroup/ci -depth -type d -exec rmdir {} +
}
[ ! -e /run/systemd/logind.conf.d ] || {
    rm -r /run/systemd/logind.conf.d
    rm -f /var/lib/systemd/linger/user
    ln -sf /dev/null /etc/systemd/system/systemd-logind.service
    systemctl daemon-reload
    systemctl stop systemd-logind
}
swapoff -a
cmp -s /etc/fstab /root/fstab || { cp -p /root/fstab /etc/fstab; systemctl daemon-reload; }
rm -rf /mnt/lima-colima/makeroom /mnt/lima-colima/fill /var/lib/makeroom /swap
find /usr/local/sbin -lname '*busybox' -delete
"#;
