//! `[stores.NAME]`, and what plugins say of the stores that they use.
//!
//! Owns where the state of plugins is kept. Must not open a store: that is done when the gateway binds.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use toml::de::DeValue;

use super::certificates;
use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::keys::{KEY_VALUE_USE, LIMITER_USE};
use super::names::Names;
use super::owners::{Kind, Owned, Place};
use super::reader::{Table, Text};
use super::{LimiterUse, OnStoreError, RedisStore, Store, StoreKind, Topology, suggest};
use crate::held_files;

/// Keys that mean something for a Redis store alone.
const OF_REDIS: [&str; 8] =
    ["topology", "master", "username", "password", "ca", "timeout", "instances", "prefix"];
/// How a file of SQLite begins.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";
/// The port of Redis.
const PORT: u16 = 6379;
/// The port of a sentinel.
const SENTINEL_PORT: u16 = 26_379;

/// The stores of a file, for plugins that name one.
pub(super) struct Stores {
    names: Names,
    /// Where each is named.
    places: Vec<Range<usize>>,
    stores: Vec<Option<Arc<Store>>>,
    /// The files that they have.
    pub(super) files: Vec<Owned>,
}

impl Stores {
    /// Reads every `[stores.NAME]`.
    pub(super) fn read(root: &Table<'_, '_>) -> Self {
        let tables = root.named_tables("stores");
        let places = tables.iter().map(|(name, _)| name.span.clone()).collect();
        let names = tables.iter().map(|(name, _)| Some(name.clone())).collect();
        let names = Names::new(root.reading, "store", names);
        let stores: Vec<_> =
            tables.iter().map(|(name, table)| read(name, table).map(Arc::new)).collect();
        let files = tables.iter().zip(&stores).filter_map(|((_, table), store)| {
            let store = store.as_ref()?;
            let StoreKind::File { path } = &store.kind else { return None };
            let (owner, span) =
                (format!("the store `{}`", store.name), table.value("file")?.span());
            Some(Owned { kind: Kind::Store, owner, path: path.clone(), span })
        });
        let files: Vec<_> = files.collect();
        refuse_shared_files(root, &files);
        Self { names, places, stores, files }
    }

    /// Whether all could be read.
    pub(super) fn is_whole(&self) -> bool {
        self.stores.iter().all(Option::is_some)
    }

    /// Those that could be read, in the order of the file.
    pub(super) fn all(&self) -> Vec<Arc<Store>> {
        self.stores.iter().flatten().cloned().collect()
    }

    pub(super) fn find(&self, table: &Table<'_, '_>, name: &Text) -> Option<Arc<Store>> {
        self.names
            .find(table.reading, name, "a `[stores.NAME]` table")
            .and_then(|found| self.stores[found].clone())
    }

    /// `limiter` of a plugin.
    pub(super) fn limiter(&self, plugin: &Table<'_, '_>) -> LimiterUse {
        let Some(value) = plugin.value("limiter") else { return LimiterUse::default() };
        let DeValue::Table(_) = value.get_ref() else {
            let store = plugin.word("limiter").and_then(|name| self.find(plugin, &name));
            return LimiterUse { store, ..LimiterUse::default() };
        };
        let Some(table) = Table::open(plugin.reading, value, &LIMITER_USE) else {
            return LimiterUse::default();
        };
        let store = table.word("store").and_then(|name| self.find(&table, &name));
        let on_store_error = match table.choice("on_store_error") {
            "open" => OnStoreError::Open,
            "closed" => OnStoreError::Closed,
            _ => OnStoreError::Local,
        };
        let lease = table.integer("lease").unwrap_or_default();
        refuse_of_redis(&table, store.as_deref(), &["on_store_error", "lease"]);
        LimiterUse { store, on_store_error, lease }
    }

    /// `key_value` of a plugin.
    pub(super) fn key_value(&self, plugin: &Table<'_, '_>) -> (Option<Arc<Store>>, OnStoreError) {
        let Some(value) = plugin.value("key_value") else { return Default::default() };
        let DeValue::Table(_) = value.get_ref() else {
            let store = plugin.word("key_value").and_then(|name| self.find(plugin, &name));
            return (store, OnStoreError::Local);
        };
        let Some(table) = Table::open(plugin.reading, value, &KEY_VALUE_USE) else {
            return Default::default();
        };
        let store = table.word("store").and_then(|name| self.find(&table, &name));
        let on_store_error = match table.choice("on_store_error") {
            "closed" => OnStoreError::Closed,
            _ => OnStoreError::Local,
        };
        refuse_of_redis(&table, store.as_deref(), &["on_store_error"]);
        (store, on_store_error)
    }

    /// Warns of stores that no plugin uses.
    pub(super) fn warn_of_unused(&self, root: &Table<'_, '_>) {
        self.names.warn_of_unused(root.reading, "plugin", |index| self.places[index].clone());
    }
}

/// Keys that say how a server is used are not for a store in this gateway.
fn refuse_of_redis(table: &Table<'_, '_>, store: Option<&Store>, keys: &[&str]) {
    let Some(store) = store.filter(|store| store.redis().is_none()) else { return };
    for key in keys {
        let Some(value) = table.value(key) else { continue };
        let error = format!("`{key}` is for a Redis store alone");
        let error = Diagnostic::error(value.span(), error);
        let label = format!("the store `{}` is in this gateway", store.name);
        table.reading.report(error.label(label).help("leave it out"));
    }
}

fn read(name: &Text, table: &Table<'_, '_>) -> Option<Store> {
    let store = |kind| Store { name: name.value.clone(), span: name.span.clone(), kind };
    let (file, redis) = (table.value("file"), table.value("redis"));
    if let (Some(file), Some(redis)) = (file, redis) {
        let error = Diagnostic::error(redis.span(), "a store is in one place");
        let error = error.related(file.span(), "it is in a file already");
        table.reading.report(error.help("write a second `[stores.NAME]` table for the other"));
        return None;
    }
    if redis.is_none() {
        refuse_without_redis(table);
    }
    match (file, redis) {
        (None, None) => Some(store(StoreKind::Memory)),
        (Some(_), _) => Some(store(StoreKind::File { path: path(table, &table.word("file")?)? })),
        (None, Some(_)) => Some(store(StoreKind::Redis(redis_store(table)?))),
    }
}

fn refuse_without_redis(table: &Table<'_, '_>) {
    for key in OF_REDIS {
        let Some(value) = table.value(key) else { continue };
        let error = Diagnostic::error(value.span(), format!("`{key}` is for a Redis store alone"));
        let error = error.label("there is no `redis`");
        table.reading.report(error.help("leave it out, or add `redis = \"redis://127.0.0.1\"`"));
    }
}

/// The path of an SQLite file.
fn path(table: &Table<'_, '_>, text: &Text) -> Option<PathBuf> {
    if let Some((scheme, _)) = text.value.split_once("://") {
        let fault = Fault::new(0..scheme.len(), format!("`{scheme}` is not for a file"));
        let fault = match scheme {
            "redis" | "rediss" => fault.help("write `redis` in the place of `file`"),
            _ => fault.help("write a path, such as `state.db`"),
        };
        table.reading.report_fault(text, "a path", fault);
        return None;
    }
    let path = table.reading.source.folder().join(&text.value);
    if path.is_dir() {
        let error = Diagnostic::error(text.span.clone(), format!("`{}` is a folder", text.shown));
        let inside = format!("{}/state.db", text.shown.trim_end_matches('/'));
        table.reading.report(error.help(format!("name a file in it: `file = \"{inside}\"`")));
        return None;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let error = format!("there is no folder `{}`", folder.display());
        table.reading.report(Diagnostic::error(text.span.clone(), error).help("make it first"));
        return None;
    }
    if is_something_else(&path) {
        let error = format!("`{}` is not an SQLite file", text.shown);
        let error = Diagnostic::error(text.span.clone(), error);
        table.reading.report(error.help("name a file that is not there yet, such as `state.db`"));
        return None;
    }
    Some(path)
}

/// Whether there is a file that does not begin as one of SQLite's does.
fn is_something_else(path: &Path) -> bool {
    let mut head = [0; SQLITE.len()];
    // Of a store that this gateway has open it is known, and a glance would give up its lock.
    if std::fs::metadata(path).is_ok_and(|found| held_files::is_held(&found)) {
        return false;
    }
    let Ok(mut file) = File::open(path) else { return false };
    match file.read(&mut head) {
        // A new database is empty.
        Ok(0) | Err(_) => false,
        Ok(length) => head[..length] != *SQLITE,
    }
}

/// Reads all of it before it gives up, so that all errors are reported at once.
fn redis_store(table: &Table<'_, '_>) -> Option<RedisStore> {
    let text = table.word("redis");
    let topology = topology(table);
    let port = match topology {
        Some(Topology::Sentinel { .. }) => SENTINEL_PORT,
        _ => PORT,
    };
    let url = text.as_ref().and_then(|text| {
        let url = table.reading.parsed(text, "a `redis://` URL", |url| parse(url, port))?;
        let topology = topology.as_ref()?;
        fits(table, text, &url, topology).then_some(url)
    });
    let password = password(table);
    let ca = authorities(table, url.as_ref());
    let username = table.word("username").map(|text| text.value);
    let timeout = table.duration("timeout");
    let instances = table.integer("instances");
    let prefix = prefix(table);
    let Url { tls, hosts, database } = url?;
    Some(RedisStore {
        tls,
        hosts,
        database,
        topology: topology?,
        username,
        password: password?,
        ca: ca?,
        timeout: timeout.unwrap_or_default(),
        instances: instances.unwrap_or(1).max(1),
        prefix: prefix?,
    })
}

fn topology(table: &Table<'_, '_>) -> Option<Topology> {
    let master = table.word("master");
    match (table.choice("topology"), master) {
        ("sentinel", Some(master)) => Some(Topology::Sentinel { master: master.value }),
        ("sentinel", None) => {
            let span = table.value("topology").or(table.value("redis")).map(|value| value.span());
            let error = "`master` says which server the sentinels are asked for";
            let error = Diagnostic::error(span.unwrap_or_default(), error);
            table.reading.report(error.help("add `master = \"mymaster\"`"));
            None
        }
        (topology, master) => {
            if let Some(master) = master {
                let error = Diagnostic::error(master.span, "`master` is for sentinels alone");
                table.reading.report(error.help("add `topology = \"sentinel\"`, or leave it out"));
            }
            Some(if topology == "cluster" { Topology::Cluster } else { Topology::Single })
        }
    }
}

/// Whether the hosts and the database are those of such a topology.
fn fits(table: &Table<'_, '_>, text: &Text, url: &Url, topology: &Topology) -> bool {
    if matches!(topology, Topology::Single) && url.hosts.len() > 1 {
        let error = Diagnostic::error(text.span.clone(), "a single server has one host");
        table.reading.report(
            error.help("add `topology = \"cluster\"`, or `topology = \"sentinel\"` with `master`"),
        );
        return false;
    }
    if matches!(topology, Topology::Cluster) && url.database != 0 {
        let error = Diagnostic::error(text.span.clone(), "a cluster has database 0 alone");
        table.reading.report(error);
        return false;
    }
    true
}

/// `Some(None)` where there are none of its own.
#[expect(
    clippy::option_option,
    reason = "one says that they are refused, the other that there are none"
)]
fn authorities(
    table: &Table<'_, '_>,
    url: Option<&Url>,
) -> Option<Option<Vec<CertificateDer<'static>>>> {
    let Some(file) = table.word("ca") else { return Some(None) };
    if url.is_some_and(|url| !url.tls) {
        let error = Diagnostic::error(file.span, "`ca` is for `rediss://` alone");
        table.reading.report(error.label("`redis` is without TLS").help("leave it out"));
        return None;
    }
    certificates::authorities(table.reading, &file).map(Some)
}

fn prefix(table: &Table<'_, '_>) -> Option<String> {
    let prefix = table.word("prefix");
    let prefix = prefix.map_or_else(|| table.default("prefix").to_owned(), |text| text.value);
    if prefix.contains(['{', '}']) {
        let span = table.value("prefix").map(|value| value.span()).unwrap_or_default();
        let error = Diagnostic::error(span, "a prefix has no braces, which a cluster reads");
        table.reading.report(error);
        return None;
    }
    Some(prefix)
}

/// `Some(None)` where there is none.
#[expect(
    clippy::option_option,
    reason = "one says that it is refused, the other that there is none"
)]
fn password(table: &Table<'_, '_>) -> Option<Option<String>> {
    let Some(text) = table.text("password") else { return Some(None) };
    if !text.is_secret() {
        // Without the line, which would show it.
        let line = table.reading.source.position(text.span.start).line;
        let error = format!("`password` of a store stands in the file itself, on line {line}");
        table.reading.report(
            Diagnostic::file_error(error)
                .help("write `password = \"${env:VARIABLE}\"` or `password = \"${file:PATH}\"`"),
        );
        return None;
    }
    Some(Some(text.value))
}

struct Url {
    tls: bool,
    hosts: Vec<(String, u16)>,
    database: i64,
}

/// Parses `redis://HOST:PORT,HOST:PORT/DATABASE`.
fn parse(text: &str, port: u16) -> Result<Url, Fault> {
    const EXAMPLE: &str = "write it like `rediss://cache.example:6380/0`";
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Fault::new(0..text.len(), format!("`{text}` is not a URL")).help(EXAMPLE));
    };
    let tls = match scheme {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => {
            let fault = Fault::new(0..scheme.len(), format!("there is no store for `{scheme}`"));
            let known = suggest::closest(scheme, ["redis", "rediss"]);
            return Err(fault.help(match known {
                Some(known) => format!("did you mean `{known}`?"),
                None => "the schemes are `redis` and, with TLS, `rediss`".to_owned(),
            }));
        }
    };
    let start = scheme.len() + 3;
    if let Some(at) = rest.find('@') {
        let fault = Fault::new(start..start + at + 1, "the URL is no place for a user or password");
        return Err(fault.help("write `username` and `password = \"${env:VARIABLE}\"` beside it"));
    }
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let end = start + authority.len();
    let database = match database {
        "" => 0,
        number => number.parse().ok().filter(|it| (0..=65_535).contains(it)).ok_or_else(|| {
            let place = end + 1..text.len();
            Fault::new(place, "after the slash stands the number of a database").help(EXAMPLE)
        })?,
    };
    let mut hosts = Vec::new();
    let mut from = start;
    for host in authority.split(',') {
        let place = from..from + host.len();
        from += host.len() + 1;
        let fault = |what: &str| Fault::new(place.clone(), what).help(EXAMPLE);
        // `[::1]:6379`, whose colons are not before a port.
        let (name, port) = match host.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((name, number)) => {
                (name, number.parse().map_err(|_| fault("this is not a port"))?)
            }
            None => (host, port),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if name.is_empty() {
            return Err(fault("the URL names no host"));
        }
        hosts.push((name.to_owned(), port));
    }
    Ok(Url { tls, hosts, database })
}

/// Two stores in one file would write over each other.
fn refuse_shared_files(root: &Table<'_, '_>, files: &[Owned]) {
    let mut seen: Vec<(Place, &Owned)> = Vec::new();
    for file in files {
        let place = Place::of(&file.path);
        match seen.iter().find(|(known, _)| *known == place) {
            Some((_, first)) => {
                let name = |it: &Owned| it.owner.trim_start_matches("the store ").to_owned();
                let error =
                    format!("the stores {} and {} are in one file", name(first), name(file));
                let error = Diagnostic::error(file.span.clone(), error);
                let error = error.related(first.span.clone(), "the first");
                root.reading.report(error.help(format!(
                    "give each a file of its own, or have plugins name {} in both places",
                    name(first)
                )));
            }
            None => seen.push((place, file)),
        }
    }
}
