//! Records for people.
//!
//! Owns the table of a list and the waterfall of one record. Must not ask for anything.

use std::fmt::Write as _;

use serde_json::Value;

/// Columns of the waterfall's bars.
const BAR: u64 = 40;

/// A table: one line a record, newest last.
pub(super) fn list(records: &[Value], with_head: bool) -> String {
    let mut text = String::new();
    if with_head {
        line(&mut text, ["time", "status", "took", "kept", "request", "id", "what happened"]);
    }
    for record in records {
        let status = record["status"].as_u64().map_or("-".to_owned(), |status| status.to_string());
        let time = self::text(&record["time"]);
        let clock = time.get(11..23).unwrap_or(&time);
        let route = match record["route"].as_str() {
            Some(route) => format!(" ({route})"),
            None => String::new(),
        };
        let request = format!("{} {}{route}", self::text(&record["method"]), target(record));
        line(
            &mut text,
            [
                clock,
                &status,
                &duration(&record["duration_ns"]),
                &self::text(&record["kept"]),
                &request,
                &self::text(&record["id"]),
                &self::text(&record["explanation"]),
            ],
        );
    }
    text
}

fn line(out: &mut String, [time, status, took, kept, request, id, what]: [&str; 7]) {
    let text =
        format!("{time:<12}  {status:>6}  {took:>8}  {kept:<8}  {request:<36}  {id:<32}  {what}");
    out.push_str(text.trim_end());
    out.push('\n');
}

/// Everything about one record.
pub(super) fn record(record: &Value) -> String {
    let mut out = String::new();
    let version = text(&record["version"]);
    let (method, explanation) = (text(&record["method"]), text(&record["explanation"]));
    let _written = writeln!(out, "{method} {} {version}\n{explanation}\n", target(record));
    facts(record, &mut out);
    routes(record, &mut out);
    out.push('\n');
    waterfall(record, &mut out);
    out
}

fn facts(record: &Value, out: &mut String) {
    let status = record["status"].as_u64().map_or("none".to_owned(), |status| status.to_string());
    let by = record["answered_by"].as_str().map_or(String::new(), |by| format!(", by {by}"));
    add(out, "id", &text(&record["id"]));
    add(out, "time", &format!("{} on worker {}", text(&record["time"]), record["worker"]));
    add(out, "status", &format!("{status}{by}; {}", text(&record["outcome"])));
    if let Some(error) = record["error"].as_object() {
        add(out, "error", &format!("{}: {}", text(&error["fault"]), text(&error["cause"])));
    }
    let (client, listener) = (text(&record["client"]), text(&record["listener"]));
    add(out, "client", &format!("{client} on listener {listener}"));
    add(out, "host", &text(&record["host"]));
    if let Some(consumer) = record["consumer"].as_str() {
        add(out, "consumer", consumer);
    }
    let (up, down) = (&record["request_bytes"], &record["response_bytes"]);
    add(out, "bytes", &format!("{up} of the request's body, {down} of the response's"));
    add(out, "kept", &text(&record["kept"]));
}

fn routes(record: &Value, out: &mut String) {
    let route = &record["route"];
    if route.is_null() {
        add(out, "route", "none");
    } else {
        let place = route["place"].as_str().map_or(String::new(), |at| format!(" ({at})"));
        let host = route["host"].as_str().map_or(String::new(), |host| format!(" on host {host}"));
        let pattern = text(&route["pattern"]);
        add(out, "route", &format!("{}, by {pattern}{host}{place}", text(&route["name"])));
        let wants = words(&route["wants"]);
        if !wants.is_empty() {
            add(out, "", &format!("it wants {wants}, and had it"));
        }
    }
    if let Some(path) = record["matched_path"].as_str() {
        add(out, "", &format!("the path was matched as {path}"));
    }
    for other in record["other_routes"].as_array().into_iter().flatten() {
        let (name, wants) = (text(&other["route"]), words(&other["wants"]));
        let line = match other["why"].as_str().unwrap_or_default() {
            "passed-over" => format!("not {name}, which comes first: it wants {wants}"),
            "less-specific" => format!("before {name}, which is less specific"),
            _ => format!("not {name}: it wants {wants}"),
        };
        add(out, "", &line);
    }
}

/// One line an event, in the order of time, with a bar where it lies in the whole.
fn waterfall(record: &Value, out: &mut String) {
    let total = record["duration_ns"].as_u64().unwrap_or_default();
    let mut events: Vec<(u64, u64, String)> = Vec::new();
    for hook in record["hooks"].as_array().into_iter().flatten() {
        events.push((number(&hook["at_ns"]), number(&hook["took_ns"]), of_hook(hook)));
    }
    for line in record["log"].as_array().into_iter().flatten() {
        let (plugin, level) = (text(&line["plugin"]), text(&line["level"]));
        let label = format!("  {plugin} wrote ({level}): {}", text(&line["text"]));
        events.push((number(&line["at_ns"]), 0, label));
    }
    if let Some(running) = record["running"].as_object() {
        let (at, plugin) = (number(&running["at_ns"]), text(&running["plugin"]));
        let label = format!("{plugin} {}: had not returned", text(&running["hook"]));
        events.push((at, total.saturating_sub(at), label));
    }
    if record["upstream"].is_object() {
        of_upstream(&record["upstream"], total, &mut events);
    }
    if let Some(head) = record["head_at_ns"].as_u64() {
        events.push((head, 0, "head of the response".to_owned()));
        events.push((
            head,
            total.saturating_sub(head),
            "to the last byte of the response".to_owned(),
        ));
    }
    if let Some(first) = record["first_event_at_ns"].as_u64() {
        events.push((first, 0, "first event".to_owned()));
    }
    // What begins at the same time stays in this order.
    events.sort_by_key(|(at, ..)| *at);
    for (at, took, label) in events {
        row(out, (at, took, total), &label);
    }
    let omitted = number(&record["hooks_omitted"]);
    if omitted > 0 {
        add(out, "", &format!("and {omitted} hooks that had no room in the record"));
    }
    let before = number(&record["log_omitted"]);
    if before > 0 {
        add(out, "", &format!("and {before} lines of plugins that had no room in the record"));
    }
    row(out, (total, 0, total), text(&record["outcome"]).as_str());
}

fn of_upstream(upstream: &Value, total: u64, events: &mut Vec<(u64, u64, String)>) {
    let (kind, name) = (text(&upstream["kind"]), text(&upstream["name"]));
    let sent = number(&upstream["sent_at_ns"]);
    let head = upstream["head_at_ns"].as_u64();
    let label = match head {
        Some(_) => format!("{kind} {name}: to the head of its response"),
        None => format!("{kind} {name}: no response"),
    };
    events.push((sent, head.unwrap_or(total).saturating_sub(sent), label));
    for attempt in upstream["attempts"].as_array().into_iter().flatten() {
        let at = number(&attempt["at_ns"]);
        let took = attempt["ended_at_ns"].as_u64().unwrap_or(total).saturating_sub(at);
        let connection = match (attempt["connection"].as_str(), attempt["connect_ns"].as_u64()) {
            (Some("new"), Some(took)) => format!("new connection in {}", time(took)),
            (Some(kind), _) => format!("{kind} connection"),
            (None, _) => "no connection".to_owned(),
        };
        let (target, result) = (text(&attempt["target"]), text(&attempt["result"]));
        events.push((at, took, format!("  {target}: {connection}, {result}")));
    }
}

fn of_hook(hook: &Value) -> String {
    let mut label = format!("{} {}", text(&hook["plugin"]), text(&hook["hook"]));
    match hook["how"].as_str().unwrap_or_default() {
        "reused" => label.push_str(" (not called: its known change)"),
        "known" => label.push_str(" (not called: the same for all)"),
        "refused" => label.push_str(" (not called: too many wait)"),
        _ if number(&hook["calls"]) > 1 => {
            let _written = write!(label, " ({} calls)", hook["calls"]);
        }
        _ => {}
    }
    let decision = match hook["decision"].as_str().unwrap_or_default() {
        "answered" => format!("answered {}", hook["status"]),
        "cut-off" => "cut the body off".to_owned(),
        "failed" => format!("failed ({})", text(&hook["failure"])),
        "failed-open" => format!("failed ({}), went on without it", text(&hook["failure"])),
        _ => "next".to_owned(),
    };
    let _written = write!(label, ": {decision}");
    if let Some(reason) = hook["reason"].as_str() {
        let _written = write!(label, " ({})", reason.lines().next().unwrap_or_default());
    }
    let changes = words(&hook["changes"]);
    if !changes.is_empty() {
        let _written = write!(label, ", changed {changes}");
    }
    for (name, what) in [("queue_ns", "its turn"), ("instance_ns", "an instance")] {
        let waited = number(&hook[name]);
        if waited > 0 {
            let _written = write!(label, ", waited {} for {what}", time(waited));
        }
    }
    label
}

fn row(out: &mut String, (at, took, total): (u64, u64, u64), label: &str) {
    let place = |nanos: u64| {
        let columns = u128::from(nanos.min(total)) * u128::from(BAR) / u128::from(total.max(1));
        usize::try_from(columns).unwrap_or_default()
    };
    let begin = place(at).min(BAR as usize - 1);
    let width = (place(at.saturating_add(took)).saturating_sub(begin)).max(1);
    let bar = if took == 0 { "|".to_owned() } else { "█".repeat(width) };
    let (at, took) = (time(at), if took == 0 { String::new() } else { time(took) });
    let rest = " ".repeat((BAR as usize).saturating_sub(begin + bar.chars().count()));
    let _written = writeln!(out, "{at:>9}  {}{bar}{rest}  {took:>8}  {label}", " ".repeat(begin));
}

fn add(out: &mut String, name: &str, value: &str) {
    let _written = writeln!(out, "{name:<10}{value}");
}

fn target(record: &Value) -> String {
    text(&record["target"])
}

/// Without control characters, which a client may have sent.
fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn words(value: &Value) -> String {
    let words: Vec<_> = value.as_array().into_iter().flatten().map(text).collect();
    words.join(", ")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn duration(value: &Value) -> String {
    time(number(value))
}

/// A time with three digits and a unit.
fn time(nanos: u64) -> String {
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
    use serde_json::json;

    use super::*;

    #[test]
    fn shows_a_waterfall_with_one_line_an_event() {
        let shown = record(&json!({
            "id": "a", "method": "GET", "target": "/x", "version": "HTTP/1.1", "status": 200,
            "time": "2026-11-28T09:30:33.042Z", "worker": 0, "outcome": "complete", "kept": "slow",
            "answered_by": "upstream orders", "explanation": "answered", "client": "::1",
            "listener": "public", "host": "h", "request_bytes": 1, "response_bytes": 2,
            "duration_ns": 100_000_000, "head_at_ns": 90_000_000, "hooks_omitted": 0,
            "route": { "name": "r", "pattern": "/x", "place": "gateway.toml:7", "wants": [] },
            "other_routes": [{ "route": "all", "why": "less-specific", "wants": [] }],
            "hooks": [{ "plugin": "p", "hook": "on-request", "how": "called", "calls": 1,
                "at_ns": 0, "took_ns": 50_000_000, "queue_ns": 0, "instance_ns": 2_000_000,
                "decision": "next", "changes": ["1 field"] }],
            "upstream": { "name": "orders", "kind": "upstream", "sent_at_ns": 50_000_000,
                "head_at_ns": 90_000_000, "attempts": [] },
        }));
        let bar = "     0 ns  ████████████████████                       50.0 ms  p on-request: next, \
                   changed 1 field, waited 2.00 ms for an instance\n";
        assert!(shown.contains(bar), "{shown}");
        assert!(shown.contains("route     r, by /x (gateway.toml:7)\n"), "{shown}");
        assert!(shown.contains("          before all, which is less specific\n"), "{shown}");
        assert!(shown.contains("upstream orders: to the head of its response\n"), "{shown}");
    }

    #[test]
    fn shows_no_control_characters() {
        assert_eq!(text(&json!("a\u{1b}[31mb")), "a\u{fffd}[31mb");
    }
}
