//! The admin API of a gateway: its address, its thread, and what it is given to know.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::{BindError, Handle};
use crate::admin::{Admin, Live, Places, State, open_audit};
use crate::config::Config;
use crate::server::socket;
use crate::tls;

/// An admin API that is served, until this is dropped.
#[derive(Debug)]
pub(super) struct Serving {
    place: (SocketAddr, bool),
    port: u16,
    _stop: oneshot::Sender<()>,
}

impl Serving {
    /// Where it is served.
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.place.0.ip(), self.port)
    }
}

/// What becomes of the admin API with a configuration.
#[derive(Debug)]
pub(super) enum Plan {
    /// It stays where it is, or is nowhere.
    Same,
    Ends,
    Begins((SocketAddr, bool), TcpListener),
}

/// Takes the address of `[admin]` if it is another one, and opens what it writes to.
pub(super) fn plan(
    config: &Config,
    serving: Option<&Serving>,
    errors: &mut Vec<BindError>,
) -> Plan {
    let Some(admin) = config.admin.as_ref() else {
        return if serving.is_some() { Plan::Ends } else { Plan::Same };
    };
    if let Some(path) = &admin.audit
        && let Err(source) = open_audit(path)
    {
        errors.push(BindError::Audit { path: path.clone(), source });
    }
    let address = admin.address;
    let place = (address, config.takes_ipv4(address));
    if serving.is_some_and(|serving| serving.place == place) {
        return Plan::Same;
    }
    let shares = serving.is_some_and(|serving| address.port() == serving.port);
    let bound = socket::bind(address, place.1, 1, shares).map(|mut bound| bound.pop());
    match bound {
        Ok(Some(socket)) => Plan::Begins(place, socket),
        Ok(None) => Plan::Same,
        Err(source) => {
            errors.push(BindError::Admin { address, source });
            Plan::Same
        }
    }
}

/// Whether its TLS can be set up.
pub(super) fn check(config: &Config) -> Result<(), rustls::Error> {
    let tls = config.admin.as_ref().and_then(|admin| admin.tls.as_ref());
    tls.map_or(Ok(()), |tls| tls::admin_config(tls).map(drop))
}

impl Plan {
    /// Says what changes while the gateway runs.
    pub(super) fn log(&self) {
        match self {
            Self::Same => {}
            Self::Ends => tracing::info!("the admin API is not served any more"),
            Self::Begins(_, socket) => {
                if let Ok(address) = socket.local_addr() {
                    tracing::info!(%address, "the admin API is served");
                }
            }
        }
    }
}

impl Handle {
    /// Does what was planned. Each admin API has its own thread.
    pub(super) fn administer(&self, plan: Plan) {
        let mut serving = self.0.admin.lock().unwrap_or_else(PoisonError::into_inner);
        match plan {
            Plan::Same => {}
            Plan::Ends => *serving = None,
            Plan::Begins(place, socket) => *serving = self.serve_admin(place, socket),
        }
    }

    fn serve_admin(&self, place: (SocketAddr, bool), socket: TcpListener) -> Option<Serving> {
        let operator = self.0.operator.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let port = socket.local_addr().map_or(place.0.port(), |address| address.port());
        let state = State {
            metrics: Arc::clone(self.0.loader.metrics()),
            usage: Arc::clone(self.0.loader.usage()),
            documents: Arc::clone(self.0.loader.documents()),
            key_sets: Arc::clone(self.0.loader.key_sets()),
            limits: self.0.loader.state().clone(),
            recorder: Arc::clone(&self.0.recorder),
            current: Arc::clone(&self.0.current),
            is_draining: Arc::clone(&self.0.workers.is_draining),
            workers: Arc::clone(self.0.workers.count()),
            operator,
            places: Places::default(),
            live: Live::default(),
        };
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            if let Err(error) = Admin::new(state).run(socket, stopped) {
                tracing::error!(%error, "`admin` is not served");
            }
        };
        // Metrics are no reason not to serve.
        match thread::Builder::new().name("admin".into()).spawn(serve) {
            Ok(_thread) => Some(Serving { place, port, _stop: stop }),
            Err(error) => {
                tracing::error!(%error, "`admin` is not served");
                None
            }
        }
    }
}
