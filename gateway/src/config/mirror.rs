//! `mirror` of a route: an upstream that gets copies of its requests.
//!
//! Owns the settings. Must not send anything.

use std::time::Duration;

use super::UpstreamId;
use super::diagnostic::Diagnostic;
use super::names::Names;
use super::reader::Table;

/// `mirror = { upstream, ratio, requests, body, timeout }`
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// `upstream`
    pub upstream: UpstreamId,
    /// `ratio`: the share of the requests that is copied. Default 1.
    pub ratio: f64,
    /// `requests`: copies on their way at a time, over all workers.
    pub requests: usize,
    /// `body`: bytes of a request body that are kept for the copy.
    pub body: usize,
    /// `timeout`: for the whole of a copy.
    pub timeout: Duration,
}

/// Reads `mirror` of a route, which may do something else than to forward.
pub(super) fn mirror(
    route: &Table<'_, '_>,
    upstreams: &Names,
    (own, may_forward): (Option<UpstreamId>, bool),
) -> Option<Mirror> {
    let table = route.given_table("mirror")?;
    let upstream = table.word("upstream").and_then(|name| {
        upstreams.find(table.reading, &name, "a `[upstreams.NAME]` table with `targets`")
    });
    if let (Some(index), Some(value)) = (upstream, table.value("upstream"))
        && own == Some(UpstreamId(index))
    {
        let warning = "the upstream of the route gets each of these requests twice";
        let warning = Diagnostic::warning(value.span(), warning);
        table.reading.report(warning.help("name another upstream"));
    }
    if !may_forward {
        let place = route.key_span("mirror").unwrap_or_else(|| table.span.clone());
        let warning = "`mirror` has no effect: the route forwards to no upstream";
        route.reading.report_absence(Diagnostic::warning(place, warning));
    }
    Some(Mirror {
        upstream: UpstreamId(upstream?),
        ratio: table.ratio("ratio").unwrap_or(1.0),
        requests: table.integer("requests").unwrap_or_default() as usize,
        body: table.size("body").unwrap_or_default() as usize,
        timeout: table.duration("timeout").unwrap_or_default(),
    })
}
