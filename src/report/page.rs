//! Owns the report of a run as one page of HTML that needs nothing else: no script, no font, no
//! network. Pure.

use std::time::Duration;

use crate::{
    core::{
        run::{
            report::{RunReport, TargetReport},
            verdict::Kind,
        },
        target::method::Method,
        text::{printable, size, span},
    },
    report::{chart, foreign_changes::whether_it_runs, summary::ended},
};

const CSS: &str = include_str!("page.css");

/// The page.
#[must_use]
pub fn html(report: &RunReport) -> String {
    let command = text(&report.command);
    let host =
        report.host.as_deref().map_or_else(String::new, |host| format!(" in {}", text(host)));
    let took = span(Duration::try_from_secs_f64(report.elapsed_s).unwrap_or_default());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>makeroom: {command}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n<h1>{command}</h1>\n\
         <p>{} after {took}{host}</p>\n<p class=\"soft\">begun {}</p>\n{}<figure>\n{}{}</figure>\n{}{}</body>\n</html>\n",
        ended(report.exit.into()),
        report.started_at.strftime("%F %T UTC"),
        verdict(report),
        chart::svg(&report.timeline, report.elapsed_s),
        legend(),
        figures(report),
        targets(&report.targets),
    )
}

/// What the colours of the picture mean.
fn legend() -> String {
    let entry = |(class, words): (&str, &str)| {
        format!(
            "<span class=\"entry\"><span class=\"key\" style=\"background:var(--{class})\"></span>{words}</span>\n"
        )
    };
    let all = [
        ("available", "available"),
        ("build", "build"),
        ("swap", "swap in use"),
        ("stall", "all tasks stalled"),
    ];
    format!("<figcaption class=\"soft\">\n{}</figcaption>\n", all.map(entry).concat())
}

/// Text from outside, as HTML and for a person.
fn text(foreign: &str) -> String {
    let escape = |letter: char| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    };
    printable(foreign).chars().map(escape).collect()
}

fn verdict(report: &RunReport) -> String {
    let class = if report.verdict.kind == Kind::Ok { "verdict ok" } else { "verdict" };
    let sentences: Vec<String> = [&report.verdict.cause, &report.verdict.remedy]
        .into_iter()
        .flatten()
        .map(|words| format!("<p>{}</p>", text(words)))
        .collect();
    if sentences.is_empty() {
        String::new()
    } else {
        format!("<div class=\"{class}\">{}</div>\n", sentences.concat())
    }
}

fn figures(report: &RunReport) -> String {
    let memory = &report.memory;
    let seconds = |seconds: f64| span(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let swap = report.swap.size_bytes.map(|bytes| {
        let gone = if report.swap.removed == Some(true) { "removed after" } else { "not removed" };
        format!("{}, {gone}", size(bytes))
    });
    let rows = [
        ("Peak of the build", memory.build_peak_bytes.map(size)),
        ("Available before", memory.available_before_bytes.map(size)),
        ("Available with room made", memory.available_with_room_bytes.map(size)),
        ("Available at the lowest", memory.available_min_bytes.map(size)),
        ("Some task stalled", memory.some_stall_s.map(seconds)),
        ("All tasks stalled", memory.full_stall_s.map(seconds)),
        ("OOM kills on the host", memory.oom_kills.map(|kills| kills.to_string())),
        ("Swap made", swap),
    ];
    let row = |(what, figure): (&str, Option<String>)| {
        format!(
            "<tr><th>{what}</th><td class=\"figure\">{}</td></tr>\n",
            figure.unwrap_or_else(|| "not known".to_owned())
        )
    };
    format!(
        "<div class=\"scroll\"><table>\n{}</table></div>\n",
        rows.into_iter().map(row).collect::<String>()
    )
}

fn targets(targets: &[TargetReport]) -> String {
    if targets.is_empty() {
        return String::new();
    }
    let figure = |bytes: Option<u64>| bytes.map_or_else(|| "not known".to_owned(), size);
    let answered = |after_s: Option<f64>| {
        after_s.map_or_else(String::new, |after_s| {
            span(Duration::try_from_secs_f64(after_s).unwrap_or_default())
        })
    };
    let row = |report: &TargetReport| {
        let target = &report.target;
        format!(
            "<tr><td>{}</td><td>{}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td><td>{}</td><td class=\"figure\">{}</td></tr>\n",
            text(&target.name),
            if target.method == Method::Pause { "paused" } else { "stopped" },
            figure(target.memory_bytes),
            figure(target.given_back_bytes),
            whether_it_runs(report),
            answered(report.answered_after_s),
        )
    };
    let head = "<tr><th>Service</th><th>How</th><th class=\"figure\">Memory</th><th class=\"figure\">Given back</th><th>Runs again</th>\
                <th class=\"figure\">Healthy after</th></tr>\n";
    format!(
        "<h2>Room made by</h2>\n<div class=\"scroll\"><table>\n{head}{}</table></div>\n",
        targets.iter().map(row).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::core::run::{
        report::{ExitReport, MemoryReport, SwapReport},
        results::RoomTarget,
        verdict::Verdict,
    };

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let hostile = "<script>alert('1')</script> & \u{1b}[31m\"";
        let target = RoomTarget {
            name: hostile.to_owned(),
            id: "x".to_owned(),
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
