//! A service whose memory cannot be swapped: holds the given number of MiB of touched pages, all of
//! it locked (mlockall). Prints `sum` once it does, and ends at once on SIGTERM. One file, std only,
//! as `hog.rs`.

use std::{io::Write as _, thread, time::Duration};

const CURRENT_AND_FUTURE: i32 = 3;
const SIGTERM: i32 = 15;

unsafe extern "C" {
    fn mlockall(flags: i32) -> i32;
    fn signal(signal: i32, handler: extern "C" fn(i32)) -> usize;
    fn _exit(code: i32) -> !;
}

extern "C" fn end(_signal: i32) {
    // SAFETY: it ends the process, and may be called from a handler.
    unsafe { _exit(0) }
}

fn main() {
    let mebibytes: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: hold MIB");
    // SAFETY: the handler is a function of this program.
    unsafe { signal(SIGTERM, end) };
    let held = vec![7_u8; mebibytes << 20];
    // SAFETY: it takes no pointer.
    assert_eq!(unsafe { mlockall(CURRENT_AND_FUTURE) }, 0, "CAP_IPC_LOCK, or a limit that allows it");
    println!("sum {}", held.len());
    std::io::stdout().flush().expect("stdout");
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
