//! Owns the reading of the kernel's log about processes that it killed for memory, and which of
//! them were the engine's builder steps. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A process that the kernel killed for memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    /// Its name, as the kernel has it: at most fifteen bytes, whatever the process chose.
    pub name: String,
    /// Its pid on the host.
    pub pid: i32,
    /// The memory of its own that it held.
    pub held_bytes: Option<u64>,
    /// It was a step of the engine's builder.
    pub is_step: bool,
}

/// Reads the output of `killed.sh`: "uptime SECONDS", and lines of the kernel's log (mm/oom_kill.c,
/// `dump_oom_victim` and `__oom_kill_process`). Leaves out what is older than `within`, which was
/// somebody else's.
#[must_use]
pub fn read(output: &str, within: Duration) -> Vec<Killed> {
    let uptime_s =
        output.lines().find_map(|line| line.strip_prefix("uptime ")?.parse::<f64>().ok());
    let Some(since_s) = uptime_s.map(|uptime_s| uptime_s - within.as_secs_f64()) else {
        return Vec::new();
    };
    let mut killed: Vec<Killed> = Vec::new();
    for line in output.lines() {
        // The log's clock may lag by up to a tick.
        if at_s(line).is_none_or(|at_s| at_s + 0.02 < since_s) {
            continue;
        }
        if let Some(victim) = victim(line) {
            killed.push(victim);
        } else if let Some((pid, bytes)) = held(line)
            && let Some(victim) = killed.iter_mut().rev().find(|victim| victim.pid == pid)
        {
            victim.held_bytes = Some(bytes);
        }
    }
    killed
}

/// Reads the time in `[  123.456789] …`, with busybox's `<6>` before it.
fn at_s(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once('[')?;
    rest.split_once(']')?.0.trim().parse().ok()
}

/// Reads `oom-kill:constraint=…,task_memcg=/PATH,task=NAME,pid=1,uid=0`; the name may contain
/// commas.
fn victim(line: &str) -> Option<Killed> {
    let (_, facts) = line.split_once("oom-kill:constraint=")?;
    let (cgroup, rest) = facts.split_once(",task_memcg=")?.1.split_once(",task=")?;
    let (name, rest) = rest.rsplit_once(",pid=")?;
    let pid = rest.split(',').next()?.parse().ok()?;
    Some(Killed { name: name.to_owned(), pid, held_bytes: None, is_step: is_step(cgroup) })
}

/// Reads `… Killed process 1 (NAME) total-vm:1kB, anon-rss:1kB, …`.
fn held(line: &str) -> Option<(i32, u64)> {
    let (_, facts) = line.split_once("Killed process ")?;
    let pid = facts.split(' ').next()?.parse().ok()?;
    let (_, kib) = facts.rsplit_once("anon-rss:")?;
    Some((pid, kib.split("kB").next()?.parse::<u64>().ok()?.checked_mul(1024)?))
}

/// Tells builder steps from containers as `sample.sh` does: by place and length of the name.
fn is_step(cgroup: &str) -> bool {
    let Some((parent, name)) = cgroup.rsplit_once('/') else { return false };
    name.contains(":docker:")
        || ((parent.ends_with("/docker") || parent.ends_with("/docker/buildkit"))
            && name.len() != 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "uptime 1000.50\n\
        [  100.000000] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,\
        global_oom,task_memcg=/docker/old0000000000000000000000,task=old,pid=7,uid=0\n\
        [  990.000000] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=x,mems_allowed=0,\
        global_oom,task_memcg=/system.slice/system.slice:docker:k1,task=a,pid=9 b,pid=77,uid=1000\n\
        [  990.000100] Out of memory: Killed process 77 (a,pid=9 b) total-vm:2048kB, \
        anon-rss:1024kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:1kB oom_score_adj:1000\n\
        <6>[  991.5] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,\
        oom_memcg=/limited,task_memcg=/limited,task=node,pid=78,uid=0\n";

    #[test]
    fn what_was_killed_within_the_time_is_read_with_what_it_held() {
        let step = Killed {
            name: "a,pid=9 b".to_owned(),
            pid: 77,
            held_bytes: Some(1 << 20),
            is_step: true,
        };
        let other = Killed { name: "node".to_owned(), pid: 78, held_bytes: None, is_step: false };
        assert_eq!(read(LOG, Duration::from_secs(20)), [step, other.clone()]);
        assert_eq!(read(LOG, Duration::from_secs(9)), [other]);
        assert_eq!(read(LOG, Duration::from_secs(901)).len(), 3);
        assert_eq!(read(&LOG.replace("uptime", "no"), Duration::from_secs(20)), []);
    }

    #[test]
    fn steps_are_told_from_containers_for_both_cgroup_drivers() {
        let container = "0".repeat(64);
        for (cgroup, expected) in [
            ("/system.slice/system.slice:docker:kf3x", true),
            ("/docker/kf3xkf3xkf3xkf3xkf3xkf3xk", true),
            ("/docker/buildkit/kf3x", true),
            (&format!("/docker/{container}"), false),
            (&format!("/system.slice/docker-{container}.scope"), false),
            ("/user.slice/x", false),
            ("/", false),
        ] {
            assert_eq!(is_step(cgroup), expected, "{cgroup}");
        }
    }
}
