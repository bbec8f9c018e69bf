//! Owns watching memory while the build runs: lowest MemAvailable, full stall, and the peak of the
//! child's tree from its RSS. Runs in the supervisor, and must cost next to nothing.

use std::time::{Duration, Instant};

use crate::{
    core::{
        build_site::BuildSite,
        memory::{self, Memory},
        sample::HostSample,
    },
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
    /// The build's peak in bytes: the highest sum of the RSS of the child and all below it, or what
    /// the engine's builder held.
    pub peak_bytes: u64,
    /// What the kernel killed for memory meanwhile.
    pub oom_kills: Option<u64>,
}

/// What the keeper saw of a host that is another machine.
#[derive(Clone, Copy, Debug)]
struct Remote {
    first: HostSample,
    last: HostSample,
    available_min_bytes: u64,
    build_peak_bytes: u64,
}

/// The watch over one run.
#[derive(Debug)]
pub struct Watch {
    seen: Seen,
    stall_before: Option<Duration>,
    kills_before: Option<u64>,
    remote: Option<Remote>,
    next: Option<Instant>,
}

impl Watch {
    /// Begins.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            seen: Seen::default(),
            stall_before: full_stall(),
            kills_before: oom_kills(),
            remote: None,
            next: IS_SAMPLED.then(Instant::now),
        }
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
        self.seen.peak_bytes = self.seen.peak_bytes.max(resident_below(keeper));
        self.next = Some(begun + OFTEN.max(begun.elapsed() * COST_PART));
    }

    fn look_at_available(&mut self) {
        if let Some(memory) = now() {
            let lowest = self.seen.available_min_bytes.get_or_insert(memory.available_bytes);
            *lowest = memory.available_bytes.min(*lowest);
        }
    }

    /// Takes in what the keeper saw of a host that is another machine.
    pub fn hear(&mut self, sample: &HostSample) {
        let build_bytes = sample.build_bytes.unwrap_or(0);
        let begun = Remote { first: *sample, last: *sample, available_min_bytes: sample.available_bytes, build_peak_bytes: build_bytes };
        let remote = self.remote.get_or_insert(begun);
        remote.last = *sample;
        remote.available_min_bytes = remote.available_min_bytes.min(sample.available_bytes);
        remote.build_peak_bytes = remote.build_peak_bytes.max(build_bytes);
    }

    /// Ends, with what was seen. `largest_bytes` is the largest RSS of any one process that was
    /// waited for: it may have lived between two looks. `is_elsewhere`: the host is another machine, so
    /// that this one's figures say nothing of it.
    #[must_use]
    pub fn end(mut self, largest_bytes: u64, site: BuildSite, is_elsewhere: bool) -> Seen {
        // A build that is over before the first look has a lowest point all the same.
        self.look_at_available();
        self.seen.peak_bytes = self.seen.peak_bytes.max(largest_bytes);
        self.seen.full_stall = full_stall().zip(self.stall_before).map(|(after, before)| after.saturating_sub(before));
        self.seen.oom_kills = oom_kills().zip(self.kills_before).map(|(after, before)| after.saturating_sub(before));
        // A client's own memory says nothing of its build.
        if site != BuildSite::Child {
            self.seen.peak_bytes = self.remote.filter(|_| site.is_in_engine()).map_or(0, |remote| remote.build_peak_bytes);
        }
        if is_elsewhere {
            let remote = self.remote;
            self.seen.available_min_bytes = remote.map(|remote| remote.available_min_bytes);
            self.seen.full_stall = remote.and_then(|Remote { first, last, .. }| Some(last.full_stall?.saturating_sub(first.full_stall?)));
            self.seen.oom_kills = remote.and_then(|Remote { first, last, .. }| Some(last.oom_kills?.saturating_sub(first.oom_kills?)));
        }
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

fn oom_kills() -> Option<u64> {
    memory::oom_kills(&proc_file("/proc/vmstat")?)
}
