//! Owns the lines about a run: room made, the build's end, everything back. Every figure was
//! measured; what was not is left out. Pure.

use std::{ffi::OsString, time::Duration};

use crate::core::{
    machine::memory::Memory,
    run::{
        build_site::BuildSite,
        ending::{EndedBy, Ending},
        exit::Exit,
        report::RunReport,
        results::{Answer, Back, Lingering, Room, SwapBack},
        verdict::Kind,
    },
    target::{kind::noun_of, method::Method},
    text::{count, names, printable, size, span},
};

/// What is known of the build when it has ended.
#[derive(Clone, Copy, Debug)]
pub struct BuildFigures<'a> {
    /// How it ended.
    pub ending: Ending,
    /// How long it ran.
    pub took: Duration,
    /// What a person calls the host, where it is another machine.
    pub host: Option<&'a str>,
    /// Its peak in bytes, where it was seen.
    pub peak_bytes: Option<u64>,
    /// Whether that peak is one process's alone: this system tells no more.
    pub is_largest_process: bool,
    /// The lowest MemAvailable, in bytes.
    pub available_min_bytes: Option<u64>,
    /// For how long all tasks were stalled on memory.
    pub full_stall: Option<Duration>,
    /// How often the kernel killed something for memory while it ran.
    pub oom_kills: Option<u64>,
}

/// Says that room is made. `memory` is the host's where the keeper did not measure it.
#[must_use]
pub fn room_made(room: &Room, memory: Option<Memory>) -> String {
    let mut done = Vec::new();
    for (number, method) in [(room.paused, Method::Pause), (room.stopped, Method::Stop)] {
        if number > 0 {
            let with = room.targets.iter().filter(|target| target.method == method);
            let noun = noun_of(with.map(|target| target.kind));
            done.push(format!("{} {}", count(number, noun), method.participle()));
        }
    }
    if done.is_empty() {
        let why = room
            .need_bytes
            .map(|bytes| format!(" for a build of {}", size(bytes)))
            .unwrap_or_default();
        done.push(format!("nothing paused{why}"));
    }
    if room.joined > 0 {
        done.push(format!("{} of them by another run already", room.joined));
    }
    if let Some(bytes) = room.given_back_bytes {
        done.push(format!("{} given back", size(bytes)));
    }
    let mut line = done.join(", ");
    if room.paused + room.stopped > 0 {
        line += &format!(" in {}", span(room.took));
    }
    if let Some(memory) = room.memory.or(memory) {
        let place =
            room.host.as_ref().map_or_else(String::new, |host| format!(" in {}", printable(host)));
        line += &format!("; {} available{place}", size(memory.available_bytes));
        if memory.swap_total_bytes > 0 {
            line += &format!(", {} swap free", size(memory.swap_free_bytes));
        } else if room.paused > 0 {
            line += "; without swap, what is paused keeps its memory";
        }
    }
    if let Some(bytes) = room.swap_made_bytes {
        line += &format!("; {} of swap made for this run", size(bytes));
    }
    line
}

/// Says that the room is on a machine that this build does not use; `None` where it is not so.
#[must_use]
pub fn room_elsewhere(room: &Room, command: &[OsString], site: BuildSite) -> Option<String> {
    let host = room.host.as_ref().filter(|_| room.memory.is_some() && site == BuildSite::Child)?;
    let (host, program) = (printable(host), printable(&command.first()?.to_string_lossy()));
    Some(match room.vm_driver {
        Some(driver) if driver.gives_back() => format!(
            "the room is in {host}; {} gives it back to this machine, where `{program}` runs",
            driver.name()
        ),
        driver => {
            let why = driver.map_or_else(String::new, |driver| {
                format!(": {} gives nothing back to it", driver.name())
            });
            format!(
                "the room is in {host}; `{program}` runs on this machine and does not use it{why}"
            )
        }
    })
}

/// Says that the build has ended.
#[must_use]
pub fn build_ended(figures: &BuildFigures<'_>) -> String {
    let took = span(figures.took);
    let Ending { exit, ended_by, .. } = figures.ending;
    let mut line = match (ended_by.and_then(EndedBy::option), exit) {
        (Some(option), _) => format!("build ended by {option} after {took}"),
        (None, Exit::Code(0)) => format!("build ok in {took}"),
        (None, exit) => format!("build {} after {took}", ended(exit)),
    };
    if figures.ending.is_interrupted() {
        line += " (interrupted)";
    }
    let place = figures.host.map_or_else(String::new, |host| format!(" in {}", printable(host)));
    let peak = if figures.is_largest_process { "largest process" } else { "peak" };
    let figures = [
        figures.peak_bytes.map(|bytes| format!("{peak} {}", size(bytes))),
        figures.available_min_bytes.map(|bytes| format!("lowest available{place} {}", size(bytes))),
        figures.full_stall.map(|stall| format!("stalled {}", span(stall))),
        figures.oom_kills.filter(|kills| *kills > 0).map(|kills| count(kills, "OOM kill")),
    ];
    let figures: Vec<_> = figures.into_iter().flatten().collect();
    if !figures.is_empty() {
        line += &format!("; {}", figures.join(", "));
    }
    line
}

/// Ends a sentence with how a build ended.
#[must_use]
pub fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(0) => "ok".to_owned(),
        Exit::Code(code) => format!("failed with {code}"),
        Exit::Signal(signal) => format!("died of {}", signal_name(signal)),
    }
}

/// Says how the build of a report ended.
#[must_use]
pub fn told(report: &RunReport) -> String {
    let how = match report.verdict.kind {
        Kind::Timeout => "ended by --timeout".to_owned(),
        Kind::Thrash => "ended by --abort-on-thrash".to_owned(),
        Kind::NotRestored => "ok, but not everything is back".to_owned(),
        _ => ended(report.exit.into()),
    };
    if report.interrupted { format!("{how} (interrupted)") } else { how }
}

/// Says what is back; `None` where there was nothing to bring back.
#[must_use]
pub fn all_back(back: &Back) -> Option<String> {
    let noun = noun_of(back.kinds.iter().copied());
    let mut parts = Vec::new();
    if back.restored > 0 {
        parts.push(format!(
            "{} running again after {}",
            count(back.restored, noun),
            span(back.took)
        ));
    }
    let called = |answer: &Answer| answer.called_healthy_after;
    if let Some(last) = back.answers.iter().filter_map(called).max() {
        let answered = back.answers.iter().filter_map(called).count();
        parts.push(format!("{answered} healthy after {}", span(last)));
    }
    if !back.handed_over.is_empty() {
        parts.push(format!(
            "{} left to another run that needs them",
            count(back.handed_over.len(), noun)
        ));
    }
    match &back.swap {
        Some(SwapBack::Removed) => parts.push("swap removed".to_owned()),
        Some(SwapBack::HandedOver) => parts.push("swap left to another run".to_owned()),
        Some(SwapBack::NotYet { .. } | SwapBack::Stays { .. }) | None => {}
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Says that the room stays for the next build.
#[must_use]
pub fn lingering(lease: &str, lingering: &Lingering) -> String {
    let number = lingering.paused + lingering.stopped;
    let how = match (lingering.paused, lingering.stopped) {
        (_, 0) => "paused",
        (0, _) => "stopped",
        (_, _) => "paused or stopped",
    };
    let noun = noun_of(lingering.kinds.iter().copied());
    let what = match number {
        0 => "the swap stays".to_owned(),
        1 => format!("1 {noun} stays {how}"),
        number => format!("{} stay {how}", count(number, noun)),
    };
    format!(
        "{what} for {} more (--linger); `makeroom stop {lease}` ends that now",
        span(lingering.time)
    )
}

/// Names the swap that its keeper goes on removing; `None` where there is none.
#[must_use]
pub fn swap_not_off(back: &Back) -> Option<String> {
    let Some(SwapBack::NotYet { path, reason }) = &back.swap else { return None };
    Some(format!("the swap area {} is not off yet: {}", printable(path), printable(reason)))
}

/// Names what could not be brought back; `None` where all could.
#[must_use]
pub fn not_back(back: &Back) -> Option<String> {
    let mut parts = Vec::new();
    if let Some((_, reason)) = back.failed.first() {
        let failed = names(back.failed.iter().map(|(name, _)| name.as_str()), 8);
        parts.push(format!("NOT running again: {failed} ({})", printable(reason)));
    }
    if let Some(SwapBack::Stays { path, reason }) = &back.swap {
        parts.push(format!("the swap area {} stays: {}", printable(path), printable(reason)));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Names a signal: `SIGTERM`. Real-time signals have numbers only.
#[must_use]
pub fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.as_str().to_owned())
}

#[cfg(test)]
mod tests;
