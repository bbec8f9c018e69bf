//! Owns reaching a lease's engine and the host that the engine runs on: the address, the way, the
//! tunnel where ssh is the way, and the connection, made again when it broke. Runs in the keeper and
//! in short commands.

use std::{
    cell::RefCell,
    fs, io,
    path::{Path, PathBuf},
};

use super::calls::Calls;
use crate::{
    core::{
        address::Address,
        record::Opened,
        route::{self, Homes, Prefix, Route},
    },
    engine::{
        client::{Engine, EngineError},
        endpoint::{self, Endpoint, EndpointError, Surroundings, Wish},
    },
    host::{shell::Shell, tunnel::Tunnel},
};

/// The way to an engine and its host.
#[derive(Debug)]
pub struct Reach {
    endpoint: Result<Endpoint, EndpointError>,
    /// The way as others can go it as well, without the tunnel.
    route: Route,
    tunnel: Option<Tunnel>,
    /// The way to the host.
    pub shell: Shell,
    engine: RefCell<Option<Engine>>,
    /// What was sent over it and may still be under way.
    pub(super) calls: Calls,
}

impl Reach {
    /// Finds the way to the engine that is wished for. `name` is no other's on this machine.
    #[must_use]
    pub fn find(wish: &Wish, vm_shell: Option<&Prefix>, name: &str) -> Self {
        let surroundings = Surroundings::of_this_process();
        let endpoint = endpoint::find(wish, &surroundings);
        let route = match (vm_shell, &endpoint) {
            (Some(prefix), _) => Route::Behind(prefix.clone()),
            (None, Ok(endpoint)) => route_of(endpoint, &surroundings.homes),
            (None, Err(_)) => Route::Here,
        };
        Self::at(endpoint, route, name)
    }

    /// The way that a journal tells.
    #[must_use]
    pub fn recorded(opened: Option<&Opened>, name: &str) -> Self {
        let named_by = "the lease's journal".to_owned();
        let url = opened.and_then(|opened| opened.engine.as_deref()).unwrap_or_default();
        let endpoint = match url.parse::<Address>() {
            Ok(address) => {
                let certificates = opened.and_then(|opened| opened.certificates.as_ref()).map(PathBuf::from);
                Ok(Endpoint { address, certificates, context: None, named_by })
            }
            Err(reason) => Err(EndpointError::NotAnAddress { reason, named_by }),
        };
        let route = opened.and_then(|opened| opened.host.clone()).map_or(Route::Here, Route::Behind);
        Self::at(endpoint, route, name)
    }

    fn at(endpoint: Result<Endpoint, EndpointError>, route: Route, name: &str) -> Self {
        let mut tunnel = None;
        let mut through = route.clone();
        if let Ok(Endpoint { address: Address::Ssh { destination, port, socket }, .. }) = &endpoint {
            let plain = route::ssh(destination, *port);
            let opened = Tunnel::new(plain.clone(), socket, name);
            // Steps go through it as well, unless another way was named.
            if route == Route::Behind(plain) {
                through = Route::Behind(opened.prefix());
            }
            tunnel = Some(opened);
        }
        Self { endpoint, route, tunnel, shell: Shell::new(through), engine: RefCell::default(), calls: Calls::default() }
    }

    /// The engine's address.
    ///
    /// # Errors
    /// [`EndpointError`] where what was named is none.
    pub fn endpoint(&self) -> Result<&Endpoint, &EndpointError> {
        self.endpoint.as_ref()
    }

    /// The way to the host as the journal keeps it; `None` for this machine, and where there is none.
    #[must_use]
    pub fn host(&self) -> Option<Prefix> {
        if let Route::Behind(prefix) = &self.route { Some(prefix.clone()) } else { None }
    }

    /// The engine, connected.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn engine(&self) -> Result<Engine, EngineError> {
        if let Some(engine) = &*self.engine.borrow() {
            return Ok(engine.clone());
        }
        let endpoint = self.endpoint().map_err(|error| EngineError::Unnamed { reason: error.to_string() })?;
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
        *self.engine.borrow_mut() = Some(engine.clone());
        Ok(engine)
    }

    /// Forgets a connection that broke.
    pub fn forget_engine(&self) {
        self.engine.take();
    }
}

fn route_of(endpoint: &Endpoint, homes: &Homes) -> Route {
    let real = match &endpoint.address {
        // A socket that is not there yet has no links to follow.
        Address::Unix(path) => fs::canonicalize(path).ok(),
        Address::Tcp { .. } | Address::Ssh { .. } => None,
    };
    route::find(&endpoint.address, real.as_deref().map(Path::new), endpoint.context.as_deref(), homes)
}
