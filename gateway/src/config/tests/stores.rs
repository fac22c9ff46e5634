//! `[stores.NAME]` and the plugins that name one: what they take and what they refuse.

use std::time::Duration;

use super::*;
use crate::config::{OnStoreError, Plugin, RedisStore, StoreKind, Topology};

/// A file with these keys of the store `kept`, and these of the plugin `keys`.
fn with(store: &str, plugin: &str) -> String {
    let stores =
        format!("[stores.kept]\n{store}\n[plugins.keys]\ncomponent = \"lock\"\n{plugin}\n");
    file("", TARGETS, &stores, &format!("{FORWARD}\nplugins = [\"keys\"]"))
}

fn plugin(store: &str, plugin: &str) -> Plugin {
    let loaded = check(&with(store, plugin)).unwrap_or_else(|found| panic!("{found}"));
    loaded.config.plugins[0].clone()
}

fn redis(store: &str) -> RedisStore {
    plugin(store, "limiter = \"kept\"").limiter_use.redis().unwrap().clone()
}

#[test]
fn takes_a_store_in_each_place() {
    let memory = plugin("", "limiter = \"kept\"\nkey_value = \"kept\"");
    assert_eq!(memory.limiter_use.store.unwrap().kind, StoreKind::Memory);
    assert_eq!(memory.key_value_store.unwrap().kind, StoreKind::Memory);
    let file = plugin("file = \"state.db\"", "key_value = \"kept\"");
    let path = "state.db".into();
    assert_eq!(file.key_value_store.unwrap().kind, StoreKind::File { path });
    assert_eq!(file.limiter_use.store, None);
    let shared = plugin("redis = \"redis://cache.example\"", "limiter = \"kept\"").limiter_use;
    assert_eq!((shared.on_store_error, shared.lease), (OnStoreError::Local, 0));
    let table = "limiter = { store = \"kept\", on_store_error = \"closed\", lease = 50 }";
    let shared = plugin("redis = \"redis://cache.example\"", table).limiter_use;
    assert_eq!((shared.on_store_error, shared.lease), (OnStoreError::Closed, 50));
    let shared = plugin("redis = \"redis://cache.example\"", "key_value = \"kept\"");
    assert!(shared.key_value_store.is_some_and(|store| store.redis().is_some()));
    assert_eq!(shared.on_key_value_error, OnStoreError::Local);
    let table = "key_value = { store = \"kept\", on_store_error = \"closed\" }";
    let shared = plugin("redis = \"redis://cache.example\"", table);
    assert_eq!(shared.on_key_value_error, OnStoreError::Closed);
}

#[test]
fn takes_the_urls_of_redis() {
    let store = redis("redis = \"redis://cache.example\"");
    assert_eq!(store.hosts, [("cache.example".to_owned(), 6379)]);
    assert_eq!((store.tls, store.database, store.topology), (false, 0, Topology::Single));
    assert_eq!((store.timeout, store.instances), (Duration::from_millis(50), 1));
    assert_eq!(store.prefix, "gateway");
    let store = redis("redis = \"rediss://[::1]:6380/3\"\npassword = \"${env:SECRET}\"");
    assert_eq!((store.hosts, store.tls), (vec![("::1".to_owned(), 6380)], true));
    assert_eq!(store.database, 3);
    assert!(store.password.is_some());
    let sentinels = "redis = \"redis://a,b:1,[::1]\"\ntopology = \"sentinel\"\nmaster = \"m\"";
    let store = redis(sentinels);
    assert_eq!(store.topology, Topology::Sentinel { master: "m".to_owned() });
    let hosts = [("a", 26_379), ("b", 1), ("::1", 26_379)];
    assert_eq!(store.hosts, hosts.map(|(host, port)| (host.to_owned(), port)));
    let store = redis("redis = \"redis://a,b\"\ntopology = \"cluster\"");
    assert_eq!((store.topology, store.hosts.len()), (Topology::Cluster, 2));
}

#[test]
fn refuses_what_has_no_meaning_at_its_place() {
    let limiter = "limiter = \"kept\"";
    for (store, plugin, words) in [
        ("", "limiter = \"kpet\"", "there is no store `kpet`"),
        ("", "limiter = \"kpet\"", "did you mean `kept`?"),
        ("", "limiter = { store = \"kept\", lease = 5 }", "`lease` is for a Redis store alone"),
        ("file = \"a\"\nredis = \"redis://b\"", limiter, "a store is in one place"),
        ("file = \"redis://b\"", limiter, "write `redis` in the place of `file`"),
        ("timeout = \"1s\"", limiter, "there is no `redis`"),
        ("redis = \"cache.example\"", limiter, "is not a URL"),
        ("redis = \"redisss://a\"", limiter, "did you mean `rediss`?"),
        ("redis = \"redis://u:p@a\"", limiter, "the URL is no place for a user or password"),
        ("redis = \"redis://a:b\"", limiter, "this is not a port"),
        ("redis = \"redis://\"", limiter, "the URL names no host"),
        ("redis = \"redis://a/x\"", limiter, "the number of a database"),
        ("redis = \"redis://a,b\"", limiter, "a single server has one host"),
        ("redis = \"redis://a\"\ntopology = \"sentinel\"", limiter, "add `master = \"mymaster\"`"),
        ("redis = \"redis://a\"\nmaster = \"m\"", limiter, "`master` is for sentinels alone"),
        ("redis = \"redis://a/1\"\ntopology = \"cluster\"", limiter, "database 0 alone"),
        ("redis = \"redis://a\"\nprefix = \"{a}\"", limiter, "a prefix has no braces"),
        ("redis = \"redis://a\"\nca = \"x.pem\"", limiter, "`ca` is for `rediss://` alone"),
        (
            "file = \"state.db\"",
            "key_value = { store = \"kept\", on_store_error = \"local\" }",
            "for a Redis store alone",
        ),
        (
            "redis = \"redis://a\"",
            "key_value = { store = \"kept\", on_store_error = \"open\" }",
            "on_store_error",
        ),
    ] {
        let found = check(&with(store, plugin)).unwrap_err().to_string();
        assert!(found.contains(words), "{store} {plugin}: {found}");
    }
}

#[test]
fn shows_no_password_that_stands_in_the_file() {
    let store = "redis = \"redis://a\"\npassword = \"hunter2\"";
    let found = check(&with(store, "limiter = \"kept\"")).unwrap_err().to_string();
    assert!(found.contains("`password` of a store stands in the file itself"), "{found}");
    assert!(!found.contains("hunter2"), "{found}");
}

#[test]
fn refuses_two_stores_in_one_file_and_warns_of_one_that_nobody_uses() {
    let two = with("file = \"a.db\"\n[stores.other]\nfile = \"a.db\"", "limiter = \"kept\"");
    let found = check(&two).unwrap_err().to_string();
    assert!(found.contains("the stores `kept` and `other` are in one file"), "{found}");
    // However it is written, and with the place of both.
    for spelling in ["./a.db", "src/../a.db", "src/config/../../a.db"] {
        let two = with(
            &format!("file = \"a.db\"\n[stores.other]\nfile = {spelling:?}"),
            "limiter = \"kept\"",
        );
        let found = check(&two).unwrap_err().to_string();
        let caret = format!("file = {spelling:?}\n");
        for words in ["are in one file", &*caret, "^^^", "give each a file of its own"] {
            assert!(found.contains(words), "{words}: {found}");
        }
    }
    let loaded = check(&with("", "")).unwrap();
    assert!(loaded.warnings.to_string().contains("no plugin uses the store `kept`"));
}

#[test]
fn reports_all_errors_of_a_store_at_once() {
    let store = "redis = \"redis://u:p@a\"\ntopology = \"sentinel\"\npassword = \"a\"\n\
                 timeout = \"50\"\ninstances = 0\nprefix = \"{a}\"";
    let found = check(&with(store, "limiter = \"kept\"")).unwrap_err().to_string();
    for words in [
        "the URL is no place for a user or password",
        "`master` says which server",
        "`password` of a store",
        "timeout = \"50\"",
        "instances = 0",
        "a prefix has no braces",
    ] {
        assert!(found.contains(words), "{words} is not in {found}");
    }
}

#[test]
fn looks_where_a_file_is_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    std::fs::write(&path, "not a database").unwrap();
    for (file, words) in [
        (path.display().to_string(), "is not an SQLite file"),
        (folder.path().join("none/state.db").display().to_string(), "there is no folder"),
        (folder.path().display().to_string(), "is a folder"),
    ] {
        let found = check(&with(&format!("file = {file:?}"), "limiter = \"kept\"")).unwrap_err();
        assert!(found.to_string().contains(words), "{found}");
    }
    std::fs::write(&path, "SQLite format 3\0").unwrap();
    plugin(&format!("file = {:?}", path.display().to_string()), "limiter = \"kept\"");
}

#[test]
fn refuses_a_file_or_folder_that_two_different_things_would_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let store = |file: &str| {
        format!(
            "[stores.kept]\nfile = {file:?}\n[plugins.keys]\ncomponent = \"lock\"\nlimiter = \"kept\"\n"
        )
    };
    let (db, index) = (path("a.db"), path("index.db"));
    std::fs::write(path("list"), "").unwrap();
    for (tables, words) in [
        (
            format!("{}[usage]\nstore = {:?}\n", store(&db), path("./a.db")),
            "the store `kept` and `[usage]` have the same file or folder",
        ),
        (
            format!("{}[access_logs.log]\nfile = {db:?}\n", store(&db)),
            "the store `kept` and the access log `log` have the same",
        ),
        (
            format!("{}[caches.c]\nfolder = {:?}\n", store(&index), path("")),
            "the store `kept` and the cache `c` have the same",
        ),
        (
            format!("[usage]\nstore = {0:?}\n[documents.d]\nfile = {0:?}\n", path("list")),
            "`[usage]` and the document `d` have the same",
        ),
        (
            format!("[gateway]\ncache_dir = {0:?}\n[caches.c]\nfolder = {0:?}\n", path("")),
            "`cache_dir` of `[gateway]` and the cache `c` have the same",
        ),
    ] {
        let text = file("", TARGETS, &tables, FORWARD);
        let found = check(&text).unwrap_err().to_string();
        assert!(found.contains(words), "{tables}\n{found}");
        assert!(found.contains("give each its own"), "{found}");
    }
}
