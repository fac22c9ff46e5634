//! The certificates of a configuration in force, read again from their files.
//!
//! Owns what may change in it without another text: who the gateway is over TLS, and whom it trusts. So a file that
//! is refused keeps no certificate from being renewed. Must not read anything else.

use std::ffi::OsString;

use super::keys::ROOT;
use super::reader::{Reading, Table};
use super::{Config, ListenerTls, listener, syntax, upstream};

/// What came of reading certificates again.
#[derive(Debug)]
pub(crate) struct Renewed {
    /// The configuration with what is new; `None` if nothing is.
    pub(crate) config: Option<Config>,
    /// Whose could not be read, and why. They stay as they were.
    pub(crate) kept: Vec<(String, String)>,
}

impl Config {
    /// Reads the certificates again that its own text names.
    pub(crate) fn renewed(&self, environment: &dyn Fn(&str) -> Option<OsString>) -> Renewed {
        let (text, dead_ends) = syntax::without_dead_ends(&self.source);
        let (tree, _) = syntax::parse(&self.source, &text, dead_ends);
        let reading = Reading::new(&self.source, environment);
        let root = Table::of(&reading, tree.get_ref(), 0..0, &ROOT);
        let (mut config, mut is_new, mut kept) = (self.clone(), false, Vec::new());
        let mut note = |owner: String, before: usize| {
            let why = reading.errors_from(before);
            let failed = why.is_some();
            kept.extend(why.map(|why| (owner, why)));
            !failed
        };
        for (own, table) in config.listeners.iter_mut().zip(root.tables("listeners")) {
            let before = reading.errors();
            let tls = listener::tls_of_clients(&table);
            if note(format!("listener `{}`", own.name), before) && differ(&own.tls, &tls) {
                (own.tls, is_new) = (tls, true);
            }
        }
        if let (Some(own), Some(table)) = (&mut config.admin, root.given_table("admin")) {
            let before = reading.errors();
            let tls = listener::tls(&table);
            if note("`[admin]`".to_owned(), before) && differ(&own.tls, &tls) {
                (own.tls, is_new) = (tls, true);
            }
        }
        for (own, (name, table)) in config.upstreams.iter_mut().zip(root.named_tables("upstreams"))
        {
            let before = reading.errors();
            let tls = upstream::tls(&table, &own.targets);
            if note(format!("upstream `{}`", name.value), before) && own.tls != tls {
                (own.tls, is_new) = (tls, true);
            }
        }
        Renewed { config: is_new.then_some(config), kept }
    }
}

fn differ(one: &Option<ListenerTls>, other: &Option<ListenerTls>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let shown = |tls: &ListenerTls| -> Vec<_> {
        tls.certificates.iter().map(|it| (it.cert.clone(), it.ocsp.clone())).collect()
    };
    shown(one) != shown(other) || one.clients != other.clients
}
