//! Owns the swarm: a private dockerd of its own that is the one node and manager, in a network of
//! its own, because a swarm's ports and bridge are the network's; and the services of a test,
//! removed at drop.

use std::{path::PathBuf, sync::OnceLock};

use serde_json::{Value, json};

use super::{
    api,
    dockerd::{Dockerd, How},
    unique, wait_until,
};

/// Ends at once on SIGTERM, which the first process of a container would ignore otherwise.
const TASK: &str = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done";

/// The swarm's socket.
#[must_use]
pub fn swarm() -> PathBuf {
    static SWARM: OnceLock<Dockerd> = OnceLock::new();
    let engine = SWARM.get_or_init(|| {
        let engine = Dockerd::start(How::OwnNetwork);
        let body = json!({ "ListenAddr": "127.0.0.1:0", "AdvertiseAddr": "127.0.0.1" });
        api::must(&engine.socket(), "POST", "/swarm/init", Some(&body));
        engine
    });
    engine.socket()
}

/// A service of the swarm.
pub struct SwarmService {
    id: String,
    name: String,
}

/// A task's container: its name, its status, and when it was started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    /// `service.1.id`.
    pub name: String,
    /// `running`, `paused`, …
    pub status: String,
    /// In the engine's words.
    pub started_at: String,
}

impl SwarmService {
    /// A service with so many replicas, whose tasks run.
    #[must_use]
    pub fn replicated(replicas: usize) -> Self {
        let service = Self::create(&json!({ "Replicated": { "Replicas": replicas } }));
        service.wait_until_it_runs(replicas);
        service
    }

    /// A service with one task on each node, which runs.
    #[must_use]
    pub fn global() -> Self {
        let service = Self::create(&json!({ "Global": {} }));
        service.wait_until_it_runs(1);
        service
    }

    fn create(mode: &Value) -> Self {
        let name = unique("svc");
        // More than makeroom knows of: all of it has to survive.
        let container = json!({
            "Image": "busybox", "Command": ["/bin/sh", "-c", TASK], "Labels": { "tier": name }, "Env": ["A=b"],
            "StopGracePeriod": 5_000_000_000_u64,
        });
        let body = json!({
            "Name": name, "Labels": { "a": "b" }, "Mode": mode,
            "TaskTemplate": {
                "ContainerSpec": container, "RestartPolicy": { "Condition": "any", "Delay": 100_000_000 },
                "Resources": { "Limits": { "MemoryBytes": 1 << 30 } }, "LogDriver": { "Name": "json-file", "Options": { "max-file": "3" } },
            },
            "UpdateConfig": { "Parallelism": 2, "Delay": 1_000_000_000, "MaxFailureRatio": 0.15 },
        });
        let answer = api::must(&swarm(), "POST", "/services/create", Some(&body)).json();
        Self { id: answer["ID"].as_str().expect("an id").to_owned(), name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A glob that matches its tasks and nothing else.
    #[must_use]
    pub fn tasks_glob(&self) -> String {
        format!("{}.*", self.name)
    }

    /// The whole spec; `None` where it was removed.
    #[must_use]
    pub fn spec(&self) -> Option<Value> {
        Some(self.look()?["Spec"].take())
    }

    fn look(&self) -> Option<Value> {
        let answer =
            api::ask(&swarm(), "GET", &format!("/services/{}", self.id), "text/plain", b"")
                .expect("the engine");
        (answer.status != 404).then(|| answer.json())
    }

    /// How many replicas it shall have.
    #[must_use]
    pub fn replicas(&self) -> Option<u64> {
        self.spec()?["Mode"]["Replicated"]["Replicas"].as_u64()
    }

    /// `docker service scale`.
    #[track_caller]
    pub fn scale(&self, replicas: u64) {
        let mut now = self.look().expect("the service");
        now["Spec"]["Mode"]["Replicated"]["Replicas"] = json!(replicas);
        let path = format!("/services/{}/update?version={}", self.id, now["Version"]["Index"]);
        api::must(&swarm(), "POST", &path, Some(&now["Spec"]));
    }

    /// `docker service rm`.
    #[track_caller]
    pub fn remove(&self) {
        api::must(&swarm(), "DELETE", &format!("/services/{}", self.id), None);
    }

    /// The containers that its tasks are, whatever they do.
    #[must_use]
    pub fn tasks(&self) -> Vec<Task> {
        let listed = api::must(&swarm(), "GET", "/containers/json?all=1", None).json();
        let is_ours = |container: &&Value| {
            container["Labels"]["com.docker.swarm.service.id"] == json!(self.id)
        };
        let name = |container: &Value| {
            Some(container["Names"][0].as_str()?.trim_start_matches('/').to_owned())
        };
        let names = listed.as_array().into_iter().flatten().filter(is_ours).filter_map(name);
        let task = |name: String| {
            let answer =
                api::ask(&swarm(), "GET", &format!("/containers/{name}/json"), "text/plain", b"")
                    .expect("the engine");
            let state = (answer.status == 200).then(|| answer.json()["State"].take())?;
            let text = |key: &str| state[key].as_str().unwrap_or_default().to_owned();
            Some(Task { name, status: text("Status"), started_at: text("StartedAt") })
        };
        let mut tasks: Vec<Task> = names.filter_map(task).collect();
        tasks.sort();
        tasks
    }

    /// How many of its tasks have this status.
    #[must_use]
    pub fn count(&self, status: &str) -> usize {
        self.tasks().iter().filter(|task| task.status == status).count()
    }

    /// Waits until so many of its tasks run, and no more; and the manager is done with all others: a
    /// task that runs can be one that it has yet to end.
    #[track_caller]
    pub fn wait_until_it_runs(&self, tasks: usize) {
        wait_until(&format!("{tasks} tasks of {} run", self.name), || {
            self.count("running") == tasks && self.is_settled(tasks)
        });
    }

    /// Whether so many of its tasks are to run and do, and all others have ended.
    fn is_settled(&self, tasks: usize) -> bool {
        let path = format!("/tasks?filters=%7B%22service%22%3A%5B%22{}%22%5D%7D", self.id);
        let listed = api::must(&swarm(), "GET", &path, None).json();
        let (to_run, others): (Vec<_>, Vec<_>) = listed
            .as_array()
            .into_iter()
            .flatten()
            .partition(|task| task["DesiredState"] == "running");
        let is_over = |task: &&Value| {
            ["complete", "shutdown", "failed", "rejected", "orphaned"]
                .iter()
                .any(|state| task["Status"]["State"] == *state)
        };
        to_run.len() == tasks
            && to_run.iter().all(|task| task["Status"]["State"] == "running")
            && others.iter().all(is_over)
    }
}

impl Drop for SwarmService {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = api::ask(&swarm(), "DELETE", &format!("/services/{}", self.id), "text/plain", b"");
    }
}
