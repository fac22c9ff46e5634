//! `experiments` in running gateways: the example, on two of them and after a restart.

use std::collections::BTreeMap;

use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Upstream, log};
use http::Response;

use crate::example::file::Example;

/// A service that answers with its name and the fields that experiments set.
async fn service(name: &'static str) -> Upstream {
    let answer = move |request: http::Request<_>| async move {
        let field = |name: &str| {
            request.headers().get(name).map_or("-", |it| it.to_str().unwrap()).to_owned()
        };
        Response::new(full(format!("{name} {} {}", field("x-variant"), field("x-page-size"))))
    };
    Upstream::http1(answer).await
}

async fn ask(gateway: &Running, user: &str) -> String {
    // What a client says of its variant does not count.
    let fields = [("x-user", user), ("x-plan", "pro"), ("x-variant", "next"), ("x-page-size", "1")];
    let answer = Http1::connect(gateway.address).await.send(request("GET", "/", &fields, "")).await;
    assert_eq!(answer.status(), 200);
    answer.text().to_owned()
}

#[tokio::test]
async fn a_unit_has_the_same_variants_on_each_gateway_and_after_a_restart() {
    log::listen();
    let upstreams = [service("v1").await, service("v2").await];
    let start = || {
        let example = Example::read("experiments.toml");
        let example = example.at(9001, upstreams[0].address).at(9002, upstreams[1].address);
        example.on_a_free_port().start()
    };
    let (one, other, third) = (start(), start(), start());
    let mut seen = BTreeMap::<String, usize>::new();
    let mut had = Vec::new();
    for user in 0..120 {
        let user = format!("user-{user}");
        let answer = ask(&one, &user).await;
        assert_eq!(ask(&other, &user).await, answer);
        assert_eq!(ask(&third, &user).await, answer);
        *seen.entry(answer.clone()).or_default() += 1;
        had.push((user, answer));
    }
    let kinds: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["v1 - -", "v1 - 100", "v1 - 20", "v1 control -", "v2 next -"], "{seen:?}");
    assert!(seen.values().skip(1).all(|count| (12..=48).contains(count)), "{seen:?}");
    assert_eq!(ask(&one, "tester").await.split(' ').next(), Some("v2"));
    // Each unit was noted once, though it came again.
    ask(&one, "user-1").await;
    let admin = one.admin.expect("the example has an `[admin]`");
    let metrics = Http1::admin(admin, "/metrics").await;
    let exposed = |variant: &str| {
        let mut lines = metrics.text().lines();
        let line = lines
            .find(|it| it.starts_with("plugin_experiment_exposures_total") && it.contains(variant));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).unwrap_or_default()
    };
    assert_eq!(exposed("\"next\""), seen["v2 next -"]);
    assert_eq!(exposed("\"long\"") + exposed("\"short\""), seen["v1 - 100"] + seen["v1 - 20"]);
    assert!(metrics.text().contains("plugin_experiment_requests_total{"));
    let events = log::lines(|line| {
        line.message.contains("\"event\":\"exposure\"") && line.message.contains("\"version\"")
    });
    assert_eq!(events.len(), 3 * (seen["v2 next -"] + seen["v1 control -"]), "of each gateway");
    drop((one, other, third));
    let again = start();
    for (user, answer) in had.iter().take(20) {
        assert_eq!(ask(&again, user).await, *answer);
    }
}

#[tokio::test]
async fn a_version_that_fails_goes_back_to_nobody() {
    log::listen();
    let old = service("v1").await;
    let new =
        Upstream::http1(|_| async { Response::builder().status(503).body(full("")).unwrap() })
            .await;
    let example = Example::read("experiments.toml").at(9001, old.address).at(9002, new.address);
    // The log is one for all tests, and another one counts its lines.
    let gateway = example.with("log = true", "log = false").on_a_free_port().start();
    let mut client = Http1::connect(gateway.address).await;
    let (mut failed, mut asked) = (0, 0);
    let told = |line: &log::Line| line.message.contains("variant `next` is taken out: errors in ");
    while log::lines(told).is_empty() {
        asked += 1;
        assert!(asked < 4_000, "it fails all the time: {failed}");
        let user = format!("user-{asked}");
        let fields = [("x-user", user.as_str()), ("x-plan", "pro")];
        failed += usize::from(client.send(request("GET", "/", &fields, "")).await.status() == 503);
    }
    assert!(failed >= 100, "{failed}");
    // Each instance knows within a second.
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    for user in 0..60 {
        assert_ne!(ask(&gateway, &format!("other-{user}")).await.split(' ').next(), Some("v2"));
    }
}

#[tokio::test]
async fn a_variant_changes_settings_of_plugins_and_the_path() {
    let service = Upstream::http1(|request: http::Request<_>| async move {
        let api = request.headers().get("x-api").map_or("-", |it| it.to_str().unwrap());
        Response::new(full(format!("{} {api}", request.uri().path())))
    })
    .await;
    let example = Example::read("variant-settings.toml").at(9001, service.address);
    let gateway = example.on_a_free_port().start();
    let asked = async |user: &str, path: &str| {
        let fields = [("x-user", user)];
        let mut client = Http1::connect(gateway.address).await;
        let answer = client.send(request("GET", path, &fields, "")).await;
        (answer.status(), answer.text().to_owned())
    };
    for (user, limit, shown) in [("ada", 2, "/items/7 -"), ("bob", 5, "/next/items/7 next")] {
        for _ in 0..limit {
            assert_eq!(asked(user, "/items/7").await, (200, shown.to_owned()), "{user}");
        }
        assert_eq!(asked(user, "/items/7").await.0, 429, "{user}");
    }
    let mut seen = BTreeMap::<String, usize>::new();
    for user in 0..40 {
        let (status, path) = asked(&format!("user-{user}"), "/orders/3").await;
        assert_eq!((status, &path), (200, &asked(&format!("user-{user}"), "/orders/3").await.1));
        *seen.entry(path).or_default() += 1;
    }
    let paths: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(paths, ["/v1/orders/3 -", "/v2/orders/3 -"], "{seen:?}");
    assert!(seen.values().all(|count| *count > 8), "{seen:?}");
}
