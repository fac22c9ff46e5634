//! `GET /caches` and `POST /caches/{name}/purge`.
//!
//! Owns how a cache is shown, and what is purged. What is in a cache is never shown.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Admin;
use super::audit::Entry;
use super::call::{Answer, Call, Refusal, Reply};
use super::page::Page;
use crate::config::{self, Config};
use crate::state::cache::Cache;
use crate::telemetry::metrics::CacheCounts;

/// What a purge is of: one of them.
const SCOPES: [&str; 5] = ["key", "tag", "url", "partition", "all"];
/// What a plugin puts before a URL to have it for a tag.
const URL: &str = "url:";

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    let [offset, limit] = call.known(["offset", "limit"])?;
    let page = Page::new(offset.as_deref(), limit.as_deref())?;
    let in_force = admin.in_force();
    let open = admin.0.limits.caches.all();
    let settings = settings(&in_force.config);
    let show = |settings: &Arc<config::Cache>| {
        let cache = open.iter().find(|cache| cache.settings.name == settings.name);
        show(&in_force.config, settings, cache, |plugin| admin.0.limits.caches.is_user(plugin))
    };
    Ok(Reply::json(page.of("caches", settings.iter(), show)))
}

pub(super) fn purge(admin: &Admin, call: &Call) -> Answer {
    let [key, tag, url, partition, all] = call.known(SCOPES)?;
    let name = call.path.first().map(String::as_str).unwrap_or_default();
    let in_force = admin.in_force();
    let known = settings(&in_force.config);
    if !known.iter().any(|known| known.name == name) {
        return Err(Refusal::no_such("cache", name, known.iter().map(|known| &*known.name)));
    }
    let given = [("key", key), ("tag", tag), ("url", url), ("partition", partition), ("all", all)];
    let mut given = given.into_iter().filter_map(|(scope, value)| Some((scope, value?)));
    let (Some((scope, value)), None) = (given.next(), given.next()) else {
        let why = "say what is purged, by one of `key`, `tag`, `url`, `partition` and `all`";
        return Err(Refusal::bad(why));
    };
    match (scope, value.as_str()) {
        ("all", "true") => {}
        ("all", _) => return Err(Refusal::bad("`all` is `true`, or not there")),
        (_, "") => return Err(Refusal::bad(format!("`{scope}` is empty"))),
        _ => {}
    }
    let what = json!({ "cache": name, scope: value });
    let entry = Entry::of(admin, call, "cache-purge", what)?;
    let open = admin.0.limits.caches.all();
    let cache = open.iter().find(|cache| cache.settings.name == name);
    let (purged, is_shared) = cache.map_or((0, None), |cache| {
        let purged = match scope {
            "key" => cache.purge_keys(&value),
            "tag" => cache.purge_tags(&value),
            "url" => cache.purge_tags(&format!("{URL}{value}")),
            "partition" => cache.purge_partition(&value),
            _ => cache.purge_all(),
        };
        // Removed for good, also if the gateway is killed now.
        let is_everywhere = cache.settle();
        cache.counts.purged(purged as u64);
        (purged, cache.has_second().then_some(is_everywhere))
    });
    entry.done(match (purged, is_shared) {
        (1.., _) | (_, Some(true)) => "purged",
        (0, Some(false)) => "later",
        (0, None) => "nothing",
    });
    let second_level = is_shared.map(|is_done| if is_done { "purged" } else { "later" });
    Ok(Reply::json(json!({ "cache": name, "purged": purged, "second_level": second_level })))
}

/// The caches of a configuration: those of the file, and the default one if a plugin may use it.
fn settings(config: &Config) -> Vec<Arc<config::Cache>> {
    let mut all = config.caches.clone();
    for plugin in &config.plugins {
        if !all.iter().any(|known| known.name == plugin.cache.name) {
            all.push(Arc::clone(&plugin.cache));
        }
    }
    all
}

fn show(
    config: &Config,
    settings: &config::Cache,
    cache: Option<&Arc<Cache>>,
    uses: impl Fn(&str) -> bool,
) -> Value {
    let plugins = config.plugins.iter().filter(|plugin| plugin.cache.name == settings.name);
    let users: Vec<_> = plugins.map(|plugin| &*plugin.name).filter(|it| uses(it)).collect();
    let disk = cache.map_or([0, 0], |cache| cache.counts.on_disk());
    let mut shown = json!({
        "name": settings.name,
        "memory": settings.memory,
        "max_object": settings.max_object,
        "partition": settings.partition,
        "disk_size": settings.folder.as_ref().map(|folder| folder.size),
        "second_level": settings.second_level.as_ref().map(|it| &*it.store.name),
        "plugins": users,
        "objects": cache.map_or(0, |cache| cache.objects()),
        "bytes": cache.map_or(0, |cache| cache.bytes()),
        "partitions": cache.map_or(0, |cache| cache.owners()),
        "arriving": cache.map_or(0, |cache| cache.arriving()),
        "disk_objects": disk[0],
        "disk_bytes": disk[1],
        "requests_total": Map::new(),
        "second_level_requests_total": Map::new(),
    });
    if let Some(cache) = cache {
        let results = cache.counts.results().map(|(name, count)| (name.to_owned(), count.into()));
        shown["requests_total"] = Value::Object(results.collect());
        let results = cache.counts.second_results();
        let results = results.map(|(name, count)| (name.to_owned(), count.into()));
        shown["second_level_requests_total"] = Value::Object(results.collect());
        for (name, count) in cache.counts.others() {
            shown[name] = count.into();
        }
    } else {
        for (name, count) in CacheCounts::none() {
            shown[name] = count.into();
        }
    }
    shown
}
