//! Owns what makeroom knows of Docker Swarm: which containers are tasks of which service, what a journal keeps of a
//! service that is scaled to 0, and how such a service stands in a list of containers. Pure; `engine::swarm` makes
//! the calls.
//!
//! A task that is stopped is replaced by Swarm; one that is paused is not. So a service makes room as a whole, by
//! its number of replicas.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;

use crate::core::target::{
    recorded::{Scaled, Undo},
    seen::Listed,
    state::State,
};

/// Swarm's label on each of its tasks.
pub const TASK: &str = "com.docker.swarm.task.id";
/// Swarm's label with the service that a task is of.
pub const SERVICE: &str = "com.docker.swarm.service.id";
/// A container's label that holds its service's name.
pub const SERVICE_NAME: &str = "com.docker.swarm.service.name";
/// A container's label that holds its task's name: `SERVICE.SLOT.TASK`.
pub const TASK_NAME: &str = "com.docker.swarm.task.name";

/// Why a task is never stopped on its own, in the words for a person who wanted it stopped.
pub const WHY_NEVER_STOPPED: &str = "Swarm would start another one in its place";

/// What a service has where its spec does not say how long a task may take to end (swarmkit, `api/defaults/service.go`).
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// A service as the engine has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// The version that a change has to name, or else is refused.
    pub version: u64,
    /// Whatever the engine says, also what is not known here: an update replaces all of it.
    spec: Value,
}

impl Service {
    /// From the answer to "inspect a service"; `None` where it is something else.
    #[must_use]
    pub fn of(mut answer: Value) -> Option<Self> {
        let id = answer["ID"].as_str()?.to_owned();
        let version = answer["Version"]["Index"].as_u64()?;
        let spec = answer.get_mut("Spec")?.take();
        spec.is_object().then_some(Self { id, version, spec })
    }

    /// Its name; its id where it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.spec["Name"].as_str().unwrap_or(&self.id)
    }

    /// How many tasks it shall have; `None` where it is global or a job, and has no such number.
    #[must_use]
    pub fn replicas(&self) -> Option<u64> {
        self.spec.pointer("/Mode/Replicated/Replicas")?.as_u64()
    }

    /// Its spec with another number and nothing else changed; `None` where it has no such number.
    #[must_use]
    pub fn with_replicas(&self, replicas: u64) -> Option<Value> {
        let mut spec = self.spec.clone();
        *spec.pointer_mut("/Mode/Replicated/Replicas")? = replicas.into();
        Some(spec)
    }

    /// How long a task may take to end.
    #[must_use]
    pub fn grace(&self) -> Duration {
        let own = self
            .spec
            .pointer("/TaskTemplate/ContainerSpec/StopGracePeriod")
            .and_then(Value::as_u64);
        own.map_or(DEFAULT_GRACE, Duration::from_nanos)
    }

    /// A service at 0 has no containers that a selector could mean. This is one in their place, with their names and
    /// their labels, so that another build that means them finds out that they make room already.
    #[must_use]
    pub fn in_place_of_its_tasks(&self, scaled: &Scaled) -> Listed {
        let labels =
            self.spec.pointer("/TaskTemplate/ContainerSpec/Labels").and_then(Value::as_object);
        let mut labels: HashMap<String, String> = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        labels.insert(SERVICE.to_owned(), self.id.clone());
        labels.insert(SERVICE_NAME.to_owned(), self.name().to_owned());
        Listed {
            id: self.id.clone(),
            undo: Undo::SwarmService(scaled.clone()),
            names: scaled.tasks.clone(),
            image: self
                .spec
                .pointer("/TaskTemplate/ContainerSpec/Image")
                .and_then(Value::as_str)
                .map(str::to_owned),
            labels,
            state: State::Stopped,
            ..Listed::default()
        }
    }
}

/// The service that a container with these labels is a task of. Anybody can write labels: what is
/// no id of Swarm's never gets into a request's path.
#[must_use]
pub(crate) fn service_of(labels: &HashMap<String, String>) -> Option<&str> {
    let id = labels.get(TASK).and_then(|_| labels.get(SERVICE))?;
    id.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(mode: &Value) -> Value {
        let task = json!({ "ContainerSpec": { "Image": "i", "Labels": { "tier": "x" }, "StopGracePeriod": 3_000_000_000_u64 }, "Later": [1.5] });
        json!({ "ID": "s", "Version": { "Index": 7 }, "Spec": { "Name": "web", "TaskTemplate": task, "Mode": mode, "Unknown": { "a": null } } })
    }

    fn service(mode: &Value) -> Service {
        Service::of(answer(mode)).expect("a service")
    }

    #[test]
    fn only_a_replicated_service_has_a_number_and_nothing_but_it_is_changed() {
        let replicated = service(&json!({ "Replicated": { "Replicas": 2 } }));
        assert_eq!(
            (replicated.name(), replicated.version, replicated.replicas()),
            ("web", 7, Some(2))
        );
        let expected = answer(&json!({ "Replicated": { "Replicas": 0 } }))["Spec"].take();
        assert_eq!(replicated.with_replicas(0), Some(expected));
        for mode in [
            json!({ "Global": {} }),
            json!({ "ReplicatedJob": { "MaxConcurrent": 1 } }),
            json!({ "GlobalJob": {} }),
            json!(null),
        ] {
            assert_eq!(
                (service(&mode).replicas(), service(&mode).with_replicas(0)),
                (None, None),
                "{mode}"
            );
        }
    }

    #[test]
    fn what_is_no_service_is_none() {
        for other in [
            json!({ "message": "x" }),
            json!([]),
            json!({ "ID": "s", "Version": { "Index": 7 } }),
            json!(null),
        ] {
            assert_eq!(Service::of(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn a_task_may_take_as_long_to_end_as_its_service_says() {
        assert_eq!(service(&json!({})).grace(), Duration::from_secs(3));
        let silent = Service::of(json!({ "ID": "s", "Version": { "Index": 7 }, "Spec": {} }))
            .expect("a service");
        assert_eq!((silent.grace(), silent.name()), (DEFAULT_GRACE, "s"));
    }

    #[test]
    fn a_scaled_service_is_meant_by_what_meant_its_tasks() {
        let scaled = Scaled { replicas: 1, tasks: vec!["web.1.t".to_owned()] };
        let listed =
            service(&json!({ "Replicated": { "Replicas": 0 } })).in_place_of_its_tasks(&scaled);
        for text in
            ["web.*", "label:tier=x", "label:com.docker.swarm.service.name=web", "image:i:latest"]
        {
            let selector: crate::core::target::selector::Selector = text.parse().expect(text);
            assert!(selector.matches(&listed), "{text}");
        }
        assert_eq!((listed.state, listed.part_of), (State::Stopped, None));
        let of =
            |id: &str| HashMap::from([TASK, SERVICE].map(|key| (key.to_owned(), id.to_owned())));
        assert_eq!(service_of(&of("s")), Some("s"));
        assert_eq!(service_of(&of("../s")), None);
        assert_eq!(service_of(&listed.labels), None, "it is no task itself");
    }
}
