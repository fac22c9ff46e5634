//! `[caches.NAME]` and the plugins that name one: what they take and what they refuse.

use super::*;
use crate::config::Grant;

/// A file with these keys of the cache `pages`, and these of the plugin `keys`.
fn with(cache: &str, plugin: &str) -> String {
    let caches =
        format!("[caches.pages]\n{cache}\n[plugins.keys]\ncomponent = \"lock\"\n{plugin}\n");
    file("", TARGETS, &caches, &format!("{FORWARD}\nplugins = [\"keys\"]"))
}

#[test]
fn takes_the_bounds_of_a_cache_and_who_uses_it() {
    let text = with(
        "memory = \"1MiB\"\nmax_object = \"2KiB\"\npartition = \"64KiB\"\nabandoned = \"finish\"",
        "cache = \"pages\"\ngrants = [\"cache\"]",
    );
    let config = check(&text).unwrap_or_else(|found| panic!("{found}")).config;
    let cache = &config.plugins[0].cache;
    assert_eq!((&*cache.name, cache.memory, cache.max_object), ("pages", 1 << 20, 2 << 10));
    assert_eq!((cache.partition, cache.finishes), (Some(64 << 10), true));
    assert_eq!(config.plugins[0].grants.as_deref(), Some(&[Grant::Cache][..]));
    assert_eq!(config.caches.len(), 1);
}

#[test]
fn plugins_that_name_none_share_the_default() {
    let route = format!("{FORWARD}\nplugins = [\"keys\"]");
    let text = file("", TARGETS, "[plugins.keys]\ncomponent = \"lock\"", &route);
    let loaded = check(&text).unwrap_or_else(|found| panic!("{found}"));
    let cache = &loaded.config.plugins[0].cache;
    assert_eq!((&*cache.name, cache.memory, cache.max_object), ("default", 256 << 20, 8 << 20));
    let text = with("", "").replace("caches.pages", "caches.default");
    let text = text.replace("[caches.default]", "[caches.default]\nmemory = \"1GiB\"");
    let loaded = check(&text).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(loaded.config.plugins[0].cache.memory, 1 << 30);
}

#[test]
fn refuses_bounds_that_contradict_and_caches_that_are_not_there() {
    refuses(
        &with("memory = \"1MiB\"\nmax_object = \"2MiB\"", "cache = \"pages\""),
        "an object may be larger than all that is kept",
        "\"2MiB\"",
        "raise `memory`, or lower `max_object`",
    );
    refuses(
        &with("", "cache = \"page\""),
        "there is no cache `page`",
        "\"page\"",
        "did you mean `pages`?",
    );
    refuses(
        &with("memry = \"1MiB\"", "cache = \"pages\""),
        "unknown key `memry` in a cache",
        "memry",
        "did you mean `memory`?",
    );
}
