//! `[usage]`.
//!
//! Owns where usage is kept and for how long. Must not open the store: that is done when the gateway
//! binds.

use std::path::PathBuf;
use std::str::FromStr as _;

use tokio_postgres::config::Host;

use super::certificates;
use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::reader::{Table, Text};
use super::{Grant, Plugin, PostgresStore, Usage, UsageStore, plugin};

/// Schemes of a PostgreSQL URL.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Reads `[usage]`.
pub(super) fn read(table: &Table<'_, '_>) -> Option<Usage> {
    let text = table.word("store");
    let is_postgres = text.as_ref().is_some_and(|text| is_url(&text.value));
    let password = password(table, is_postgres);
    let ca = authorities(table, is_postgres);
    let size = size(table, is_postgres);
    let keep = table.duration("keep").unwrap_or_default();
    let keep_minutes = table.duration("keep_minutes").unwrap_or_default();
    let flush = table.duration("flush").unwrap_or_default();
    let text = text?;
    let store = if is_postgres {
        let url = postgres(table, &text)?;
        UsageStore::Postgres(PostgresStore { url, password, ca })
    } else {
        UsageStore::Sqlite { path: file(table, &text)?, size }
    };
    Some(Usage { store, store_span: text.span, keep, keep_minutes, flush })
}

/// Warns of plugins that may add to usage where none is kept.
pub(super) fn warn_of_plugins_without(table: &Table<'_, '_>, plugins: &[plugin::Read]) {
    let adds = |plugin: &&Plugin| {
        plugin.grants.as_ref().is_some_and(|grants| grants.contains(&Grant::Usage))
    };
    for plugin in plugins.iter().flatten().map(|(plugin, _)| plugin).filter(adds) {
        let span = plugin.grants_span.clone().unwrap_or_else(|| plugin.span.clone());
        let warning =
            format!("what the plugin `{}` adds to usage is not kept anywhere", plugin.name);
        let warning = Diagnostic::warning(span, warning);
        table.reading.report_absence(warning.help("add `[usage]` with `store = \"usage.db\"`"));
    }
}

fn is_url(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
}

/// The path of an SQLite file.
fn file(table: &Table<'_, '_>, text: &Text) -> Option<PathBuf> {
    if let Some((scheme, _)) = text.value.split_once("://") {
        let fault = Fault::new(0..scheme.len(), format!("there is no store for `{scheme}`"));
        let fault = fault.help("write the path of a file, such as `usage.db`, or `postgres://...`");
        table.reading.report_fault(text, "a path or a `postgres://` URL", fault);
        return None;
    }
    let path = table.reading.source.folder().join(&text.value);
    if path.is_dir() {
        let error = Diagnostic::error(text.span.clone(), format!("`{}` is a folder", text.shown));
        let inside = format!("{}/usage.db", text.shown.trim_end_matches('/'));
        table.reading.report(error.help(format!("name a file in it: `store = \"{inside}\"`")));
        return None;
    }
    Some(path)
}

/// A URL with `sslmode`: where it has none, a server elsewhere must speak TLS.
fn postgres(table: &Table<'_, '_>, text: &Text) -> Option<String> {
    let parsed = table.reading.parsed(text, "a `postgres://` URL", |text| {
        tokio_postgres::Config::from_str(text).map_err(|error| {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            let why = why.unwrap_or_else(|| error.to_string());
            let fault = Fault::new(0..text.len(), format!("this is not a PostgreSQL URL: {why}"));
            fault.help("write it like `postgres://user@db.example:5432/usage`")
        })
    })?;
    if parsed.get_password().is_some() && !text.is_secret() {
        let error = "the password of `store` is written in the file itself";
        table.reading.report(Diagnostic::secret(text.span.clone(), error).help(
            "leave it out of the URL, and write `password = \"${env:VARIABLE}\"` or \
             `password = \"${file:PATH}\"`",
        ));
        return None;
    }
    if parsed.get_hosts().is_empty() {
        let error = Diagnostic::error(text.span.clone(), "the URL names no host");
        table.reading.report(error.help("write it like `postgres://user@db.example:5432/usage`"));
        return None;
    }
    if text.value.contains("sslmode=") {
        return Some(text.value.clone());
    }
    let is_near = parsed.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    });
    // A database beside the gateway often has a certificate that nobody can verify.
    let mode = if is_near { "disable" } else { "require" };
    let separator = if text.value.contains('?') { '&' } else { '?' };
    Some(format!("{}{separator}sslmode={mode}", text.value))
}

fn password(table: &Table<'_, '_>, is_postgres: bool) -> Option<String> {
    let text = table.text("password")?;
    if !is_postgres {
        refuse_without_postgres(table, "password");
        return None;
    }
    if !text.is_secret() {
        let error = "`password` of `[usage]` is written in the file itself";
        table.reading.report(
            Diagnostic::secret(text.span.clone(), error)
                .help("write `password = \"${env:VARIABLE}\"` or `password = \"${file:PATH}\"`"),
        );
    }
    Some(text.value)
}

fn authorities(
    table: &Table<'_, '_>,
    is_postgres: bool,
) -> Option<Vec<rustls::pki_types::CertificateDer<'static>>> {
    let file = table.word("ca")?;
    if !is_postgres {
        refuse_without_postgres(table, "ca");
        return None;
    }
    certificates::authorities(table.reading, &file)
}

fn refuse_without_postgres(table: &Table<'_, '_>, name: &str) {
    let Some(value) = table.value(name) else { return };
    let error = Diagnostic::error(value.span(), format!("`{name}` is for PostgreSQL alone"));
    table.reading.report(error.label("`store` is an SQLite file").help("leave it out"));
}

fn size(table: &Table<'_, '_>, is_postgres: bool) -> u64 {
    if is_postgres && let Some(value) = table.value("size") {
        let error = Diagnostic::error(value.span(), "`size` is for an SQLite file alone");
        let error = error.label("`store` is PostgreSQL");
        table.reading.report(error.help("leave it out: `keep` and `keep_minutes` bound the rows"));
    }
    table.size("size").unwrap_or_default()
}
