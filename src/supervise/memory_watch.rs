//! Owns watching memory while the build runs: the host's figures and the build's own, from this
//! machine's /proc or from what the keeper hears of another host. Runs in the supervisor, and must
//! cost next to nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use nix::unistd::{Pid, getpgid};

use crate::{
    core::{
        machine::{
            memory::{self, Memory},
            process::ProcessId,
            sample::HostSample,
        },
        run::{
            build_site::BuildSite,
            memory_seen::MemorySeen,
            timeline::{Point, Timeline},
        },
    },
    host::{
        kernel::{IS_SAMPLED, proc_file, resident_below},
        process::identify,
        sample,
    },
    supervise::processor_time::processor_time,
};

/// Four looks a second are the most.
const OFTEN: Duration = Duration::from_millis(250);
/// One part in so many of a core is what watching may cost.
const COST_PART: u32 = 500;

/// So many processes outside of the build's group the keeper is told of; it finds most others by
/// their environment.
const MOST_STRAYS: usize = 512;

/// The watch over one run.
#[derive(Debug)]
pub struct MemoryWatch {
    begun: Instant,
    site: BuildSite,
    /// The build's process group.
    group: i32,
    /// The processes of the build that were last seen outside of it.
    strays: BTreeMap<i32, ProcessId>,
    /// The host is another machine: its figures come from the keeper, and this one's say nothing.
    is_elsewhere: bool,
    /// What this machine's kernel had killed at the beginning.
    kills_before: Option<u64>,
    first: Option<HostSample>,
    last: Option<HostSample>,
    available_min_bytes: Option<u64>,
    /// What the build was last seen to hold.
    build_bytes: u64,
    peak_bytes: u64,
    timeline: Timeline,
    next: Option<Instant>,
}

impl MemoryWatch {
    /// Begins. `group` is the build's process group.
    #[must_use]
    pub fn begin(site: BuildSite, group: i32, is_elsewhere: bool) -> Self {
        let mut watch = Self {
            begun: Instant::now(),
            site,
            group,
            strays: BTreeMap::new(),
            is_elsewhere,
            kills_before: oom_kills(),
            first: None,
            last: None,
            available_min_bytes: None,
            build_bytes: 0,
            peak_bytes: 0,
            timeline: Timeline::default(),
            next: IS_SAMPLED.then(Instant::now),
        };
        watch.look_at_host();
        watch
    }

    /// When the next look is due, if ever.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Looks, if it is time; gives whether the strays are others than before. `keeper` is a child
    /// of ours that is no part of the build.
    pub fn look_if_due(&mut self, keeper: Option<i32>) -> bool {
        let begun = Instant::now();
        if self.next.is_none_or(|next| begun < next) {
            return false;
        }
        let used_before = processor_time();
        let (mut strays, group) = (Vec::new(), Pid::from_raw(self.group));
        let bytes = resident_below(keeper, |pid| {
            if strays.len() < MOST_STRAYS
                && getpgid(Some(Pid::from_raw(pid))).is_ok_and(|its| its != group)
            {
                strays.push(pid);
            }
        });
        // A client's own memory says nothing of its build.
        if self.site == BuildSite::Child {
            self.see_build(bytes);
        }
        let is_news = self.see_strays(&strays);
        self.look_at_host();
        self.next =
            Some(begun + OFTEN.max(processor_time().saturating_sub(used_before) * COST_PART));
        is_news
    }

    /// What of the build was last seen outside of its process group.
    #[must_use]
    pub fn strays(&self) -> Vec<ProcessId> {
        self.strays.values().copied().collect()
    }

    fn see_strays(&mut self, pids: &[i32]) -> bool {
        let before = std::mem::take(&mut self.strays);
        // One that is still there was looked at before; one whose pid is another's by now is no
        // longer met.
        let known = |pid: i32| before.get(&pid).copied().or_else(|| identify(pid));
        self.strays = pids.iter().filter_map(|&pid| Some((pid, known(pid)?))).collect();
        self.strays != before
    }

    /// Takes in what the keeper saw.
    pub fn hear(&mut self, sample: &HostSample) {
        if self.site.is_in_engine() {
            self.see_build(sample.build_bytes.unwrap_or(0));
        }
        if self.is_elsewhere {
            self.see_host(sample);
        }
    }

    /// Takes in the largest RSS of any one process that was waited for: it may have lived between
    /// two looks.
    pub fn see_largest(&mut self, bytes: u64) {
        if self.site == BuildSite::Child {
            self.peak_bytes = self.peak_bytes.max(bytes);
        }
    }

    /// Ends, with what was seen.
    #[must_use]
    pub fn end(mut self) -> MemorySeen {
        // A build that is over before the first look has a lowest point all the same.
        self.look_at_host();
        let both = self.first.zip(self.last);
        let since = |stall: fn(&HostSample) -> Option<Duration>| {
            both.and_then(|(first, last)| Some(stall(&last)?.saturating_sub(stall(&first)?)))
        };
        let of_host =
            both.and_then(|(first, last)| Some(last.oom_kills?.saturating_sub(first.oom_kills?)));
        let of_here = || Some(oom_kills()?.saturating_sub(self.kills_before?));
        MemorySeen {
            available_min_bytes: self.available_min_bytes,
            some_stall: since(|sample| sample.some_stall),
            full_stall: since(|sample| sample.full_stall),
            peak_bytes: (self.peak_bytes > 0).then_some(self.peak_bytes),
            oom_kills: of_host,
            build_oom_kills: if self.site == BuildSite::Child { of_here() } else { of_host },
            points: self.timeline.points().to_vec(),
        }
    }

    /// Whether the kernel under the build, or its host's, has killed anything for memory so far.
    #[must_use]
    pub fn has_seen_kills(&self) -> bool {
        let here = oom_kills().zip(self.kills_before).is_some_and(|(now, before)| now > before);
        here || self
            .first
            .zip(self.last)
            .is_some_and(|(first, last)| last.oom_kills > first.oom_kills)
    }

    fn see_build(&mut self, bytes: u64) {
        self.build_bytes = bytes;
        self.peak_bytes = self.peak_bytes.max(bytes);
    }

    fn look_at_host(&mut self) {
        if let Some(sample) = sample::here().filter(|_| !self.is_elsewhere) {
            self.see_host(&HostSample { oom_kills: oom_kills(), ..sample });
        }
    }

    fn see_host(&mut self, sample: &HostSample) {
        let first = *self.first.get_or_insert(*sample);
        self.last = Some(*sample);
        let lowest = self.available_min_bytes.get_or_insert(sample.available_bytes);
        *lowest = sample.available_bytes.min(*lowest);
        let since = |stall: fn(&HostSample) -> Option<Duration>| {
            stall(sample)
                .zip(stall(&first))
                .map_or(0.0, |(now, then)| now.saturating_sub(then).as_secs_f64())
        };
        self.timeline.push(Point {
            at_s: self.begun.elapsed().as_secs_f64(),
            available_bytes: sample.available_bytes,
            build_bytes: self.build_bytes,
            swap_used_bytes: sample.swap_used_bytes,
            some_stall_s: since(|sample| sample.some_stall),
            full_stall_s: since(|sample| sample.full_stall),
            oom_kills: sample
                .oom_kills
                .zip(first.oom_kills)
                .map_or(0, |(now, then)| now.saturating_sub(then)),
        });
    }
}

/// This machine's memory now; `None` where the kernel does not say.
#[must_use]
pub fn now() -> Option<Memory> {
    memory::meminfo(&proc_file("/proc/meminfo")?)
}

fn oom_kills() -> Option<u64> {
    memory::oom_kills(&proc_file("/proc/vmstat")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(available_bytes: u64, stall_s: u64, build_bytes: u64) -> HostSample {
        HostSample {
            available_bytes,
            total_bytes: None,
            swap_used_bytes: 5,
            some_stall: Some(Duration::from_secs(2 * stall_s)),
            full_stall: Some(Duration::from_secs(stall_s)),
            oom_kills: Some(stall_s),
            build_bytes: Some(build_bytes),
        }
    }

    #[test]
    fn a_host_that_is_another_machine_is_known_from_the_keeper_alone() {
        let mut watch = MemoryWatch::begin(BuildSite::Builder, 1, true);
        for sample in [figures(90, 10, 0), figures(40, 11, 70), figures(60, 13, 30)] {
            watch.hear(&sample);
        }
        watch.see_largest(1 << 40);
        let seen = watch.end();
        assert_eq!(
            (seen.available_min_bytes, seen.peak_bytes, seen.oom_kills),
            (Some(40), Some(70), Some(3))
        );
        assert_eq!(
            (seen.some_stall, seen.full_stall),
            (Some(Duration::from_secs(6)), Some(Duration::from_secs(3)))
        );
        assert_eq!(
            seen.points
                .iter()
                .map(|point| (point.available_bytes, point.build_bytes))
                .collect::<Vec<_>>(),
            [(90, 0), (40, 70), (60, 30)]
        );
    }

    #[test]
    fn a_host_that_was_never_heard_of_is_not_made_up() {
        let mut watch = MemoryWatch::begin(BuildSite::Container, 1, true);
        watch.see_largest(7);
        let seen = watch.end();
        assert_eq!(
            (seen.available_min_bytes, seen.full_stall, seen.oom_kills, seen.peak_bytes),
            (None, None, None, None)
        );
        assert!(seen.points.is_empty());
    }

    #[test]
    fn a_build_of_this_machine_counts_here_and_its_host_there() {
        let mut watch = MemoryWatch::begin(BuildSite::Child, 1, true);
        watch.hear(&figures(90, 10, 70));
        watch.see_largest(1 << 40);
        let seen = watch.end();
        assert_eq!((seen.available_min_bytes, seen.peak_bytes), (Some(90), Some(1 << 40)));
        // One sample tells of no kill there; those of this machine are its own.
        assert_eq!(seen.build_oom_kills.is_some(), oom_kills().is_some());
    }
}
