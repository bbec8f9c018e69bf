//! Owns watching memory while the build runs: lowest MemAvailable, full stall, and the peak of the
//! child's tree from its RSS. Runs in the supervisor, and must cost next to nothing.

use std::time::{Duration, Instant};

use crate::{
    core::memory::{self, Memory},
    host::kernel::{IS_SAMPLED, proc_file, resident_below},
};

/// Four looks a second are the most.
const OFTEN: Duration = Duration::from_millis(250);
/// One part in so many of a core is what watching may cost.
const COST_PART: u32 = 500;

/// What was seen of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// The lowest MemAvailable, in bytes.
    pub available_min_bytes: Option<u64>,
    /// The time for which all tasks were stalled on memory.
    pub full_stall: Option<Duration>,
    /// The highest sum of the RSS of the child and all below it, in bytes.
    pub tree_peak_bytes: u64,
}

/// The watch over one run.
#[derive(Debug)]
pub struct Watch {
    seen: Seen,
    stall_before: Option<Duration>,
    next: Option<Instant>,
}

impl Watch {
    /// Begins.
    #[must_use]
    pub fn begin() -> Self {
        Self { seen: Seen::default(), stall_before: full_stall(), next: IS_SAMPLED.then(Instant::now) }
    }

    /// When the next look is due, if ever.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Looks, if it is time. `keeper` is a child of ours that is no part of the build.
    pub fn look_if_due(&mut self, keeper: Option<i32>) {
        let begun = Instant::now();
        if self.next.is_none_or(|next| begun < next) {
            return;
        }
        self.look_at_available();
        self.seen.tree_peak_bytes = self.seen.tree_peak_bytes.max(resident_below(keeper));
        self.next = Some(begun + OFTEN.max(begun.elapsed() * COST_PART));
    }

    fn look_at_available(&mut self) {
        if let Some(memory) = now() {
            let lowest = self.seen.available_min_bytes.get_or_insert(memory.available_bytes);
            *lowest = memory.available_bytes.min(*lowest);
        }
    }

    /// Ends, with what was seen. `largest_bytes` is the largest RSS of any one process that was
    /// waited for: it may have lived between two looks.
    #[must_use]
    pub fn end(mut self, largest_bytes: u64) -> Seen {
        // A build that is over before the first look has a lowest point all the same.
        self.look_at_available();
        self.seen.tree_peak_bytes = self.seen.tree_peak_bytes.max(largest_bytes);
        self.seen.full_stall = full_stall().zip(self.stall_before).map(|(after, before)| after.saturating_sub(before));
        self.seen
    }
}

/// This machine's memory now; `None` where the kernel does not say.
#[must_use]
pub fn now() -> Option<Memory> {
    memory::meminfo(&proc_file("/proc/meminfo")?)
}

fn full_stall() -> Option<Duration> {
    memory::full_stall(&proc_file("/proc/pressure/memory")?)
}
