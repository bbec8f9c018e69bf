//! The keeper's own cgroup in logins: what kills all of a session leaves root's keeper, and a build
//! that was left behind with nohup goes on after a logout, its keeper with it, whoever it is.

use std::process::{Command, Stdio};

use crate::{
    inside::{BUILD, Inside},
    own_cgroup::kill_all_of,
};

/// The VM's logins are sessions while this lives; `Vm::tidy` ends that as well.
const LOGIND: &str = "rm -f /etc/systemd/system/systemd-logind.service
    mkdir -p /run/systemd/logind.conf.d
    printf '[Login]\\nUserStopDelaySec=0\\n' >/run/systemd/logind.conf.d/test.conf
    systemctl daemon-reload; systemctl restart systemd-logind";

fn inside() -> Inside {
    let inside = Inside::new();
    inside.place.vm.sh(LOGIND);
    inside
}

/// Logs in anew as this host's user, and types this.
fn login(inside: &Inside, host: &str, script: &str) -> Command {
    let mut ssh = Command::new("timeout");
    ssh.args(["120", "ssh", "-S", "none", "-F"]).arg(inside.place.vm.ssh_config()).arg(host);
    ssh.arg(format!("{}{script}", inside.prelude()));
    ssh.stdin(Stdio::null());
    ssh
}

#[test]
fn what_kills_all_of_a_login_leaves_the_keeper_of_root() {
    let inside = inside();
    inside.sh("fresh");
    let mut session = login(&inside, "vm-root", &format!("$m {BUILD}")).spawn().expect("ssh");
    inside.sh("within test -e /run/test/ran");
    kill_all_of(&inside, "cut -d: -f3 /proc/$(pgrep -f '^/opt/.*makeroom -v')/cgroup");
    let _ = session.wait();
}

#[test]
fn a_build_that_was_left_behind_and_its_keeper_survive_the_logout_as_before() {
    let inside = inside();
    for (host, before, keeper) in [
        ("vm-root", "true", "/user.slice/user-0.slice/makeroom-keeper-"),
        ("vm", "true", "/user.slice/user-1000.slice/session-"),
        (
            "vm",
            "loginctl enable-linger user",
            "/user.slice/user-1000.slice/user@1000.service/app.slice/makeroom-keeper-",
        ),
    ] {
        inside.sh(&format!("fresh; {before}"));
        let script = format!(
            "cut -d: -f3 /proc/self/cgroup >/run/test/login
            nohup $m {BUILD} & within test -e /run/test/ran; within has_said"
        );
        let output = login(&inside, host, &script).output().expect("ssh");
        assert!(output.status.success(), "{host}: {}", String::from_utf8_lossy(&output.stderr));
        let closed = inside.sh("id=$(sed 's/.*session-//; s/[.]scope//' /run/test/login)
            closes() { [ \"$(loginctl show-session $id --property State --value)\" = closing ]; }
            within closes; is_paused; where_keeper");
        assert!(closed.starts_with(keeper), "{host} {before}: {closed}");
        inside.sh("touch /run/test/go; within runs; within no_keeper");
        inside.expect_nothing_left();
        let said = inside.written("said");
        assert!(said.contains("build ok"), "{host}: {said}");
        inside.sh("rm -rf /home/user/.local; loginctl disable-linger user");
    }
}
