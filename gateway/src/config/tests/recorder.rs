//! `[recorder]`: what it takes and what it refuses.

use std::time::Duration;

use super::*;
use crate::config::Recorder;

const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:9901\"\n";

fn with(keys: &str) -> String {
    file("", TARGETS, &format!("{ADMIN}[recorder]\n{keys}"), FORWARD)
}

#[test]
fn has_defaults_where_there_is_an_admin_and_is_off_elsewhere() {
    let read = |tables: &str| check(&file("", TARGETS, tables, FORWARD)).unwrap().config.recorder;
    let defaults =
        Recorder { size: 500, slow: Duration::from_millis(500), sample: 0.01, debug_secret: None };
    assert_eq!(read(ADMIN), Some(defaults));
    assert_eq!(read(""), None);
    assert_eq!(check(&with("size = 0")).unwrap().config.recorder, None);
}

#[test]
fn takes_everything_that_is_set_and_shows_no_secret() {
    let keys = "size = 7\nslow = \"1s\"\nsample = 1\ndebug_secret = \"${env:GATEWAY_DEBUG}\"";
    let read = check(&with(keys)).unwrap().config.recorder.unwrap();
    assert_eq!((read.size, read.slow, read.sample), (7, Duration::from_secs(1), 1.0));
    assert_eq!(read.debug_secret.as_deref(), Some("0123456789abcdef"));
    assert!(!format!("{read:?}").contains("0123456789abcdef"));
}

#[test]
fn refuses_what_is_out_of_range_or_has_no_reader() {
    refuses(
        &file("", TARGETS, "[recorder]\nsize = 5", FORWARD),
        "`[recorder]` has no `[admin]` beside it",
        "[recorder]",
        "add `[admin]` with `address = \"127.0.0.1:9901\"`",
    );
    refuses(&with("sample = 1.5"), "`sample` is out of range: 1.5", "1.5", "");
    refuses(&with("sample = nan"), "`sample` is out of range: nan", "nan", "");
    refuses(
        &with("sample = \"1%\""),
        "`sample` must be a number from 0 to 1, but this is a string",
        "\"1%\"",
        "write `sample = 0.01`",
    );
    refuses(&with("size = 100001"), "`size` is out of range: 100001", "100001", "");
    refuses(
        &with("slo = \"1s\""),
        "unknown key `slo` in `[recorder]`",
        "slo",
        "did you mean `slow`?",
    );
}

#[test]
fn refuses_secrets_that_are_none() {
    let text =
        check(&with("debug_secret = \"letmein-letmein-letmein\"")).unwrap_err().render(false);
    assert!(text.contains("`debug_secret` of `[recorder]` is written in the file itself"));
    assert!(!text.contains("letmein"), "{text}");
    refuses(
        &with("debug_secret = \"${env:SECRET}\""),
        "`debug_secret` has fewer than 16 characters",
        "\"${env:SECRET}\"",
        "make one with `openssl rand -hex 16`",
    );
    refuses(
        &with("debug_secret = \"${env:SPACED}\""),
        "`debug_secret` has characters that a field value cannot have at any place",
        "\"${env:SPACED}\"",
        "use ASCII letters, digits and signs, without spaces",
    );
}

#[test]
fn a_route_knows_the_lines_of_its_paths() {
    let loaded = check(&with("")).unwrap();
    let route = &loaded.config.routes[0];
    let line = loaded.source.position(route.path_spans[0].start).line;
    assert_eq!(route.path_lines, [format!("gateway.toml:{line}")]);
    assert!(line > 5);
}
