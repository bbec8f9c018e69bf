//! Owns one connection of the proxy's: reads the call, does to it what is to be done, and passes the
//! rest through both ways.

use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{Deed, Meeting, Moment, Shared, api};

/// Serves a connection to its end.
pub(super) fn serve(mut client: UnixStream, shared: &Shared) -> io::Result<()> {
    let request = read_head(&mut client)?;
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    let path = line.split(' ').nth(1).unwrap_or_default();
    let deed = shared.pick(path);
    let fate = deed.as_ref().map_or_else(String::new, |deed| format!(" {deed:?}"));
    shared.note(format_args!("{line}{fate}"));
    let _met = matches!(deed, Some(Deed::Meet(..))).then(|| Met::begin(&shared.met));
    match &deed {
        Some(Deed::Cut(Moment::Before)) => return Ok(()),
        Some(Deed::Silence(Moment::Before)) => {
            shared.wait_for_the_end();
            return Ok(());
        }
        Some(Deed::Answer(status, body)) => {
            let length = body.len();
            return write!(
                client,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
        Some(Deed::Flood(status, first, rest, most)) => {
            write!(
                client,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{first}"
            )?;
            let piece = rest.repeat((64 << 10) / rest.len());
            let mut sent = 0;
            while sent < *most {
                client.write_all(piece.as_bytes())?;
                sent += piece.len() as u64;
                shared.flooded.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            return Ok(());
        }
        Some(Deed::Change(change)) => {
            let answer = api::ask(&shared.engine, "GET", path, "application/json", b"")
                .map_err(io::Error::other)?;
            let mut body = answer.json();
            change(&mut body);
            let (status, body) = (answer.status, body.to_string());
            return write!(
                client,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
        Some(Deed::Hold(Moment::Before, gate)) => gate.pass(),
        Some(Deed::Meet(Moment::Before, Meeting(act))) => act(),
        _ => {}
    }
    let mut engine = UnixStream::connect(&shared.engine)?;
    engine.write_all(&request)?;
    if let Some(deed) = deed {
        // Only once the head of the answer is here has the engine done it. The client's end is not
        // passed on before: it would cancel the call.
        let answer = read_head(&mut engine)?;
        let status = String::from_utf8_lossy(&answer);
        shared.note(format_args!("{} to {line}", status.lines().next().unwrap_or_default()));
        match deed {
            Deed::Cut(_) => return Ok(()),
            Deed::Silence(_) => {
                shared.wait_for_the_end();
                return Ok(());
            }
            Deed::Hold(moment, gate) => {
                if moment == Moment::After {
                    gate.pass();
                }
                gate.change(|state| state.done = true);
            }
            Deed::Meet(Moment::After, Meeting(act)) => act(),
            Deed::Meet(Moment::Before, _)
            | Deed::Answer(..)
            | Deed::Flood(..)
            | Deed::Change(_) => {}
        }
        client.write_all(&answer)?;
    }
    let (mut from, mut to) = (client.try_clone()?, engine.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write)
    });
    io::copy(&mut engine, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// A call at which something is met, until it is through.
struct Met<'a>(&'a AtomicUsize);

impl<'a> Met<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Met<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Everything up to the end of the head, and what came along with it.
fn read_head(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => head.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(head)
}
