//! `Server-Timing` (W3C), for a caller who holds the debug secret.
//!
//! Owns what is reported of an exchange at the head of its response: the route, each hook, the waits, the
//! upstream, the time so far. Durations are in milliseconds, as the field wants them.

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::exchange::Exchange;
use crate::recorder::Manner;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Adds the field. Those of the upstream stay.
pub(in crate::proxy) fn report(exchange: &Exchange, headers: &mut HeaderMap) {
    let mut text = String::with_capacity(256);
    match exchange.route_and_pattern() {
        Some((route, pattern)) => {
            metric(&mut text, "route", &format!("{} {}", route.name, pattern), None);
        }
        None => metric(&mut text, "route", "none", None),
    }
    if let Some(run) = exchange.run() {
        run.each_span(|span, plugin| {
            let hook = span.hook.as_str();
            let how = match span.how {
                Manner::Called | Manner::Waited => "",
                Manner::Reused => " (reused)",
                Manner::Known => " (known)",
                Manner::Refused => " (refused)",
            };
            let took = Duration::from_nanos(span.took);
            metric(&mut text, "hook", &format!("{plugin} {hook}{how}"), Some(took));
            for (name, waited) in [("queue", span.queue), ("instance", span.instance)] {
                if waited > 0 {
                    let waited = Duration::from_micros(waited.into());
                    metric(&mut text, name, plugin, Some(waited));
                }
            }
        });
    }
    exchange.tries().list(|one| {
        let target = exchange.target(one).map_or("?", |target| &*target.authority);
        if let Some(took) = one.connect {
            metric(&mut text, "connect", target, Some(took));
        } else if one.connected.is_some() {
            metric(&mut text, "connect", &format!("{target} (reused)"), None);
        }
        if one.result != "answered" {
            metric(&mut text, "attempt", &format!("{target} {}", one.result), None);
        }
    });
    if let Some(took) = exchange.upstream_time() {
        let name = exchange.upstream().map_or("", |name| &**name);
        metric(&mut text, "upstream", name, Some(took));
    }
    exchange.timers().refresh();
    metric(&mut text, "total", "", Some(exchange.elapsed()));
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append(SERVER_TIMING, value);
    }
}

/// One metric. Its description is a quoted string (RFC 9110 section 5.6.4).
fn metric(text: &mut String, name: &str, description: &str, duration: Option<Duration>) {
    if !text.is_empty() {
        text.push_str(", ");
    }
    text.push_str(name);
    if let Some(duration) = duration {
        // Writing to a string does not fail.
        let _written = write!(text, ";dur={:.3}", duration.as_secs_f64() * 1e3);
    }
    if description.is_empty() {
        return;
    }
    text.push_str(";desc=\"");
    for c in description.chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            ' '..='~' => text.push(c),
            _ => text.push('?'),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_metrics_that_a_browser_reads() {
        let mut text = String::new();
        metric(&mut text, "route", "a \"b\\ ü", None);
        metric(&mut text, "total", "", Some(Duration::from_micros(1_234)));
        assert_eq!(text, "route;desc=\"a \\\"b\\\\ ?\", total;dur=1.234");
    }
}
