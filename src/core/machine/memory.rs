//! Owns the reading of the kernel's memory figures: `/proc/meminfo`, `/proc/pressure/memory`,
//! `/proc/vmstat` and `/proc/swaps`. Pure: text in, numbers out.

use std::time::Duration;

use procfs_core::{FromBufRead as _, Meminfo};

/// The host's memory at one moment, in bytes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[schemars(deny_unknown_fields)]
pub struct Memory {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable`: the kernel's own estimate of what a new program can have without swapping.
    pub available_bytes: u64,
    /// `SwapTotal`.
    pub swap_total_bytes: u64,
    /// `SwapFree`.
    pub swap_free_bytes: u64,
    /// `Zswap`: memory that compressed swapped pages occupy.
    pub zswap_bytes: u64,
}

/// No machine has more, so a larger figure is not a kernel's.
const MOST_KIB: u64 = 1 << 50;

/// Reads `/proc/meminfo`; `None` if the text is something else, or lacks `MemAvailable` (before
/// Linux 3.14).
#[must_use]
pub fn meminfo(text: &str) -> Option<Memory> {
    let figures: Vec<&str> = text.lines().filter(|line| is_figure(line)).collect();
    let info = Meminfo::from_buf_read(figures.join("\n").as_bytes()).ok()?;
    Some(Memory {
        total_bytes: info.mem_total,
        available_bytes: info.mem_available?,
        swap_total_bytes: info.swap_total,
        swap_free_bytes: info.swap_free,
        zswap_bytes: info.z_swap.unwrap_or(0),
    })
}

/// Tells whether the kernel can have printed this: `Name: NUMBER` or `Name: NUMBER kB`
/// (proc_meminfo(5)). A VM's shell can print anything, and procfs-core multiplies and slices
/// without checking.
fn is_figure(line: &str) -> bool {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (number, unit) = match fields[..] {
        [name, number] if name.ends_with(':') => (number, "kB"),
        [name, number, unit] if name.ends_with(':') => (number, unit),
        _ => return false,
    };
    line.is_ascii() && unit == "kB" && number.parse::<u64>().is_ok_and(|number| number < MOST_KIB)
}

/// Reads for how long some task was stalled on memory since boot: `total` in the `some` line of
/// `/proc/pressure/memory` (Documentation/accounting/psi.rst). `None` without PSI.
#[must_use]
pub fn some_stall(text: &str) -> Option<Duration> {
    stall(text, "some ")
}

/// Reads for how long all tasks were: the `full` line.
#[must_use]
pub fn full_stall(text: &str) -> Option<Duration> {
    stall(text, "full ")
}

fn stall(text: &str, line: &str) -> Option<Duration> {
    let figures = text.lines().find_map(|found| found.strip_prefix(line))?;
    let total = figures.split_ascii_whitespace().find_map(|field| field.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

/// Reads how many processes the kernel has killed for memory since boot: `oom_kill` in
/// `/proc/vmstat`, since Linux 4.13.
#[must_use]
pub fn oom_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// One line of `/proc/swaps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveSwap {
    /// The file or device, with the kernel's octal escapes undone.
    pub path: String,
    /// Bytes in all.
    pub size_bytes: u64,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Of two areas the kernel fills the one with the higher figure first.
    pub priority: i32,
}

impl ActiveSwap {
    /// Whether it is memory itself, compressed.
    #[must_use]
    pub fn is_zram(&self) -> bool {
        self.path.strip_prefix("/dev/zram").is_some_and(|number| number.parse::<u32>().is_ok())
    }

    /// Bytes that are not in use.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.size_bytes.saturating_sub(self.used_bytes)
    }
}

/// Reads `/proc/swaps`; skips anything else.
#[must_use]
pub fn swaps(text: &str) -> Vec<ActiveSwap> {
    let read = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let path = unescape(fields.next()?);
        let size_kib: u64 = fields.nth(1)?.parse().ok()?;
        let used_kib: u64 = fields.next()?.parse().ok()?;
        let priority: i32 = fields.next()?.parse().ok()?;
        Some(ActiveSwap {
            path,
            size_bytes: size_kib.checked_mul(1024)?,
            used_bytes: used_kib.checked_mul(1024)?,
            priority,
        })
    };
    text.lines().skip(1).filter_map(read).collect()
}

/// Writes a path as `/proc/swaps` and fstab(5) do (fs/seq_file.c, `mangle_path`).
#[must_use]
pub fn escape(path: &str) -> String {
    let letter = |letter: char| match letter {
        ' ' => r"\040".to_owned(),
        '\t' => r"\011".to_owned(),
        '\n' => r"\012".to_owned(),
        '\\' => r"\134".to_owned(),
        other => other.to_string(),
    };
    path.chars().map(letter).collect()
}

/// Undoes the kernel's `\040` for a blank and the like (fs/seq_file.c, `mangle_path`).
#[must_use]
pub fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| {
            first == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        });
        if let Some(digits) = octal {
            bytes.push(
                digits
                    .iter()
                    .fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')),
            );
            rest = &tail[3..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = include_str!("../../../tests/fixtures/debian-12-kernel-6.18/meminfo");
    const PRESSURE: &str =
        include_str!("../../../tests/fixtures/debian-12-kernel-6.18/pressure-memory");
    const SWAPS: &str = include_str!("../../../tests/fixtures/debian-12-kernel-6.18/swaps");

    #[test]
    fn meminfo_of_a_real_machine_is_read_in_bytes() {
        let memory = meminfo(MEMINFO).expect("a meminfo");
        assert_eq!(memory.total_bytes, 24_682_416 * 1024);
        assert_eq!(memory.available_bytes, 24_423_372 * 1024);
        assert_eq!(
            (memory.swap_total_bytes, memory.swap_free_bytes),
            (65_532 * 1024, 65_532 * 1024)
        );
        assert!(meminfo("").is_none() && meminfo("MemTotal: x kB\n").is_none());
    }

    #[test]
    fn what_no_kernel_prints_is_passed_over() {
        for noise in [
            "é 1 kB",
            "x 1 kB",
            "Far: 18446744073709551615 kB",
            "Odd: 18446744073709551615 GB",
            "Odd: 1 2 3 4",
            ":",
        ] {
            assert_eq!(meminfo(&format!("{noise}\n{MEMINFO}")), meminfo(MEMINFO), "{noise}");
        }
        assert!(swaps("Filename\n/s file 18446744073709551615 1 -2\n").is_empty());
    }

    #[test]
    fn the_full_stall_is_the_total_of_the_full_line() {
        assert_eq!(full_stall(PRESSURE), Some(Duration::ZERO));
        let stalled = PRESSURE.replace(
            "full avg10=0.00 avg60=0.00 avg300=0.00 total=0",
            "full avg10=9.00 avg60=1.50 avg300=0.00 total=1234567",
        );
        assert_eq!(full_stall(&stalled), Some(Duration::from_micros(1_234_567)));
        let some = "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n";
        assert_eq!((some_stall(some), full_stall(some)), (Some(Duration::from_micros(9)), None));
        assert_eq!(full_stall(""), None);
    }

    #[test]
    fn kills_are_counted_where_the_kernel_counts_them() {
        assert_eq!(oom_kills("pgfault 1\noom_kill 3\noom_kill_x 9\n"), Some(3));
        assert_eq!((oom_kills(""), oom_kills("oom_kill x\n")), (None, None));
    }

    #[test]
    fn swaps_are_read_with_blanks_in_their_paths() {
        let read = swaps(SWAPS);
        assert_eq!(
            read,
            [ActiveSwap {
                path: "/tmp/a swap file".to_owned(),
                size_bytes: 65_532 * 1024,
                used_bytes: 0,
                priority: -2
            }]
        );
        assert_eq!(swaps(&SWAPS.replace("65532\t\t0", "65532\t\t512"))[0].used_bytes, 512 * 1024);
        assert!(swaps("").is_empty() && swaps("Filename Type\nx\n").is_empty());
    }

    #[test]
    fn what_is_escaped_is_the_same_again_when_that_is_undone() {
        for path in ["/swap", "/a b", "/a\tb\nc\\d", "/\\040"] {
            assert_eq!(unescape(&escape(path)), path);
        }
        assert_eq!(escape("/a b"), r"/a\040b");
    }

    #[test]
    fn only_three_octal_digits_are_an_escape() {
        for (field, expected) in
            [(r"/a\040b", "/a b"), (r"/a\04", r"/a\04"), (r"\134x", r"\x"), (r"/a\9zz", r"/a\9zz")]
        {
            assert_eq!(unescape(field), expected);
        }
    }
}
