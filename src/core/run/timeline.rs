//! Owns the course of a run: what was seen, moment by moment, in bounded space. However long a
//! build takes, the supervisor does not grow. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// As many moments as a page shows; beyond that two become one.
pub const MOST_POINTS: usize = 512;

/// One moment, or several that were put together: the lowest available, the highest of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Point {
    /// Seconds since the build began.
    #[schemars(range(min = 0))]
    pub at_s: f64,
    /// The lowest MemAvailable.
    pub available_bytes: u64,
    /// The most that the build held.
    pub build_bytes: u64,
    /// The most that was in swap.
    pub swap_used_bytes: u64,
    /// Seconds for which some task was stalled on memory, since the build began.
    #[schemars(range(min = 0))]
    pub some_stall_s: f64,
    /// Seconds for which all tasks were.
    #[schemars(range(min = 0))]
    pub full_stall_s: f64,
    /// What the kernel killed for memory, since the build began.
    pub oom_kills: u64,
}

impl Point {
    /// This one and a later one as one: nothing that is worth seeing is lost, when it was is.
    fn with(self, later: Self) -> Self {
        Self {
            at_s: self.at_s,
            available_bytes: self.available_bytes.min(later.available_bytes),
            build_bytes: self.build_bytes.max(later.build_bytes),
            swap_used_bytes: self.swap_used_bytes.max(later.swap_used_bytes),
            some_stall_s: later.some_stall_s,
            full_stall_s: later.full_stall_s,
            oom_kills: later.oom_kills,
        }
    }
}

/// The course of a run.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    points: Vec<Point>,
    /// What is nearer to the last moment than this becomes a part of it.
    apart: Duration,
}

impl Timeline {
    /// Adds a moment; not before the last one.
    pub fn push(&mut self, point: Point) {
        match self.points.last_mut() {
            Some(last) if point.at_s < last.at_s + self.apart.as_secs_f64() => {
                *last = last.with(point);
            }
            _ => self.points.push(point),
        }
        if self.points.len() > MOST_POINTS {
            let took = self.points.last().map_or(0.0, |last| last.at_s);
            self.points = self
                .points
                .chunks(2)
                .map(|pair| pair.iter().copied().reduce(Point::with).unwrap_or_default())
                .collect();
            self.apart = Duration::from_secs_f64(
                took / f64::from(u32::try_from(self.points.len()).unwrap_or(u32::MAX)),
            );
        }
    }

    /// What was seen, in order.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at: u32) -> Point {
        let dip = at == 70_001;
        Point {
            at_s: f64::from(at) / 4.0,
            available_bytes: if dip { 1 } else { 1000 },
            build_bytes: u64::from(at),
            full_stall_s: f64::from(at) / 100.0,
            ..Point::default()
        }
    }

    #[test]
    fn a_short_run_is_kept_moment_by_moment() {
        let mut timeline = Timeline::default();
        (0..100).for_each(|at| timeline.push(point(at)));
        assert_eq!(timeline.points(), (0..100).map(point).collect::<Vec<_>>());
    }

    #[test]
    fn a_long_run_takes_no_more_space_and_keeps_its_extremes() {
        let mut timeline = Timeline::default();
        for at in 0..100_000 {
            timeline.push(point(at));
            assert!(timeline.points().len() <= MOST_POINTS);
        }
        let points = timeline.points();
        assert!(points.len() >= MOST_POINTS / 4, "{}", points.len());
        assert!(points.is_sorted_by(|one, other| one.at_s < other.at_s));
        assert_eq!(points.iter().map(|point| point.available_bytes).min(), Some(1));
        assert_eq!(
            (points[0].at_s, points.last().map(|last| last.build_bytes)),
            (0.0, Some(99_999))
        );
        // Evenly: no stretch is much coarser than the others.
        let gaps: Vec<f64> = points.windows(2).map(|pair| pair[1].at_s - pair[0].at_s).collect();
        let (shortest, longest) = gaps
            .iter()
            .fold((f64::MAX, 0.0_f64), |(low, high), gap| (low.min(*gap), high.max(*gap)));
        assert!(longest <= 3.0 * shortest, "{shortest} to {longest}");
    }
}
