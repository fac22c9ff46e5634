//! `GET /stores`.
//!
//! Owns how a store is shown: how it stands, and never what is in it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Admin;
use super::call::{Answer, Call, Reply};
use super::page::Page;
use crate::config::{Config, Positions, Store, StoreKind, Topology};
use crate::state::StoreFacts;

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    let [offset, limit] = call.known(["offset", "limit"])?;
    let page = Page::new(offset.as_deref(), limit.as_deref())?;
    let in_force = admin.in_force();
    let config = &in_force.config;
    let positions = config.source.positions();
    let show = |store: &Arc<Store>| {
        let facts = admin.0.limits.facts(store, &config.plugins);
        show(config, &positions, store, &facts)
    };
    Ok(Reply::json(page.of("stores", config.stores.iter(), show)))
}

fn show(
    config: &Config,
    positions: &Positions<'_>,
    store: &Arc<Store>,
    facts: &StoreFacts,
) -> Value {
    let (kind, file, servers, tls) = place(&store.kind);
    let numbers = facts.numbers.as_ref();
    // What is in memory alone can always be had.
    let is_up = match store.kind {
        StoreKind::Memory => Some(true),
        _ => numbers.and_then(|numbers| numbers.changed_at.map(|_| numbers.is_up)),
    };
    json!({
        "name": store.name,
        "line": positions.of(store.span.start).line,
        "kind": kind,
        "file": file,
        "servers": servers,
        "tls": tls,
        "up": is_up,
        "changed_at": numbers.and_then(|numbers| numbers.changed_at),
        "failure": numbers.and_then(|numbers| numbers.failure.clone()),
        "breaker": facts.connections.map(breaker),
        "connections": facts.connections.map(|[all, usable]| json!({ "all": all, "usable": usable })),
        "plugins": plugins(config, store),
        "buckets": facts.buckets,
        "keys": facts.keys,
        "api_keys": facts.api_keys,
        "waiting": facts.waiting,
        "calls_total": numbers.map(|numbers| calls(&numbers.calls)),
        "leased_total": numbers.map(|numbers| numbers.leased),
    })
}

type Servers = Vec<Value>;

fn place(kind: &StoreKind) -> (&'static str, Option<String>, Option<Servers>, Option<bool>) {
    match kind {
        StoreKind::Memory => ("memory", None, None, None),
        StoreKind::File { path } => ("file", Some(path.display().to_string()), None, None),
        StoreKind::Redis(redis) => {
            let kind = match redis.topology {
                Topology::Single => "redis",
                Topology::Sentinel { .. } => "redis_sentinel",
                Topology::Cluster => "redis_cluster",
            };
            let servers = redis.hosts.iter().map(|(host, port)| match host.contains(':') {
                true => json!({ "address": format!("[{host}]:{port}") }),
                false => json!({ "address": format!("{host}:{port}") }),
            });
            (kind, None, Some(servers.collect()), Some(redis.tls))
        }
    }
}

/// Whether questions are put to the store: by all workers, by those whose connection can be used, or by none.
fn breaker([all, usable]: [usize; 2]) -> &'static str {
    match usable {
        0 => "open",
        _ if usable < all => "partly_open",
        _ => "closed",
    }
}

/// Which plugins keep something there, and what.
fn plugins(config: &Config, store: &Arc<Store>) -> Vec<Value> {
    let is_it = |other: &Option<Arc<Store>>| other.as_ref().is_some_and(|it| it.name == store.name);
    let shown = config.plugins.iter().filter_map(|plugin| {
        let limits = is_it(&plugin.limiter_use.store).then_some("limits");
        let values = is_it(&plugin.key_value_store).then_some("key_values");
        let keeps: Vec<_> = limits.into_iter().chain(values).collect();
        (!keeps.is_empty()).then(|| json!({ "name": plugin.name, "keeps": keeps }))
    });
    shown.collect()
}

fn calls(calls: &[(&'static str, u64)]) -> Map<String, Value> {
    calls.iter().map(|(result, count)| ((*result).to_owned(), Value::from(*count))).collect()
}
