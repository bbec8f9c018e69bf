//! Owns the report of a run as the lines of `makeroom report`. Pure.

use crate::{
    core::{
        lease::foreign_change::ForeignChange,
        run::report::{MemoryReport, PeakSource, RunReport, TargetReport},
        target::{kind::noun_of, method::Method},
        text::{count, names, printable, size, span_of_seconds},
    },
    report::{foreign_change_lines::by_somebody, run_lines::told, step_lines},
};

/// Describes the run in a few lines, with a newline at the end.
#[must_use]
pub fn describe(report: &RunReport) -> String {
    let (at, exit) = (report.started_at.strftime("%F %T UTC"), told(report));
    let mut lines = vec![
        line("run", &format!("`{}`, begun {at}", printable(&report.command))),
        line("build", &format!("{exit} after {}", span_of_seconds(report.elapsed_s))),
    ];
    lines.extend(report.host.as_ref().map(|host| line("host", &printable(host))));
    lines.extend(taken(report));
    lines.extend(brought_back(&report.targets));
    if let (Some(size_bytes), Some(path)) = (report.swap.size_bytes, &report.swap.path) {
        let gone = if report.swap.removed == Some(true) { "removed after" } else { "not removed" };
        lines.push(line(
            "swap made",
            &format!("{} in {}, {gone}", size(size_bytes), printable(path)),
        ));
    }
    lines.push(line("memory", &memory(&report.memory)));
    let verdict = [&report.verdict.cause, &report.verdict.remedy].into_iter().flatten();
    lines.extend(verdict.map(|sentence| line("verdict", &printable(sentence))));
    lines.join("\n") + "\n"
}

fn line(what: &str, words: &str) -> String {
    format!("{what:<10}  {words}")
}

/// Tells what was taken, and what that gave back.
fn taken(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    for method in [Method::Pause, Method::Stop] {
        let is_one = |target: &&TargetReport| target.target.method == method;
        let with: Vec<_> = report.targets.iter().filter(is_one).collect();
        if !with.is_empty() {
            let noun = noun_of(with.iter().map(|target| target.target.kind));
            let with: Vec<_> = with.iter().map(|target| target.target.name.as_str()).collect();
            let words = format!("{}: {}", count(with.len(), noun), names(with, 8));
            lines.push(line(method.participle(), &words));
        }
    }
    let given_back: Vec<u64> =
        report.targets.iter().filter_map(|target| target.target.given_back_bytes).collect();
    if !given_back.is_empty() {
        lines.push(line("given back", &size(given_back.iter().sum())));
    }
    lines.extend(
        report.steps.iter().map(|step| line("step", &step_lines::past(step, &report.targets))),
    );
    lines
}

/// Tells what became of the targets at the end.
fn brought_back(targets: &[TargetReport]) -> Vec<String> {
    let mut lines = Vec::new();
    let answered: Vec<String> = targets
        .iter()
        .filter_map(|target| Some((&target.target.name, target.answered_after_s?)))
        .map(|(name, after_s)| format!("{} after {}", printable(name), span_of_seconds(after_s)))
        .collect();
    if !answered.is_empty() {
        lines.push(line("healthy", &answered.join(", ")));
    }
    let theirs = targets.iter().filter_map(|target| Some((&target.target.name, target.theirs?)));
    lines.extend(theirs.map(|(name, change)| {
        let label = if change == ForeignChange::Removed { "gone" } else { "theirs" };
        line(label, &format!("`{}`, {}", printable(name), by_somebody(change)))
    }));
    let left = named(targets, |target| target.handed_over);
    if !left.is_empty() {
        lines.push(line("left", &format!("to another run that needs them: {}", names(left, 8))));
    }
    let not_back =
        named(targets, |target| !target.restored && !target.handed_over && target.theirs.is_none());
    if !not_back.is_empty() {
        lines.push(line("not back", &names(not_back, 8)));
    }
    lines
}

fn named(targets: &[TargetReport], is_one: impl Fn(&TargetReport) -> bool) -> Vec<&str> {
    let those = targets.iter().filter(|target| is_one(target));
    those.map(|target| target.target.name.as_str()).collect()
}

fn memory(memory: &MemoryReport) -> String {
    let peak = match memory.build_peak_source {
        Some(PeakSource::LargestProcess) => "largest process",
        _ => "peak",
    };
    let figures = [
        memory.build_peak_bytes.map(|bytes| format!("{peak} {}", size(bytes))),
        memory.available_with_room_bytes.map(|bytes| format!("{} available at first", size(bytes))),
        memory.available_min_bytes.map(|bytes| format!("{} at the lowest", size(bytes))),
        memory.full_stall_s.map(|stall| format!("stalled {}", span_of_seconds(stall))),
        memory.oom_kills.filter(|kills| *kills > 0).map(|kills| count(kills, "OOM kill")),
    ];
    figures.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
