//! A file that sets nothing it need not, and one that sets everything.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::{Method, StatusCode};

use super::*;
use crate::config::{
    AccessLog, Action, AddedFields, Component, Config, Grant, HostPattern, HostPolicy, Isolation,
    ListenerId, OnError, PluginBounds, PluginId, Segment, Template, TemplatePart, UpstreamId,
    UpstreamProtocol, ValuePattern,
};

const MINIMAL: &str = r#"
[[listeners]]
name = "public"
address = "127.0.0.1:8080"

[upstreams.orders]
targets = ["http://10.0.0.1:9000"]

[[routes]]
name = "orders"
paths = ["/{*rest}"]
plugins = [{ component = "lock" }]
upstream = "orders"
"#;

pub(super) const EVERYTHING: &str = r#"
[gateway]
workers = 2
via = "edge"
shutdown_grace = "1m30s"
access_log = "all"
cache_dir = "cache"
buffered_bodies = "7MiB"

[access_logs.own]
format = "{client} {status}"
file = { path = "own.log", max_size = "1MiB", rotate = "hourly", keep = 3 }
when = "failures"
sample = 0.2
redact = ["X-Own"]

[access_logs.far]
fields = { s = "status" }
syslog = { address = "tcp://logs.example", facility = "local7", app_name = "edge" }

[usage]
store = "usage.db"
keep = "30d"
keep_minutes = "2d"
size = "2MiB"
flush = "1s"

[[listeners]]
name = "inner"
address = "127.0.0.1:${env:PORT}"
trusted_proxies = ["10.0.0.0/8", "127.0.0.1", "fd00::/8"]
access_log = "own"
limits = { header_count = 50, header_size = "16KiB", body_size = "1GiB", concurrent_streams = 7, body_rate = 500, connections = 1000, connections_per_address = 20 }
timeouts = { header = "1s", idle = "2s", body_grace = "5s", keep_alive = "3s", request = "4s" }

[[listeners]]
name = "outer"
address = "[::1]:8081"

[upstreams.zeta]
targets = ["http://10.0.0.1:9000", { url = "https://B.example", weight = 3 }]
protocol = "http2"
host = "target"
tls = { server_name = "inner.example" }
timeouts = { connect = "1s", first_byte = "2s", idle = "3s", request_body = "4s" }
keep_alive = { connections = 5, idle = "1m", ping = "2m", ping_timeout = "3s", max_age = "1h" }
limits = { header_count = 7, header_size = "9KiB" }
added_fields = ["forwarded", "x-request-id"]

[upstreams.alpha]
targets = ["http://[::1]"]

[caches.pages]
memory = "5MiB"
max_object = "2MiB"
partition = "2MiB"
abandoned = "finish"

[stores.kept]
file = "state.db"

[stores.shared]
redis = "rediss://a.example,b.example:6380"
topology = "sentinel"
master = "mymaster"
username = "edge"
password = "${env:SECRET}"
timeout = "20ms"
instances = 3
prefix = "edge"

[plugins.keys]
component = "lock"
on_error = "open"
limiter = { store = "shared", on_store_error = "open", lease = 50 }
key_value = "kept"
cache = "pages"
isolation = "fresh"
limits = { deadline = "5ms", memory = "32MiB", instances = 3, queue = 9, limiter = "1MiB", key_value = "2MiB", exchange = "3KiB", exchanges = "3MiB", buffered = "4MiB", buffer_time = "6s", reuse = "5MiB", metrics = "6MiB", log_lines = 7, log_bytes = "8KiB" }
grants = ["usage", "signature", "metrics", "key-value", "limiter", "password"]

[plugins.keys.config]
"a/b~c" = [1, { secret = "<${env:SECRET}>" }]
day = 1979-05-27
half = 0.5
literal = "$${x}"
yes = true

[[routes]]
name = "orders"
listeners = ["outer"]
access_log = "far"
hosts = ["API.example.com", "*.example.org"]
paths = ["/orders/{id}", "/orders/{id}/{*rest}"]
methods = ["GET", "PURGE"]
headers = { "X-Version" = "2", "x-any" = "*" }
query = { debug = "*", "ü" = "1" }
plugins = ["keys", { component = "meter", config = { limit = 3 } }]
upstream = "zeta"
rewrite = { strip_prefix = "/orders/", add_prefix = "/v1", host = "inner:81" }
limits = { body_size = 1000 }
timeouts = { request = "9s" }

[[routes]]
name = "moved"
paths = ["/old/{*rest}"]
redirect = { to = "https://{host}/new/{rest}{query}", status = 301 }

[[routes]]
name = "health"
paths = ["/health"]
respond = { status = 503, headers = { retry-after = "5" }, body = "later" }

[[routes]]
name = "items"
paths = ["/items/{id}"]
upstream = "alpha"
rewrite.path = "/i/{id}"
"#;

fn loaded(text: &str) -> Config {
    let loaded = check(text).unwrap_or_else(|found| panic!("{found}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    loaded.config
}

#[test]
fn takes_every_default() {
    let config = loaded(MINIMAL);
    assert!(config.process.workers >= 1);
    assert_eq!(config.process.via, "gateway");
    assert_eq!(config.process.shutdown_grace, Duration::from_secs(30));
    assert_eq!(config.process.access_log, AccessLog::Errors);
    assert_eq!(config.process.cache_dir, None);
    let listener = &config.listeners[0];
    assert!(listener.tls.is_none() && listener.trusted_proxies.is_empty());
    let limits = &listener.limits;
    assert_eq!((limits.header_count, limits.header_size), (100, 32 << 10));
    assert_eq!((limits.body_size, limits.concurrent_streams), (None, 100));
    assert_eq!((limits.connections, limits.connections_per_address), (None, None));
    assert_eq!(limits.body_rate, None);
    let timeouts = &listener.timeouts;
    assert_eq!(timeouts.body_grace, Duration::from_secs(10));
    assert_eq!(timeouts.header, Duration::from_secs(10));
    assert_eq!(timeouts.idle, Duration::from_secs(60));
    assert_eq!(timeouts.keep_alive, Duration::from_secs(75));
    assert_eq!(timeouts.request, None);
    let upstream = &config.upstreams[0];
    assert_eq!(upstream.protocol, UpstreamProtocol::Auto);
    assert_eq!(upstream.host, HostPolicy::Preserve);
    assert!(upstream.tls.ca.is_none() && upstream.tls.server_name.is_none());
    assert_eq!(upstream.timeouts.connect, Duration::from_secs(5));
    assert_eq!(upstream.timeouts.first_byte, Duration::from_secs(60));
    assert_eq!(upstream.timeouts.request_body, Duration::from_secs(300));
    assert_eq!(upstream.timeouts.idle, Duration::from_secs(300));
    assert_eq!((upstream.idle_connections, upstream.idle_timeout.as_secs()), (64, 60));
    assert_eq!((upstream.ping.as_secs(), upstream.ping_timeout.as_secs()), (30, 10));
    assert_eq!(upstream.limits, crate::config::UpstreamLimits::default());
    assert_eq!(upstream.targets[0].weight, 1);
    let plugin = &config.plugins[0];
    assert_eq!((&*plugin.name, &*plugin.config), ("orders.plugins[0]", "{}"));
    assert_eq!((plugin.on_error, plugin.isolation), (OnError::Closed, Isolation::Pooled));
    assert_eq!((plugin.deadline.as_millis(), plugin.memory), (20, 16 << 20));
    assert_eq!((plugin.instances, plugin.queue, plugin.grants.clone()), (64, 1024, None));
    assert_eq!((plugin.limiter, plugin.key_value), (64 << 20, 64 << 20));
    assert_eq!(plugin.bounds, PluginBounds::default());
    assert_eq!(config.process.buffered_bodies, crate::config::BUFFERED_BODIES);
    let route = &config.routes[0];
    assert_eq!(route.listeners, [ListenerId(0)]);
    assert_eq!(route.plugins, [PluginId(0)]);
    assert!(route.matcher.hosts.is_empty() && route.matcher.methods.is_empty());
    assert!(route.matcher.headers.is_empty() && route.matcher.query.is_empty());
    assert_eq!((route.body_size, route.request_timeout), (None, None));
    assert_eq!(route.rewrite, Default::default());
}

#[test]
fn takes_everything_that_is_set_for_process_and_listeners() {
    let config = loaded(EVERYTHING);
    assert_eq!((config.process.workers, &*config.process.via), (2, "edge"));
    assert_eq!(config.process.shutdown_grace.as_secs(), 90);
    assert_eq!(config.process.access_log, AccessLog::All);
    assert_eq!(config.process.cache_dir.as_deref(), Some("cache".as_ref()));
    let inner = &config.listeners[0];
    assert_eq!((&*inner.name, inner.address), ("inner", "127.0.0.1:8088".parse().unwrap()));
    assert_eq!(&EVERYTHING[inner.address_span.clone()], "\"127.0.0.1:${env:PORT}\"");
    assert!(inner.trusted_proxies[1].contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    assert_eq!(inner.trusted_proxies.len(), 3);
    assert_eq!((inner.limits.header_count, inner.limits.header_size), (50, 16 << 10));
    assert_eq!((inner.limits.body_size, inner.limits.concurrent_streams), (Some(1 << 30), 7));
    let connections = (inner.limits.connections, inner.limits.connections_per_address);
    assert_eq!((connections, inner.limits.body_rate), ((Some(1000), Some(20)), Some(500)));
    assert_eq!(inner.timeouts.body_grace, Duration::from_secs(5));
    assert_eq!((inner.timeouts.header.as_secs(), inner.timeouts.idle.as_secs()), (1, 2));
    assert_eq!(inner.timeouts.keep_alive.as_secs(), 3);
    assert_eq!(inner.timeouts.request.map(|request| request.as_secs()), Some(4));
}

#[test]
fn takes_everything_that_is_set_for_upstreams_in_the_order_of_the_file() {
    let config = loaded(EVERYTHING);
    let [zeta, alpha] = &*config.upstreams else { panic!("two upstreams") };
    assert_eq!((&*zeta.name, &*alpha.name), ("zeta", "alpha"));
    assert_eq!((zeta.protocol, zeta.host.clone()), (UpstreamProtocol::Http2, HostPolicy::Target));
    assert_eq!((zeta.targets[1].tls, zeta.targets[1].weight), (true, 3));
    assert_eq!(zeta.targets[1].authority, "b.example");
    assert_eq!((&*alpha.targets[0].host, alpha.targets[0].port), ("::1", 80));
    assert_eq!(zeta.tls.server_name.as_deref(), Some("inner.example"));
    assert_eq!(zeta.timeouts.connect.as_secs(), 1);
    assert_eq!((zeta.timeouts.first_byte.as_secs(), zeta.timeouts.idle.as_secs()), (2, 3));
    assert_eq!(zeta.timeouts.request_body.as_secs(), 4);
    assert_eq!((zeta.idle_connections, zeta.idle_timeout.as_secs()), (5, 60));
    assert_eq!((zeta.ping.as_secs(), zeta.ping_timeout.as_secs()), (120, 3));
    assert_eq!(zeta.max_age.as_secs(), 3_600);
    assert_eq!((zeta.limits.header_count, zeta.limits.header_size), (7, 9 << 10));
    let some = AddedFields { forwarded: true, request_id: true, x_forwarded: false, via: false };
    assert_eq!((zeta.added_fields, alpha.added_fields), (some, AddedFields::default()));
}

#[test]
fn takes_everything_that_is_set_for_plugins() {
    let config = loaded(EVERYTHING);
    let keys = &config.plugins[0];
    assert_eq!((&*keys.name, &keys.component), ("keys", &Component::BuiltIn("lock".into())));
    assert_eq!((keys.on_error, keys.isolation), (OnError::Open, Isolation::Fresh));
    assert_eq!((keys.deadline.as_millis(), keys.memory, keys.instances), (5, 32 << 20, 3));
    assert_eq!((keys.queue, keys.limiter, keys.key_value), (9, 1 << 20, 2 << 20));
    let bounds = PluginBounds {
        exchange: 3 << 10,
        exchanges: 3 << 20,
        buffered: 4 << 20,
        buffer_time: Duration::from_secs(6),
        reuse: 5 << 20,
        metrics: 6 << 20,
        log_lines: 7,
        log_bytes: 8 << 10,
    };
    assert_eq!(keys.bounds, bounds);
    let cache = &keys.cache;
    assert_eq!((&*cache.name, cache.memory, cache.max_object), ("pages", 5 << 20, 2 << 20));
    assert_eq!((cache.partition, cache.finishes), (Some(2 << 20), true));
    assert_eq!(config.process.buffered_bodies, 7 << 20);
    let all = [
        Grant::KeyValue,
        Grant::Limiter,
        Grant::Metrics,
        Grant::Password,
        Grant::Signature,
        Grant::Usage,
    ];
    assert_eq!(keys.grants.as_deref(), Some(&all[..]));
    let json: serde_json::Value = serde_json::from_str(&keys.config).unwrap();
    let expected = serde_json::json!({
        "a/b~c": [1, { "secret": "<hunter2>" }],
        "day": "1979-05-27", "half": 0.5, "literal": "$${x}", "yes": true,
    });
    assert_eq!(json, expected);
    let written = |pointer: &str| &EVERYTHING[keys.config_spans[pointer].clone()];
    assert_eq!(written(""), "[plugins.keys.config]");
    assert_eq!(written("/a~1b~0c/1/secret"), "\"<${env:SECRET}>\"");
    assert_eq!(written("/a~1b~0c/0"), "1");
    assert_eq!(&EVERYTHING[keys.component_span.clone()], "\"lock\"");
    assert_eq!(&EVERYTHING[keys.span.clone()], "[plugins.keys]");
    let inline = &config.plugins[1];
    assert_eq!((&*inline.name, &*inline.config), ("orders.plugins[1]", r#"{"limit":3}"#));
    assert_eq!(config.routes[0].plugins, [PluginId(0), PluginId(1)]);
}

#[test]
fn takes_everything_that_is_set_for_a_route() {
    let config = loaded(EVERYTHING);
    let route = &config.routes[0];
    assert_eq!(route.listeners, [ListenerId(1)]);
    let hosts =
        [HostPattern::Exact("api.example.com".into()), HostPattern::Suffix("example.org".into())];
    assert_eq!(route.matcher.hosts, hosts);
    let rest = &route.matcher.paths[1];
    assert_eq!(
        rest.segments,
        [
            Segment::Literal("orders".into()),
            Segment::Param("id".into()),
            Segment::Rest("rest".into())
        ]
    );
    assert_eq!(&EVERYTHING[route.path_spans[1].clone()], "\"/orders/{id}/{*rest}\"");
    assert_eq!(route.matcher.methods, [Method::GET, Method::from_bytes(b"PURGE").unwrap()]);
    let exact = |value: &str| ValuePattern::Exact(value.into());
    assert_eq!(
        route.matcher.headers,
        [
            ("x-version".parse().unwrap(), exact("2")),
            ("x-any".parse().unwrap(), ValuePattern::Present)
        ]
    );
    assert_eq!(
        route.matcher.query,
        [("debug".to_owned(), ValuePattern::Present), ("ü".to_owned(), exact("1"))]
    );
    assert!(matches!(route.action, Action::Forward(UpstreamId(0))));
    assert_eq!(route.rewrite.strip_prefix.as_deref(), Some("/orders"));
    assert_eq!(route.rewrite.add_prefix.as_deref(), Some("/v1"));
    assert_eq!(route.rewrite.host.as_deref(), Some("inner:81"));
    assert_eq!(route.body_size, Some(1000));
    assert_eq!(route.request_timeout, Some(Duration::from_secs(9)));
    assert!(EVERYTHING[route.span.clone()].starts_with("[[routes]]"));
}

#[test]
fn takes_every_action() {
    let config = loaded(EVERYTHING);
    let Action::Redirect(redirect) = &config.routes[1].action else { panic!("a redirect") };
    assert_eq!(redirect.status, StatusCode::MOVED_PERMANENTLY);
    let text = |text: &str| TemplatePart::Text(text.into());
    let value = |name: &str| TemplatePart::Value(name.into());
    let parts = vec![text("https://"), value("host"), text("/new/"), value("rest"), value("query")];
    assert_eq!(redirect.location, Template { parts });
    let Action::Respond(answer) = &config.routes[2].action else { panic!("an answer") };
    assert_eq!((answer.status, &*answer.body), (StatusCode::SERVICE_UNAVAILABLE, &b"later"[..]));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers["retry-after"], "5");
    let path = config.routes[3].rewrite.path.clone();
    assert_eq!(path, Some(Template { parts: vec![text("/i/"), value("id")] }));
}
