//! Owns the lines about steps against memory pressure: taken, undone, and when none is left. Every
//! figure was measured. Pure.

use std::{collections::BTreeSet, time::Duration};

use crate::core::{
    machine::pressure::{Cause, Figures},
    run::{
        report::{StepReport, TargetReport},
        results::Step,
    },
    target::{
        kind::{Kind, noun_of},
        method::Method,
    },
    text::{count, printable, size, span, span_of_seconds},
};

/// Says that a step was taken.
#[must_use]
pub fn taken(step: &Step) -> String {
    let mut done = Vec::new();
    for method in [Method::Pause, Method::Stop] {
        let with = step.targets.iter().filter(|target| target.method == method);
        let kinds: Vec<Kind> = with.map(|target| target.kind).collect();
        if !kinds.is_empty() {
            let more = format!("more {}", noun_of(kinds.iter().copied()));
            done.push(format!("{} {}", count(kinds.len(), &more), method.participle()));
        }
    }
    done.extend(step.given_back_bytes.map(|bytes| format!("{} given back", size(bytes))));
    format!("{}: {} in {}", why(step.cause, &step.figures), done.join(", "), span(step.took))
}

/// Says that a step was undone before the build's end.
#[must_use]
pub fn undone(kinds: &BTreeSet<Kind>, restored: usize, took: Duration) -> String {
    format!(
        "the pressure is gone: {} running again after {}",
        count(restored, noun_of(kinds.iter().copied())),
        span(took)
    )
}

/// Says that the build is ended because memory is thrashing.
#[must_use]
pub fn thrashing(time: Duration, figures: &Figures) -> String {
    format!(
        "memory has been thrashing for {} ({}), and no step is left: the build is ended",
        span(time),
        now(figures)
    )
}

/// Describes a step of a run that is over. `targets` are all of the run's.
#[must_use]
pub fn past(step: &StepReport, targets: &[TargetReport]) -> String {
    let targets = targets.iter().map(|target| &target.target);
    let kinds =
        targets.filter(|target| step.targets.contains(&target.id)).map(|target| target.kind);
    let mut line = format!("`{}` after {}", printable(&step.selector), span_of_seconds(step.at_s));
    line += &format!(": {}", count(step.targets.len(), noun_of(kinds)));
    if let Some(bytes) = step.given_back_bytes {
        line += &format!(", {} given back", size(bytes));
    }
    if let Some(undone) = step.undone_at_s {
        line += &format!(", undone after {}", span_of_seconds(undone));
    }
    line
}

fn why(cause: Cause, figures: &Figures) -> String {
    match cause {
        Cause::Pressure | Cause::Floor => now(figures),
        Cause::Forecast => format!(
            "{} available, {} less each second",
            size(figures.available_bytes),
            size(figures.falling_bytes)
        ),
    }
}

fn now(figures: &Figures) -> String {
    let pressure = figures.pressure_percent.filter(|percent| *percent >= 0.5);
    let pressure =
        pressure.map_or_else(String::new, |percent| format!("pressure {percent:.0} %, "));
    format!("{pressure}{} available", size(figures.available_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::run::results::RoomTarget;

    const MIB: u64 = 1 << 20;

    fn step(cause: Cause, pressure_percent: Option<f64>, methods: &[Method]) -> Step {
        let target = |method: &Method| RoomTarget {
            name: "a".to_owned(),
            id: "a".to_owned(),
            kind: Kind::Container,
            method: *method,
            memory_bytes: None,
            given_back_bytes: None,
        };
        Step {
            selector: "a".to_owned(),
            cause,
            figures: Figures {
                pressure_percent,
                available_bytes: 180 * MIB,
                falling_bytes: 60 * MIB,
            },
            targets: methods.iter().map(target).collect(),
            given_back_bytes: methods.contains(&Method::Pause).then_some(212 * MIB),
            took: Duration::from_millis(400),
        }
    }

    #[test]
    fn a_step_is_one_line_with_why_and_what_came_of_it() {
        use Method::{Pause, Stop};
        for (step, line) in [
            (
                step(Cause::Pressure, Some(23.4), &[Pause; 3]),
                "pressure 23 %, 180 MiB available: 3 more containers paused, 212 MiB given back in 0.4 s",
            ),
            (
                step(Cause::Floor, Some(0.1), &[Stop]),
                "180 MiB available: 1 more container stopped in 0.4 s",
            ),
            (
                step(Cause::Forecast, None, &[Pause, Stop]),
                "180 MiB available, 60 MiB less each second: 1 more container paused, 1 more container stopped, 212 MiB given back in 0.4 s",
            ),
        ] {
            assert_eq!(taken(&step), line);
        }
        assert_eq!(
            undone(&[Kind::Container].into(), 3, Duration::from_millis(100)),
            "the pressure is gone: 3 containers running again after 0.1 s"
        );
    }

    #[test]
    fn a_step_of_a_past_run_names_its_selector_and_both_moments() {
        let report = StepReport {
            at_s: 12.0,
            selector: "mon-\u{1b}*".to_owned(),
            cause: Cause::Floor,
            pressure_percent: None,
            available_bytes: 1,
            targets: vec!["a".to_owned()],
            given_back_bytes: Some(212 * MIB),
            undone_at_s: Some(90.0),
        };
        assert_eq!(
            past(&report, &[]),
            "`mon-\\u{1b}*` after 12.0 s: 1 container, 212 MiB given back, undone after 1m 30s"
        );
    }
}
