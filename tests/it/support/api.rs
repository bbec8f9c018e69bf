//! Owns talking to the engine's socket for the tests: one HTTP/1.0 request a connection, so that
//! its end is the answer's end. Unversioned paths: the engine's own newest version, whichever it
//! is.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

/// The engine's answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// What follows the head.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks, and reads the whole answer.
///
/// # Errors
/// The socket's own error.
pub fn ask(socket: &Path, method: &str, path: &str, kind: &str, body: &[u8]) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let no_http = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("no HTTP: {}", String::from_utf8_lossy(&answer)),
        )
    };
    let split = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(no_http)?;
    let head = String::from_utf8_lossy(&answer[..split]);
    let status =
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(no_http)?;
    Ok(Answer { status, body: answer[split + 4..].to_vec() })
}

/// Whether an engine is there.
#[must_use]
pub fn answers(socket: &Path) -> bool {
    ask(socket, "GET", "/_ping", "text/plain", b"").is_ok_and(|answer| answer.status == 200)
}

/// Asks for something that has to work.
///
/// # Panics
/// Where it does not, with the engine's words.
#[track_caller]
pub fn must(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    match ask(socket, method, path, "application/json", body.as_bytes()) {
        Ok(answer) if answer.status < 400 => answer,
        Ok(answer) => panic!("{method} {path}: {} {}", answer.status, answer.text()),
        Err(error) => panic!("{method} {path}: {error}"),
    }
}
