//! `GET /upstreams` and `GET /upstreams/{name}`, and the targets that are taken out by hand.
//!
//! Owns how an upstream is shown. Its connections belong to workers; what is counted of them is shared.

use serde_json::{Map, Value, json};

use super::Admin;
use super::audit::Entry;
use super::call::{Answer, Call, Refusal, Reply};
use super::page::Page;
use crate::config::{Balance, Config, HostPolicy, StickyKey, Target, Upstream, UpstreamProtocol};
use crate::health::{NoPlace, NoRetry, Reason, Shown, TargetHealth};
use crate::names::Shown as Name;
use crate::telemetry::traffic::TargetSummary;

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
    let upstream = found.ok_or_else(|| no_such_upstream(&in_force.config, name))?;
    Ok(Reply::json(show(admin, upstream)))
}

fn no_such_upstream(config: &Config, name: &str) -> Refusal {
    Refusal::no_such("upstream", name, config.upstreams.iter().map(|upstream| &*upstream.name))
}

pub(super) fn drain(admin: &Admin, call: &Call) -> Answer {
    by_hand(admin, call, true)
}

pub(super) fn enable(admin: &Admin, call: &Call) -> Answer {
    by_hand(admin, call, false)
}

/// Holds until the other is asked for, or the process ends. Targets of one host and port, in clear and over
/// TLS, are one machine.
fn by_hand(admin: &Admin, call: &Call, is_drained: bool) -> Answer {
    let [target] = call.known(["target"])?;
    let target = target.ok_or_else(|| Refusal::bad("`target` is required: which one?"))?;
    let name = call.path.first().map_or("", String::as_str);
    let in_force = admin.in_force();
    let found = in_force.config.upstreams.iter().find(|upstream| upstream.name == name);
    let upstream = found.ok_or_else(|| no_such_upstream(&in_force.config, name))?;
    let targets = upstream.targets.iter().filter(|known| known.authority == target);
    let health = &admin.0.metrics.health;
    let targets = targets.filter_map(|it| health.target(name, &it.authority, it.tls));
    let targets: Vec<_> = targets.collect();
    if targets.is_empty() {
        let known = upstream.targets.iter().map(|target| &*target.authority);
        return Err(Refusal::no_such("target", &target, known));
    }
    let what = json!({ "upstream": name, "target": target });
    let operation = if is_drained { "target-drain" } else { "target-enable" };
    let entry = Entry::of(admin, call, operation, what)?;
    targets.iter().for_each(|target| target.drain(is_drained));
    entry.done("changed");
    Ok(Reply::json(show(admin, upstream)))
}

/// As the configuration writes it.
fn hash_by(key: &StickyKey) -> String {
    match key {
        StickyKey::ClientAddress => "client.address".to_owned(),
        StickyKey::Attribute(name) => name.clone(),
        StickyKey::Header(name) => format!("header:{name}"),
        StickyKey::Cookie(name) => format!("cookie:{name}"),
    }
}

fn show(admin: &Admin, upstream: &Upstream) -> Value {
    let targets = upstream.targets.iter().map(|target| show_target(admin, upstream, target));
    let timeouts = &upstream.timeouts;
    let names = admin.0.metrics.names.all();
    let names = names.iter().filter(|name| name.names().0 == upstream.name);
    let names = names.map(|name| show_name(name.names().1, &name.show()));
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
        "balance": match upstream.balance {
            Balance::RoundRobin => "round_robin",
            Balance::LeastRequests => "least_requests",
            Balance::PeakEwma => "peak_ewma",
            Balance::ConsistentHash => "consistent_hash",
        },
        "hash_by": (upstream.balance == Balance::ConsistentHash).then(|| hash_by(&upstream.hash_by)),
        "slow_start_seconds": upstream.slow_start.as_secs_f64(),
        "capacity": upstream.capacity.as_ref().map(|it| json!({
            "requests": it.requests,
            "queue": it.queue,
            "queue_time_seconds": it.queue_time.as_secs_f64(),
            "adaptive": it.adaptive.as_ref().map(|it| json!({
                "min": it.min,
                "latency": it.latency,
                "interval_seconds": it.interval.as_secs_f64(),
                "remeasure_seconds": it.remeasure.as_secs_f64(),
            })),
        })),
        "connections": upstream.connections.as_ref().map(|it| json!({
            "max": it.max,
            "queue": it.queue,
            "queue_time_seconds": it.queue_time.as_secs_f64(),
        })),
        "retry_budget": {
            "share": f64::from(upstream.retry_budget.share) / 1000.0,
            "min_per_second": upstream.retry_budget.min_per_second,
        },
        "load": show_load(admin, upstream),
        "names": names.collect::<Vec<_>>(),
        "targets": targets.collect::<Vec<_>>(),
    })
}

/// What is asked of it beyond what clients ask, and who waits for a place.
fn show_load(admin: &Admin, upstream: &Upstream) -> Value {
    let loads = admin.0.metrics.health.loads();
    let load = loads.iter().find(|load| load.upstream() == upstream.name);
    let named = |words: &[&str], counts: &[u64]| -> Value {
        let counts =
            words.iter().zip(counts).map(|(word, count)| ((*word).to_owned(), json!(count)));
        counts.collect::<Map<_, _>>().into()
    };
    let refused = load.map_or([0; NoRetry::ALL.len()], |load| load.refused());
    let places = load.and_then(|load| load.known_places()).map(|places| {
        let (open, waiting) = places.counts();
        let shed = named(&NoPlace::WORDS, &places.shed());
        let (limit, least) = places.limit();
        json!({
            "limit": limit,
            "least_latency_seconds": least.map(|least| least.as_secs_f64()),
            "open": open,
            "waiting": waiting,
            "shed_total": shed,
        })
    });
    json!({
        "retry_budget_spent": load.is_some_and(|load| load.is_spent()),
        "retries_refused_total": named(&NoRetry::ALL.map(NoRetry::word), &refused),
        "requests": places,
    })
}

fn show_name(host: &str, shown: &Name) -> Value {
    json!({
        "name": host,
        "kind": if shown.is_srv { "srv" } else { "address" },
        "resolver": shown.resolver,
        "answer": shown.answer,
        "age_seconds": shown.age.map(|age| age.as_secs_f64()),
        "ttl_seconds": shown.ttl.map(|ttl| ttl.as_secs_f64()),
        "look_ups": { "found": shown.counts[0], "failed": shown.counts[1] },
        "error": shown.error,
    })
}

fn show_target(admin: &Admin, upstream: &Upstream, target: &Target) -> Value {
    let traffic = &admin.0.metrics.traffic;
    let TargetSummary { results, opened, retries } =
        traffic.attempts(&upstream.name, &target.authority).unwrap_or_default();
    let attempts: Map<String, Value> =
        results.into_iter().map(|(result, count)| (result.to_owned(), count.into())).collect();
    let known = &admin.0.metrics.health;
    let health = known.target(&upstream.name, &target.authority, target.tls);
    json!({
        "target": target.authority,
        "tls": target.tls,
        "weight": target.weight,
        "priority": target.priority,
        "attempts": attempts,
        "retries_total": retries,
        "connections_opened": opened,
        "health": health.map(|health| show_health(&health.show())),
    })
}

fn show_health(shown: &Shown) -> Value {
    let ejections = Reason::ALL.iter().zip(shown.ejections);
    let ejections: Map<String, Value> =
        ejections.map(|(reason, count)| (reason.word().to_owned(), count.into())).collect();
    json!({
        "state": shown.state.word(),
        "reason": shown.reason.map(Reason::word),
        "seconds_left": shown.until.map(|until| TargetHealth::left(until).as_secs_f64()),
        "consecutive_failures": shown.failures,
        "ejections": ejections,
        "checks": { "passed": shown.checks[0], "failed": shown.checks[1] },
        "check_error": shown.check_error,
    })
}
