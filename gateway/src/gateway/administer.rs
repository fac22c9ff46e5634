//! The admin API of a gateway: its address, its thread, and what it is given to know.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use super::{BindError, Handle};
use crate::admin::{Admin, Live, Operator, Places, State, open_audit};
use crate::config::Config;
use crate::server::socket;
use crate::tls;

/// Takes the address of `[admin]`, and opens what it writes to.
pub(super) fn bind(config: &Config, errors: &mut Vec<BindError>) -> Option<TcpListener> {
    let admin = config.admin.as_ref()?;
    if let Some(path) = &admin.audit
        && let Err(source) = open_audit(path)
    {
        errors.push(BindError::Audit { path: path.clone(), source });
    }
    let address = admin.address;
    match socket::bind(address, config.takes_ipv4(address), 1) {
        Ok(mut bound) => bound.pop(),
        Err(source) => {
            errors.push(BindError::Admin { address, source });
            None
        }
    }
}

/// Whether its TLS can be set up.
pub(super) fn check(config: &Config) -> Result<(), rustls::Error> {
    let tls = config.admin.as_ref().and_then(|admin| admin.tls.as_ref());
    tls.map_or(Ok(()), |tls| tls::admin_config(tls).map(drop))
}

impl Handle {
    /// Serves `[admin]` on its own thread, until what it returns is dropped.
    pub(super) fn serve_admin(
        &self,
        socket: TcpListener,
        addresses: BTreeMap<String, SocketAddr>,
        operator: Option<Arc<dyn Operator>>,
    ) -> oneshot::Sender<()> {
        let state = State {
            metrics: Arc::clone(self.0.loader.metrics()),
            usage: Arc::clone(self.0.loader.usage()),
            documents: Arc::clone(self.0.loader.documents()),
            key_sets: Arc::clone(self.0.loader.key_sets()),
            limits: self.0.loader.state().clone(),
            recorder: Arc::clone(&self.0.recorder),
            current: Arc::clone(&self.0.current),
            is_draining: Arc::clone(&self.0.is_draining),
            workers: self.0.workers.len(),
            addresses,
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
        if let Err(error) = thread::Builder::new().name("admin".into()).spawn(serve) {
            tracing::error!(%error, "`admin` is not served");
        }
        stop
    }
}
