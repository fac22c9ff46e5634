//! Placeholders that cannot be filled in, and values that must not be seen.

use super::*;

#[test]
fn refuses_placeholders_that_cannot_be_filled_in() {
    refuses(
        &in_plugin("component = \"lock\"\nconfig = { a = [\"x ${env:GONE}\"] }"),
        "the environment has no variable `GONE`",
        "${env:GONE}",
        "set it: `export GONE=...`",
    );
    refuses(
        &in_route(&format!("{FORWARD}\nhosts = [\"${{what}}\"]")),
        "`${what}` is neither `${env:NAME}` nor `${file:PATH}`",
        "${what}",
        "write `$${` for the characters `${` themselves",
    );
}

#[test]
fn never_shows_what_was_filled_in() {
    for text in [
        in_listener("").replace("127.0.0.1:0", "${env:SECRET}"),
        in_listener("timeouts.idle = \"${env:SECRET}\""),
        in_listener("limits.body_size = \"${env:SECRET}\""),
        in_listener("trusted_proxies = [\"${env:SECRET}\"]"),
        in_listener("tls = { certificate = \"${env:SECRET}\", key = \"${env:SECRET}\" }"),
        in_upstream("targets = [\"${env:SECRET}\"]"),
        in_upstream("targets = [\"https://${env:SECRET}/x\"]\ntls.ca = \"${env:SECRET}\""),
        in_upstream(&format!("{TARGETS}\nprotocol = \"${{env:SECRET}}\"")),
        in_plugin("component = \"${env:SECRET}\""),
        in_plugin("component = \"./${env:SECRET}\""),
        in_route("paths = [\"${env:SECRET}\"]\nupstream = \"${env:SECRET}\""),
        in_route(&format!(
            "{FORWARD}\nhosts = [\"${{env:SECRET}}:1\"]\nmethods = [\"{{${{env:SECRET}}\"]"
        )),
        in_route("paths = [\"/\"]\nredirect = { to = \"{${env:SECRET}}\" }"),
        in_route("paths = [\"/\"]\nredirect = { to = \"/{${env:SECRET}}\" }"),
        in_route("paths = [\"/{${env:SECRET}}\", \"/:${env:SECRET}\"]\nredirect.to = \"/{x}\""),
        in_route("paths = [\"/${env:SECRET}\"]\nupstream = \"u\"\nrewrite.strip_prefix = \"/x\"")
            + "methods = [1]",
        in_route("paths = [\"/user\"]\nupstream = \"u\"")
            .replace("name = \"r\"", "name = \"${env:SECRET}\""),
        in_listener("\n[[listeners]]\nname = \"${env:SECRET}\"\naddress = \"127.0.0.1:0\"")
            .replace(":0", ":80"),
        in_route(
            "paths = [\"/${env:SECRET}\"]\nupstream = \"u\"\nrewrite = { path = \"${env:SECRET}\" }",
        ),
    ] {
        let found = check(&text).expect_err(&text);
        let told = format!("{}{:?}", found.render(false), found.to_json());
        assert!(!told.contains("hunter2"), "{text}\n{told}");
        assert!(told.contains("${env:SECRET}"), "{told}");
    }
}
