//! The way over a command prefix, with prefixes that lead to this very machine, so that every step
//! that a VM would run is run here; and prefixes that lead nowhere. The VM itself is in tests/vm.

mod profits;
mod recovered;
mod taken;

use std::{fs, path::PathBuf};

use crate::support::site::Site;

/// A program of this name, which runs this as a shell's script.
fn program(site: &Site, name: &str, script: &str) -> PathBuf {
    site.program(name, &format!("#!/bin/sh\n{script}\n"))
}

fn path_with(site: &Site) -> String {
    format!(
        "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        site.path("bin").display()
    )
}

/// A prefix that counts how often it is used, a letter for each, and keeps what the steps print.
fn counting(site: &Site) -> PathBuf {
    let (used, said) = (site.path("used"), site.path("said"));
    program(
        site,
        "vm",
        &format!("printf x >> '{}'\n\"$@\" | tee -a '{}'", used.display(), said.display()),
    )
}

fn used(site: &Site) -> usize {
    fs::read(site.path("used")).map_or(0, |letters| letters.len())
}
