//! `GET /routes` and `GET /routes/{name}`.
//!
//! Owns how a route is shown. Must not say what a request matches: `/explain` does.

use serde_json::{Map, Value, json};

use super::Admin;
use super::call::{Answer, Call, Refusal, Reply};
use super::page::Page;
use crate::config::{
    Action, Config, HostPattern, Positions, Retries, RetryOn, Route, ValuePattern, Variant,
    names_secret,
};
use crate::telemetry::traffic::RouteSummary;

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    let [offset, limit] = call.known(["offset", "limit"])?;
    let page = Page::new(offset.as_deref(), limit.as_deref())?;
    let in_force = admin.in_force();
    let config = &in_force.config;
    let positions = config.source.positions();
    let show = |route: &Route| show(config, &positions, route);
    Ok(Reply::json(page.of("routes", config.routes.iter(), show)))
}

pub(super) fn one(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let name = call.path.first().map_or("", String::as_str);
    let in_force = admin.in_force();
    let config = &in_force.config;
    let found = config.routes.iter().find(|route| route.name == name);
    let names = config.routes.iter().map(|route| &*route.name);
    let route = found.ok_or_else(|| Refusal::no_such("route", name, names))?;
    let mut shown = show(config, &config.source.positions(), route);
    shown["traffic"] = traffic(admin, name);
    Ok(Reply::json(shown))
}

fn show(config: &Config, positions: &Positions<'_>, route: &Route) -> Value {
    let matcher = &route.matcher;
    let host = |host: &HostPattern| match host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Suffix(suffix) => format!("*.{suffix}"),
    };
    let listeners = route.listeners.iter().map(|id| &config.listeners[id.0].name);
    let plugins = route.plugins.iter().map(|id| &config.plugins[id.0].name);
    let headers = matcher.headers.iter().map(|(name, value)| (name.as_str(), value));
    let query = matcher.query.iter().map(|(name, value)| (name.as_str(), value));
    let methods = matcher.methods.iter().map(http::Method::as_str);
    json!({
        "name": route.name,
        "line": positions.of(route.span.start).line,
        "listeners": listeners.collect::<Vec<_>>(),
        "hosts": matcher.hosts.iter().map(host).collect::<Vec<_>>(),
        "paths": matcher.paths.iter().map(|path| &path.text).collect::<Vec<_>>(),
        "methods": methods.collect::<Vec<_>>(),
        "headers": values(headers),
        "query": values(query),
        "plugins": plugins.collect::<Vec<_>>(),
        "action": action(config, &route.action),
        "mirror": route.mirror.as_ref().map(|it| json!({
            "upstream": config.upstreams[it.upstream.0].name,
            "ratio": it.ratio,
        })),
        "retries": route.retries.as_ref().map(retries),
        "body_size_bytes": route.body_size,
        "request_timeout_seconds": route.request_timeout.map(|it| it.as_secs_f64()),
    })
}

fn retries(retries: &Retries) -> Value {
    let RetryOn { connect, reset, timeout } = retries.on;
    let on = [(connect, "connect"), (reset, "reset"), (timeout, "timeout")];
    let on = on.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name);
    json!({
        "attempts": retries.attempts,
        "on": on.collect::<Vec<_>>(),
        "statuses": retries.statuses,
        "methods": retries.methods.iter().map(http::Method::as_str).collect::<Vec<_>>(),
        "attempt_timeout_seconds": retries.attempt_timeout.map(|it| it.as_secs_f64()),
        "hedge_after_seconds": retries.hedge_after.map(|it| it.as_secs_f64()),
        "body_bytes": retries.body,
    })
}

/// What must be there, by name: a value, or `*` for any.
fn values<'v>(wanted: impl Iterator<Item = (&'v str, &'v ValuePattern)>) -> Value {
    let mut shown = Map::new();
    for (name, value) in wanted {
        let value = match value {
            ValuePattern::Present => "*",
            ValuePattern::Exact(_) if names_secret(name) => "[masked]",
            ValuePattern::Exact(value) => value,
        };
        shown.insert(name.to_owned(), value.into());
    }
    shown.into()
}

fn action(config: &Config, action: &Action) -> Value {
    match action {
        Action::Forward(id) => {
            json!({ "kind": "upstream", "name": config.upstreams[id.0].name, "status": null })
        }
        Action::Split(split) => {
            let variant = |it: &Variant| {
                let upstream = &config.upstreams[it.upstream.0].name;
                json!({ "name": it.name, "upstream": upstream, "weight": it.weight })
            };
            let variants: Vec<_> = split.variants.iter().map(variant).collect();
            json!({ "kind": "split", "name": null, "status": null, "variants": variants })
        }
        Action::Component(id) => {
            json!({ "kind": "component", "name": config.components[id.0].name, "status": null })
        }
        Action::Respond(fixed) => {
            json!({ "kind": "respond", "name": null, "status": fixed.status.as_u16() })
        }
        Action::Redirect(redirect) => {
            json!({ "kind": "redirect", "name": null, "status": redirect.status.as_u16() })
        }
    }
}

/// What passed on it since the process began; nothing before its first request.
fn traffic(admin: &Admin, route: &str) -> Value {
    let known = &admin.0.metrics.traffic;
    let Some(summary) = known.summary(route) else { return Value::Null };
    let mut shown = numbers(summary);
    let variants = known.variant_summaries(route).into_iter();
    let variants = variants.map(|(name, summary)| (name, numbers(summary)));
    shown["variants"] = variants.collect::<Map<_, _>>().into();
    shown["mirror"] = known.mirror_summary(route).map_or(Value::Null, |mirror| {
        let results =
            mirror.results.into_iter().map(|(result, count)| (result.to_owned(), json!(count)));
        json!({
            "upstream": mirror.upstream,
            "results": results.collect::<Map<_, _>>(),
            "response_seconds": { "request": mirror.request_seconds, "copy": mirror.copy_seconds },
        })
    });
    shown
}

fn numbers(summary: RouteSummary) -> Value {
    let counts = |all: &mut dyn Iterator<Item = (String, u64)>| -> Value {
        all.map(|(name, count)| (name, Value::from(count))).collect::<Map<_, _>>().into()
    };
    #[expect(clippy::cast_precision_loss, reason = "a sum of times")]
    let seconds = summary.duration_ns as f64 * 1e-9;
    json!({
        "requests": summary.requests,
        "in_flight": summary.in_flight,
        "statuses": counts(&mut summary.statuses.into_iter()),
        "failed": counts(&mut summary.failed.into_iter().map(|(fault, count)| (fault.to_owned(), count))),
        "duration_seconds": { "count": summary.duration_count, "sum": seconds },
    })
}
