//! Owns what a run needs and whether it is there: the checks of `makeroom doctor`, from facts.
//! Pure.

use crate::core::{
    machine::{
        cgroup::READ_ONLY,
        inside::{Inside, RUN_IT},
        swap::{self, Disk, FreeSwap},
    },
    text::{count, size},
    values::SwapWish,
};

/// How the host's kernel can be made to take a container's pages back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReclaimWay {
    /// `memory.reclaim`.
    V2,
    /// `memory.force_empty`.
    V1,
    /// cgroup v2 of a kernel before 5.19.
    Old,
    /// They are mounted, and nobody may write to them here.
    ReadOnly,
    /// The kernel was started without memory cgroups.
    Off,
    /// No memory cgroups.
    #[default]
    None,
}

/// What the host's kernel and tools can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The kernel's release.
    pub kernel: String,
    /// How pages are taken back.
    pub reclaim: ReclaimWay,
    /// Whether it measures pressure.
    pub has_psi: bool,
    /// Tools that making swap needs and the host lacks.
    pub missing: Vec<String>,
    /// The disk where a swap area would be made.
    pub disk: Option<Disk>,
    /// Why no area is made there.
    pub misplaced: Option<String>,
    /// Whether the kernel lets root there make none at all.
    pub is_swap_denied: bool,
}

impl HostFacts {
    /// Reads the output of `doctor.sh`.
    #[must_use]
    pub fn read(output: &str) -> Self {
        let mut facts = Self::default();
        for line in output.lines() {
            let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (what, rest) {
                ("kernel", release) => release.clone_into(&mut facts.kernel),
                ("reclaim", "v2") => facts.reclaim = ReclaimWay::V2,
                ("reclaim", "v1") => facts.reclaim = ReclaimWay::V1,
                ("reclaim", "old") => facts.reclaim = ReclaimWay::Old,
                ("reclaim", "read-only") => facts.reclaim = ReclaimWay::ReadOnly,
                ("reclaim", "off") => facts.reclaim = ReclaimWay::Off,
                ("swap", "denied") => facts.is_swap_denied = true,
                ("psi", word) => facts.has_psi = word == "yes",
                ("missing", tools) => {
                    facts.missing = tools
                        .split(' ')
                        .filter(|tool| !tool.is_empty())
                        .map(str::to_owned)
                        .collect();
                }
                ("place", reason) => facts.misplaced = Some(reason.to_owned()),
                ("room", text) => {
                    let mut numbers =
                        text.split(' ').map(|kib| kib.parse::<u64>().ok()?.checked_mul(1024));
                    let mut next = || numbers.next().flatten();
                    facts.disk = next()
                        .zip(next())
                        .map(|(free_bytes, total_bytes)| Disk { total_bytes, free_bytes });
                }
                _ => {}
            }
        }
        facts
    }
}

impl HostFacts {
    /// Why a run would make no area at `path`, with what to do; `None` where it would.
    #[must_use]
    pub fn why_no_swap(&self, path: &str) -> Option<(String, String)> {
        if self.is_swap_denied {
            let why = format!("none can be made: {}", swap::DENIED);
            Some((why, swap::DENIED_FIX.to_owned()))
        } else if !self.missing.is_empty() {
            let tools = self.missing.join(", ");
            let why = format!("none can be made without {tools}");
            Some((why, format!("install {tools} on the host")))
        } else if let Some(reason) = &self.misplaced {
            let why = format!("none can be made at {path}: {reason}");
            Some((why, "name another place with --swap-file PATH".to_owned()))
        } else {
            None
        }
    }
}

/// One line of the doctor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub state: String,
    /// What to do about it; `None` where nothing has to be done.
    pub fix: Option<String>,
}

impl Check {
    /// All is well.
    #[must_use]
    pub fn well(what: &'static str, state: impl Into<String>) -> Self {
        Self { what, state: state.into(), fix: None }
    }

    /// Something is missing.
    #[must_use]
    pub fn ill(what: &'static str, state: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what, state: state.into(), fix: Some(fix.into()) }
    }
}

/// What the host is asked for, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct HostState<'a> {
    /// Its kernel and tools.
    pub facts: &'a HostFacts,
    /// Its free swap, by what is filled first.
    pub free_swap: FreeSwap,
    /// How steps become root there; `None` where they cannot.
    pub root: Option<&'a str>,
    /// `--swap`.
    pub swap: SwapWish,
    /// Where an area would be made.
    pub swap_path: &'a str,
    /// `--no-reclaim`.
    pub no_reclaim: bool,
    /// Where makeroom is, where the host is this machine.
    pub inside: Inside,
    /// Why nothing is seen of the containers there, with what to do: a run makes no swap and pushes
    /// nothing out then.
    pub unseen: Option<(&'static str, &'static str)>,
}

/// The checks of a host that answers.
#[must_use]
pub fn of_host(host: &HostState<'_>) -> Vec<Check> {
    match host.unseen {
        Some((why, fix)) if host.swap != SwapWish::Off || !host.no_reclaim => {
            let state = format!("{why}: no swap is made and no memory is pushed out");
            vec![of_root(host), Check::ill("targets", state, fix), of_pressure(host.facts)]
        }
        _ => vec![of_root(host), of_swap(host), of_reclaim(host), of_pressure(host.facts)],
    }
}

fn of_root(host: &HostState<'_>) -> Check {
    match host.root {
        Some(how) => Check::well("root", how),
        None if host.swap == SwapWish::Off && host.no_reclaim => {
            Check::well("root", "none, and nothing needs it")
        }
        None => Check::ill(
            "root",
            "none: no swap is made and no memory is pushed out",
            "run makeroom as root, or allow sudo without a password (`sudo visudo`)",
        ),
    }
}

fn of_swap(host: &HostState<'_>) -> Check {
    let free = size(host.free_swap.all_bytes());
    let SwapWish::Free(wish) = host.swap else {
        return Check::well("swap", format!("{free} free; none is asked for"));
    };
    let Some(missing_bytes) = swap::missing(wish.bytes, host.free_swap.ahead_bytes) else {
        return Check::well("swap", format!("{free} free"));
    };
    let missing = size(missing_bytes);
    let too_small =
        host.facts.disk.filter(|disk| disk.fitting(missing_bytes) != Some(missing_bytes));
    if let Some((why, fix)) = host.facts.why_no_swap(host.swap_path) {
        Check::ill("swap", format!("{free} free, and {why}"), fix)
    } else if let Some(disk) = too_small {
        let state = format!(
            "{free} free, and {missing} do not fit beside {}: {}",
            host.swap_path,
            disk.said()
        );
        Check::ill(
            "swap",
            state,
            "name another place with --swap-file PATH, or a size with --swap SIZE",
        )
    } else if host.root.is_none() {
        Check::ill(
            "swap",
            format!("{free} free, and none can be made without root"),
            "see root; or make it by hand: `makeroom swap on` as root",
        )
    } else {
        Check::well("swap", format!("{free} free; a run makes {missing} in {}", host.swap_path))
    }
}

fn of_reclaim(host: &HostState<'_>) -> Check {
    let kernel = &host.facts.kernel;
    match host.facts.reclaim {
        _ if host.no_reclaim => Check::well("reclaim", "not asked for"),
        ReclaimWay::V2 => Check::well("reclaim", format!("cgroup v2, Linux {kernel}")),
        ReclaimWay::V1 => Check::well("reclaim", format!("cgroup v1, Linux {kernel}")),
        ReclaimWay::Old => Check::ill(
            "reclaim",
            format!("Linux {kernel} has no memory.reclaim"),
            "Linux 5.19 or newer; until then --method stop frees memory",
        ),
        ReclaimWay::ReadOnly => {
            let fix = if host.inside.is_container() { RUN_IT } else { STOP_FREES };
            Check::ill("reclaim", format!("{READ_ONLY}: no memory is pushed out"), fix)
        }
        ReclaimWay::Off => Check::ill(
            "reclaim",
            "the kernel was started without memory cgroups",
            "boot with cgroup_enable=memory; until then --method stop frees memory",
        ),
        ReclaimWay::None => {
            let fix = if host.inside.is_container() { RUN_IT } else { STOP_FREES };
            Check::ill("reclaim", "no memory cgroups are mounted here", fix)
        }
    }
}

const STOP_FREES: &str = "run makeroom where /sys/fs/cgroup is mounted and can be written to; until then --method stop frees memory";

fn of_pressure(facts: &HostFacts) -> Check {
    if facts.has_psi {
        Check::well("pressure", "measured by the kernel")
    } else {
        Check::ill("pressure", "not measured: stalls are not reported", "boot with psi=1")
    }
}

/// The check of the leases in the state directory.
#[must_use]
pub fn of_leases(live: usize, dead: usize, unreadable: usize) -> Check {
    let state = format!("{} held", count(live, "lease"));
    match (dead, unreadable) {
        (0, 0) => Check::well("leases", state),
        (0, unreadable) => Check::ill(
            "leases",
            format!("{state}, {} unreadable", count(unreadable, "journal")),
            "`makeroom status` shows which",
        ),
        (dead, _) => {
            Check::ill("leases", format!("{state}, {dead} without a holder"), "makeroom recover")
        }
    }
}

/// The check whether `recover` runs when this machine starts. `has_systemd`: it was booted by it.
#[must_use]
pub fn of_boot(has_systemd: bool, is_enabled: bool) -> Check {
    match (has_systemd, is_enabled) {
        (_, true) => Check::well("boot", "`makeroom recover` runs at boot"),
        (true, false) => Check::ill(
            "boot",
            "after a crash of the machine nobody puts back what was paused",
            "sudo install -m 644 scripts/systemd/makeroom-recover.* /etc/systemd/system/ && sudo systemctl enable --now makeroom-recover.timer",
        ),
        (false, false) => Check::well(
            "boot",
            "no systemd here: after a crash of the machine type `makeroom recover`",
        ),
    }
}

#[cfg(test)]
mod tests;
