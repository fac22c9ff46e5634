//! `[admin]`.
//!
//! Owns the address of the gateway's own listener, for metrics and health.

use super::reader::Table;
use super::{Admin, Listener, listener};
use crate::config::diagnostic::Diagnostic;

/// Reads `[admin]`, if the file has it.
pub(super) fn read(table: &Table<'_, '_>) -> Option<Admin> {
    let text = table.text("address")?;
    let address = table.reading.parsed(&text, "an address and a port", listener::address_of)?;
    Some(Admin { address, address_span: text.span })
}

/// Its address is not that of a listener for clients.
pub(super) fn refuse_shared_address(
    table: &Table<'_, '_>,
    admin: Option<&Admin>,
    listeners: &[Option<Listener>],
) {
    let Some(admin) = admin.filter(|admin| admin.address.port() != 0) else { return };
    let shared = listeners.iter().flatten().find(|listener| listener.address == admin.address);
    if let Some(listener) = shared {
        let error = format!("`admin` has the address of the listener `{}`", listener.name);
        let error = Diagnostic::error(admin.address_span.clone(), error);
        table.reading.report(error.related(listener.address_span.clone(), "the listener's"));
    }
}
