//! Owns measuring the host and its targets, and pushing the targets' memory out to swap.
//! Runs in the keeper.

use std::time::Duration;

use crate::{
    core::{
        machine::{
            cgroup::{self, GivenBack, Measured},
            route::Route,
        },
        target::cgroup_of::CgroupOf,
    },
    host::{
        sample,
        shell::{Shell, ShellError},
    },
};

/// The measuring step's functions: `memory`, `cgroups`, `disks`.
pub(super) const MEASURE: &str = include_str!("scripts/measure.sh");
const AGE: &str = include_str!("scripts/age.sh");
const RECLAIM: &str = include_str!("scripts/reclaim.sh");
const MEASURE_LIMIT: Duration = Duration::from_secs(15);
/// At 700 MiB/s the largest machines need seconds; a slow disk needs minutes, and then room is
/// worth it.
const RECLAIM_LIMIT: Duration = Duration::from_mins(5);

/// Measures the host's memory and swap, and these targets; behind a prefix, finds out in the same
/// step what the later ones need to know.
///
/// # Errors
/// [`ShellError`].
pub async fn look(shell: &Shell, targets: &[CgroupOf]) -> Result<Measured, ShellError> {
    let more = if *shell.route() == Route::Here { "" } else { "disks\n" };
    let script = [shell.who(), &list(targets), MEASURE, "memory\ncgroups\n", more].concat();
    let answer = shell.run(&script, MEASURE_LIMIT).await?;
    shell.learn(&answer);
    let measured = cgroup::read(&answer);
    if measured.is_hidden && measured.elsewhere > 0 && shell.root().await.is_some() {
        // Root sees them.
        return Ok(cgroup::read(&shell.run_as_root(&script, None, MEASURE_LIMIT).await?));
    }
    Ok(measured)
}

/// Measures the host's memory and swap.
///
/// # Errors
/// [`ShellError`].
pub async fn measure(shell: &Shell) -> Result<Measured, ShellError> {
    let script = [MEASURE, "memory\n"].concat();
    Ok(cgroup::read(&shell.run(&script, MEASURE_LIMIT).await?))
}

/// Pushes these targets' memory out, and measures what that gave back. Has the kernel learn
/// meanwhile what else on the host is idle, so that a build which needs still more finds that
/// first.
///
/// # Errors
/// [`ShellError`].
pub async fn reclaim(
    shell: &Shell,
    targets: &[CgroupOf],
) -> Result<(GivenBack, Measured), ShellError> {
    let script = [&list(targets), MEASURE, AGE, RECLAIM].concat();
    let output = shell.run_as_root_and_stay(sample::NAME, &script, RECLAIM_LIMIT).await?;
    let (before, after) = output.split_once("==> after <==\n").unwrap_or((&output, ""));
    let (before, after) = (cgroup::read(before), cgroup::read(after));
    Ok((cgroup::given_back(&before, &after), after))
}

/// The script's variable for targets.
pub(super) fn list(targets: &[CgroupOf]) -> String {
    let lines: Vec<_> = targets.iter().filter_map(CgroupOf::line).collect();
    crate::host::shell::variable(
        "targets",
        &lines.join(
            "
",
        ),
    )
}
