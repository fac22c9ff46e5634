//! `split`.

use http::HeaderName;

use super::{check, in_route, refuses, warns};
use crate::config::{Action, StickyKey, stable_hash};

const PATHS: &str = "paths = [\"/{*rest}\"]";

fn with(split: &str) -> String {
    in_route(&format!("{PATHS}\nsplit = {split}"))
}

#[test]
fn reads_variants_keys_and_salt() {
    let text = with(
        "{ variants = [{ name = \"a\", upstream = \"u\", weight = 95 }, { name = \"b\", upstream = \"u\" }], \
         by = [\"client.address\", \"header:X-User\", \"cookie:sid\", \"capture.rest\"], salt = \"s\" }",
    );
    let loaded = check(&text).unwrap();
    assert!(loaded.warnings.is_empty());
    let Action::Split(split) = &loaded.config.routes[1].action else { panic!("it splits") };
    let weights: Vec<_> = split.variants.iter().map(|it| (&*it.name, it.weight)).collect();
    assert_eq!(weights, [("a", 95), ("b", 1)]);
    let by = [
        StickyKey::ClientAddress,
        StickyKey::Header(HeaderName::from_static("x-user")),
        StickyKey::Cookie("sid".to_owned()),
        StickyKey::Attribute("capture.rest".to_owned()),
    ];
    assert_eq!(split.by, by);
    assert_eq!(split.salt, stable_hash(0, b"s"));
    let text = text.replace(", salt = \"s\"", "");
    let Action::Split(split) = &check(&text).unwrap().config.routes[1].action.clone() else {
        panic!("it splits")
    };
    assert_eq!(split.salt, stable_hash(0, b"r"), "the name of the route");
}

#[test]
fn refuses_variants_that_cannot_be() {
    let two = |one: &str, other: &str| with(&format!("{{ variants = [{one}, {other}] }}"));
    let a = "{ name = \"a\", upstream = \"u\", weight = 0 }";
    refuses(
        &two(a, &a.replace("\"a\"", "\"b\"")),
        "no variant gets a request: each has the weight 0",
        &format!("[{a}, {}]", a.replace("\"a\"", "\"b\"")),
        "leave `weight` out where a variant shall get its share",
    );
    let b = "{ name = \"b\", upstream = \"u\" }";
    refuses(&two(b, b), "two variants have the name `b`", "\"b\"", "");
    refuses(
        &two(b, "{ name = \"c\", upstream = \"v\" }"),
        "there is no upstream `v`",
        "\"v\"",
        "add a `[upstreams.v]` table with `targets`",
    );
    refuses(
        &with("{ variants = [] }"),
        "`variants` is empty",
        "[]",
        "add a `[[variants]]` table instead",
    );
}

#[test]
fn refuses_keys_that_no_request_has() {
    let by = |key: &str| {
        with(&format!("{{ variants = [{{ name = \"a\", upstream = \"u\" }}], by = [\"{key}\"] }}"))
    };
    refuses(
        &by("client.adress"),
        "no request has this attribute before it is sent on",
        "client.adress",
        "did you mean `client.address`?",
    );
    refuses(
        &by("header:a b"),
        "this is no name of a header field",
        "a b",
        "write it like `header:x-user`",
    );
    refuses(&by("cookie:"), "this is no name of a cookie", "\"", "write it like `cookie:session`");
    refuses(&by("claim:"), "the claim has no name", "claim:", "write `claim:sub`");
    refuses(
        &by("cookies:sid"),
        "this is none of `header:`, `cookie:` and `claim:`",
        "cookies:",
        "did you mean `cookie:sid`?",
    );
    refuses(
        &by("capture.nope"),
        "no path of the route captures `nope`",
        "\"capture.nope\"",
        "name a `{...}` of `paths`",
    );
    refuses(
        &by("client.certificate.subjct"),
        "nothing of a certificate has this name",
        "subjct",
        "did you mean `client.certificate.subject`?",
    );
    check(&by("client.certificate.spiffe-id")).unwrap();
    warns(
        &by("consumer.id"),
        "nothing sets the attribute `consumer.id`: the route has no plugins",
        "\"consumer.id\"",
    );
}
