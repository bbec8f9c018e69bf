//! Owns the report of a run as a part of a CI job's summary, in the Markdown that GitHub Actions
//! shows beside the log. Pure.

use crate::{
    core::{
        run::report::RunReport,
        text::{printable, size, span_of_seconds},
    },
    report::{foreign_change_lines::whether_it_runs, run_lines::told},
};

/// Describes the run as a part of the job's summary.
#[must_use]
pub fn markdown(report: &RunReport) -> String {
    let mut text = format!(
        "### makeroom: {} {} after {}\n\n",
        plain(&report.command),
        told(report),
        span_of_seconds(report.elapsed_s)
    );
    for sentence in [&report.verdict.cause, &report.verdict.remedy].into_iter().flatten() {
        text += &format!("{}\n\n", plain(sentence));
    }
    let memory = &report.memory;
    let rows = [
        ("peak of the build", memory.build_peak_bytes.map(size)),
        ("available with room made", memory.available_with_room_bytes.map(size)),
        ("available at the lowest", memory.available_min_bytes.map(size)),
        ("all tasks stalled", memory.full_stall_s.map(span_of_seconds)),
        ("OOM kills", memory.oom_kills.map(|kills| kills.to_string())),
    ];
    text += "| | |\n|---|---:|\n";
    for (what, figure) in rows {
        text += &format!("| {what} | {} |\n", figure.unwrap_or_else(|| "not known".to_owned()));
    }
    if !report.targets.is_empty() {
        text += "\n| target | how | memory | given back | runs again |\n|---|---|---:|---:|---|\n";
        for target in &report.targets {
            let figure = |bytes: Option<u64>| bytes.map_or_else(|| "not known".to_owned(), size);
            text += &format!(
                "| {} | {} | {} | {} | {} |\n",
                plain(&target.target.name),
                target.target.method.participle(),
                figure(target.target.memory_bytes),
                figure(target.target.given_back_bytes),
                match whether_it_runs(target) {
                    words if words.starts_with("no") => format!("**{words}**"),
                    words => words.to_owned(),
                },
            );
        }
    }
    text + "\n"
}

/// Escapes text from outside, so that neither Markdown nor HTML acts on it.
fn plain(foreign: &str) -> String {
    let escape = |letter: char| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => format!("\\{letter}"),
        other => other.to_string(),
    };
    printable(foreign).chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_cell() {
        assert_eq!(plain("a|b"), "a\\|b");
        assert_eq!(
            plain("<img src=x> `x` [l](u) _i_\n"),
            "&lt;img src=x&gt; \\`x\\` \\[l\\](u) \\_i\\_\\\\n"
        );
    }
}
