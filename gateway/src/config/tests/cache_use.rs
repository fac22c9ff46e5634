//! Plugins that keep responses: where they can keep nothing, or answer too early, and settings that say two things.

use super::{FORWARD, TARGETS, environment, file};
use crate::config::{Known, Severity, Source, read};

const KNOWN: Known<'_> = Known {
    built_in: &["auth", "cache", "experiments", "flags", "ip", "predictions", "rate-limit"],
};

/// What is warned of: the message, what is under the caret, what that is labelled, and what to do.
fn warnings(text: &str) -> Vec<[String; 4]> {
    let loaded = read(Source::new("gateway.toml", text), &environment, &KNOWN);
    let found = loaded.unwrap_or_else(|found| panic!("{found}")).warnings;
    let source = found.source();
    let under = |span: &crate::config::Span| source.text()[source.on_first_line(span)].to_owned();
    let told = found.iter().map(|it| {
        assert_eq!(it.severity, Severity::Warning);
        let under = it.span.as_ref().map(under).unwrap_or_default();
        [it.message.clone(), under, it.label.clone().unwrap_or_default(), it.help.join("; ")]
    });
    told.collect()
}

#[track_caller]
fn warns(text: &str, told: [&str; 4]) {
    assert_eq!(warnings(text), [told.map(str::to_owned)], "{text}");
}

/// Two upstreams, plugins with these keys, and a route.
fn with(cache: &str, plugins: &str, route: &str) -> String {
    let tables = format!(
        "[upstreams.v]\n{TARGETS}\n[plugins.auth]\ncomponent = \"auth\"\n\
         [plugins.rate]\ncomponent = \"rate-limit\"\n\
         [plugins.choose]\ncomponent = \"experiments\"\nforward_to = [\"v\"]\n{cache}"
    );
    let all = "[[routes]]\nname = \"all\"\npaths = [\"/all\"]\nupstream = \"v\"\nplugins = [\"auth\", \"rate\", \"choose\"]\n";
    file("", TARGETS, &tables, &format!("{route}\nplugins = {plugins}\n{all}"))
}

const OWN: &str = "[plugins.c]\ncomponent = \"cache\"\n";
const SPLIT: &str = "paths = [\"/{*rest}\"]\nsplit.variants = [{ name = \"a\", upstream = \"u\" }, { name = \"b\", upstream = \"v\" }]";

#[test]
fn a_cache_on_a_route_that_splits_keeps_nothing() {
    let label = "behind it, `split` chooses the variant that answers";
    let help = "choose the variant before it: by `experiments`, with `upstream` in its variants";
    let told = |name: &str, under, help| {
        [format!("`{name}` keeps nothing on the route `r`"), under, label.to_owned(), help]
    };
    let own = |text: &str| text.to_owned();
    let predictions = OWN.replace("\"cache\"", "\"predictions\"");
    let more = ", or write `across_variants = true` where an answer of any variant will do";
    assert_eq!(warnings(&with(OWN, "[\"c\"]", SPLIT)), [told("cache", own("\"c\""), own(help))]);
    assert_eq!(
        warnings(&with(&predictions, "[\"c\"]", SPLIT)),
        [told("predictions", own("\"c\""), format!("{help}{more}"))]
    );
    let short = with("", "[]", &format!("{SPLIT}\ncache = {{}}"));
    assert_eq!(warnings(&short), [told("cache", own("{}"), own(help))]);
    // Where the variant is known before, or makes no difference.
    let across = format!("{predictions}config.across_variants = true\n");
    for (cache, plugins) in [(OWN, "[\"choose\", \"c\"]"), (&*across, "[\"c\"]")] {
        assert!(warnings(&with(cache, plugins, SPLIT)).is_empty(), "{plugins}");
    }
    assert!(warnings(&with(OWN, "[\"c\"]", FORWARD)).is_empty());
}

#[test]
fn a_cache_before_those_who_admit_answers_whoever_asks() {
    warns(
        &with(OWN, "[\"c\", \"auth\"]", FORWARD),
        [
            "on the route `r` what `cache` keeps is given to who does not pass `auth`",
            "\"c\"",
            "it answers first",
            "put `cache` behind `auth` in `plugins`",
        ],
    );
    for plugins in ["[\"auth\", \"c\"]", "[\"c\", \"rate\"]"] {
        assert!(warnings(&with(OWN, plugins, FORWARD)).is_empty(), "{plugins}");
    }
}

#[test]
fn a_field_that_flags_set_belongs_into_the_key() {
    let flags = "[plugins.f]\ncomponent = \"flags\"\nconfig.set = [{ flag = \"a\", attribute = \"b\" }, { flag = \"c\", header = \"X-C\" }]\n";
    for (component, key) in [("cache", "key.headers"), ("predictions", "headers")] {
        let own = format!("{flags}[plugins.c]\ncomponent = \"{component}\"\n");
        warns(
            &with(&own, "[\"f\", \"c\"]", FORWARD),
            [
                &format!("`{component}` takes requests for the same that `f` has made different"),
                "\"c\"",
                "the field `X-C` is not in its key",
                &format!("add `\"X-C\"` to `{key}` of `{component}`"),
            ],
        );
        let own = format!("{own}config.{key} = [\"x-c\"]\n");
        assert!(warnings(&with(&own, "[\"f\", \"c\"]", FORWARD)).is_empty());
    }
}

#[test]
fn settings_about_consumers_need_somebody_who_names_them() {
    let help = "put a plugin that sets `consumer.id` before it, such as `auth`";
    for (component, key, value, message) in [
        ("cache", "credentials", "\"by-consumer\"", "nobody has a key of its own"),
        ("cache", "may_revalidate", "[\"ops\"]", "nobody may"),
        ("predictions", "shared_with", "\"group\"", "there is no group to share with"),
        ("predictions", "may_bypass", "[\"ops\"]", "nobody may"),
    ] {
        let own = format!("[plugins.c]\ncomponent = \"{component}\"\nconfig.{key} = {value}\n");
        let message = format!("{message}: no plugin before `{component}` says who asks");
        warns(&with(&own, "[\"rate\", \"c\"]", FORWARD), [&message, value, "", help]);
        assert!(warnings(&with(&own, "[\"auth\", \"c\"]", FORWARD)).is_empty(), "{own}");
    }
    let none = format!("{OWN}config.may_revalidate = []\n");
    assert!(warnings(&with(&none, "[\"c\"]", FORWARD)).is_empty());
}

#[test]
fn settings_that_say_two_things_are_told() {
    for (component, keys, told) in [
        (
            "cache",
            "config.collapse_wait = \"0s\"\nconfig.collapse_waiters = 5",
            [
                "`collapse_waiters` counts for nothing beside `collapse_wait = \"0s\"`",
                "collapse_waiters",
                "",
                "leave one of `collapse_waiters` and `collapse_wait` out",
            ],
        ),
        (
            "cache",
            "config.heuristic_percent = 0\nconfig.heuristic_max = \"1h\"",
            [
                "`heuristic_max` counts for nothing beside `heuristic_percent = 0`",
                "heuristic_max",
                "",
                "leave one of `heuristic_max` and `heuristic_percent` out",
            ],
        ),
        (
            "predictions",
            "config.max_response = 16_777_216",
            [
                "an answer of this length is not kept",
                "16_777_216",
                "`max_object` of its cache `default` is 8388608 bytes",
                "raise `max_object` of `[caches.default]`, or lower `max_response`",
            ],
        ),
        (
            "cache",
            "cache = \"pages\"\n[caches.pages]\npartition = \"1MiB\"",
            [
                "an owner has no room for the largest object",
                "\"1MiB\"",
                "`max_object` is 8388608 bytes",
                "raise `partition`, or lower `max_object`",
            ],
        ),
    ] {
        let own = format!("[plugins.c]\ncomponent = \"{component}\"\n{keys}\n");
        warns(&with(&own, "[\"c\"]", FORWARD), told);
    }
}
