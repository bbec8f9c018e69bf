//! A journal, damaged in any way: it is read or refused, and what a torn end hides never existed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use makeroom::core::record::read;

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes);
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    assert_eq!(whole, read(&bytes[..end]), "what follows the last line's end says nothing");
});
