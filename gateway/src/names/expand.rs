//! The targets of an upstream where a name stands for several.
//!
//! Owns what becomes a target of an address and of a record of the type SRV. What nobody has found out yet stays as the
//! file has it. Asks nobody, and changes no configuration that is in force.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Names;
use super::name::{Answer, Service};
use crate::config::{Config, Origin, Target, Upstream};

/// Targets of an upstream that come from names, at most.
const MOST: usize = 1000;

impl Names {
    /// The configuration with the targets that names stand for by now; `None` if it has these already. Waits for names
    /// that are new, for a few seconds at most: not on a thread of a worker.
    pub(crate) fn expanded(&self, config: &Config) -> Option<Config> {
        let dynamic = config.upstreams.iter().filter(|upstream| !upstream.written.is_empty());
        let names = dynamic.clone().flat_map(|upstream| {
            upstream.written.iter().filter_map(move |target| self.of(upstream, target))
        });
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            return None;
        }
        self.wait_for_first(&names);
        let is_new = |upstream: &Upstream| self.targets(upstream) != upstream.targets;
        if !dynamic.clone().any(is_new) {
            return None;
        }
        let mut config = config.clone();
        for upstream in config.upstreams.iter_mut().filter(|it| !it.written.is_empty()) {
            let (targets, left_out) = self.found(upstream);
            if left_out > 0 && targets != upstream.targets {
                tracing::warn!(
                    upstream = upstream.name,
                    targets = targets.len(),
                    left_out,
                    "its names stand for more targets than an upstream has at most: the others get \
                     no requests"
                );
            }
            upstream.targets = targets;
        }
        Some(config)
    }

    /// The targets of one upstream, as far as they are known.
    pub(crate) fn targets(&self, upstream: &Upstream) -> Vec<Target> {
        self.found(upstream).0
    }

    /// The same, and how many more there are than an upstream may have.
    fn found(&self, upstream: &Upstream) -> (Vec<Target>, usize) {
        let mut all: Vec<Target> = Vec::new();
        let mut left_out = 0;
        for written in &upstream.written {
            let answer = self.of(upstream, written).and_then(|name| name.answer());
            let found = match answer {
                Some(Answer::Addresses(addresses)) if upstream.dns.is_each => {
                    at(written, &addresses)
                }
                Some(Answer::Services(services)) => by(written, &services),
                _ => vec![written.clone()],
            };
            for target in found {
                let is_same =
                    |it: &Target| it.tls == target.tls && it.authority == target.authority;
                match all.len() < MOST {
                    true if all.iter().any(is_same) => {}
                    true => all.push(target),
                    false => left_out += usize::from(!all.iter().any(is_same)),
                }
            }
        }
        (all, left_out)
    }
}

/// One for each address, each with the weight of the name.
fn at(written: &Target, addresses: &Arc<[IpAddr]>) -> Vec<Target> {
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable();
    let target = |address: IpAddr| Target {
        authority: authority(written.tls, &address_text(address), written.port),
        origin: Origin::Address { address, of: written.authority.clone() },
        ..written.clone()
    };
    addresses.into_iter().map(target).collect()
}

fn address_text(address: IpAddr) -> String {
    let with_port = SocketAddr::new(address, 0).to_string();
    with_port.trim_end_matches(":0").to_owned()
}

/// One for each record (RFC 2782). The lowest priority comes first; a weight of 0 is a small one beside others.
fn by(written: &Target, services: &Arc<[Service]>) -> Vec<Target> {
    let mut priorities: Vec<u16> = services.iter().map(|it| it.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let target = |service: &Service| {
        let rank = priorities.iter().position(|it| *it == service.priority).unwrap_or_default();
        let weight = u32::from(service.weight.max(1)) * written.weight;
        Target {
            host: service.host.clone(),
            port: service.port,
            authority: authority(written.tls, &service.host, service.port),
            weight,
            priority: written.priority.saturating_add(u8::try_from(rank).unwrap_or(u8::MAX)),
            origin: Origin::Service { of: written.server_name().to_owned() },
            tls: written.tls,
            place: written.place.clone(),
        }
    };
    services.iter().map(target).collect()
}

fn authority(tls: bool, host: &str, port: u16) -> String {
    let default = if tls { 443 } else { 80 };
    if port == default { host.to_owned() } else { format!("{host}:{port}") }
}
