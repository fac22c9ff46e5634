//! `GET /upstreams` and `GET /upstreams/{name}`.
//!
//! Owns how an upstream is shown. Its connections belong to workers; what is counted of them is shared.

use serde_json::{Map, Value, json};

use super::Admin;
use super::call::{Answer, Call, Refusal, Reply};
use super::page::Page;
use crate::config::{HostPolicy, Target, Upstream, UpstreamProtocol};

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    let [offset, limit] = call.known(["offset", "limit"])?;
    let page = Page::new(offset.as_deref(), limit.as_deref())?;
    let in_force = admin.in_force();
    let upstreams = in_force.config.upstreams.iter();
    Ok(Reply::json(page.of("upstreams", upstreams, |upstream| show(admin, upstream))))
}

pub(super) fn one(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let name = call.path.first().map_or("", String::as_str);
    let in_force = admin.in_force();
    let found = in_force.config.upstreams.iter().find(|upstream| upstream.name == name);
    let upstream = found.ok_or_else(|| Refusal::not_found("there is no such upstream"))?;
    Ok(Reply::json(show(admin, upstream)))
}

fn show(admin: &Admin, upstream: &Upstream) -> Value {
    let targets = upstream.targets.iter().map(|target| show_target(admin, upstream, target));
    let timeouts = &upstream.timeouts;
    json!({
        "name": upstream.name,
        "protocol": match upstream.protocol {
            UpstreamProtocol::Auto => "auto",
            UpstreamProtocol::Http1 => "http1",
            UpstreamProtocol::Http2 => "http2",
        },
        "host": match upstream.host {
            HostPolicy::Preserve => "preserve",
            HostPolicy::Target => "target",
        },
        "timeouts": {
            "connect_seconds": timeouts.connect.as_secs_f64(),
            "first_byte_seconds": timeouts.first_byte.as_secs_f64(),
            "idle_seconds": timeouts.idle.as_secs_f64(),
        },
        "targets": targets.collect::<Vec<_>>(),
    })
}

fn show_target(admin: &Admin, upstream: &Upstream, target: &Target) -> Value {
    let traffic = &admin.0.metrics.traffic;
    let (attempts, opened) =
        traffic.attempts(&upstream.name, &target.authority).unwrap_or_default();
    let attempts: Map<String, Value> =
        attempts.into_iter().map(|(result, count)| (result.to_owned(), count.into())).collect();
    json!({
        "target": target.authority,
        "tls": target.tls,
        "weight": target.weight,
        "attempts": attempts,
        "connections_opened": opened,
    })
}
