//! Owns the figures of memory that a makeroom under test reads, in place of this machine's: files
//! that are mounted over the kernel's in a mount namespace of its own, and gone with its last
//! process. So a test has memory as short as it likes, whatever else runs here.

use std::{
    ffi::CString,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt as _, fs::FileExt as _},
    path::Path,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::makeroom::Run;

const MEMINFO: &str = include_str!("../../fixtures/debian-12-kernel-6.18/meminfo");
/// What the host is said to have, in MiB.
const TOTAL_MIB: u64 = 16 << 10;
const TICK: Duration = Duration::from_millis(10);

/// A host's figures.
pub struct Figures {
    dir: TempDir,
    shared: Arc<Shared>,
    clock: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stalled_percent: AtomicU64,
    ended: AtomicBool,
}

impl Figures {
    /// A host with so much available, where nothing is stalled.
    #[must_use]
    pub fn new(available_mib: u64) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let shared = Arc::new(Shared::default());
        write_pressure(&File::create(dir.path().join("pressure")).expect("a file"), Duration::ZERO);
        let (file, all) = (
            File::options().write(true).open(dir.path().join("pressure")).expect("a file"),
            Arc::clone(&shared),
        );
        let clock = thread::spawn(move || {
            let (mut stall, mut last) = (Duration::ZERO, Instant::now());
            while !all.ended.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                let percent = u32::try_from(all.stalled_percent.load(Ordering::Relaxed))
                    .expect("a percentage");
                stall += last.elapsed() * percent / 100;
                last = Instant::now();
                write_pressure(&file, stall);
            }
        });
        let figures = Self { dir, shared, clock: Some(clock) };
        File::create(figures.dir.path().join("meminfo")).expect("a file");
        figures.available(available_mib);
        figures
    }

    /// From now on so much is available.
    pub fn available(&self, mebibytes: u64) {
        let line = |line: &str| {
            let kib = match line.split(':').next() {
                Some("MemTotal") => TOTAL_MIB << 10,
                Some("MemAvailable") => mebibytes << 10,
                Some("SwapTotal" | "SwapFree") => 0,
                _ => return format!("{line}\n"),
            };
            // As long each time: whoever reads meanwhile reads one or the other.
            format!("{:<16}{kib:>8} kB\n", &line[..=line.find(':').expect("a colon")])
        };
        let text: String = MEMINFO.lines().map(line).collect();
        let file =
            File::options().write(true).open(self.dir.path().join("meminfo")).expect("a file");
        file.write_all_at(text.as_bytes(), 0).expect("written");
    }

    /// From now on everything is stalled on memory for this part of the time.
    pub fn stalled(&self, percent: u64) {
        self.shared.stalled_percent.store(percent, Ordering::Relaxed);
    }

    /// This command and all below it read these figures.
    pub fn over<'run>(&self, run: &'run mut Run) -> &'run mut Run {
        self.mount(run, &self.dir.path().join("pressure"))
    }

    /// The same on a kernel that measures no pressure.
    pub fn over_without_pressure<'run>(&self, run: &'run mut Run) -> &'run mut Run {
        let empty = self.dir.path().join("empty");
        fs::write(&empty, "").expect("written");
        self.mount(run, &empty)
    }

    fn mount<'run>(&self, run: &'run mut Run, pressure: &Path) -> &'run mut Run {
        let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("a path");
        let mounts = [
            (name(&self.dir.path().join("meminfo")), c"/proc/meminfo"),
            (name(pressure), c"/proc/pressure/memory"),
        ];
        run.before_exec(move || {
            let check =
                |result: i32| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
            // SAFETY: system calls with strings that live as long as this closure.
            unsafe {
                check(libc::unshare(libc::CLONE_NEWNS))?;
                check(libc::mount(
                    ptr::null(),
                    c"/".as_ptr(),
                    ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    ptr::null(),
                ))?;
                for (from, to) in &mounts {
                    check(libc::mount(
                        from.as_ptr(),
                        to.as_ptr(),
                        ptr::null(),
                        libc::MS_BIND,
                        ptr::null(),
                    ))?;
                }
            }
            Ok(())
        })
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(clock) = self.clock.take() {
            let _ = clock.join();
        }
    }
}

fn write_pressure(file: &File, stall: Duration) {
    let line = |name: &str| {
        format!("{name} avg10=0.00 avg60=0.00 avg300=0.00 total={:>012}\n", stall.as_micros())
    };
    file.write_all_at((line("some") + &line("full")).as_bytes(), 0).expect("written");
}
