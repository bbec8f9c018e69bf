//! Owns putting the settings of the host's kernel back to what they were. One that somebody else has
//! changed since is theirs. Runs in the keeper and in `recover`.

use std::time::Duration;

use super::shell::{Shell, ShellError, variable};
use crate::core::record::{Setting, SettingBack};

pub(super) const SETTINGS: &str = include_str!("steps/settings.sh");
const BACK: &str = include_str!("steps/settings_back.sh");
const LIMIT: Duration = Duration::from_secs(15);

/// What the step of a lease that changes settings is known by.
#[must_use]
pub fn changer(lease: &str) -> String {
    format!("out-{lease}")
}

/// Puts each back that this lease changed; gives how each went, `None` where the kernel refused.
///
/// # Errors
/// [`ShellError`] where the host cannot be reached as root.
pub async fn put_back(shell: &Shell, lease: &str, settings: &[Setting]) -> Result<Vec<(String, Option<SettingBack>)>, ShellError> {
    let lines = lines(settings.iter().map(|Setting { name, was, is }| (name, is, was)));
    let script = [&lines, &variable("changer", &changer(lease)), SETTINGS, BACK].concat();
    let output = shell.run_as_root(&script, None, LIMIT).await?;
    let told = |name: &str| output.lines().find_map(|line| line.strip_prefix("setting ")?.strip_prefix(name)?.strip_prefix(' '));
    let how = |setting: &Setting| match told(&setting.name) {
        Some("done") => Some(SettingBack::Done),
        Some("other") => Some(SettingBack::AlreadySo),
        _ => None,
    };
    Ok(settings.iter().map(|setting| (setting.name.clone(), how(setting))).collect())
}

/// The step's variable for changes, each a name, what it is, and what it is to be.
pub(super) fn lines<'a>(changes: impl Iterator<Item = (&'a String, &'a u64, &'a u64)>) -> String {
    // The name becomes a part of a path: only what a setting's name is made of may be in it.
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-'));
    let lines: Vec<_> = changes.filter(|(name, ..)| is_name(name)).map(|(name, from, to)| format!("{name} {from} {to}")).collect();
    variable("settings", &lines.join("\n"))
}
