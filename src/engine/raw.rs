//! Owns the questions whose answers makeroom reads by itself, as bounded bytes, whole or line by
//! line: bollard's models refuse a whole answer if one value in it is new to them. Runs in the
//! keeper and in short commands.

use std::pin::Pin;

use bollard::{Docker, errors::Error};
use futures_util::{Stream, StreamExt as _};

use crate::engine::transport::{LARGEST_ANSWER_BYTES, TooLarge};

/// An event is little more than a container's labels, so no line is longer.
const LONGEST_LINE_BYTES: usize = 1 << 20;

type Pieces = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Error>>>>;

/// Asks, and gives the answer in the pieces in which it arrives. Only one of bollard's calls hands
/// out its answer unread, a container's export, so that request is turned into this one.
fn pieces(docker: &Docker, path: String) -> Pieces {
    let docker = docker.clone().with_request_modifier(move |mut request| {
        let uri = request.uri().to_string().replace("/containers/_/export", &path);
        if let Ok(uri) = uri.parse() {
            *request.uri_mut() = uri;
        }
        request
    });
    Box::pin(docker.export_container("_").map(|piece| piece.map(Vec::from)))
}

/// Asks, and gives the whole answer as it came.
///
/// # Errors
/// The engine's refusal, a broken connection, or [`TooLarge`].
pub(super) async fn get(docker: &Docker, path: String) -> Result<Vec<u8>, Error> {
    let mut pieces = pieces(docker, path);
    let mut answer = Vec::new();
    while let Some(piece) = pieces.next().await {
        answer.extend_from_slice(&piece?);
        if answer.len() as u64 > LARGEST_ANSWER_BYTES {
            return Err(TooLarge::error().into());
        }
    }
    Ok(answer)
}

/// An answer that continues, read line by line.
pub(super) struct Lines {
    pieces: Pieces,
    read: Vec<u8>,
    /// No line ends before this index.
    searched: usize,
}

impl Lines {
    /// Prepares the question; it is sent when the first line is asked for.
    pub(super) fn new(docker: &Docker, path: String) -> Self {
        Self { pieces: pieces(docker, path), read: Vec::new(), searched: 0 }
    }

    /// Gives the next line, `None` at the end. Cancel-safe: nothing is lost when the future is
    /// dropped.
    ///
    /// # Errors
    /// As for [`get`]; also if a line is longer than 1 MiB.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<u8>, Error>> {
        loop {
            if let Some(end) = self.read[self.searched..].iter().position(|&byte| byte == b'\n') {
                let rest = self.read.split_off(self.searched + end + 1);
                let line = std::mem::replace(&mut self.read, rest);
                self.searched = 0;
                return Some(Ok(line));
            }
            self.searched = self.read.len();
            if self.read.len() > LONGEST_LINE_BYTES {
                self.read = Vec::new();
                self.searched = 0;
                return Some(Err(std::io::Error::other("an event is longer than 1 MiB").into()));
            }
            match self.pieces.next().await? {
                Ok(piece) => self.read.extend_from_slice(&piece),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Quotes a value of a query (RFC 3986, section 2.1).
pub(super) fn quoted(value: &str) -> String {
    let quote = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(quote).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_value_is_nothing_but_itself() {
        assert_eq!(
            quoted(r#"{"a":["b c"]}&d=/ü"#),
            "%7B%22a%22%3A%5B%22b%20c%22%5D%7D%26d%3D%2F%C3%BC"
        );
        assert_eq!(quoted("1700000000.5-~_"), "1700000000.5-~_");
    }
}
