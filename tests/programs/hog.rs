//! A service with a memory of its own, for the tests of reclaim: holds the given number of MiB of
//! touched, incompressible pages. Prints `sum HEX` of them at the start and again on each SIGUSR1;
//! ends at once on SIGTERM. One file, std only: the tests compile it with plain rustc, statically.

use std::io::Write as _;

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
    let mebibytes: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: hog MIB");
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
    let held: Vec<u64> = std::iter::repeat_with(|| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word
    })
    .take(mebibytes << 17)
    .collect();
    loop {
        let sum = held.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, word| (sum ^ word).wrapping_mul(0x0100_0000_01b3));
        println!("sum {sum:016x}");
        std::io::stdout().flush().expect("stdout");
        let mut signal = 0;
        // SAFETY: both point to what is ours.
        unsafe { sigwait(&set, &mut signal) };
        if signal == SIGTERM {
            return;
        }
    }
}
