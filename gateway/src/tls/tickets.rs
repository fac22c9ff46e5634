//! Keys of session tickets (RFC 8446 section 4.6.1, RFC 5077).
//!
//! Owns that they outlive a reload, so that clients resume their sessions after a certificate was
//! renewed, and that a ticket is worth nothing on another listener or once other clients are trusted.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

use crate::config::ClientCertificates;

/// The keys of all listeners, by name.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<HashMap<String, Arc<dyn ProducesTickets>>>);

impl Tickets {
    /// Those of a listener that trusts these clients.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub(super) fn of(
        &self,
        listener: &str,
        clients: Option<&ClientCertificates>,
    ) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = match all.get(listener) {
            Some(known) => Arc::clone(known),
            None => {
                let new = Ticketer::new()?;
                all.insert(listener.to_owned(), Arc::clone(&new));
                new
            }
        };
        Ok(Arc::new(Bound { keys, trust: trust(clients) }))
    }

    /// Forgets those of other listeners.
    pub(crate) fn keep<'n>(&self, listeners: impl Iterator<Item = &'n str>) {
        let kept: HashSet<_> = listeners.collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|name, _| kept.contains(name.as_str()));
    }
}

const TRUST: usize = 16;

/// A number that differs where other clients are trusted.
fn trust(clients: Option<&ClientCertificates>) -> [u8; TRUST] {
    let mut hash = Context::new(&SHA256);
    if let Some(ClientCertificates { required, ca, crls }) = clients {
        hash.update(&[1, u8::from(*required)]);
        let parts = ca.iter().map(|it| &**it).chain(crls.iter().map(|it| &**it));
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    let mut trust = [0; TRUST];
    trust.copy_from_slice(&hash.finish().as_ref()[..TRUST]);
    trust
}

/// Tickets that are taken back while the same clients are trusted. With one of before, a client has its
/// certificate judged in a full handshake.
#[derive(Debug)]
struct Bound {
    keys: Arc<dyn ProducesTickets>,
    trust: [u8; TRUST],
}

impl ProducesTickets for Bound {
    fn enabled(&self) -> bool {
        self.keys.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.keys.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.encrypt(&[&self.trust, plain].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let mut plain = self.keys.decrypt(cipher)?;
        if !plain.starts_with(&self.trust) {
            return None;
        }
        plain.drain(..TRUST);
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_counts_on_its_listener_while_the_same_clients_are_trusted() {
        let tickets = Tickets::default();
        let clients = |required| ClientCertificates { required, ca: vec![], crls: vec![] };
        let before = tickets.of("a", Some(&clients(true))).expect("keys");
        let ticket = before.encrypt(b"session").expect("a ticket");
        let taken = |listener: &str, clients: Option<&ClientCertificates>| {
            tickets.of(listener, clients).expect("keys").decrypt(&ticket)
        };
        assert_eq!(taken("a", Some(&clients(true))).as_deref(), Some(&b"session"[..]));
        assert_eq!(taken("a", Some(&clients(false))), None);
        assert_eq!(taken("a", None), None);
        assert_eq!(taken("b", Some(&clients(true))), None);
        tickets.keep(["b"].into_iter());
        assert_eq!(taken("a", Some(&clients(true))), None);
    }
}
