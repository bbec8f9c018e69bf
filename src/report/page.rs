//! Owns the report of a run as one page of HTML that needs nothing else: no script, no font, no
//! network. Pure.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    core::{
        run::{
            report::{RunReport, TargetReport},
            verdict::{Kind, Verdict},
        },
        text::{printable, size, span_of_seconds},
    },
    report::{chart, foreign_change_lines::whether_it_runs, run_lines::told},
};

const CSS: &str = include_str!("page.css");

/// Makes the page.
#[must_use]
pub fn html(report: &RunReport) -> String {
    let command = printable(&report.command);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "makeroom: " (command) }
                style { (PreEscaped(CSS)) }
            }
            body {
                h1 { (command) }
                p {
                    (told(report)) " after " (span_of_seconds(report.elapsed_s))
                    @if let Some(host) = &report.host { " in " (printable(host)) }
                }
                p.soft { "begun " (report.started_at.strftime("%F %T UTC").to_string()) }
                (verdict(report))
                figure {
                    (chart::svg(&report.timeline, report.elapsed_s))
                    (legend())
                }
                (figures(report))
                (targets(&report.targets))
            }
        }
    };
    page.into_string() + "\n"
}

/// Tells what the colours of the picture mean.
fn legend() -> Markup {
    let colours = [
        ("available", "available"),
        ("build", "build"),
        ("swap", "swap in use"),
        ("stall", "all tasks stalled"),
    ];
    html! {
        figcaption.soft {
            @for (class, words) in colours {
                span.entry {
                    span.key style={ "background:var(--" (class) ")" } {}
                    (words)
                }
                // Where the line may be broken.
                " "
            }
        }
    }
}

fn verdict(report: &RunReport) -> Markup {
    let Verdict { kind, cause, remedy } = &report.verdict;
    html! {
        @if cause.is_some() || remedy.is_some() {
            div.verdict.ok[*kind == Kind::Ok] {
                @for sentence in [cause, remedy].into_iter().flatten() {
                    p { (printable(sentence)) }
                }
            }
        }
    }
}

fn figures(report: &RunReport) -> Markup {
    let memory = &report.memory;
    let swap = report.swap.size_bytes.map(|bytes| {
        let gone = if report.swap.removed == Some(true) { "removed after" } else { "not removed" };
        format!("{}, {gone}", size(bytes))
    });
    let rows = [
        ("Peak of the build", memory.build_peak_bytes.map(size)),
        ("Available before", memory.available_before_bytes.map(size)),
        ("Available with room made", memory.available_with_room_bytes.map(size)),
        ("Available at the lowest", memory.available_min_bytes.map(size)),
        ("Some task stalled", memory.some_stall_s.map(span_of_seconds)),
        ("All tasks stalled", memory.full_stall_s.map(span_of_seconds)),
        ("OOM kills on the host", memory.oom_kills.map(|kills| kills.to_string())),
        ("Swap made", swap),
    ];
    html! {
        div.scroll {
            table {
                @for (what, figure) in rows {
                    tr { th { (what) } (cell(figure.as_deref())) }
                }
            }
        }
    }
}

fn targets(targets: &[TargetReport]) -> Markup {
    html! {
        @if !targets.is_empty() {
            h2 { "Room made by" }
            div.scroll {
                table {
                    tr {
                        th { "Target" }
                        th { "How" }
                        th.figure { "Memory" }
                        th.figure { "Given back" }
                        th { "Runs again" }
                        th.figure { "Healthy after" }
                    }
                    @for report in targets { (row(report)) }
                }
            }
        }
    }
}

fn row(report: &TargetReport) -> Markup {
    let target = &report.target;
    html! {
        tr {
            td { (printable(&target.name)) }
            td { (target.method.participle()) }
            (cell(target.memory_bytes.map(size).as_deref()))
            (cell(target.given_back_bytes.map(size).as_deref()))
            td { (whether_it_runs(report)) }
            td.figure { (report.answered_after_s.map(span_of_seconds).unwrap_or_default()) }
        }
    }
}

fn cell(figure: Option<&str>) -> Markup {
    html! { td.figure { (figure.unwrap_or("not known")) } }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::core::{
        run::{
            report::{ExitReport, MemoryReport, SwapReport},
            results::RoomTarget,
        },
        target::{kind::Kind as TargetKind, method::Method},
    };

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let hostile = "<script>alert('1')</script> & \u{1b}[31m\"";
        let target = RoomTarget {
            name: hostile.to_owned(),
            id: "x".to_owned(),
            kind: TargetKind::Container,
            method: Method::Pause,
            memory_bytes: None,
            given_back_bytes: Some(7 << 20),
        };
        let report = RunReport {
            version: 1,
            lease: None,
            started_at: Timestamp::UNIX_EPOCH,
            command: hostile.to_owned(),
            exit: ExitReport { code: None, signal: Some(9) },
            interrupted: false,
            elapsed_s: 61.0,
            host: Some(hostile.to_owned()),
            steps: vec![],
            targets: vec![TargetReport {
                target,
                restored: false,
                handed_over: false,
                answered_after_s: None,
                theirs: None,
            }],
            swap: SwapReport::default(),
            memory: MemoryReport::default(),
            verdict: Verdict { kind: Kind::Killed, cause: Some(hostile.to_owned()), remedy: None },
            timeline: vec![],
        };
        let page = html(&report);
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
        assert_eq!(page.matches("&lt;script&gt;").count(), 5, "{page}");
        for words in [
            "died of SIGKILL after 1m 1s",
            "not known",
            "7.0 MiB",
            "<td>no</td>",
            "1970-01-01 00:00:00 UTC",
        ] {
            assert!(page.contains(words), "{words} in {page}");
        }
        for tag in ["html", "body", "table", "svg", "figure", "div"] {
            assert_eq!(
                page.matches(&format!("<{tag}")).count(),
                page.matches(&format!("</{tag}>")).count(),
                "{tag}"
            );
        }
    }
}
