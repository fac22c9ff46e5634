//! What trusted proxies say of the client: its address, and the scheme, host and port that it asked
//! for.
//!
//! Owns the reading of `X-Forwarded-*` and `Forwarded` (RFC 7239). Nothing is believed that does not
//! come from a trusted peer, nor what is in the family that the trusted proxies do not write: a
//! client's own copy of it would come through them untouched.

mod list;

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use self::list::{member_of, members, parameter, split};
use crate::config::ForwardedFamily;
use crate::conn::forwarded::{
    self, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO,
};
use crate::conn::{Client, contains};
use crate::exchange::Exchange;
use crate::heads::authority;
use crate::proxy::request::checks::Checked;
use crate::proxy::request::target::Target;

/// Notes with the exchange what trusted proxies say, if they say anything.
pub(in crate::proxy) fn find(
    exchange: &Exchange,
    headers: &HeaderMap,
    checked: &Checked,
    target: &Target,
) {
    let connection = exchange.facts();
    if !connection.peer_is_trusted {
        return;
    }
    let client = match connection.listener.config.forwarded_by {
        ForwardedFamily::XForwarded if checked.x_forwarded => {
            x_forwarded(exchange, headers, target)
        }
        ForwardedFamily::Forwarded if checked.forwarded => rfc_7239(exchange, headers, target),
        _ => return,
    };
    exchange.is_forwarded_for(client);
}

/// What was said of the scheme, host and port; `None` where nothing was, or nothing valid.
#[derive(Debug, Default)]
struct Said<'a> {
    is_https: Option<bool>,
    host: Option<&'a str>,
    port: Option<u16>,
}

impl<'a> Said<'a> {
    /// The scheme and host that were said, if they are any.
    fn new(scheme: Option<&str>, host: Option<&'a str>) -> Self {
        let is_https = scheme.and_then(|scheme| {
            let is = |known: &str| scheme.eq_ignore_ascii_case(known);
            (is("https") || is("wss")).then_some(true).or((is("http") || is("ws")).then_some(false))
        });
        let valid = |host: &&str| !host.is_empty() && authority::host(host).is_ok();
        Self { is_https, host: host.filter(valid), port: None }
    }

    /// Fills up with what the gateway sees: once the proxy speaks of the client's side, the port
    /// that is nowhere said is the one that goes without saying.
    fn settle(&self, exchange: &Exchange, target: &Target) -> (bool, Option<HeaderValue>, u16) {
        let connection = exchange.facts();
        let is_https = self.is_https.unwrap_or(connection.is_tls);
        let host = self.host.and_then(|host| HeaderValue::from_str(host).ok());
        let host = host.or_else(|| target.field().cloned());
        let by_host = || authority::port(self.host.unwrap_or_else(|| target.authority()));
        let port = match self.port {
            Some(port) => port,
            None if self.is_https.is_none() && self.host.is_none() => connection.local_port,
            None => by_host().unwrap_or(if is_https { 443 } else { 80 }),
        };
        (is_https, host, port)
    }
}

/// The words of a proxy that writes `X-Forwarded-*`.
fn x_forwarded(exchange: &Exchange, headers: &HeaderMap, target: &Target) -> Client {
    let hops = members(headers, &X_FORWARDED_FOR);
    let nodes: Vec<Option<IpAddr>> = hops.iter().map(|hop| parse_node(hop)).collect();
    let (address, client) = walk(exchange, &nodes);
    let pick = |name: HeaderName| member_of(members(headers, &name), nodes.len(), client);
    let (scheme, host) = (pick(X_FORWARDED_PROTO), pick(X_FORWARDED_HOST));
    let mut said = Said::new(scheme, host);
    said.port = pick(X_FORWARDED_PORT).and_then(|port| port.parse().ok()).filter(|port| *port > 0);
    let (is_https, host, port) = said.settle(exchange, target);

    let side = forwarded::side(host.as_ref(), is_https);
    let mut elements = String::new();
    for (index, node) in nodes.iter().enumerate() {
        elements.push_str(&forwarded::node(*node));
        if Some(index) == client {
            elements.push_str(&side);
        }
        elements.push_str(", ");
    }
    elements.push_str(&forwarded::node(Some(exchange.facts().peer_address)));
    if client.is_none() {
        elements.push_str(&side);
    }
    let mut list = hops.join(", ");
    push_member(&mut list, &exchange.facts().peer_address.to_string());
    Client {
        address,
        is_https,
        host,
        port,
        x_forwarded_for: value(list, "unknown"),
        forwarded: value(elements, "for=unknown"),
    }
}

/// The words of a proxy that writes `Forwarded`.
fn rfc_7239(exchange: &Exchange, headers: &HeaderMap, target: &Target) -> Client {
    let lines = headers.get_all(FORWARDED).iter();
    let elements: Vec<&str> = lines
        .flat_map(|line| split(line.to_str().unwrap_or_default(), b','))
        .map(str::trim)
        .collect();
    let texts: Vec<Option<_>> = elements.iter().map(|element| parameter(element, "for")).collect();
    let nodes: Vec<_> = texts.iter().map(|node| parse_node(node.as_deref()?)).collect();
    let (address, client) = walk(exchange, &nodes);
    // The element that names the client, or the first behind it that says more.
    let vouched = &elements[client.unwrap_or(elements.len())..];
    let pick = |name| vouched.iter().find_map(|element| parameter(element, name));
    let (scheme, host) = (pick("proto"), pick("host"));
    let said = Said::new(scheme.as_deref(), host.as_deref());
    let is_said = (said.host.is_some(), said.is_https.is_some());
    let (is_https, host, port) = said.settle(exchange, target);

    let mut list = String::new();
    for node in &nodes {
        push_member(&mut list, &node.map_or_else(|| "unknown".to_owned(), |it| it.to_string()));
    }
    push_member(&mut list, &exchange.facts().peer_address.to_string());
    let mut all = String::new();
    for (index, element) in elements.iter().enumerate() {
        // What no trusted proxy wrote keeps its address alone.
        if client.is_none_or(|client| index < client) {
            push_member(&mut all, &forwarded::node(nodes[index]));
        } else {
            push_member(&mut all, element);
        }
    }
    push_member(&mut all, &forwarded::node(Some(exchange.facts().peer_address)));
    all.push_str(&match is_said {
        (true, true) => String::new(),
        (true, false) => forwarded::side(None, is_https),
        (false, true) => forwarded::host(host.as_ref()),
        (false, false) => forwarded::side(host.as_ref(), is_https),
    });
    Client {
        address,
        is_https,
        host,
        port,
        x_forwarded_for: value(list, "unknown"),
        forwarded: value(all, "for=unknown"),
    }
}

fn push_member(list: &mut String, member: &str) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    list.push_str(member);
}

fn value(text: String, otherwise: &'static str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(otherwise))
}

fn walk(exchange: &Exchange, nodes: &[Option<IpAddr>]) -> (IpAddr, Option<usize>) {
    let connection = exchange.facts();
    let trusted = &connection.listener.config.trusted_proxies;
    walk_back(nodes, connection.peer_address, |address| contains(trusted, address))
}

/// From right to left, each trusted hop says who is before it; the first that is not trusted
/// is the client, and so is the hop before one that does not parse. Also returns its index, unless
/// it is the peer.
fn walk_back(
    nodes: &[Option<IpAddr>],
    peer: IpAddr,
    trusts: impl Fn(IpAddr) -> bool,
) -> (IpAddr, Option<usize>) {
    let (mut address, mut client) = (peer, None);
    for (index, node) in nodes.iter().enumerate().rev() {
        let Some(node) = *node else { break };
        (address, client) = (node, Some(index));
        if !trusts(node) {
            break;
        }
    }
    (address, client)
}

/// An address, perhaps with a port or in brackets.
fn parse_node(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse().ok().or_else(|| Some(node.parse::<SocketAddr>().ok()?.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(nodes: &[Option<&str>]) -> (String, Option<usize>) {
        let nodes: Vec<_> = nodes.iter().map(|node| parse_node((*node)?)).collect();
        let peer = "10.0.0.1".parse().unwrap();
        let (address, index) = walk_back(&nodes, peer, |hop| hop.to_string().starts_with("10."));
        (address.to_string(), index)
    }

    fn of_list(list: &str) -> String {
        client(&list.split(',').map(|node| Some(node.trim())).collect::<Vec<_>>()).0
    }

    #[test]
    fn stops_at_the_first_address_that_is_not_trusted() {
        assert_eq!(of_list("1.1.1.1, 2.2.2.2, 10.0.0.2"), "2.2.2.2");
        assert_eq!(of_list("1.1.1.1"), "1.1.1.1");
        assert_eq!(of_list("10.0.0.9, 10.0.0.2"), "10.0.0.9");
        assert_eq!(client(&[Some("1.1.1.1"), Some("2.2.2.2")]).1, Some(1));
    }

    #[test]
    fn stops_before_what_does_not_parse() {
        assert_eq!(of_list("1.1.1.1, unknown, 10.0.0.2"), "10.0.0.2");
        assert_eq!(of_list("1.1.1.1,,"), "10.0.0.1");
        assert_eq!(client(&[Some("1.1.1.1"), None]), ("10.0.0.1".to_owned(), None));
    }

    #[test]
    fn reads_nodes_with_ports_and_in_brackets() {
        for (node, address) in [
            ("1.2.3.4:99", "1.2.3.4"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("[::ffff:1.2.3.4]", "1.2.3.4"),
        ] {
            assert_eq!(parse_node(node), Some(address.parse().unwrap()), "{node}");
        }
        assert_eq!(parse_node("_hidden"), None);
    }
}
