//! What upstreams and operators see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use experiments::Experiments;
use gateway_plugin_sdk::ConfigError;
use gateway_plugin_sdk::testing::{Harness, RequestBuilder, request, response};
use serde_json::{Value, json};

fn harness(config: Value) -> Harness<Experiments> {
    Harness::<Experiments>::prepare().secret("testers", SECRET).configure(config).unwrap()
}

const SECRET: &str = "a secret of thirty-two bytes or so";

fn by(user: usize) -> RequestBuilder {
    request().attribute("consumer.id", format!("user-{user}"))
}

fn two(name: &str) -> Value {
    json!({ "name": name, "variants": [{ "name": "control", "weight": 50 }, { "name": "new", "weight": 50 }] })
}

fn with(mut one: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        one[key] = value.clone();
    }
    one
}

fn variant(harness: &Harness<Experiments>, name: &str, request: RequestBuilder) -> Option<String> {
    harness.request(request).attribute(&format!("experiment.{name}"))
}

#[test]
fn a_variant_sets_headers_attributes_and_the_upstream_and_clients_cannot() {
    let ranking = json!({ "name": "ranking", "header": "x-ranking", "variants": [
        { "name": "control", "weight": 1 },
        { "name": "deep", "weight": 1, "upstream": "v2", "headers": { "x-model": "deep-2" }, "attributes": { "limits.plan": "large" } },
    ]});
    let harness = harness(json!({ "unit": ["consumer.id"], "experiments": [ranking] }));
    let mut counts = BTreeMap::<String, usize>::new();
    for user in 0..400 {
        let exchange =
            harness.request(by(user).header("x-ranking", "deep").header("x-model", "mine"));
        let variant = exchange.attribute("experiment.ranking").unwrap();
        let sent = exchange.request();
        assert_eq!(sent.header("x-ranking"), Some(variant.as_str()));
        let is_deep = variant == "deep";
        assert_eq!(sent.header("x-model"), is_deep.then_some("deep-2"));
        assert_eq!(sent.upstream(), is_deep.then_some("v2"));
        assert_eq!(exchange.attribute("limits.plan").is_some(), is_deep);
        assert_eq!(exchange.reuse(), Some(Duration::from_secs(60)));
        *counts.entry(variant).or_default() += 1;
    }
    assert!((160..240).contains(&counts["deep"]), "{counts:?}");
    // Without a unit nobody takes part, and nothing of the client's arrives.
    let exchange = harness.request(request().header("x-ranking", "deep"));
    assert_eq!(
        (exchange.attribute("experiment.ranking"), exchange.request().header("x-ranking")),
        (None, None)
    );
}

#[test]
fn experiments_of_a_layer_exclude_each_other_and_a_holdout_has_none() {
    let one = with(two("one"), &json!({ "layer": "page", "range": [0, 40] }));
    let other = with(two("other"), &json!({ "layer": "page", "range": [40, 100], "share": 50 }));
    let harness =
        harness(json!({ "holdout": { "share": 10 }, "experiments": [one, other, two("free")] }));
    let (mut ones, mut others, mut held) = (0, 0, 0);
    for user in 0..2000 {
        let exchange = harness.request(by(user));
        let has = |name: &str| exchange.attribute(name).is_some();
        let (one, other, free) =
            (has("experiment.one"), has("experiment.other"), has("experiment.free"));
        assert!(!(one && other));
        assert_eq!(free, !has("experiment-holdout"));
        assert!(free || !(one || other));
        ones += usize::from(one);
        others += usize::from(other);
        held += usize::from(!free);
    }
    assert!(
        (150..250).contains(&held) && (640..800).contains(&ones) && (470..610).contains(&others),
        "{held} {ones} {others}"
    );
}

#[test]
fn one_attribute_has_all_variants() {
    let named = |text: &str, harness: &Harness<Experiments>, request: RequestBuilder| {
        let exchange = harness.request(request);
        assert_eq!(
            exchange.attribute("experiment-variants"),
            Some(text.to_owned()).filter(|it| !it.is_empty())
        );
    };
    let overrides = json!({ "overrides": { "u": "new" } });
    let off = with(two("off"), &json!({ "enabled": false }));
    let few = harness(
        json!({ "unit": ["header:x-u"], "experiments": [with(two("one"), &overrides), off, with(two("two"), &overrides)] }),
    );
    let user = || request().header("x-u", "u");
    named("one:new two:new ", &few, user());
    named("before:a one:new two:new ", &few, user().attribute("experiment-variants", "before:a "));
    named("", &few, request());
    // Many become a text of one length, which is another one for other variants.
    let long = |variant: &str| {
        let all: Vec<_> = (0..100)
            .map(|it| {
                with(
                    two(&format!("an-experiment-with-a-name-{it}")),
                    &json!({ "overrides": { "u": variant } }),
                )
            })
            .collect();
        let many = harness(json!({ "unit": ["header:x-u"], "experiments": all }));
        let exchange = many.request(user());
        exchange.attribute("experiment-variants").unwrap().to_owned()
    };
    assert_eq!((long("control").len(), long("new").len()), (65, 65));
    assert_ne!(long("control"), long("new"));
}

#[test]
fn an_audience_takes_part_while_the_schedule_says_so() {
    let audience = "consumer.claims.plan == 'pro' && client.address in cidr('10.0.0.0/8') && request.headers['x-app'].startsWith('2.')";
    let experiment = with(
        two("e"),
        &json!({ "audience": audience, "from": "2026-03-01T00:00:00Z", "to": "2026-03-11T00:00:00+00:00", "ramp": "2d" }),
    );
    let harness = harness(json!({ "experiments": [experiment] }));
    let pro = |user| {
        by(user)
            .attribute("consumer.claim.plan", "pro")
            .attribute("client.address", "10.1.2.3")
            .header("x-app", "2.1")
    };
    let share = |day: f64| {
        harness.set_time(Duration::from_secs_f64(1_772_323_200.0 + day * 86_400.0));
        (0..500).filter(|user| variant(&harness, "e", pro(*user)).is_some()).count()
    };
    let [before, begun, half, full, last, over] = [-0.01, 0.0, 1.0, 2.0, 9.9, 10.0].map(share);
    assert_eq!([before, begun, full, last, over], [0, 0, 500, 500, 0]);
    assert!((200..300).contains(&half), "{half}");
    harness.set_time(Duration::from_secs(1_772_323_200 + 5 * 86_400));
    assert!(variant(&harness, "e", pro(1)).is_some());
    assert!(variant(&harness, "e", pro(1).attribute("client.address", "192.0.2.1")).is_none());
    assert!(variant(&harness, "e", by(1)).is_none(), "no claim, no part");
    assert_eq!(harness.request(pro(1)).reuse(), Some(Duration::from_secs(1)));
}

/// As the manual tells testers to: `openssl dgst -sha256 -hmac SECRET`.
fn signed(text: &str, secret: &str) -> String {
    use std::io::Write as _;
    let mut command = std::process::Command::new("openssl");
    command
        .args(["dgst", "-sha256", "-hmac", secret])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    format!("{text}:{}", output.trim().rsplit(' ').next().unwrap())
}

#[test]
fn testers_have_overrides_and_signed_variants_and_nobody_else_has() {
    let experiment = with(two("e"), &json!({ "share": 0, "overrides": { "user-7": "new" } }));
    let force = json!({ "secret": "testers", "header": "x-force", "cookie": "force" });
    let harness = harness(json!({ "force": force, "exposures": {}, "experiments": [experiment] }));
    assert_eq!(variant(&harness, "e", by(7)).as_deref(), Some("new"));
    assert_eq!(variant(&harness, "e", by(8)), None);
    // The test's clock begins with 2026.
    let good = signed("e:control:1800000000", SECRET);
    let exchange = harness.request(by(8).header("x-force", good.as_str()));
    assert_eq!(exchange.attribute("experiment.e").as_deref(), Some("control"));
    assert_eq!(exchange.request().header("x-force"), None);
    let cookie = format!("a=b; force={}", signed("e:new:1800000000", SECRET));
    assert_eq!(variant(&harness, "e", request().header("cookie", cookie)).as_deref(), Some("new"));
    for wrong in [
        signed("e:control:1800000000", "another secret of thirty-two bytes"),
        signed("e:control:1700000000", SECRET),
        signed("e:nothing:1800000000", SECRET),
        signed("e:control:1800000000:x", SECRET),
        good.replace("control", "new"),
        good[..good.len() - 2].to_owned(),
        "e:control:1800000000:".to_owned(),
        "e".to_owned(),
    ] {
        assert_eq!(
            variant(&harness, "e", by(8).header("x-force", wrong.as_str())),
            None,
            "{wrong}"
        );
    }
    let labels = [("experiment", "e"), ("variant", "new")];
    assert_eq!(harness.counter("experiment_exposures_total", &labels), 0, "testers tell nothing");
}

#[test]
fn each_unit_is_noted_once_in_a_window_and_what_becomes_of_it_is_counted() {
    let harness = harness(
        json!({ "exposures": { "window": "1h", "log": true, "usage": true }, "experiments": [two("page-2")] }),
    );
    for _ in 0..2 {
        for user in 0..100 {
            harness.request(by(user)).complete();
        }
    }
    let of = |variant: &str| {
        harness.counter(
            "experiment_exposures_total",
            &[("experiment", "page-2"), ("variant", variant)],
        )
    };
    let (control, new) = (of("control"), of("new"));
    assert_eq!(control + new, 100);
    assert_eq!(harness.usage("exposed_page_2_new"), i64::try_from(new).unwrap());
    let lines = harness.log();
    let events: Vec<Value> =
        lines.iter().filter_map(|it| serde_json::from_str(&it.message).ok()).collect();
    assert_eq!(events.len(), 100);
    assert_eq!(
        (&events[0]["event"], &events[0]["experiment"]),
        (&json!("exposure"), &json!("page-2"))
    );
    assert!(!lines.iter().any(|it| it.message.contains("user-")), "units are not named");
    let probability =
        harness.gauge("experiment_sample_ratio_p_value", &[("experiment", "page-2")]).unwrap();
    assert!(probability > 0.001, "{probability}");
    let durations = harness.observations(
        "experiment_request_duration_seconds",
        &[("experiment", "page-2"), ("variant", "new")],
    );
    assert_eq!(durations.len() as u64, 2 * new);
    let squares = harness.observations(
        "experiment_request_duration_squared_seconds",
        &[("experiment", "page-2"), ("variant", "new")],
    );
    assert_eq!(squares.len(), durations.len());
    assert!(squares.iter().zip(&durations).all(|(square, one)| (square - one * one).abs() < 1e-9));
    let units = |variant: &str| {
        harness.gauge("experiment_units", &[("experiment", "page-2"), ("variant", variant)])
    };
    assert_eq!((units("control"), units("new")), (Some(control as f64), Some(new as f64)));
    harness.set_time(Duration::from_secs(1_900_000_000));
    harness.advance(Duration::from_secs(3600));
    harness.request(by(1));
    assert_eq!(of("control") + of("new"), 101);
}

#[test]
fn a_configuration_that_is_wrong_is_refused_with_all_that_is_wrong() {
    let none = json!({ "name": "none", "variants": [{ "name": "a", "weight": 0 }, { "name": "b", "weight": 0 }] });
    let config = json!({
        "unit": ["heder:x"],
        "force": { "secret": "nobody", "header": "x" },
        "exposures": { "window": "1" },
        "holdout": { "share": 101 },
        "experiments": [
            none,
            with(two("a b"), &json!({ "overrides": { "ada": "nwe" } })),
            with(two("one"), &json!({ "layer": "l", "range": [0, 50], "audience": "consumer.idd == 'x'" })),
            with(two("one"), &json!({ "share": 200 })),
        ],
    });
    let error = Harness::<Experiments>::new(config).err().unwrap();
    let pointers: Vec<_> = error.issues().iter().map(|it| it.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/unit/0",
            "/force/secret",
            "/exposures/window",
            "/holdout/share",
            "/experiments/0/variants",
            "/experiments/1/name",
            "/experiments/1/overrides",
            "/experiments/2/audience",
            "/experiments/3/share"
        ]
    );
    let issue = &error.issues()[6];
    assert_eq!(issue.message, "\"ada\": there is no variant \"nwe\"");
    assert_eq!(issue.help.as_deref(), Some("write one of `control`, `new`"));
    assert_eq!(error.issues()[4].message, "the weights sum to 0: nobody would have a variant");
    each_says_what_to_do(&error);
    let overlap = json!({ "experiments": [
        with(two("one"), &json!({ "layer": "l", "range": [0, 50] })),
        with(two("two"), &json!({ "layer": "l", "range": [40, 60] })),
        with(two("three"), &json!({ "from": "2026-13-01", "ramp": "1d" })),
        with(two("four"), &json!({ "from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z" })),
    ]});
    let error = Harness::<Experiments>::new(overlap).err().unwrap();
    let told: Vec<_> =
        error.issues().iter().map(|it| (it.pointer.as_str(), it.message.as_str())).collect();
    assert_eq!(
        told[0],
        ("/experiments/1/range", "it overlaps with `one`, which has 0 to 50 of the layer")
    );
    assert_eq!((told[1].0, told[2].0), ("/experiments/2/from", "/experiments/3/to"));
    let help = error.issues()[0].help.as_deref();
    assert_eq!(help, Some("50 to 100 is free: write `range = [50, 100]`"));
    each_says_what_to_do(&error);
}

fn each_says_what_to_do(error: &ConfigError) {
    for issue in error.issues() {
        assert!(issue.help.as_ref().is_some_and(|help| !help.is_empty()), "{issue:?}");
    }
}

/// One fault each: where it is told, and what of the help has to be there.
#[test]
fn each_refusal_says_what_to_write_instead() {
    let one = |more: Value| json!({ "experiments": [with(two("one"), &more)] });
    let weights = |weights: [f64; 2]| {
        let [a, b] = weights.map(|weight| json!(weight));
        one(json!({ "variants": [{ "name": "a", "weight": a }, { "name": "b", "weight": b }] }))
    };
    let variant = |more: Value| {
        let first = with(json!({ "name": "a", "weight": 1 }), &more);
        one(json!({ "variants": [first] }))
    };
    let beside = |more: Value| with(one(json!({})), &more);
    let cases = [
        (json!({ "experiments": [] }), "/experiments", "add one"),
        (weights([0.0, 0.0]), "/experiments/0/variants", "weight = 50"),
        (weights([1.0, -1.0]), "/experiments/0/variants/1/weight", "weight = 0"),
        (one(json!({ "variants": [] })), "/experiments/0/variants", "variants = ["),
        (one(json!({ "name": "new checkout" })), "/experiments/0/name", "`new-checkout`"),
        (variant(json!({ "name": "" })), "/experiments/0/variants/0/name", "such as"),
        (
            variant(json!({ "headers": { "x": "a\nb" } })),
            "/experiments/0/variants/0/headers/x",
            "one line",
        ),
        (
            variant(json!({ "attributes": { "route.name": "x" } })),
            "/experiments/0/variants/0/attributes",
            "of your own",
        ),
        (one(json!({ "layer": "l" })), "/experiments/0/layer", "range = [0, 50]"),
        (one(json!({ "range": [0, 50] })), "/experiments/0/range", "layer = "),
        (one(json!({ "layer": "l", "range": [50, 50] })), "/experiments/0/range", "range = [0"),
        (one(json!({ "from": "tomorrow" })), "/experiments/0/from", "RFC 3339"),
        (one(json!({ "ramp": "1d" })), "/experiments/0/ramp", "from = "),
        (
            one(json!({ "from": "2026-03-01T08:00:00Z", "ramp": "1" })),
            "/experiments/0/ramp",
            "\"7d\"",
        ),
        (one(json!({ "audience": "consumer.id ==" })), "/experiments/0/audience", "CEL"),
        (
            one(json!({ "guardrail": { "control": "old", "errors": 1 } })),
            "/experiments/0/guardrail/control",
            "`control`, `new`",
        ),
        (
            one(json!({ "guardrail": { "control": "control" } })),
            "/experiments/0/guardrail",
            "errors = 1",
        ),
        (
            one(json!({ "guardrail": { "control": "control", "slow": 5 } })),
            "/experiments/0/guardrail/slow",
            "slower_than",
        ),
        (
            one(json!({ "guardrail": { "control": "control", "errors": 101 } })),
            "/experiments/0/guardrail/errors",
            "1 percent",
        ),
        (beside(json!({ "unit": ["header:"] })), "/unit/0", "header:NAME"),
        (beside(json!({ "holdout": { "share": -1 } })), "/holdout/share", "share = 5"),
        (beside(json!({ "exposures": { "window": "91d" } })), "/exposures/window", "1d"),
        (beside(json!({ "exposures": { "sink": "e" } })), "/exposures/sink", "events = [\"e\"]"),
        (beside(json!({ "force": { "secret": "s" } })), "/force", "cookie = "),
        (
            beside(json!({ "force": { "secret": "s", "header": "x" } })),
            "/force/secret",
            "secrets = [\"s\"]",
        ),
    ];
    for (config, pointer, help) in cases {
        let error = Harness::<Experiments>::new(config).err().expect(pointer);
        let issue = &error.issues()[0];
        assert_eq!(issue.pointer, pointer, "{error}");
        let told = issue.help.as_deref().unwrap_or_default();
        assert!(told.contains(help), "{pointer}: {told}");
    }
}

#[test]
fn a_variant_that_fails_is_taken_out_and_its_units_have_the_others() {
    let rail = json!({ "control": "control", "errors": 1.0, "slow": 50, "slower_than": "1s" });
    let config = json!({ "experiments": [with(two("e"), &json!({ "guardrail": rail }))] });
    let harness = harness(config);
    let mut before = None;
    for user in 0..3000 {
        let mut exchange = harness.request(by(user));
        let is_new = exchange.attribute("experiment.e").unwrap() == "new";
        let status = if is_new && user % 5 == 0 { 503 } else { 200 };
        exchange.response(response().status(status));
        exchange.complete();
        if is_new {
            before = Some(user);
        }
        harness.advance(Duration::from_millis(10));
    }
    let last = before.unwrap();
    assert!((200..2000).contains(&last), "{last}");
    let told = harness.log();
    let line = told.iter().find(|it| it.message.contains("is taken out")).unwrap();
    assert!(
        line.message.starts_with("experiment `e`: variant `new` is taken out: errors in "),
        "{}",
        line.message
    );
    assert_eq!(
        harness.gauge("experiment_variant_out", &[("experiment", "e"), ("variant", "new")]),
        Some(1.0)
    );
    for (rail, pointer) in [
        (json!({ "control": "c", "errors": 1 }), "/experiments/0/guardrail/control"),
        (json!({ "control": "control" }), "/experiments/0/guardrail"),
        (json!({ "control": "control", "slow": 5 }), "/experiments/0/guardrail/slow"),
    ] {
        let wrong = json!({ "experiments": [with(two("e"), &json!({ "guardrail": rail }))] });
        assert_eq!(Harness::<Experiments>::new(wrong).err().unwrap().issues()[0].pointer, pointer);
    }
}

#[test]
fn exposures_are_events_of_a_sink_that_was_granted() {
    let config = json!({ "exposures": { "sink": "warehouse" }, "experiments": [two("page")] });
    let error = Harness::<Experiments>::new(config.clone()).err().unwrap();
    assert_eq!(error.issues()[0].pointer, "/exposures/sink");
    let harness =
        Harness::<Experiments>::prepare().sink("warehouse").configure(config.clone()).unwrap();
    for _ in 0..2 {
        for user in 0..20 {
            harness.request(by(user));
        }
    }
    let events: Vec<Value> =
        harness.events("warehouse").iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(events.len(), 20, "each unit once");
    let ids: std::collections::BTreeSet<_> =
        events.iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 20);
    assert_eq!(
        (&events[0]["event"], &events[0]["experiment"]),
        (&json!("exposure"), &json!("page"))
    );
    assert!(events.iter().all(|it| it["unit_name"].is_null()), "units are not named");
    let named = with(config["exposures"].clone(), &json!({ "unit_names": true }));
    let config = with(config, &json!({ "exposures": named }));
    let harness = Harness::<Experiments>::prepare().sink("warehouse").configure(config).unwrap();
    harness.request(by(7));
    let event: Value = serde_json::from_str(&harness.events("warehouse")[0]).unwrap();
    assert_eq!(event["unit_name"], "user-7");
}
