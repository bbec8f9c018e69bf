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
mod tests {
    use super::*;

    #[test]
    fn sizes_with_a_bare_letter_are_binary_and_with_a_b_decimal() {
        for (text, bytes) in [
            ("2G", 2 << 30),
            ("2GiB", 2 << 30),
            ("2g", 2 << 30),
            ("512MB", 512_000_000),
            ("512M", 512 << 20),
            ("1k", 1024),
            ("1.5GiB", 3 << 29),
            ("4096B", 4096),
            ("0", 0),
            ("0GiB", 0),
            (" 1 GiB ", 1 << 30),
        ] {
            assert_eq!(text.parse(), Ok(Size { bytes }), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_is_allowed() {
        for text in
            ["", "G", "-1G", "+1G", "two", "2X", "1e30G", "99999999999T", "2 G B", "NaN", "inf"]
        {
            let refused = Size::from_str(text).expect_err(text);
            assert!(refused.contains("allowed: ") && refused.contains(text), "{text}: {refused}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_what_to_write() {
        for (text, write) in [
            ("8", "8GiB, or 8B for bytes"),
            ("1.5", "1.5GiB, or 1.5B for bytes"),
            ("512", "512MiB, or 512B for bytes"),
            ("4294967296", "4294967296B"),
        ] {
            let expected =
                format!("`{text}` has no unit; allowed: a number and a unit, as {write}");
            assert_eq!(Size::from_str(text), Err(expected.clone()));
            assert_eq!(NeedWish::from_str(text), Err(expected.clone()));
            assert_eq!(SwapWish::from_str(text), Err(expected));
        }
        for (text, write) in [("90", "90s or 90m"), ("5", "5s or 5m")] {
            let expected =
                format!("`{text}` has no unit; allowed: a number and a unit, as {write}");
            assert_eq!(Span::from_str(text), Err(expected));
        }
        for text in ["1e30", "9999999999999999999999", "-8", "+8", "NaN", "inf"] {
            for error in [
                Size::from_str(text).expect_err(text),
                NeedWish::from_str(text).expect_err(text),
                SwapWish::from_str(text).expect_err(text),
            ] {
                assert!(error.contains("allowed: ") && error.contains(text), "{error}");
            }
        }
    }

    #[test]
    fn a_zero_is_taken_where_it_can_be_meant() {
        assert_eq!("0".parse(), Ok(Span(Duration::ZERO)));
        for text in ["0", "0s", "0ms"] {
            assert_eq!(text.parse(), Ok(Span(Duration::ZERO)));
            let refused = NonZeroSpan::from_str(text).expect_err(text);
            assert!(refused.contains("allowed: longer times, as 90s"), "{refused}");
        }
        assert_eq!("1ms".parse(), Ok(NonZeroSpan(Span(Duration::from_millis(1)))));
        for text in ["0", "0GiB", "0B"] {
            assert_eq!(text.parse(), Ok(SwapWish::Off));
            assert!(NeedWish::from_str(text).expect_err(text).contains("a size as 8GiB"));
        }
    }

    #[test]
    fn durations_are_read_as_humantime_reads_them() {
        assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("2h 30m".parse(), Ok(Span(Duration::from_mins(150))));
        for text in ["", "5", "5 parsecs", "-1s", "s"] {
            assert!(Span::from_str(text).expect_err(text).contains("allowed: "), "{text}");
        }
    }

    #[test]
    fn a_duration_is_ten_years_at_most_and_so_is_the_way_to_a_deadline() {
        assert_eq!("3650d".parse(), Ok(Span::LONGEST));
        for text in [
            "3650d 1ns",
            "11y",
            "9300000000000000000s",
            "18446744073709551615s",
            "99999999999999999999s",
        ] {
            assert!(Span::from_str(text).expect_err(text).contains("ten years at most"), "{text}");
        }
        let begun = Instant::now();
        assert_eq!(deadline(begun, Duration::from_secs(1)), begun + Duration::from_secs(1));
        assert_eq!(deadline(begun, Duration::MAX), begun + Span::LONGEST.0);
    }

    #[test]
    fn percentages_are_whole_numbers_with_or_without_their_sign() {
        for (text, percent) in [("10%", 10), ("1", 1), (" 100 % ", 100)] {
            assert_eq!(text.parse(), Ok(Percent(percent)), "{text}");
        }
        for text in ["", "%", "0", "101%", "-1", "+1", "2.5%", "10%%", "ten"] {
            assert!(Percent::from_str(text).expect_err(text).contains("allowed: "), "{text}");
        }
    }

    #[test]
    fn swap_is_off_or_a_size() {
        assert_eq!("off".parse(), Ok(SwapWish::Off));
        assert_eq!("1G".parse(), Ok(SwapWish::Free(Size { bytes: 1 << 30 })));
        assert!(SwapWish::from_str("on").expect_err("on").contains("allowed: off"));
    }

    #[test]
    fn a_need_is_auto_or_a_size() {
        assert_eq!("auto".parse(), Ok(NeedWish::Auto));
        assert_eq!("1G".parse(), Ok(NeedWish::Size(Size { bytes: 1 << 30 })));
        assert!(NeedWish::from_str("much").expect_err("much").contains("allowed: auto, or a size"));
    }

    #[test]
    fn methods_and_colours_name_what_is_allowed() {
        assert_eq!("stop".parse(), Ok(MethodWish::Stop));
        assert!(MethodWish::from_str("kill").expect_err("kill").contains("auto, pause, stop"));
        assert_eq!("never".parse(), Ok(ColorWish::Never));
        assert!(
            ColorWish::from_str("sometimes")
                .expect_err("sometimes")
                .contains("auto, always, never")
        );
    }
}
