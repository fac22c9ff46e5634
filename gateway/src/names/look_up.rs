//! One look-up.
//!
//! Owns whom is asked: the system, or name servers, which names with the search domains of the system may be meant, and
//! what of the answers counts. What the system's files say is read for each look-up, and so never old. Keeps nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use simple_dns::TYPE;

use super::dns::{self, Record, Records};
use super::name::{Answer, Service};
use crate::config::{Dns, Resolver};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const PORT: u16 = 53;

/// What was found, and for how long it holds, if somebody has said so.
pub(super) struct Found {
    pub(super) answer: Answer,
    pub(super) ttl: Option<Duration>,
}

/// Why nothing was, and for how long it is so, if somebody has said so.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) reason: String,
    pub(super) ttl: Option<Duration>,
}

impl Failed {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ttl: None }
    }
}

pub(super) async fn ask(host: &str, is_srv: bool, dns: &Dns) -> Result<Found, Failed> {
    match dns.resolver {
        Resolver::System => by_system(host).await,
        Resolver::Dns => by_dns(host, is_srv, dns).await,
    }
}

/// As all programs of the machine do: with its hosts file, its search domains and its cache, and in its order.
async fn by_system(host: &str) -> Result<Found, Failed> {
    let found = tokio::net::lookup_host((host, 0)).await;
    let found = found.map_err(|error| Failed::because(error.to_string()))?;
    addresses(found.map(|address| address.ip()), None)
}

async fn by_dns(host: &str, is_srv: bool, dns: &Dns) -> Result<Found, Failed> {
    let (servers, names) = if dns.servers.is_empty() {
        of_system(host).map_err(|error| Failed::because(format!("{RESOLV_CONF}: {error}")))?
    } else {
        (dns.servers.clone(), vec![host.to_owned()])
    };
    let mut failed = Failed::because("it is no name");
    for name in names {
        let found = match is_srv {
            true => dns::ask(&servers, &name, TYPE::SRV).await.and_then(services),
            false => both_families(&servers, &name).await,
        };
        match found {
            Ok(found) => return Ok(found),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// What one family lacks, the other may have.
async fn both_families(servers: &[SocketAddr], name: &str) -> Result<Found, Failed> {
    let (six, four) =
        tokio::join!(dns::ask(servers, name, TYPE::AAAA), dns::ask(servers, name, TYPE::A));
    let (six, four) = match (six, four) {
        (Err(_), Err(failed)) => return Err(failed),
        (six, four) => (six.ok(), four.ok()),
    };
    let ttl = six.iter().chain(&four).map(|records| records.ttl).min();
    let all = six.into_iter().chain(four).flat_map(|records: Records| records.list);
    let all = all.filter_map(|record| match record {
        Record::Address(address) => Some(address),
        Record::Service(_) => None,
    });
    let mut all: Vec<_> = all.collect();
    // What cannot be reached at all comes last, as in the system's order (RFC 6724 section 6, rule 1).
    all.sort_by_key(|address| !has_route(*address));
    addresses(all.into_iter(), ttl)
}

fn addresses(found: impl Iterator<Item = IpAddr>, ttl: Option<u32>) -> Result<Found, Failed> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    found.for_each(|address| {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    });
    match addresses.is_empty() {
        true => Err(Failed::because("it has no address")),
        false => Ok(Found { answer: Answer::Addresses(addresses.into()), ttl: seconds(ttl) }),
    }
}

fn services(records: Records) -> Result<Found, Failed> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let services = records.list.into_iter().filter_map(|record| match record {
        // The root as a host says that there is no such service (RFC 2782).
        Record::Service(it)
            if it.port != 0 && !it.host.is_empty() && it.host.chars().all(in_name) =>
        {
            Some(it)
        }
        _ => None,
    });
    let mut services: Vec<Service> = services.collect();
    services.sort_unstable();
    services.dedup();
    match services.is_empty() {
        true => Err(Failed::because("it has no service")),
        false => {
            Ok(Found { answer: Answer::Services(services.into()), ttl: seconds(Some(records.ttl)) })
        }
    }
}

fn seconds(ttl: Option<u32>) -> Option<Duration> {
    ttl.map(|seconds| Duration::from_secs(seconds.into()))
}

/// The name servers of the system, and the names that may be meant, in the order in which they are asked for.
fn of_system(host: &str) -> Result<(Vec<SocketAddr>, Vec<String>), String> {
    let text = std::fs::read(RESOLV_CONF).map_err(|error| error.to_string())?;
    let (config, _not_understood) = resolv_conf::Config::parse_with_errors(&text);
    let servers = config.get_nameservers_or_local().into_iter();
    let servers = servers.map(|server| SocketAddr::new(server.into(), PORT)).collect();
    let search: Vec<_> = config.get_last_search_or_domain().map(String::as_str).collect();
    Ok((servers, candidates(host, config.ndots as usize, &search)))
}

/// As resolv.conf(5) has it: a name with enough dots is first asked for as it is, and another one last.
fn candidates(host: &str, dots: usize, search: &[&str]) -> Vec<String> {
    if let Some(whole) = host.strip_suffix('.') {
        return vec![whole.to_owned()];
    }
    let domains = search.iter().filter(|domain| !matches!(**domain, "" | "." | "--"));
    let mut names: Vec<_> = domains.map(|domain| format!("{host}.{domain}")).collect();
    let is_first = host.matches('.').count() >= dots;
    names.insert(if is_first { 0 } else { names.len() }, host.to_owned());
    names
}

/// Whether the machine knows a way to an address. Nothing is sent.
fn has_route(address: IpAddr) -> bool {
    let own: SocketAddr = match address {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    UdpSocket::bind(own).is_ok_and(|socket| socket.connect((address, PORT)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_with_the_search_domains_of_the_system() {
        let search = ["ns.svc", "svc"];
        assert_eq!(candidates("orders", 1, &search), ["orders.ns.svc", "orders.svc", "orders"]);
        assert_eq!(candidates("a.b", 1, &search), ["a.b", "a.b.ns.svc", "a.b.svc"]);
        assert_eq!(candidates("a.b", 5, &search).last().unwrap(), "a.b");
        assert_eq!(candidates("a.b.", 5, &search), ["a.b"]);
        assert_eq!(candidates("orders", 1, &[]), ["orders"]);
    }
}
