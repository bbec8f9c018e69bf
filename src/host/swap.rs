//! Owns making and removing a swap area on the host. An area of ours is known by its label, which
//! holds the lease's id; no other is ever touched. Runs in the keeper and in `recover`.

use std::time::Duration;

use crate::{
    core::{
        lease::record::Area,
        machine::{
            cgroup::{self, Measured},
            memory::{ActiveSwap, escape},
            route::Route,
            swap::{DENIED, DENIED_FIX, OWN_DIR, fits_back},
        },
        text,
    },
    host::{
        reclaim::MEASURE,
        shell::{Shell, ShellError, variable},
    },
};

pub(super) const PLACE: &str = include_str!("scripts/place.sh");
const MAKE: &str = include_str!("scripts/swap_make.sh");
const NEEDED: &str = include_str!("scripts/swap_needed.sh");
const NEEDED_LIMIT: Duration = Duration::from_secs(15);
const REMOVE: &str = include_str!("scripts/swap_remove.sh");
/// For filling a file with zeroes on a slow disk; fallocate takes milliseconds.
const MAKE_LIMIT: Duration = Duration::from_mins(5);
/// For swapoff, which reads every page back, one by one.
const REMOVE_LIMIT: Duration = Duration::from_mins(30);

/// Why an area was not made or not removed.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    #[error("{0}")]
    Refused(String),
    #[error("{DENIED}")]
    Denied,
    #[error(transparent)]
    Shell(#[from] ShellError),
}

impl SwapError {
    /// What to type, where another place would not help.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Denied => Some(DENIED_FIX),
            Self::Shell(shell) => shell.hint(),
            Self::Refused(_) => None,
        }
    }
}

/// How a removal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The area is off and its file is deleted.
    Removed,
    /// There was no area of ours.
    Gone,
}

/// The label of the areas of a lease; mkswap(8) takes sixteen bytes.
#[must_use]
pub fn label_of(lease: &str) -> String {
    format!("mr-{lease}").chars().take(15).collect()
}

/// Where areas are made unless the user says otherwise: on the data disk if the host has one,
/// because the system's own disk is small there.
#[must_use]
pub fn own_dir(measured: &Measured) -> String {
    measured.disks.first().map_or_else(|| OWN_DIR.to_owned(), |disk| format!("{disk}/makeroom"))
}

/// Makes and activates an area; gives the host as it is then. Makes `own_dir` if it is missing.
///
/// # Errors
/// [`SwapError::Refused`] with the reason, if nothing was made.
pub async fn make(shell: &Shell, area: &Area, own_dir: &str) -> Result<Measured, SwapError> {
    let head =
        [variable("size", &area.size_bytes.to_string()), variable("own_dir", own_dir), head(area)]
            .concat();
    let output = shell
        .run_as_root(&[&head, MEASURE, PLACE, MAKE].concat(), Some(&area.label), MAKE_LIMIT)
        .await?;
    match answer(&output)? {
        "ok" => Ok(cgroup::read(&output)),
        "denied" => Err(SwapError::Denied),
        other => Err(SwapError::Refused(format!("the step answers `{other}`"))),
    }
}

/// Deactivates and deletes an area, if it is ours and its pages fit back into memory.
///
/// # Errors
/// [`SwapError`] if it stays.
pub async fn remove(shell: &Shell, area: &Area) -> Result<Removal, SwapError> {
    let now = crate::host::reclaim::measure(shell).await?;
    if let (Some(ActiveSwap { used_bytes, .. }), Some(memory)) =
        (now.swap_at(&area.path), now.memory)
    {
        let own_free = area.size_bytes.saturating_sub(*used_bytes);
        if !fits_back(
            *used_bytes,
            memory.available_bytes,
            memory.swap_free_bytes.saturating_sub(own_free),
        ) {
            let why = format!(
                "{} are in it and only {} are available",
                text::size(*used_bytes),
                text::size(memory.available_bytes)
            );
            return Err(SwapError::Refused(why));
        }
    }
    // A VM's disk is a file that grows, so the space is given back to the machine around it.
    let trim = if *shell.route() == Route::Here { "" } else { "yes" };
    let typed = variable("typed", &text::shell_word(&area.path));
    let script = [&head(area), &typed, &variable("trim", trim), PLACE, REMOVE].concat();
    match answer(&shell.run_as_root(&script, None, REMOVE_LIMIT).await?)? {
        "ok" => Ok(Removal::Removed),
        _ => Ok(Removal::Gone),
    }
}

/// Tells why the host still needs an area's file, as the end of a sentence; `None` if it does not,
/// or does not answer.
pub async fn why_needed(shell: &Shell, path: &str) -> Option<&'static str> {
    let script = variable("listed", &listed(path)) + NEEDED;
    match shell.run(&script, NEEDED_LIMIT).await.ok()?.trim() {
        "active" => Some("is active: `sudo swapoff` it first"),
        "fstab" => Some("is in the host's /etc/fstab: take its line out first"),
        _ => None,
    }
}

pub(super) fn head(area: &Area) -> String {
    [
        variable("path", &area.path),
        variable("listed", &listed(&area.path)),
        variable("label", &area.label),
    ]
    .concat()
}

/// Doubles each `\`, which awk would interpret.
fn listed(path: &str) -> String {
    escape(path).replace('\\', r"\\")
}

pub(super) fn answer(output: &str) -> Result<&str, SwapError> {
    let verdict = output.lines().next().unwrap_or_default();
    match verdict.strip_prefix("no ") {
        // It may contain a directory's name that somebody else chose.
        Some(reason) => Err(SwapError::Refused(text::printable(reason))),
        None => Ok(verdict),
    }
}
