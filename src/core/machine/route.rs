//! Owns which machine is the host and how a command gets there, derived from the engine's address,
//! its context and the places where the makers of VMs put their sockets. Pure: looks at paths, not
//! at files.

use std::path::{Path, PathBuf};

use crate::core::machine::{
    address::Address,
    way::{Prefix, Way},
};

/// The way to the host, in the form that is kept or as the command that it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<To = Prefix> {
    /// The host is this machine.
    Here,
    /// The host is reached by a command.
    Behind(To),
    /// The engine runs on another kernel, and no command is known that reaches it.
    NoWay { engine: String },
}

impl Route<Way> {
    /// The same route, with the command in place of the way.
    #[must_use]
    pub fn command(&self) -> Route {
        match self {
            Self::Here => Route::Here,
            Self::Behind(way) => Route::Behind(way.prefix()),
            Self::NoWay { engine } => Route::NoWay { engine: engine.clone() },
        }
    }
}

/// What OrbStack's engine is called in messages.
pub const ORBSTACK: &str = "OrbStack";

/// Where the makers of VMs keep their files, for this user.
#[derive(Clone, Debug, Default)]
pub struct Homes {
    /// `HOME`
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`
    pub config: Option<PathBuf>,
    /// `COLIMA_HOME`
    pub colima: Option<PathBuf>,
    /// `COLIMA_PROFILE`
    pub colima_profile: Option<String>,
    /// `LIMA_HOME`
    pub lima: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, where an engine without root has its socket.
    pub runtime: Option<PathBuf>,
}

impl Homes {
    fn below_home(&self, path: &str) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(path))
    }

    /// Colima's possible directories (colima, `config/config.go`): its own variable's, the classic
    /// one, XDG's.
    pub(crate) fn of_colima(&self) -> Vec<PathBuf> {
        let of_config = self.config.as_ref().map(|config| config.join("colima"));
        [
            self.colima.clone(),
            self.below_home(".colima"),
            of_config,
            self.below_home(".config/colima"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(crate) fn of_lima(&self) -> Option<PathBuf> {
        self.lima.clone().or_else(|| self.below_home(".lima"))
    }

    fn profile(&self) -> &str {
        self.colima_profile.as_deref().unwrap_or("default")
    }

    /// The sockets that are tried when nothing names an engine and `docker`'s own does not exist:
    /// Colima's, those of engines without root (docs.docker.com, "Rootless mode";
    /// podman-system-service(1)), and Podman's with root.
    #[must_use]
    pub fn usual_sockets(&self) -> Vec<PathBuf> {
        let of_colima =
            self.of_colima().into_iter().map(|dir| dir.join(self.profile()).join("docker.sock"));
        let own = self
            .runtime
            .iter()
            .flat_map(|dir| [dir.join("docker.sock"), dir.join("podman/podman.sock")]);
        of_colima.chain(own).chain([PathBuf::from("/run/podman/podman.sock")]).collect()
    }
}

/// Finds the way to the host of an engine. `socket` is the address's own path with its links
/// followed: `/var/run/docker.sock` is often a link into a VM's directory.
#[must_use]
pub fn find(
    address: &Address,
    socket: Option<&Path>,
    context: Option<&str>,
    homes: &Homes,
) -> Route<Way> {
    match address {
        Address::Ssh { destination, port, .. } => Route::Behind(Way::ssh(destination, *port)),
        // This machine's own engine may listen there; its containers show whether it does.
        Address::Tcp { host, .. }
            if matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]") =>
        {
            Route::Here
        }
        Address::Tcp { host, .. } => Route::NoWay { engine: host.clone() },
        Address::Unix(named) => {
            let paths = [Some(named.as_path()), socket];
            let by_path = paths.into_iter().flatten().find_map(|path| of_socket(path, homes));
            by_path.or_else(|| of_context(context?, homes)).unwrap_or_else(unknown)
        }
    }
}

/// The route of a socket that belongs to no known maker of VMs.
fn unknown() -> Route<Way> {
    // Other systems have no containers of their own.
    if cfg!(target_os = "linux") {
        Route::Here
    } else {
        Route::NoWay { engine: "the engine's VM".to_owned() }
    }
}

fn of_socket(socket: &Path, homes: &Homes) -> Option<Route<Way>> {
    let below = |dir: Option<PathBuf>| {
        socket.strip_prefix(dir?).ok()?.iter().map(|part| part.to_str()).collect::<Option<Vec<_>>>()
    };
    for dir in homes.of_colima() {
        match below(Some(dir)).as_deref() {
            Some([profile, "docker.sock"]) => return Some(Route::Behind(colima(profile, homes))),
            Some(["docker.sock"]) => return Some(Route::Behind(colima(homes.profile(), homes))),
            _ => {}
        }
    }
    if let Some([instance, "sock", _]) = below(homes.of_lima()).as_deref() {
        return Some(Route::Behind(lima(instance, homes)));
    }
    if below(homes.below_home(".rd")).is_some() {
        return Some(Route::Behind(Way::RancherDesktop));
    }
    if let Some(machine) = podman_machine(socket) {
        return Some(Route::Behind(Way::PodmanMachine { name: machine }.sound()));
    }
    let foreign = [
        (".docker/run", "Docker Desktop"),
        (".docker/desktop", "Docker Desktop"),
        (".orbstack/run", ORBSTACK),
    ];
    let maker = foreign.into_iter().find(|(dir, _)| below(homes.below_home(dir)).is_some())?.1;
    Some(Route::NoWay { engine: maker.to_owned() })
}

fn of_context(context: &str, homes: &Homes) -> Option<Route<Way>> {
    match context {
        "colima" => Some(Route::Behind(colima("default", homes))),
        "rancher-desktop" => Some(Route::Behind(Way::RancherDesktop)),
        "desktop-linux" => Some(Route::NoWay { engine: "Docker Desktop".to_owned() }),
        "orbstack" => Some(Route::NoWay { engine: ORBSTACK.to_owned() }),
        _ => {
            let named = |mark: &str| context.strip_prefix(mark).filter(|name| !name.is_empty());
            let behind_colima = named("colima-").map(|profile| colima(profile, homes));
            behind_colima.or_else(|| Some(lima(named("lima-")?, homes))).map(Route::Behind)
        }
    }
}

fn colima(profile: &str, homes: &Homes) -> Way {
    Way::Colima { profile: profile.to_owned(), home: text(homes.colima.as_ref()) }.sound()
}

fn lima(instance: &str, homes: &Homes) -> Way {
    Way::Lima { instance: instance.to_owned(), home: text(homes.lima.as_ref()) }.sound()
}

fn text(home: Option<&PathBuf>) -> Option<String> {
    home.map(|home| home.to_string_lossy().into_owned())
}

/// Finds NAME in `…/podman/machine/NAME/podman.sock` or the API's own `…/podman/NAME-api.sock`.
fn podman_machine(socket: &Path) -> Option<String> {
    let parts: Vec<&str> = socket.iter().filter_map(|part| part.to_str()).collect();
    match parts.as_slice() {
        [.., "podman", "machine", name, _] => Some((*name).to_owned()),
        [.., "podman", file] => file.strip_suffix("-api.sock").map(str::to_owned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes() -> Homes {
        Homes { home: Some("/h".into()), ..Homes::default() }
    }

    fn told(url: &str, real: Option<&str>, context: Option<&str>, homes: &Homes) -> String {
        match find(&url.parse().expect("an address"), real.map(Path::new), context, homes).command()
        {
            Route::Here => "here".to_owned(),
            Route::Behind(prefix) => format!("{}: {}", prefix.name, prefix.words.join(" ")),
            Route::NoWay { engine } => format!("no way into {engine}"),
        }
    }

    #[test]
    fn the_vm_is_told_from_the_socket_then_from_the_context() {
        let sock = "unix:///var/run/docker.sock";
        for (url, real, context, expected) in [
            (sock, None, None, "here"),
            (sock, Some("/run/docker.sock"), Some("default"), "here"),
            (
                sock,
                Some("/h/.colima/default/docker.sock"),
                None,
                "colima: colima --profile default ssh --",
            ),
            (
                "unix:///h/.colima/work/docker.sock",
                None,
                Some("odd"),
                "colima-work: colima --profile work ssh --",
            ),
            (
                "unix:///h/.config/colima/default/docker.sock",
                None,
                None,
                "colima: colima --profile default ssh --",
            ),
            (
                "unix:///h/.colima/docker.sock",
                None,
                None,
                "colima: colima --profile default ssh --",
            ),
            ("unix:///elsewhere", None, Some("colima"), "colima: colima --profile default ssh --"),
            ("unix:///elsewhere", None, Some("colima-b"), "colima-b: colima --profile b ssh --"),
            (
                "unix:///h/.lima/docker/sock/docker.sock",
                None,
                None,
                "lima docker: limactl shell --workdir / docker",
            ),
            ("unix:///elsewhere", None, Some("lima-x"), "lima x: limactl shell --workdir / x"),
            ("unix:///h/.rd/docker.sock", None, None, "Rancher Desktop: rdctl shell"),
            (
                "unix:///h/x/podman/machine/qemu/podman.sock",
                None,
                None,
                "podman machine qemu: podman machine ssh qemu",
            ),
            (
                "unix:///t/podman/podman-machine-default-api.sock",
                None,
                None,
                "podman machine podman-machine-default: podman machine ssh podman-machine-default",
            ),
            ("unix:///run/user/1000/podman/podman.sock", None, None, "here"),
            (sock, Some("/h/.docker/run/docker.sock"), None, "no way into Docker Desktop"),
            (
                "unix:///h/.docker/desktop/docker.sock",
                None,
                Some("desktop-linux"),
                "no way into Docker Desktop",
            ),
            ("unix:///h/.orbstack/run/docker.sock", None, None, "no way into OrbStack"),
            ("tcp://127.0.0.1:2375", None, None, "here"),
            ("tcp://10.0.0.9:2376", None, None, "no way into 10.0.0.9"),
            (
                "ssh://me@there",
                None,
                None,
                "me@there: ssh -T -o BatchMode=yes -o ConnectTimeout=10 -- me@there",
            ),
            (
                "ssh://there:2222/s",
                None,
                None,
                "there: ssh -T -o BatchMode=yes -o ConnectTimeout=10 -p 2222 -- there",
            ),
        ] {
            assert_eq!(told(url, real, context, &homes()), expected, "{url} {real:?} {context:?}");
        }
    }

    #[test]
    fn the_makers_variables_are_followed_and_kept() {
        let own = Homes {
            colima: Some("/c".into()),
            colima_profile: Some("p".to_owned()),
            lima: Some("/l".into()),
            config: Some("/x".into()),
            ..homes()
        };
        for (url, expected) in [
            (
                "unix:///c/work/docker.sock",
                "colima-work: env COLIMA_HOME=/c colima --profile work ssh --",
            ),
            ("unix:///c/docker.sock", "colima-p: env COLIMA_HOME=/c colima --profile p ssh --"),
            (
                "unix:///x/colima/default/docker.sock",
                "colima: env COLIMA_HOME=/c colima --profile default ssh --",
            ),
            (
                "unix:///l/d/sock/docker.sock",
                "lima d: env LIMA_HOME=/l limactl shell --workdir / d",
            ),
            ("unix:///h/.lima/d/sock/docker.sock", "here"),
        ] {
            assert_eq!(told(url, None, None, &own), expected, "{url}");
        }
        assert_eq!(own.usual_sockets()[0], Path::new("/c/p/docker.sock"));
        assert_eq!(homes().usual_sockets()[0], Path::new("/h/.colima/default/docker.sock"));
        let rootless = Homes { runtime: Some(PathBuf::from("/run/user/7")), ..Homes::default() };
        let expected = [
            "/run/user/7/docker.sock",
            "/run/user/7/podman/podman.sock",
            "/run/podman/podman.sock",
        ];
        assert_eq!(rootless.usual_sockets(), expected.map(PathBuf::from));
    }
}
