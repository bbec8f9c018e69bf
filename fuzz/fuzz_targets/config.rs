//! A `makeroom.toml`: it is taken or refused in one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use makeroom::{
    cli::{ChildArgs, CommonArgs, RoomArgs},
    config::settle,
};

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("makeroom-fuzz-{}.toml", std::process::id()));
    std::fs::write(&path, bytes).expect("written");
    let common = CommonArgs { config: Some(path), ..CommonArgs::default() };
    if let Err(error) = settle(&RoomArgs::default(), &ChildArgs::default(), &common) {
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
});
