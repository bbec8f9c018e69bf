//! Owns reaching a lease's engine and the host that the engine runs on: the address, the way, the
//! tunnel where ssh is the way, and the connection, made again when it broke. Runs in the keeper
//! and in short commands.

use std::{
    cell::RefCell,
    env, fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    core::{
        lease::{record::Opened, state::LeaseState},
        machine::{
            address::Address,
            route::{self, Homes, ORBSTACK, Route},
            vm::VmDriver,
            way::{Prefix, Way},
        },
        run::{
            note::{Level, Note},
            room_settings::RoomSettings,
        },
        text,
    },
    engine::{
        client::{Engine, EngineError},
        endpoint::{self, Endpoint, EndpointError, Surroundings, Wish},
    },
    host::{shell::Shell, tunnel::Tunnel, vm_files},
    lease::trust,
    targets::{all::Targets, calls::Calls, error::TargetError},
};

/// The way to an engine and its host.
#[derive(Debug)]
pub struct Machine {
    endpoint: Result<Endpoint, EndpointError>,
    /// The way to the host as others can go it as well, without the tunnel; `None` for this
    /// machine.
    host: Option<Way>,
    /// No journal tells which engine it is: an engine that does not know a target is another one.
    pub(crate) is_guessed: bool,
    /// Why the recorded way is not used.
    refused: Option<String>,
    tunnel: Option<Tunnel>,
    /// The way to the host.
    pub shell: Shell,
    targets: RefCell<Option<Targets>>,
    /// What was sent over it and may still be under way.
    pub(crate) calls: Calls,
    /// What is given in the place of an engine's.
    #[cfg(test)]
    fake: Option<Targets>,
}

impl Machine {
    /// Finds the way that the settings name. `name` is no other's on this machine.
    #[must_use]
    pub fn of_settings(settings: &RoomSettings, name: &str) -> Self {
        let wish = Wish { engine: settings.engine.clone(), context: settings.context.clone() };
        Self::find(&wish, settings.vm_shell.as_ref(), name)
    }

    /// Finds the way to the engine that is wished for. `name` is no other's on this machine.
    #[must_use]
    pub fn find(wish: &Wish, vm_shell: Option<&Prefix>, name: &str) -> Self {
        let surroundings = Surroundings::of_this_process();
        let endpoint = endpoint::find(wish, &surroundings);
        let route = match (vm_shell, &endpoint) {
            (Some(prefix), _) => Route::Behind(Way::of_words(&prefix.words)),
            (None, Ok(endpoint)) => route_of(endpoint, &surroundings.homes),
            (None, Err(_)) => Route::Here,
        };
        Self::at(endpoint, route, name)
    }

    /// The way that a journal tells. `given` is gone where that cannot be. Where the first record
    /// is lost, it is the way that this process would find.
    #[must_use]
    pub fn recorded(opened: Option<&Opened>, given: Option<&Prefix>, name: &str) -> Self {
        let Some(opened) = opened else {
            return Self { is_guessed: true, ..Self::find(&Wish::default(), given, name) };
        };
        let named_by = "the lease's journal".to_owned();
        let url = opened.engine.as_deref().unwrap_or_default();
        let endpoint = match url.parse::<Address>() {
            Ok(address) => {
                let certificates = opened.certificates.as_ref().map(PathBuf::from);
                Ok(Endpoint { address, certificates, context: None, named_by })
            }
            Err(reason) => Err(EndpointError::NotAnAddress { reason, named_by }),
        };
        let host = opened.host.clone();
        let refused = host.as_ref().and_then(|way| check(way).err());
        let route = match (&host, &refused, given) {
            (None, ..) => Route::Here,
            (Some(way), None, _) => Route::Behind(way.clone()),
            (Some(_), Some(_), Some(given)) => Route::Behind(Way::of_words(&given.words)),
            (Some(way), Some(_), None) => Route::NoWay { engine: way.prefix().name },
        };
        Self {
            host,
            refused: refused.filter(|_| given.is_none()),
            ..Self::at(endpoint, route, name)
        }
    }

    /// A way to these targets and this host, without any engine.
    #[cfg(test)]
    pub(crate) fn of_fakes(targets: Targets, shell: Shell) -> Self {
        let address = Address::Unix("/run/fake.sock".into());
        let named_by = "a test".to_owned();
        let endpoint = Endpoint { address, certificates: None, context: None, named_by };
        let (fake, route) = (Some(targets), Route::Here);
        Self { shell, fake, ..Self::at(Ok(endpoint), route, "fake") }
    }

    fn at(endpoint: Result<Endpoint, EndpointError>, route: Route<Way>, name: &str) -> Self {
        let mut tunnel = None;
        let mut through = route.command();
        if let Ok(Endpoint { address: Address::Ssh { destination, port, socket }, .. }) = &endpoint
        {
            let plain = Way::ssh(destination, *port);
            let opened = Tunnel::new(plain.prefix(), socket, name);
            // Steps go through it as well, unless another way was named.
            if route == Route::Behind(plain) {
                through = Route::Behind(opened.prefix());
            }
            tunnel = Some(opened);
        }
        let host = if let Route::Behind(way) = route { Some(to_find_again(way)) } else { None };
        let shell = Shell::new(through);
        Self {
            endpoint,
            host,
            is_guessed: false,
            refused: None,
            tunnel,
            shell,
            targets: RefCell::default(),
            calls: Calls::default(),
            #[cfg(test)]
            fake: None,
        }
    }

    /// The engine's address.
    ///
    /// # Errors
    /// [`EndpointError`] where what was named is none.
    pub fn endpoint(&self) -> Result<&Endpoint, &EndpointError> {
        self.endpoint.as_ref()
    }

    /// The same for messages.
    pub(crate) fn url(&self) -> String {
        self.endpoint.as_ref().map_or_else(ToString::to_string, Endpoint::url)
    }

    /// The way to the host as the journal keeps it; `None` for this machine, and where there is
    /// none.
    #[must_use]
    pub fn host(&self) -> Option<Way> {
        self.host.clone()
    }

    /// What runs the host, where that is a virtual machine on this one and its maker's files tell.
    #[must_use]
    pub fn vm_driver(&self) -> Option<VmDriver> {
        if let Route::NoWay { engine } = self.shell.route() {
            return (engine == ORBSTACK).then_some(VmDriver::Orbstack);
        }
        vm_files::driver(self.host.as_ref()?, &Surroundings::of_this_process().homes)
    }

    /// What is to be said where this lease needs its host, and the recorded way is not used.
    #[must_use]
    pub fn refusal(&self, lease: &LeaseState) -> Option<Note> {
        let why = self.refused.as_ref().filter(|_| !lease.areas.is_empty())?;
        let Prefix { name, words } = self.host.as_ref()?.prefix();
        let text = format!(
            "the recorded way into {} is not used: {}",
            text::printable(&name),
            text::printable(why)
        );
        let words = words.iter().map(|word| text::shell_word(word)).collect::<Vec<_>>().join(" ");
        let hint = format!(
            "where it is right: makeroom recover --vm-shell {}",
            text::shell_word(&text::printable(&words))
        );
        Some(Note::new(Level::Warning, text).hint(hint))
    }

    /// The targets, over a connection to their engine that is made where there is none.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn targets(&self) -> Result<Targets, TargetError> {
        #[cfg(test)]
        if let Some(fake) = &self.fake {
            return Ok(fake.clone());
        }
        if let Some(targets) = &*self.targets.borrow() {
            return Ok(targets.clone());
        }
        let endpoint =
            self.endpoint().map_err(|error| EngineError::Unnamed { reason: error.to_string() })?;
        let socket = match &self.tunnel {
            Some(tunnel) => {
                let failed = |error| EngineError::Unreachable {
                    url: endpoint.url(),
                    named_by: endpoint.named_by.clone(),
                    source: io::Error::other(error),
                };
                tunnel.open().await.map_err(failed)?;
                Some(tunnel.socket())
            }
            None => None,
        };
        let engine = Engine::connect(endpoint, socket.as_deref()).await?;
        let targets = Targets::of_engine(engine, self.calls.clone());
        *self.targets.borrow_mut() = Some(targets.clone());
        Ok(targets)
    }

    /// Forgets a connection that broke.
    pub fn forget_engine(&self) {
        self.targets.take();
    }
}

/// Whether a way that a journal tells can be gone by whoever reads it: what it runs is what was
/// recorded, or known.
fn check(way: &Way) -> Result<(), String> {
    let program = match way {
        Way::Own { words } => words.first().map(Path::new),
        _ => None,
    };
    if let Some(program) = program.filter(|program| !program.is_absolute()) {
        return Err(format!("`{}` is not an absolute path", program.display()));
    }
    [way.home(), program]
        .into_iter()
        .flatten()
        .try_for_each(|path| trust::check(path).map_err(|error| error.to_string()))
}

/// One's own words with the program's path: whoever goes the way later may have another PATH.
fn to_find_again(way: Way) -> Way {
    let Way::Own { mut words } = way else { return way };
    if let Some(program) = words.first_mut().filter(|program| !program.contains('/')) {
        let is_program = |path: &PathBuf| {
            fs::metadata(path)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        let dirs = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&dirs)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(&*program))
            .find(is_program);
        if let Some(path) = found.as_ref().and_then(|path| path.to_str()) {
            path.clone_into(program);
        }
    }
    Way::Own { words }
}

fn route_of(endpoint: &Endpoint, homes: &Homes) -> Route<Way> {
    let real = match &endpoint.address {
        // A socket that is not there yet has no links to follow.
        Address::Unix(path) => fs::canonicalize(path).ok(),
        Address::Tcp { .. } | Address::Ssh { .. } => None,
    };
    route::find(
        &endpoint.address,
        real.as_deref().map(Path::new),
        endpoint.context.as_deref(),
        homes,
    )
}
