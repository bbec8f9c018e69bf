//! Owns the static programs that the images are made of: Debian's busybox, and the hog, compiled
//! here once and kept in the target directory; and a build that counts its signals.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use super::{must_run, needed};

const TALLY: &str = include_str!("../../programs/tally.rs");
const GROWER: &str = include_str!("../../programs/grower.rs");
const HOG: &str = include_str!("../../programs/hog.rs");
const HOLD: &str = include_str!("../../programs/hold.rs");

/// A root directory with a shell.
#[must_use]
pub fn busybox() -> TempDir {
    let busybox = needed("busybox", "busybox-static");
    let bytes = fs::read(&busybox).expect("busybox");
    // PT_INTERP names the loader that a dynamic program needs, and an image made of it does not
    // have.
    let is_static =
        !bytes.windows(8).take(4096).any(|eight| eight == b"/lib64/l" || eight == b"/lib/ld-");
    assert!(is_static, "{} is not static: apt-get install busybox-static", busybox.display());
    root(|root| {
        fs::copy(&busybox, root.join("bin/busybox")).expect("copied");
        for applet in ["sh", "sleep", "true", "cat", "kill"] {
            symlink("busybox", root.join("bin").join(applet)).expect("linked");
        }
    })
}

/// A root directory with the hog, and its like that locks its memory.
#[must_use]
pub fn hog() -> TempDir {
    let (hog, hold) = (compiled("hog", HOG), compiled("hold", HOLD));
    root(|root| {
        fs::copy(hog, root.join("bin/hog")).expect("copied");
        fs::copy(hold, root.join("bin/hold")).expect("copied");
    })
}

/// A copy of makeroom that every user can run: cargo's target directory may lie where only root can
/// go. Written by another process: a child that one of our threads forks meanwhile would hold our
/// descriptor, and a file that is open for writing cannot be executed (ETXTBSY).
pub fn copy_for_others(path: &Path) {
    must_run(Command::new("cp").arg(env!("CARGO_BIN_EXE_makeroom")).arg(path));
}

/// The tally, to be run on this machine.
#[must_use]
pub fn tally() -> PathBuf {
    static TALLY_MADE: OnceLock<PathBuf> = OnceLock::new();
    TALLY_MADE.get_or_init(|| compiled("tally", TALLY)).clone()
}

/// A build that grows to so many MiB.
#[must_use]
pub fn grower() -> PathBuf {
    compiled("grower", GROWER)
}

fn compiled(name: &str, source: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = dir.join(format!("{name}-{:08x}", crc32fast::hash(source.as_bytes())));
    if !program.is_file() {
        let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        let (text, made) =
            (dir.join(format!("{}.rs", super::unique(name))), dir.join(super::unique(name)));
        fs::write(&text, source).expect("written");
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
        let output = rustc
            .args(["--edition", "2024", "-O", "--target", &target, "-o"])
            .arg(&made)
            .arg(&text)
            .output()
            .expect("rustc");
        assert!(
            output.status.success(),
            "{}\nhint: rustup target add {target}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::remove_file(text).expect("removed");
        // Two test processes may do this at once.
        fs::rename(made, &program).expect("renamed");
    }
    program
}

fn root(fill: impl FnOnce(&Path)) -> TempDir {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir(root.path().join("bin")).expect("a directory");
    fill(root.path());
    must_run(Command::new("chmod").arg("-R").arg("a+rX").arg(root.path()));
    root
}
