//! Owns a zram device with swap on it, of this machine's own kernel; gone with its value.

use std::{fs, path::PathBuf, process::Command};

use super::must_run;

const HOT_ADD: &str = "/sys/class/zram-control/hot_add";

/// Active swap in memory.
pub struct Zram {
    number: u32,
}

impl Zram {
    /// Of this size, with this priority.
    #[must_use]
    pub fn activate(mebibytes: u64, priority: i32) -> Self {
        let _ = Command::new("modprobe").arg("zram").status();
        let number = fs::read_to_string(HOT_ADD)
            .unwrap_or_else(|error| panic!("{HOT_ADD}: {error}: a kernel with zram is needed"));
        let made = Self { number: number.trim().parse().expect("a number") };
        fs::write(made.file("disksize"), format!("{mebibytes}M")).expect("a size");
        must_run(Command::new("mkswap").arg("-q").arg(made.path()));
        must_run(Command::new("swapon").args(["-p", &priority.to_string()]).arg(made.path()));
        made
    }

    /// The device.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/dev/zram{}", self.number).into()
    }

    /// The memory that it takes.
    #[must_use]
    pub fn occupied_bytes(&self) -> u64 {
        let text = fs::read_to_string(self.file("mm_stat")).expect("mm_stat");
        text.split_ascii_whitespace().nth(2).and_then(|field| field.parse().ok()).expect("a number")
    }

    fn file(&self, name: &str) -> PathBuf {
        format!("/sys/block/zram{}/{name}", self.number).into()
    }
}

impl Drop for Zram {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(self.path()).status();
        let _ = fs::write(self.file("reset"), "1");
        let _ = fs::write("/sys/class/zram-control/hot_remove", self.number.to_string());
    }
}
