//! Owns the timeline of a run as an SVG: available memory, build and swap over time, with marks for
//! stalls, OOM kills and the end. Its colours are the page's, so that it is readable in the dark.
//! Pure.

use maud::{Markup, html};

use crate::core::{
    run::timeline::Point,
    text::{size_in_tenths, span_of_seconds},
};

// So narrow that its words can be read on a phone, where it shrinks; the page makes them smaller
// elsewhere.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 26.0;
const RIGHT: f64 = 10.0;
/// The part of a stretch for which all tasks must have been stalled, so that it is marked.
const STALLED_PART: f64 = 0.05;

/// Turns times and bytes into places in the picture.
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

const CURVES: [Curve; 3] = [
    ("available", |point| point.available_bytes),
    ("swap", |point| point.swap_used_bytes),
    ("build", |point| point.build_bytes),
];

/// Draws the picture. `elapsed_s` is where the build ended.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "as above")]
pub(super) fn svg(points: &[Point], elapsed_s: f64) -> Markup {
    let highest = points
        .iter()
        .map(|point| point.available_bytes.max(point.build_bytes).max(point.swap_used_bytes))
        .max()
        .unwrap_or(0);
    let last_s = points.last().map_or(0.0, |last| last.at_s);
    let (step, steps) = grid(highest.max(1 << 20));
    let scale = Scale { seconds: elapsed_s.max(last_s).max(0.001), bytes: (step * steps) as f64 };
    let label = "Memory over time: available, the build's, and swap in use";
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
            @for line in 0..=steps { (level(&scale, line * step)) }
            @for pair in points.windows(2) { (stall(&scale, pair[0], pair[1])) }
            @for (class, bytes) in CURVES { (curve(&scale, class, points, bytes)) }
            @for kill in kills(points) { (mark("kill", scale.x(kill.at_s), "OOM kill")) }
            (mark("mark", scale.x(0.0), "room made"))
            (mark("mark", scale.x(elapsed_s), "end"))
            @for quarter in 0..=4 { (moment(&scale, quarter)) }
        }
    }
}

/// Draws a line of the grid with its size.
fn level(scale: &Scale, bytes: u64) -> Markup {
    let y = scale.y(bytes);
    html! {
        line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(tenths(y)) y2=(tenths(y)) {}
        text x=(LEFT - 8.0) y=(tenths(y + 4.0)) text-anchor="end" { (size_in_tenths(bytes)) }
    }
}

/// Writes a time below the picture.
fn moment(scale: &Scale, quarter: u32) -> Markup {
    let seconds = scale.seconds * f64::from(quarter) / 4.0;
    let anchor = match quarter {
        0 => "start",
        4 => "end",
        _ => "middle",
    };
    html! {
        text x=(tenths(scale.x(seconds))) y=(HEIGHT - 8.0) text-anchor=(anchor) {
            (span_of_seconds(seconds))
        }
    }
}

/// Marks the stretch between two moments where all tasks were stalled for long.
fn stall(scale: &Scale, from: Point, to: Point) -> Markup {
    let is_stalled = to.full_stall_s - from.full_stall_s > STALLED_PART * (to.at_s - from.at_s);
    let (x, end, height) = (scale.x(from.at_s), scale.x(to.at_s), HEIGHT - TOP - BOTTOM);
    html! {
        @if is_stalled {
            rect.stall x=(tenths(x)) y=(TOP) width=(tenths(end - x)) height=(height) {}
        }
    }
}

fn curve(scale: &Scale, class: &str, points: &[Point], bytes: fn(&Point) -> u64) -> Markup {
    let place = |point: &Point| format!("{:.1},{:.1}", scale.x(point.at_s), scale.y(bytes(point)));
    let places = points.iter().map(place).collect::<Vec<_>>().join(" ");
    html! { polyline class={ "curve " (class) } points=(places) {} }
}

/// Finds the moments by which the kernel had killed more than before.
fn kills(points: &[Point]) -> impl Iterator<Item = &Point> {
    let mut kills = 0;
    points.iter().filter(move |point| {
        let is_more = point.oom_kills > kills;
        kills = kills.max(point.oom_kills);
        is_more
    })
}

fn mark(class: &str, x: f64, words: &str) -> Markup {
    let anchor = if x > WIDTH / 2.0 { "end" } else { "start" };
    html! {
        line class=(class) x1=(tenths(x)) x2=(tenths(x)) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
        text x=(tenths(x)) y=(TOP - 6.0) text-anchor=(anchor) { (words) }
    }
}

fn tenths(place: f64) -> String {
    format!("{place:.1}")
}

/// Chooses the bytes from one line of the grid to the next, a power of two, and how many lines:
/// three to six.
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
        let svg = svg(&points, 3.2).into_string();
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
            let svg = svg(&points, 0.0).into_string();
            assert!(
                svg.ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf"),
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
