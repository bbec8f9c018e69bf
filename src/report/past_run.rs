//! Owns the words for a run that is over, from its report. Pure.

use std::time::Duration;

use crate::{
    core::{
        run::report::{PeakSource, RunReport, TargetReport},
        target::choice::Method,
        text::{count, names, printable, size, span},
    },
    report::{foreign_changes::by_somebody, steps, summary::ended},
};

/// The run in a few lines, with a newline at the end.
#[must_use]
pub fn describe(report: &RunReport) -> String {
    let seconds = |seconds: f64| span(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let at = report.started_at.strftime("%F %T UTC");
    let mut lines = vec![
        format!("run         `{}`, begun {at}", printable(&report.command)),
        format!("build       {} after {}", ended(report.exit.into()), seconds(report.elapsed_s)),
    ];
    if let Some(host) = &report.host {
        lines.push(format!("host        {}", printable(host)));
    }
    let with = |method| {
        report
            .targets
            .iter()
            .filter(move |target| target.target.method == method)
            .map(|target| target.target.name.as_str())
    };
    for (method, verb) in [(Method::Pause, "paused"), (Method::Stop, "stopped")] {
        let number = with(method).count();
        if number > 0 {
            lines.push(format!(
                "{verb:<10}  {}: {}",
                count(number, "service"),
                names(with(method), 8)
            ));
        }
    }
    let given_back: Vec<u64> =
        report.targets.iter().filter_map(|target| target.target.given_back_bytes).collect();
    if !given_back.is_empty() {
        lines.push(format!("given back  {}", size(given_back.iter().sum())));
    }
    lines.extend(report.steps.iter().map(|step| format!("step        {}", steps::past(step))));
    let answered = report
        .targets
        .iter()
        .filter_map(|target| Some((target.target.name.as_str(), target.answered_after_s?)));
    let answered: Vec<String> = answered
        .map(|(name, after_s)| format!("{} after {}", printable(name), seconds(after_s)))
        .collect();
    if !answered.is_empty() {
        lines.push(format!("healthy     {}", answered.join(", ")));
    }
    let theirs = report
        .targets
        .iter()
        .filter_map(|target| Some((target.target.name.as_str(), target.theirs?)));
    lines.extend(theirs.map(|(name, change)| {
        format!("theirs      `{}`, {}", printable(name), by_somebody(change))
    }));
    let left: Vec<&str> = report
        .targets
        .iter()
        .filter(|target| target.handed_over)
        .map(|target| target.target.name.as_str())
        .collect();
    if !left.is_empty() {
        lines.push(format!("left        to another run that needs them: {}", names(left, 8)));
    }
    let is_missing =
        |target: &&TargetReport| !target.restored && !target.handed_over && target.theirs.is_none();
    let not_back: Vec<&str> = report
        .targets
        .iter()
        .filter(is_missing)
        .map(|target| target.target.name.as_str())
        .collect();
    if !not_back.is_empty() {
        lines.push(format!("not back    {}", names(not_back, 8)));
    }
    if let (Some(size_bytes), Some(path)) = (report.swap.size_bytes, &report.swap.path) {
        let gone = if report.swap.removed == Some(true) { "removed after" } else { "not removed" };
        lines.push(format!("swap made   {} in {}, {gone}", size(size_bytes), printable(path)));
    }
    let memory = &report.memory;
    let peak = match memory.build_peak_source {
        Some(PeakSource::LargestProcess) => "largest process",
        _ => "peak",
    };
    let figures = [
        memory.build_peak_bytes.map(|bytes| format!("{peak} {}", size(bytes))),
        memory.available_with_room_bytes.map(|bytes| format!("{} available at first", size(bytes))),
        memory.available_min_bytes.map(|bytes| format!("{} at the lowest", size(bytes))),
        memory.full_stall_s.map(|stall| format!("stalled {}", seconds(stall))),
        memory
            .oom_kills
            .filter(|kills| *kills > 0)
            .map(|kills| count(usize::try_from(kills).unwrap_or(usize::MAX), "OOM kill")),
    ];
    lines.push(format!(
        "memory      {}",
        figures.into_iter().flatten().collect::<Vec<_>>().join(", ")
    ));
    let verdict = [&report.verdict.cause, &report.verdict.remedy];
    lines.extend(
        verdict
            .into_iter()
            .flatten()
            .map(|sentence| format!("verdict     {}", printable(sentence))),
    );
    lines.join("\n") + "\n"
}
