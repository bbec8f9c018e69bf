//! Owns the connections to an engine over sockets: one for each request, with a bound on how much
//! is read, because bollard reads answers of any size into memory. Runs in the keeper and in short
//! commands.

use std::{
    fmt, io,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bollard::{BollardRequest, errors::Error};
use hyper::{
    Response, Uri,
    body::Incoming,
    client::conn::http1::handshake,
    header::{HOST, HeaderValue},
    rt::{Read, ReadBuf, ReadBufCursor, Write},
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

/// No valid answer is larger: a list of ten thousand containers with a hundred labels each takes
/// half of this.
pub(super) const LARGEST_ANSWER_BYTES: u64 = 64 << 20;
/// Allowed on top, for an answer's headers and chunk sizes.
const HEAD_BYTES: u64 = 1 << 20;

/// The cause of an error: the answer was refused for its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "it is larger than {} MiB", LARGEST_ANSWER_BYTES >> 20)
    }
}

impl std::error::Error for TooLarge {}

impl TooLarge {
    /// Tells whether this is the cause of an error.
    pub(super) fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            // An io::Error's source is not the error that it wraps but that error's own source, and
            // bollard's error passes that on. So look into what they wrap.
            let own = match error.downcast_ref::<Error>() {
                Some(Error::IOError { err }) => Some(err),
                _ => error.downcast_ref::<io::Error>(),
            };
            let wrapped = own.and_then(io::Error::get_ref);
            if error.is::<Self>() || wrapped.is_some_and(|wrapped| Self::is_cause_of(wrapped)) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    pub(super) fn error() -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Self)
    }
}

/// The cause of an error: no connection could be made, so the engine has heard nothing.
#[derive(Debug)]
pub(super) struct NotSent(io::Error);

impl fmt::Display for NotSent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl std::error::Error for NotSent {}

impl NotSent {
    /// Tells whether this is the cause of an error.
    pub(super) fn is_cause_of(error: &Error) -> bool {
        matches!(error, Error::IOError { err } if err.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>))
    }

    fn error(error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self(error))
    }
}

/// Where an engine listens.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
}

/// Sends one request over a connection of its own.
pub(super) async fn ask(
    place: Place,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, Error> {
    let is_stream = request.uri().path().ends_with("/events");
    // A request on a connection has only the path, not the host (RFC 9112, section 3.2.1).
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(io::Error::other)?;
    let host = match &place {
        Place::Unix(_) => "docker".to_owned(),
        Place::Tcp { host, port } => format!("{host}:{port}"),
    };
    request.headers_mut().insert(HOST, HeaderValue::try_from(host).map_err(io::Error::other)?);
    let left = Arc::new(AtomicU64::new(LARGEST_ANSWER_BYTES + HEAD_BYTES));
    let response = match place {
        Place::Unix(path) => {
            send(
                TokioIo::new(UnixStream::connect(path).await.map_err(NotSent::error)?),
                &left,
                request,
            )
            .await?
        }
        Place::Tcp { host, port } => {
            // People write an IPv6 address in brackets.
            let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
                .await
                .map_err(NotSent::error)?;
            send(TokioIo::new(stream), &left, request).await?
        }
    };
    if is_stream && response.status().is_success() {
        // Events continue as long as the lease does; their reader bounds each line.
        left.store(u64::MAX, Ordering::Relaxed);
    }
    Ok(response)
}

async fn send(
    stream: impl Read + Write + Unpin + Send + 'static,
    left: &Arc<AtomicU64>,
    request: BollardRequest,
) -> Result<Response<Incoming>, Error> {
    let (mut sender, connection) = handshake(Limited { stream, left: Arc::clone(left) }).await?;
    // The task ends with the answer, or when nobody waits for it any more. An error reaches whoever
    // reads the answer.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender.send_request(request).await?)
}

/// A connection of which at most `left` more bytes are read.
struct Limited<S> {
    stream: S,
    left: Arc<AtomicU64>,
}

impl<S: Read + Unpin> Read for Limited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut buffer = [0; 16 << 10];
        let most = buffer.len().min(into.remaining());
        let mut read = ReadBuf::new(&mut buffer[..most]);
        ready!(Pin::new(&mut self.stream).poll_read(context, read.unfilled()))?;
        let bytes = read.filled();
        let length = bytes.len() as u64;
        let left = self.left.load(Ordering::Relaxed);
        if length > left {
            return Poll::Ready(Err(TooLarge::error()));
        }
        self.left.store(left - length, Ordering::Relaxed);
        into.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Limited<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_found_wherever_it_is_wrapped() {
        let wrapped = io::Error::other(io::Error::other(Error::from(TooLarge::error())));
        assert!(TooLarge::is_cause_of(&wrapped));
        assert!(!TooLarge::is_cause_of(&io::Error::other("it is larger than 64 MiB")));
    }
}
