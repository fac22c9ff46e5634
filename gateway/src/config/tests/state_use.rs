//! Limits that nobody has as they are written, and stores that do not do what they seem to.

use super::{TARGETS, environment, file};
use crate::config::{Known, Source, read};

const KNOWN: Known<'_> =
    Known { built_in: &["auth", "http-signature", "models", "oidc", "rate-limit"] };

const STORE: &str = "[stores.shared]\nredis = \"redis://127.0.0.1:6379\"\n";

/// What is warned of, with what is under the caret, and the advice.
fn warnings(tables: &str, path: &str, plugins: &str) -> Vec<(String, String, String)> {
    let route = format!("paths = [\"{path}\"]\nupstream = \"u\"\nplugins = {plugins}");
    let text =
        file("", TARGETS, &format!("{STORE}[plugins.a]\ncomponent = \"auth\"\n{tables}"), &route);
    let found = match read(Source::new("gateway.toml", &text), &environment, &KNOWN) {
        Ok(loaded) => loaded.warnings,
        Err(diagnostics) => panic!("{diagnostics}"),
    };
    let source = found.source();
    let under = |span: &crate::config::Span| source.text()[source.on_first_line(span)].to_owned();
    let told = found.iter().map(|it| {
        let under = it.span.as_ref().map(under).unwrap_or_default();
        (it.message.clone(), under, it.help.join("; "))
    });
    told.filter(|(message, ..)| !message.contains(" uses the ")).collect()
}

fn limit(uses: &str, policy: &str) -> String {
    format!(
        "[plugins.l]\ncomponent = \"rate-limit\"\n{uses}\n\
         config.policies = [{{ name = \"p\", window = \"1m\", {policy} }}]\n"
    )
}

#[test]
fn warns_of_a_lease_that_does_nothing_or_less_than_it_says() {
    let lease = "limiter = { store = \"shared\", lease = 50 }";
    for (policy, message, under) in [
        ("limit = 9", "`lease = 50` does nothing for a limit below 10", "9"),
        ("limit = 100", "of `lease = 50` only 10 are taken at once", "100"),
        ("limit = 1000, burst = 20", "of `lease = 50` only 2 are taken at once", "20"),
        (
            "limit = 1000, algorithm = \"fixed\"",
            "`lease = 50` does nothing: beside a window that is no bucket each check asks the store",
            "\"fixed\"",
        ),
        (
            "limit = 1000, settle = { response_header = \"x\" }",
            "`lease = 50` does nothing: beside a cost that is settled each check asks the store",
            "{ response_header = \"x\" }",
        ),
    ] {
        let found = warnings(&limit(lease, policy), "/x", "[\"a\", \"l\"]");
        let found: Vec<_> =
            found.iter().map(|(message, under, _)| (&**message, &**under)).collect();
        assert_eq!(found, [(message, under)], "{policy}");
    }
    let calendar = limit(lease, "limit = 1000").replace("1m", "month");
    assert!(warnings(&calendar, "/x", "[\"l\"]")[0].0.contains("a window of the calendar"));
    assert_eq!(warnings(&limit(lease, "limit = 500"), "/x", "[\"a\", \"l\"]"), []);
    assert_eq!(warnings(&limit("", "limit = 5"), "/x", "[\"a\", \"l\"]"), []);
}

#[test]
fn warns_of_attributes_that_nothing_sets() {
    for (policy, message, under, help) in [
        (
            "limit = 9, key = [\"consmer.id\"]",
            "nothing on the route `r` sets the attribute `consmer.id`",
            "\"consmer.id\"",
            "did you mean `consumer.id`?",
        ),
        (
            "limit = 9, key = [\"client.address\", \"capture.tenant\"]",
            "the route `r` has no path with the capture `capture.tenant`",
            "\"capture.tenant\"",
            "write a path with `{tenant}`, or another attribute",
        ),
        (
            "limit = 9, key = [\"capture.oder\"]",
            "the route `r` has no path with the capture `capture.oder`",
            "\"capture.oder\"",
            "did you mean `capture.order`?",
        ),
        (
            "limit = 9, settle = { attribute = \"model.tokens.total\" }",
            "nothing on the route `r` sets the attribute `model.tokens.total`",
            "\"model.tokens.total\"",
            "put the plugin that sets it before this one in `plugins`",
        ),
    ] {
        let expected = (message.to_owned(), under.to_owned(), help.to_owned());
        assert_eq!(warnings(&limit("", policy), "/x/{order}", "[\"a\", \"l\"]"), [expected]);
    }
    let known = "limit = 9, key = [\"consumer.id\", \"claim:team\", \"header:x\", \"json:/a\", \
                 \"capture.order\", \"route.name\"]";
    assert_eq!(warnings(&limit("", known), "/x/{order}", "[\"a\", \"l\"]"), []);
    let found = warnings(&limit("", "limit = 9, key = [\"consumer.id\"]"), "/x", "[\"l\"]");
    assert!(found[0].0.contains("sets the attribute `consumer.id`"), "{found:?}");
}

#[test]
fn warns_of_models_for_whom_nothing_says_that_they_are_there() {
    let models = |config: &str| format!("[plugins.m]\ncomponent = \"models\"\n{config}\n");
    let route = "nothing on the route `r` sets the attribute";
    for (config, attribute, under) in [
        ("config.model_attribute = \"experiment.x\"", "experiment.x", "\"experiment.x\""),
        ("config.region_attribute = \"tenant.regions\"", "tenant.regions", "\"tenant.regions\""),
        ("config.consumer_attributes = [\"consumer.id\", \"team\"]", "team", "\"team\""),
        ("config.groups.g.attributes = { plan = [\"pro\"] }", "plan", "plan"),
        ("config.models.x.affinity = \"attribute:user\"", "user", "\"attribute:user\""),
    ] {
        let found = warnings(&models(config), "/x", "[\"a\", \"m\"]");
        let [(message, place, _)] = &found[..] else { panic!("{config}: {found:?}") };
        assert!(
            message.starts_with(route) && message.contains(&format!("`{attribute}`")),
            "{message}"
        );
        assert_eq!(place, under, "{config}");
    }
    // Who a consumer is, is known behind `auth` alone.
    for table in ["groups", "models"] {
        let allowed = models(&format!("config.{table}.g.consumers = [\"team-a\"]"));
        assert_eq!(warnings(&allowed, "/x", "[\"a\", \"m\"]"), []);
        let found = warnings(&allowed, "/x", "[\"m\", \"a\"]");
        assert!(found[0].0.contains("`consumer.id`"), "{found:?}");
        assert_eq!(found[0].1, "[\"team-a\"]");
    }
}

#[test]
fn warns_of_replay_protection_that_each_gateway_has_to_itself() {
    let plugin = |component: &str, uses: &str| {
        format!(
            "[plugins.s]\ncomponent = \"{component}\"\nkey_value = {{ store = \"shared\"{uses} }}\n"
        )
    };
    for (component, what) in [
        ("http-signature", "a signed request that was admitted is admitted again"),
        ("oidc", "a session that was ended is accepted again"),
    ] {
        let found = warnings(&plugin(component, ""), "/x", "[\"s\"]");
        assert!(found.len() == 1 && found[0].0.contains(what), "{found:?}");
        assert!(found[0].2.contains("on_store_error = \"closed\""), "{found:?}");
        assert_eq!(
            warnings(&plugin(component, ", on_store_error = \"closed\""), "/x", "[\"s\"]"),
            []
        );
    }
    let off = plugin("http-signature", "") + "config.once = false\n";
    assert_eq!(warnings(&off, "/x", "[\"s\"]"), []);
    assert_eq!(warnings(&plugin("models", ""), "/x", "[\"s\"]"), []);
}
