//! Owns writing what the keeper says: whole messages, in order. Never waits for whoever reads,
//! because a supervisor can be stopped. Runs in the keeper.

use std::{cell::RefCell, io, time::Duration};

use tokio::{net::UnixStream, sync::Notify};

use crate::core::run::wire::{self, FromKeeper};

/// How long whoever still reads has for the rest at the end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The keeper's end of a socket.
pub(crate) struct Output {
    stream: UnixStream,
    unsaid: RefCell<Vec<u8>>,
    is_behind: Notify,
}

impl Output {
    /// Writes into a connected socket.
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, unsaid: RefCell::default(), is_behind: Notify::new() }
    }

    /// Writes as much as the socket takes; [`Self::go_on`] or [`Self::finish`] writes the rest.
    pub(crate) fn say(&self, message: &FromKeeper) {
        let mut unsaid = self.unsaid.borrow_mut();
        // Out of date by the time that it would be read.
        if !unsaid.is_empty()
            && matches!(message, FromKeeper::Progress { .. } | FromKeeper::Sample(_))
        {
            return;
        }
        unsaid.extend_from_slice(wire::line(message).as_bytes());
        self.write(&mut unsaid);
        if !unsaid.is_empty() {
            self.is_behind.notify_one();
        }
    }

    /// Writes what was left unsaid, whenever there is any. Never ends.
    pub(crate) async fn go_on(&self) {
        loop {
            self.is_behind.notified().await;
            self.say_the_rest().await;
        }
    }

    /// Writes what was left unsaid, for as long as that is worth waiting for.
    pub(crate) async fn finish(&self) {
        // Whoever has not read it by then finds the end of the connection instead.
        let _ = tokio::time::timeout(LAST_WORDS, self.say_the_rest()).await;
    }

    async fn say_the_rest(&self) {
        while !self.unsaid.borrow().is_empty() {
            if self.stream.writable().await.is_err() {
                return;
            }
            self.write(&mut self.unsaid.borrow_mut());
        }
    }

    /// Writes until all is written or the socket takes no more. Forgets what is left where nobody
    /// reads any more.
    fn write(&self, unsaid: &mut Vec<u8>) {
        while !unsaid.is_empty() {
            match self.stream.try_write(unsaid) {
                Ok(length) => drop(unsaid.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => unsaid.clear(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::net::UnixStream as StdUnixStream, thread};

    use super::*;
    use crate::core::{
        run::{
            note::Phase,
            results::{Room, RoomTarget},
            wire::Inbox,
        },
        target::{kind::Kind, method::Method},
    };

    fn large_room() -> FromKeeper {
        let target = |number| RoomTarget {
            name: format!("service-{number}"),
            id: format!("{number:064}"),
            kind: Kind::Container,
            method: Method::Pause,
            memory_bytes: Some(1 << 20),
            given_back_bytes: None,
        };
        FromKeeper::RoomMade(Room { targets: (0..4000).map(target).collect(), ..Room::default() })
    }

    fn pair() -> (Output, StdUnixStream) {
        let (ours, theirs) = StdUnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("set");
        (Output::new(UnixStream::from_std(ours).expect("watched")), theirs)
    }

    fn read(mut theirs: StdUnixStream) -> Vec<FromKeeper> {
        let (mut bytes, mut inbox) = (Vec::new(), Inbox::default());
        theirs.read_to_end(&mut bytes).expect("read");
        inbox.push(&bytes);
        std::iter::from_fn(|| inbox.take()).map(|message| message.expect("whole")).collect()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_message_that_the_socket_cannot_hold_arrives_whole_and_in_its_turn() {
        let (output, theirs) = pair();
        output.say(&large_room());
        assert!(!output.unsaid.borrow().is_empty(), "the socket holds more than this test assumes");
        output.say(&FromKeeper::Progress { phase: Phase::Pausing, done: 1, total: 2 });
        output.say(&FromKeeper::Covered);
        let reading = thread::spawn(|| read(theirs));
        tokio::select! { () = output.go_on() => {}, () = output.finish() => {} }
        drop(output);
        // The figure of a moment that has passed is left out.
        assert!(reading.join().expect("read") == [large_room(), FromKeeper::Covered]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn nobody_is_waited_for_who_is_gone() {
        let (output, theirs) = pair();
        output.say(&large_room());
        drop(theirs);
        output.finish().await;
        assert!(output.unsaid.borrow().is_empty());
    }
}
