//! A listener as connections see it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Listener;
use crate::connection_slots::ConnectionSlots;
use crate::tls::ServerTls;
use ipnet::IpNet;

/// A listener, whatever its place in the configuration: the same as long as its sockets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenerKey(pub(crate) u64);

/// See the module.
#[derive(Debug)]
pub(crate) struct ListenerState {
    pub(crate) key: ListenerKey,
    /// Its connections, counted.
    pub(crate) slots: Arc<ConnectionSlots>,
    pub(crate) name: Arc<str>,
    pub(crate) config: Listener,
    pub(crate) tls: Option<ServerTls>,
}

impl ListenerState {
    /// Whether a peer may say on whose behalf it asks.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        contains(&self.config.trusted_proxies, address)
    }
}

/// Whether an address is in one of the networks.
pub(crate) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}
