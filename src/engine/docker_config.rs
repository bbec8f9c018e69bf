//! Owns reading the directory of docker's configuration: the current context, and where each
//! context's engine is. Reads files, opens no socket; what it means is `endpoint`'s.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

/// Why a file of docker's cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot read {}: {source}", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
}

/// What docker keeps of a context.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// Nothing: there is no such file.
    Absent { path: PathBuf },
    /// No Docker engine.
    WithoutEngine,
    /// The address of its engine; empty for the default one.
    Engine { host: String },
}

/// Reads which context is the current one, with the file that says so.
pub(super) fn current_context(dir: &Path) -> Result<Option<(String, PathBuf)>, ConfigError> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "currentContext")]
        current_context: Option<String>,
    }
    let path = dir.join("config.json");
    let current = read::<Config>(&path)?.and_then(|config| config.current_context);
    Ok(current.filter(|name| !name.is_empty()).map(|name| (name, path)))
}

/// Reads a context.
pub(super) fn context(dir: &Path, name: &str) -> Result<Context, ConfigError> {
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "Endpoints", default)]
        endpoints: HashMap<String, Place>,
    }
    #[derive(Deserialize)]
    struct Place {
        #[serde(rename = "Host", default)]
        host: String,
    }
    let path = dir.join("contexts/meta").join(directory_of(name)).join("meta.json");
    let Some(mut meta) = read::<Meta>(&path)? else { return Ok(Context::Absent { path }) };
    let engine = meta.endpoints.remove("docker");
    Ok(engine.map_or(Context::WithoutEngine, |place| Context::Engine { host: place.host }))
}

/// Names the directory with the TLS material of a context's engine, whether it is there or not
/// (docker/cli, `cli/context/store/tlsstore.go`: one directory a context and endpoint).
pub(super) fn certificates(dir: &Path, context: &str) -> PathBuf {
    dir.join("contexts/tls").join(directory_of(context)).join("docker")
}

/// docker/cli, `cli/context/store/metadatastore.go`: the SHA-256 of the name, in hexadecimal.
fn directory_of(context: &str) -> String {
    Sha256::digest(context).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ConfigError> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|source| ConfigError::Malformed { path: path.to_owned(), source }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_lives_where_docker_puts_it() {
        let place = "f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16";
        assert_eq!(directory_of("colima"), place);
        let dir = Path::new("/nonexistent");
        let path = dir.join("contexts/meta").join(place).join("meta.json");
        assert_eq!(context(dir, "colima").expect("no file"), Context::Absent { path });
        let material = dir.join("contexts/tls").join(place).join("docker");
        assert_eq!(certificates(dir, "colima"), material);
    }
}
