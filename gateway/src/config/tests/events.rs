//! `[events.NAME]`: what cannot be sent so.

use super::*;

fn with(keys: &str) -> String {
    let tables = format!(
        "[events.e]\nupstream = \"u\"\n{keys}\n[plugins.p]\ncomponent = \"lock\"\nevents = [\"e\"]"
    );
    file("", TARGETS, &tables, &format!("{FORWARD}\nplugins = [\"p\"]"))
}

#[test]
fn refuses_fields_that_the_gateway_sets() {
    let headers = |fields: &str| with(&format!("path = \"/x\"\nheaders = {{ {fields} }}"));
    for name in ["content-length", "Transfer-Encoding", "connection", "te", "upgrade"] {
        let error = format!("the gateway sets `{}` itself", name.to_lowercase());
        refuses(&headers(&format!("{name} = \"1\"")), &error, name, "leave it out");
    }
    refuses(
        &headers("host = \"a b\""),
        "this is no host, with a port or without",
        "\"a b\"",
        "write it like `host = \"events.example.com\"`",
    );
    let text = headers("host = \"events.example.com:81\", authorization = \"Bearer x\"");
    assert_eq!(findings(&text), []);
}

#[test]
fn refuses_what_is_no_path() {
    for (path, message, under, help) in [
        (
            "http://x/",
            "this is a URL: its host belongs into the upstream",
            "http://x/",
            "write the path alone, such as `/v1/events`",
        ),
        ("/x y", "` ` is not allowed in a path", " ", "write `%20`"),
        ("/\u{fc}", "`\u{fc}` is not allowed in a path", "\u{fc}", "write `%C3%BC`"),
        ("x", "a path begins with `/`", "x", "write `/x`"),
    ] {
        refuses(&with(&format!("path = \"{path}\"")), message, under, help);
    }
}
