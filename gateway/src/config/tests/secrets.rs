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

/// A plugin that lists secrets, and the secrets.
fn with_secrets(listed: &str, secrets: &str) -> String {
    let tables =
        format!("[secrets]\n{secrets}\n[plugins.p]\ncomponent = \"lock\"\nsecrets = {listed}");
    file("", TARGETS, &tables, &format!("{FORWARD}\nplugins = [\"p\"]"))
}

#[test]
fn grants_the_secrets_that_a_plugin_lists_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("other"), "a line\n").unwrap();
    let text = with_secrets(
        "[\"other\", \"stripe\"]",
        "stripe = \"sk-${env:SECRET}\"\nother = \"${file:other}\"\nthird = \"${env:PORT}\"",
    );
    let source = Source::new(folder.path().join("gateway.toml"), &text);
    let loaded = read(source, &environment, &KNOWN).unwrap();
    let secrets = loaded.config.plugins[0].secrets.as_ref().unwrap();
    let named: Vec<_> = secrets.iter().map(|it| (&*it.name, &*it.value)).collect();
    assert_eq!(named, [("other", "a line"), ("stripe", "sk-hunter2")]);
    assert!(!format!("{:?}{secrets:?}", loaded.config).contains("hunter2"));
    let warnings: Vec<_> = loaded.warnings.iter().map(|found| &*found.message).collect();
    assert_eq!(warnings, ["no plugin uses the secret `third`"]);
}

#[test]
fn a_plugin_without_the_key_has_no_secrets() {
    let loaded = check(&in_plugin("component = \"lock\"")).unwrap();
    assert_eq!(loaded.config.plugins[0].secrets, None);
    assert_eq!(loaded.config.plugins[0].upstreams, None);
}

#[test]
fn refuses_secrets_that_do_not_exist() {
    refuses(
        &with_secrets("[\"stripe\", \"strip\"]", "stripe = \"${env:SECRET}\""),
        "there is no secret `strip`",
        "\"strip\"",
        "did you mean `stripe`?",
    );
    refuses(
        &in_plugin("component = \"lock\"\nsecrets = [\"token\"]"),
        "there is no secret `token`",
        "\"token\"",
        "add `token = \"${env:VARIABLE}\"` under `[secrets]`",
    );
    // One that cannot be had is there anyway.
    refuses(
        &with_secrets("[\"stripe\"]", "stripe = \"${env:GONE}\""),
        "the environment has no variable `GONE`",
        "${env:GONE}",
        "set it: `export GONE=...`",
    );
}

#[test]
fn refuses_a_secret_in_the_file_itself_without_showing_it() {
    let text = with_secrets("[\"stripe\"]", "stripe = \"sk-live-7\"");
    let found = check(&text).unwrap_err();
    let told = format!("{}{:?}", found.render(false), found.to_json());
    assert!(
        told.contains("the secret `stripe` is written in the file itself\n -->")
            && told.contains("8 | stripe = ***********\n  |          ^^^^^^^^^^^"),
        "{told}"
    );
    assert!(told.contains("write `stripe = \"${env:VARIABLE}\"`"), "{told}");
    assert!(!told.contains("sk-live-7"), "{told}");
}

#[test]
fn refuses_upstreams_that_do_not_exist() {
    refuses(
        &file(
            "",
            &format!("{TARGETS}\n[upstreams.sessions]\n{TARGETS}"),
            "[plugins.p]\ncomponent = \"lock\"\nupstreams = [\"session\", \"sessions\"]",
            &format!("{FORWARD}\nplugins = [\"p\"]"),
        ),
        "there is no upstream `session`",
        "\"session\"",
        "did you mean `sessions`?",
    );
}

#[test]
fn refuses_an_admin_address_that_clients_have() {
    let admin = "[admin]\naddress = \"127.0.0.1:80\"";
    let text = in_route(FORWARD).replace("127.0.0.1:0", "127.0.0.1:80") + admin;
    refuses(&text, "`admin` has the address of the listener `l`", "\"127.0.0.1:80\"", "");
    let missing = in_route(FORWARD) + "[admin]";
    refuses(
        &missing,
        "`[admin]` has no `address`",
        "[admin]",
        "add `address = \"127.0.0.1:9901\"`",
    );
}
