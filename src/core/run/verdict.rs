//! Owns why a build ended as it did: one sentence with the cause, one with the remedy, from what
//! was seen. What was not seen is said to be not seen. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::{
    machine::pressure::Figures,
    run::{exit::Exit, oom_log::Killed},
    text::{count, printable, size, span},
};

/// What kind of end it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It succeeded.
    Ok,
    /// The kernel killed it for memory.
    OomKill,
    /// The kernel killed something for memory meanwhile; that it was the build is not known.
    OomKillNearby,
    /// It was killed, and nothing shows that it was for memory.
    Killed,
    /// It aborted, as V8 does at its heap's limit.
    Abort,
    /// The engine that it ran in went away.
    EngineLost,
    /// `--timeout` ended it.
    Timeout,
    /// `--abort-on-thrash` ended it.
    Thrash,
    /// A signal to makeroom ended it.
    Cancelled,
    /// It failed by itself.
    OwnError,
}

/// Why a build ended as it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Verdict {
    /// The kind of end, for programs.
    pub kind: Kind,
    /// One sentence with the cause; null where there is nothing to explain.
    pub cause: Option<String>,
    /// One with the remedy, where there is one.
    pub remedy: Option<String>,
}

/// A container that could have made more room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spare {
    /// Its name.
    pub name: String,
    /// What pausing it would give.
    pub bytes: u64,
}

/// Memory that had been thrashing when the build was ended for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thrash {
    /// For how long, with no step left.
    pub time: Duration,
    /// The host then.
    pub figures: Figures,
    /// How many steps had been taken.
    pub steps: usize,
}

/// What was seen.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub struct Evidence<'a> {
    /// How the child ended.
    pub exit: Exit,
    /// `--timeout` ended it.
    pub timed_out: bool,
    /// `--abort-on-thrash` did, and why.
    pub thrash: Option<Thrash>,
    /// A signal to makeroom did.
    pub cancelled: bool,
    /// It ran in the engine, and that did not answer when it had ended.
    pub engine_lost: bool,
    /// How long it ran.
    pub took: Duration,
    /// The memory that it ran out of is not the host's: it ran on this machine, in front of that
    /// one.
    pub is_in_front: bool,
    /// What its kernel killed for memory meanwhile; `None` where that cannot be seen.
    pub oom_kills: Option<u64>,
    /// What was killed, where the kernel's log could be read.
    pub killed: &'a [Killed],
    /// The most that the build was seen to hold.
    pub peak_bytes: Option<u64>,
    /// The lowest MemAvailable.
    pub available_min_bytes: Option<u64>,
    /// The free swap when room was made.
    pub swap_free_bytes: u64,
    /// The heap limit of NODE_OPTIONS.
    pub heap_limit_bytes: Option<u64>,
    /// Containers that ran all the while, the largest first.
    pub spare: &'a [Spare],
}

/// More than a build takes between two samples: where so much was always available, the host was
/// not short.
const PLENTY_BYTES: u64 = 2 << 30;

impl Evidence<'_> {
    fn has_plenty(&self) -> bool {
        !self.is_in_front && self.available_min_bytes.is_some_and(|bytes| bytes >= PLENTY_BYTES)
    }
}

const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;

/// Judges.
#[must_use]
pub fn verdict(seen: &Evidence<'_>) -> Verdict {
    let (kind, cause) = cause(seen);
    Verdict { kind, cause, remedy: remedy(kind, seen) }
}

/// Whether the child was killed, by whomever: then what could have made more room is worth a look.
#[must_use]
pub fn was_killed(exit: Exit) -> bool {
    is_death_of(exit, SIGKILL)
}

fn is_death_of(exit: Exit, signal: i32) -> bool {
    // A shell between makeroom and the program says 128+n.
    exit == Exit::Signal(signal)
        || u8::try_from(128 + signal).is_ok_and(|code| exit == Exit::Code(code))
}

fn cause(seen: &Evidence<'_>) -> (Kind, Option<String>) {
    let kills = seen.oom_kills.unwrap_or(0);
    // The kernel weighed it last, and a sample can be a second old.
    let weighed_bytes = seen
        .killed
        .iter()
        .filter(|killed| killed.is_step)
        .filter_map(|killed| killed.held_bytes)
        .max();
    let held = seen.peak_bytes.max(weighed_bytes).map(|bytes| format!("it held {}", size(bytes)));
    let least = seen
        .available_min_bytes
        .map(|bytes| format!("at the lowest {} were available", size(bytes)));
    // Those are of another machine.
    let least = least.filter(|_| !seen.is_in_front);
    let figures = [held, least].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let with_figures = |text: &str| {
        if figures.is_empty() { text.to_owned() } else { format!("{text}: {figures}") }
    };
    if seen.exit.is_success() {
        (Kind::Ok, None)
    } else if seen.timed_out {
        (Kind::Timeout, Some(format!("--timeout ended the build after {}", span(seen.took))))
    } else if let Some(thrash) = seen.thrash {
        (Kind::Thrash, Some(with_figures(&thrashed(&thrash, seen.took))))
    } else if seen.cancelled {
        (Kind::Cancelled, Some("a signal to makeroom ended the build".to_owned()))
    } else if seen.engine_lost {
        let memory = match seen.oom_kills {
            Some(0) => "; its host's kernel killed nothing for memory".to_owned(),
            Some(kills) => format!("; its host's kernel made {}", oom_kills(kills)),
            None => String::new(),
        };
        (
            Kind::EngineLost,
            Some(format!(
                "the engine went away while the build ran in it: it did not answer when that had ended{memory}"
            )),
        )
    } else if let Some(step) = seen.killed.iter().find(|killed| killed.is_step) {
        (
            Kind::OomKill,
            Some(with_figures(&format!(
                "the kernel killed {}, a step of the engine's builder, for memory",
                told(step)
            ))),
        )
    } else if was_killed(seen.exit) {
        match seen.oom_kills {
            Some(1..) if seen.has_plenty() => {
                let text = "the kernel killed the build for memory at a limit of its own (a cgroup's or a container's; which was not seen)";
                (Kind::OomKill, Some(with_figures(text)))
            }
            Some(1..) => {
                (Kind::OomKill, Some(with_figures("the kernel killed the build for memory")))
            }
            Some(0) => (
                Kind::Killed,
                Some(with_figures(
                    "the build was killed, and not for memory: the kernel counted no OOM kill",
                )),
            ),
            None => (
                Kind::Killed,
                Some("the build was killed; whether for memory was not seen".to_owned()),
            ),
        }
    } else if is_death_of(seen.exit, SIGABRT) {
        let limit = seen
            .heap_limit_bytes
            .map(|bytes| format!(" (here {})", size(bytes)))
            .unwrap_or_default();
        let text = format!(
            "the build aborted, as Node does at its heap's limit{limit}; its message `JavaScript heap out of memory` goes past makeroom and was not seen"
        );
        (Kind::Abort, Some(text))
    } else if kills > 0 {
        let what = match seen.killed {
            [] => format!("made {}", oom_kills(kills)),
            killed => format!(
                "killed {} for memory",
                killed.iter().take(3).map(told).collect::<Vec<_>>().join(", ")
            ),
        };
        let text = format!(
            "the kernel {what} while the build ran, and the build failed; that the two belong together was not seen"
        );
        (Kind::OomKillNearby, Some(with_figures(&text)))
    } else {
        let memory =
            if seen.oom_kills == Some(0) { "; the kernel killed nothing for memory" } else { "" };
        let how = match seen.exit {
            Exit::Code(code) => format!("the build failed by itself with {code}{memory}"),
            Exit::Signal(signal) => format!("the build died of signal {signal}{memory}"),
        };
        (Kind::OwnError, Some(how))
    }
}

fn thrashed(thrash: &Thrash, took: Duration) -> String {
    let steps = if thrash.steps > 0 {
        format!(" though {} taken", are(thrash.steps, "step"))
    } else {
        String::new()
    };
    let stalled = thrash.figures.pressure_percent.unwrap_or(0.0);
    let time = span(thrash.time);
    format!(
        "memory had been thrashing for {time}{steps} (at last everything stood still {stalled:.0} % of the time), so --abort-on-thrash ended the build after {}",
        span(took)
    )
}

fn are(number: usize, noun: &str) -> String {
    let verb = if number == 1 { "was" } else { "were" };
    format!("{} {verb}", count(number, noun))
}

fn told(killed: &Killed) -> String {
    let held = killed.held_bytes.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
    format!("`{}` (pid {}{held})", printable(&killed.name), killed.pid)
}

fn oom_kills(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "OOM kill")
}

fn remedy(kind: Kind, seen: &Evidence<'_>) -> Option<String> {
    match kind {
        Kind::OomKill if seen.has_plenty() => Some("raise that limit (memory.max of its cgroup, `--memory` of its container)".to_owned()),
        Kind::OomKill | Kind::OomKillNearby | Kind::Thrash | Kind::Abort if seen.is_in_front => {
            Some("the memory of this machine is what counts for it: room on the engine's host does not help".to_owned())
        }
        Kind::OomKill | Kind::OomKillNearby | Kind::Thrash => {
            let spare =
                seen.spare.first().map(|spare| format!("pausing `{}` would give {} more", printable(&spare.name), size(spare.bytes)));
            let doubled = (seen.swap_free_bytes * 2).max(4 << 30);
            let swap = format!("`--swap {}GiB` would give it a place to go", doubled.div_ceil(1 << 30));
            Some(spare.map_or_else(|| swap.clone(), |spare| format!("{spare}, or {swap}")))
        }
        // What was available at the lowest is what the heap could have grown by; a third of it is
        // surplus.
        Kind::Abort => {
            let room_bytes = seen.available_min_bytes?.saturating_add(seen.peak_bytes?) / 3 * 2;
            let mebibytes = room_bytes >> 20;
            (mebibytes >= 512 && seen.heap_limit_bytes.is_none_or(|limit| room_bytes > limit))
                .then(|| format!("NODE_OPTIONS=--max-old-space-size={mebibytes} is what this machine has room for"))
        }
        Kind::EngineLost => Some("the engine's log says why: `journalctl -u docker` on its host".to_owned()),
        Kind::Timeout => Some("a longer --timeout, or none".to_owned()),
        Kind::Ok | Kind::Killed | Kind::Cancelled | Kind::OwnError => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn evidence(exit: Exit) -> Evidence<'static> {
        Evidence {
            exit,
            timed_out: false,
            thrash: None,
            cancelled: false,
            engine_lost: false,
            is_in_front: false,
            took: Duration::from_secs(90),
            oom_kills: Some(0),
            killed: &[],
            peak_bytes: Some(8 * GIB),
            available_min_bytes: Some(GIB / 2),
            swap_free_bytes: GIB,
            heap_limit_bytes: None,
            spare: &[],
        }
    }

    #[test]
    fn each_end_has_its_cause() {
        let killed = evidence(Exit::Signal(9));
        let failed = evidence(Exit::Code(1));
        let aborted = evidence(Exit::Code(134));
        let other = [Killed { name: "node".to_owned(), pid: 7, held_bytes: None, is_step: false }];
        let step =
            [Killed { name: "cc1".to_owned(), pid: 8, held_bytes: Some(GIB), is_step: true }];
        for (seen, kind, words) in [
            (evidence(Exit::Code(0)), Kind::Ok, ""),
            (
                Evidence { oom_kills: Some(1), ..killed.clone() },
                Kind::OomKill,
                "killed the build for memory: it held 8.0 GiB, at the lowest 512 MiB",
            ),
            (
                Evidence { oom_kills: Some(1), ..evidence(Exit::Code(137)) },
                Kind::OomKill,
                "the kernel killed the build for memory",
            ),
            (
                Evidence {
                    oom_kills: Some(1),
                    available_min_bytes: Some(9 * GIB),
                    ..killed.clone()
                },
                Kind::OomKill,
                "at a limit of its own",
            ),
            (killed.clone(), Kind::Killed, "and not for memory"),
            (
                Evidence { oom_kills: None, ..killed },
                Kind::Killed,
                "whether for memory was not seen",
            ),
            (
                Evidence { oom_kills: Some(2), ..failed.clone() },
                Kind::OomKillNearby,
                "2 OOM kills while the build ran",
            ),
            (
                Evidence { oom_kills: Some(1), killed: &other, ..failed.clone() },
                Kind::OomKillNearby,
                "the kernel killed `node` (pid 7) for memory while",
            ),
            (
                Evidence { oom_kills: Some(1), killed: &step, ..failed.clone() },
                Kind::OomKill,
                "the kernel killed `cc1` (pid 8, 1.0 GiB), a step of the engine's builder, for memory: it held 8.0 GiB",
            ),
            (aborted.clone(), Kind::Abort, "was not seen"),
            // The kernel's is a SIGKILL: this one ended itself.
            (Evidence { oom_kills: Some(1), ..aborted.clone() }, Kind::Abort, "as Node does"),
            (
                Evidence { heap_limit_bytes: Some(GIB), ..evidence(Exit::Signal(6)) },
                Kind::Abort,
                "(here 1.0 GiB)",
            ),
            (
                Evidence { timed_out: true, ..killed_by_us() },
                Kind::Timeout,
                "--timeout ended the build after 1m 30s",
            ),
            (
                Evidence { thrash: Some(thrash(2)), cancelled: true, ..killed_by_us() },
                Kind::Thrash,
                "thrashing for 30.0 s though 2 steps were taken (at last everything stood still 43 % of the time), so --abort-on-thrash ended the build after 1m 30s: it held",
            ),
            (
                Evidence { thrash: Some(thrash(0)), ..killed_by_us() },
                Kind::Thrash,
                "thrashing for 30.0 s (at last",
            ),
            (
                Evidence { cancelled: true, ..killed_by_us() },
                Kind::Cancelled,
                "a signal to makeroom",
            ),
            (
                Evidence { engine_lost: true, ..failed.clone() },
                Kind::EngineLost,
                "kernel killed nothing for memory",
            ),
            (
                Evidence { engine_lost: true, oom_kills: Some(1), ..failed.clone() },
                Kind::EngineLost,
                "kernel made 1 OOM kill",
            ),
            (
                failed,
                Kind::OwnError,
                "failed by itself with 1; the kernel killed nothing for memory",
            ),
            (
                Evidence { oom_kills: None, ..evidence(Exit::Signal(11)) },
                Kind::OwnError,
                "died of signal 11",
            ),
        ] {
            let judged = verdict(&seen);
            assert_eq!(judged.kind, kind, "{seen:?}");
            let cause = judged.cause.unwrap_or_default();
            assert!(cause.contains(words) && !cause.contains('\n'), "{cause} should say {words}");
        }
    }

    fn thrash(steps: usize) -> Thrash {
        let figures = Figures { pressure_percent: Some(43.2), ..Figures::default() };
        Thrash { time: Duration::from_secs(30), figures, steps }
    }

    fn killed_by_us() -> Evidence<'static> {
        evidence(Exit::Signal(9))
    }

    #[test]
    fn the_remedy_names_what_would_have_been_there() {
        let spare = [Spare { name: "web".to_owned(), bytes: GIB }];
        let killed = Evidence { oom_kills: Some(1), spare: &spare, ..evidence(Exit::Signal(9)) };
        assert_eq!(
            verdict(&killed).remedy.as_deref(),
            Some(
                "pausing `web` would give 1.0 GiB more, or `--swap 4GiB` would give it a place to go"
            )
        );
        assert_eq!(
            verdict(&Evidence { spare: &[], ..killed.clone() }).remedy.as_deref(),
            Some("`--swap 4GiB` would give it a place to go")
        );
        let aborted = Evidence {
            peak_bytes: Some(2 * GIB),
            available_min_bytes: Some(4 * GIB),
            ..evidence(Exit::Code(134))
        };
        assert_eq!(
            verdict(&aborted).remedy.as_deref(),
            Some("NODE_OPTIONS=--max-old-space-size=4096 is what this machine has room for")
        );
        let full = Evidence { heap_limit_bytes: Some(64 * GIB), ..aborted };
        assert_eq!(verdict(&full).remedy, None);
        assert_eq!(verdict(&evidence(Exit::Code(1))).remedy, None);
        let in_front = verdict(&Evidence { is_in_front: true, ..killed });
        assert_eq!(
            in_front.cause.as_deref(),
            Some("the kernel killed the build for memory: it held 8.0 GiB")
        );
        assert!(
            in_front
                .remedy
                .is_some_and(|remedy| remedy.contains("room on the engine's host does not help"))
        );
    }
}
