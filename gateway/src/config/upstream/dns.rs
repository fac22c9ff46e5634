//! `dns` of an upstream.
//!
//! Owns what of it contradicts the rest. Must not look anything up.

use std::net::{IpAddr, SocketAddr};

use crate::config::diagnostic::Diagnostic;
use crate::config::fault::Fault;
use crate::config::reader::Table;
use crate::config::{Dns, Resolver, Target};

/// The port of name servers.
const PORT: u16 = 53;

pub(super) fn dns(table: &Table<'_, '_>, targets: &[Target]) -> Dns {
    let standard = Dns::default();
    let given = table.table("dns");
    let is_by_dns = given.choice("resolver") == "dns";
    let has_names = targets.iter().any(|target| target.address().is_none());
    if let Some(place) = table.key_span("dns")
        && !has_names
        && !targets.is_empty()
    {
        let warning = "`dns` has no effect: no target has a name";
        table.reading.report_absence(Diagnostic::warning(place, warning));
    }
    let has_srv = targets.iter().any(Target::is_srv);
    let of_dns: &[&str] =
        if is_by_dns || has_srv { &[] } else { &["servers", "min_ttl", "max_ttl"] };
    for key in of_dns {
        if let Some(place) = given.key_span(key) {
            let warning = format!("`{key}` has no effect: `resolver` is `system`");
            let warning = Diagnostic::warning(place, warning);
            table.reading.report(warning.help("write `resolver = \"dns\"`"));
        }
    }
    if is_by_dns && let Some(place) = given.key_span("interval") {
        let warning =
            "`interval` has no effect: `resolver` is `dns`, which goes by the TTL of records";
        table.reading.report(Diagnostic::warning(place, warning));
    }
    let duration = |key, or| given.duration(key).unwrap_or(or);
    let min_ttl = duration("min_ttl", standard.min_ttl);
    let max_ttl = duration("max_ttl", standard.max_ttl);
    if min_ttl > max_ttl
        && let Some(place) = given.key_span("min_ttl").or_else(|| given.key_span("max_ttl"))
    {
        let warning = "`min_ttl` is over `max_ttl`, which is what counts";
        table.reading.report(Diagnostic::warning(place, warning));
    }
    Dns {
        resolver: if is_by_dns { Resolver::Dns } else { Resolver::System },
        servers: servers(&given),
        is_each: given.choice("addresses") == "all",
        interval: duration("interval", standard.interval),
        min_ttl,
        max_ttl,
        negative_ttl: duration("negative_ttl", standard.negative_ttl),
    }
}

/// Whether a target stands for several.
pub(super) fn stand_for_several(dns: &Dns, targets: &[Target]) -> bool {
    targets.iter().any(|it| it.is_srv() || (dns.is_each && it.address().is_none()))
}

fn servers(table: &Table<'_, '_>) -> Vec<SocketAddr> {
    let items = table.list("servers").unwrap_or_default().iter();
    let texts = items.filter_map(|item| table.reading.text(item, "a name server"));
    let read = texts.filter_map(|text| {
        table.reading.parsed(&text, "the address of a name server", |text| {
            let port = text.parse::<SocketAddr>();
            let plain = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
            port.or_else(|_| plain()).map_err(|_| {
                Fault::new(0..text.len(), format!("`{text}` is no address"))
                    .help("write it as `10.0.0.10` or `10.0.0.10:53`")
            })
        })
    });
    read.collect()
}
