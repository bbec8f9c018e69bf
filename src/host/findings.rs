//! Owns what is found out about the host beside its figures: what its kernel and tools can do, for
//! `makeroom doctor`; and what its kernel killed for memory, for the keeper.

use std::time::Duration;

use crate::{
    core::{
        lease::record::Area,
        machine::{cgroup::Measured, doctor::HostFacts},
        run::oom_log::{self, Killed},
        target::cgroup_of::CgroupOf,
    },
    host::{
        reclaim,
        shell::{Shell, ShellError, variable},
        swap::{self, PLACE, own_dir},
    },
};

const DOCTOR: &str = include_str!("scripts/doctor.sh");
const KILLED: &str = include_str!("scripts/killed.sh");
const LIMIT: Duration = Duration::from_secs(15);

/// What there is to know of a host.
#[derive(Debug)]
pub struct Findings {
    /// Its figures, with those of the targets that were asked for.
    pub measured: Measured,
    /// Its kernel and tools.
    pub facts: HostFacts,
    /// Where a swap area would be made.
    pub swap_path: String,
}

/// Looks at the host, as root where that may be, which is who makes swap. `swap_path` is where an
/// area would be made; `None` for makeroom's own place. `is_recorded` tells whether a lease has one
/// there.
///
/// # Errors
/// [`ShellError`] if the host cannot be asked.
pub async fn look(
    shell: &Shell,
    swap_path: Option<&str>,
    is_recorded: impl Fn(&str) -> bool,
    targets: &[CgroupOf],
) -> Result<Findings, ShellError> {
    let measured = reclaim::look(shell, targets).await?;
    let own_dir = own_dir(&measured);
    let swap_path = swap_path.map_or_else(|| format!("{own_dir}/swapfile"), str::to_owned);
    let dir = match swap_path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((dir, _)) => dir,
        None => ".",
    };
    let recorded = if is_recorded(&swap_path) { "yes" } else { "" };
    let head =
        [variable("swap_dir", dir), variable("own_dir", &own_dir), variable("recorded", recorded)]
            .concat();
    let area = Area { path: swap_path.clone(), size_bytes: 0, label: String::new() };
    let script = [&head, &swap::head(&area), PLACE, DOCTOR].concat();
    let output = if shell.root().await.is_some() {
        shell.run_as_root(&script, None, LIMIT).await?
    } else {
        shell.run(&script, LIMIT).await?
    };
    Ok(Findings { measured, facts: HostFacts::read(&output), swap_path })
}

/// Reads in the kernel's log what it has killed for memory within this time.
///
/// # Errors
/// [`ShellError`]; also if we may not read that log.
pub async fn killed(shell: &Shell, within: Duration) -> Result<Vec<Killed>, ShellError> {
    Ok(oom_log::read(&shell.run_as_root(KILLED, None, LIMIT).await?, within))
}
