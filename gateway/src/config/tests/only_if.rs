//! `only_if` of plugins: conditions that cannot be met, and those that nobody meets.

use super::{FORWARD, TARGETS, environment, file};
use crate::config::{Known, Severity, Source, read};

const KNOWN: Known<'_> =
    Known { built_in: &["auth", "experiments", "flags", "rate-limit", "transform"] };

const EXPERIMENTS: &str = "[plugins.e]\ncomponent = \"experiments\"\n\
    config.experiments = [{ name = \"v\", variants = [{ name = \"on\" }, { name = \"off\" }] }]\n";

type Finding = (Severity, String, String, String);

fn findings(text: &str) -> Vec<Finding> {
    let found = match read(Source::new("gateway.toml", text), &environment, &KNOWN) {
        Ok(loaded) => loaded.warnings,
        Err(diagnostics) => diagnostics,
    };
    let source = found.source();
    let under = |span: &crate::config::Span| source.text()[source.on_first_line(span)].to_owned();
    let told = found.iter().map(|it| {
        let under = it.span.as_ref().map(under).unwrap_or_default();
        (it.severity, it.message.clone(), under, it.help.join("; "))
    });
    told.collect()
}

/// A plugin `p` with this `only_if`, on a route with these plugins.
fn with(component: &str, only_if: &str, plugins: &str) -> String {
    let own = format!("[plugins.p]\ncomponent = \"{component}\"\nonly_if = {only_if}\n");
    file("", TARGETS, &format!("{EXPERIMENTS}{own}"), &format!("{FORWARD}\nplugins = {plugins}"))
}

#[track_caller]
fn tells(text: &str, severity: Severity, message: &str, under: &str, help: &str) {
    let expected = (severity, message.to_owned(), under.to_owned(), help.to_owned());
    assert_eq!(findings(text), [expected], "{text}");
}

#[test]
fn refuses_conditions_that_no_request_can_meet() {
    for (only_if, message, under, help) in [
        (
            "{}",
            "`only_if` is empty",
            "{}",
            "leave it out where every request shall pass the plugin, or name an attribute with its value",
        ),
        (
            "{ \"\" = \"on\" }",
            "an attribute of `only_if` has no name",
            "\"",
            "write its name, such as `consumer.group`",
        ),
        (
            "{ \"experiment.v\" = \"\" }",
            "`experiment.v` has no value that it must have",
            "\"\"",
            "write the value, such as `\"experiment.v\" = \"VALUE\"`",
        ),
        (
            "{ \"route.variant\" = \"on\" }",
            "no request has this attribute before it is sent on",
            "route.variant",
            "the variant of a `split` is chosen after the plugins: use an experiment, or `rewrite` of the variant",
        ),
        (
            "{ \"client.adress\" = \"::1\" }",
            "no request has this attribute before it is sent on",
            "client.adress",
            "did you mean `client.address`?",
        ),
        (
            "{ \"client.certificate.subjct\" = \"x\" }",
            "nothing of a certificate has this name",
            "client.certificate.subjct",
            "did you mean `client.certificate.subject`?",
        ),
        (
            "{ \"experiment.v\" = true }",
            "`experiment.v` must be a string, but this is a boolean",
            "true",
            "write `\"true\"`",
        ),
        (
            "{ experiment.v = \"on\" }",
            "`experiment` must be a string, but this is a table",
            "experiment",
            "a name with dots stands in quotes: `\"a.b\" = \"...\"`",
        ),
    ] {
        let text = with("transform", only_if, "[\"e\", \"p\"]");
        tells(&text, Severity::Error, message, under, help);
    }
}

#[test]
fn warns_of_conditions_that_no_request_meets() {
    let order = "[\"e\", \"p\"]";
    let nobody = |attribute: &str| {
        format!("no plugin before this one on the route `r` sets the attribute `{attribute}`")
    };
    let front = "put the plugin that sets it before this one in `plugins`";
    for (only_if, plugins, message, under, help) in [
        (
            "{ \"experiment.v\" = \"On\" }",
            order,
            "the experiment `v` has no variant `On`".to_owned(),
            "\"On\"",
            "did you mean `on`?",
        ),
        (
            "{ \"experiment.v\" = \"green\" }",
            order,
            "the experiment `v` has no variant `green`".to_owned(),
            "\"green\"",
            "there are `on`, `off`",
        ),
        (
            "{ \"experiment.V\" = \"on\" }",
            order,
            nobody("experiment.V"),
            "\"experiment.V\"",
            "did you mean `experiment.v`?",
        ),
        ("{ \"consumer.id\" = \"ada\" }", order, nobody("consumer.id"), "\"consumer.id\"", front),
        (
            "{ \"experiment.v\" = \"on\" }",
            "[\"p\", \"e\"]",
            nobody("experiment.v"),
            "\"experiment.v\"",
            "put it behind `e` in `plugins`",
        ),
        ("{ \"capture.nope\" = \"x\" }", order, nobody("capture.nope"), "\"capture.nope\"", front),
        (
            "{ \"request.scheme\" = \"htps\" }",
            order,
            "`request.scheme` is never `htps`".to_owned(),
            "\"htps\"",
            "did you mean `https`?",
        ),
        (
            "{ \"listener.name\" = \"public\" }",
            order,
            "`listener.name` is never `public`".to_owned(),
            "\"public\"",
            "there are `l`",
        ),
    ] {
        let text = with("transform", only_if, plugins);
        tells(&text, Severity::Warning, &message, under, help);
    }
    for only_if in [
        "{ \"experiment.v\" = \"on\" }",
        "{ \"capture.rest\" = \"a\" }",
        "{ \"listener.name\" = \"l\", \"request.has-body\" = \"true\" }",
        "{ \"client.address\" = \"::1\" }",
    ] {
        assert_eq!(findings(&with("transform", only_if, order)), [], "{only_if}");
    }
}

#[test]
fn knows_what_the_plugins_before_it_set() {
    let text = with("transform", "{ \"consumer.id\" = \"ada\" }", "[\"keys\", \"e\", \"p\"]");
    let keys = |component: &str| {
        text.replace("[[routes]]", &format!("[plugins.keys]\n{component}\n[[routes]]"))
    };
    assert_eq!(findings(&keys("component = \"auth\"")), []);
    let claim = keys("component = \"auth\"").replace("\"consumer.id\"", "\"consumer.claim.plan\"");
    assert_eq!(findings(&claim), []);
    let near = keys("component = \"auth\"").replace("\"consumer.id\"", "\"consumer.idd\"");
    let found = findings(&near);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].3, "did you mean `consumer.id`?");
    // The configuration names it.
    let flags = keys("component = \"flags\"\nconfig.set = [{ attribute = \"tier\" }]");
    assert_eq!(findings(&flags.replace("\"consumer.id\"", "\"tier\"")), []);
    assert_eq!(findings(&flags).len(), 1);
}

#[test]
fn warns_of_a_plugin_that_protects_some_requests_alone() {
    for component in ["auth", "rate-limit"] {
        let text = with(component, "{ \"experiment.v\" = \"on\" }", "[\"e\", \"p\"]");
        let message = format!(
            "on the route `r` whoever has another value, or none, passes without `{component}`"
        );
        let help =
            format!("give the route a `{component}` without `only_if` too, for all requests");
        tells(&text, Severity::Warning, &message, "\"experiment.v\"", &help);
        let all = format!("[\"e\", {{ component = \"{component}\" }}, \"p\"]");
        let text = text.replace("[\"e\", \"p\"]", &all);
        assert_eq!(findings(&text), [], "{text}");
    }
}
