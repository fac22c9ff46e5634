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

#[test]
fn warns_of_a_bound_for_owners_that_bounds_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let used = "cache = \"pages\"";
    let bounds = "memory = \"64MiB\"\npartition = \"65MiB\"";
    let expected = (
        Severity::Warning,
        "an owner may have more than all that is kept, so that none is bounded".to_owned(),
        "\"65MiB\"".to_owned(),
        "lower `partition`, or raise `memory`".to_owned(),
    );
    assert_eq!(findings(&with(bounds, used)), [expected]);
    // What is on disk is of owners too.
    let text = format!("{bounds}\nfolder = {:?}", folder.path().display().to_string());
    assert_eq!(findings(&with(&text, used)), []);
}

#[test]
fn takes_a_folder_and_what_goes_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display();
    let text = with(&format!("folder = {:?}", path.to_string()), "cache = \"pages\"");
    let config = check(&text).unwrap_or_else(|found| panic!("{found}")).config;
    let found = config.plugins[0].cache.folder.clone().expect("it has one");
    assert_eq!((&*found.path, found.size, found.from), (folder.path(), 1 << 30, 64 << 10));
}

#[test]
fn refuses_folders_that_cannot_be_and_bounds_without_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    std::fs::write(folder.path().join("file"), "").expect("a file");
    let used = "cache = \"pages\"";
    let at = |more: &str| format!("folder = {path:?}\n{more}");
    let nothing = format!("{path}/nothing");
    for (cache, error, label, help) in [
        (
            at("disk_size = \"1MiB\""),
            "an object may be larger than all that is kept on disk",
            "\"1MiB\"",
            "raise `disk_size`, or lower `max_object`",
        ),
        (
            at("disk_from = \"9MiB\""),
            "no body would go to the folder: `disk_from` is more than `max_object`",
            "\"9MiB\"",
            "lower `disk_from`, or raise `max_object`",
        ),
        (
            "disk_size = \"1GiB\"".to_owned(),
            "`disk_size` is for a folder",
            "\"1GiB\"",
            "add `folder = \"...\"`, or leave it out",
        ),
        (
            format!("folder = {nothing:?}"),
            &*format!("`{nothing}` is not there"),
            &*format!("{nothing:?}"),
            "make the folder first",
        ),
        (
            format!("folder = \"{path}/file\""),
            &*format!("`{path}/file` is not a folder"),
            &*format!("\"{path}/file\""),
            "name a folder that is for this cache alone",
        ),
    ] {
        refuses(&with(&cache, used), error, label, help);
    }
    let text = with(&at(""), used);
    let text = text
        .replace("[plugins.keys]", &format!("[caches.other]\nfolder = {path:?}\n[plugins.keys]"));
    let Err(found) = check(&text) else { panic!("two caches have one folder") };
    assert!(found.to_string().contains("the cache `pages` has this folder"), "{found}");
}

#[test]
fn reports_a_shared_folder_beside_other_errors_of_the_cache() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    let text = with(
        &format!("folder = {path:?}\n[caches.other]\nfolder = {path:?}\nmemory = \"1MiB\""),
        "cache = \"pages\"",
    );
    let told: Vec<_> = findings(&text).into_iter().map(|(_, message, ..)| message).collect();
    assert!(told.contains(&"the cache `pages` has this folder".to_owned()), "{told:?}");
    assert!(told.contains(&"an object may be larger than all that is kept".to_owned()), "{told:?}");
}

#[test]
fn takes_a_second_level_that_is_shared() {
    let text = with("second_level = \"shared\"\nsecond_level_ttl = \"1h\"", "cache = \"pages\"")
        + "\n[stores.shared]\nredis = \"redis://127.0.0.1\"\n";
    let loaded = check(&text).unwrap_or_else(|found| panic!("{found}"));
    let second = loaded.config.plugins[0].cache.second_level.clone().expect("it has one");
    let time = std::time::Duration::from_secs(3_600);
    assert_eq!((&*second.store.name, second.max_object, second.ttl), ("shared", 1 << 20, time));
    assert_eq!(findings(&text), [], "the store is used");
}

#[test]
fn refuses_second_levels_that_are_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    let stores = "\n[stores.kept]\nfile = \"kept.db\"\n[stores.here]\n\
                  [stores.shared]\nredis = \"redis://127.0.0.1\"\n";
    let second = "second_level = \"shared\"";
    for (cache, error, label, help) in [
        (
            "second_level = \"kept\"".to_owned(),
            "a second level is shared by gateways",
            "\"kept\"",
            "name a store with `redis`, such as `shared`",
        ),
        (
            "second_level = \"here\"".to_owned(),
            "a second level is shared by gateways",
            "\"here\"",
            "name a store with `redis`, such as `shared`",
        ),
        (
            "second_level = \"share\"".to_owned(),
            "there is no store `share`",
            "\"share\"",
            "did you mean `shared`?",
        ),
        (
            "second_level_ttl = \"1h\"".to_owned(),
            "`second_level_ttl` is for a second level",
            "\"1h\"",
            "add `second_level = \"...\"` with the name of a Redis store, or leave it out",
        ),
        (
            format!("{second}\nmax_object = \"1MiB\"\nsecond_level_max_object = \"2MiB\""),
            "no body is that large: it is more than `max_object`",
            "\"2MiB\"",
            "lower `second_level_max_object`, or raise `max_object`",
        ),
        (
            format!("{second}\nfolder = {path:?}"),
            "a cache has a folder or a second level, not both",
            "\"shared\"",
            "leave one of them out: what others purge while this gateway is down would still be in its folder",
        ),
    ] {
        let text = with(&cache, "cache = \"pages\"") + stores;
        // Of stores that nobody uses there are warnings.
        let found = findings(&text).into_iter().find(|it| it.0 == Severity::Error);
        let expected = (Severity::Error, error.to_owned(), label.to_owned(), help.to_owned());
        assert_eq!(found, Some(expected), "{text}");
    }
}
