//! Owns the sums about swap: how much is missing, and whether an area's pages fit back. Pure.

/// The default directory; made if it is missing, for root alone.
pub const OWN_DIR: &str = "/var/lib/makeroom";

/// mkswap's header: the first page of an area holds no swapped page.
const HEADER_BYTES: u64 = 4096;
/// A shortage below this part of the wish does not count, so that an area that was just made for
/// the wish, or one with a few pages in use, is enough.
const TOLERATED_PART: u64 = 20;
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

    #[test]
    fn pages_fit_back_where_memory_and_other_swap_hold_them_with_a_margin() {
        assert!(fits_back(0, 0, 0));
        assert!(fits_back(100 * MIB, 164 * MIB, 0));
        assert!(!fits_back(100 * MIB, 163 * MIB, 0));
        assert!(fits_back(100 * MIB, 0, 164 * MIB));
    }
}
