//! Who is not root: without sudo one warning with the command to type, with sudo that asks for no
//! password the same swap and the same reclaim as root's. Each test has the machine's swap to
//! itself.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use crate::support::{
    disk::Disk, makeroom::Run, needed, programs, services::Recipe, site::Site, swap,
};

const NOBODY: u32 = 65534;
/// A build that writes down which swap there is while it runs, and how it was asked.
const LOOK: &str = "cat /proc/swaps; id -u";
/// Gives nobody sudo without a password, in a mount namespace of its own, and becomes nobody.
const WITH_SUDO: &str = r#"
mount -t tmpfs -o mode=755 sudoers /etc/sudoers.d &&
echo 'nobody ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/makeroom-test && chmod 440 /etc/sudoers.d/makeroom-test &&
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"#;

/// Surroundings that nobody can use: a copy of the program, a state directory of their own.
struct Nobody {
    program: PathBuf,
    state: PathBuf,
}

impl Nobody {
    fn at(site: &Site) -> Self {
        let open = |path: &Path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o1777)).expect("a mode");
        };
        open(&site.path(""));
        open(&site.work());
        let (program, state) = (site.path("makeroom"), site.path("nobodys"));
        programs::copy_for_others(&program);
        fs::create_dir(&state).expect("a directory");
        chown(&state, Some(NOBODY), Some(NOBODY)).expect("chown");
        Self { program, state }
    }

    fn with_sudo(&self, site: &Site) -> Run {
        let _ = needed("sudo", "sudo");
        let mut run = site.command("unshare");
        run.args(["--mount", "--propagation", "private", "sh", "-c", WITH_SUDO, "sh"])
            .args([&self.program]);
        run.env("MAKEROOM_STATE_DIR", &self.state);
        run
    }
}

#[test]
fn without_root_and_sudo_there_is_one_warning_with_the_command_to_type_and_the_build_runs() {
    let _turn = swap::turn();
    let (disk, site) =
        (Disk::new("ext4", 512), Site::at(PathBuf::from("/nonexistent/docker.sock")));
    let path = disk.folder("swap").join("area");
    let nobody = Nobody::at(&site);
    for (strict, code) in [(false, 3), (true, 125)] {
        let mut run = site.command(&nobody.program.to_string_lossy());
        run.user(NOBODY)
            .env("MAKEROOM_STATE_DIR", &nobody.state)
            .args(strict.then_some("--strict"));
        let done = run
            .args(["--swap", &swap::more(200), "--swap-file"])
            .args([&path])
            .args(["sh", "-c", "echo built; exit 3"])
            .run();
        done.expect_code(code)
            .expect_said("no swap is made: this needs root")
            .expect_said(&format!("swapon {}", path.display()));
        assert_eq!(done.err.matches("needs root").count(), 1, "said once: {}", done.err);
        assert_eq!(done.out.contains("built"), !strict);
        assert!(!path.exists() && disk.areas().is_empty());
    }
}

#[test]
fn with_sudo_that_asks_for_no_password_nobody_gets_swap_for_the_build() {
    let _turn = swap::turn();
    let (disk, site) =
        (Disk::new("ext4", 512), Site::at(PathBuf::from("/nonexistent/docker.sock")));
    let path = disk.folder("swap").join("area");
    let nobody = Nobody::at(&site);
    let mut run = nobody.with_sudo(&site);
    let done = run
        .args(["--swap", &swap::more(200), "--swap-file"])
        .args([&path])
        .args(["sh", "-c", LOOK])
        .run();
    done.expect_code(0).expect_said("swap removed");
    assert!(
        done.out.contains(&path.display().to_string()),
        "active during the build: {}",
        done.out
    );
    assert!(done.out.ends_with("65534\n"), "the build itself is not root: {}", done.out);
    assert!(!path.exists() && disk.areas().is_empty());
}

#[test]
fn with_sudo_that_asks_for_no_password_nobody_pushes_memory_out() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), Site::new());
    let services = site.start(&Recipe::hog(60), 1);
    // What an engine's group is for.
    fs::set_permissions(site.engine(), fs::Permissions::from_mode(0o666)).expect("a mode");
    fs::set_permissions(
        site.engine().parent().expect("a directory"),
        fs::Permissions::from_mode(0o755),
    )
    .expect("a mode");
    let nobody = Nobody::at(&site);
    let before = services.states();
    let mut run = nobody.with_sudo(&site);
    let done = run
        .args(["--pause", &services.all(), "--swap", &swap::more(200), "--swap-file"])
        .args([disk.folder("swap").join("area")])
        .args(["true"])
        .run();
    done.expect_code(0)
        .expect_said("1 container paused, ")
        .expect_said("given back")
        .expect_said("swap removed");
    let given = done
        .err
        .split("paused, ")
        .nth(1)
        .and_then(|rest| rest.split(" given back").next())
        .expect("a figure");
    let (number, unit) = given.split_once(' ').expect("a number and a unit");
    assert!(unit == "MiB" && number.parse::<f64>().expect("a number") >= 55.0, "{given} of 60 MiB");
    assert_eq!(services.states(), before);
}
