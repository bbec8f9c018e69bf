//! Owns that a container lives in the namespaces of another one: its network, its pid namespace.
//! Pure.

/// A namespace of another container that one lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivesIn {
    /// What that is, in the words for a person.
    pub what: &'static str,
    /// Whose, as its kind names that one: an id, or a name.
    pub of: String,
}

/// Whether that is what this one is called.
#[must_use]
pub fn is_called(of: &str, id: &str, names: &[String]) -> bool {
    of == id || names.iter().any(|name| name == of)
}

/// The keys of what can be another container's, and a person's word for it. Those after the third
/// are podman's.
const NAMESPACES: [(&str, &str); 6] = [
    ("NetworkMode", "network"),
    ("PidMode", "pid namespace"),
    ("IpcMode", "ipc namespace"),
    ("UTSMode", "uts namespace"),
    ("UsernsMode", "user namespace"),
    ("CgroupMode", "cgroup namespace"),
];

/// Where a container with these settings lives. An engine keeps an id where it was given a name
/// (docker 20.10, podman 4.3).
#[must_use]
pub fn of_settings<'a>(setting: impl Fn(&str) -> Option<&'a str>) -> Vec<LivesIn> {
    let of = |key: &str| Some(setting(key)?.strip_prefix("container:")?.to_owned());
    NAMESPACES.iter().filter_map(|(key, what)| Some(LivesIn { what, of: of(key)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_whose_namespaces_a_container_lives_is_read_of_each_of_them() {
        for (settings, expected) in [
            (&[][..], &[][..]),
            (&[("NetworkMode", "default"), ("PidMode", ""), ("IpcMode", "shareable")], &[]),
            (&[("NetworkMode", "host"), ("PidMode", "host")], &[]),
            (&[("NetworkMode", "container:a")], &[("network", "a")]),
            (
                &[("PidMode", "container:vpn"), ("IpcMode", "container:b")],
                &[("pid namespace", "vpn"), ("ipc namespace", "b")],
            ),
            (&[("UTSMode", "container:a")], &[("uts namespace", "a")]),
        ] {
            let setting = |key: &str| {
                settings.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
            };
            let expected: Vec<LivesIn> =
                expected.iter().map(|(what, of)| LivesIn { what, of: (*of).to_owned() }).collect();
            assert_eq!(of_settings(setting), expected, "{settings:?}");
        }
    }

    #[test]
    fn one_is_called_by_its_id_or_one_of_its_names_and_by_no_part_of_them() {
        let names = ["vpn".to_owned(), "other/alias".to_owned()];
        for (of, expected) in
            [("abc", true), ("vpn", true), ("ab", false), ("vp", false), ("", false)]
        {
            assert_eq!(is_called(of, "abc", &names), expected, "{of}");
        }
    }
}
