//! `GET /events`: the sinks of events.
//!
//! Owns how a sink is shown: how it stands, and never an event.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Admin;
use super::call::{Answer, Call, Reply};
use super::page::Page;
use crate::config::{Config, EventSink};

pub(super) fn list(admin: &Admin, call: &Call) -> Answer {
    let [offset, limit] = call.known(["offset", "limit"])?;
    let page = Page::new(offset.as_deref(), limit.as_deref())?;
    let in_force = admin.in_force();
    let config = &in_force.config;
    let show = |definition: &Arc<EventSink>| show(admin, config, definition);
    Ok(Reply::json(page.of("events", config.events.iter(), show)))
}

fn show(admin: &Admin, config: &Config, definition: &Arc<EventSink>) -> Value {
    let sink = admin.0.limits.events.of(definition);
    let counts = sink.counts();
    let dropped = counts.dropped_by_reason().map(|(why, count)| (why.to_owned(), count.into()));
    let is_listed = |it: &&crate::config::Plugin| {
        it.events.as_ref().is_some_and(|sinks| sinks.iter().any(|it| it.name == definition.name))
    };
    let plugins: Vec<_> = config.plugins.iter().filter(is_listed).map(|it| &*it.name).collect();
    json!({
        "name": definition.name,
        "upstream": &*definition.upstream.name,
        "plugins": plugins,
        "away": sink.is_away(),
        "queued_bytes": counts.queued(),
        "queue_bytes_max": definition.queue,
        "delivered_total": counts.all_delivered(),
        "dropped_total": dropped.collect::<Map<_, _>>(),
        "failed_requests_total": counts.all_failed(),
    })
}
