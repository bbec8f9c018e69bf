//! Owns the ways to a host that is another machine: as a journal keeps them, by name and checked
//! parts, and as the command that is run, which is always made here and never read from a file.
//! Pure.

use std::{path::Path, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

/// A command that runs the command after it on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Prefix {
    /// What a person calls the host.
    pub name: String,
    /// The words, the program first.
    pub words: Vec<String>,
}

impl Prefix {
    fn new(name: impl Into<String>, words: &[&str]) -> Self {
        Self { name: name.into(), words: words.iter().map(ToString::to_string).collect() }
    }

    fn of_words(words: Vec<String>) -> Self {
        let name =
            words.first().and_then(|program| Path::new(program).file_name()).unwrap_or_default();
        Self { name: name.to_string_lossy().into_owned(), words }
    }
}

/// As a person types it: `colima ssh --`.
impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = shlex::split(text).ok_or_else(|| {
            format!(
                "`{text}` has a quote without its end; allowed: a command, as \"colima ssh --\""
            )
        })?;
        if words.is_empty() {
            return Err("it is empty; allowed: a command, as \"colima ssh --\"".to_owned());
        }
        Ok(Self::of_words(words))
    }
}

/// A way to a host that is another machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum Way {
    /// Colima. `home` is COLIMA_HOME, which whoever recovers later may not have set.
    Colima { profile: String, home: Option<String> },
    /// Lima. `home` is LIMA_HOME.
    Lima { instance: String, home: Option<String> },
    /// Rancher Desktop.
    RancherDesktop,
    /// `podman machine`.
    PodmanMachine { name: String },
    /// `ssh [USER@]HOST`.
    Ssh { destination: String, port: Option<u16> },
    /// A `--vm-shell` of the user's own, or a known way with an unusual part.
    Own { words: Vec<String> },
}

impl Way {
    /// Tells the way from these words: a known one if they are exactly that.
    #[must_use]
    pub fn of_words(words: &[String]) -> Self {
        let known = known(words).filter(|way| way.is_sound() && way.prefix().words == words);
        known.unwrap_or_else(|| Self::Own { words: words.to_vec() })
    }

    /// The same way if all its parts are sound, else its words as the user's own.
    pub(crate) fn sound(self) -> Self {
        if self.is_sound() { self } else { Self::Own { words: self.prefix().words } }
    }

    /// The way over ssh.
    #[must_use]
    pub fn ssh(destination: &str, port: Option<u16>) -> Self {
        Self::Ssh { destination: destination.to_owned(), port }.sound()
    }

    /// The command that this way comes to.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        match self {
            Self::Colima { profile, home } => {
                let name = if profile == "default" {
                    "colima".to_owned()
                } else {
                    format!("colima-{profile}")
                };
                with_variable(
                    "COLIMA_HOME",
                    home.as_deref(),
                    Prefix::new(name, &["colima", "--profile", profile, "ssh", "--"]),
                )
            }
            Self::Lima { instance, home } => {
                // Without a working directory it would look for ours in the VM, and complain.
                let prefix = Prefix::new(
                    format!("lima {instance}"),
                    &["limactl", "shell", "--workdir", "/", instance],
                );
                with_variable("LIMA_HOME", home.as_deref(), prefix)
            }
            Self::RancherDesktop => Prefix::new("Rancher Desktop", &["rdctl", "shell"]),
            Self::PodmanMachine { name } => {
                Prefix::new(format!("podman machine {name}"), &["podman", "machine", "ssh", name])
            }
            Self::Ssh { destination, port } => {
                // BatchMode: ssh must not ask, because nobody is there to answer.
                let port = port.map(|port| port.to_string());
                let mut words = vec!["ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"];
                words.extend(port.iter().flat_map(|port| ["-p", port]));
                words.extend(["--", destination]);
                Prefix::new(destination, &words)
            }
            Self::Own { words } => Prefix::of_words(words.clone()),
        }
    }

    /// The directory that the maker's variable names.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        let (Self::Colima { home, .. } | Self::Lima { home, .. }) = self else { return None };
        home.as_deref().map(Path::new)
    }

    /// Tells whether the maker's program can take each part for nothing but what it is.
    fn is_sound(&self) -> bool {
        let is_home = |home: &Option<String>| {
            home.as_ref().is_none_or(|home| home.starts_with('/') && !home.contains('\0'))
        };
        match self {
            Self::Colima { profile: name, home } | Self::Lima { instance: name, home } => {
                is_name(name) && is_home(home)
            }
            Self::PodmanMachine { name } => is_name(name),
            Self::Ssh { destination, .. } => is_destination(destination),
            Self::RancherDesktop => true,
            Self::Own { words } => words.first().is_some_and(|program| !program.is_empty()),
        }
    }
}

/// Reads a way from a journal, by its parts, which are checked, or, as up to version 4, by its
/// words.
///
/// # Errors
/// If a part cannot have been written by makeroom.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Way>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Parts(Way),
        Words(Prefix),
    }
    match Option::<Written>::deserialize(from)? {
        None => Ok(None),
        Some(Written::Words(Prefix { words, .. })) => Ok(Some(Way::of_words(&words))),
        Some(Written::Parts(way)) if way.is_sound() => Ok(Some(way)),
        Some(Written::Parts(_)) => {
            Err(serde::de::Error::custom("a part of the way to the host is not sound"))
        }
    }
}

fn known(words: &[String]) -> Option<Way> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (mut colima, mut lima) = (None, None);
    if let ["env", variable, ..] = words[..] {
        colima = variable.strip_prefix("COLIMA_HOME=").map(str::to_owned);
        lima = variable.strip_prefix("LIMA_HOME=").map(str::to_owned);
        words.drain(..2);
    }
    match words[..] {
        ["colima", "--profile", profile, "ssh", "--"] => {
            Some(Way::Colima { profile: profile.to_owned(), home: colima })
        }
        ["limactl", "shell", "--workdir", "/", instance] => {
            Some(Way::Lima { instance: instance.to_owned(), home: lima })
        }
        ["rdctl", "shell"] => Some(Way::RancherDesktop),
        ["podman", "machine", "ssh", name] => Some(Way::PodmanMachine { name: name.to_owned() }),
        ["ssh", .., "-p", port, "--", destination] => {
            Some(Way::Ssh { destination: destination.to_owned(), port: Some(port.parse().ok()?) })
        }
        ["ssh", .., "--", destination] => {
            Some(Way::Ssh { destination: destination.to_owned(), port: None })
        }
        _ => None,
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    !name.starts_with('-') && name.contains(|letter| letter != '.') && name.chars().all(is_plain)
}

/// Tells whether this is `[USER@]HOST`; the host may be an IPv6 address in brackets, with a zone.
fn is_destination(destination: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-@[]:%".contains(letter);
    !destination.is_empty() && !destination.starts_with('-') && destination.chars().all(is_plain)
}

fn with_variable(name: &str, value: Option<&str>, prefix: Prefix) -> Prefix {
    let Some(value) = value else { return prefix };
    let set = ["env".to_owned(), format!("{name}={value}")];
    Prefix { words: set.into_iter().chain(prefix.words).collect(), ..prefix }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known_ways() -> Vec<Way> {
        let text = str::to_owned;
        let mut ways = vec![Way::RancherDesktop, Way::PodmanMachine { name: text("qemu") }];
        for home in [None, Some(text("/opt/a b"))] {
            ways.push(Way::Colima { profile: text("default"), home: home.clone() });
            ways.push(Way::Colima { profile: text("work-1.2_x"), home: home.clone() });
            ways.push(Way::Lima { instance: text("docker"), home });
        }
        for (destination, port) in
            [("me@there", None), ("there", Some(2222)), ("root@[fd00::1%eth0]", Some(22))]
        {
            ways.push(Way::Ssh { destination: text(destination), port });
        }
        ways
    }

    fn written(json: &str) -> Result<Option<Way>, serde_json::Error> {
        read(&mut serde_json::Deserializer::from_str(json))
    }

    #[test]
    fn a_known_way_is_told_from_its_words_and_read_as_it_is_written() {
        for way in known_ways() {
            let prefix = way.prefix();
            assert_eq!(Way::of_words(&prefix.words), way);
            let json = serde_json::to_string(&way).expect("JSON");
            assert_eq!(written(&json).expect("read"), Some(way.clone()), "{json}");
            // As version 4 wrote it.
            let json = serde_json::to_string(&prefix).expect("JSON");
            assert_eq!(written(&json).expect("read"), Some(way), "{json}");
        }
        assert_eq!(written("null").expect("read"), None);
    }

    #[test]
    fn words_that_are_not_exactly_a_known_way_are_ones_own() {
        for typed in [
            "colima ssh --",
            "colima --profile -x ssh --",
            "colima --profile 'a b' ssh --",
            "colima --profile .. ssh --",
            "env COLIMA_HOME=rel colima --profile a ssh --",
            "env LIMA_HOME=/l colima --profile a ssh --",
            "env PATH=/his colima --profile a ssh --",
            "env COLIMA_HOME=/c rdctl shell",
            "limactl shell --workdir / -x",
            "podman machine ssh --",
            "/his/rdctl shell",
            "ssh -T -o BatchMode=yes -o ConnectTimeout=10 -- -oProxyCommand=id",
            "ssh -T -o ProxyCommand=id -o ConnectTimeout=10 -- there",
            "ssh -T -o BatchMode=yes -o ConnectTimeout=10 -p 022 -- there",
            "ssh -T -o BatchMode=yes -o ConnectTimeout=10 -- 'there;id'",
            "sh -c id",
        ] {
            let words = typed.parse::<Prefix>().expect("a command").words;
            assert_eq!(Way::of_words(&words), Way::Own { words: words.clone() }, "{typed}");
            assert_eq!(Way::of_words(&words).prefix().words, words);
        }
    }

    #[test]
    fn a_part_that_was_never_written_is_refused() {
        for json in [
            r#"{"way":"colima","profile":"-x","home":null}"#,
            r#"{"way":"colima","profile":"x","home":"rel"}"#,
            r#"{"way":"lima","instance":"","home":null}"#,
            r#"{"way":"lima","instance":"a;id","home":null}"#,
            r#"{"way":"podman_machine","name":"--help"}"#,
            r#"{"way":"ssh","destination":"-oProxyCommand=id","port":null}"#,
            r#"{"way":"ssh","destination":"a b","port":null}"#,
            r#"{"way":"own","words":[]}"#,
            r#"{"way":"sh","words":["id"]}"#,
            r#""id""#,
        ] {
            written(json).expect_err(json);
        }
    }

    #[test]
    fn a_typed_prefix_is_split_as_a_shell_would_and_not_interpreted() {
        let prefix = "/opt/bin/vm 'a b' $(id) ; x".parse::<Prefix>().expect("a command");
        assert_eq!((prefix.name.as_str(), prefix.words.len()), ("vm", 5));
        assert_eq!(prefix.words[1..3], ["a b", "$(id)"]);
        for none in ["", "  ", "x 'y"] {
            assert!(none.parse::<Prefix>().expect_err(none).contains("allowed: "), "{none}");
        }
    }
}
