//! Owns the forms of an engine's address: a socket on this machine, TCP, or a socket behind ssh.
//! Pure.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where the engine's socket is on a machine that ssh reaches, unless the address says otherwise.
const REMOTE_SOCKET: &str = "/var/run/docker.sock";

/// An engine's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `unix:///PATH`
    Unix(PathBuf),
    /// `tcp://HOST:PORT`
    Tcp { host: String, port: u16 },
    /// `ssh://[USER@]HOST[:PORT][/PATH]`
    Ssh { destination: String, port: Option<u16>, socket: String },
}

impl FromStr for Address {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "`{url}` is no engine's address; allowed: unix:///PATH, tcp://HOST:PORT, ssh://[USER@]HOST[:PORT][/PATH]"
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(refuse)?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "tcp" => {
                let (host, port) = split_port(rest.trim_end_matches('/')).ok_or_else(refuse)?;
                Ok(Self::Tcp { host: host.to_owned(), port: port.ok_or_else(refuse)? })
            }
            "ssh" => {
                let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
                let (destination, port) = split_port(place).ok_or_else(refuse)?;
                let socket = if path.trim_matches('/').is_empty() { REMOTE_SOCKET } else { path };
                Ok(Self::Ssh {
                    destination: destination.to_owned(),
                    port,
                    socket: socket.to_owned(),
                })
            }
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(out, "unix://{}", path.display()),
            Self::Tcp { host, port } => write!(out, "tcp://{host}:{port}"),
            Self::Ssh { destination, port, socket } => {
                write!(out, "ssh://{destination}")?;
                port.map_or(Ok(()), |port| write!(out, ":{port}"))?;
                if socket == REMOTE_SOCKET { Ok(()) } else { write!(out, "{socket}") }
            }
        }
    }
}

/// Splits `HOST[:PORT]`; an IPv6 address is written in brackets. Refuses what begins with `-`,
/// which ssh would take for an option, and what contains blanks or control characters.
fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    let colon = place.rfind(':').filter(|at| !place[*at..].contains(']'));
    let (host, port) = match colon {
        Some(at) => (&place[..at], Some(place[at + 1..].parse().ok()?)),
        None => (place, None),
    };
    let is_host = !host.is_empty()
        && !host.starts_with('-')
        && host.chars().all(|letter| letter.is_ascii_graphic() && letter != '/');
    is_host.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_back() {
        for url in [
            "unix:///var/run/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2376",
            "ssh://me@there",
            "ssh://there:2222",
            "ssh://me@there:2222/run/user/1000/docker.sock",
        ] {
            assert_eq!(
                url.parse::<Address>().map(|address| address.to_string()),
                Ok(url.to_owned())
            );
        }
        let Ok(Address::Ssh { destination, port, socket }) = "ssh://me@there:22/".parse() else {
            panic!("an address")
        };
        assert_eq!(
            (destination.as_str(), port, socket.as_str()),
            ("me@there", Some(22), REMOTE_SOCKET)
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_is_allowed() {
        for url in [
            "",
            "docker.sock",
            "unix://docker.sock",
            "tcp://there",
            "tcp://:2375",
            "tcp://there:port",
            "tcp://there:99999",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://a b",
            "ssh://me@there:x",
            "npipe:////./pipe/docker_engine",
            "fd://3",
        ] {
            let error = url.parse::<Address>().expect_err(url);
            assert!(error.contains("allowed: unix:///PATH, tcp://"), "{error}");
        }
    }
}
