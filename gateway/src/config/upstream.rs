//! `[upstreams.NAME]`.
//!
//! Owns targets, protocol, TLS, timeouts and kept connections of upstreams, and the names of those
//! that something else may send requests to.

mod balance;
mod dns;
pub(super) mod health;
pub(super) mod target;

use std::collections::HashMap;

use rustls::pki_types::ServerName;
use toml::de::DeValue;

use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::keys::TARGET;
use super::names::Names;
use super::reader::{Reading, Table, Text, Value};
use super::{
    Adaptive, AddedFields, Capacity, ConnectionBound, HostPolicy, Place, Span, Target, Upstream,
    UpstreamId, UpstreamIdentity, UpstreamLimits, UpstreamProtocol, UpstreamTimeouts, UpstreamTls,
    certificates, listener, retries,
};

/// Reads an upstream.
pub(super) fn read(name: &Text, table: &Table<'_, '_>) -> Option<Upstream> {
    let targets = targets(table);
    let dns = dns::dns(table, &targets);
    let is_written = dns::stand_for_several(&dns, &targets);
    balance::warn_of_one_priority(table, &targets);
    let protocol = match table.choice("protocol") {
        "http1" => UpstreamProtocol::Http1,
        "http2" => UpstreamProtocol::Http2,
        _ => UpstreamProtocol::Auto,
    };
    let host = match table.choice("host") {
        "target" => HostPolicy::Target,
        _ => HostPolicy::Preserve,
    };
    let balance = balance::balance(table);
    let tls = tls(table, &targets);
    let timeouts = timeouts(&table.table("timeouts"));
    let keep_alive = table.table("keep_alive");
    let upstream = Upstream {
        name: name.value.clone(),
        written: if is_written { targets.clone() } else { Vec::new() },
        targets,
        dns,
        protocol,
        host,
        tls,
        timeouts,
        idle_connections: keep_alive.integer("connections").unwrap_or_default() as usize,
        idle_timeout: keep_alive.duration("idle").unwrap_or_default(),
        ping: keep_alive.duration("ping").unwrap_or_default(),
        ping_timeout: keep_alive.duration("ping_timeout").unwrap_or_default(),
        max_age: keep_alive.duration("max_age").unwrap_or_default(),
        limits: limits(&table.table("limits")),
        added_fields: added_fields(table),
        buffer_request_bodies: table.size("buffer_request_bodies"),
        balance,
        hash_by: balance::hash_by(table, balance),
        slow_start: balance::slow_start(table, balance),
        overprovisioning: table.integer("overprovisioning").unwrap_or_default() as u32,
        ejection: health::ejection(table),
        health: health::health(table),
        retry_budget: retries::budget(table),
        capacity: capacity(table),
        connections: connections(table),
        grpc_web: grpc_web(table, protocol),
    };
    (!upstream.targets.is_empty()).then_some(upstream)
}

fn targets(table: &Table<'_, '_>) -> Vec<Target> {
    let items = table.filled_list("targets").unwrap_or_default();
    let read = |item| target(table.reading, item);
    let targets: Vec<_> = items.iter().filter_map(read).collect();
    let mut first: HashMap<(bool, &str), (&Span, u8)> = HashMap::new();
    for (target, span) in &targets {
        match first.get(&(target.tls, &*target.authority)) {
            Some((earlier, priority)) => table.reading.report(
                Diagnostic::warning(span.clone(), "this target is listed twice")
                    .related((*earlier).clone(), "first here")
                    .help(match *priority == target.priority {
                        true => "give it a `weight` if it shall have a larger share",
                        false => "it takes over from itself: leave one of both out",
                    }),
            ),
            None => drop(first.insert((target.tls, &target.authority), (span, target.priority))),
        }
    }
    if !targets.is_empty()
        && targets.iter().all(|(target, _)| target.weight == 0)
        && let Some(value) = table.value("targets")
    {
        let error = "no target gets a request: each has the weight 0";
        let error = Diagnostic::error(value.span(), error);
        table.reading.report(error.help("leave `weight` out where a target shall get its share"));
    }
    targets.into_iter().map(|(target, _)| target).collect()
}

fn target<'a>(reading: &Reading<'a>, item: &Value<'a>) -> Option<(Target, Span)> {
    let (url, is_srv, weight, priority) = match item.get_ref() {
        DeValue::Table(_) => {
            let table = Table::open(reading, item, &TARGET)?;
            let weight = table.integer("weight");
            let priority = table.integer("priority");
            let (url, is_srv) = url_or_srv(&table)?;
            (url, is_srv, weight, priority)
        }
        DeValue::String(_) => (reading.text(item, "a target")?, false, None, None),
        _ => {
            reading.report(reading.wrong_type(item, "a target", "a URL or a table"));
            return None;
        }
    };
    let mut target = match is_srv {
        false => reading.parsed(&url, "a URL of a target", target::parse)?,
        true => reading.parsed(&url, "a URL with a name of SRV records", target::parse_srv)?,
    };
    target.weight = weight.unwrap_or(1) as u32;
    target.priority = priority.unwrap_or_default() as u8;
    target.place = Place(url.span.clone());
    Some((target, url.span))
}

/// `url` or `srv`, of which a target has one, and whether it is the second.
fn url_or_srv(table: &Table<'_, '_>) -> Option<(Text, bool)> {
    let (url, srv) = (table.value("url"), table.value("srv"));
    if let (Some(_), Some(srv)) = (url, srv) {
        let error = Diagnostic::error(srv.span(), "a target has a `url` or an `srv`, and not both");
        table.reading.report(error.help("make two targets of it"));
        return None;
    }
    if url.is_none() && srv.is_none() && !table.misspells("url") && !table.misspells("srv") {
        let error = Diagnostic::error(table.span.clone(), "a target has no `url`");
        let error = error.label("`url` or `srv` is required");
        table.reading.report_absence(error.help("add `url = \"http://127.0.0.1:9000\"`"));
    }
    match srv {
        Some(_) => Some((table.text("srv")?, true)),
        None => Some((table.text("url")?, false)),
    }
}

/// How targets are spoken to over TLS.
pub(super) fn tls(table: &Table<'_, '_>, targets: &[Target]) -> UpstreamTls {
    let Some(given) = table.given_table("tls") else {
        return UpstreamTls::default();
    };
    if !targets.is_empty() && targets.iter().all(|target| !target.tls) {
        let warning = "`tls` has no effect: no target is an `https` URL";
        let place = table.key_span("tls").unwrap_or_else(|| given.span.clone());
        table.reading.report_absence(Diagnostic::warning(place, warning));
    }
    let file = given.word("ca");
    let ca = file.as_ref().and_then(|file| certificates::authorities(given.reading, file));
    let server_name = given.word("server_name").and_then(|name| {
        given.reading.parsed(&name, "a server name", |name| {
            let fault = || Fault::new(0..name.len(), format!("`{name}` is not a server name"));
            let valid = ServerName::try_from(name).map(|_| name.to_owned());
            valid.map_err(|_| fault().help("write a host name or an IP address, without a port"))
        })
    });
    if let (Some(file), Some(found)) = (&file, &ca) {
        let hosts: Vec<&str> = match &server_name {
            Some(name) => vec![name],
            None => targets.iter().filter(|it| it.tls).map(Target::server_name).collect(),
        };
        certificates::warn_of_other_hosts(given.reading, file, found, &hosts);
    }
    let identity = identity(&given);
    let min_version = listener::min_version(&given, "min_version");
    UpstreamTls { ca, server_name, identity, min_version }
}

/// `certificate` and `key`, of which none is worth anything without the other.
fn identity(table: &Table<'_, '_>) -> Option<UpstreamIdentity> {
    let (certificate, key) = (table.word("certificate"), table.word("key"));
    match (&certificate, &key) {
        (Some(certificate), Some(key)) => {
            certificates::client_key(table.reading, certificate, key).map(UpstreamIdentity)
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let (given, missing) =
                if key.is_none() { ("certificate", "key") } else { ("key", "certificate") };
            if let Some(place) = table.key_span(given) {
                let error = Diagnostic::error(place, format!("`{given}` needs `{missing}`"));
                let help =
                    "name both files: `certificate = \"gateway.pem\", key = \"gateway.key\"`";
                table.reading.report_absence(error.help(help));
            }
            None
        }
    }
}

fn timeouts(table: &Table<'_, '_>) -> UpstreamTimeouts {
    UpstreamTimeouts {
        connect: table.duration("connect").unwrap_or_default(),
        first_byte: table.duration("first_byte").unwrap_or_default(),
        idle: table.duration("idle").unwrap_or_default(),
        request_body: table.duration("request_body").unwrap_or_default(),
    }
}

/// Refuses a bound of bodies that are read first which is over the room for all bodies: one body alone could not have it.
pub(super) fn refuse_bodies_without_room(
    table: &Table<'_, '_>,
    upstream: &Upstream,
    process: &Table<'_, '_>,
    room: usize,
) {
    if upstream.buffer_request_bodies.is_none_or(|limit| limit <= room as u64) || room == 0 {
        return;
    }
    let place = table.value("buffer_request_bodies").map(Value::span);
    let error = format!(
        "a body may be larger than the {room} bytes that all bodies have together (`buffered_bodies` of `[gateway]`)"
    );
    let mut error = Diagnostic::error(place.unwrap_or_else(|| table.span.clone()), error)
        .help("raise `buffered_bodies` of `[gateway]`, or lower `buffer_request_bodies`");
    if let Some(span) = process.key_span("buffered_bodies") {
        error = error.related(span, "which is set here");
    }
    table.reading.report(error);
}

fn limits(table: &Table<'_, '_>) -> UpstreamLimits {
    UpstreamLimits {
        header_count: table.integer("header_count").unwrap_or_default() as usize,
        header_size: table.size("header_size").unwrap_or_default() as usize,
    }
}

fn capacity(table: &Table<'_, '_>) -> Option<Capacity> {
    let given = table.given_table("capacity")?;
    let (queue, queue_time) = queue(&given)?;
    let requests = given.integer("requests")? as usize;
    let adaptive = adaptive(&given, requests);
    Some(Capacity { requests, queue, queue_time, adaptive })
}

fn adaptive(capacity: &Table<'_, '_>, requests: usize) -> Option<Adaptive> {
    let given = capacity.given_table("adaptive")?;
    let min = given.integer("min")? as usize;
    if min > requests {
        let place = given.key_span("min").or_else(|| capacity.key_span("requests"));
        let error = format!("`min` is {min}, which is over `requests` ({requests})");
        let error = Diagnostic::error(place.unwrap_or_else(|| given.span.clone()), error);
        capacity
            .reading
            .report(error.help("`requests` is the upper bound, and `min` the lower one"));
    }
    let (interval, remeasure) = (given.duration("interval")?, given.duration("remeasure")?);
    if remeasure < interval
        && let Some(place) = given.key_span("remeasure").or_else(|| given.key_span("interval"))
    {
        let warning = "`remeasure` is shorter than `interval`: it is measured after every interval, and no sooner";
        let warning = Diagnostic::warning(place, warning);
        given.reading.report(warning.help("raise `remeasure`, or lower `interval`"));
    }
    Some(Adaptive { min, latency: given.integer("latency")? as u32, interval, remeasure })
}

fn connections(table: &Table<'_, '_>) -> Option<ConnectionBound> {
    let given = table.given_table("connections")?;
    let (queue, queue_time) = queue(&given)?;
    let max = given.integer("max")? as usize;
    Some(ConnectionBound { max, queue, queue_time })
}

/// How many may wait, and for how long.
fn queue(given: &Table<'_, '_>) -> Option<(usize, std::time::Duration)> {
    let queue = given.integer("queue")? as usize;
    if queue == 0
        && let Some(place) = given.key_span("queue_time")
    {
        let warning = "`queue_time` has no effect: `queue` is 0, and no request waits";
        given.reading.report(Diagnostic::warning(place, warning));
    }
    Some((queue, given.duration("queue_time")?))
}

/// gRPC is spoken over HTTP/2 alone: its status is in the trailers.
fn grpc_web(table: &Table<'_, '_>, protocol: UpstreamProtocol) -> bool {
    let wanted = table.choice("grpc_web") == "translate";
    if wanted
        && protocol == UpstreamProtocol::Http1
        && let Some(place) = table.key_span("grpc_web")
    {
        let error = Diagnostic::error(place, "`grpc_web` needs targets that speak HTTP/2");
        table.reading.report(error.help("write `protocol = \"http2\"`"));
    }
    wanted
}

fn added_fields(table: &Table<'_, '_>) -> AddedFields {
    let Some(chosen) = table.choices("added_fields") else {
        return AddedFields::default();
    };
    AddedFields {
        x_forwarded: chosen.contains(&"x-forwarded"),
        forwarded: chosen.contains(&"forwarded"),
        via: chosen.contains(&"via"),
        request_id: chosen.contains(&"x-request-id"),
    }
}

/// The upstreams that a key of a plugin or a component lists; `None` where the file has no such key.
pub(super) fn granted(
    table: &Table<'_, '_>,
    key: &str,
    known: &Names,
) -> Option<Vec<(String, UpstreamId)>> {
    let items = table.list(key)?.iter();
    let names = items.filter_map(|item| table.reading.text(item, "the name of an upstream"));
    let found = names.filter_map(|name| {
        let index = known.find(table.reading, &name, "an `[upstreams.NAME]` table")?;
        Some((name.value, UpstreamId(index)))
    });
    Some(found.collect())
}
