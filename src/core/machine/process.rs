//! Owns what is known of a process at one moment, who descends from whom, and the reading of `ps`,
//! in the columns that macOS and Linux both have. Pure; `host::kernel` does the looking, with `ps`
//! only if it has nothing better.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{civil::DateTime, tz::TimeZone};

use serde::{Deserialize, Serialize};

/// A process that cannot be mistaken for another one that got its pid later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: i32,
    /// Its start in clock ticks since boot: field 22 of `/proc/PID/stat`, proc_pid_stat(5). On the
    /// portable path (`host::kernel`), in seconds since 1970. Only compared with values of the same
    /// path.
    pub start_ticks: u64,
}

/// The role of a process of makeroom's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It restores, and ends when that is done.
    Keeper,
    /// A run, which takes care of its own build, or a short command.
    Supervisor,
}

/// One process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Its parent's pid.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its start, in the unit of [`ProcessId`].
    pub start: u64,
    /// Whether it runs, that is, is not a zombie.
    pub runs: bool,
    /// Whether a signal has stopped it.
    pub is_stopped: bool,
}

impl Process {
    /// The identity by which it is known later.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        ProcessId { pid: self.pid, start_ticks: self.start }
    }
}

/// Finds everyone in the table who runs and descends from one of `roots`, the roots included.
/// Leaves out whoever is apart, and all below it.
pub fn descendants(
    table: &[Process],
    roots: impl IntoIterator<Item = i32>,
    mut is_apart: impl FnMut(&Process) -> bool,
) -> Vec<Process> {
    let by_pid: BTreeMap<i32, &Process> =
        table.iter().map(|process| (process.pid, process)).collect();
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for process in table {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let mut waiting: Vec<i32> = roots.into_iter().collect();
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    while let Some(pid) = waiting.pop() {
        let process = by_pid.get(&pid).filter(|process| process.runs);
        if !seen.insert(pid) || process.is_some_and(|process| is_apart(process)) {
            continue;
        }
        found.extend(process.copied().copied());
        waiting.extend(children.remove(&pid).unwrap_or_default());
    }
    found
}

/// The columns that [`read`] reads. Each is asked for separately: in one list, POSIX and macOS take
/// everything after the first `=` for a header.
pub const COLUMNS: [&str; 10] =
    ["-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "stat=", "-o", "lstart="];

/// The form of `lstart` in the C locale: ctime(3) on Linux, strftime(3)'s `%c` on macOS.
const START: &str = "%a %b %e %H:%M:%S %Y";

/// Reads what `ps` with [`COLUMNS`] prints in the C locale and UTC; skips anything else.
#[must_use]
pub fn read(table: &str) -> Vec<Process> {
    table.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Process> {
    let mut words = line.split_ascii_whitespace();
    let mut number = || words.next()?.parse().ok();
    let (pid, parent, group) = (number()?, number()?, number()?);
    let state = words.next()?;
    let start = DateTime::strptime(START, words.collect::<Vec<_>>().join(" ")).ok()?;
    let start = start.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    let start = start.try_into().ok()?;
    Some(Process {
        pid,
        parent,
        group,
        start,
        runs: !state.starts_with(['Z', 'X']),
        is_stopped: state.starts_with('T'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32, start: u64, runs: bool) -> Process {
        Process { pid, parent, group, start, runs, is_stopped: false }
    }

    #[test]
    fn all_below_a_process_are_found_and_none_beside_it() {
        let table = [(10, 1), (11, 10), (12, 11), (13, 1), (14, 13), (15, 10)]
            .map(|(pid, parent)| process(pid, parent, pid, 7, true));
        let pids = |roots: &[i32], apart: i32| {
            let found = descendants(&table, roots.iter().copied(), |process| process.pid == apart);
            let mut pids: Vec<i32> = found.iter().map(|process| process.pid).collect();
            pids.sort_unstable();
            pids
        };
        assert_eq!(pids(&[10], 0), [10, 11, 12, 15]);
        assert_eq!(pids(&[10], 11), [10, 15], "nor what is below one that is apart");
        assert_eq!(pids(&[12, 13, 13], 0), [12, 13, 14]);
        assert_eq!(pids(&[99], 0), [0; 0]);
    }

    #[test]
    fn nobody_is_found_twice_or_for_ever_however_odd_the_table_is() {
        // A look takes a while, and a pid can be reused meanwhile, even by a descendant.
        let table = [(10, 12), (11, 10), (12, 11), (12, 10)]
            .map(|(pid, parent)| process(pid, parent, pid, 7, true));
        assert_eq!(descendants(&table, [10, 12], |_| false).len(), 3);
    }

    #[test]
    fn a_zombie_does_not_count() {
        let table = [process(10, 1, 10, 7, false), process(11, 10, 10, 7, true)];
        let found = descendants(&table, [10], |_| false);
        assert_eq!(
            found.iter().map(Process::id).collect::<Vec<_>>(),
            [ProcessId { pid: 11, start_ticks: 7 }]
        );
    }

    #[test]
    fn a_table_of_linux_is_read() {
        // procps-ng 4.0.2, `TZ=UTC0 LC_ALL=C ps -A -o pid= -o ppid= -o pgid= -o stat= -o lstart=`.
        let table = "    1     0     0 SLl  Sun Nov 22 19:43:34 2026\n29138     1 29138 Ss   Sun Nov  1 02:48:57 2026\n    9     1     9 Z+   Thu Feb 29 00:00:00 2024\n   17     2     0 I<   Sun Nov 22 19:43:34 2026\n";
        assert_eq!(
            read(table),
            [
                process(1, 0, 0, 1_795_376_614, true),
                process(29138, 1, 29138, 1_793_501_337, true),
                process(9, 1, 9, 1_709_164_800, false),
                process(17, 2, 0, 1_795_376_614, true),
            ]
        );
    }

    #[test]
    fn a_table_of_macos_is_read() {
        // By ps(1) of macOS: states of its own letters, `lstart` by strftime's `%c`, padded to its
        // column.
        let table = "    1     0     1 Ss   Tue Jan  6 07:02:11 2026    \n  501     1   501 U+   Tue Jan  6 07:05:00 2026    \n99998   501 99990 ?Es  Wed Jan 14 21:30:59 2026    \n99999   501 99990 Z    Wed Jan 14 21:31:00 2026    \n";
        assert_eq!(
            read(table),
            [
                process(1, 0, 1, 1_767_682_931, true),
                process(501, 1, 501, 1_767_683_100, true),
                process(99998, 501, 99990, 1_768_426_259, true),
                process(99999, 501, 99990, 1_768_426_260, false),
            ]
        );
    }

    #[test]
    fn what_is_no_line_of_it_is_passed_over() {
        let table = "\n  PID  PPID  PGID STAT STARTED\n 12 1 12 Ss\n 12 1 12 Ss -\n 12 1 12 Ss Tue Jan  6 07:02:11\n 12 x 12 Ss Tue Jan  6 07:02:11 2026\n 12 1 12 Ss Mar 6. Jan 07:02:11 2026\n 12 1 12 Ss Wed Jan  6 07:02:11 1926\n";
        assert_eq!(read(table), []);
    }
}
