//! A build that counts the signals it gets: writes its pid to `child`, then appends one line to
//! `got` for each signal, as it arrives; ends with 9 once there is a file `go`. A shell's trap
//! would count two that arrive together as one. One file, std only.

use std::{fs, io::Write as _, sync::atomic::{AtomicUsize, Ordering}, thread, time::Duration};

const SIGNALS: [(i32, &str); 7] = [(1, "HUP"), (2, "INT"), (3, "QUIT"), (15, "TERM"), (10, "USR1"), (12, "USR2"), (28, "WINCH")];

static SEEN: [AtomicUsize; 32] = [const { AtomicUsize::new(0) }; 32];

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}

extern "C" fn count(number: i32) {
    SEEN[number as usize].fetch_add(1, Ordering::SeqCst);
}

fn main() {
    for (number, _) in SIGNALS {
        // SAFETY: the handler only adds to an atomic number.
        unsafe { signal(number, count) };
    }
    let mut got = fs::File::create("got").expect("got");
    fs::write("child", format!("{}\n", std::process::id())).expect("child");
    let tell = |got: &mut fs::File| {
        for (number, name) in SIGNALS {
            for _ in 0..SEEN[number as usize].swap(0, Ordering::SeqCst) {
                writeln!(got, "{name}").expect("got");
            }
        }
    };
    while !fs::exists("go").expect("go") {
        thread::sleep(Duration::from_millis(2));
        tell(&mut got);
    }
    tell(&mut got);
    std::process::exit(9);
}
