//! Owns the sums about swap: how much is missing, what of it the disk has room for, and whether an
//! area's pages fit back. Pure.

use crate::core::{machine::memory::ActiveSwap, text::size};

/// The default directory; made if it is missing, for root alone.
pub const OWN_DIR: &str = "/var/lib/makeroom";

/// mkswap's header: the first page of an area holds no swapped page.
const HEADER_BYTES: u64 = 4096;
/// A shortage below this part of the wish does not count, so that an area that was just made for
/// the wish, or one with a few pages in use, is enough.
const TOLERATED_PART: u64 = 20;
/// Of the disk that an area is made on, this part stays free: what writes to it next is the build.
const SPARE_PART: u64 = 10;
const SPARE_LEAST_BYTES: u64 = 1 << 30;
const SPARE_MOST_BYTES: u64 = 10 << 30;
/// A smaller area holds nobody's memory, unless no more was asked for.
const LEAST_BYTES: u64 = 64 << 20;
/// zram with less than this free takes no pages worth a word: what is swapped goes elsewhere.
const ZRAM_FULL_BYTES: u64 = 1 << 20;
/// zram's own figures tell how it compresses once it holds so much.
const ZRAM_TELLS_BYTES: u64 = 16 << 20;
/// Before that half counts as saved: the distributions that swap to zram reckon with 2:1 and call
/// it conservative, and services hold more that is compressed already than desktops do.
const ZRAM_PERCENT: u64 = 50;
/// swapon(8).
const MOST_PRIORITY: i32 = 32767;
/// Why no area is made where root may not: a container's and an LXC's root is the kernel's only where
/// it was given that.
pub const DENIED: &str = "swapon: Operation not permitted, as in a container or an LXC";
/// What helps there: no other place does.
pub const DENIED_FIX: &str = "type `makeroom swap on` on the machine itself, or run the container with --cap-add SYS_ADMIN --security-opt seccomp=unconfined; or say --swap off";
/// What must stay available after an area's pages have come back, for everything else.
const MARGIN_BYTES: u64 = 64 << 20;

/// The size in bytes of the area to make so that `wish_bytes` of swap are free; `None` if they are
/// already.
#[must_use]
pub fn missing(wish_bytes: u64, free_bytes: u64) -> Option<u64> {
    let missing = wish_bytes.saturating_sub(free_bytes);
    (missing > wish_bytes / TOLERATED_PART)
        .then(|| (missing + HEADER_BYTES).next_multiple_of(1 << 20))
}

/// The free swap of a host, by where what is swapped to it ends up. zram is memory: what goes there
/// frees only what compression saves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreeSwap {
    /// On disks, and filled before zram is; all of it where there is no zram.
    pub ahead_bytes: u64,
    /// In zram, as it counts itself: uncompressed.
    pub zram_bytes: u64,
    /// On disks, and filled after zram or beside it.
    pub behind_bytes: u64,
    /// The memory that zram takes for what it is given, in percent.
    pub zram_percent: u64,
    /// The highest priority of a zram area that has room.
    pub zram_priority: Option<i32>,
}

impl FreeSwap {
    /// Of these areas. zram devices hold `stored_bytes` in `occupied_bytes` of memory.
    #[must_use]
    pub fn of(areas: &[ActiveSwap], stored_bytes: u64, occupied_bytes: u64) -> Self {
        let takes_pages = |area: &&ActiveSwap| area.free_bytes() >= ZRAM_FULL_BYTES;
        let zram = || areas.iter().filter(|area| area.is_zram()).filter(takes_pages);
        let zram_priority = zram().map(|area| area.priority).max();
        let is_ahead = |area: &&ActiveSwap| zram_priority.is_none_or(|zram| area.priority > zram);
        let disks = || areas.iter().filter(|area| !area.is_zram());
        let ahead_bytes = disks().filter(is_ahead).map(ActiveSwap::free_bytes).sum();
        Self {
            ahead_bytes,
            zram_bytes: zram().map(ActiveSwap::free_bytes).sum(),
            behind_bytes: disks().map(ActiveSwap::free_bytes).sum::<u64>() - ahead_bytes,
            zram_percent: zram_percent(stored_bytes, occupied_bytes),
            zram_priority,
        }
    }

    /// The same with so much more that is filled first.
    #[must_use]
    pub fn with_area(mut self, bytes: u64) -> Self {
        self.ahead_bytes = self.ahead_bytes.saturating_add(bytes);
        self
    }

    /// All of it, as the kernel counts it.
    #[must_use]
    pub fn all_bytes(&self) -> u64 {
        self.ahead_bytes.saturating_add(self.zram_bytes).saturating_add(self.behind_bytes)
    }

    /// What could be freed by filling all of it.
    #[must_use]
    pub fn net_bytes(&self) -> u64 {
        self.freed_bytes(u64::MAX)
    }

    /// What is freed by swapping out so much.
    #[must_use]
    pub fn freed_bytes(&self, swapped_bytes: u64) -> u64 {
        let ahead_bytes = swapped_bytes.min(self.ahead_bytes);
        let zram_bytes = (swapped_bytes - ahead_bytes).min(self.zram_bytes);
        let behind_bytes = (swapped_bytes - ahead_bytes - zram_bytes).min(self.behind_bytes);
        let saved = u128::from(100 - self.zram_percent.min(100));
        let net_of_zram = u64::try_from(u128::from(zram_bytes) * saved / 100).unwrap_or(zram_bytes);
        ahead_bytes.saturating_add(net_of_zram).saturating_add(behind_bytes)
    }

    /// The priority for an area that is to be filled before zram; `None` where there is none and
    /// the kernel's own choice is right.
    #[must_use]
    pub fn priority_ahead(&self) -> Option<i32> {
        self.zram_priority.map(|zram| zram.saturating_add(1).clamp(0, MOST_PRIORITY))
    }
}

/// What zram takes for what it is given, by what it holds; where that says little, by
/// [`ZRAM_PERCENT`].
fn zram_percent(stored_bytes: u64, occupied_bytes: u64) -> u64 {
    if stored_bytes < ZRAM_TELLS_BYTES {
        return ZRAM_PERCENT;
    }
    occupied_bytes.saturating_mul(100).div_ceil(stored_bytes).min(100)
}

/// The disk that an area is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// All of it.
    pub total_bytes: u64,
    /// What of it is free.
    pub free_bytes: u64,
}

impl Disk {
    /// What of it stays free.
    #[must_use]
    pub fn spare_bytes(&self) -> u64 {
        (self.total_bytes / SPARE_PART).clamp(SPARE_LEAST_BYTES, SPARE_MOST_BYTES)
    }

    /// The size of the area that is made where one of `wished_bytes` is wished for; `None` where
    /// there is no room for a useful one.
    #[must_use]
    pub fn fitting(&self, wished_bytes: u64) -> Option<u64> {
        let room_bytes = self.free_bytes.saturating_sub(self.spare_bytes());
        let fitting_bytes = wished_bytes.min(room_bytes >> 20 << 20);
        (fitting_bytes >= wished_bytes.min(LEAST_BYTES)).then_some(fitting_bytes)
    }

    /// Says what there is and what stays, as the end of a sentence about this place.
    #[must_use]
    pub fn said(&self) -> String {
        format!(
            "{} are free there, and {} of the disk stay free",
            size(self.free_bytes),
            size(self.spare_bytes())
        )
    }
}

/// The rule for what stays free as the variables of the script that keeps to it, in MiB.
#[must_use]
pub fn spare_rule() -> [(&'static str, u64); 4] {
    [
        ("spare_part", SPARE_PART),
        ("spare_least", SPARE_LEAST_BYTES >> 20),
        ("spare_most", SPARE_MOST_BYTES >> 20),
        ("least", LEAST_BYTES >> 20),
    ]
}

/// Tells whether swapoff can bring `used_bytes` back without an OOM kill.
#[must_use]
pub fn fits_back(used_bytes: u64, available_bytes: u64, other_swap_free_bytes: u64) -> bool {
    used_bytes == 0
        || used_bytes.saturating_add(MARGIN_BYTES)
            <= available_bytes.saturating_add(other_swap_free_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::machine::cgroup;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn only_what_is_missing_is_made() {
        for (wish, free, expected) in [
            (2 * GIB, 0, Some(2 * GIB + MIB)),
            (2 * GIB, GIB, Some(GIB + MIB)),
            (2 * GIB, 2 * GIB, None),
            (2 * GIB, 2 * GIB - 4096, None),
            (2 * GIB, 8 * GIB, None),
            (2 * GIB, 2 * GIB - 90 * MIB, None),
            (2 * GIB, 2 * GIB - 110 * MIB, Some(111 * MIB)),
            (MIB, 0, Some(2 * MIB)),
            (0, 0, None),
        ] {
            assert_eq!(missing(wish, free), expected, "{wish} wished, {free} free");
        }
    }

    #[test]
    fn an_area_made_for_a_wish_fulfils_it() {
        for wish in [MIB, 100 * MIB, 2 * GIB] {
            let made = missing(wish, 0).expect("nothing is free");
            assert_eq!(missing(wish, made - HEADER_BYTES), None, "{wish}");
        }
    }

    fn area(path: &str, free_mib: u64, priority: i32) -> ActiveSwap {
        let size_bytes = (free_mib + 10) * MIB;
        ActiveSwap { path: path.to_owned(), size_bytes, used_bytes: 10 * MIB, priority }
    }

    #[test]
    fn what_goes_to_zram_frees_what_its_own_figures_or_half_say() {
        let read = |mm_stat: &str| {
            let output = format!(
                "==> /proc/swaps <==\nFilename Type Size Used Priority\n/dev/zram0 partition 4194304 0 100\n==> /sys/block/zram0/mm_stat <==\n{mm_stat}"
            );
            cgroup::read(&output).free_swap()
        };
        for (what, mm_stat, percent) in [
            ("noise", include_str!("../../../tests/fixtures/zram-kernel-6.18/mm_stat-random"), 100),
            (
                "text and a program",
                include_str!("../../../tests/fixtures/zram-kernel-6.18/mm_stat-mixed"),
                49,
            ),
            (
                "nothing yet",
                include_str!("../../../tests/fixtures/zram-kernel-6.18/mm_stat-fresh"),
                50,
            ),
            ("a kernel without that file", "", 50),
        ] {
            let free = read(mm_stat);
            assert_eq!(free.zram_percent, percent, "{what}");
            assert_eq!((free.ahead_bytes, free.zram_bytes), (0, 4 * GIB), "{what}");
            assert_eq!(free.net_bytes(), 4 * GIB * (100 - percent) / 100, "{what}");
            assert_eq!(free.freed_bytes(200 * MIB), 200 * MIB * (100 - percent) / 100, "{what}");
        }
    }

    #[test]
    fn what_is_filled_before_zram_frees_all_and_what_comes_after_it_is_no_place_for_a_wish() {
        let zram = || area("/dev/zram0", 1000, 100);
        for (areas, ahead_mib, zram_mib, behind_mib, priority) in [
            (vec![], 0, 0, 0, None),
            (vec![area("/swap", 500, -2)], 500, 0, 0, None),
            (vec![zram()], 0, 1000, 0, Some(101)),
            (vec![zram(), area("/swap", 500, -2)], 0, 1000, 500, Some(101)),
            (vec![zram(), area("/swap", 500, 100)], 0, 1000, 500, Some(101)),
            (vec![zram(), area("/swap", 500, 101)], 500, 1000, 0, Some(101)),
            (vec![area("/dev/zram0", 0, 100), area("/swap", 500, -2)], 500, 0, 0, None),
            (vec![area("/dev/zram12", 300, -2)], 0, 300, 0, Some(0)),
            (vec![area("/dev/zram0", 300, 32767)], 0, 300, 0, Some(32767)),
            (vec![area("/dev/zramble", 300, 5)], 300, 0, 0, None),
        ] {
            let free = FreeSwap::of(&areas, 0, 0);
            let found = (free.ahead_bytes, free.zram_bytes, free.behind_bytes);
            let expected = (ahead_mib * MIB, zram_mib * MIB, behind_mib * MIB);
            assert_eq!((found, free.priority_ahead()), (expected, priority), "{areas:?}");
        }
        let both = FreeSwap::of(&[zram(), area("/swap", 500, -2)], 0, 0);
        for (swapped_mib, freed_mib) in [(0, 0), (400, 200), (1000, 500), (1200, 700), (9000, 1000)]
        {
            assert_eq!(both.freed_bytes(swapped_mib * MIB), freed_mib * MIB, "{swapped_mib}");
        }
        assert_eq!(both.with_area(300 * MIB).freed_bytes(400 * MIB), 350 * MIB);
    }

    #[test]
    fn a_gibibyte_or_a_tenth_of_the_disk_up_to_ten_gibibytes_stays_free() {
        for (total_mib, free_mib, wished_mib, expected_mib) in [
            (2500, 2400, 2048, Some(1376)),
            (2500, 2400, 1376, Some(1376)),
            (2500, 1087, 2048, None),
            (2500, 1088, 2048, Some(64)),
            (2500, 1087, 32, Some(32)),
            (2500, 1000, 32, None),
            (512, 500, 100, None),
            (50 * 1024, 6 * 1024, 2048, Some(1024)),
            (50 * 1024, 40 * 1024, 2048, Some(2048)),
            (1024 * 1024, 13 * 1024, 4096, Some(3072)),
            (0, 0, 2048, None),
        ] {
            let disk = Disk { total_bytes: total_mib * MIB, free_bytes: free_mib * MIB };
            let expected = expected_mib.map(|mib: u64| mib * MIB);
            assert_eq!(disk.fitting(wished_mib * MIB), expected, "{disk:?}, {wished_mib} MiB");
        }
        let odd = Disk { total_bytes: 2500 * MIB, free_bytes: 1224 * MIB + 4096 };
        assert_eq!(odd.fitting(GIB), Some(200 * MIB), "whole MiB");
        assert_eq!(odd.said(), "1.2 GiB are free there, and 1.0 GiB of the disk stay free");
    }

    #[test]
    fn pages_fit_back_where_memory_and_other_swap_hold_them_with_a_margin() {
        assert!(fits_back(0, 0, 0));
        assert!(fits_back(100 * MIB, 164 * MIB, 0));
        assert!(!fits_back(100 * MIB, 163 * MIB, 0));
        assert!(fits_back(100 * MIB, 0, 164 * MIB));
    }
}
