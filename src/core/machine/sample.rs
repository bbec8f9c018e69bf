//! Owns a host's figures at one moment of a build. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the sampling script prints at the start of each line of figures.
const MARK: &str = "makeroom-sample ";

/// One look at the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSample {
    /// MemAvailable.
    pub available_bytes: u64,
    /// MemTotal; `None` if it was not asked for.
    pub total_bytes: Option<u64>,
    /// How much is in swap.
    pub swap_used_bytes: u64,
    /// The time for which some task was stalled on memory since boot; `None` where there is no PSI.
    pub some_stall: Option<Duration>,
    /// The time for which all tasks were.
    pub full_stall: Option<Duration>,
    /// What the kernel has killed for memory since boot.
    pub oom_kills: Option<u64>,
    /// What the engine's builder steps hold; `None` if they are not looked for.
    pub build_bytes: Option<u64>,
}

/// Reads a line of the sampling script: MemAvailable and used swap in KiB, some and full stall in
/// microseconds, kills, the build's bytes, and MemTotal in KiB; `-` for what is not known. Anything
/// else that a shell prints is no sample.
#[must_use]
pub fn read(line: &str) -> Option<HostSample> {
    let mut fields =
        line.trim_end().strip_prefix(MARK)?.split(' ').map(|field| field.parse::<u64>().ok());
    let available_kib = fields.next()??;
    let [swap_used_kib, some_stall, full_stall] = [fields.next()?, fields.next()?, fields.next()?];
    let [oom_kills, build_bytes, total_kib] = [fields.next()?, fields.next()?, fields.next()?];
    Some(HostSample {
        available_bytes: available_kib.checked_mul(1024)?,
        total_bytes: total_kib.and_then(|kib| kib.checked_mul(1024)),
        swap_used_bytes: swap_used_kib.unwrap_or(0).checked_mul(1024)?,
        some_stall: some_stall.map(Duration::from_micros),
        full_stall: full_stall.map(Duration::from_micros),
        oom_kills,
        build_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_read_and_noise_is_none() {
        let whole = HostSample {
            available_bytes: 2048,
            total_bytes: Some(4096),
            swap_used_bytes: 3072,
            some_stall: Some(Duration::from_micros(8)),
            full_stall: Some(Duration::from_micros(7)),
            oom_kills: Some(1),
            build_bytes: Some(9),
        };
        assert_eq!(read("makeroom-sample 2 3 8 7 1 9 4"), Some(whole));
        assert_eq!(read("makeroom-sample 2 3 8 7 1 9 4\r"), Some(whole));
        let bare = HostSample { available_bytes: 2048, ..HostSample::default() };
        assert_eq!(read("makeroom-sample 2 - - - - - -"), Some(bare));
        for noise in [
            "",
            "Welcome to Ubuntu",
            "makeroom-sample",
            "makeroom-sample - 1 2 3 4 5 6",
            "makeroom-sample 1 2",
            "makeroom-sample 99999999999999999999 1 2 3 4 5 6",
        ] {
            assert_eq!(read(noise), None, "{noise}");
        }
    }
}
