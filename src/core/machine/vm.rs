//! Owns what memory that is free in a virtual machine is worth to the machine that it runs on: who
//! runs it, by its maker's own files, and whether that one gives memory back. Pure: `host::vm_files`
//! does the reading.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::core::machine::{route::Homes, way::Way};

/// What runs the engine's virtual machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VmDriver {
    /// Apple's Virtualization.framework, the usual one on a Mac. Nothing is given back
    /// (lima#4220; apple/container, "Technical overview").
    Vz,
    /// QEMU. Its makers use it without a balloon, so nothing is given back.
    Qemu,
    /// libkrun, which reports free pages, so that they are given back.
    Krunkit,
    /// OrbStack's own, which says that it gives them back.
    Orbstack,
}

impl VmDriver {
    /// What its makers call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vz => "vz",
            Self::Qemu => "qemu",
            Self::Krunkit => "krunkit",
            Self::Orbstack => "OrbStack",
        }
    }

    /// Whether the machine around it gets memory back that is free inside.
    #[must_use]
    pub fn gives_back(self) -> bool {
        matches!(self, Self::Krunkit | Self::Orbstack)
    }

    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "vz" => Self::Vz,
            "qemu" => Self::Qemu,
            "krunkit" => Self::Krunkit,
            _ => return None,
        })
    }
}

/// A file that tells the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A configuration with a `vmType`.
    Configuration(PathBuf),
    /// That this file is there tells it.
    Presence(PathBuf, VmDriver),
}

/// The files that tell the driver of the machine behind this way, what was started before what is
/// wished for: `vmType` counts when a machine is made (lima, `templates/default.yaml`), and `colima
/// start` writes Lima's file from Colima's (colima, `environment/vm/lima/yaml.go`).
#[must_use]
pub fn traces(way: &Way, homes: &Homes) -> Vec<Trace> {
    let of_instance = |instance: PathBuf| {
        let identifier = instance.join("vz-identifier");
        [
            Trace::Configuration(instance.join("lima.yaml")),
            Trace::Presence(identifier, VmDriver::Vz),
        ]
    };
    match way {
        Way::Colima { profile, home } => {
            let instance = match profile.as_str() {
                "default" => "colima".to_owned(),
                profile => format!("colima-{profile}"),
            };
            let dirs = home.iter().map(PathBuf::from).chain(homes.of_colima());
            dirs.flat_map(|dir| {
                let configured = Trace::Configuration(dir.join(profile).join("colima.yaml"));
                let [started, identified] = of_instance(dir.join("_lima").join(&instance));
                [started, configured, identified]
            })
            .collect()
        }
        Way::Lima { instance, home } => {
            let dirs = home.iter().map(PathBuf::from).chain(homes.of_lima());
            dirs.flat_map(|dir| of_instance(dir.join(instance))).collect()
        }
        _ => Vec::new(),
    }
}

/// Reads the driver from a configuration of Colima's or Lima's. It is a plain word at the top level
/// there, and `null`, or left out, where the maker decides.
#[must_use]
pub fn read(yaml: &str) -> Option<VmDriver> {
    let value = yaml.lines().find_map(|line| line.strip_prefix("vmType:"))?;
    let word = value.split('#').next().unwrap_or_default().trim();
    VmDriver::of_word(word.trim_matches(['"', '\'']))
}

/// Says which builds have the use of room that is made in `host`, another machine than this one.
#[must_use]
pub fn who_profits(host: &str, driver: Option<VmDriver>) -> String {
    match driver {
        Some(driver) if driver.gives_back() => format!(
            "a build in {host}'s engine, and one on this machine: {} gives free memory back to it",
            driver.name()
        ),
        Some(driver) => format!(
            "a build in {host}'s engine; not one on this machine: {} gives nothing back to it",
            driver.name()
        ),
        None => format!("a build in {host}'s engine; not one on this machine"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_driver_is_read_from_the_makers_own_files() {
        for (yaml, expected) in [
            (include_str!("vm/colima-vz.yaml"), Some(VmDriver::Vz)),
            (include_str!("vm/colima-krunkit.yaml"), Some(VmDriver::Krunkit)),
            (include_str!("vm/lima-qemu.yaml"), Some(VmDriver::Qemu)),
            (include_str!("vm/lima-default.yaml"), None),
            ("vmType: 'vz' # Apple's\r\n", Some(VmDriver::Vz)),
            ("# vmType: vz\n", None),
            ("nested:\n  vmType: vz\n", None),
            ("vmType: wsl2\n", None),
            ("vmType:\n", None),
            ("", None),
        ] {
            assert_eq!(read(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn what_was_started_is_looked_at_before_what_is_configured() {
        let homes = Homes { home: Some("/h".into()), ..Homes::default() };
        let shown = |way: &Way| {
            let path = |trace: &Trace| match trace {
                Trace::Configuration(path) | Trace::Presence(path, _) => path.clone(),
            };
            traces(way, &homes).iter().map(path).collect::<Vec<_>>()
        };
        let colima = |profile: &str, home: Option<&str>| Way::Colima {
            profile: profile.to_owned(),
            home: home.map(str::to_owned),
        };
        assert_eq!(
            shown(&colima("default", None))[..3],
            [
                Path::new("/h/.colima/_lima/colima/lima.yaml"),
                Path::new("/h/.colima/default/colima.yaml"),
                Path::new("/h/.colima/_lima/colima/vz-identifier"),
            ]
        );
        assert_eq!(
            shown(&colima("work", Some("/c")))[..2],
            [Path::new("/c/_lima/colima-work/lima.yaml"), Path::new("/c/work/colima.yaml")]
        );
        let lima = Way::Lima { instance: "docker".to_owned(), home: None };
        assert_eq!(
            shown(&lima),
            [Path::new("/h/.lima/docker/lima.yaml"), Path::new("/h/.lima/docker/vz-identifier")]
        );
        assert_eq!(shown(&Way::RancherDesktop), Vec::<PathBuf>::new());
    }

    #[test]
    fn it_is_said_which_builds_profit() {
        for (driver, said) in [
            (
                Some(VmDriver::Vz),
                "a build in colima's engine; not one on this machine: vz gives nothing back to it",
            ),
            (
                Some(VmDriver::Krunkit),
                "a build in colima's engine, and one on this machine: krunkit gives free memory \
                 back to it",
            ),
            (None, "a build in colima's engine; not one on this machine"),
        ] {
            assert_eq!(who_profits("colima", driver), said);
        }
    }
}
