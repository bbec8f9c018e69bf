//! What comes out of the socket between supervisor and keeper, in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use makeroom::core::run::wire::{FromKeeper, Inbox, ToKeeper};

fuzz_target!(|pieces: Vec<&[u8]>| {
    let (mut to, mut from) = (Inbox::default(), Inbox::default());
    for piece in pieces {
        to.push(piece);
        from.push(piece);
        while to.take::<ToKeeper>().is_some() {}
        while from.take::<FromKeeper>().is_some() {}
    }
});
