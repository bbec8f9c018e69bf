//! Owns reading what the maker of the engine's virtual machine wrote about it, on this machine.
//! Decides nothing: `core::machine::vm` does. Runs in the keeper and in short commands.

use std::{fs::File, io::Read as _};

use crate::core::machine::{
    route::Homes,
    vm::{self, Trace, VmDriver},
    way::Way,
};

/// A configuration is some KiB.
const MOST_BYTES: u64 = 256 << 10;

/// What runs the machine behind this way; `None` where no file tells.
#[must_use]
pub fn driver(way: &Way, homes: &Homes) -> Option<VmDriver> {
    vm::traces(way, homes).into_iter().find_map(|trace| match trace {
        Trace::Configuration(path) => {
            let mut yaml = Vec::new();
            File::open(path).ok()?.take(MOST_BYTES).read_to_end(&mut yaml).ok()?;
            vm::read(&String::from_utf8_lossy(&yaml))
        }
        Trace::Presence(path, driver) => path.exists().then_some(driver),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_machine_as_it_was_started_tells_its_driver_before_a_wish_and_a_mark_comes_last() {
        let home = TempDir::new().expect("a directory");
        let homes = Homes { home: Some(home.path().to_owned()), ..Homes::default() };
        let write = |path: &str, text: &str| {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, text).expect("written");
        };
        let way = Way::Colima { profile: "default".to_owned(), home: None };
        assert_eq!(driver(&way, &homes), None);
        write(".colima/_lima/colima/vz-identifier", "id");
        assert_eq!(driver(&way, &homes), Some(VmDriver::Vz));
        write(".colima/default/colima.yaml", "vmType: krunkit\n");
        assert_eq!(driver(&way, &homes), Some(VmDriver::Krunkit));
        write(".colima/_lima/colima/lima.yaml", "vmType: qemu\n");
        assert_eq!(driver(&way, &homes), Some(VmDriver::Qemu));
    }
}
