//! Owns the calls to the engine, each bounded in time, and what the engine's replies mean.
//! Runs in the keeper and in short commands.

use std::{fmt, future::Future, io, path::Path, time::Duration};

use bollard::{
    ClientVersion, Docker,
    models::{ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum, Health, HealthStatusEnum},
    query_parameters::{InspectContainerOptions, ListContainersOptions, StartContainerOptions, StopContainerOptionsBuilder},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    endpoint::Endpoint,
    ping::{self, ApiVersion},
};
use crate::core::{
    address::Address,
    log_driver, probe,
    target::{Activity, Inspected, Listed},
    text,
};

/// Questions are answered in milliseconds by an engine that is well.
pub(super) const QUESTION: Duration = Duration::from_secs(10);
/// Freezing waits for nothing but the kernel.
pub const PAUSE: Duration = Duration::from_secs(10);
/// Starting runs hooks, mounts and networks.
const START: Duration = Duration::from_secs(30);
/// What the engine adds to the time a container is given to stop.
pub const STOP_MARGIN: Duration = Duration::from_secs(15);
/// The engine's own default for a container without a stop timeout (moby, `container.DefaultStopTimeout`).
const DEFAULT_STOP: Duration = Duration::from_secs(10);

/// A connection to one engine.
#[derive(Clone)]
pub struct Engine {
    pub(super) docker: Docker,
}

/// Why a call did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the engine at {url} ({named_by}) cannot be reached: {source}")]
    Unreachable { url: String, named_by: String, source: io::Error },
    #[error("{reason}")]
    Unnamed { reason: String },
    #[error("the engine says {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("the engine has not answered for {} s", after.as_secs())]
    Silent { after: Duration },
    #[error("the engine's answer was lost: {cause}")]
    Lost { cause: String },
    #[error("the engine at {url} does not know it, and the journal does not tell of another one")]
    Unknown { url: String },
    #[error("the container is being removed")]
    Removing,
    #[error("the engine says that it is done, and nothing has changed")]
    NotSeen,
    #[error("the service has no number of replicas")]
    NotReplicated,
    #[error("somebody else has changed the service's number of replicas")]
    Rescaled,
    #[error("its tasks are still there after {} s", after.as_secs())]
    TasksStay { after: Duration },
}

impl EngineError {
    /// There is no such container, or there is none any more that could be made to run.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. } | Self::Removing)
    }

    /// The kernel could not freeze all processes at that moment, and the runtime has thawed them again
    /// (runc, `libcontainer/cgroups/fs/freezer.go`).
    #[must_use]
    pub fn is_freezer_busy(&self) -> bool {
        matches!(self, Self::Refused { status: 500.., message } if message.contains("unable to freeze"))
    }

    /// The container is not in a state for this: 409. Or the service is not.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. } | Self::Rescaled)
    }

    /// The service was changed since it was looked at, so nothing is done (swarmkit, `manager/state/store/memory.go`).
    #[must_use]
    pub fn is_out_of_sequence(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("update out of sequence"))
    }

    /// The engine itself is gone or went away, as opposed to refusing this call.
    #[must_use]
    pub fn is_engine_gone(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Lost { .. })
    }

    /// Whether the engine may have acted, or may still act, though it did not say so.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        // A 5xx can come from a runtime that failed half-way.
        matches!(self, Self::Silent { .. } | Self::Lost { .. } | Self::TasksStay { .. } | Self::Refused { status: 500.., .. })
    }

    /// What a person can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { source, .. } => Some(match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    "add yourself to the socket's group (`sudo usermod -aG docker \"$USER\"`, then log in again), or use sudo".to_owned()
                }
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    "start the engine, or name it with --engine unix:///PATH or --context NAME".to_owned()
                }
                _ => "`docker version` with the same settings shows whether the engine answers".to_owned(),
            }),
            _ => None,
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Connects, and agrees on an API version. `tunnel` is the socket of this machine through which an
    /// engine behind ssh is reached.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`], with the socket's own error.
    pub async fn connect(endpoint: &Endpoint, tunnel: Option<&Path>) -> Result<Self, EngineError> {
        let connected = match (tunnel, &endpoint.address) {
            (Some(socket), _) => through_socket(socket).await,
            (None, Address::Unix(socket)) => through_socket(socket).await,
            (None, Address::Tcp { .. }) => through_tcp(endpoint).await,
            (None, Address::Ssh { .. }) => Err(io::Error::new(io::ErrorKind::Unsupported, "there is no tunnel to it")),
        };
        let unreachable = |source| EngineError::Unreachable { url: endpoint.url(), named_by: endpoint.named_by.clone(), source };
        connected.map(|docker| Self { docker }).map_err(unreachable)
    }

    /// All containers, whatever they do.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn list(&self) -> Result<Vec<Listed>, EngineError> {
        let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
        let asking = async { with_podmans_states(self.docker.list_containers(Some(options)).await) };
        let listed = bounded(QUESTION, asking).await?;
        Ok(listed.into_iter().filter_map(of_summary).collect())
    }

    /// One container as it is now.
    ///
    /// # Errors
    /// [`EngineError`]; [`EngineError::is_not_found`] where there is none with this id, or none any more.
    pub async fn inspect(&self, id: &str) -> Result<Inspected, EngineError> {
        let asking = async { with_podmans_states(self.docker.inspect_container(id, None::<InspectContainerOptions>).await) };
        let answer = bounded(QUESTION, asking).await?;
        if is_being_removed(&answer) { Err(EngineError::Removing) } else { Ok(of_inspection(&answer)) }
    }

    /// Freezes a running container. 409 where it is paused, stopped or restarting. Takes as long as the engine does:
    /// whoever waits for it sets the limit.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn pause(&self, id: &str) -> Result<(), EngineError> {
        self.docker.pause_container(id).await.map_err(refusal)
    }

    /// Thaws a paused container. 500 where it is not paused (moby, `daemon/unpause.go`).
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn unpause(&self, id: &str) -> Result<(), EngineError> {
        bounded(PAUSE, self.docker.unpause_container(id)).await
    }

    /// Stops a container; stopped already is fine. `patience` is the container's own where `None`. Takes as long as the
    /// engine does, as [`Self::pause`].
    ///
    /// # Errors
    /// [`EngineError`]. The engine goes on stopping though nobody waits.
    pub async fn stop(&self, id: &str, patience: Option<Duration>) -> Result<(), EngineError> {
        let options = patience.map(|patience| {
            let seconds = i32::try_from(patience.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
            StopContainerOptionsBuilder::default().t(seconds).build()
        });
        self.docker.stop_container(id, options).await.map_err(refusal)
    }

    /// Starts a stopped container; running already is fine.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn start(&self, id: &str) -> Result<(), EngineError> {
        bounded(START, self.docker.start_container(id, None::<StartContainerOptions>)).await
    }
}

/// bollard's own limit, in seconds, only has to be above each of ours.
const NO_LIMIT: u64 = u32::MAX as u64;

async fn through_socket(socket: &Path) -> io::Result<Docker> {
    let newest = bollard::API_DEFAULT_VERSION;
    let known = ApiVersion { major: newest.major_version, minor: newest.minor_version };
    let spoken = ping::api_version(socket, known).await?;
    let version = ClientVersion { major_version: spoken.major, minor_version: spoken.minor };
    Docker::connect_with_unix(&socket.to_string_lossy(), NO_LIMIT, &version).map_err(io::Error::other)
}

async fn through_tcp(endpoint: &Endpoint) -> io::Result<Docker> {
    let (url, version) = (endpoint.url(), bollard::API_DEFAULT_VERSION);
    let docker = match &endpoint.certificates {
        Some(dir) => {
            let file = |name| dir.join(name);
            Docker::connect_with_ssl(&url, &file("key.pem"), &file("cert.pem"), &file("ca.pem"), NO_LIMIT, version)
        }
        None => Docker::connect_with_http(&url, NO_LIMIT, version),
    };
    let docker = docker.map_err(|error| io::Error::other(innermost(&error)))?;
    match tokio::time::timeout(QUESTION, docker.negotiate_version()).await {
        Ok(agreed) => agreed.map_err(|error| io::Error::other(innermost(&error))),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", QUESTION.as_secs()))),
    }
}

pub(super) async fn bounded<T>(limit: Duration, call: impl Future<Output = Result<T, bollard::errors::Error>>) -> Result<T, EngineError> {
    match tokio::time::timeout(limit, call).await {
        Err(_) | Ok(Err(bollard::errors::Error::RequestTimeoutError)) => Err(EngineError::Silent { after: limit }),
        Ok(result) => result.map_err(refusal),
    }
}

/// What an answer that is an error means.
pub(super) fn refusal(error: bollard::errors::Error) -> EngineError {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, message } => {
            EngineError::Refused { status: status_code, message: text::printable(message.trim()) }
        }
        error => EngineError::Lost { cause: text::printable(&innermost(&error)) },
    }
}

/// Podman's states that docker does not have, and docker's words for them (podman, `libpod/define/containerstate.go`).
const PODMANS_STATES: [(&str, &str); 4] =
    [("stopped", "exited"), ("initialized", "created"), ("configured", "created"), ("unknown", "exited")];

/// bollard knows docker's states alone, and reads nothing of a list in which one container is in another.
fn with_podmans_states<T: DeserializeOwned>(answer: Result<T, bollard::errors::Error>) -> Result<T, bollard::errors::Error> {
    answer.or_else(|error| {
        let bollard::errors::Error::JsonDataError { contents, .. } = &error else { return Err(error) };
        let Ok(mut json) = serde_json::from_str::<Value>(contents) else { return Err(error) };
        let states = match &mut json {
            Value::Array(listed) => listed.iter_mut().filter_map(|container| container.get_mut("State")).collect(),
            inspected => Vec::from_iter(inspected.pointer_mut("/State/Status")),
        };
        for state in states {
            if let Some((_, docker)) = PODMANS_STATES.iter().find(|(podman, _)| state == podman) {
                *state = Value::from(*docker);
            }
        }
        serde_json::from_value(json).map_err(|_| error)
    })
}

/// The last cause says what happened; what wraps it says only that something did.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    // An engine's own message can end with a line's end.
    cause.to_string().trim().replace('\n', " ")
}

fn of_summary(summary: ContainerSummary) -> Option<Listed> {
    use ContainerSummaryStateEnum as State;
    let names = summary.names.unwrap_or_default();
    Some(Listed {
        id: summary.id?,
        names: names.iter().map(|name| name.trim_start_matches('/').to_owned()).collect(),
        labels: summary.labels.unwrap_or_default(),
        activity: match summary.state {
            Some(State::RUNNING) => Activity::Running,
            Some(State::PAUSED) => Activity::Paused,
            Some(State::RESTARTING) => Activity::Restarting,
            _ => Activity::Stopped,
        },
        ports: summary.ports.unwrap_or_default().iter().filter_map(|port| port.public_port).collect(),
    })
}

/// A removal that an engine died over is never finished, and what it leaves is `dead` for good: nobody can start it
/// (moby, `daemon/start.go`: "marked for removal").
fn is_being_removed(answer: &ContainerInspectResponse) -> bool {
    use ContainerStateStatusEnum as Status;
    matches!(answer.state.as_ref().and_then(|state| state.status), Some(Status::REMOVING | Status::DEAD))
}

/// An engine that is paused a container for stops asking and calls that `unhealthy`, until it has asked again after
/// (moby, `container/health.go`, `CloseMonitorChannel`): what was content when it was last asked is healthy.
fn is_healthy(health: &Health) -> bool {
    let was_content = || health.log.iter().flatten().next_back().is_some_and(|last| last.exit_code == Some(0));
    match health.status {
        Some(HealthStatusEnum::HEALTHY) => true,
        Some(HealthStatusEnum::UNHEALTHY) => health.failing_streak == Some(0) && was_content(),
        _ => false,
    }
}

/// How long a container is given to stop that has this timeout of its own, in seconds: a negative one means for ever.
fn stop_patience(own: Option<i64>) -> Option<Duration> {
    own.map_or(Some(DEFAULT_STOP), |seconds| u64::try_from(seconds).ok().map(Duration::from_secs))
}

fn of_inspection(answer: &ContainerInspectResponse) -> Inspected {
    let state = answer.state.as_ref();
    let is = |flag: fn(&bollard::models::ContainerState) -> Option<bool>| state.and_then(flag).unwrap_or(false);
    // While paused, `running` is true as well; while restarting, `running` can be either.
    let activity = if is(|state| state.paused) {
        Activity::Paused
    } else if is(|state| state.restarting) {
        Activity::Restarting
    } else if is(|state| state.running) {
        Activity::Running
    } else {
        Activity::Stopped
    };
    let shell = answer.config.as_ref().and_then(|config| config.shell.as_deref()).unwrap_or_default();
    Inspected {
        activity,
        started_at: state.and_then(|state| state.started_at.clone()).unwrap_or_default(),
        pid: state.and_then(|state| state.pid).and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0),
        stop_patience: stop_patience(answer.config.as_ref().and_then(|config| config.stop_timeout)),
        auto_remove: answer.host_config.as_ref().and_then(|config| config.auto_remove).unwrap_or(false),
        log_port: answer.host_config.as_ref().and_then(|config| config.log_config.as_ref()).and_then(|log| {
            let options = log.config.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
            log_driver::port(log.typ.as_deref().unwrap_or_default(), options)
        }),
        is_healthy: state.and_then(|state| state.health.as_ref()).is_some_and(is_healthy),
        probe: answer
            .config
            .as_ref()
            .and_then(|config| config.healthcheck.as_ref())
            .and_then(|check| probe::probe(check.test.as_deref().unwrap_or_default(), shell, check.timeout)),
    }
}
