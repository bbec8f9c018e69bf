//! Owns reading a container's own health check: what is asked, and how long an answer may take. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The engine's own where the check names none (moby, `daemon/health.go`, `defaultProbeTimeout`).
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);
/// The same of the time between two times (`defaultProbeInterval`).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);

/// A container's health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The program and its arguments, run in the container.
    pub command: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
    /// How long the engine waits before it asks, and between two times.
    pub interval: Duration,
}

/// The engine's own word for a target's health. It is what whoever asks the engine goes by, and it
/// changes only when the engine itself asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It has none: there is no check.
    #[default]
    None,
    /// The check was content.
    Healthy,
    /// The check was not, or the engine has not asked since it was paused.
    Unhealthy,
    /// The engine has not asked since it was started.
    Starting,
}

impl Word {
    /// By what the engine writes (Docker API, `State.Health.Status`).
    #[must_use]
    pub fn of(status: &str) -> Self {
        match status {
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            "starting" => Self::Starting,
            _ => Self::None,
        }
    }

    /// Whether nobody is turned away by it.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::None | Self::Healthy)
    }
}

/// What runs a script where the image names no `SHELL` (moby, `daemon/health.go`, `getShell`).
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The check of a container whose configuration has this `Healthcheck.Test`, `.Timeout` and `.Interval` (in nanoseconds,
/// 0: the default) and this `Shell` (empty: the default); `None` where it has none (Docker API, "Inspect a container").
#[must_use]
pub fn probe(
    test: &[String],
    shell: &[String],
    timeout_nanoseconds: Option<i64>,
    interval_nanoseconds: Option<i64>,
) -> Option<Probe> {
    let (kind, words) = test.split_first()?;
    let command = match (kind.as_str(), words) {
        ("CMD", [_, ..]) => words.to_vec(),
        ("CMD-SHELL", [script, ..]) if shell.is_empty() => {
            DEFAULT_SHELL.iter().copied().chain([script.as_str()]).map(str::to_owned).collect()
        }
        ("CMD-SHELL", [script, ..]) => shell.iter().chain([script]).cloned().collect(),
        _ => return None,
    };
    let time = |nanoseconds: Option<i64>, default| {
        let own = nanoseconds.and_then(|nanoseconds| u64::try_from(nanoseconds).ok());
        own.filter(|nanoseconds| *nanoseconds > 0).map_or(default, Duration::from_nanos)
    };
    Some(Probe {
        command,
        limit: time(timeout_nanoseconds, DEFAULT_LIMIT),
        interval: time(interval_nanoseconds, DEFAULT_INTERVAL),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_command_or_a_script_and_anything_else_is_none() {
        let of = |test: &[&str]| {
            probe(&test.iter().map(ToString::to_string).collect::<Vec<_>>(), &[], None, None)
                .map(|probe| probe.command.join(" "))
        };
        for (test, expected) in [
            (&["CMD", "pg_isready", "-q"][..], Some("pg_isready -q")),
            (
                &["CMD-SHELL", "curl -f localhost || exit 1"],
                Some("/bin/sh -c curl -f localhost || exit 1"),
            ),
            (&["NONE"], None),
            (&["CMD"], None),
            (&["CMD-SHELL"], None),
            (&[], None),
        ] {
            assert_eq!(of(test).as_deref(), expected, "{test:?}");
        }
    }

    #[test]
    fn a_script_is_run_by_the_images_shell() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let of = |test: &[&str]| {
            probe(&words(test), &words(&["/bin/bash", "-ec"]), None, None)
                .map(|probe| probe.command)
        };
        assert_eq!(
            of(&["CMD-SHELL", "[[ -e x ]]"]),
            Some(words(&["/bin/bash", "-ec", "[[ -e x ]]"]))
        );
        assert_eq!(of(&["CMD", "x"]), Some(words(&["x"])));
    }

    #[test]
    fn a_check_without_times_of_its_own_has_the_engines() {
        let of = |nanoseconds| {
            let probe = probe(&["CMD".to_owned(), "x".to_owned()], &[], nanoseconds, nanoseconds);
            probe.map(|probe| (probe.limit, probe.interval))
        };
        let time = Duration::from_millis(1500);
        assert_eq!(of(Some(1_500_000_000)), Some((time, time)));
        for none in [None, Some(0), Some(-1)] {
            assert_eq!(of(none), Some((DEFAULT_LIMIT, DEFAULT_INTERVAL)));
        }
    }
}
