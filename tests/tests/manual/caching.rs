//! The plugin `cache` through a running gateway, as `examples/cache.toml` has it, in front of servers that follow a
//! script.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::example::file::Example;
use gateway::config::{self, Known, Source};
use gateway::{BindError, Gateway, SpanTarget};
use gateway_tests::client::{request, request2};
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Http2, Raw, Running, Setup, Upstream, until, within};
use http::Response;
use tokio::task::JoinSet;

const AGED: (&str, &str) = ("cache-control", "max-age=60");

async fn ask(gateway: &Running, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut client = Http1::connect(gateway.address).await;
    within(client.send(request(method, path, fields, ""))).await
}

/// A server whose answers are numbered, with these fields.
async fn numbered(fields: &'static [(&'static str, &'static str)]) -> Upstream {
    let count = Arc::new(AtomicUsize::new(0));
    Upstream::http1(move |request| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let confirms = request.headers().contains_key("if-none-match");
        async move {
            let mut response = Response::builder();
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            match confirms {
                true => response.status(304).body(full("")).unwrap(),
                false => response.body(full(format!("answer {number}"))).unwrap(),
            }
        }
    })
    .await
}

fn gateway(config: &str, upstream: &Upstream) -> Running {
    setup(config, upstream).start()
}

fn setup(config: &str, upstream: &Upstream) -> Setup {
    let text = format!(
        r#"
[upstreams.site]
targets = ["http://${{env:SITE}}"]
[plugins.cache]
component = "cache"
[plugins.cache.config]
{config}
[[routes]]
name = "site"
paths = ["/{{*rest}}"]
plugins = ["cache"]
upstream = "site"
"#
    );
    Setup::toml(&text, &[("SITE", &upstream.address)])
}

#[tokio::test]
async fn the_example_serves_again_what_its_server_said() {
    let site = Upstream::http1(|request| async move {
        let status = if request.uri().path() == "/none" { 404 } else { 200 };
        Response::builder().status(status).body(full(request.uri().to_string())).unwrap()
    })
    .await;
    let gateway = Example::read("cache.toml").on_a_free_port().at(8081, site.address).start();
    let first = ask(&gateway, "GET", "/a?b=1&utm_source=mail&a=2", &[]).await;
    assert_eq!(first.header("cache-status"), Some("gateway; fwd=uri-miss; ttl=10; stored"));
    let second = ask(&gateway, "GET", "/a?a=2&b=1", &[]).await;
    assert_eq!(second.text(), first.text());
    assert!(second.header("cache-status").unwrap().starts_with("gateway; hit; ttl="));
    assert!(second.header("age").is_some());
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "GET", "/none", &[]).await.status(), 404);
    }
    assert_eq!(site.requests().len(), 2);
}

#[tokio::test]
async fn conditions_ranges_and_heads_are_answered_from_what_is_stored() {
    let site = numbered(&[AGED, ("etag", "\"1\""), ("x-kept", "yes")]).await;
    let gateway = gateway("", &site);
    let first = ask(&gateway, "GET", "/a", &[]).await;
    assert_eq!(first.text(), "answer 1");
    let has = ask(&gateway, "GET", "/a", &[("if-none-match", "W/\"1\"")]).await;
    assert_eq!((has.status(), has.text(), has.header("etag")), (304, "", Some("\"1\"")));
    let part = ask(&gateway, "GET", "/a", &[("range", "bytes=7-")]).await;
    assert_eq!((part.status(), part.text()), (206, "1"));
    assert_eq!(part.header("content-range"), Some("bytes 7-7/8"));
    let head = ask(&gateway, "HEAD", "/a", &[]).await;
    assert_eq!((head.text(), head.header("content-length")), ("", Some("8")));
    assert_eq!(head.header("x-kept"), Some("yes"));
    // The client wants it confirmed, which it is.
    let confirmed = ask(&gateway, "GET", "/a", &[("cache-control", "no-cache")]).await;
    assert_eq!(confirmed.text(), "answer 1");
    let status = "gateway; fwd=request; fwd-status=304; ttl=60; stored";
    assert_eq!(confirmed.header("cache-status"), Some(status));
    assert_eq!(site.requests().len(), 2);
    let nothing = ask(&gateway, "GET", "/b", &[("cache-control", "only-if-cached")]).await;
    assert_eq!((nothing.status(), site.requests().len()), (504, 2));
    // A change makes it invalid.
    assert_eq!(ask(&gateway, "DELETE", "/a", &[]).await.status(), 200);
    assert_eq!(ask(&gateway, "GET", "/a", &[]).await.text(), "answer 4");
}

/// Large bodies are sent from where they are stored, without a copy.
#[tokio::test]
async fn a_large_body_that_gives_way_stays_as_it_was_for_who_still_reads_it() {
    const LENGTH: usize = 64 << 10;
    let site = Upstream::http1(|request| async move {
        let letter = request.uri().path()[1..2].to_owned();
        let body = full(letter.repeat(LENGTH));
        Response::builder().header("cache-control", "max-age=60").body(body).unwrap()
    })
    .await;
    let gateway = gateway("", &site);
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "GET", "/a", &[]).await.body, "a".repeat(LENGTH));
    }
    let part = ask(&gateway, "GET", "/a", &[("range", "bytes=100-60000")]).await;
    assert_eq!((part.status(), part.text()), (206, &*"a".repeat(59_901)));
    let mut client = Http2::connect(gateway.address).await;
    let answer = within(client.send(request2("GET", "/a", &[], ""))).await;
    assert_eq!(answer.body, "a".repeat(LENGTH));
    assert_eq!(site.requests().len(), 1);
    // It has the whole answer in its queue when others get the place.
    let mut late = Raw::connect(gateway.address).await;
    late.send("GET /a HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n").await;
    late.read_until("\r\n\r\n").await;
    assert_eq!(ask(&gateway, "DELETE", "/a", &[]).await.status(), 200);
    for path in ["/b", "/c", "/d", "/b"] {
        assert_eq!(ask(&gateway, "GET", path, &[]).await.body, path[1..].repeat(LENGTH));
    }
    assert!(late.rest().await == "a".repeat(LENGTH));
}

#[tokio::test]
async fn nobody_gets_what_is_for_another() {
    let site = numbered(&[AGED]).await;
    let gateway = gateway("", &site);
    for number in 1..4 {
        let told = ask(&gateway, "GET", "/a", &[("authorization", "Bearer x")]).await;
        assert_eq!(told.text(), format!("answer {number}"));
        assert!(told.header("cache-status").unwrap().ends_with("detail=authorization"));
    }
    let cookies = numbered(&[AGED, ("set-cookie", "id=1")]).await;
    let gateway = self::gateway("", &cookies);
    for number in 1..3 {
        assert_eq!(ask(&gateway, "GET", "/a", &[]).await.text(), format!("answer {number}"));
    }
}

#[tokio::test]
async fn what_is_stale_is_served_while_it_is_revalidated_and_when_the_server_fails() {
    let site =
        numbered(&[("cache-control", "max-age=1, stale-while-revalidate=60, stale-if-error=60")])
            .await;
    let gateway = gateway("", &site);
    assert_eq!(ask(&gateway, "GET", "/a", &[]).await.text(), "answer 1");
    tokio::time::sleep(Duration::from_millis(2050)).await;
    assert_eq!(ask(&gateway, "GET", "/a", &[]).await.text(), "answer 1");
    let until = SystemTime::now() + Duration::from_secs(5);
    while ask(&gateway, "GET", "/a", &[]).await.text() != "answer 2" {
        assert!(SystemTime::now() < until, "it is not revalidated");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let count = AtomicUsize::new(0);
    let errors = Upstream::http1(move |_| {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let response =
                Response::builder().header("cache-control", "max-age=1, stale-if-error=60");
            match is_first {
                true => response.body(full("answer 1")).unwrap(),
                false => response.status(503).body(full("broken")).unwrap(),
            }
        }
    })
    .await;
    let gateway = self::gateway("", &errors);
    assert_eq!(ask(&gateway, "GET", "/a", &[]).await.text(), "answer 1");
    tokio::time::sleep(Duration::from_millis(2050)).await;
    let saved = ask(&gateway, "GET", "/a", &[]).await;
    assert_eq!((saved.status(), saved.text()), (200, "answer 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_the_same_become_one() {
    let site = Upstream::http1(|_| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Response::builder().header("cache-control", "max-age=60").body(full("one")).unwrap()
    })
    .await;
    let gateway = gateway("", &site);
    let mut asks = JoinSet::new();
    let address = gateway.address;
    for _ in 0..20 {
        asks.spawn(async move {
            let mut client = Http1::connect(address).await;
            within(client.send(request("GET", "/a", &[], ""))).await.text().to_owned()
        });
    }
    while let Some(text) = asks.join_next().await {
        assert_eq!(text.unwrap(), "one");
    }
    assert_eq!(site.requests().len(), 1);
}

#[tokio::test]
async fn what_was_asked_for_before_a_change_is_not_kept_behind_it() {
    let version = Arc::new(AtomicUsize::new(0));
    let site = Upstream::http1(move |request| {
        let is_change = request.method() == "POST";
        let number = version.fetch_add(usize::from(is_change), Ordering::Relaxed);
        async move {
            if !is_change {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Response::builder()
                .header(AGED.0, AGED.1)
                .body(full(format!("version {number}")))
                .unwrap()
        }
    })
    .await;
    let gateway = gateway("", &site);
    let early = ask(&gateway, "GET", "/a", &[]);
    let change = async {
        until(|| !site.requests().is_empty()).await;
        ask(&gateway, "POST", "/a", &[]).await
    };
    let (early, changed) = tokio::join!(early, change);
    assert_eq!((early.text(), changed.status()), ("version 0", 200));
    assert_eq!(ask(&gateway, "GET", "/a", &[]).await.text(), "version 1");
    let again = ask(&gateway, "GET", "/a", &[]).await;
    let status = again.header("cache-status").unwrap();
    assert!(status.starts_with("gateway; hit; ttl="), "{status}");
}

fn short(route: &str) -> String {
    format!(
        "[upstreams.site]\ntargets = [\"http://${{env:SITE}}\"]\n\
         [[routes]]\nname = \"site\"\npaths = [\"/{{*rest}}\"]\nupstream = \"site\"\n{route}\n"
    )
}

#[tokio::test]
async fn a_route_has_a_cache_by_one_key() {
    let site = numbered(&[AGED]).await;
    let route = "cache = { name = \"edge\", key = { attributes = [\"request.authority\"] } }";
    let setup = Setup::toml(&short(route), &[("SITE", &site.address)]);
    let trusted = "127.0.0.0/8".parse().unwrap();
    let gateway = setup.listen(|listener| listener.trusted_proxies = vec![trusted]).start();
    let said = |host: &'static str| [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-host", host)];
    assert_eq!(ask(&gateway, "GET", "/a", &said("one.example")).await.text(), "answer 1");
    let again = ask(&gateway, "GET", "/a", &said("One.example:80")).await;
    assert_eq!(again.text(), "answer 1");
    assert!(again.header("cache-status").unwrap().starts_with("edge; hit"));
    // Behind the proxy all have one `Host`; the attribute is what the client asked for.
    assert_eq!(ask(&gateway, "GET", "/a", &said("two.example")).await.text(), "answer 2");
    assert_eq!(ask(&gateway, "GET", "/a", &said("one.example:81")).await.text(), "answer 3");
    assert_eq!(ask(&gateway, "GET", "/a", &[]).await.text(), "answer 4");
}

#[tokio::test]
async fn the_short_form_of_a_cache_is_checked_as_the_long_one() {
    let site = numbered(&[AGED]).await;
    let names = gateway::first_party::names();
    for (route, said) in [
        ("cache = true", "`cache` must be a table, but this is a boolean"),
        ("plugins = [{ component = \"cache\" }]\ncache = {}", "the route has two caches"),
    ] {
        let text = gateway_tests::setup::written(&short(route));
        let source = Source::new("test.toml", &text);
        let environment = |_: &str| Some(site.address.to_string().into());
        let error = config::read(source, &environment, &Known { built_in: &names });
        let error = error.err().unwrap().render(false);
        assert!(error.contains(said), "{route}: {error}");
        let line = text.lines().position(|line| line.starts_with("cache =")).unwrap() + 1;
        assert!(error.contains(&format!("test.toml:{line}:9")), "{route}: {error}");
    }
    let route = "cache = { default_ttl = \"2h\", max_ttl = \"1h\" }";
    let setup = Setup::toml(&short(route), &[("SITE", &site.address)]);
    let refused = Gateway::bind(setup.config).err().unwrap();
    let [BindError::Plugin { name, place, message, .. }] = &*refused.errors else {
        panic!("{refused:?}")
    };
    assert_eq!((&**name, place), ("site.cache", &SpanTarget::Config("/default_ttl".to_owned())));
    assert!(message.contains("it is longer than `max_ttl`"), "{message}");
}

#[tokio::test]
async fn what_has_no_content_and_what_a_post_says_of_itself_is_stored() {
    let site = Upstream::http1(|request| async move {
        let response = Response::builder().header(AGED.0, AGED.1);
        match (request.method().as_str(), request.uri().path()) {
            (_, "/none") => response.status(204).body(full("")).unwrap(),
            ("POST", path) => {
                response.header("content-location", path).body(full("posted")).unwrap()
            }
            _ => response.body(full("got")).unwrap(),
        }
    })
    .await;
    let gateway = gateway("", &site);
    for is_hit in [false, true, true] {
        let none = ask(&gateway, "GET", "/none", &[]).await;
        assert_eq!((none.status(), none.text(), none.header("content-length")), (204, "", None));
        let status = none.header("cache-status").unwrap();
        assert_eq!(status.starts_with("gateway; hit"), is_hit, "{status}");
    }
    let posted = ask(&gateway, "POST", "/a", &[]).await;
    assert_eq!(posted.header("cache-status"), Some("gateway; fwd=method; ttl=60; stored"));
    assert_eq!(ask(&gateway, "GET", "/a", &[]).await.text(), "posted");
    assert_eq!(ask(&gateway, "POST", "/a", &[]).await.text(), "posted");
    assert_eq!(site.requests().len(), 3);
}

/// Two upstreams, and what is behind the plugin `cache` in front of them.
async fn of_two(text: &str) -> (Running, [Upstream; 2]) {
    let upstreams = [named("one").await, named("two").await];
    let text = format!(
        "[upstreams.one]\ntargets = [\"http://${{env:ONE}}\"]\n\
         [upstreams.two]\ntargets = [\"http://${{env:TWO}}\"]\n\
         [plugins.cache]\ncomponent = \"cache\"\n{text}"
    );
    let setup =
        Setup::toml(&text, &[("ONE", &upstreams[0].address), ("TWO", &upstreams[1].address)]);
    (setup.start(), upstreams)
}

async fn named(name: &'static str) -> Upstream {
    Upstream::http1(move |_| async move {
        Response::builder().header(AGED.0, AGED.1).body(full(name)).unwrap()
    })
    .await
}

#[tokio::test]
async fn each_variant_of_an_experiment_has_its_own_responses() {
    let text = r#"
[plugins.experiments]
component = "experiments"
forward_to = ["two"]
[plugins.experiments.config]
unit = ["header:x-unit"]
[[plugins.experiments.config.experiments]]
name = "version"
variants = [{ name = "control", weight = 50 }, { name = "next", weight = 50, upstream = "two" }]
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["experiments", "cache"]
upstream = "one"
"#;
    let (gateway, upstreams) = of_two(text).await;
    let mut seen = [0, 0];
    // Twice: the second time they are hits.
    for number in (0..40).chain(0..40) {
        let unit = number.to_string();
        let apart = ask(&gateway, "GET", &format!("/apart/{number}"), &[("x-unit", &unit)]).await;
        let answer = ask(&gateway, "GET", "/a", &[("x-unit", &unit)]).await;
        assert_eq!(answer.text(), apart.text(), "unit {unit}");
        seen[usize::from(answer.text() == "two")] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    for upstream in &upstreams {
        let asked = upstream.requests();
        assert_eq!(asked.iter().filter(|it| it.uri.path() == "/a").count(), 1);
    }
}

#[tokio::test]
async fn a_variant_that_only_changes_the_request_has_its_own_responses_and_predictions() {
    let site =
        Upstream::http1(|request| {
            let variant =
                request.headers().get("x-checkout").map(|it| it.to_str().unwrap().to_owned());
            let choice = format!(
                r#"{{"variant":"{}","choices":[{{"finish_reason":"stop"}}]}}"#,
                variant.unwrap()
            );
            let response = Response::builder().header(AGED.0, AGED.1);
            async move {
                response.header("content-type", "application/json").body(full(choice)).unwrap()
            }
        })
        .await;
    let text = r#"
[upstreams.site]
targets = ["http://${env:SITE}"]
[plugins.experiments]
component = "experiments"
[plugins.experiments.config]
unit = ["header:x-unit"]
[[plugins.experiments.config.experiments]]
name = "checkout"
header = "x-checkout"
variants = [{ name = "control", weight = 50 }, { name = "next", weight = 50 }]
[plugins.predictions]
component = "predictions"
limits = { memory = "64MiB", deadline = "1s" }
[plugins.cache]
component = "cache"
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["experiments", "predictions", "cache"]
upstream = "site"
"#;
    let gateway = Setup::toml(text, &[("SITE", &site.address)]).start();
    let question = r#"{"model":"m","temperature":0,"messages":[]}"#;
    for number in (0..20).chain(0..20) {
        let unit = number.to_string();
        let fields = [("x-unit", &*unit), ("content-type", "application/json")];
        let apart = ask(&gateway, "GET", &format!("/apart/{number}"), &fields).await;
        assert_eq!(ask(&gateway, "GET", "/a", &fields).await.text(), apart.text(), "unit {unit}");
        let asked = request("POST", "/v1/chat/completions", &fields, question);
        let answer = within(Http1::connect(gateway.address).await.send(asked)).await;
        assert_eq!(answer.text(), apart.text(), "unit {unit}");
    }
    for path in ["/a", "/v1/chat/completions"] {
        let asked = site.requests();
        assert_eq!(asked.iter().filter(|it| it.uri.path() == path).count(), 2, "{path}");
    }
}

#[tokio::test]
async fn a_route_that_splits_keeps_nothing() {
    let text = r#"
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["cache"]
split = { by = ["header:x-unit"], variants = [{ name = "a", upstream = "one", weight = 1 }, { name = "b", upstream = "two", weight = 1 }] }
"#;
    let (gateway, upstreams) = of_two(text).await;
    for number in 0..20 {
        let unit = number.to_string();
        let answer = ask(&gateway, "GET", "/a", &[("x-unit", &unit)]).await;
        assert_eq!(answer.header("cache-status"), Some("gateway; fwd=bypass; detail=variant"));
    }
    let asked = upstreams.map(|upstream| upstream.requests().len());
    assert!(asked[0] > 0 && asked[1] > 0 && asked[0] + asked[1] == 20, "{asked:?}");
}

#[tokio::test]
async fn what_was_stored_under_other_settings_is_not_given() {
    const BY: &[(&str, &str)] = &[("authorization", "Basic YTpi")];
    const COOKIE: &[(&str, &str)] = &[AGED, ("set-cookie", "a=b")];
    for (loose, tight, by, fields) in [
        ("credentials = \"shared\"", "credentials = \"standard\"", BY, &[AGED] as &[_]),
        ("set_cookie = \"keep\"", "set_cookie = \"refuse\"", &[], COOKIE),
        ("max_ttl = \"1h\"", "max_ttl = \"1s\"", &[], &[AGED]),
    ] {
        let site = numbered(fields).await;
        let gateway = gateway(loose, &site);
        for _ in 0..2 {
            assert_eq!(ask(&gateway, "GET", "/a", by).await.text(), "answer 1", "{loose}");
        }
        for (config, said) in [(tight, "answer 2"), (loose, "answer 1")] {
            let (handle, config) = (gateway.handle.clone(), setup(config, &site).config);
            tokio::task::spawn_blocking(move || handle.reload(config).unwrap()).await.unwrap();
            let answer = ask(&gateway, "GET", "/a", by).await;
            assert_eq!(answer.text(), said, "{tight}");
        }
    }
}
