//! `dns` of an upstream, and targets from SRV records.

use std::time::Duration;

use super::*;
use crate::config::{Dns, Origin, Resolver, Upstream};

fn named(keys: &str) -> String {
    in_upstream(&format!("targets = [\"http://a.example\"]\n{keys}"))
}

fn read(text: &str) -> Upstream {
    check(text).unwrap().config.upstreams.remove(0)
}

#[test]
fn reads_how_names_become_addresses() {
    let plain = read(&named(""));
    assert_eq!((plain.dns, plain.written.len()), (Dns::default(), 0));
    let keys = "dns = { resolver = \"dns\", servers = [\"10.0.0.1\", \"[::1]:5353\"], addresses = \"all\", \
                min_ttl = \"2s\", max_ttl = \"3s\", negative_ttl = \"4s\" }";
    let full = read(&named(keys));
    let dns = Dns {
        resolver: Resolver::Dns,
        servers: vec!["10.0.0.1:53".parse().unwrap(), "[::1]:5353".parse().unwrap()],
        is_each: true,
        min_ttl: Duration::from_secs(2),
        max_ttl: Duration::from_secs(3),
        negative_ttl: Duration::from_secs(4),
        ..Dns::default()
    };
    assert_eq!((full.dns, full.written), (dns, full.targets));
    let srv =
        read(&in_upstream("targets = [{ srv = \"https://_http._tcp.a.example\", weight = 3 }]"));
    let target = &srv.written[0];
    assert_eq!((&target.origin, target.weight, target.tls), (&Origin::Srv, 3, true));
    assert_eq!((target.host.as_str(), target.server_name()), ("_http._tcp.a.example", "a.example"));
}

#[test]
fn refuses_targets_of_which_nobody_knows_where_they_are() {
    let target = |table: &str| in_upstream(&format!("targets = [{table}]"));
    refuses(
        &target("{ weight = 2 }"),
        "a target has no `url`",
        "{ weight = 2 }",
        "add `url = \"http://127.0.0.1:9000\"`",
    );
    refuses(
        &target("{ url = \"http://a\", srv = \"http://b\" }"),
        "a target has a `url` or an `srv`, and not both",
        "\"http://b\"",
        "make two targets of it",
    );
    refuses(
        &target("{ srv = \"http://_http._tcp.a:80\" }"),
        "SRV records say the port themselves",
        ":80",
        "leave the port out",
    );
    refuses(
        &named("dns = { resolver = \"dns\", servers = [\"ns.example\"] }"),
        "`ns.example` is no address",
        "ns.example",
        "write it as `10.0.0.10` or `10.0.0.10:53`",
    );
}

#[test]
fn warns_of_keys_without_an_effect() {
    warns(
        &in_upstream("targets = [\"http://10.0.0.1\"]\ndns = { interval = \"1s\" }"),
        "`dns` has no effect: no target has a name",
        "dns",
    );
    warns(
        &named("dns.max_ttl = \"1s\""),
        "`max_ttl` has no effect: `resolver` is `system`",
        "max_ttl",
    );
    warns(
        &named("dns = { resolver = \"dns\", interval = \"1s\" }"),
        "`interval` has no effect: `resolver` is `dns`, which goes by the TTL of records",
        "interval",
    );
    warns(
        &named("dns = { resolver = \"dns\", min_ttl = \"1h\" }"),
        "`min_ttl` is over `max_ttl`, which is what counts",
        "min_ttl",
    );
}
