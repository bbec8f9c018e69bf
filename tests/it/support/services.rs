//! Owns the containers of a test: made with names that no other test has, looked at over the
//! engine's socket, removed at drop. Their processes end at once on SIGTERM.

use std::{path::PathBuf, thread};

use serde_json::{Value, json};

use super::{api, dockerd::engine, unique, wait_until};

/// Ends at once on SIGTERM, which the first process of a container would ignore otherwise.
const SERVICE: &str = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done";

/// What the services are to be.
#[derive(Clone, Debug)]
pub struct Recipe {
    image: &'static str,
    command: Vec<String>,
    labels: serde_json::Map<String, Value>,
    compose: Option<(String, Vec<String>)>,
    host: serde_json::Map<String, Value>,
    fields: serde_json::Map<String, Value>,
}

impl Default for Recipe {
    fn default() -> Self {
        let command = ["/bin/sh", "-c", SERVICE].map(str::to_owned).to_vec();
        // A network of its own, which nobody needs, is half of what it costs to start it.
        let host = json!({ "NetworkMode": "host" }).as_object().cloned().expect("an object");
        Self {
            image: "busybox",
            command,
            labels: <_>::default(),
            compose: None,
            host,
            fields: <_>::default(),
        }
    }
}

impl Recipe {
    /// Holds so much touched, incompressible memory.
    #[must_use]
    pub fn hog(mebibytes: usize) -> Self {
        let command = vec!["/bin/hog".to_owned(), mebibytes.to_string()];
        Self { image: engine().hog_image(), command, ..Self::default() }
    }

    /// The same, and touches all of it so often.
    #[must_use]
    pub fn busy_hog(mebibytes: usize, every_millis: u64) -> Self {
        let mut hog = Self::hog(mebibytes);
        hog.command.extend(["0".to_owned(), format!("{every_millis}ms")]);
        hog
    }

    /// Holds so much memory that is locked.
    #[must_use]
    pub fn hold(mebibytes: usize) -> Self {
        let command = vec!["/bin/hold".to_owned(), mebibytes.to_string()];
        let image = engine().hog_image();
        Self { image, command, ..Self::default() }.host("CapAdd", json!(["IPC_LOCK"]))
    }

    /// Runs this with `sh -c`.
    #[must_use]
    pub fn script(self, script: &str) -> Self {
        Self { command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(), ..self }
    }

    /// Another image.
    #[must_use]
    pub fn image(self, image: &'static str) -> Self {
        Self { image, ..self }
    }

    /// A label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.into());
        self
    }

    /// Compose's labels; the n-th container is the n-th of these services, each depending on the
    /// one before.
    #[must_use]
    pub fn compose(self, project: &str, services: &[&str]) -> Self {
        Self {
            compose: Some((project.to_owned(), services.iter().map(ToString::to_string).collect())),
            ..self
        }
    }

    /// `--rm`.
    #[must_use]
    pub fn auto_remove(self) -> Self {
        self.host("AutoRemove", json!(true))
    }

    /// `--restart`.
    #[must_use]
    pub fn restart(self, policy: &str) -> Self {
        self.host("RestartPolicy", json!({ "Name": policy }))
    }

    /// Any other field of the engine's HostConfig.
    #[must_use]
    pub fn host(mut self, key: &str, value: Value) -> Self {
        self.host.insert(key.to_owned(), value);
        self
    }

    /// Any other field of the container's own configuration.
    #[must_use]
    pub fn field(mut self, key: &str, value: Value) -> Self {
        self.fields.insert(key.to_owned(), value);
        self
    }

    fn body(&self, index: usize) -> Value {
        let mut labels = self.labels.clone();
        if let Some((project, services)) = &self.compose {
            labels.insert("com.docker.compose.project".to_owned(), json!(project));
            labels.insert("com.docker.compose.service".to_owned(), json!(services[index]));
            let needs = index.checked_sub(1).map_or(String::new(), |before| {
                format!("{}:service_started:false", services[before])
            });
            labels.insert("com.docker.compose.depends_on".to_owned(), json!(needs));
        }
        let mut body = self.fields.clone();
        body.extend(
            [
                ("Image", json!(self.image)),
                ("Cmd", json!(self.command)),
                ("Labels", json!(labels)),
                ("HostConfig", json!(self.host)),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        Value::Object(body)
    }
}

/// What a container is like at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// `running`, `paused`, `exited`, …
    pub status: String,
    /// The container's own first process; 0 where there is none.
    pub pid: i64,
    /// What it ended with the last time; 0 where it never did.
    pub exit_code: i64,
    /// When it was started, in the engine's words.
    pub started_at: String,
    /// The full id.
    pub id: String,
}

/// Some containers.
pub struct Services {
    engine: PathBuf,
    prefix: String,
    recipe: Recipe,
    names: Vec<String>,
}

impl Services {
    /// Starts them, in the engine behind this socket.
    #[must_use]
    pub fn start(engine: PathBuf, recipe: &Recipe, count: usize) -> Self {
        let prefix = unique("it");
        let names = (0..count).map(|index| format!("{prefix}-{index}")).collect();
        let made = Self { engine, prefix, recipe: recipe.clone(), names };
        thread::scope(|scope| {
            for index in 0..count {
                let made = &made;
                scope.spawn(move || made.create(index));
            }
        });
        made
    }

    fn create(&self, index: usize) {
        let name = &self.names[index];
        self.call(
            "POST",
            &format!("/containers/create?name={name}"),
            Some(&self.recipe.body(index)),
        );
        self.call("POST", &format!("/containers/{name}/start"), None);
    }

    /// What the engine is told to make it.
    #[must_use]
    pub fn body(&self, index: usize) -> Value {
        self.recipe.body(index)
    }

    /// What their names begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A glob that matches all of them and nothing else.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}-*", self.prefix)
    }

    /// A name.
    #[must_use]
    pub fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// One container as it is now; `None` where it was removed.
    #[must_use]
    pub fn state(&self, index: usize) -> Option<State> {
        let path = format!("/containers/{}/json", self.names[index]);
        let answer = api::ask(&self.engine, "GET", &path, "text/plain", b"").expect("the engine");
        let body = (answer.status != 404).then(|| answer.json())?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let state = &body["State"];
        let pid = state["Pid"].as_i64().unwrap_or(0);
        let exit_code = state["ExitCode"].as_i64().unwrap_or(0);
        Some(State {
            status: text(&state["Status"]),
            pid,
            exit_code,
            started_at: text(&state["StartedAt"]),
            id: text(&body["Id"]),
        })
    }

    /// All of them as they are now.
    #[must_use]
    pub fn states(&self) -> Vec<Option<State>> {
        (0..self.count()).map(|index| self.state(index)).collect()
    }

    /// Their statuses; `gone` where one was removed.
    #[must_use]
    pub fn statuses(&self) -> Vec<String> {
        self.states()
            .into_iter()
            .map(|state| state.map_or("gone".to_owned(), |state| state.status))
            .collect()
    }

    /// Whether each has this status.
    #[must_use]
    pub fn are(&self, status: &str) -> bool {
        self.statuses().iter().all(|found| found == status)
    }

    /// Waits until each has this status.
    #[track_caller]
    pub fn wait_until_all(&self, status: &str) {
        wait_until(&format!("all of {} are {status}", self.all()), || self.are(status));
    }

    /// `docker pause`, `unpause`, `stop`, `start`, `restart`, `kill?signal=…`.
    #[track_caller]
    pub fn tell(&self, index: usize, verb: &str) {
        let path = format!("/containers/{}/{verb}", self.names[index]);
        // A busy machine's kernel can be unable to freeze one that has just begun.
        let is_done = || match api::ask(&self.engine, "POST", &path, "application/json", b"") {
            Ok(answer) if answer.status == 500 && answer.text().contains("unable to freeze") => {
                false
            }
            Ok(answer) if answer.status < 400 => true,
            Ok(answer) => panic!("{verb}: {} {}", answer.status, answer.text()),
            Err(error) => panic!("{verb}: {error}"),
        };
        wait_until(&format!("the engine has done `{verb}`"), is_done);
    }

    /// `docker rm -f`.
    #[track_caller]
    pub fn remove(&self, index: usize) {
        self.call("DELETE", &format!("/containers/{}?force=1", self.names[index]), None);
    }

    /// Removed, and another one with the same name started.
    #[track_caller]
    pub fn replace(&self, index: usize) {
        self.remove(index);
        self.create(index);
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> api::Answer {
        api::must(&self.engine, method, path, body)
    }

    /// What it has printed so far.
    #[must_use]
    pub fn log(&self, index: usize) -> String {
        let body = self
            .call("GET", &format!("/containers/{}/logs?stdout=1", self.names[index]), None)
            .body;
        // Each piece has a head of eight bytes, the last four its length (API, "Attach to a
        // container").
        let mut rest = &body[..];
        let mut text = Vec::new();
        while let Some((head, after)) = rest.split_at_checked(8) {
            let length = u32::from_be_bytes(head[4..].try_into().expect("four bytes")) as usize;
            text.extend_from_slice(&after[..length]);
            rest = &after[length..];
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let engine = &self.engine;
        thread::scope(|scope| {
            for name in &self.names {
                // It may be gone already.
                scope.spawn(move || {
                    let path = format!("/containers/{name}?force=1");
                    let _ = api::ask(engine, "DELETE", &path, "text/plain", b"");
                });
            }
        });
    }
}
