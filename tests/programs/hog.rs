//! A service with a memory of its own, for the tests of reclaim: holds the given number of MiB of
//! touched, incompressible pages. Prints `sum HEX` of them at the start and again on each SIGUSR1;
//! ends at once on SIGTERM. With a port it also answers each connection there with `pid PID started
//! MS sum HEX`: the same process and the same memory give the same line. The port 0 is none. With
//! seconds, or `20ms`, it works: touches each of its pages that often, as a service does that has
//! callers.
//! One file, std only: the tests compile it with plain rustc, statically.

use std::{
    io::Write as _,
    net::TcpListener,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const WORDS_A_PAGE: usize = 512;
const SIG_BLOCK: i32 = 0;
const SIGUSR1: i32 = 10;
const SIGTERM: i32 = 15;

/// As large as any libc's on Linux.
#[repr(C, align(8))]
struct SigSet([u64; 16]);

unsafe extern "C" {
    fn sigemptyset(set: *mut SigSet) -> i32;
    fn sigaddset(set: *mut SigSet, signal: i32) -> i32;
    fn sigprocmask(how: i32, set: *const SigSet, old: *mut SigSet) -> i32;
    fn sigwait(set: *const SigSet, signal: *mut i32) -> i32;
}

fn main() {
    let mebibytes: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: hog MIB [PORT [SECONDS | 20ms]]");
    let port: u16 = std::env::args().nth(2).map_or(0, |text| text.parse().expect("a port"));
    let every: Option<Duration> = std::env::args().nth(3).map(|text| duration(&text).expect("seconds"));
    let mut set = SigSet([0; 16]);
    // SAFETY: the set is ours, and at least as large as libc's.
    unsafe {
        sigemptyset(&mut set);
        sigaddset(&mut set, SIGUSR1);
        sigaddset(&mut set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, std::ptr::null_mut());
    }
    // xorshift64: what no compressed swap makes smaller.
    let mut word = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
    let held: &'static [AtomicU64] = std::iter::repeat_with(|| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word
    })
    .map(AtomicU64::new)
    .take(mebibytes << 17)
    .collect::<Vec<_>>()
    .leak();
    if port > 0 {
        thread::spawn(move || answer(port, held));
    }
    if let Some(every) = every {
        thread::spawn(move || work(every, held));
    }
    loop {
        println!("sum {:016x}", sum(held));
        std::io::stdout().flush().expect("stdout");
        let mut signal = 0;
        // SAFETY: both point to what is ours.
        unsafe { sigwait(&set, &mut signal) };
        if signal == SIGTERM {
            return;
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(millis) => millis.parse().ok().map(Duration::from_millis),
        None => text.parse().ok().map(Duration::from_secs),
    }
}

fn sum(held: &[AtomicU64]) -> u64 {
    held.iter().fold(0xcbf2_9ce4_8422_2325, |sum, word| (sum ^ word.load(Relaxed)).wrapping_mul(0x0100_0000_01b3))
}

fn work(every: Duration, held: &[AtomicU64]) {
    loop {
        thread::sleep(every);
        for word in held.iter().step_by(WORDS_A_PAGE) {
            word.fetch_or(0, Relaxed);
        }
    }
}

fn answer(port: u16, held: &[AtomicU64]) {
    // In a container every process has the pid 1: only its start tells a new one.
    let started = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("the port");
    for caller in listener.incoming() {
        let line = format!("pid {} started {started} sum {:016x}\n", std::process::id(), sum(held));
        // Whoever has hung up wants no answer.
        let _ = caller.and_then(|mut caller| caller.write_all(line.as_bytes()));
    }
}
