//! What was there before is never touched, and where swap cannot be is said.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use crate::support::{disk::Disk, must_run, site::Site, swap};

use super::{Theirs, active, names_in, site, wishing};

/// Everything about what lies at a path that a careless hand would change.
fn fingerprint(path: &Path) -> String {
    let Ok(found) = fs::symlink_metadata(path) else { return "nothing".to_owned() };
    let content = if found.is_file() { fs::read(path).expect("read") } else { Vec::new() };
    let inside = if found.is_dir() { names_in(path) } else { Vec::new() };
    format!(
        "{:?} ino {} mode {:o} nlink {} owner {} mtime {}.{} crc {:08x} of {} link {:?} inside {inside:?}",
        found.file_type(),
        found.ino(),
        found.mode(),
        found.nlink(),
        found.uid(),
        found.mtime(),
        found.mtime_nsec(),
        crc32fast::hash(&content),
        content.len(),
        fs::read_link(path).ok(),
    )
}

/// With a warning the build runs; with `--strict` it does not. Neither touches anything.
#[track_caller]
fn assert_refused(site: &Site, mebibytes: u64, path: &Path, reason: &str) {
    let dir = path.parent().expect("a directory");
    let look = || (fingerprint(path), fingerprint(dir), active());
    let before = look();
    let done = wishing(site, mebibytes, path).args(["echo", "built"]).run();
    done.expect_code(0)
        .expect_said("warning:")
        .expect_said(reason)
        .expect_said(&path.display().to_string())
        .expect_said("hint:");
    assert_eq!((done.out.as_str(), look()), ("built\n", before.clone()), "{reason}");
    let done = wishing(site, mebibytes, path)
        .args(["--strict", "sh", "-c", "echo built; : >strictly"])
        .run();
    done.expect_code(125)
        .expect_said(reason)
        .expect_said(&path.display().to_string())
        .expect_said("the command was not started");
    assert_eq!((done.out.as_str(), look()), ("", before), "{reason}, strict");
    assert!(!site.work().join("strictly").exists());
    assert!(site.journals().is_empty(), "{:?}", site.journals());
}

#[test]
fn what_exists_at_the_path_is_never_touched() {
    type Make = fn(&Path);
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let precious = disk.path("precious");
    fs::write(&precious, vec![7_u8; 3 << 20]).expect("written");
    let before = fingerprint(&precious);
    let cases: [(&str, Make); 8] = [
        ("it exists", |path| fs::write(path, vec![42_u8; 3 << 20]).expect("a file")),
        ("it exists", |path| fs::write(path, "").expect("an empty file")),
        // As a makeroom that was killed elsewhere, with another state directory, left it.
        ("it exists", |path| {
            must_run(Command::new("fallocate").args(["-l", "100MiB"]).arg(path));
            must_run(Command::new("mkswap").args(["-q", "-L", "mr-0123456789ab"]).arg(path));
        }),
        ("it is a link", |path| symlink(path.with_file_name("../precious"), path).expect("a link")),
        ("it is a link", |path| symlink("/nonexistent/nowhere", path).expect("a link")),
        ("it is a directory", |path| fs::create_dir(path).expect("a folder")),
        ("it is a link", |path| {
            symlink(path.parent().expect("a directory"), path).expect("a link");
        }),
        ("it exists", |path| {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        }),
    ];
    for (number, (reason, make)) in cases.iter().enumerate() {
        let path = disk.folder(&format!("case{number}")).join("area");
        make(&path);
        assert_refused(&site, 100, &path, reason);
    }
    assert!(fs::symlink_metadata(disk.path("case7/area")).expect("a FIFO").file_type().is_fifo());
    assert_eq!(fingerprint(&precious), before);
}

#[test]
fn an_area_of_somebody_else_that_is_active_at_the_path_stays_active() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    let theirs = Theirs::activate(disk.folder("swap").join("area"), 100);
    assert_refused(&site, 100, &theirs.0, "it exists");
    assert!(active().contains(&theirs.0));
}

#[test]
fn file_systems_that_cannot_hold_swap_are_named() {
    let _turn = swap::turn();
    let (tmpfs, overlay, site) = (Disk::tmpfs(), Disk::overlay(), site());
    assert_refused(&site, 64, &tmpfs.folder("swap").join("area"), "is on tmpfs");
    assert_refused(&site, 64, &overlay.folder("swap").join("area"), "is on overlayfs");
}

#[test]
fn a_disk_without_room_is_left_alone() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::exactly("ext4", 1100), site());
    assert_refused(&site, 100, &disk.folder("swap").join("area"), "1024 MiB of its disk stay free");
}

#[test]
fn a_directory_that_others_write_to_is_refused() {
    let _turn = swap::turn();
    let (disk, site) = (Disk::new("ext4", 512), site());
    for (name, mode) in
        [("all", 0o777), ("sticky", 0o1777), ("group", 0o770), ("write-only", 0o702)]
    {
        let dir = disk.folder(name);
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("a mode");
        assert_refused(&site, 100, &dir.join("area"), "can be written by others");
    }
    let dir = disk.folder("theirs");
    std::os::unix::fs::chown(&dir, Some(1000), None).expect("an owner");
    assert_refused(&site, 100, &dir.join("area"), "belongs to user 1000");
    symlink(disk.folder("real"), disk.path("link")).expect("a link");
    assert_refused(&site, 100, &disk.path("link/area"), "which is the one to name");
    assert_refused(&site, 100, &disk.path("missing/area"), "is not a directory");
    assert!(names_in(&disk.path("real")).is_empty() && !disk.path("missing").exists());
}
