//! Owns where makeroom itself runs, as far as it decides what is seen of the engine's containers:
//! in a container of that engine's, in any other one, in a process namespace of its own, or in none
//! of these. Pure; `host::container` finds it out.

/// Where makeroom itself runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inside {
    /// In no container.
    #[default]
    Nothing,
    /// In a container that this engine knows by its id, so on this engine's kernel.
    OfThisEngine,
    /// In a container that this engine does not know.
    OfAnother,
    /// In a process namespace of its own, as in a sandbox.
    OwnProcesses,
}

/// How a container is to be run, so that makeroom in it can do all that it does outside. The
/// capability and seccomp are for `swapon`, the rest for seeing the others and pushing them out.
pub const RUN_IT: &str = "run the job with `docker run --pid host --cap-add SYS_ADMIN --security-opt seccomp=unconfined --cgroupns host -v /sys/fs/cgroup:/sys/fs/cgroup:rw -v /var/lib/makeroom:/var/lib/makeroom …`";
const NAME_A_WAY: &str =
    "run makeroom where the engine runs, or name a way there with --vm-shell \"COMMAND\"";

impl Inside {
    /// Tells from the container that makeroom runs in, which may not be known by its id, and from
    /// whether the engine lists that id.
    #[must_use]
    pub fn of(is_container: bool, is_listed: bool, has_own_processes: bool) -> Self {
        match (is_container, is_listed) {
            (_, true) => Self::OfThisEngine,
            (true, false) => Self::OfAnother,
            (false, false) if has_own_processes => Self::OwnProcesses,
            (false, false) => Self::Nothing,
        }
    }

    /// Whether it is a container.
    #[must_use]
    pub fn is_container(self) -> bool {
        matches!(self, Self::OfThisEngine | Self::OfAnother)
    }

    /// Why nothing is seen of the engine's containers, with what to do; `None` where this is not
    /// why.
    #[must_use]
    pub fn why_unseen(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Nothing => None,
            Self::OfThisEngine => Some((
                "makeroom is in a container of this engine and does not see the memory of the others",
                RUN_IT,
            )),
            Self::OfAnother => Some((
                "makeroom is in a container that this engine does not know, and sees none of the engine's",
                NAME_A_WAY,
            )),
            Self::OwnProcesses => Some((
                "makeroom is in a process namespace of its own and sees none of the engine's containers",
                NAME_A_WAY,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_of_the_engine_is_told_from_any_other_and_from_none() {
        for (is_container, is_listed, has_own_processes, expected) in [
            (false, false, false, Inside::Nothing),
            (true, true, true, Inside::OfThisEngine),
            (true, true, false, Inside::OfThisEngine),
            (false, true, false, Inside::OfThisEngine),
            (true, false, true, Inside::OfAnother),
            (true, false, false, Inside::OfAnother),
            (false, false, true, Inside::OwnProcesses),
        ] {
            let inside = Inside::of(is_container, is_listed, has_own_processes);
            assert_eq!(inside, expected, "{is_container} {is_listed} {has_own_processes}");
        }
    }

    #[test]
    fn only_what_the_recipe_mends_has_the_recipe() {
        for (inside, hint) in [
            (Inside::OfThisEngine, Some("docker run --pid host")),
            (Inside::OfAnother, Some("--vm-shell")),
            (Inside::OwnProcesses, Some("--vm-shell")),
            (Inside::Nothing, None),
        ] {
            let why = inside.why_unseen();
            assert_eq!(why.is_some(), hint.is_some(), "{inside:?}");
            assert!(why.is_none_or(|(_, said)| said.contains(hint.unwrap_or("-"))), "{why:?}");
        }
    }
}
