use super::*;

const WHOLE: &str =
    "32 24 0:27 / /sys/fs/cgroup rw,nosuid shared:8 - cgroup2 cgroup2 rw,nsdelegate\n";
/// An ssh login on Debian 13.
const SESSION: &str = "/user.slice/user-1000.slice/session-6.scope";

fn seen(user: u32, own: &str) -> Surroundings {
    Surroundings {
        cgroups: format!("0::{own}\n"),
        mounts: WHOLE.to_owned(),
        first_process: "0::/init.scope\n".to_owned(),
        is_systemd_booted: true,
        user,
        ..Surroundings::default()
    }
}

fn with_manager(user: u32, own: &str, lingers: bool) -> Surroundings {
    Surroundings { has_user_manager: true, lingers, ..seen(user, own) }
}

fn without_systemd(own: &str) -> Surroundings {
    Surroundings { is_systemd_booted: false, first_process: "0::/\n".to_owned(), ..seen(0, own) }
}

/// The slice, and what is left, as paths below the mount.
fn scope(seen: &Surroundings) -> Result<(Manager, Option<String>, Vec<String>), Stays> {
    let Place { way, left } = place(seen)?;
    let Way::Scope { manager, slice, .. } = way else { panic!("{way:?}") };
    let below = |dir: &String| dir.strip_prefix("/sys/fs/cgroup").expect("below").to_owned();
    Ok((manager, slice, left.iter().map(below).collect()))
}

#[test]
fn with_systemd_root_gets_a_scope_in_the_slice_of_its_unit_and_leaves_what_is_below_that() {
    for (own, slice, left) in [
        ("/system.slice/ssh.service", "system.slice", &["/system.slice/ssh.service"][..]),
        (SESSION, "user-1000.slice", &[SESSION]),
        ("/init.scope", "-.slice", &["/init.scope"]),
        (
            "/ci.slice/ci-jobs.slice/agent.service/job-7/steps",
            "ci-jobs.slice",
            &[
                "/ci.slice/ci-jobs.slice/agent.service/job-7/steps",
                "/ci.slice/ci-jobs.slice/agent.service/job-7",
                "/ci.slice/ci-jobs.slice/agent.service",
            ],
        ),
        // sudo in a desktop's terminal.
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope",
            "user-1000.slice",
            &[
                "/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope",
                "/user.slice/user-1000.slice/user@1000.service/app.slice",
                "/user.slice/user-1000.slice/user@1000.service",
            ],
        ),
    ] {
        let expected = left.iter().map(|&left| left.to_owned()).collect();
        let found = scope(&with_manager(0, own, true));
        assert_eq!(found, Ok((Manager::System, Some(slice.to_owned()), expected)), "{own}");
    }
}

#[test]
fn what_is_no_units_cgroup_is_not_left() {
    for own in [
        "/",
        "/system.slice",
        "/docker/0123",
        "/system.slice/system.slice:docker:0123",
        // Not where systemd would have such a slice.
        "/a-b.slice/x.service",
        "/system.slice/other.slice/x.service",
        "/system.slice/x y.service",
    ] {
        let found = place(&seen(0, own));
        assert_eq!(found, Err(Stays::NoUnit(own.to_owned())), "{own}");
    }
    let outside = "/../../system.slice/ssh.service";
    assert_eq!(place(&seen(0, outside)), Err(Stays::NotMounted(outside.to_owned())));
}

#[test]
fn a_user_goes_by_the_own_manager_only_where_that_lives_as_long_as_the_build_would() {
    let own_slice = Some(SESSION.to_owned());
    let terminal = "/user.slice/user-1000.slice/user@1000.service/app.slice/app-t.slice/t.scope";
    let service = "/system.slice/ci.service";
    let user = |slice: Option<&str>, left: &str| {
        Ok((Manager::User, slice.map(str::to_owned), vec![left.to_owned()]))
    };
    for (seen, expected) in [
        (seen(1000, SESSION), Err(Stays::NoManager)),
        (with_manager(1000, SESSION, false), Err(Stays::NoManager)),
        (with_manager(1000, SESSION, true), user(None, own_slice.as_deref().unwrap_or_default())),
        (with_manager(1000, terminal, false), user(Some("app-t.slice"), terminal)),
        (with_manager(1000, terminal, true), user(Some("app-t.slice"), terminal)),
        (seen(1000, terminal), Err(Stays::NoBus)),
        // Another user's login (su), and a slice that would be left.
        (with_manager(1001, SESSION, true), Err(Stays::NoManager)),
        (with_manager(1001, terminal, true), Err(Stays::NoManager)),
        (with_manager(1000, service, true), Err(Stays::NoManager)),
    ] {
        assert_eq!(scope(&seen), expected, "{seen:?}");
    }
    let manager = "/user.slice/user-1000.slice/user@1000.service";
    let itself = format!("{manager}/init.scope");
    assert_eq!(scope(&with_manager(1000, &itself, false)), user(Some("-.slice"), &itself));
    assert!(matches!(place(&with_manager(1000, manager, true)), Err(Stays::NoUnit(_))));
}

#[test]
fn another_machines_systemd_is_not_asked_about_our_pids() {
    // A container that was given the host's /run and bus.
    for first in ["", "0::/system.slice/docker-0123.scope\n", "0::/\n"] {
        let seen =
            Surroundings { first_process: first.to_owned(), ..seen(0, "/system.slice/x.service") };
        assert!(place(&seen).is_err(), "{first:?}");
    }
}

#[test]
fn without_systemd_root_gets_a_sibling_in_the_same_parent() {
    let sibling = |own: &str, mounts: &str| {
        place(&Surroundings { mounts: mounts.to_owned(), ..without_systemd(own) }).map(|place| {
            let Way::Sibling { mount, parent, left } = place.way else { panic!("{place:?}") };
            (mount, parent.join("/"), left, place.left)
        })
    };
    let found = |mount: &str, parent: &str, left: &str, dir: &str| {
        Ok((mount.to_owned(), parent.to_owned(), left.to_owned(), vec![dir.to_owned()]))
    };
    let there = "/sys/fs/cgroup";
    assert_eq!(
        sibling("/openrc.sshd", WHOLE),
        found(there, "", "openrc.sshd", "/sys/fs/cgroup/openrc.sshd")
    );
    assert_eq!(sibling("/ci/job 7", WHOLE), found(there, "ci", "job 7", "/sys/fs/cgroup/ci/job 7"));
    // A part of the tree is mounted.
    let part = "32 24 0:27 /ci /my\\040cgroups rw - cgroup2 none rw\n";
    assert_eq!(sibling("/ci/job/7", part), found("/my cgroups", "job", "7", "/my cgroups/job/7"));
    for (own, mounts, expected) in [
        ("/", WHOLE, Stays::Root),
        ("/ci", part, Stays::NotMounted("/ci".to_owned())),
        ("/cicd/7", part, Stays::NotMounted("/cicd/7".to_owned())),
        ("/../7", WHOLE, Stays::NotMounted("/../7".to_owned())),
        ("/7", "", Stays::NotMounted("/7".to_owned())),
    ] {
        assert_eq!(sibling(own, mounts), Err(expected), "{own} {mounts}");
    }
    let user = Surroundings { user: 1000, ..without_systemd("/openrc.sshd") };
    assert_eq!(place(&user), Err(Stays::NotRoot));
}

#[test]
fn with_memory_under_version_1_or_without_cgroups_nothing_is_done() {
    let version_1 = "9:name=systemd:/\n4:memory:/ci/7\n1:cpu,cpuacct:/\n0::/ci/7\n";
    for (cgroups, expected) in [
        ("", Stays::NoCgroups),
        ("garbage", Stays::NoCgroups),
        ("1:name=systemd:/x\n", Stays::NoCgroups),
        (version_1, Stays::Version1),
    ] {
        for is_systemd_booted in [false, true] {
            let cgroups = cgroups.to_owned();
            let seen = Surroundings { cgroups, is_systemd_booted, ..seen(0, "/") };
            assert_eq!(place(&seen), Err(expected.clone()), "{seen:?}");
        }
    }
}

#[test]
fn a_limit_is_told_by_what_its_file_says() {
    for (file, text, is_limited) in [
        ("memory.max", "max\n", false),
        ("memory.max", "1073741824\n", true),
        ("memory.max", "0\n", true),
        ("memory.high", "900000\n", true),
        ("memory.swap.max", "0\n", true),
        ("pids.max", "max\n", false),
        ("pids.max", "1732\n", false),
        ("pids.max", "500\n", true),
        ("cpu.max", "max 100000\n", false),
        ("cpu.max", "50000 100000\n", true),
        ("io.max", "", false),
        ("io.max", "8:0 rbps=max wbps=max riops=max wiops=max\n", false),
        ("io.max", "8:0 rbps=max wbps=1048576 riops=max wiops=max\n", true),
        ("misc.max", "sev max\nsev_es max\n", false),
        ("misc.max", "sev max\nsev_es 1\n", true),
        ("cpuset.cpus", "\n", false),
        ("cpuset.cpus", "0-1\n", true),
        ("memory.max", "?", true),
    ] {
        assert!(may_limit(file), "{file}");
        assert_eq!(is_limit(file, text, Some(1732)), is_limited, "{file} {text}");
    }
    assert!(is_limit("pids.max", "1732\n", None) && is_limit("pids.max", "x\n", None));
    for file in
        ["cgroup.max.depth", "memory.current", "cpu.weight", "memory.low", "cpuset.cpus.effective"]
    {
        assert!(!may_limit(file), "{file}");
    }
}

#[test]
fn what_holds_a_unit_back_otherwise_is_a_limit_too() {
    // `systemctl show` of systemd 257.
    let none = "DevicePolicy=auto\nTasksMax=infinity\nIPAddressAllow=\nIPAddressDeny=\n\
        IPIngressFilterPath=\nRestrictNetworkInterfaces=~\n";
    assert_eq!(restriction(none), None);
    for (line, name) in [
        ("IPAddressDeny=::/0 0.0.0.0/0", "IPAddressDeny"),
        ("DevicePolicy=closed", "DevicePolicy"),
        ("RestrictNetworkInterfaces=lo", "RestrictNetworkInterfaces"),
    ] {
        assert_eq!(restriction(&format!("{none}{line}\n")), Some(name.to_owned()));
    }
    assert_eq!(usual_tasks("DefaultTasksMax=1732\n"), Some(1732));
    assert_eq!(usual_tasks("DefaultTasksMax=infinity\n"), None);
}
