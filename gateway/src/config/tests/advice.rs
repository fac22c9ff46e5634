//! What people most often write instead of what the gateway reads, and what they are told.

use super::*;

/// The messages and the advice of everything found.
fn told(text: &str) -> Vec<(String, String)> {
    findings(text).into_iter().map(|(_, message, _, help)| (message, help)).collect()
}

#[test]
fn names_a_key_that_only_looks_like_another_first() {
    for (key, meant) in [("path", "paths"), ("host", "hosts")] {
        let text = in_route(&format!("{FORWARD}\n{key} = [\"/a\"]"));
        assert_eq!(told(&text)[0].1, format!("did you mean `{meant}`?"));
    }
    let found = told(&in_route("paths = [\"/\"]\nrespnd = {}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].1, "did you mean `respond`?");
    let cyrillic = in_listener("").replace("address", "\u{430}ddress");
    let found = told(&cyrillic);
    assert_eq!(found[0].0, "this is a letter of another alphabet, U+0430");
    assert_eq!(found[0].1, "write `a`, which looks like it");
}

#[test]
fn names_what_stands_in_the_place_of_a_path() {
    let route = |path: &str| in_route(&format!("paths = [\"{path}\"]\nupstream = \"u\""));
    for (path, message, help) in [
        (
            "http://h/x",
            "this is a URL, and a path is meant",
            "write `/x` here, and `hosts = [\"h\"]`",
        ),
        (
            "https://h",
            "this is a URL, and a path is meant",
            "write `/` here, and `hosts = [\"h\"]`",
        ),
        ("/x/<id>", "`<id>` is how others write a capture", "write `{id}`"),
        ("/x/<int:id>/y", "`<int:id>` is how others write a capture", "write `{id}`"),
        ("/x/<path:rest>", "`<path:rest>` is how others write a capture", "write `{*rest}`"),
    ] {
        let found = told(&route(path));
        assert_eq!(found[0].0, message, "{path}");
        assert!(found[0].1.starts_with(help), "{found:?}");
    }
}

#[test]
fn suggests_no_value_that_it_would_refuse() {
    let help = |keys: &str| told(&in_listener(keys)).remove(0).1;
    assert_eq!(help("limits.header_size = 1.5"), "write `header_size = \"32KiB\"`");
    assert_eq!(help("limits.body_size = 1.5"), "write `body_size = \"16MiB\"`");
    assert_eq!(help("timeouts.idle = 30"), "give it a unit: `\"30s\"` or `\"30ms\"`");
    assert_eq!(help("timeouts.idle = 100000"), "give it a unit: `\"100000ms\"`");
    assert!(told(&in_listener("timeouts.idle = \"5 s\""))[0].0.contains("there is a space"));
}

#[test]
fn names_values_of_other_languages() {
    for (value, message, help) in [
        ("True", "`True` is no value", "write `true`"),
        ("yes", "`yes` is no value", "write `true`, or `\"yes\"` for a string"),
        ("None", "TOML has no `None`", "leave the key out"),
        ("null", "TOML has no `null`", "leave the key out"),
    ] {
        let found = told(&in_listener(&format!("hsts = {value}")));
        assert_eq!(found[0], (message.to_owned(), help.to_owned()), "{value}");
    }
    let text = in_route("paths = [\"/\"]\nrespond = {body: \"ok\"}");
    assert!(
        told(&text).iter().any(|(_, help)| help == "TOML writes `{ body = ... }`"),
        "{:?}",
        told(&text)
    );
    let text = in_plugin("component = \"C:\\path\"");
    assert!(
        told(&text).iter().any(|(_, help)| help.contains("a backslash is written `\\\\`")),
        "{:?}",
        told(&text)
    );
}

#[test]
fn names_a_conflict_of_a_merge() {
    let text = in_listener("<<<<<<< HEAD\nhttp2 = true\n=======\nhttp2 = false\n>>>>>>> theirs");
    let found = findings(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].1, "a conflict of a merge is not resolved here");
    assert_eq!(found[0].2, "<<<<<<< HEAD");
}

#[test]
fn tells_a_table_that_stands_twice_once() {
    let again = "[upstreams.u]\ntargets = [\"http://b\"]\n[upstreams.u.timeouts]\nidle = \"5s\"";
    let found = told(&file("", TARGETS, again, FORWARD));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0.contains("is set twice"), "{found:?}");
}

#[test]
fn of_a_text_that_is_no_toml_it_tells_that_alone() {
    for text in ["[listener]\nname: x\n", "hello, world\n", "listener \"public\" {\n a = 1\n}\n"] {
        let found = told(text);
        assert!(found.iter().all(|(message, _)| !message.contains(" has no `")), "{found:?}");
    }
    let marked = in_listener("").replace("[[routes]]", "\u{feff}[[routes]]");
    let found = told(&marked);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0.contains("U+FEFF"), "{found:?}");
}

#[test]
fn a_list_of_tables_that_is_required_is_not_empty() {
    let found = told("listeners = []\nroutes = []\n");
    let expected = ["listeners", "routes"]
        .map(|name| (format!("`{name}` is empty"), format!("add a `[[{name}]]` table instead")));
    assert_eq!(found, expected);
}

#[test]
fn shows_nothing_of_a_key_in_the_place_of_the_configuration() {
    let found = findings("-----BEGIN PRIVATE KEY----- MIIEvQIBADANBg -----END PRIVATE KEY-----");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.starts_with("this is PEM") && found[0].2.is_empty(), "{found:?}");
}
