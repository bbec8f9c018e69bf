//! Owns the values that a person types: sizes, durations, percentages and the words of `--method`,
//! `--swap` and `--color`. Each has one parser, shared by flags, environment and files. Pure.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// A number of bytes. A bare unit letter is binary, as it is for `fallocate`, `swapon` and
/// `docker --memory`: `2G` and `2GiB` are the same, `2GB` is decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Size {
    /// The size in bytes.
    pub bytes: u64,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let binary = match trimmed.chars().last() {
            Some(letter) if "kKmMgGtT".contains(letter) => format!("{trimmed}iB"),
            _ => trimmed.to_owned(),
        };
        let refused = || {
            format!("`{text}` is not a size; allowed: a number and a unit, as 2G, 2GiB or 512MB")
        };
        // bytesize saturates instead of refusing what does not fit into 64 bits, and accepts a
        // sign.
        if trimmed.starts_with(['-', '+']) {
            return Err(refused());
        }
        if let Some(number) = lacks_unit(trimmed) {
            return Err(format!(
                "`{text}` has no unit; allowed: a number and a unit, as {}",
                with_unit(trimmed, number)
            ));
        }
        let bytes = bytesize::ByteSize::from_str(&binary).map_err(|_| refused())?.as_u64();
        if bytes > i64::MAX.unsigned_abs() {
            return Err(refused());
        }
        Ok(Self { bytes })
    }
}

/// The number that lacks nothing but a unit. Nothing is nothing in any unit.
fn lacks_unit(text: &str) -> Option<f64> {
    let is_of_number = |letter: char| letter.is_ascii_digit() || letter == '.';
    let number: f64 = text.trim().parse().ok()?;
    (number > 0.0 && text.trim().chars().all(is_of_number)).then_some(number)
}

/// What somebody probably meant who left the unit out, and how bytes are written.
fn with_unit(text: &str, number: f64) -> String {
    // Nobody has so many gigabytes, nor so few bytes.
    let unit = match number {
        ..128.0 => "GiB",
        ..1_048_576.0 => "MiB",
        _ => return format!("{text}B"),
    };
    format!("{text}{unit}, or {text}B for bytes")
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::core::text::size(self.bytes).fmt(out)
    }
}

/// A length of time as humantime reads it, [`Span::LONGEST`] at most: `90s`, `5m`, `2h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub Duration);

impl Span {
    /// Ten years: longer than any build, and short enough to be added to any clock's time.
    pub const LONGEST: Self = Self(Duration::from_hours(10 * 365 * 24));
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if let Some(number) = lacks_unit(trimmed) {
            return Err(format!(
                "`{text}` has no unit; allowed: a number and a unit, as {number}s or {number}m"
            ));
        }
        let read =
            humantime::parse_duration(trimmed).ok().map(Self).filter(|span| *span <= Self::LONGEST);
        read.ok_or_else(|| format!("`{text}` is not a duration; allowed: a number and a unit, as 90s, 5m or 2h 30m, and ten years at most"))
    }
}

/// A length of time that is longer than nothing: what ends something after it would end it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NonZeroSpan(pub Span);

impl FromStr for NonZeroSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = Span::from_str(text)?;
        if span.0.is_zero() {
            return Err(format!(
                "`{text}` is over before anything begins; allowed: longer times, as 90s, 5m or \
                 2h 30m, or to leave it out"
            ));
        }
        Ok(Self(span))
    }
}

/// The moment at which this much time has passed since `begun`, [`Span::LONGEST`] at most, so that
/// it never overflows.
#[must_use]
pub fn deadline(begun: Instant, limit: Duration) -> Instant {
    begun + limit.min(Span::LONGEST.0)
}

/// A whole number of percent, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(pub u8);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let number = trimmed.strip_suffix('%').unwrap_or(trimmed).trim_end();
        let read = number
            .parse()
            .ok()
            .filter(|percent| (1..=100).contains(percent) && !number.starts_with('+'));
        read.map(Self).ok_or_else(|| {
            format!("`{text}` is not a percentage; allowed: a whole number from 1% to 100%")
        })
    }
}

/// `--method`: how the targets make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodWish {
    /// Pause and reclaim where free swap holds what the targets have, else stop.
    #[default]
    Auto,
    /// Always pause.
    Pause,
    /// Always stop, except what would not come back.
    Stop,
}

impl FromStr for MethodWish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "pause" => Ok(Self::Pause),
            "stop" => Ok(Self::Stop),
            _ => Err(format!("`{text}` is not a method; allowed: auto, pause, stop")),
        }
    }
}

/// `--need`: how much memory the build is expected to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedWish {
    /// As much as its last runs did.
    Auto,
    /// This much.
    Size(Size),
}

impl FromStr for NeedWish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        match Size::from_str(text) {
            Ok(Size { bytes: 0 }) => Err(format!(
                "`{text}` is no need; allowed: auto, a size as 8GiB, or to leave it out for all \
                 room that can be made"
            )),
            Ok(size) => Ok(Self::Size(size)),
            Err(error) if lacks_unit(text).is_some() => Err(error),
            Err(_) => Err(format!(
                "`{text}` is not a need; allowed: auto, or a size as 2G, 2GiB or 512MB"
            )),
        }
    }
}

/// `--swap`: how much swap is to be active and free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwapWish {
    /// Swap is neither made nor looked after.
    Off,
    /// At least this much free swap.
    Free(Size),
}

impl Default for SwapWish {
    fn default() -> Self {
        Self::Free(Size { bytes: 2 << 30 })
    }
}

impl FromStr for SwapWish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        match Size::from_str(text) {
            Ok(Size { bytes: 0 }) => Ok(Self::Off),
            Ok(size) => Ok(Self::Free(size)),
            Err(error) if lacks_unit(text).is_some() => Err(error),
            Err(_) => Err(format!(
                "`{text}` is not an amount of swap; allowed: off, or a size as 2G, 2GiB or 512MB"
            )),
        }
    }
}

/// `--color`: when colours are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorWish {
    /// On a terminal, and as `NO_COLOR` and its relatives say.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl FromStr for ColorWish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(format!("`{text}` is not a choice of colour; allowed: auto, always, never")),
        }
    }
}

#[cfg(test)]
mod tests;
