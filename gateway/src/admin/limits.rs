//! `GET /limits` and `POST /limits/reset`: the limits of a consumer, and a new start for it.
//!
//! Owns how a limit is shown. Which plugins limit a consumer is known from their buckets: this gateway shows those
//! that began through it.

use http::StatusCode;
use serde_json::{Value, json};

use super::Admin;
use super::audit::Entry;
use super::call::{Call, Refusal, Reply};
use super::router::Waiting;
use crate::config::Plugin;
use crate::state::ConsumerLimits;
use crate::state::limits::Bucket;
use crate::state::limits::quotas::{Reservation, Window};

/// Whose limits, and of which plugin.
struct Question {
    consumer: String,
    plugin: Option<String>,
}

pub(super) fn look<'a>(admin: &'a Admin, call: &'a Call) -> Waiting<'a> {
    Box::pin(async {
        let question = question(call)?;
        let consumer = &question.consumer;
        let (mut limits, mut unavailable) = (Vec::new(), Vec::new());
        for (plugin, of_plugin) in asked(admin, &question)? {
            let Ok(buckets) = of_plugin.look(consumer).await else {
                unavailable.push(plugin);
                continue;
            };
            let is_shared = of_plugin.is_shared();
            let show = |(bucket, reservation): &(Bucket, Reservation)| {
                show(&plugin, (is_shared, bucket.is_own(consumer)), bucket, reservation)
            };
            limits.extend(buckets.iter().map(show));
        }
        let answer = json!({ "consumer": consumer, "limits": limits, "unavailable": unavailable });
        Ok(Reply::json(answer))
    })
}

pub(super) fn reset<'a>(admin: &'a Admin, call: &'a Call) -> Waiting<'a> {
    Box::pin(async {
        let question = question(call)?;
        let asked = asked(admin, &question)?;
        let Question { consumer, plugin } = question;
        let what = json!({ "consumer": consumer, "plugin": plugin });
        let entry = Entry::of(admin, call, "limits-reset", what)?;
        let of = consumer.clone();
        // In a task of its own: it is finished, and written down, whether or not somebody waits for it.
        let done = tokio::task::spawn_local(async move {
            let (mut reset, mut unavailable) = (0, Vec::new());
            for (plugin, of_plugin) in asked {
                match of_plugin.reset(&of).await {
                    Ok(count) => reset += count,
                    Err(_) => unavailable.push(plugin),
                }
            }
            entry.done(match (reset, unavailable.is_empty()) {
                (_, false) => "partly",
                (0, true) => "nothing",
                (_, true) => "reset",
            });
            (reset, unavailable)
        });
        let gone = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway is about to end");
        let (reset, unavailable) = done.await.map_err(gone)?;
        let answer = json!({ "consumer": consumer, "reset": reset, "unavailable": unavailable });
        Ok(Reply::json(answer))
    })
}

fn question(call: &Call) -> Result<Question, Refusal> {
    let [consumer, plugin] = call.known(["consumer", "plugin"])?;
    let consumer = consumer.filter(|name| !name.is_empty());
    let consumer = consumer.ok_or_else(|| Refusal::bad("`consumer` is required: whose limits?"))?;
    Ok(Question { consumer, plugin })
}

/// The plugins in question that have run.
fn asked(admin: &Admin, question: &Question) -> Result<Vec<(String, ConsumerLimits)>, Refusal> {
    let in_force = admin.in_force();
    let plugins = &in_force.config.plugins;
    if let Some(name) = &question.plugin
        && !plugins.iter().any(|plugin| plugin.name == *name)
    {
        return Err(Refusal::no_such("plugin", name, plugins.iter().map(|plugin| &*plugin.name)));
    }
    let is_asked = |name: &str| question.plugin.as_deref().is_none_or(|asked| asked == name);
    let plugins = plugins.iter().filter(|plugin| is_asked(&plugin.name));
    let of = |plugin: &Plugin| {
        let limits = admin.0.limits.limits_of(plugin)?;
        Some((plugin.name.clone(), limits))
    };
    Ok(plugins.filter_map(of).collect())
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people and scripts")]
fn show(
    plugin: &str,
    (is_shared, is_own): (bool, bool),
    bucket: &Bucket,
    Reservation { verdict, length, .. }: &Reservation,
) -> Value {
    let seconds = |nanos: u64| nanos as f64 / 1e9;
    let (window, time_zone, burst) = match bucket.window {
        Window::Bucket { burst, .. } => ("bucket", None, burst),
        Window::Fixed(_) => ("fixed", None, bucket.limit),
        Window::Sliding(_) => ("sliding", None, bucket.limit),
        Window::Calendar(unit, zone) => (unit.name(), Some(zone.name()), bucket.limit),
    };
    json!({
        "plugin": plugin,
        // Plugins choose their keys; control characters are escaped.
        "key": bucket.key.escape_debug().to_string(),
        "limit": bucket.limit,
        "window": window,
        "time_zone": time_zone,
        "period_seconds": seconds(*length),
        "burst": burst,
        "remaining": verdict.remaining,
        "full_in_seconds": seconds(verdict.reset),
        "is_own": is_own,
        "is_shared": is_shared,
    })
}
