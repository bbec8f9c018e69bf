//! Owns the calls to the engine, each bounded in time, and what the engine's replies mean.
//! Runs in the keeper and in short commands.

use std::{fmt, future::Future, io, path::Path, time::Duration};

use bollard::{
    ClientVersion, Docker,
    query_parameters::{StartContainerOptions, StopContainerOptionsBuilder},
};

use crate::{
    core::{
        machine::address::Address,
        target::seen::{Listing, Seen},
        text,
    },
    engine::{
        endpoint::Endpoint,
        no_engine,
        ping::{self, ApiVersion},
        raw,
        read::{self, Inspection},
        transport::{self, NotSent, Place, TooLarge},
    },
};

/// Questions are answered in milliseconds by an engine that is well.
pub(super) const QUESTION: Duration = Duration::from_secs(10);
/// Freezing waits for nothing but the kernel.
pub const PAUSE: Duration = Duration::from_secs(10);
/// Starting runs hooks, mounts and networks.
const START: Duration = Duration::from_secs(30);
/// What the engine adds to the time a container is given to stop.
pub const STOP_MARGIN: Duration = Duration::from_secs(15);

/// A connection to one engine.
#[derive(Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    /// Its socket's path, as it was named.
    socket: Option<String>,
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
    #[error("the engine cannot be reached: {cause}")]
    NotSent { cause: String },
    #[error("the engine's answer was lost: {cause}")]
    Lost { cause: String },
    #[error("the engine's answer is refused: it is larger than {} MiB", transport::LARGEST_ANSWER_BYTES >> 20)]
    TooLarge,
    #[error("the engine's answer makes no sense: {why}")]
    Unclear { why: String },
    #[error("the container is being removed")]
    Removing,
    #[error("the service has no number of replicas")]
    NotReplicated,
    #[error("somebody else has changed the service's number of replicas")]
    Rescaled,
    #[error("its tasks are still there after {} s", after.as_secs())]
    TasksStay { after: Duration },
}

impl EngineError {
    fn unclear(why: impl AsRef<str>) -> Self {
        Self::Unclear { why: text::printable(why.as_ref()) }
    }

    /// There is no such container, or there is none any more that could be made to run.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. } | Self::Removing)
    }

    /// The kernel could not freeze all processes at that moment, and the runtime has thawed them
    /// again (runc, `libcontainer/cgroups/fs/freezer.go`).
    #[must_use]
    pub fn is_freezer_busy(&self) -> bool {
        matches!(self, Self::Refused { status: 500.., message } if message.contains("unable to freeze"))
    }

    /// The container is not in a state for this: 409. Or the service is not.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. } | Self::Rescaled)
    }

    /// The service was changed since it was looked at, so nothing is done (swarmkit,
    /// `manager/state/store/memory.go`).
    #[must_use]
    pub fn is_out_of_sequence(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("update out of sequence"))
    }

    /// The engine itself is gone or went away, as opposed to refusing this call.
    #[must_use]
    pub fn is_engine_gone(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NotSent { .. } | Self::Lost { .. })
    }

    /// Whether the engine may have acted, or may still act, though it did not say so.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        // A 5xx can come from a runtime that failed half-way.
        matches!(
            self,
            Self::Silent { .. }
                | Self::Lost { .. }
                | Self::TooLarge
                | Self::TasksStay { .. }
                | Self::Refused { status: 500.., .. }
        )
    }

    /// What a person can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { url, .. } if no_engine::owner(Path::new(url)).is_some() => {
                Some(no_engine::HINT.to_owned())
            }
            Self::Unreachable { source, .. } => Some(match source.kind() {
                io::ErrorKind::InvalidData => no_engine::HINT.to_owned(),
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
    /// Connects, and agrees on an API version. `tunnel` is the socket of this machine through which
    /// an engine behind ssh is reached.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`], with the socket's own error.
    pub async fn connect(endpoint: &Endpoint, tunnel: Option<&Path>) -> Result<Self, EngineError> {
        let connected = match (tunnel, &endpoint.address) {
            (Some(socket), _) => through_socket(socket).await,
            (None, Address::Unix(socket)) => through_socket(socket).await,
            (None, Address::Tcp { .. }) => through_tcp(endpoint).await,
            (None, Address::Ssh { .. }) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "there is no tunnel to it"))
            }
        };
        let unreachable = |source| EngineError::Unreachable {
            url: endpoint.url(),
            named_by: endpoint.named_by.clone(),
            source,
        };
        let socket = match &endpoint.address {
            Address::Unix(path) => Some(path.to_string_lossy().into_owned()),
            Address::Tcp { .. } | Address::Ssh { .. } => None,
        };
        connected.map(|docker| Self { docker, socket }).map_err(unreachable)
    }

    /// All containers, whatever they do.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn list(&self) -> Result<Listing, EngineError> {
        let answer =
            bounded(QUESTION, raw::get(&self.docker, "/containers/json?all=true".to_owned()))
                .await?;
        read::list(&answer, self.socket.as_deref()).map_err(EngineError::unclear)
    }

    /// One container as it is now.
    ///
    /// # Errors
    /// [`EngineError`]; [`EngineError::is_not_found`] where there is none with this id, or none any
    /// more.
    pub async fn inspect(&self, id: &str) -> Result<Seen, EngineError> {
        match read::inspection(&self.inspection(id).await?, id).map_err(EngineError::unclear)? {
            Inspection::Of(now) => Ok(*now),
            Inspection::Removing => Err(EngineError::Removing),
        }
    }

    async fn inspection(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        bounded(QUESTION, raw::get(&self.docker, format!("/containers/{}/json", raw::quoted(id))))
            .await
    }

    /// Freezes a running container. 409 where it is paused, stopped or restarting. Takes as long as
    /// the engine does: whoever waits for it sets the limit.
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

    /// Stops a container; stopped already is fine. `patience` is the container's own where `None`.
    /// Takes as long as the engine does, as [`Self::pause`].
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
    let spoken = ping::api_version(socket, known).await.map_err(|error| {
        // One that is not there, or not ours to open, is what it is.
        let is_clear =
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
        let named = no_engine::named(socket, false).filter(|_| !is_clear);
        named.map_or(error, |named| io::Error::new(io::ErrorKind::InvalidData, named))
    })?;
    let version = ClientVersion { major_version: spoken.major, minor_version: spoken.minor };
    over(Place::Unix(socket.to_owned()), &version).map_err(io::Error::other)
}

/// Over a connection for each request. The address is what bollard makes paths of, and nobody's.
fn over(place: Place, version: &ClientVersion) -> Result<Docker, bollard::errors::Error> {
    let ask = move |request| transport::ask(place.clone(), request);
    Docker::connect_with_custom_transport(ask, Some("http://engine"), NO_LIMIT, version)
}

async fn through_tcp(endpoint: &Endpoint) -> io::Result<Docker> {
    let (url, version) = (endpoint.url(), bollard::API_DEFAULT_VERSION);
    let docker = match &endpoint.certificates {
        Some(dir) => {
            let file = |name| dir.join(name);
            Docker::connect_with_ssl(
                &url,
                &file("key.pem"),
                &file("cert.pem"),
                &file("ca.pem"),
                NO_LIMIT,
                version,
            )
        }
        None => match &endpoint.address {
            Address::Tcp { host, port, .. } => {
                over(Place::Tcp { host: host.clone(), port: *port }, version)
            }
            Address::Unix(_) | Address::Ssh { .. } => {
                return Err(io::Error::other("it is not reached over TCP"));
            }
        },
    };
    let docker = docker.map_err(|error| io::Error::other(innermost(&error)))?;
    match tokio::time::timeout(QUESTION, docker.negotiate_version()).await {
        Ok(agreed) => agreed.map_err(|error| io::Error::other(innermost(&error))),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", QUESTION.as_secs()),
        )),
    }
}

pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(limit, call).await {
        Err(_) | Ok(Err(bollard::errors::Error::RequestTimeoutError)) => {
            Err(EngineError::Silent { after: limit })
        }
        Ok(result) => result.map_err(refusal),
    }
}

/// What an answer that is an error means.
pub(super) fn refusal(error: bollard::errors::Error) -> EngineError {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, message } => {
            EngineError::Refused { status: status_code, message: text::printable(message.trim()) }
        }
        error if TooLarge::is_cause_of(&error) => EngineError::TooLarge,
        error if NotSent::is_cause_of(&error) => {
            EngineError::NotSent { cause: text::printable(&innermost(&error)) }
        }
        error => EngineError::Lost { cause: text::printable(&innermost(&error)) },
    }
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
