//! Owns the text of a script as it is sent, and the reading of what it printed. Pure.

use std::process::Output;

use crate::{core::text, host::shell::error::ShellError};

/// Before the output of a script.
pub(super) const MARKER: &str = "makeroom-step-output";
/// After the output of one whose shell stays.
pub(super) const END: &str = "makeroom-step-end";
/// Where swapon and its like are, also for users whose PATH has no sbin.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An assignment for the head of a script, quoted: nothing in the value is interpreted.
#[must_use]
pub fn variable(name: &str, value: &str) -> String {
    format!("{name}='{}'\n", value.replace('\'', r"'\''"))
}

/// A script with its head. The braces make the shell read all of it before it does any of it: a
/// connection that is cut in the middle of the script leaves nothing half done. The quotes in the
/// marker tell its output from an echo of the script itself.
pub(super) fn whole(script: &str) -> String {
    // `exit`: a shell at a terminal would ask for more.
    format!("{{\n{}{script}\nexit\n}}\n", head())
}

/// As [`whole`], of a script whose shell reads on once it has succeeded. Nobody listens to its
/// stderr then.
pub(super) fn staying(script: &str) -> String {
    format!("{{\n{}{{\n{script}\n}} || exit\n{}exec 2> /dev/null\n}}\n", head(), echo(END))
}

/// Whether the marker's line ends as a terminal ends lines.
pub(super) fn is_from_terminal(output: &[u8]) -> bool {
    has(output, &[MARKER.as_bytes(), b"\r"].concat())
}

/// Whether these bytes are in it.
pub(super) fn has(output: &[u8], bytes: &[u8]) -> bool {
    output.windows(bytes.len()).any(|window| window == bytes)
}

/// What a script printed, or why it failed; `program` is what it was given to.
pub(super) fn read(output: &Output, program: &str) -> Result<String, ShellError> {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    match text.split_once(MARKER) {
        Some((_, answer)) if output.status.success() => {
            Ok(answer.trim_start_matches('\n').to_owned())
        }
        begun => {
            let last = |text: &str| {
                text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(text::printable)
            };
            let why =
                last(&said).or_else(|| last(&text)).unwrap_or_else(|| output.status.to_string());
            let what = if begun.is_some() {
                "the step failed".to_owned()
            } else {
                format!("`{program}` did not run the step")
            };
            Err(ShellError::Failed(format!("{what}: {why}")))
        }
    }
}

fn head() -> String {
    // A script that was begun tidies up after itself, also where nobody reads what it says any
    // more.
    format!(
        "trap '' PIPE; PATH={PATH}; export PATH; LC_ALL=C; export LC_ALL; set -u; {}",
        echo(MARKER)
    )
}

fn echo(mark: &str) -> String {
    let (first, rest) = mark.split_at(8);
    format!("echo {first}'{rest}'\n")
}
