//! Owns which settings of the host's kernel are changed while a build runs beside memory that was
//! pushed out, and by which rule each comes back. Pure.

use std::collections::BTreeMap;

use super::record::Setting;

/// The settings under `/proc/sys/vm`, each with the most that it is while a build runs
/// (Documentation/admin-guide/sysctl/vm.rst).
const LIMITS: [(&str, u64); 1] = [
    // What can be spared was pushed out before: beyond it, file cache is cheaper than the build's own pages. Not 0: a cgroup
    // at a limit of its own would meet the OOM killer before its swap (mm/vmscan.c, `get_scan_count`).
    ("swappiness", 1),
];

/// The names of all of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    LIMITS.into_iter().map(|(name, _)| name)
}

/// What is to be changed, where the settings are these. One that is low enough stays as it is, so what is
/// recorded as the original is never what another makeroom set.
#[must_use]
pub fn changes(now: &BTreeMap<String, u64>) -> Vec<Setting> {
    let change = |(name, limit): (&str, u64)| {
        let was = now.get(name).copied().filter(|was| *was > limit)?;
        Some(Setting { name: name.to_owned(), was, is: limit })
    };
    LIMITS.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_higher_is_changed_and_what_is_not_known_stays() {
        let now = |swappiness| BTreeMap::from([("swappiness".to_owned(), swappiness), ("other".to_owned(), 99)]);
        assert_eq!(changes(&now(60)), [Setting { name: "swappiness".to_owned(), was: 60, is: 1 }]);
        for settings in [now(1), now(0), BTreeMap::new()] {
            assert_eq!(changes(&settings), []);
        }
    }
}
