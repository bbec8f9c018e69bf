//! Owns asking a service manager for a transient scope with a process in it. `busctl` and
//! `systemctl` do the talking: they come with each systemd.

use std::{process::Stdio, time::Duration};

use nix::unistd::{Uid, geteuid};
use tokio::{process::Command, time::Instant};

use crate::{
    core::machine::own_cgroup::{Manager, RESTRICTIONS, Stays, restriction, usual_tasks},
    host::{
        cgroup_of_own::{error::NotEntered, left::may_be_left as files_may_be_left},
        kernel::proc_file,
        limits,
    },
};

/// Each program answers within this, or is ended. Nobody waits for it.
const LIMIT: Duration = Duration::from_secs(10);
/// The job is done soon after it was taken.
const MOVED: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin";
const SYSTEMD: [&str; 3] =
    ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];

/// Refuses to leave cgroups of which one, or the unit that they are in, has a limit.
pub(super) async fn may_be_left(
    manager: Manager,
    unit: &str,
    dirs: &[String],
) -> Result<(), NotEntered> {
    // Nothing needs to be asked where no file tells of a limit, which is most often.
    if let Err(limited) = files_may_be_left(dirs, None) {
        let shown = run(manager, "systemctl", &["show", "--property", "DefaultTasksMax"]).await?;
        let usual = usual_tasks(&shown).ok_or(limited)?;
        files_may_be_left(dirs, Some(usual))?;
    }
    let words = ["show", "--property", RESTRICTIONS, "--", unit];
    let shown = run(Manager::System, "systemctl", &words).await?;
    restriction(&shown)
        .map_or(Ok(()), |limit| Err(Stays::Limited { cgroup: unit.to_owned(), limit }.into()))
}

/// Moves a process into a new scope of this name.
pub(super) async fn enter(
    manager: Manager,
    pid: u32,
    name: &str,
    slice: Option<&str>,
) -> Result<(), NotEntered> {
    let number = pid.to_string();
    let mut words = vec!["call"];
    words.extend(SYSTEMD);
    words.extend(["StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail"]);
    words.push(if slice.is_some() { "4" } else { "3" });
    words.extend(["Description", "s", "makeroom: puts back what was changed for a build"]);
    words.extend(["CollectMode", "s", "inactive-or-failed"]);
    words.extend(["PIDs", "au", "1", &number]);
    words.extend(slice.into_iter().flat_map(|slice| ["Slice", "s", slice]));
    words.push("0");
    run(manager, "busctl", &words).await?;
    let begun = Instant::now();
    while !is_in(pid, name) {
        if begun.elapsed() >= MOVED {
            return Err(NotEntered::NotMoved(name.to_owned()));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn is_in(pid: u32, name: &str) -> bool {
    let own = proc_file(&format!("/proc/{pid}/cgroup")).unwrap_or_default();
    own.lines().any(|line| line.ends_with(&format!("/{name}")))
}

async fn run(
    manager: Manager,
    program: &'static str,
    words: &[&str],
) -> Result<String, NotEntered> {
    let mut command = Command::new(program);
    // Nobody is asked for a password.
    command.arg(match program {
        "busctl" => "--allow-interactive-authorization=no",
        _ => "--no-ask-password",
    });
    if manager == Manager::User {
        command.arg("--user");
    }
    if program == "busctl" {
        command.arg("--");
    }
    command.args(words).current_dir("/").env_clear().kill_on_drop(true);
    command.env("PATH", PATH).env("LC_ALL", "C").env("XDG_RUNTIME_DIR", runtime_dir(geteuid()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    limits::give_back_to(&mut command);
    let refused = |said: String| NotEntered::Refused { program, said };
    let done = tokio::time::timeout(LIMIT, command.output())
        .await
        .map_err(|_| NotEntered::Slow { program, limit: LIMIT })?
        .map_err(|error| refused(error.to_string()))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(refused(said.lines().next().map_or(done.status.to_string(), str::to_owned)))
}

/// Where the bus of a user's manager is.
pub(super) fn runtime_dir(user: Uid) -> String {
    format!("/run/user/{user}")
}
