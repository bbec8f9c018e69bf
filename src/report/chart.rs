//! Owns the timeline of a run as an SVG: available memory, build and swap over time, with marks for
//! stalls, OOM kills and the end. Its colours are the page's, so that it is readable in the dark.
//! Pure.

use std::{fmt::Write as _, time::Duration};

use crate::core::{
    run::timeline::Point,
    text::{size_in_tenths, span},
};

// So narrow that its words can be read on a phone, where it shrinks; the page makes them smaller
// elsewhere.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 26.0;
const RIGHT: f64 = 10.0;
/// A stretch in which all tasks were stalled for more than this part of it is marked.
const STALLED_PART: f64 = 0.05;

/// From time and bytes to places in the picture.
struct Scale {
    seconds: f64,
    bytes: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (seconds / self.seconds).clamp(0.0, 1.0)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a picture has hundreds of dots, not quadrillions"
    )]
    fn y(&self, bytes: u64) -> f64 {
        TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - (bytes as f64 / self.bytes).clamp(0.0, 1.0))
    }
}

/// The class of a curve, and what it shows.
type Curve = (&'static str, fn(&Point) -> u64);

/// The picture. `elapsed_s` is where the build ended.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "as above")]
pub(super) fn svg(points: &[Point], elapsed_s: f64) -> String {
    let highest = points
        .iter()
        .map(|point| point.available_bytes.max(point.build_bytes).max(point.swap_used_bytes))
        .max()
        .unwrap_or(0);
    let last_s = points.last().map_or(0.0, |last| last.at_s);
    let (step, steps) = grid(highest.max(1 << 20));
    let scale = Scale { seconds: elapsed_s.max(last_s).max(0.001), bytes: (step * steps) as f64 };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Memory over time: available, the build's, and swap in use\">\n"
    );
    for line in 0..=steps {
        let (bytes, left) = (line * step, LEFT - 8.0);
        let y = scale.y(bytes);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            WIDTH - RIGHT
        );
        let _ = writeln!(
            svg,
            "<text x=\"{left}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            y + 4.0,
            size_in_tenths(bytes)
        );
    }
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        if to.full_stall_s - from.full_stall_s > STALLED_PART * (to.at_s - from.at_s) {
            let (x, width) = (scale.x(from.at_s), scale.x(to.at_s) - scale.x(from.at_s));
            let _ = writeln!(
                svg,
                "<rect class=\"stall\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{}\"/>",
                HEIGHT - TOP - BOTTOM
            );
        }
    }
    let curves: [Curve; 3] = [
        ("available", |point| point.available_bytes),
        ("swap", |point| point.swap_used_bytes),
        ("build", |point| point.build_bytes),
    ];
    for (class, bytes) in curves {
        let places = points
            .iter()
            .map(|point| format!("{:.1},{:.1}", scale.x(point.at_s), scale.y(bytes(point))))
            .collect::<Vec<_>>()
            .join(" ");
        let _ = writeln!(svg, "<polyline class=\"curve {class}\" points=\"{places}\"/>");
    }
    let mut kills = 0;
    for point in points {
        if point.oom_kills > kills {
            kills = point.oom_kills;
            mark(&mut svg, "kill", scale.x(point.at_s), "OOM kill");
        }
    }
    mark(&mut svg, "mark", scale.x(0.0), "room made");
    mark(&mut svg, "mark", scale.x(elapsed_s), "end");
    for part in 0..=4_u32 {
        let seconds = scale.seconds * f64::from(part) / 4.0;
        let anchor = ["start", "middle", "middle", "middle", "end"][part as usize];
        let at = span(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{at}</text>",
            scale.x(seconds),
            HEIGHT - 8.0
        );
    }
    svg + "</svg>\n"
}

fn mark(svg: &mut String, class: &str, x: f64, words: &str) {
    let anchor = if x > WIDTH / 2.0 { "end" } else { "start" };
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\"/>",
        HEIGHT - BOTTOM
    );
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{words}</text>",
        TOP - 6.0
    );
}

/// Bytes from one line of the grid to the next, a power of two, and how many lines: three to six.
fn grid(highest: u64) -> (u64, u64) {
    let step = (highest / 3).max(1).next_power_of_two() / 2;
    let step = step.max(1);
    (step, highest.div_ceil(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_s: f64, stalled_s: f64, oom_kills: u64) -> Point {
        Point {
            at_s,
            available_bytes: 3 << 30,
            build_bytes: 1 << 30,
            full_stall_s: stalled_s,
            oom_kills,
            ..Point::default()
        }
    }

    #[test]
    fn every_curve_and_mark_is_there_and_within_the_picture() {
        let points =
            [point(0.0, 0.0, 0), point(1.0, 0.0, 0), point(2.0, 0.9, 1), point(3.0, 0.9, 1)];
        let svg = svg(&points, 3.2);
        for (what, count) in [
            ("<polyline", 3),
            ("class=\"stall\"", 1),
            ("class=\"kill\"", 1),
            ("class=\"mark\"", 2),
            (">end<", 1),
            ("3.0 GiB", 1),
        ] {
            assert_eq!(svg.matches(what).count(), count, "{what} in {svg}");
        }
        let coordinates = svg.split(['"', ' ', ',']).filter_map(|word| word.parse::<f64>().ok());
        assert!(coordinates.into_iter().all(|place| (0.0..=WIDTH).contains(&place)), "{svg}");
    }

    #[test]
    fn a_run_of_which_nothing_was_seen_is_a_picture_all_the_same() {
        for points in [vec![], vec![point(0.0, 0.0, 0)]] {
            let svg = svg(&points, 0.0);
            assert!(
                svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
    }

    #[test]
    fn the_grid_has_three_to_six_lines_and_reaches_the_top() {
        for highest in [1 << 20, (1 << 20) + 1, 700 << 20, 3 << 30, (24 << 30) - 7, 1 << 45] {
            let (step, steps) = grid(highest);
            assert!(
                (3..=6).contains(&steps) && step * steps >= highest,
                "{highest}: {steps} of {step}"
            );
        }
    }
}
