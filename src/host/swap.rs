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
            swap::{DENIED, DENIED_FIX, Disk, OWN_DIR, fits_back, spare_rule},
        },
        text,
    },
    host::{
        reclaim::MEASURE,
        shell::{Shell, ShellError, variable},
    },
};

pub(super) const PLACE: &str = include_str!("scripts/place.sh");
const DISK: &str = include_str!("scripts/disk.sh");
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
    /// In the words of the program that failed for now.
    #[error("{0}")]
    NotYet(String),
    #[error("{DENIED}")]
    Denied,
    #[error(transparent)]
    Shell(#[from] ShellError),
}

impl SwapError {
    /// Whether the next try may do it.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Denied => false,
            Self::NotYet(_) => true,
            Self::Shell(error) => error.may_pass(),
        }
    }

    /// What to type, where another place would not help.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Denied => Some(DENIED_FIX),
            Self::Shell(shell) => shell.hint(),
            Self::Refused(_) | Self::NotYet(_) => None,
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

/// An area that was made.
#[derive(Debug)]
pub struct MadeArea {
    /// The host as it is then.
    pub after: Measured,
    /// Its size: less than what was asked for where the disk is to stay free.
    pub size_bytes: u64,
    /// The disk as it was before.
    disk: Option<Disk>,
}

impl MadeArea {
    /// Says that it is smaller than `asked_bytes`, and why; `None` where it is not.
    #[must_use]
    pub fn why_smaller(&self, asked_bytes: u64, path: &str) -> Option<String> {
        let disk = self.disk.filter(|_| self.size_bytes < asked_bytes)?;
        let (made, asked) = (text::size(self.size_bytes), text::size(asked_bytes));
        let path = text::printable(path);
        Some(format!("only {made} of swap instead of {asked} at {path}: {}", disk.said()))
    }
}

/// Makes and activates an area, or a smaller one where that would leave the disk too full. Makes
/// `own_dir` if it is missing. The kernel fills areas of a higher `priority` first.
///
/// # Errors
/// [`SwapError::Refused`] with the reason, if nothing was made.
pub async fn make(
    shell: &Shell,
    area: &Area,
    own_dir: &str,
    priority: Option<i32>,
) -> Result<MadeArea, SwapError> {
    let priority = priority.map(|priority| priority.to_string()).unwrap_or_default();
    let head = [
        variable("own_dir", own_dir),
        variable("priority", &priority),
        head_of_disk(area.size_bytes),
        head(area),
    ];
    let script = [&head.concat(), MEASURE, PLACE, DISK, MAKE].concat();
    let output = shell.run_as_root(&script, Some(&area.label), MAKE_LIMIT).await?;
    match answer(&output)? {
        "ok" => Ok(read_made(&output, area.size_bytes)),
        "denied" => Err(SwapError::Denied),
        other => Err(SwapError::Refused(format!("the step answers `{other}`"))),
    }
}

/// The variables of `disk.sh`.
fn head_of_disk(size_bytes: u64) -> String {
    let rule = spare_rule().map(|(name, number)| variable(name, &number.to_string()));
    variable("size", &size_bytes.to_string()) + &rule.concat()
}

fn read_made(output: &str, asked_bytes: u64) -> MadeArea {
    let numbers: Option<Vec<u64>> = output
        .lines()
        .find_map(|line| line.strip_prefix("made "))
        .and_then(|line| line.split(' ').map(|number| number.parse().ok()).collect());
    let (size_bytes, disk) = match numbers.as_deref() {
        Some(&[size_bytes, total_bytes, free_bytes]) => {
            (size_bytes, Some(Disk { total_bytes, free_bytes }))
        }
        _ => (asked_bytes, None),
    };
    MadeArea { after: cgroup::read(output), size_bytes, disk }
}

/// Deactivates and deletes an area, if it is ours and its pages fit back into memory.
///
/// # Errors
/// [`SwapError`] if it stays.
pub async fn remove(shell: &Shell, area: &Area) -> Result<Removal, SwapError> {
    let now = crate::host::reclaim::measure(shell).await?;
    if let (Some(ActiveSwap { size_bytes, used_bytes, .. }), Some(memory)) =
        (now.swap_at(&area.path), now.memory)
    {
        let own_free = size_bytes.saturating_sub(*used_bytes);
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
    // It may contain a directory's name that somebody else chose.
    if let Some(reason) = verdict.strip_prefix("no ") {
        return Err(SwapError::Refused(text::printable(reason)));
    }
    match verdict.strip_prefix("later ") {
        Some(reason) => Err(SwapError::NotYet(text::printable(reason))),
        None => Ok(verdict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test(flavor = "current_thread")]
    async fn the_step_keeps_to_the_rule_for_what_stays_free_of_a_disk() {
        for (total_mib, free_mib, wished_mib) in [
            (2500, 2400, 2048),
            (2500, 2400, 1376),
            (2500, 1088, 2048),
            (2500, 1087, 2048),
            (2500, 1087, 32),
            (2500, 1000, 32),
            (512, 500, 100),
            (50 * 1024, 6 * 1024, 2048),
            (1024 * 1024, 13 * 1024, 4096),
            (0, 0, 2048),
        ] {
            let disk = Disk { total_bytes: total_mib * MIB, free_bytes: free_mib * MIB };
            let script = [
                "no() { echo \"no $*\"; exit 0; }\ndir=/srv\n",
                &head_of_disk(wished_mib * MIB),
                DISK,
                &format!("total={total_mib} free={free_mib}\nfit\necho \"$size\""),
            ];
            let said = Shell::here().run(&script.concat(), NEEDED_LIMIT).await.expect("a step");
            let expected = disk.fitting(wished_mib * MIB).map(|bytes| bytes.to_string());
            match expected {
                Some(bytes) => assert_eq!(said.trim(), bytes, "{disk:?}"),
                None => assert!(said.starts_with("no /srv has only "), "{disk:?}: {said}"),
            }
        }
    }

    #[test]
    fn an_area_that_is_smaller_than_asked_says_why() {
        let output = format!("ok\nmade {} {} {}\n", 1376 * MIB, 2500 * MIB, 2400 * MIB);
        let made = read_made(&output, 2048 * MIB);
        assert_eq!(
            made.why_smaller(2048 * MIB, "/s").as_deref(),
            Some(
                "only 1.3 GiB of swap instead of 2.0 GiB at /s: 2.3 GiB are free there, and 1.0 GiB of the disk stay free"
            )
        );
        assert_eq!(made.why_smaller(1376 * MIB, "/s"), None);
        assert_eq!(read_made("ok\n", 7).size_bytes, 7);
    }
}
