//! Owns how numbers, times and foreign names are written for a person. Pure.

use std::{fmt::Write as _, time::Duration};

/// Writes a size in binary units with two figures: `712 MiB`, `9.1 GiB`, `21 GiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    in_units(bytes, 9.95)
}

/// Does the same where sums are made of it, with the tenths of each GiB: `21.4 GiB`.
#[must_use]
pub fn size_in_tenths(bytes: u64) -> String {
    if bytes < 1 << 30 { size(bytes) } else { in_units(bytes, 999.95) }
}

#[expect(clippy::cast_precision_loss, reason = "two or three figures are shown")]
fn in_units(bytes: u64, tenths_below: f64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < tenths_below {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// Writes a time as a person says it: `0.4 s`, `12.3 s`, `3m 12s`, `2h 5m`.
#[must_use]
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Does the same for seconds, as JSON has them.
#[must_use]
pub fn span_of_seconds(seconds: f64) -> String {
    span(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Counts by a noun: `1 lease`, `15 leases`.
#[must_use]
pub fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Makes visible what a terminal would obey in text from outside (names, labels, the engine's
/// messages), so that it can be printed.
#[must_use]
pub fn printable(foreign: &str) -> String {
    let mut safe = String::with_capacity(foreign.len());
    for letter in foreign.chars() {
        // Bidirectional overrides reorder a line as surely as an escape sequence recolours it.
        let reorders = matches!(
            letter,
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if letter.is_control() || reorders {
            let _ = write!(safe, "{}", letter.escape_default());
        } else {
            safe.push(letter);
        }
    }
    safe
}

/// Lists up to `most` names, and counts the rest.
#[must_use]
pub fn names<'name>(all: impl IntoIterator<Item = &'name str>, most: usize) -> String {
    let all: Vec<_> = all.into_iter().map(printable).collect();
    let shown =
        all.iter().take(most).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Quotes a word where a shell would not take it as it is. A NUL, which no shell takes, is made
/// visible.
#[must_use]
pub fn shell_word(word: &str) -> String {
    match shlex::try_quote(word) {
        Ok(quoted) => quoted.into_owned(),
        // So no file, no container and no argument has this name: nothing else is meant by it.
        Err(_) => shell_word(&word.replace('\0', "\\0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_or_three_figures_and_never_1024_of_a_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (712 << 20, "712 MiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (9_771_050_598, "9.1 GiB"),
            (12 << 30, "12 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn sizes_that_are_summed_up_keep_their_tenths() {
        for (bytes, text) in [
            (712 << 20, "712 MiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (12 << 30, "12.0 GiB"),
            (23_000_000_000, "21.4 GiB"),
        ] {
            assert_eq!(size_in_tenths(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn times_change_their_unit_at_a_minute_and_an_hour() {
        for (millis, text) in [
            (0, "0.0 s"),
            (440, "0.4 s"),
            (59_940, "59.9 s"),
            (192_000, "3m 12s"),
            (7_500_000, "2h 5m"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text, "{millis}");
        }
        for (seconds, text) in [(0.44, "0.4 s"), (192.0, "3m 12s"), (-1.0, "0.0 s")] {
            assert_eq!(span_of_seconds(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_made_visible() {
        assert_eq!(printable("web\u{1b}[31m\n\u{202e}x"), "web\\u{1b}[31m\\n\\u{202e}x");
        assert_eq!(printable("größe-1"), "größe-1");
    }

    #[test]
    fn long_lists_of_names_are_cut_and_counted() {
        assert_eq!(names(["a", "b"], 3), "`a`, `b`");
        assert_eq!(names(["a", "b", "c"], 2), "`a`, `b` and 1 more");
    }

    #[test]
    fn shell_words_are_quoted_where_a_shell_would_act() {
        for (word, quoted) in [
            ("plain-1.2/x", "plain-1.2/x"),
            ("a b", "'a b'"),
            ("", "''"),
            ("it's", r#""it's""#),
            ("$(x)", "'$(x)'"),
            ("a\0b", r#""a\\0b""#),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }

    #[test]
    fn a_quoted_word_is_read_by_a_shell_as_it_was() {
        for word in ["", "a b", "it's", "\"", "a='\"$x`\\!^~#*", "größe", "\u{1b}[31m", "-x\n\ty"]
        {
            assert_eq!(shlex::split(&shell_word(word)), Some(vec![word.to_owned()]), "{word:?}");
        }
    }
}
