//! `[usage]`: what it takes and what it refuses.

use std::time::Duration;

use super::*;
use crate::config::{PostgresStore, Usage, UsageStore};

fn with(keys: &str) -> String {
    file("", TARGETS, &format!("[usage]\n{keys}"), FORWARD)
}

fn usage(keys: &str) -> Usage {
    check(&with(keys)).unwrap().config.usage.unwrap()
}

fn url(keys: &str) -> String {
    match usage(keys).store {
        UsageStore::Postgres(PostgresStore { url, .. }) => url,
        other @ UsageStore::Sqlite { .. } => panic!("{other:?}"),
    }
}

#[test]
fn takes_a_file_and_everything_that_is_set_for_it() {
    let read = check(files::EVERYTHING).unwrap().config.usage.unwrap();
    assert_eq!(read.store, UsageStore::Sqlite { path: "usage.db".into(), size: 2 << 20 });
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!((read.keep, read.keep_minutes), (days(30), days(2)));
    assert_eq!(read.flush, Duration::from_secs(1));
    let defaults = usage("store = \"a/b.db\"");
    assert_eq!(defaults.store, UsageStore::Sqlite { path: "a/b.db".into(), size: 4 << 30 });
    assert_eq!((defaults.keep, defaults.keep_minutes), (days(400), days(8)));
    assert_eq!(defaults.flush, Duration::from_secs(5));
    assert!(check(&file("", TARGETS, "", FORWARD)).unwrap().config.usage.is_none());
}

#[test]
fn wants_tls_of_a_database_elsewhere() {
    let shown = |host: &str| url(&format!("store = \"postgres://u@{host}/d\""));
    assert_eq!(shown("db.example"), "postgres://u@db.example/d?sslmode=require");
    assert_eq!(shown("127.0.0.1:5433"), "postgres://u@127.0.0.1:5433/d?sslmode=disable");
    assert_eq!(shown("localhost"), "postgres://u@localhost/d?sslmode=disable");
    let own = url("store = \"postgresql://u@db.example/d?sslmode=disable\"");
    assert!(own.ends_with("?sslmode=disable"), "{own}");
    let more = url("store = \"postgres://u@db.example/d?application_name=a\"");
    assert!(more.ends_with("?application_name=a&sslmode=require"), "{more}");
}

#[test]
fn takes_a_password_that_is_filled_in_and_shows_it_nowhere() {
    let read = usage("store = \"postgres://u@db/d\"\npassword = \"${env:SECRET}\"");
    let UsageStore::Postgres(store) = &read.store else { panic!("{read:?}") };
    assert_eq!(store.password.as_deref(), Some("hunter2"));
    assert!(!format!("{read:?}").contains("hunter2"));
    let read = usage("store = \"postgres://u:${env:SECRET}@db/d\"");
    assert!(!format!("{read:?}").contains("hunter2"));
    let broken = check(&with("store = \"postgres://u:${env:SECRET}@db:port/d\"")).unwrap_err();
    assert!(!broken.render(false).contains("hunter2"), "{}", broken.render(false));
}

#[test]
fn refuses_passwords_in_the_file_without_showing_them() {
    for keys in [
        "store = \"postgres://u:letmein@db/d\"",
        "store = \"postgres://u@db/d\"\npassword = \"letmein\"",
    ] {
        let text = check(&with(keys)).unwrap_err().render(false);
        assert!(text.contains("is written in the file itself"), "{text}");
        assert!(
            text.contains("password = \"${env:VARIABLE}\"") && !text.contains("letmein"),
            "{text}"
        );
    }
}

#[test]
fn refuses_what_is_no_store_and_what_belongs_to_another() {
    refuses(
        &with("keep = \"1d\""),
        "`[usage]` has no `store`",
        "[usage]",
        "add `store = \"usage.db\"`",
    );
    refuses(
        &with("store = \"mysql://u@db/d\""),
        "there is no store for `mysql`",
        "mysql",
        "write the path of a file, such as `usage.db`, or `postgres://...`",
    );
    refuses(
        &with("store = \"postgres://u@db:x/d\""),
        "this is not a PostgreSQL URL: invalid value for option `port`",
        "postgres://u@db:x/d",
        "write it like `postgres://user@db.example:5432/usage`",
    );
    refuses(
        &with("store = \"src\""),
        "`src` is a folder",
        "\"src\"",
        "name a file in it: `store = \"src/usage.db\"`",
    );
    refuses(
        &with("store = \"postgres://u@db/d\"\nsize = \"1GiB\""),
        "`size` is for an SQLite file alone",
        "\"1GiB\"",
        "leave it out: `keep` and `keep_minutes` bound the rows",
    );
    refuses(
        &with("store = \"usage.db\"\nca = \"ca.pem\""),
        "`ca` is for PostgreSQL alone",
        "\"ca.pem\"",
        "leave it out",
    );
    refuses(
        &with("store = \"usage.db\"\nstor = 1"),
        "unknown key `stor` in `[usage]`",
        "stor",
        "did you mean `store`?",
    );
}

#[test]
fn warns_of_plugins_whose_numbers_are_kept_nowhere() {
    let plugin = "[plugins.p]\ncomponent = \"lock\"\ngrants = [\"usage\"]";
    let route = FORWARD.replace("paths", "plugins = [\"p\"]\npaths");
    let loaded = check(&file("", TARGETS, plugin, &route)).unwrap();
    let warning = loaded.warnings.iter().next().unwrap();
    assert!(warning.message.contains("`p` adds to usage is not kept"), "{}", warning.message);
    let kept = format!("{plugin}\n[usage]\nstore = \"usage.db\"");
    assert!(check(&file("", TARGETS, &kept, &route)).unwrap().warnings.is_empty());
}
