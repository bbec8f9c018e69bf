//! Owns the one question that bollard cannot ask: which API version the engine speaks, from the
//! header of `/_ping` (0.3 ms; `/version` takes 5 ms). Bounded in time.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::engine::no_engine;

/// An engine that does not answer its ping within this time answers nothing else either.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer to a ping is longer.
const LONGEST_BYTES: u64 = 16 << 10;

/// An API version, as `1.41`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// The part before the dot.
    pub major: usize,
    /// The part after the dot.
    pub minor: usize,
}

/// Finds the version that both sides speak: the engine's newest, capped at `newest_known`.
///
/// # Errors
/// The socket's own error, or `InvalidData` if whatever answers is not an engine.
pub async fn api_version(socket: &Path, newest_known: ApiVersion) -> io::Result<ApiVersion> {
    let answer = tokio::time::timeout(PATIENCE, ask(socket)).await;
    let answer = answer.unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", PATIENCE.as_secs()),
        ))
    })?;
    let spoken = read_answer(&String::from_utf8_lossy(&answer))?;
    Ok(spoken.min(newest_known))
}

async fn ask(socket: &Path) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    // HTTP/1.0 makes the engine close the connection after its answer.
    let asked = stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n").await;
    let mut answer = Vec::new();
    let read = stream.take(LONGEST_BYTES).read_to_end(&mut answer).await;
    // It says what it is, and breaks the connection off.
    if no_engine::is_grpc(&answer) {
        let what = no_engine::named(socket, true).unwrap_or_default();
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    asked.and(read).map(|_| answer)
}

fn read_answer(answer: &str) -> io::Result<ApiVersion> {
    let refused = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut lines = answer.lines();
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(refused(format!("it answers its ping with `{status}`")));
    }
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let (major, minor) =
            name.eq_ignore_ascii_case("api-version").then(|| value.trim().split_once('.'))??;
        Some(ApiVersion { major: major.parse().ok()?, minor: minor.parse().ok()? })
    };
    lines
        .take_while(|line| !line.is_empty())
        .find_map(header)
        .ok_or_else(|| refused("its ping names no API version".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_header_and_nowhere_else() {
        let answer = "HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20.10\r\n\r\nOK";
        assert_eq!(read_answer(answer).expect("an engine"), ApiVersion { major: 1, minor: 41 });
        for no_engine in [
            "",
            "HTTP/1.1 404 Not Found\r\nApi-Version: 1.41\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nApi-Version: 1.41",
            "HTTP/1.1 200 OK\r\nApi-Version: one\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
        ] {
            assert_eq!(
                read_answer(no_engine).expect_err(no_engine).kind(),
                io::ErrorKind::InvalidData,
                "{no_engine}"
            );
        }
    }
}
