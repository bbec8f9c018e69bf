//! Owns what is known of a process at one moment, and the reading of it from `ps`: the four columns
//! that macOS and Linux both have. Pure; `host::kernel` looks, by `ps` only where it has nothing better.

use jiff::{civil::DateTime, tz::TimeZone};

/// One process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Its process group.
    pub group: i32,
    /// Its start, in the unit of [`super::record::ProcessId`].
    pub start: u64,
    /// Whether it is anything but a zombie.
    pub runs: bool,
}

/// What [`read`] reads. Each column is asked for apart: in one list, POSIX and macOS take all that
/// follows the first `=` for a header.
pub const COLUMNS: [&str; 8] = ["-o", "pid=", "-o", "pgid=", "-o", "stat=", "-o", "lstart="];

/// The form of `lstart` in the C locale: ctime(3) on Linux, strftime(3)'s `%c` on macOS.
const START: &str = "%a %b %e %H:%M:%S %Y";

/// Reads what `ps` with [`COLUMNS`] prints in the C locale and UTC; what is no line of it is passed over.
#[must_use]
pub fn read(table: &str) -> Vec<Process> {
    table.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Process> {
    let mut words = line.split_ascii_whitespace();
    let (pid, group) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let runs = !words.next()?.starts_with(['Z', 'X']);
    let start = DateTime::strptime(START, words.collect::<Vec<_>>().join(" ")).ok()?;
    let start = start.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    Some(Process { pid, group, start: start.try_into().ok()?, runs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, group: i32, start: u64, runs: bool) -> Process {
        Process { pid, group, start, runs }
    }

    #[test]
    fn a_table_of_linux_is_read() {
        // procps-ng 4.0.2, `TZ=UTC0 LC_ALL=C ps -A -o pid= -o pgid= -o stat= -o lstart=`.
        let table = "    1     0 SLl  Sun Nov 22 19:43:34 2026\n29138 29138 Ss   Sun Nov  1 02:48:57 2026\n    9     9 Z+   Thu Feb 29 00:00:00 2024\n   17     0 I<   Sun Nov 22 19:43:34 2026\n";
        assert_eq!(
            read(table),
            [
                process(1, 0, 1_795_376_614, true),
                process(29138, 29138, 1_793_501_337, true),
                process(9, 9, 1_709_164_800, false),
                process(17, 0, 1_795_376_614, true),
            ]
        );
    }

    #[test]
    fn a_table_of_macos_is_read() {
        // By ps(1) of macOS: states of its own letters, `lstart` by strftime's `%c`, padded to its column.
        let table = "    1     1 Ss   Tue Jan  6 07:02:11 2026    \n  501   501 U+   Tue Jan  6 07:05:00 2026    \n99998 99990 ?Es  Wed Jan 14 21:30:59 2026    \n99999 99990 Z    Wed Jan 14 21:31:00 2026    \n";
        assert_eq!(
            read(table),
            [
                process(1, 1, 1_767_682_931, true),
                process(501, 501, 1_767_683_100, true),
                process(99998, 99990, 1_768_426_259, true),
                process(99999, 99990, 1_768_426_260, false),
            ]
        );
    }

    #[test]
    fn what_is_no_line_of_it_is_passed_over() {
        let table = "\n  PID  PGID STAT STARTED\n 12 12 Ss\n 12 12 Ss -\n 12 12 Ss Tue Jan  6 07:02:11\n x 12 Ss Tue Jan  6 07:02:11 2026\n 12 12 Ss Mar 6. Jan 07:02:11 2026\n 12 12 Ss Wed Jan  6 07:02:11 1926\n";
        assert_eq!(read(table), []);
    }
}
