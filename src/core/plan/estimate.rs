//! Owns the sums before a build: what it needs, what is available, what each target would give, and
//! which of them are enough. `plan` shows them, a run with `--need` acts on them. Pure.

use serde::Serialize;

use crate::core::{
    machine::{
        cgroup::Cgroup,
        swap::{Disk, FreeSwap},
    },
    target::{method::Method, seen::Listed},
    values::{Size, SwapWish},
};

/// What a build is expected to need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Need {
    /// The most that it holds at once.
    pub bytes: u64,
    /// Where that figure comes from.
    pub source: NeedSource,
}

/// Where the need is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeedSource {
    /// `--need`.
    Option,
    /// The peak of earlier runs of the same command.
    History,
    /// The heap that NODE_OPTIONS allows, and the usual surplus.
    Heap,
}

/// What Node holds beside its heap, in percent of the heap: builds were seen with 30 to 60.
const HEAP_SURPLUS_PERCENT: u64 = 50;

/// The limit that NODE_OPTIONS sets to the heap: `--max-old-space-size`, in MiB there.
#[must_use]
pub fn heap_limit_bytes(node_options: &str) -> Option<u64> {
    // The last one counts, and node takes `_` for `-` in the name (nodejs.org/api/cli.html).
    let mut words = node_options.split_ascii_whitespace().rev().map(|word| word.replace('_', "-"));
    let value =
        words.find_map(|word| word.strip_prefix("--max-old-space-size=").map(str::to_owned))?;
    value.parse::<u64>().ok().filter(|mebibytes| *mebibytes > 0)?.checked_mul(1 << 20)
}

/// The need that such a limit speaks of.
#[must_use]
pub fn need_of_heap(node_options: &str) -> Option<Need> {
    let heap_bytes = heap_limit_bytes(node_options)?;
    Some(Need {
        bytes: heap_bytes.checked_mul(100 + HEAP_SURPLUS_PERCENT)? / 100,
        source: NeedSource::Heap,
    })
}

/// Whether a container makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `--pause` names it.
    Target,
    /// `--keep` does.
    Kept,
    /// `--pause` does, and the command itself works with it.
    LeftOut,
    /// Nobody does.
    Other,
}

/// What a container's memory would give back, in bytes of MemAvailable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Gives {
    /// What pause and reclaim would make available.
    pub pause_bytes: u64,
    /// What a stop would make available.
    pub stop_bytes: u64,
}

impl Gives {
    /// With this method.
    #[must_use]
    pub fn with(self, method: Method) -> u64 {
        match method {
            Method::Pause => self.pause_bytes,
            Method::Stop => self.stop_bytes,
        }
    }
}

/// What a container would give back. Its files' cache is available already, and goes to nobody's
/// swap. `is_reclaimed`: what is paused is pushed out, and there is swap for it.
#[must_use]
pub fn gives(cgroup: &Cgroup, is_reclaimed: bool) -> Gives {
    let pause_bytes = if is_reclaimed { cgroup.swappable_bytes() } else { 0 };
    Gives { pause_bytes, stop_bytes: cgroup.own_bytes() }
}

/// What a run makes room with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// The free swap that it will have.
    pub swap: FreeSwap,
    /// Whether what is paused is pushed out.
    pub is_reclaimed: bool,
}

impl Means {
    /// What pausing a target makes available that could give `pause_bytes`, where all of them
    /// together push out `all_bytes`: each has its part of what swap has room for, and of what
    /// compressed swap costs.
    #[must_use]
    pub fn of_pause(&self, pause_bytes: u64, all_bytes: u64) -> u64 {
        let all_bytes = all_bytes.max(pause_bytes);
        let freed_bytes = u128::from(self.swap.freed_bytes(all_bytes));
        let part = u128::from(pause_bytes) * freed_bytes / u128::from(all_bytes.max(1));
        u64::try_from(part).unwrap_or(pause_bytes)
    }
}

/// The means of a run with these wishes. Without root it has what is there, and pushes nothing out.
/// `disk` is the one that an area would be made on, where that was looked at.
#[must_use]
pub fn means(
    swap: SwapWish,
    no_reclaim: bool,
    has_root: bool,
    now: FreeSwap,
    disk: Option<Disk>,
) -> Means {
    let swap = match swap {
        SwapWish::Free(Size { bytes }) if has_root => {
            let missing_bytes = bytes.saturating_sub(now.ahead_bytes);
            let fitting = disk.map_or(Some(missing_bytes), |disk| disk.fitting(missing_bytes));
            now.with_area(fitting.unwrap_or(0))
        }
        SwapWish::Free(_) | SwapWish::Off => now,
    };
    let is_any = swap.ahead_bytes > 0 || swap.zram_bytes > 0 || swap.behind_bytes > 0;
    Means { swap, is_reclaimed: has_root && !no_reclaim && is_any }
}

/// Which of the targets are enough to make `gap_bytes` available: the fewest, which are the
/// largest. Indices into `gives`, in its order; all of them where all are not enough.
#[must_use]
pub fn enough(gives_bytes: &[u64], gap_bytes: u64) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..gives_bytes.len()).collect();
    by_size.sort_by_key(|&index| std::cmp::Reverse(gives_bytes[index]));
    let mut sum_bytes = 0_u64;
    let mut chosen = Vec::new();
    for index in by_size {
        if sum_bytes >= gap_bytes {
            break;
        }
        sum_bytes = sum_bytes.saturating_add(gives_bytes[index]);
        chosen.push(index);
    }
    chosen.sort_unstable();
    chosen
}

/// The same with all the other parts of each target that has one among them: it is stopped as a
/// whole.
#[must_use]
pub fn with_whole_targets(listed: &[Listed], enough: &[usize]) -> Vec<usize> {
    let wholes: Vec<&String> =
        enough.iter().filter_map(|&index| listed[index].part_of.as_ref()).collect();
    let is_needed = |&index: &usize| {
        enough.contains(&index)
            || listed[index].part_of.as_ref().is_some_and(|whole| wholes.contains(&whole))
    };
    (0..listed.len()).filter(is_needed).collect()
}

/// Whether the build fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[schemars(deny_unknown_fields)]
pub enum Fit {
    /// As things are.
    Fits,
    /// With the targets' memory made available.
    FitsWithRoom {
        /// What is missing as things are.
        gap_bytes: u64,
    },
    /// Not even then.
    Short {
        /// What is missing as things are.
        gap_bytes: u64,
        /// What is missing with room made.
        short_by_bytes: u64,
    },
}

impl Fit {
    /// Judges.
    #[must_use]
    pub fn of(need_bytes: u64, available_bytes: u64, room_bytes: u64) -> Self {
        let gap_bytes = need_bytes.saturating_sub(available_bytes);
        match gap_bytes.saturating_sub(room_bytes) {
            _ if gap_bytes == 0 => Self::Fits,
            0 => Self::FitsWithRoom { gap_bytes },
            short_by_bytes => Self::Short { gap_bytes, short_by_bytes },
        }
    }

    /// Whether it does, one way or the other.
    #[must_use]
    pub fn is_enough(self) -> bool {
        !matches!(self, Self::Short { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::target::samples;

    const MIB: u64 = 1 << 20;

    fn cgroup() -> Cgroup {
        Cgroup {
            used_bytes: 100 * MIB,
            cache_bytes: 30 * MIB,
            unevictable_bytes: 0,
            swap_limit_bytes: None,
            swappiness: None,
            swapped_bytes: 0,
        }
    }

    #[test]
    fn the_heap_limit_that_counts_is_read_with_the_usual_surplus() {
        let need = |mebibytes| Some(Need { bytes: mebibytes * MIB, source: NeedSource::Heap });
        for (options, expected) in [
            ("--max-old-space-size=4096", need(6144)),
            ("--enable-source-maps --max_old_space_size=2048 --trace-gc", need(3072)),
            ("--max-old-space-size=1 --max-old-space-size=100", need(150)),
            ("", None),
            ("--max-old-space-size=much", None),
            ("--max-old-space-size=0", None),
            ("--max-old-space-size=18446744073709551615", None),
            ("--max-semi-space-size=64", None),
        ] {
            assert_eq!(need_of_heap(options), expected, "{options}");
        }
    }

    #[test]
    fn a_container_gives_what_is_its_own_and_can_leave() {
        for (cgroup, is_reclaimed, pause_mib, why) in [
            (cgroup(), true, 70, "its cache is available already"),
            (cgroup(), false, 0, "frozen memory stays where it is"),
            (Cgroup { unevictable_bytes: 20 * MIB, ..cgroup() }, true, 50, "locked"),
            (Cgroup { swap_limit_bytes: Some(0), ..cgroup() }, true, 0, "no swap allowed"),
            (Cgroup { swap_limit_bytes: Some(9 * MIB), ..cgroup() }, true, 9, "little is allowed"),
            (Cgroup { swappiness: Some(0), ..cgroup() }, true, 0, "swappiness 0"),
            (Cgroup { cache_bytes: 200 * MIB, ..cgroup() }, true, 0, "figures of two moments"),
        ] {
            assert_eq!(gives(&cgroup, is_reclaimed).pause_bytes, pause_mib * MIB, "{why}");
        }
        assert_eq!(gives(&cgroup(), false).with(Method::Stop), 70 * MIB);
    }

    #[test]
    fn the_fewest_targets_that_are_enough_are_the_largest() {
        let gives = [10, 50, 30, 0];
        for (gap, expected) in [
            (0, vec![]),
            (1, vec![1]),
            (50, vec![1]),
            (51, vec![1, 2]),
            (81, vec![0, 1, 2]),
            (90, vec![0, 1, 2]),
            (91, vec![0, 1, 2, 3]),
        ] {
            assert_eq!(enough(&gives, gap), expected, "a gap of {gap}");
        }
        assert!(enough(&[], 5).is_empty());
    }

    #[test]
    fn a_part_of_a_target_brings_its_other_parts_along() {
        let task = |whole: &str| Listed { part_of: Some(whole.to_owned()), ..samples::listed("t") };
        let plain = || samples::listed("p");
        let listed = [task("a"), plain(), task("b"), task("a"), plain()];
        for (enough, expected) in
            [(vec![], vec![]), (vec![1], vec![1]), (vec![3, 4], vec![0, 3, 4]), (vec![2], vec![2])]
        {
            assert_eq!(with_whole_targets(&listed, &enough), expected);
        }
    }

    #[test]
    fn the_build_fits_as_it_is_with_room_made_or_not() {
        assert_eq!(Fit::of(8, 9, 5), Fit::Fits);
        assert_eq!(Fit::of(8, 8, 0), Fit::Fits);
        assert_eq!(Fit::of(8, 6, 2), Fit::FitsWithRoom { gap_bytes: 2 });
        assert_eq!(Fit::of(8, 6, 1), Fit::Short { gap_bytes: 2, short_by_bytes: 1 });
        assert!(Fit::of(8, 6, 2).is_enough() && !Fit::of(8, 6, 1).is_enough());
    }

    #[test]
    fn swap_is_what_is_free_or_wished_for() {
        let now = FreeSwap { ahead_bytes: 5, ..FreeSwap::default() };
        let swap_free_bytes =
            |wish, has_root| means(wish, false, has_root, now, None).swap.net_bytes();
        assert_eq!(swap_free_bytes(SwapWish::Off, true), 5);
        assert_eq!(swap_free_bytes(SwapWish::Free(Size { bytes: 9 }), true), 9);
        assert_eq!(swap_free_bytes(SwapWish::Free(Size { bytes: 3 }), true), 5);
        assert_eq!(swap_free_bytes(SwapWish::Free(Size { bytes: 9 }), false), 5);
        let none = FreeSwap::default();
        for (no_reclaim, has_root, now, expected) in [
            (false, true, now, true),
            (true, true, now, false),
            (false, false, now, false),
            (false, true, none, false),
        ] {
            let means = means(SwapWish::Off, no_reclaim, has_root, now, None);
            assert_eq!(means.is_reclaimed, expected);
        }
    }

    #[test]
    fn what_the_disk_has_no_room_for_is_not_reckoned_with() {
        const GIB: u64 = 1 << 30;
        let wish = SwapWish::Free(Size { bytes: 2 * GIB });
        for (free_mib, expected_mib) in [(9000, 2048), (2048, 1024), (1000, 0)] {
            let disk = Disk { total_bytes: 9 * GIB, free_bytes: free_mib * MIB };
            let means = means(wish, false, true, FreeSwap::default(), Some(disk));
            assert_eq!(means.swap.net_bytes(), expected_mib * MIB);
            assert_eq!(means.is_reclaimed, expected_mib > 0);
        }
    }

    #[test]
    fn what_goes_to_zram_gives_what_compression_saves() {
        let zram = FreeSwap {
            zram_bytes: 4096 * MIB,
            zram_percent: 50,
            zram_priority: Some(100),
            ..FreeSwap::default()
        };
        let wish = SwapWish::Free(Size { bytes: 512 * MIB });
        for (swap, pause_mib, all_mib, expected_mib, why) in [
            (SwapWish::Off, 100, 300, 50, "all of it to zram"),
            (wish, 100, 300, 100, "to the area that is made ahead of it"),
            (wish, 512, 1024, 384, "half of it behind that, in zram"),
        ] {
            let means = means(swap, false, true, zram, None);
            let gives = means.of_pause(pause_mib * MIB, all_mib * MIB);
            assert_eq!(gives, expected_mib * MIB, "{why}");
        }
        let full = means(SwapWish::Off, false, true, FreeSwap::default(), None);
        assert_eq!(full.of_pause(MIB, 9 * MIB), 0);
    }
}
