//! What happened to an exchange, in one sentence.
//!
//! Owns the choice of what is said: whose error it is, who refused it, or where the time went.

use super::Record;

/// The sentence of a record that is complete but for it.
pub(crate) fn sentence(record: &Record) -> String {
    let total = time(record.duration_ns);
    if let Some(error) = &record.error {
        let whose = match error.fault {
            "client" if record.status.is_some() => "refused, by the client's fault",
            "client" => "the client's fault",
            "upstream" => "the upstream's fault",
            "plugin" => "a plugin's fault",
            _ => "ended by the gateway",
        };
        return format!("{whose}: {}", error.cause);
    }
    if record.outcome == "left" {
        return format!("the client left after {total}, {}", meanwhile(record));
    }
    let status = record.status.unwrap_or_default();
    let answer = record.hooks.iter().rev().find(|hook| hook.status == record.status);
    if let (Some(hook), true) = (answer, record.status.is_some())
        && record.answered_by.as_deref() == Some(&format!("plugin {}", hook.plugin))
    {
        let verb = if status >= 400 { "refused" } else { "answered" };
        let place = match hook.how {
            "waited" => "while it waited for a slot".to_owned(),
            _ => format!("in {}", hook.hook),
        };
        let reason = hook.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        return format!("{verb} by the plugin `{}` {place} with {status}", hook.plugin)
            + &most(record)
            + &reason;
    }
    let by = match record.answered_by.as_deref().and_then(|by| by.split_once(' ')) {
        Some((kind, name)) => format!("the {kind} `{name}`"),
        None if record.answered_by.as_deref() == Some("route") => {
            let name = record.route.as_ref().map_or("", |route| &route.name);
            format!("the configuration of the route `{name}`")
        }
        None => "the gateway".to_owned(),
    };
    format!("answered with {status} by {by}{}", most(record))
}

/// What went on when the client left.
fn meanwhile(record: &Record) -> String {
    if let Some(running) = &record.running {
        if running.hook == "slot" {
            return format!("while it waited for a slot of the plugin `{}`", running.plugin);
        }
        return format!("while the plugin `{}` was in {}", running.plugin, running.hook);
    }
    if record.status.is_some() {
        return format!(
            "in the middle of the response, after {} bytes of it",
            record.response_bytes
        );
    }
    match &record.upstream {
        Some(upstream) if upstream.head_at_ns.is_none() => {
            let waited = time(record.duration_ns.saturating_sub(upstream.sent_at_ns));
            format!("while the {} `{}` had not answered for {waited}", upstream.kind, upstream.name)
        }
        Some(_) => "before it was given the answer".to_owned(),
        None => "before its request was complete".to_owned(),
    }
}

/// Where most of the time went, if it is worth a word.
fn most(record: &Record) -> String {
    let total = record.duration_ns;
    let mut parts: Vec<(u64, String)> = record
        .hooks
        .iter()
        .map(|hook| {
            let plugin = &hook.plugin;
            let part = match hook.how {
                "waited" => format!("waiting for a slot of the plugin `{plugin}`"),
                _ => format!("in the plugin `{plugin}`, {}", hook.hook),
            };
            (hook.took_ns, part)
        })
        .collect();
    if let Some(upstream) = &record.upstream {
        let connecting: u64 = upstream.attempts.iter().filter_map(|it| it.connect_ns).sum();
        let until = upstream.head_at_ns.unwrap_or(total);
        let waited = until.saturating_sub(upstream.sent_at_ns).saturating_sub(connecting);
        let name = &upstream.name;
        parts.push((waited, format!("waiting for the head of the {} `{name}`", upstream.kind)));
        parts.push((connecting, format!("connecting to the upstream `{name}`")));
    }
    if let Some(head) = record.head_at_ns {
        parts.push((total.saturating_sub(head), "sending the response".to_owned()));
    }
    match parts.into_iter().max_by_key(|(took, _)| *took) {
        Some((took, part)) if took >= total / 2 && total >= 1_000_000 => {
            format!(" after {}, of which {} {part}", time(total), time(took))
        }
        _ => format!(" after {}", time(total)),
    }
}

/// A time for people: three digits and a unit.
pub(super) fn time(nanos: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let nanos = nanos as f64;
    let (value, unit) = match nanos {
        _ if nanos < 1e3 => return format!("{nanos} ns"),
        _ if nanos < 1e6 => (nanos / 1e3, "µs"),
        _ if nanos < 1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_times_with_three_digits() {
        for (nanos, shown) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_500, "1.50 µs"),
            (12_345_678, "12.3 ms"),
            (512_000_000, "512 ms"),
            (1_234_567_890, "1.23 s"),
        ] {
            assert_eq!(time(nanos), shown);
        }
    }
}
