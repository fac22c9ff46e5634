//! `ejection` and `health` of an upstream.
//!
//! Owns what of them contradicts the rest. Must not ask any target.

use http::uri::PathAndQuery;
use toml::de::DeValue;

use crate::config::diagnostic::Diagnostic;
use crate::config::fault::Fault;
use crate::config::reader::{Table, integer};
use crate::config::units;
use crate::config::{CheckKind, Ejection, HealthCheck, Outliers};

pub(super) fn ejection(table: &Table<'_, '_>) -> Ejection {
    let standard = Ejection::default();
    let given = table.table("ejection");
    let (time, max_time) = (given.duration("time"), given.duration("max_time"));
    // One that cannot be read is told of already; the default in its place is not what the file says.
    let is_meant = |name: &str, read| match given.value(name).map(|value| value.get_ref()) {
        Some(DeValue::String(text)) => units::duration(text) == Ok(read),
        Some(_) => false,
        None => true,
    };
    if let (Some(time), Some(max_time)) = (time, max_time)
        && time > max_time
        && is_meant("time", time)
        && is_meant("max_time", max_time)
        && let Some(place) = given.key_span("time").or_else(|| given.key_span("max_time"))
    {
        let warning = "`time` is over `max_time`, which is what counts";
        table.reading.report(Diagnostic::warning(place, warning));
    }
    Ejection {
        consecutive_failures: given.integer("consecutive_failures").unwrap_or_default() as u32,
        time: time.unwrap_or(standard.time),
        max_time: max_time.unwrap_or(standard.max_time),
        max_share: thousandths(given.ratio("max_share")),
        statuses: statuses(&given).unwrap_or(standard.statuses),
        panic_threshold: thousandths(given.ratio("panic_threshold")),
        outliers: outliers(&given),
    }
}

fn outliers(ejection: &Table<'_, '_>) -> Option<Outliers> {
    let given = ejection.given_table("outliers")?;
    let number = |key| given.integer(key).map(|number| number as u32);
    let outliers = Outliers {
        interval: given.duration("interval")?,
        min_requests: number("min_requests")?,
        min_targets: number("min_targets")?,
        success_rate: number("success_rate")?,
        latency: number("latency")?,
    };
    if outliers.success_rate == 0 && outliers.latency == 0 {
        let warning = "`outliers` has no effect: `success_rate` and `latency` are 0";
        ejection.reading.report(Diagnostic::warning(given.span.clone(), warning));
    }
    // One of so many is at most so far from the mean (Samuelson's inequality).
    let most = 100.0 * f64::from(outliers.min_targets.saturating_sub(1)).sqrt();
    if f64::from(outliers.success_rate) >= most
        && outliers.success_rate > 0
        && let Some(place) =
            given.key_span("success_rate").or_else(|| given.key_span("min_targets"))
    {
        let targets = outliers.min_targets;
        let warning =
            format!("of {targets} targets none is below the mean by so many standard deviations");
        let help = format!("`success_rate` under {most:.0}, or more `min_targets`");
        ejection.reading.report(Diagnostic::warning(place, warning).help(help));
    }
    Some(outliers)
}

pub(in crate::config) fn thousandths(ratio: Option<f64>) -> u32 {
    (ratio.unwrap_or_default() * 1000.0).round() as u32
}

/// The statuses of a table, in a range that its declaration has.
pub(in crate::config) fn statuses(table: &Table<'_, '_>) -> Option<Vec<u16>> {
    let items = table.list("statuses")?;
    let (min, max) = table.range_of_items("statuses");
    let read = items.iter().filter_map(|item| {
        let DeValue::Integer(number) = item.get_ref() else {
            table.reading.report(table.reading.wrong_type(item, "a status", "an integer"));
            return None;
        };
        let status = integer(number).and_then(|it| u16::try_from(it).ok());
        let fits = status.filter(|it| (min..=max).contains(&u64::from(*it)));
        if fits.is_none() {
            let error = Diagnostic::error(item.span(), "this is no status that can be here");
            table.reading.report(error.label(format!("a number from {min} to {max}")));
        }
        fits
    });
    Some(read.collect())
}

pub(super) fn health(table: &Table<'_, '_>) -> Option<HealthCheck> {
    let given = table.given_table("health")?;
    let kind = match given.choice("kind") {
        "tcp" => {
            refuse_beside(&given, "tcp", &["path", "statuses", "service"]);
            CheckKind::Tcp
        }
        "grpc" => {
            refuse_beside(&given, "grpc", &["path", "statuses"]);
            if table.choice("protocol") == "http1"
                && let Some(value) = given.value("kind")
            {
                let error = "a check by `grpc` needs HTTP/2, and `protocol` is `http1`";
                let error = Diagnostic::error(value.span(), error);
                table
                    .reading
                    .report(error.help("write `protocol = \"http2\"`, or choose another `kind`"));
            }
            let service = given.word("service").map(|text| text.value).unwrap_or_default();
            CheckKind::Grpc { service }
        }
        _ => {
            refuse_beside(&given, "http", &["service"]);
            CheckKind::Http { path: path(&given)?, statuses: statuses(&given) }
        }
    };
    Some(HealthCheck {
        kind,
        interval: given.duration("interval")?,
        timeout: given.duration("timeout")?,
        unhealthy: given.integer("unhealthy")? as u32,
        healthy: given.integer("healthy")? as u32,
    })
}

fn path(table: &Table<'_, '_>) -> Option<PathAndQuery> {
    let Some(text) = table.word("path") else {
        if table.value("path").is_none() && !table.misspells("path") {
            let error = "a check by `http` needs a `path`";
            let error = Diagnostic::error(table.span.clone(), error);
            table.reading.report_absence(
                error.help(
                    "add `path = \"/healthz\"`, or `kind = \"tcp\"` if a connection is enough",
                ),
            );
        }
        return None;
    };
    table.reading.parsed(&text, "a path", |text| {
        let fault = |what: &str| Fault::new(0..text.len(), what.to_owned());
        if !text.starts_with('/') {
            return Err(fault("a path begins with `/`").help(format!("write `/{text}`")));
        }
        text.parse().map_err(|_| {
            fault("this is not a path").help("percent-encode spaces, and what is no ASCII")
        })
    })
}

/// Keys of other kinds say nothing here.
fn refuse_beside(table: &Table<'_, '_>, kind: &str, keys: &[&str]) {
    for key in keys {
        let Some(value) = table.value(key) else { continue };
        let error =
            Diagnostic::error(value.span(), format!("`{key}` is not for a check by `{kind}`"));
        table.reading.report(error.help("leave it out, or choose another `kind`"));
    }
}
