//! `[[listeners]]`.
//!
//! Owns addresses, trusted peers, limits and timeouts of listeners.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use rustls::sign::CertifiedKey;

use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::keys::LISTENER_TLS;
use super::names::Names;
use super::reader::{Reading, Table, Text};
use super::{
    ClientCertificates, ForwardedFamily, HalfClose, Listener, ListenerLimits, ListenerTimeouts,
    ListenerTls, PathParameters, PathRules, TlsVersion, access_log, certificates,
};

/// Reads a listener; the name stays known even if the rest is wrong.
pub(super) fn read(table: &Table<'_, '_>, logs: &Names) -> (Option<Text>, Option<Listener>) {
    let name = table.word("name");
    let address = table.text("address");
    let address = address.and_then(|text| {
        let parsed = table.reading.parsed(&text, "an address and a port", address_of);
        Some((parsed?, text.span))
    });
    let tls = tls_of_clients(table);
    let trusted_proxies = trusted_proxies(table);
    let forwarded_by = match table.choice("forwarded_by") {
        "forwarded" => ForwardedFamily::Forwarded,
        _ => ForwardedFamily::XForwarded,
    };
    warn_of_idle_family(table, &trusted_proxies);
    let half_close = match table.choice("half_close") {
        "answer" => HalfClose::Answer,
        _ => HalfClose::Abort,
    };
    let paths = path_rules(table);
    let access_log = access_log::named(table, logs);
    let limits = limits(&table.table("limits"));
    let timeouts = timeouts(&table.table("timeouts"));
    let listener = name.clone().zip(address).map(|(name, (address, address_span))| Listener {
        name: name.value,
        address,
        address_span,
        tls,
        trusted_proxies,
        forwarded_by,
        half_close,
        paths,
        access_log,
        limits,
        timeouts,
    });
    (name, listener)
}

pub(super) fn address_of(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        let fault = Fault::new(0..text.len(), format!("`{text}` is not an IP address and a port"));
        let port = text.strip_prefix(':').unwrap_or(text);
        let port = port.strip_prefix("localhost:").unwrap_or(port);
        if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()) {
            fault.help(format!("add a port: `{text}:8080`"))
        } else if text.parse::<IpAddr>().is_ok() {
            fault.help(format!("put it in brackets and add a port: `[{text}]:8080`"))
        } else if port.parse::<u16>().is_ok() && text.starts_with("localhost") {
            fault.help(format!("write `127.0.0.1:{port}`"))
        } else if port.parse::<u16>().is_ok() {
            fault.help(format!("write `0.0.0.0:{port}` for all IPv4 addresses"))
        } else {
            fault.help("write it like `127.0.0.1:8080` or `[::1]:8080`")
        }
    })
}

/// Certificates and keys, of a listener or of `[admin]`.
pub(super) fn tls(table: &Table<'_, '_>) -> Option<ListenerTls> {
    let value = table.value("tls")?;
    let items = value.get_ref().as_array().map_or(std::slice::from_ref(value), |items| items);
    if items.is_empty() {
        let error = Diagnostic::error(value.span(), "`tls` is empty");
        table.reading.report(error.help("leave `tls` out to serve in clear"));
    }
    let certificates = items.iter().filter_map(|item| {
        let table = Table::open(table.reading, item, &LISTENER_TLS)?;
        let files = (table.word("certificate"), table.word("key"));
        let ocsp = table.word("ocsp").map(|file| certificates::stapled(table.reading, &file));
        let key = certificates::certified_key(table.reading, &files.0?, &files.1?)?;
        match ocsp {
            None => Some(key),
            Some(ocsp) => Some(Arc::new(CertifiedKey { ocsp: Some(ocsp?), ..(*key).clone() })),
        }
    });
    Some(ListenerTls { certificates: certificates.collect(), ..ListenerTls::default() })
}

/// The same of a listener, with what it asks of clients.
pub(super) fn tls_of_clients(table: &Table<'_, '_>) -> Option<ListenerTls> {
    let clients = table.given_table("client_certificates").and_then(|it| client_certificates(&it));
    let min_version = min_version(table, "tls_min_version");
    let Some(tls) = tls(table) else {
        for key in ["client_certificates", "tls_min_version"] {
            if let Some(place) = table.key_span(key) {
                let error = Diagnostic::error(place, format!("`{key}` needs `tls`"));
                let help = "add `tls = { certificate = \"site.pem\", key = \"site.key\" }`";
                table.reading.report_absence(error.help(help));
            }
        }
        return None;
    };
    Some(ListenerTls { min_version, clients, ..tls })
}

/// A version of TLS.
pub(super) fn min_version(table: &Table<'_, '_>, key: &str) -> TlsVersion {
    if table.choice(key) == "1.3" { TlsVersion::Tls13 } else { TlsVersion::Tls12 }
}

fn client_certificates(table: &Table<'_, '_>) -> Option<ClientCertificates> {
    let reading = table.reading;
    let required = table.choice("mode") == "required";
    let file = table.word("ca");
    let ca = file.as_ref().and_then(|file| certificates::authorities(reading, file));
    let lists = table.list("crl").unwrap_or_default().iter();
    let lists = lists.filter_map(|item| reading.text(item, "an element of `crl`"));
    let lists: Vec<_> = lists.map(|file| certificates::revoked(reading, &file)).collect();
    let (file, ca) = (file?, ca?);
    // One that cannot be read is an error, and says all that can be said.
    let lists: Vec<_> = lists.into_iter().collect::<Option<Vec<_>>>()?.concat();
    certificates::warn_of_missing_lists(reading, &file, &ca, &lists);
    Some(ClientCertificates { required, ca, crls: lists })
}

fn trusted_proxies(table: &Table<'_, '_>) -> Vec<IpNet> {
    let reading = table.reading;
    let texts = table.list("trusted_proxies").unwrap_or_default().iter();
    let texts = texts.filter_map(|item| reading.text(item, "an element of `trusted_proxies`"));
    texts.filter_map(|text| network(reading, &text)).collect()
}

/// Nobody is believed in either family.
fn warn_of_idle_family(table: &Table<'_, '_>, trusted: &[IpNet]) {
    if let Some(place) = table.key_span("forwarded_by").filter(|_| trusted.is_empty()) {
        let warning = "`forwarded_by` has no effect without `trusted_proxies`";
        table.reading.report_absence(Diagnostic::warning(place, warning));
    }
}

fn path_rules(table: &Table<'_, '_>) -> PathRules {
    PathRules {
        parameters: match table.choice("path_parameters") {
            "keep" => PathParameters::Keep,
            "strip" => PathParameters::Strip,
            _ => PathParameters::Refuse,
        },
        keep_encoded_slashes: table.choice("encoded_slashes") == "keep",
    }
}

fn network(reading: &Reading<'_>, text: &Text) -> Option<IpNet> {
    let network = reading.parsed(text, "an address or a CIDR range", |text| {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address.or_else(|_| text.parse()).map_err(|_| {
            let fault = format!("`{text}` is not an address or a CIDR range");
            Fault::new(0..text.len(), fault).help("write it like `10.0.0.0/8` or `fd00::/8`")
        })
    })?;
    if network.trunc() != network {
        let warning = format!("`{}` has bits set behind its prefix", text.shown);
        let warning = Diagnostic::warning(text.span.clone(), warning);
        reading.report(match text.is_secret() {
            true => warning,
            false => warning.help(format!("write `{}`", network.trunc())),
        });
    }
    Some(network.trunc())
}

fn limits(table: &Table<'_, '_>) -> ListenerLimits {
    ListenerLimits {
        header_count: table.integer("header_count").unwrap_or_default() as usize,
        header_size: table.size("header_size").unwrap_or_default() as usize,
        body_size: table.size("body_size"),
        body_rate: table.size("body_rate"),
        concurrent_streams: table.integer("concurrent_streams").unwrap_or_default() as u32,
        connections: table.integer("connections").map(|count| count as usize),
        connections_per_address: table
            .integer("connections_per_address")
            .map(|count| count as usize),
    }
}

fn timeouts(table: &Table<'_, '_>) -> ListenerTimeouts {
    ListenerTimeouts {
        header: table.duration("header").unwrap_or_default(),
        idle: table.duration("idle").unwrap_or_default(),
        body_grace: table.duration("body_grace").unwrap_or_default(),
        keep_alive: table.duration("keep_alive").unwrap_or_default(),
        request: table.duration("request"),
    }
}

/// Two listeners on the same address are an error, except on port 0, which is another each time.
pub(super) fn refuse_shared_addresses(reading: &Reading<'_>, listeners: &[Option<Listener>]) {
    let all: Vec<_> = listeners.iter().flatten().collect();
    for (index, listener) in all.iter().enumerate() {
        let same =
            |other: &&&Listener| other.address == listener.address && listener.address.port() != 0;
        if let Some(earlier) = all[..index].iter().find(same) {
            let error = format!(
                "the listeners `{}` and `{}` have the same address",
                reading.shown(&earlier.name),
                reading.shown(&listener.name)
            );
            let error = Diagnostic::error(listener.address_span.clone(), error);
            reading.report(error.related(earlier.address_span.clone(), "already taken here"));
        }
    }
}
