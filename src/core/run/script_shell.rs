//! Owns whether the death of the parent is a word to makeroom: npm and pnpm pass a signal to the
//! shell of the script that they run, and to nobody else, so that what runs in it is left behind.
//! Pure.

/// What the parent is to this process.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    /// Its program's name, as the kernel keeps it.
    pub name: &'a str,
    /// Whether it is in this process's group.
    pub is_in_own_group: bool,
    /// Whether it is in this process's session.
    pub is_in_own_session: bool,
}

/// How this process was started.
#[derive(Clone, Copy, Debug)]
pub struct Started<'a> {
    /// `npm_lifecycle_event`, which npm, pnpm, yarn and bun set for each script.
    pub script: Option<&'a str>,
    /// Whether SIGHUP or SIGINT was ignored: `nohup`, or a shell's `&`, which mean it to outlive
    /// its shell.
    pub is_to_outlive: bool,
}

const SHELLS: [&str; 9] = ["sh", "dash", "bash", "zsh", "ash", "ksh", "mksh", "busybox", "fish"];

/// Whether the script ends with this parent.
#[must_use]
pub fn ends_with(parent: Parent<'_>, started: Started<'_>) -> bool {
    started.script.is_some_and(|script| !script.is_empty())
        && !started.is_to_outlive
        && parent.is_in_own_group
        && parent.is_in_own_session
        && SHELLS.contains(&parent.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shell_of_a_script_that_is_not_to_outlive_it_counts() {
        let shell = Parent { name: "sh", is_in_own_group: true, is_in_own_session: true };
        let script = Started { script: Some("build"), is_to_outlive: false };
        assert!(ends_with(shell, script));
        for name in SHELLS {
            assert!(ends_with(Parent { name, ..shell }, script), "{name}");
        }
        for (parent, started) in [
            (Parent { name: "node", ..shell }, script),
            (Parent { name: "", ..shell }, script),
            (Parent { is_in_own_group: false, ..shell }, script),
            (Parent { is_in_own_session: false, ..shell }, script),
            (shell, Started { script: None, ..script }),
            (shell, Started { script: Some(""), ..script }),
            (shell, Started { is_to_outlive: true, ..script }),
        ] {
            assert!(!ends_with(parent, started), "{parent:?} {started:?}");
        }
    }
}
