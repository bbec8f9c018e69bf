//! Owns the reading of what the measuring script prints (memory, swap, each target's cgroup), and
//! of what a reclaim gave back. Pure.

use std::collections::HashMap;

use crate::core::{
    machine::{
        inside::Inside,
        memory::{self, ActiveSwap, Memory},
        swap::FreeSwap,
    },
    text::size,
};

/// One target's memory cgroup, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// All memory charged to it.
    pub used_bytes: u64,
    /// What the kernel cannot reclaim, because it is mlocked.
    pub unevictable_bytes: u64,
    /// The cache of its files, which the host counts as available.
    pub cache_bytes: u64,
    /// How much of it may be swapped; `None` if there is no limit.
    pub swap_limit_bytes: Option<u64>,
    /// cgroup v1's own swappiness.
    pub swappiness: Option<u64>,
    /// What it has in swap.
    pub swapped_bytes: u64,
}

impl Cgroup {
    /// What is its own: without the cache of its files, which the host counts as available.
    #[must_use]
    pub fn own_bytes(&self) -> u64 {
        self.used_bytes.saturating_sub(self.cache_bytes)
    }

    /// What of that could be pushed out to swap, however much of it there is.
    #[must_use]
    pub fn swappable_bytes(&self) -> u64 {
        if self.swappiness == Some(0) {
            return 0;
        }
        let movable_bytes = self.own_bytes().saturating_sub(self.unevictable_bytes);
        movable_bytes.min(self.swap_limit_bytes.unwrap_or(u64::MAX))
    }

    /// Why its memory stays where it is, where its settings or its processes keep most of it there.
    #[must_use]
    pub fn why_it_stays(&self) -> Option<&'static str> {
        if self.swap_limit_bytes == Some(0) {
            Some("it may not use swap (memory.swap.max is 0)")
        } else if self.swappiness == Some(0) {
            Some("its swappiness is 0")
        } else if self.unevictable_bytes > self.used_bytes / 2 {
            Some("its memory is locked (mlock)")
        } else {
            None
        }
    }
}

/// The host at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Memory and swap.
    pub memory: Option<Memory>,
    /// Active swap areas.
    pub swaps: Vec<ActiveSwap>,
    /// Memory that zram devices occupy, in bytes.
    pub zram_bytes: u64,
    /// What they hold in it, uncompressed.
    pub zram_stored_bytes: u64,
    /// By container id. A container whose cgroup is not on this kernel is missing.
    pub targets: HashMap<String, Cgroup>,
    /// How many containers were asked for that have no cgroup on this kernel.
    pub elsewhere: usize,
    /// Whether /proc hides other users' processes from us, so that what is missing may be here
    /// after all.
    pub is_hidden: bool,
    /// Whether the cgroups are mounted read-only where we are: nothing is pushed out then.
    pub is_read_only: bool,
    /// Data disks beside the system's own.
    pub disks: Vec<String>,
}

impl GivenBack {
    /// Says that most of what was pushed out is in memory still, compressed; `None` where it is not.
    #[must_use]
    pub fn why_little(&self) -> Option<String> {
        let pushed_bytes = self.by_target.values().sum::<u64>();
        // A service of a few hundred KiB is not worth a word.
        let is_little = pushed_bytes >= 4 << 20 && self.bytes < pushed_bytes / 2;
        (is_little && self.compressed_bytes > 0).then(|| {
            format!(
                "{} were pushed out and only {} given back: compressed swap (zram, zswap) is memory, and took {}",
                size(pushed_bytes),
                size(self.bytes),
                size(self.compressed_bytes)
            )
        })
    }
}

impl Measured {
    /// The active swap area at this path.
    #[must_use]
    pub fn swap_at(&self, path: &str) -> Option<&ActiveSwap> {
        self.swaps.iter().find(|swap| swap.path == path)
    }

    /// The free swap, by what it frees.
    #[must_use]
    pub fn free_swap(&self) -> FreeSwap {
        let free = FreeSwap::of(&self.swaps, self.zram_stored_bytes, self.zram_bytes);
        match (free.zram_priority, self.memory) {
            // The same, and there where areas cannot be seen.
            (None, Some(memory)) => {
                FreeSwap { ahead_bytes: memory.swap_free_bytes, behind_bytes: 0, ..free }
            }
            _ => free,
        }
    }

    /// Explains to a person why none of these containers has a cgroup here, if that is so, and what
    /// to do.
    #[must_use]
    pub fn why_unseen(&self, asked: usize, inside: Inside) -> Option<(&'static str, &'static str)> {
        (asked > 0 && self.elsewhere == asked).then_some(if let Some(why) = inside.why_unseen() {
            why
        } else if self.is_hidden {
            (
                "/proc hides the engine's containers from this user (hidepid)",
                "run makeroom as root, or have them shown to you: `sudo mount -o remount,hidepid=0 /proc`",
            )
        } else {
            (
                "the engine's containers are not on this machine's kernel (a forwarded socket?)",
                "name a way into it with --vm-shell \"COMMAND\"",
            )
        })
    }

    /// Sums up the memory of these targets; `None` if one is not known.
    #[must_use]
    pub fn sum_bytes<'id>(&self, ids: impl IntoIterator<Item = &'id str>) -> Option<u64> {
        ids.into_iter().map(|id| Some(self.targets.get(id)?.used_bytes)).sum()
    }
}

/// Reads the output of `measure.sh`.
#[must_use]
pub fn read(output: &str) -> Measured {
    let mut sections: HashMap<&str, String> = HashMap::new();
    let mut section = "";
    for line in output.lines() {
        if let Some(name) = line.strip_prefix("==> ").and_then(|rest| rest.strip_suffix(" <==")) {
            section = if name.ends_with("/mm_stat") { "mm_stat" } else { name };
        } else {
            let text = sections.entry(section).or_default();
            text.push_str(line);
            text.push('\n');
        }
    }
    let text = |name| sections.get(name).map_or("", String::as_str);
    Measured {
        memory: memory::meminfo(text("/proc/meminfo")),
        swaps: memory::swaps(text("/proc/swaps")),
        zram_bytes: sum_of_field(text("mm_stat"), 2),
        zram_stored_bytes: sum_of_field(text("mm_stat"), 0),
        targets: text("targets").lines().filter_map(target).collect(),
        elsewhere: text("targets")
            .lines()
            .filter(|line| line.split(' ').nth(2) == Some("-"))
            .count(),
        is_hidden: text("targets").lines().any(|line| line == "hidden"),
        is_read_only: text("targets").lines().any(|line| line == "read-only"),
        disks: text("disks")
            .lines()
            .filter(|line| line.starts_with('/'))
            .map(memory::unescape)
            .collect(),
    }
}

/// Sums up one field of all lines, the first being 0.
fn sum_of_field(text: &str, field: usize) -> u64 {
    let number = |line: &str| line.split_ascii_whitespace().nth(field)?.parse::<u64>().ok();
    text.lines().filter_map(number).fold(0, u64::saturating_add)
}

fn target(line: &str) -> Option<(String, Cgroup)> {
    let mut fields = line.strip_prefix("target ")?.split(' ');
    let id = fields.next()?.to_owned();
    let number = |field: &str| field.parse::<u64>().ok();
    let _version = fields.next()?;
    Some((
        id,
        Cgroup {
            used_bytes: number(fields.next()?)?,
            unevictable_bytes: number(fields.next()?).unwrap_or(0),
            cache_bytes: number(fields.next()?).unwrap_or(0),
            swap_limit_bytes: number(fields.next()?),
            swappiness: number(fields.next()?),
            swapped_bytes: fields.next().and_then(number).unwrap_or(0),
        },
    ))
}

/// What a reclaim gave back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    /// The fall of the targets' memory, less the growth of zram and zswap.
    pub bytes: u64,
    /// The fall of each target's memory.
    pub by_target: HashMap<String, u64>,
    /// The change of MemAvailable.
    pub available_change_bytes: i64,
    /// What zram and zswap grew by: memory that holds what was pushed out.
    pub compressed_bytes: u64,
    /// Targets that gave back under half, with the reason.
    pub reluctant: Vec<(String, String)>,
    /// Those of them that gave back nothing.
    pub unmoved: Vec<String>,
}

/// What is worth a word: a service of a few hundred KiB is mostly kernel structures.
pub const WORTH_A_WORD_BYTES: u64 = 4 << 20;
/// Less than this part of what a target held is nothing.
const NOTHING_PART: u64 = 50;

/// Compares the host before and after.
#[must_use]
pub fn given_back(before: &Measured, after: &Measured) -> GivenBack {
    let mut given = GivenBack::default();
    for (id, was) in &before.targets {
        let Some(is) = after.targets.get(id) else { continue };
        let fall_bytes = was.used_bytes.saturating_sub(is.used_bytes);
        given.by_target.insert(id.clone(), fall_bytes);
        given.bytes += fall_bytes;
        let is_out_already = was.swapped_bytes > was.used_bytes;
        let is_worth_a_word = was.used_bytes >= WORTH_A_WORD_BYTES && !is_out_already;
        if is_worth_a_word && is.used_bytes > was.used_bytes / 2 {
            given.reluctant.push((id.clone(), reason(is, after)));
            if fall_bytes < was.used_bytes / NOTHING_PART {
                given.unmoved.push(id.clone());
            }
        }
    }
    let compressed = |measured: &Measured| {
        measured.zram_bytes + measured.memory.map_or(0, |memory| memory.zswap_bytes)
    };
    given.compressed_bytes = compressed(after).saturating_sub(compressed(before));
    given.bytes = given.bytes.saturating_sub(given.compressed_bytes);
    if let (Some(was), Some(is)) = (before.memory, after.memory) {
        given.available_change_bytes =
            is.available_bytes.cast_signed() - was.available_bytes.cast_signed();
    }
    given.reluctant.sort();
    given
}

/// Why nothing is pushed out where [`Measured::is_read_only`].
pub const READ_ONLY: &str = "the cgroups are mounted read-only here";

fn reason(cgroup: &Cgroup, after: &Measured) -> String {
    if let Some(why) = cgroup.why_it_stays() {
        why.to_owned()
    } else if after.is_read_only {
        READ_ONLY.to_owned()
    } else if after.memory.is_some_and(|memory| memory.swap_free_bytes < 1 << 20) {
        "swap is full".to_owned()
    } else {
        "the kernel names no reason".to_owned()
    }
}

#[cfg(test)]
mod tests;
