//! Owns which targets watch the others: those that hold the engine's socket, and those among them
//! that restart what the engine calls unhealthy. Pure.
//!
//! What was paused is `unhealthy` to the engine until its next probe, so a watcher comes back last,
//! and one that would act on that comes back when it is over.

use serde::{Deserialize, Serialize};

/// How a target watches others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// It holds the engine's socket.
    Socket,
    /// It restarts what the engine calls unhealthy, as far as is known.
    Enforcer,
}

/// What a container says of itself, as far as it tells whether it watches others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The engine's own socket on its host, where that is known.
    pub socket: Option<&'a str>,
    /// What is mounted into it, by the places on the host.
    pub mounts: &'a [String],
    /// Its names.
    pub names: &'a [String],
    /// Its image.
    pub image: &'a str,
    /// What it runs, arguments included.
    pub command: &'a str,
}

/// Words in the name or the image of what restarts others: willfarrell/autoheal and its many copies,
/// qmcgaw/deunhealth, ioriomauro/healmydocker; containrrr/watchtower and pyouroboros/ouroboros
/// replace what has a newer image, whatever it does.
const ENFORCERS: [&str; 7] =
    ["autoheal", "auto-heal", "deunhealth", "healmydocker", "dockward", "watchtower", "ouroboros"];
/// A script that asks for these is an enforcer of somebody's own.
const ASKS_FOR: &str = "unhealthy";
/// What an engine's socket is called (Docker, Podman).
const SOCKETS: [&str; 2] = ["docker.sock", "podman.sock"];
/// Where they are unless somebody has moved them.
const USUAL: [&str; 2] = ["/run/docker.sock", "/run/podman/podman.sock"];

/// How a container watches others; `None` where it does not.
#[must_use]
pub fn watch(facts: &Facts<'_>) -> Option<Watch> {
    let holds_socket = facts.mounts.iter().any(|mount| holds_socket(mount, facts.socket));
    let named = facts.names.iter().map(String::as_str).chain([facts.image]);
    let is_named = named
        .map(str::to_ascii_lowercase)
        .any(|name| ENFORCERS.iter().any(|word| name.contains(word)));
    // One that is named so reaches the engine in another way, as over TCP.
    if is_named || (holds_socket && facts.command.to_ascii_lowercase().contains(ASKS_FOR)) {
        return Some(Watch::Enforcer);
    }
    holds_socket.then_some(Watch::Socket)
}

/// Who may have restarted a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspects<'a> {
    /// Nobody that is seen.
    None,
    /// These are known to.
    Known(Vec<&'a str>),
    /// These could.
    Unknown(Vec<&'a str>),
}

/// Who of those beside the targets, by name, may have restarted one of them.
pub fn suspects<'a>(beside: impl Iterator<Item = (&'a str, Option<Watch>)>) -> Suspects<'a> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for (name, watch) in beside {
        match watch {
            Some(Watch::Enforcer) => known.push(name),
            Some(Watch::Socket) => unknown.push(name),
            None => {}
        }
    }
    match (known.is_empty(), unknown.is_empty()) {
        (false, _) => Suspects::Known(known),
        (true, false) => Suspects::Unknown(unknown),
        (true, true) => Suspects::None,
    }
}

/// Whether this mount is the engine's socket, or a directory above it.
fn holds_socket(mount: &str, socket: Option<&str>) -> bool {
    let mount = plain(mount);
    let is_socket = mount.rsplit('/').next().is_some_and(|name| SOCKETS.contains(&name));
    let above = format!("{}/", mount.trim_end_matches('/'));
    let sockets = socket.into_iter().chain(USUAL).map(plain);
    is_socket || sockets.into_iter().any(|socket| socket == mount || socket.starts_with(&above))
}

/// `/var/run` is a link to `/run` nearly everywhere.
fn plain(path: &str) -> &str {
    if path == "/var/run" || path.starts_with("/var/run/") { &path["/var".len()..] } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_the_socket_watches_and_what_is_known_to_restart_others_is_an_enforcer() {
        use Watch::{Enforcer, Socket};
        for (name, image, command, mounts, expected) in [
            ("web", "nginx", "nginx", &["/srv"][..], None),
            ("traefik", "traefik:3", "traefik", &["/var/run/docker.sock"], Some(Socket)),
            ("portainer", "p", "p", &["/run/docker.sock"], Some(Socket)),
            ("user", "p", "p", &["/run/user/1000/podman/podman.sock"], Some(Socket)),
            ("cadvisor", "c", "c", &["/sys", "/var/run"], Some(Socket)),
            ("node", "c", "c", &["/"], Some(Socket)),
            ("node", "c", "c", &["/var/lib"], None),
            ("node", "c", "c", &["/running"], None),
            ("own", "c", "c", &["/opt/engine/own.sock"], Some(Socket)),
            ("own", "c", "c", &["/opt/engine"], Some(Socket)),
            (
                "heal",
                "willfarrell/autoheal:latest",
                "/entry",
                &["/run/docker.sock"],
                Some(Enforcer),
            ),
            ("heal", "qmcgaw/deunhealth", "/entry", &[], Some(Enforcer)),
            ("stack-autoheal-1", "own", "/entry", &["/run"], Some(Enforcer)),
            (
                "own",
                "docker:cli",
                "sh -c docker ps -qf health=unhealthy | xargs docker restart",
                &["/var/run/docker.sock"],
                Some(Enforcer),
            ),
            ("own", "app", "app --log-unhealthy", &[], None),
        ] {
            let (names, mounts) = ([name.to_owned()], mounts.iter().map(|&path| path.to_owned()));
            let mounts: Vec<String> = mounts.collect();
            let socket = Some("/opt/engine/own.sock");
            let facts = Facts { socket, mounts: &mounts, names: &names, image, command };
            assert_eq!(watch(&facts), expected, "{name} {image} {command} {mounts:?}");
        }
    }
}
