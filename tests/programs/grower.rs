//! A build that needs memory as a compiler does: `grower MIB SECONDS` grows to the given number of
//! MiB of incompressible pages, in twenty even steps over the given time, and reads all that it
//! holds again after each. Prints `holds N MiB` after each step and ends with 0; slower than asked
//! for where memory is short. One file, std only.

use std::{
    io::Write as _,
    thread,
    time::{Duration, Instant},
};

const STEPS: usize = 20;
const WORDS_A_MIB: usize = 1 << 17;
const WORDS_A_PAGE: usize = 512;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let (Some(Ok(mebibytes)), Some(Ok(seconds))) = (arguments.next(), arguments.next()) else { panic!("usage: grower MIB SECONDS") };
    let begun = Instant::now();
    let mut held: Vec<Vec<u64>> = Vec::new();
    // xorshift64: what no compressed swap makes smaller.
    let mut word = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
    for step in 1..=STEPS {
        let words = (mebibytes * step / STEPS - mebibytes * (step - 1) / STEPS) * WORDS_A_MIB;
        let chunk = std::iter::repeat_with(|| {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            word
        });
        held.push(chunk.take(words).collect());
        let touched = held.iter().flatten().step_by(WORDS_A_PAGE).fold(0, |all, word| all ^ word);
        println!("holds {} MiB", std::hint::black_box((mebibytes * step / STEPS, touched)).0);
        std::io::stdout().flush().expect("stdout");
        let due = Duration::from_secs(seconds as u64) * step as u32 / STEPS as u32;
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
}
