//! Owns when a step against memory pressure is due while a build runs, when one can be undone, and
//! when to end the build: a state machine that is fed with the host's figures. Pure; the keeper
//! looks and acts.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::core::{machine::sample::HostSample, target::selector::Selector, values::Percent};

/// The default of `--pressure`.
pub const PRESSURE: Percent = Percent(10);
/// The default of `--floor`, as a part of the host's memory, but not less than
/// [`FLOOR_LEAST_BYTES`]. The files that an engine and a shell work with count as available, and
/// when only they are left everything stalls already.
const FLOOR_PART: Percent = Percent(3);
const FLOOR_LEAST_BYTES: u64 = 192 << 20;
/// The most that the default floor takes of a small host.
const FLOOR_MOST: Percent = Percent(10);

/// The time over which the kernel's avg10 is taken.
const PRESSURE_OVER: Duration = Duration::from_secs(10);
/// The last seconds, which show the trend.
const RECENT: Duration = Duration::from_secs(3);
/// How many looks, and how far apart, make a trend.
const TREND_LOOKS: usize = 3;
const TREND_LEAST: Duration = Duration::from_millis(750);
/// How long before the floor would be reached a step is begun: it takes a second or two.
const AHEAD: Duration = Duration::from_secs(3);
/// How long there must have been no reason for a step before it is undone.
const CALM: Duration = Duration::from_secs(10);
/// How long a step that was undone and taken again stays, so that it does not go back and forth.
const TO_AND_FRO: Duration = Duration::from_mins(1);
/// The least that must be left above the floor once a step's memory is back.
const MARGIN_LEAST_BYTES: u64 = 64 << 20;

/// What the guard is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// `--then`: a selector for each step, in order.
    pub then: Vec<Selector>,
    /// `--pressure`: the full avg10 that is too much.
    pub pressure: Percent,
    /// `--floor`: the MemAvailable that is too little, in bytes; `None` means by the host's size.
    pub floor_bytes: Option<u64>,
    /// `--abort-on-thrash`.
    pub abort_after: Option<Duration>,
}

/// Why a step is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Pressure has passed its limit.
    Pressure,
    /// Available memory has.
    Floor,
    /// It will within seconds.
    Forecast,
}

/// The host as the guard sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The share of the last seconds in which all tasks were stalled on memory, in percent: the
    /// kernel's full avg10, up to date. `None` where there is no PSI.
    pub pressure_percent: Option<f64>,
    /// MemAvailable.
    pub available_bytes: u64,
    /// What it falls by in a second.
    pub falling_bytes: u64,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Move {
    /// Take this step, then call [`Guard::taken`].
    Take { step: usize, cause: Cause, figures: Figures },
    /// Undo this step, then call [`Guard::undone`].
    Undo { step: usize },
    /// End the build: memory has been thrashing for this long, and no step is left.
    Abort { thrashing: Duration, figures: Figures },
}

/// The guard, as far as it has come.
#[derive(Clone, Debug)]
pub struct Guard {
    wish: Wish,
    steps: Vec<Step>,
    /// How many of them, from the first on, are taken or being taken.
    taken: usize,
    /// A step is being taken or undone.
    is_acting: bool,
    pressure: Pressure,
    recent: VecDeque<Look>,
    calm_since: Option<Duration>,
    thrashing_since: Option<Duration>,
    has_aborted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    available_bytes: u64,
    stall: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// What comes back into memory when the step is undone.
    held_bytes: u64,
    undone_at: Option<Duration>,
}

impl Guard {
    /// Makes a guard that has taken no step.
    #[must_use]
    pub fn new(wish: Wish) -> Self {
        Self {
            steps: vec![Step::default(); wish.then.len()],
            wish,
            taken: 0,
            is_acting: false,
            pressure: Pressure::default(),
            recent: VecDeque::new(),
            calm_since: None,
            thrashing_since: None,
            has_aborted: false,
        }
    }

    /// Takes in the host at one moment, not before the last one, and tells what is due. While a
    /// step is under way that can only be the end of the build.
    pub fn look(&mut self, at: Duration, sample: &HostSample) -> Option<Move> {
        let figures = self.figures(at, sample);
        let floor_bytes = self.floor_bytes(sample);
        let cause = self.cause(&figures, floor_bytes);
        let limit = f64::from(self.wish.pressure.0);
        // Between half the limit and the limit nothing begins and nothing ends: the average over
        // ten seconds is still high when a stall is over, and not yet high when an act is.
        let is_going_on =
            stalled_percent(&self.recent).is_none_or(|percent| percent >= limit / 2.0);
        let is_relieved =
            figures.pressure_percent.is_none_or(|percent| percent < limit / 2.0 && !is_going_on);
        let calm = (cause.is_none() && is_relieved && !self.is_acting).then_some(at);
        self.calm_since = calm.and(self.calm_since.or(calm));
        if let Some(thrashing) = self.thrashing(at, cause == Some(Cause::Pressure), is_going_on)
            && self.wish.abort_after.is_some_and(|after| thrashing >= after)
            && !std::mem::replace(&mut self.has_aborted, true)
        {
            return Some(Move::Abort { thrashing, figures });
        }
        if self.is_acting {
            return None;
        }
        let step = match cause {
            Some(cause) if self.taken < self.steps.len() => {
                self.taken += 1;
                Move::Take { step: self.taken - 1, cause, figures }
            }
            None if self.can_undo(at, figures.available_bytes, floor_bytes) => {
                Move::Undo { step: self.taken - 1 }
            }
            _ => return None,
        };
        self.is_acting = true;
        Some(step)
    }

    /// Notes that the step is taken, as well as it could be, and holds this much.
    pub fn taken(&mut self, held_bytes: u64) {
        if let Some(step) = self.taken.checked_sub(1).and_then(|last| self.steps.get_mut(last)) {
            step.held_bytes = held_bytes;
        }
        self.begin_anew();
    }

    /// Notes that the step is undone, as well as it could be.
    pub fn undone(&mut self, at: Duration) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(step) = self.steps.get_mut(self.taken) {
            *step = Step { held_bytes: 0, undone_at: Some(at) };
        }
        self.begin_anew();
    }

    /// Starts the looks anew: what was seen before an act does not tell whether the act was enough.
    fn begin_anew(&mut self) {
        self.is_acting = false;
        self.pressure.average = 0.0;
        self.recent.clear();
        (self.calm_since, self.thrashing_since) = (None, None);
    }

    fn figures(&mut self, at: Duration, sample: &HostSample) -> Figures {
        self.recent.push_back(Look {
            at,
            available_bytes: sample.available_bytes,
            stall: sample.full_stall,
        });
        while self.recent.front().is_some_and(|look| look.at + RECENT < at) {
            self.recent.pop_front();
        }
        Figures {
            pressure_percent: self.pressure.add(at, sample.full_stall),
            available_bytes: sample.available_bytes,
            falling_bytes: falling_bytes(&self.recent),
        }
    }

    fn floor_bytes(&self, sample: &HostSample) -> u64 {
        let part = |percent: Percent| Some(sample.total_bytes? / 100 * u64::from(percent.0));
        let least_bytes = part(FLOOR_MOST).unwrap_or(u64::MAX).min(FLOOR_LEAST_BYTES);
        self.wish.floor_bytes.unwrap_or(part(FLOOR_PART).unwrap_or(0).max(least_bytes))
    }

    fn cause(&self, figures: &Figures, floor_bytes: u64) -> Option<Cause> {
        let soon_bytes = figures
            .available_bytes
            .saturating_sub(figures.falling_bytes.saturating_mul(AHEAD.as_secs()));
        if figures
            .pressure_percent
            .is_some_and(|percent| percent >= f64::from(self.wish.pressure.0))
        {
            Some(Cause::Pressure)
        } else if figures.available_bytes < floor_bytes {
            Some(Cause::Floor)
        } else {
            (soon_bytes < floor_bytes).then_some(Cause::Forecast)
        }
    }

    /// Tells for how long memory has been thrashing with nothing left to do about it. A step that
    /// does not end counts as nothing left.
    fn thrashing(&mut self, at: Duration, is_over: bool, is_going_on: bool) -> Option<Duration> {
        let is_helpless = self.taken == self.steps.len() || self.is_acting;
        if !is_going_on || !is_helpless {
            self.thrashing_since = None;
        } else if is_over {
            self.thrashing_since.get_or_insert(at);
        }
        self.thrashing_since.map(|since| at.saturating_sub(since))
    }

    fn can_undo(&self, at: Duration, available_bytes: u64, floor_bytes: u64) -> bool {
        let Some(last) = self.taken.checked_sub(1).and_then(|last| self.steps.get(last)) else {
            return false;
        };
        let has_been_calm = self.calm_since.is_some_and(|since| at.saturating_sub(since) >= CALM);
        let is_to_and_fro =
            last.undone_at.is_some_and(|undone| at.saturating_sub(undone) < TO_AND_FRO);
        let margin_bytes = (last.held_bytes / 2).max(MARGIN_LEAST_BYTES);
        let needed_bytes = floor_bytes.saturating_add(last.held_bytes).saturating_add(margin_bytes);
        has_been_calm && !is_to_and_fro && available_bytes >= needed_bytes
    }
}

/// The full avg10 by the kernel's own formula (kernel/sched/psi.c, `calc_avgs`), from the stalled
/// time since boot. The kernel's own figure is up to two seconds old, and does not know of our
/// acts.
#[derive(Clone, Copy, Debug, Default)]
struct Pressure {
    average: f64,
    last: Option<(Duration, Duration)>,
}

impl Pressure {
    /// Takes in the stalled time at one moment; gives the average in percent.
    fn add(&mut self, at: Duration, stall: Option<Duration>) -> Option<f64> {
        let stall = stall?;
        if let Some((then, before)) = self.last.replace((at, stall)) {
            let span = at.saturating_sub(then).as_secs_f64();
            if span > 0.0 {
                let share = (stall.saturating_sub(before).as_secs_f64() / span).min(1.0);
                let decay = (-span / PRESSURE_OVER.as_secs_f64()).exp();
                self.average = self.average * decay + share * 100.0 * (1.0 - decay);
            }
        }
        Some(self.average)
    }
}

/// The part of the time between the first look and the last in which everything was stalled; `None`
/// if that is not known.
fn stalled_percent(looks: &VecDeque<Look>) -> Option<f64> {
    let (first, last) = (looks.front()?, looks.back()?);
    let span = last.at.saturating_sub(first.at).as_secs_f64();
    (span > 0.0).then_some(last.stall?.saturating_sub(first.stall?).as_secs_f64() / span * 100.0)
}

/// How much available memory falls in a second: the slope of the straight line through the looks,
/// by least squares. 0 if it does not fall, or there are too few looks.
fn falling_bytes(looks: &VecDeque<Look>) -> u64 {
    let (Some(first), Some(last)) = (looks.front(), looks.back()) else { return 0 };
    if looks.len() < TREND_LOOKS || last.at.saturating_sub(first.at) < TREND_LEAST {
        return 0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a trend need not be exact to the byte")]
    let points = || {
        looks.iter().map(|look| {
            (look.at.saturating_sub(first.at).as_secs_f64(), look.available_bytes as f64)
        })
    };
    let count = f64::from(u32::try_from(looks.len()).unwrap_or(u32::MAX));
    let (mean_at, mean_bytes) = points()
        .fold((0.0, 0.0), |(at, bytes), point| (at + point.0 / count, bytes + point.1 / count));
    let (products, squares) = points().fold((0.0, 0.0), |(products, squares), (at, bytes)| {
        (products + (at - mean_at) * (bytes - mean_bytes), squares + (at - mean_at).powi(2))
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and a rise is no fall"
    )]
    let falling = (-products / squares).max(0.0) as u64;
    falling
}

#[cfg(test)]
mod tests;
