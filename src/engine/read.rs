//! Owns what the engine's answers about containers mean, read value by value: one that makes no
//! sense, or is new, is no reason not to read the others. Pure.

use std::{collections::HashMap, fmt, time::Duration};

use jiff::Timestamp;
use serde::{
    Deserializer as _,
    de::{SeqAccess, Visitor},
};
use serde_json::Value;

use crate::core::target::{
    cgroup_of::CgroupOf,
    container,
    healthcheck::{self, Word},
    lives_in, log_driver,
    recorded::Undo,
    seen::{Listed, Listing, Seen},
    state::{Incarnation, State},
    swarm_service, watcher,
};

/// The engine's own default for a container without a stop timeout (moby,
/// `container.DefaultStopTimeout`).
const DEFAULT_STOP: Duration = Duration::from_secs(10);

/// Reads a list of containers of the engine with this socket, where that is on its own host.
///
/// # Errors
/// Where it is no list.
pub(super) fn list(answer: &[u8], socket: Option<&str>) -> Result<Listing, String> {
    let mut read = serde_json::Deserializer::from_slice(answer);
    let listing = read
        .deserialize_seq(Containers { socket })
        .and_then(|listing| read.end().map(|()| listing));
    listing.map_err(|error| format!("it is no list of containers: {error}"))
}

/// Each is read and let go: a list of thousands is never in memory as a whole.
struct Containers<'a> {
    socket: Option<&'a str>,
}

impl<'de> Visitor<'de> for Containers<'_> {
    type Value = Listing;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Listing, A::Error> {
        let mut listing = Listing::default();
        while let Some(one) = all.next_element::<Value>()? {
            match listed(&one, self.socket) {
                Some(listed) => listing.targets.push(listed),
                None => listing.unreadable.push(names(&one).into_iter().next()),
            }
        }
        Ok(listing)
    }
}

fn names(one: &Value) -> Vec<String> {
    let names = one["Names"].as_array().into_iter().flatten();
    names.filter_map(|name| Some(name.as_str()?.trim_start_matches('/').to_owned())).collect()
}

/// `None` without an id: nothing can be asked or done without one.
fn listed(one: &Value, socket: Option<&str>) -> Option<Listed> {
    // It becomes part of a request's path.
    let is_id = |id: &&str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let labels = texts(&one["Labels"]);
    let mounts = one["Mounts"].as_array().into_iter().flatten();
    let mounts: Vec<String> =
        mounts.filter_map(|mount| mount["Source"].as_str().map(str::to_owned)).collect();
    let names = names(one);
    let watch = watcher::watch(&watcher::Facts {
        socket,
        mounts: &mounts,
        names: &names,
        image: one["Image"].as_str().unwrap_or_default(),
        command: one["Command"].as_str().unwrap_or_default(),
    });
    Some(Listed {
        id: one["Id"].as_str().filter(is_id)?.to_owned(),
        names,
        watch,
        image: one["Image"].as_str().map(str::to_owned),
        part_of: swarm_service::service_of(&labels).map(str::to_owned),
        labels,
        undo: Undo::Container,
        created_at: one["Created"].as_i64(),
        state: match one["State"].as_str().unwrap_or_default() {
            "running" => State::Running,
            "paused" => State::Paused,
            "restarting" => State::Starting,
            // Of one in a state that is new nothing is believed until it is inspected.
            _ => State::Stopped,
        },
        ports: one["Ports"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|port| u16::try_from(port["PublicPort"].as_u64()?).ok())
            .collect(),
    })
}

fn texts(map: &Value) -> HashMap<String, String> {
    map.as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// What the inspection of a container came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inspection {
    Of(Box<Seen>),
    /// A removal that an engine died over is never finished, and what it leaves is `dead` for good:
    /// nobody can start it (moby, `daemon/start.go`: "marked for removal").
    Removing,
}

/// Reads the inspection of the container with this id, or name.
///
/// # Errors
/// Where it does not say what the container does, or is about another one.
pub(super) fn inspection(answer: &[u8], asked: &str) -> Result<Inspection, String> {
    let whole: Value =
        serde_json::from_slice(answer).map_err(|error| format!("it is no container: {error}"))?;
    let is_whole_id = |id: &str| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_whole_id(asked) && whole["Id"].as_str().is_some_and(|id| id != asked) {
        return Err("it is about another container".to_owned());
    }
    let id = whole["Id"].as_str().unwrap_or(asked);
    let state = &whole["State"];
    let activity =
        activity(state).ok_or_else(|| "it does not say whether the container runs".to_owned())?;
    if activity == State::Stopped && matches!(state["Status"].as_str(), Some("removing" | "dead")) {
        return Ok(Inspection::Removing);
    }
    let (config, host) = (&whole["Config"], &whole["HostConfig"]);
    // Half a command is another command.
    let words = |list: &Value| -> Vec<String> {
        let words =
            list.as_array().into_iter().flatten().map(|word| word.as_str().map(str::to_owned));
        words.collect::<Option<_>>().unwrap_or_default()
    };
    let log = texts(&host["LogConfig"]["Config"]);
    let check = &config["Healthcheck"];
    Ok(Inspection::Of(Box::new(Seen {
        state: activity,
        incarnation: Incarnation::of_start(state["StartedAt"].as_str().unwrap_or_default()),
        ended_at: time(&state["FinishedAt"]),
        cgroup: state["Pid"]
            .as_i64()
            .and_then(|pid| i32::try_from(pid).ok())
            .filter(|pid| *pid > 0)
            .map(|pid| CgroupOf::Process { pid, id: id.to_owned() }),
        stop_patience: stop_patience(config["StopTimeout"].as_i64()),
        never_stopped: container::why_never_stopped(
            &texts(&config["Labels"]),
            host["AutoRemove"].as_bool().unwrap_or(false),
        ),
        log_port: log_driver::port(
            host["LogConfig"]["Type"].as_str().unwrap_or_default(),
            log.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        ),
        is_healthy: is_healthy(&state["Health"]),
        lives_in: lives_in::of_settings(|key| host[key].as_str()),
        word: Word::of(state["Health"]["Status"].as_str().unwrap_or_default()),
        probe: healthcheck::probe(
            &words(&check["Test"]),
            &words(&config["Shell"]),
            check["Timeout"].as_i64(),
            check["Interval"].as_i64(),
        ),
    })))
}

/// `None` for the zero of the engine's clock, too.
fn time(at: &Value) -> Option<Timestamp> {
    at.as_str()?.parse::<Timestamp>().ok().filter(|at| at.as_second() > 0)
}

/// The flags decide, which every engine has; the word beside them may be new, and is asked only
/// where they are missing. While paused, `Running` is true as well; while restarting, it can be
/// either.
fn activity(state: &Value) -> Option<State> {
    let is = |flag: &str| state[flag].as_bool();
    match (is("Paused"), is("Running")) {
        (Some(true), _) => Some(State::Paused),
        _ if is("Restarting") == Some(true) => Some(State::Starting),
        (Some(false), Some(true)) => Some(State::Running),
        (Some(false), Some(false)) => Some(State::Stopped),
        _ => match state["Status"].as_str()? {
            "running" => Some(State::Running),
            "paused" => Some(State::Paused),
            "restarting" => Some(State::Starting),
            "created" | "exited" | "dead" | "removing" | "stopped" | "configured"
            | "initialized" => Some(State::Stopped),
            _ => None,
        },
    }
}

/// An engine that is paused a container for stops asking and calls that `unhealthy`, until it has
/// asked again after (moby, `container/health.go`, `CloseMonitorChannel`): what was content when it
/// was last asked is healthy.
fn is_healthy(health: &Value) -> bool {
    let was_content = || {
        health["Log"]
            .as_array()
            .and_then(|log| log.last())
            .is_some_and(|last| last["ExitCode"].as_i64() == Some(0))
    };
    match health["Status"].as_str() {
        Some("healthy") => true,
        Some("unhealthy") => health["FailingStreak"].as_i64() == Some(0) && was_content(),
        _ => false,
    }
}

/// How long a container is given to stop that has this timeout of its own, in seconds: a negative
/// one means for ever.
fn stop_patience(own: Option<i64>) -> Option<Duration> {
    own.map_or(Some(DEFAULT_STOP), |seconds| u64::try_from(seconds).ok().map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::target::samples;

    fn read(list: &Value) -> Listing {
        crate::engine::read::list(list.to_string().as_bytes(), None).expect("a list")
    }

    #[test]
    fn one_container_that_is_new_or_broken_costs_none_of_the_others() {
        let well = json!({ "Id": "b", "Names": ["/web"], "State": "running", "Labels": { "k": "v" }, "Ports": [{ "PublicPort": 80, "Type": "tcp" }] });
        let plain = |id: &str, state| Listed {
            id: id.to_owned(),
            names: vec![],
            state,
            ..samples::listed(id)
        };
        for (odd, expected) in [
            (json!({ "Id": "a", "State": "stopping" }), plain("a", State::Stopped)),
            (
                json!({ "Id": "a", "State": 7, "Names": null, "Labels": null, "Ports": null }),
                plain("a", State::Stopped),
            ),
            (
                json!({ "Id": "a", "State": "paused", "Names": "x", "Labels": [], "Ports": "y" }),
                plain("a", State::Paused),
            ),
            (
                json!({ "Id": "a", "State": "running", "Ports": [{ "Type": "quic", "PublicPort": 70_000 }], "Mounts": [{ "Type": "new" }], "Health": { "Status": "new" } }),
                plain("a", State::Running),
            ),
            (
                json!({ "Id": "a", "State": "restarting", "Names": ["/n", 3], "Labels": { "k": 1, "l": "v" } }),
                Listed {
                    names: vec!["n".to_owned()],
                    labels: HashMap::from([("l".to_owned(), "v".to_owned())]),
                    ..plain("a", State::Starting)
                },
            ),
        ] {
            let listing = read(&json!([odd, well]));
            assert_eq!(listing.targets[0], expected, "{odd}");
            assert_eq!(
                (&listing.targets[1].names[..], &listing.targets[1].ports[..]),
                (&["web".to_owned()][..], &[80][..])
            );
            assert!(listing.unreadable.is_empty(), "{odd}");
        }
        for broken in [
            json!(null),
            json!({}),
            json!({ "Id": null }),
            json!({ "Id": "" }),
            json!({ "Id": "../a" }),
            json!([1]),
        ] {
            let listing = read(&json!([broken, well, { "Id": 1, "Names": ["/db"] }]));
            assert_eq!(listing.targets.len(), 1, "{broken}");
            assert_eq!(listing.unreadable, [None, Some("db".to_owned())], "{broken}");
        }
        for no_list in ["", "{}", "[{}", "null", "[] x"] {
            list(no_list.as_bytes(), None).expect_err(no_list);
        }
    }

    #[test]
    fn the_flags_decide_what_a_container_does_and_the_word_beside_them_only_where_they_are_missing()
    {
        use State::{Paused, Running, Starting, Stopped};
        for (state, expected) in [
            (json!({ "Running": true, "Paused": false, "Status": "stopping" }), Some(Running)),
            (json!({ "Running": true, "Paused": true, "Status": "new" }), Some(Paused)),
            (json!({ "Running": false, "Paused": true }), Some(Paused)),
            (json!({ "Running": true, "Paused": false, "Restarting": true }), Some(Starting)),
            (json!({ "Running": false, "Paused": false, "Status": "running" }), Some(Stopped)),
            (json!({ "Status": "running" }), Some(Running)),
            (json!({ "Running": null, "Paused": "yes", "Status": "paused" }), Some(Paused)),
            (json!({ "Running": true }), None),
            (json!({ "Status": "new" }), None),
            (json!({}), None),
            (Value::Null, None),
        ] {
            assert_eq!(activity(&state), expected, "{state}");
        }
    }

    #[test]
    fn what_an_inspection_leaves_out_is_not_known_and_what_is_about_another_is_refused() {
        let id = "ab".repeat(32);
        let of = |state: Value| {
            inspection(json!({ "Id": id, "State": state }).to_string().as_bytes(), &id)
        };
        let running = |more: Value| {
            let mut state = json!({ "Running": true, "Paused": false, "StartedAt": "t", "Pid": 7 });
            state
                .as_object_mut()
                .expect("an object")
                .extend(more.as_object().expect("an object").clone());
            match of(state) {
                Ok(Inspection::Of(now)) => (now.incarnation, now.cgroup.is_some(), now.is_healthy),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(running(json!({})), (Incarnation::new("t"), true, false));
        for (more, expected) in [
            (json!({ "StartedAt": "0001-01-01T00:00:00Z" }), ("", true, false)),
            (json!({ "StartedAt": null }), ("", true, false)),
            (json!({ "Pid": -1 }), ("t", false, false)),
            (json!({ "Pid": 1_u64 << 40 }), ("t", false, false)),
            (json!({ "Health": { "Status": "new" } }), ("t", true, false)),
            (json!({ "Health": { "Status": "healthy", "Log": 3 } }), ("t", true, true)),
            (
                json!({ "Health": { "Status": "unhealthy", "FailingStreak": 0, "Log": [{ "ExitCode": 0 }] } }),
                ("t", true, true),
            ),
            (
                json!({ "Health": { "Status": "unhealthy", "FailingStreak": 1, "Log": [{ "ExitCode": 0 }] } }),
                ("t", true, false),
            ),
        ] {
            assert_eq!(
                running(more.clone()),
                (Incarnation::new(expected.0), expected.1, expected.2),
                "{more}"
            );
        }
        for gone in ["removing", "dead"] {
            assert_eq!(
                of(json!({ "Running": false, "Paused": false, "Status": gone })),
                Ok(Inspection::Removing)
            );
            assert!(
                matches!(
                    of(json!({ "Running": true, "Paused": true, "Status": gone })),
                    Ok(Inspection::Of(_))
                ),
                "it can be thawed"
            );
        }
        assert_eq!(of(Value::Null), Err("it does not say whether the container runs".to_owned()));
        let other = json!({ "Id": "cd".repeat(32), "State": { "Running": true, "Paused": false } })
            .to_string();
        assert_eq!(
            inspection(other.as_bytes(), &id),
            Err("it is about another container".to_owned())
        );
        assert!(matches!(inspection(other.as_bytes(), "a-name"), Ok(Inspection::Of(_))));
    }

    #[test]
    fn the_time_to_stop_is_the_containers_own_and_may_have_no_end() {
        for (own, expected) in [
            (None, Some(DEFAULT_STOP)),
            (Some(60), Some(Duration::from_mins(1))),
            (Some(0), Some(Duration::ZERO)),
            (Some(-1), None),
        ] {
            assert_eq!(stop_patience(own), expected);
        }
    }
}
