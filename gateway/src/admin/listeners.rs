//! `GET /listeners`.

use serde_json::{Map, Value, json};

use super::Admin;
use super::call::{Answer, Call, Reply};
use super::in_force::InForce;
use crate::config::Listener;

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let in_force = admin.in_force();
    let listeners: Vec<Value> =
        in_force.config.listeners.iter().map(|it| show(admin, &in_force, it)).collect();
    Ok(Reply::json(json!({ "listeners": listeners })))
}

fn show(admin: &Admin, in_force: &InForce, listener: &Listener) -> Value {
    // Port 0 is another one by now.
    let address = in_force.addresses.get(&listener.name).unwrap_or(&listener.address);
    let places = admin.0.metrics.slots_of(&listener.name);
    let refused: Map<String, Value> = places
        .iter()
        .flat_map(|places| places.refused())
        .map(|(limit, count)| (limit.to_owned(), count.into()))
        .collect();
    let trusted = listener.trusted_proxies.iter().map(ToString::to_string);
    let limits = &listener.limits;
    json!({
        "name": listener.name,
        "address": address.to_string(),
        "tls": listener.tls.is_some(),
        "certificates": listener.tls.as_ref().map_or(0, |tls| tls.certificates.len()),
        "connections": places.as_ref().map_or(0, |places| places.open()),
        "connections_refused": refused,
        "trusted_proxies": trusted.collect::<Vec<_>>(),
        "limits": {
            "connections": limits.connections,
            "connections_per_address": limits.connections_per_address,
            "header_count": limits.header_count,
            "header_size_bytes": limits.header_size,
            "body_size_bytes": limits.body_size,
            "body_rate_bytes_per_second": limits.body_rate,
            "concurrent_streams": limits.concurrent_streams,
        },
    })
}
