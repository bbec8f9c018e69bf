//! Owns reading back what containers have in swap before they ask for it themselves. Changes
//! nothing but where their pages are. Runs in the keeper.

use std::time::Duration;

use crate::{
    core::target::cgroup_of::CgroupOf,
    host::{
        reclaim::{MEASURE, list},
        shell::{Shell, ShellError, variable},
    },
};

const WARM: &str = include_str!("scripts/warm.sh");
/// What a step takes beside its work.
const MARGIN: Duration = Duration::from_secs(15);

/// Reads the swapped pages of these containers' processes, all at once, for at most this long.
///
/// # Errors
/// [`ShellError`].
pub async fn read_back(
    shell: &Shell,
    targets: &[CgroupOf],
    limit: Duration,
) -> Result<(), ShellError> {
    let seconds = limit.as_millis().div_ceil(1000).to_string();
    let script = [&list(targets), &variable("seconds", &seconds), MEASURE, WARM].concat();
    shell.run_as_root(&script, None, limit.saturating_add(MARGIN)).await.map(drop)
}
