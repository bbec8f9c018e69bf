//! Owns finding the engine as `docker` finds it: flag, `DOCKER_HOST`, `DOCKER_CONTEXT`,
//! `currentContext`, default sockets. Reads files, opens no socket. Never falls back from the
//! engine that was named to another one: that would pause somebody else's containers.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{
    core::machine::{address::Address, route::Homes},
    engine::docker_config::{self, ConfigError, Context},
};

/// Where `docker` looks when nothing names an engine.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// An engine's address, and who named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// The directory of `ca.pem`, `cert.pem` and `key.pem`; set when the connection uses TLS.
    pub certificates: Option<PathBuf>,
    /// The context that named it.
    pub context: Option<String>,
    /// What named it, for messages.
    pub named_by: String,
}

impl Endpoint {
    /// The address as a URL, as the journal keeps it.
    #[must_use]
    pub fn url(&self) -> String {
        self.address.to_string()
    }
}

/// Why no engine could be found.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("the context `{name}` ({named_by}) does not exist: no {}", path.display())]
    NoContext { name: String, named_by: String, path: PathBuf },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the context `{name}` ({named_by}) names no Docker engine")]
    NoEngine { name: String, named_by: String },
    #[error("{named_by}: {reason}")]
    NotAnAddress { reason: String, named_by: String },
}

/// What decides which engine is meant.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// `--engine`.
    pub engine: Option<String>,
    /// `--context`.
    pub context: Option<String>,
}

/// The variables that `docker` looks at.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    docker_host: Option<String>,
    docker_context: Option<String>,
    docker_config: Option<PathBuf>,
    /// Set when `DOCKER_TLS_VERIFY` asks for TLS: `DOCKER_CERT_PATH`, or docker's own directory.
    certificates: Option<PathBuf>,
    /// Where the makers of VMs keep their sockets.
    pub homes: Homes,
}

impl Surroundings {
    /// Reads this process's variables. An empty one counts as unset, as it does for `docker`.
    #[must_use]
    pub fn of_this_process() -> Self {
        let read = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| read(name).map(PathBuf::from);
        let homes = Homes {
            home: env::home_dir().filter(|home| home.is_absolute()),
            config: path("XDG_CONFIG_HOME"),
            colima: path("COLIMA_HOME"),
            colima_profile: read("COLIMA_PROFILE"),
            lima: path("LIMA_HOME"),
            runtime: path("XDG_RUNTIME_DIR"),
        };
        let plain = Self {
            docker_host: read("DOCKER_HOST"),
            docker_context: read("DOCKER_CONTEXT"),
            docker_config: path("DOCKER_CONFIG"),
            certificates: None,
            homes,
        };
        let wants_tls = read("DOCKER_TLS_VERIFY").is_some();
        Self {
            certificates: path("DOCKER_CERT_PATH")
                .or_else(|| plain.config_dir())
                .filter(|_| wants_tls),
            ..plain
        }
    }

    fn config_dir(&self) -> Option<PathBuf> {
        self.docker_config.clone().or_else(|| Some(self.homes.home.as_ref()?.join(".docker")))
    }
}

/// Finds the engine.
///
/// # Errors
/// [`EndpointError`] if the named engine cannot be used; never returns another one instead.
pub fn find(wish: &Wish, surroundings: &Surroundings) -> Result<Endpoint, EndpointError> {
    if let Some(url) = &wish.engine {
        return of_url(url, "--engine", surroundings);
    }
    if let Some(name) = &wish.context {
        return of_context(name, "--context", surroundings);
    }
    if let Some(url) = &surroundings.docker_host {
        return of_url(url, "DOCKER_HOST", surroundings);
    }
    if let Some(name) = &surroundings.docker_context {
        return of_context(name, "DOCKER_CONTEXT", surroundings);
    }
    let current = surroundings.config_dir().map(|dir| docker_config::current_context(&dir));
    match current.transpose()?.flatten() {
        Some((name, file)) => {
            of_context(&name, &format!("currentContext in {}", file.display()), surroundings)
        }
        None => Ok(first_there(Path::new(DEFAULT_SOCKET), surroundings.homes.usual_sockets())),
    }
}

/// Picks the socket when nothing names an engine: `docker`'s own, or the first usual one if that is
/// missing.
fn first_there(own: &Path, usual: Vec<PathBuf>) -> Endpoint {
    let other = if own.exists() { None } else { usual.into_iter().find(|path| path.exists()) };
    socket(other.as_deref().unwrap_or(own))
}

fn default_socket() -> Endpoint {
    socket(Path::new(DEFAULT_SOCKET))
}

fn socket(path: &Path) -> Endpoint {
    Endpoint {
        address: Address::Unix(path.to_owned()),
        certificates: None,
        context: None,
        named_by: "default socket".to_owned(),
    }
}

fn of_url(
    url: &str,
    named_by: &str,
    surroundings: &Surroundings,
) -> Result<Endpoint, EndpointError> {
    let address = url
        .parse()
        .map_err(|reason| EndpointError::NotAnAddress { reason, named_by: named_by.to_owned() })?;
    let certificates =
        surroundings.certificates.clone().filter(|_| matches!(address, Address::Tcp { .. }));
    Ok(Endpoint { address, certificates, context: None, named_by: named_by.to_owned() })
}

fn of_context(
    name: &str,
    named_by: &str,
    surroundings: &Surroundings,
) -> Result<Endpoint, EndpointError> {
    if name == "default" {
        return Ok(default_socket());
    }
    let missing = |path| EndpointError::NoContext {
        name: name.to_owned(),
        named_by: named_by.to_owned(),
        path,
    };
    let Some(dir) = surroundings.config_dir() else {
        return Err(missing(PathBuf::from("~/.docker")));
    };
    match docker_config::context(&dir, name)? {
        Context::Absent { path } => Err(missing(path)),
        Context::WithoutEngine => {
            Err(EndpointError::NoEngine { name: name.to_owned(), named_by: named_by.to_owned() })
        }
        Context::Engine { host } if host.is_empty() => {
            Ok(Endpoint { context: Some(name.to_owned()), ..default_socket() })
        }
        Context::Engine { host } => {
            let named_by = format!("the context `{name}`, {named_by}");
            let address = host.parse().map_err(|reason| EndpointError::NotAnAddress {
                reason,
                named_by: named_by.clone(),
            })?;
            let certificates = Some(docker_config::certificates(&dir, name))
                .filter(|material| matches!(address, Address::Tcp { .. }) && material.exists());
            Ok(Endpoint { address, certificates, context: Some(name.to_owned()), named_by })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A `~/.docker` with the contexts `remote`, `near` and `empty`, and `currentContext` as given.
    fn surroundings(dir: &Path, current: &str) -> Surroundings {
        for (name, meta) in [
            ("near", r#"{"Name":"near","Endpoints":{"docker":{"Host":"unix:///near.sock"}}}"#),
            ("remote", r#"{"Name":"remote","Endpoints":{"docker":{"Host":"tcp://1.2.3.4:2376"}}}"#),
            ("empty", r#"{"Name":"empty","Endpoints":{}}"#),
            (
                "odd",
                r#"{"Name":"odd","Endpoints":{"docker":{"Host":"npipe:////./pipe/docker_engine"}}}"#,
            ),
            ("broken", "{"),
        ] {
            let Ok(Context::Absent { path }) = docker_config::context(dir, name) else {
                panic!("`{name}` is there already");
            };
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(path, meta).expect("a file");
        }
        fs::write(dir.join("config.json"), current).expect("a file");
        Surroundings { docker_config: Some(dir.to_owned()), ..Surroundings::default() }
    }

    fn outcome(
        wish: (Option<&str>, Option<&str>),
        host: Option<&str>,
        context: Option<&str>,
        config: &str,
    ) -> String {
        let dir = tempfile::tempdir().expect("a directory");
        let own = |text: Option<&str>| text.map(str::to_owned);
        let surroundings = Surroundings {
            docker_host: own(host),
            docker_context: own(context),
            ..surroundings(dir.path(), config)
        };
        match find(&Wish { engine: own(wish.0), context: own(wish.1) }, &surroundings) {
            Ok(endpoint) => endpoint.url(),
            Err(error) => error.to_string().replace(&dir.path().display().to_string(), "DIR"),
        }
    }

    #[test]
    fn what_is_nearer_names_the_engine_and_nothing_falls_back() {
        let (none, near) = ("{}", r#"{"currentContext":"near"}"#);
        for (wish, host, context, config, expected) in [
            ((None, None), None, None, none, "unix:///var/run/docker.sock"),
            ((None, None), None, None, near, "unix:///near.sock"),
            ((None, None), None, Some("default"), near, "unix:///var/run/docker.sock"),
            ((None, None), None, Some("near"), none, "unix:///near.sock"),
            ((None, None), Some("unix:///host.sock"), Some("near"), near, "unix:///host.sock"),
            ((None, Some("near")), Some("unix:///host.sock"), None, none, "unix:///near.sock"),
            (
                (Some("unix:///flag.sock"), None),
                Some("unix:///host.sock"),
                Some("near"),
                near,
                "unix:///flag.sock",
            ),
        ] {
            assert_eq!(
                outcome(wish, host, context, config),
                expected,
                "{wish:?} {host:?} {context:?} {config}"
            );
        }
        for (wish, host, context, config, expected) in [
            (
                (None, None),
                None,
                Some("absent"),
                none,
                "the context `absent` (DOCKER_CONTEXT) does not exist",
            ),
            (
                (None, Some("absent")),
                None,
                None,
                near,
                "the context `absent` (--context) does not exist",
            ),
            (
                (None, None),
                None,
                None,
                r#"{"currentContext":"absent"}"#,
                "(currentContext in DIR/config.json) does not exist",
            ),
            ((None, None), None, None, "{", "cannot read DIR/config.json"),
            ((None, None), None, Some("broken"), none, "cannot read DIR/contexts/meta"),
            ((None, None), None, Some("empty"), none, "names no Docker engine"),
            (
                (None, None),
                Some("docker.sock"),
                None,
                none,
                "DOCKER_HOST: `docker.sock` is no engine's address; allowed: unix:///PATH",
            ),
            (
                (Some("unix://docker.sock"), None),
                None,
                None,
                none,
                "--engine: `unix://docker.sock` is no engine's address",
            ),
            ((None, None), None, Some("odd"), none, "the context `odd`, DOCKER_CONTEXT: `npipe:"),
        ] {
            let error = outcome(wish, host, context, config);
            assert!(error.contains(expected), "{error} should say {expected}");
        }
    }

    #[test]
    fn tls_is_used_where_it_is_asked_for_and_only_over_tcp() {
        let dir = tempfile::tempdir().expect("a directory");
        let material = docker_config::certificates(dir.path(), "remote");
        let plain = surroundings(dir.path(), "{}");
        let of = |context: Option<&str>, surroundings: &Surroundings, url: &str| {
            let wish = Wish {
                engine: context.is_none().then(|| url.to_owned()),
                context: context.map(str::to_owned),
            };
            find(&wish, surroundings).expect("an endpoint").certificates
        };
        assert_eq!(of(Some("remote"), &plain, ""), None);
        fs::create_dir_all(&material).expect("a directory");
        assert_eq!(of(Some("remote"), &plain, ""), Some(material));
        assert_eq!(of(None, &plain, "tcp://a:2376"), None);
        let verified = Surroundings { certificates: Some(PathBuf::from("/certs")), ..plain };
        assert_eq!(of(None, &verified, "tcp://a:2376"), Some(PathBuf::from("/certs")));
        assert_eq!(of(None, &verified, "unix:///s"), None);
    }

    #[test]
    fn a_usual_socket_is_used_only_where_dockers_own_is_missing() {
        let dir = tempfile::tempdir().expect("a directory");
        let [own, absent, usual] = ["own", "absent", "usual"].map(|name| dir.path().join(name));
        fs::write(&usual, "").expect("a file");
        let found = || first_there(&own, vec![absent.clone(), usual.clone()]).address;
        assert_eq!(found(), Address::Unix(usual.clone()));
        fs::write(&own, "").expect("a file");
        assert_eq!(found(), Address::Unix(own.clone()));
        assert_eq!(first_there(&absent, vec![]).address, Address::Unix(absent.clone()));
    }
}
