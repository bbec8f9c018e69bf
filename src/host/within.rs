//! Owns writing to a non-blocking descriptor for a limited time, so that nobody waits for ever for
//! a reader that does not read.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Writes all of it to a non-blocking pipe or socket, waiting for its reader.
///
/// # Errors
/// What write(2) says, or `TimedOut` if it is not all taken in time; then a part may have been
/// written.
pub fn write_within(
    patience: Duration,
    to: &mut (impl Write + AsFd),
    mut bytes: &[u8],
) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads it"));
                }
                let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                // After EINTR the loop tries again.
                let _ = poll(&mut [PollFd::new(to.as_fd(), PollFlags::POLLOUT)], timeout);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::net::UnixStream, thread};

    use super::*;

    const LONG: Duration = Duration::from_secs(10);
    static LARGE: [u8; 1 << 20] = [b'x'; 1 << 20];

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("set");
        (ours, theirs)
    }

    #[test]
    fn what_the_socket_cannot_hold_is_written_whole() {
        let (mut ours, mut theirs) = pair();
        let reading = thread::spawn(move || {
            let mut bytes = Vec::new();
            theirs.read_to_end(&mut bytes).map(|_| bytes)
        });
        write_within(LONG, &mut ours, &LARGE).expect("written");
        drop(ours);
        assert!(reading.join().expect("ended").expect("read") == LARGE);
    }

    #[test]
    fn one_who_does_not_read_is_not_waited_for_without_end() {
        let (mut ours, theirs) = pair();
        let error =
            write_within(Duration::from_millis(50), &mut ours, &LARGE).expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        assert!(write_within(LONG, &mut ours, &LARGE).is_err());
    }
}
