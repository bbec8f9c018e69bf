//! Sizes, times, addresses and commands, as somebody types them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use makeroom::core::{machine::{address::Address, way::Prefix}, plan::estimate::{heap_limit_bytes, need_of_heap}, values::{NeedWish, Size, Span, SwapWish}};

fuzz_target!(|text: &str| {
    if let Ok(size) = text.parse::<Size>() {
        assert_eq!(size.bytes.to_string().parse::<Size>().expect("bytes").bytes, size.bytes);
    }
    let _ = (text.parse::<Span>().is_ok(), text.parse::<SwapWish>().is_ok(), text.parse::<NeedWish>().is_ok());
    let _ = (text.parse::<Address>().is_ok(), text.parse::<Prefix>().is_ok());
    let _ = (heap_limit_bytes(text), need_of_heap(text));
});
