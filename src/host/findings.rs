//! Owns what is found out about the host beside its figures: what its kernel and tools can do, for
//! `makeroom doctor`; and what its kernel killed for memory, for the keeper.

use std::time::Duration;

use crate::{
    core::{
        machine::{
            cgroup::{self, Measured},
            doctor::HostFacts,
        },
        run::oom_log::{self, Killed},
    },
    host::{
        reclaim::MEASURE,
        shell::{Shell, ShellError, variable},
        swap::PLACE,
    },
};

const DOCTOR: &str = include_str!("scripts/doctor.sh");
const KILLED: &str = include_str!("scripts/killed.sh");
const LIMIT: Duration = Duration::from_secs(15);

/// Looks at the host. `swap_dir` is where a swap area would be made.
///
/// # Errors
/// [`ShellError`] if the host cannot be asked.
pub async fn look(shell: &Shell, swap_dir: &str) -> Result<(Measured, HostFacts), ShellError> {
    let head = variable("swap_dir", swap_dir) + &variable("path", &format!("{swap_dir}/swapfile"));
    let script =
        [shell.who(), &head, MEASURE, PLACE, "memory\ndisks\necho '==> doctor <=='\n", DOCTOR]
            .concat();
    let output = shell.run(&script, LIMIT).await?;
    shell.learn(&output);
    let (figures, facts) = output.split_once("==> doctor <==\n").unwrap_or((&output, ""));
    Ok((cgroup::read(figures), HostFacts::read(facts)))
}

/// Reads in the kernel's log what it has killed for memory within this time.
///
/// # Errors
/// [`ShellError`]; also if we may not read that log.
pub async fn killed(shell: &Shell, within: Duration) -> Result<Vec<Killed>, ShellError> {
    Ok(oom_log::read(&shell.run_as_root(KILLED, None, LIMIT).await?, within))
}
