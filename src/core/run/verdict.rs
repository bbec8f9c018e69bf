//! Owns why a build ended as it did: one sentence with the cause, one with the remedy, from what
//! was seen. What was not seen is said to be not seen. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::{
    machine::pressure::Figures,
    run::{
        ending::{EndedBy, Ending},
        exit::Exit,
        oom_log::Killed,
    },
    text::{self, count, printable, size, span},
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
    /// It succeeded, but with `--strict` fails because not everything is back.
    NotRestored,
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
pub struct Evidence<'a> {
    /// How the child ended.
    pub child: Exit,
    /// How that is told everywhere.
    pub ending: Ending,
    /// Why `--abort-on-thrash` ended it.
    pub thrash: Option<Thrash>,
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
    /// The names of the targets that were held meanwhile, where it could miss them.
    pub held: &'a [&'a str],
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
    let kind = kind(seen);
    Verdict { kind, cause: cause(kind, seen), remedy: remedy(kind, seen) }
}

/// Whether the child was killed, by whomever: then what could have made more room is worth a look.
#[must_use]
pub fn was_killed(exit: Exit) -> bool {
    exit.is_death_of(SIGKILL)
}

fn kind(seen: &Evidence<'_>) -> Kind {
    let (is_killed, kills) = (was_killed(seen.child), seen.oom_kills.unwrap_or(0));
    match seen.ending.ended_by {
        Some(EndedBy::Timeout) => return Kind::Timeout,
        Some(EndedBy::Thrash) => return Kind::Thrash,
        Some(EndedBy::Interrupt) if !seen.child.is_success() => return Kind::Cancelled,
        Some(EndedBy::Interrupt) | None => {}
    }
    if seen.ending.is_left {
        Kind::NotRestored
    } else if seen.child.is_success() {
        Kind::Ok
    } else if seen.engine_lost {
        Kind::EngineLost
    } else if killed_step(seen).is_some() || (is_killed && kills > 0) {
        Kind::OomKill
    } else if is_killed {
        Kind::Killed
    } else if seen.child.is_death_of(SIGABRT) {
        Kind::Abort
    } else if kills > 0 {
        Kind::OomKillNearby
    } else {
        Kind::OwnError
    }
}

/// A step of the engine's builder that the kernel killed for memory.
fn killed_step<'a>(seen: &Evidence<'a>) -> Option<&'a Killed> {
    seen.killed.iter().find(|killed| killed.is_step)
}

fn cause(kind: Kind, seen: &Evidence<'_>) -> Option<String> {
    let took = span(seen.took);
    Some(match kind {
        Kind::Ok if seen.ending.is_interrupted() => {
            "a signal to makeroom came, and the build ended with 0 all the same".to_owned()
        }
        Kind::Ok => return None,
        Kind::NotRestored => {
            "the build succeeded, but not everything is back, which --strict makes an error"
                .to_owned()
        }
        Kind::Timeout => format!("--timeout ended the build after {took}"),
        Kind::Thrash => with_figures(&thrashed(&seen.thrash?, &took), seen),
        Kind::Cancelled => "a signal to makeroom ended the build".to_owned(),
        Kind::EngineLost => engine_lost(seen.oom_kills),
        Kind::OomKill => with_figures(&killed_for_memory(seen), seen),
        Kind::Killed if seen.oom_kills.is_some() => {
            let text = "the build was killed, and not for memory: the kernel counted no OOM kill";
            with_figures(text, seen)
        }
        Kind::Killed => "the build was killed; whether for memory was not seen".to_owned(),
        Kind::Abort => aborted(seen.heap_limit_bytes),
        Kind::OomKillNearby => with_figures(&killed_nearby(seen), seen),
        Kind::OwnError => {
            let is_seen = seen.oom_kills == Some(0);
            let memory = if is_seen { "; the kernel killed nothing for memory" } else { "" };
            match seen.child {
                Exit::Code(code) => format!("the build failed by itself with {code}{memory}"),
                Exit::Signal(signal) => format!("the build died of signal {signal}{memory}"),
            }
        }
    })
}

/// A sentence with what the build held and what was available.
fn with_figures(text: &str, seen: &Evidence<'_>) -> String {
    // The kernel weighed it last, and a sample can be a second old.
    let steps = seen.killed.iter().filter(|killed| killed.is_step);
    let weighed_bytes = steps.filter_map(|killed| killed.held_bytes).max();
    let held = seen.peak_bytes.max(weighed_bytes).map(|bytes| format!("it held {}", size(bytes)));
    // Those are of another machine where it ran in front of it.
    let least_bytes = seen.available_min_bytes.filter(|_| !seen.is_in_front);
    let least = least_bytes.map(|bytes| format!("at the lowest {} were available", size(bytes)));
    let figures = [held, least].into_iter().flatten().collect::<Vec<_>>().join(", ");
    if figures.is_empty() { text.to_owned() } else { format!("{text}: {figures}") }
}

fn engine_lost(kills: Option<u64>) -> String {
    let memory = match kills {
        Some(0) => "; its host's kernel killed nothing for memory".to_owned(),
        Some(kills) => format!("; its host's kernel made {}", oom_kills(kills)),
        None => String::new(),
    };
    format!(
        "the engine went away while the build ran in it: it did not answer when that had \
         ended{memory}"
    )
}

fn killed_for_memory(seen: &Evidence<'_>) -> String {
    let killed = "the kernel killed";
    match killed_step(seen) {
        Some(step) => {
            format!("{killed} {}, a step of the engine's builder, for memory", told(step))
        }
        None if seen.has_plenty() => format!(
            "{killed} the build for memory at a limit of its own (a cgroup's or a container's; \
             which was not seen)"
        ),
        None => format!("{killed} the build for memory"),
    }
}

fn aborted(heap_limit_bytes: Option<u64>) -> String {
    let limit = heap_limit_bytes.map(|bytes| format!(" (here {})", size(bytes)));
    format!(
        "the build aborted, as Node does at its heap's limit{}; its message `JavaScript heap out \
         of memory` goes past makeroom and was not seen",
        limit.unwrap_or_default()
    )
}

fn killed_nearby(seen: &Evidence<'_>) -> String {
    let what = match seen.killed {
        [] => format!("made {}", oom_kills(seen.oom_kills.unwrap_or(0))),
        killed => {
            let names = killed.iter().take(3).map(told).collect::<Vec<_>>().join(", ");
            format!("killed {names} for memory")
        }
    };
    format!(
        "the kernel {what} while the build ran, and the build failed; that the two belong \
         together was not seen"
    )
}

fn thrashed(thrash: &Thrash, took: &str) -> String {
    let steps = match thrash.steps {
        0 => String::new(),
        1 => " though 1 step was taken".to_owned(),
        steps => format!(" though {} were taken", count(steps, "step")),
    };
    let stalled = thrash.figures.pressure_percent.unwrap_or(0.0);
    format!(
        "memory had been thrashing for {}{steps} (at last everything stood still {stalled:.0} % \
         of the time), so --abort-on-thrash ended the build after {took}",
        span(thrash.time)
    )
}

fn told(killed: &Killed) -> String {
    let held = killed.held_bytes.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
    format!("`{}` (pid {}{held})", printable(&killed.name), killed.pid)
}

fn oom_kills(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "OOM kill")
}

fn remedy(kind: Kind, seen: &Evidence<'_>) -> Option<String> {
    let remedy = match kind {
        Kind::OomKill if seen.has_plenty() => {
            "raise that limit (memory.max of its cgroup, `--memory` of its container)"
        }
        Kind::OomKill | Kind::OomKillNearby | Kind::Thrash | Kind::Abort if seen.is_in_front => {
            "the memory of this machine is what counts for it: room on the engine's host does \
             not help"
        }
        Kind::OomKill | Kind::OomKillNearby | Kind::Thrash => return Some(more_room(seen)),
        Kind::Abort => return larger_heap(seen),
        Kind::EngineLost => "the engine's log says why: `journalctl -u docker` on its host",
        Kind::Timeout => "a longer --timeout, or none",
        Kind::OwnError => return missed(seen),
        Kind::NotRestored => "`makeroom recover` brings back what is left",
        Kind::Ok | Kind::Killed | Kind::Cancelled => return None,
    };
    Some(remedy.to_owned())
}

fn more_room(seen: &Evidence<'_>) -> String {
    let doubled = (seen.swap_free_bytes * 2).max(4 << 30);
    let swap = format!("`--swap {}GiB` would give it a place to go", doubled.div_ceil(1 << 30));
    match seen.spare.first() {
        Some(spare) => {
            let (name, gain) = (printable(&spare.name), size(spare.bytes));
            format!("pausing `{name}` would give {gain} more, or {swap}")
        }
        None => swap,
    }
}

/// What a build does inside is not seen: it may have needed what was paused. One that was not found
/// has needed nothing.
fn missed(seen: &Evidence<'_>) -> Option<String> {
    let is_started = !matches!(seen.ending.exit, Exit::Code(126 | 127) | Exit::Signal(_));
    (is_started && !seen.held.is_empty()).then(|| {
        let (was, it) = if seen.held.len() == 1 {
            ("was not running meanwhile", "it")
        } else {
            ("were not running meanwhile", "one of them")
        };
        let keep = match seen.held {
            [one] => text::shell_word(&printable(one)),
            _ => "NAME".to_owned(),
        };
        format!(
            "{} {was}: if the build needs {it}, that is the likely cause (`--keep {keep}`)",
            text::names(seen.held.iter().copied(), 3)
        )
    })
}

/// What was available at the lowest is what the heap could have grown by; a third of it is surplus.
fn larger_heap(seen: &Evidence<'_>) -> Option<String> {
    let room_bytes = seen.available_min_bytes?.saturating_add(seen.peak_bytes?) / 3 * 2;
    let mebibytes = room_bytes >> 20;
    let is_gain = seen.heap_limit_bytes.is_none_or(|limit| room_bytes > limit);
    (mebibytes >= 512 && is_gain).then(|| {
        format!("NODE_OPTIONS=--max-old-space-size={mebibytes} is what this machine has room for")
    })
}

#[cfg(test)]
mod tests;
