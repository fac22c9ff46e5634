//! Who the client is, when proxies stand in front of the gateway.
//!
//! Owns the reading of `X-Forwarded-For` and `Forwarded` (RFC 7239). Nothing is believed that
//! does not come from a trusted peer.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;

use super::forwarded::X_FORWARDED_FOR;
use super::survey::Survey;
use crate::exchange::Exchange;
use crate::snapshot::contains;

/// Notes the client's address with the exchange, if it is not the peer's.
pub(super) fn find(exchange: &Exchange, headers: &HeaderMap, survey: &Survey) {
    let connection = &exchange.connection;
    if !connection.peer_is_trusted || !(survey.x_forwarded || survey.forwarded) {
        return;
    }
    let trusted = &connection.listener.config.trusted_proxies;
    let trusts = |address| contains(trusted, address);
    let mut address = connection.peer_address;
    if headers.contains_key(X_FORWARDED_FOR) {
        walk(members(headers, &X_FORWARDED_FOR).map(parse_node), &mut address, trusts);
    } else {
        walk(members(headers, &FORWARDED).map(parse_element), &mut address, trusts);
    }
    exchange.client_is(address);
}

/// From right to left, each trusted hop says who stands before it; the first that is not trusted
/// is the client, and so is the hop before one that does not parse.
fn walk(
    hops: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    address: &mut IpAddr,
    trusts: impl Fn(IpAddr) -> bool,
) {
    for hop in hops.rev() {
        let Some(hop) = hop else { return };
        *address = hop;
        if !trusts(hop) {
            return;
        }
    }
}

/// The members of a list field over all its lines, first to last. One that is no text is empty.
fn members<'a>(
    headers: &'a HeaderMap,
    name: &http::HeaderName,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let values: Vec<&str> =
        headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    values.into_iter().flat_map(|value| value.split(',')).map(str::trim)
}

/// The `for` of one forwarded-element.
fn parse_element(element: &str) -> Option<IpAddr> {
    let node = element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    })?;
    parse_node(node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node))
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

    fn client(list: &str, parse: fn(&str) -> Option<IpAddr>) -> String {
        let mut address = "10.0.0.1".parse().unwrap();
        let hops: Vec<_> = list.split(',').map(str::trim).map(parse).collect();
        walk(hops.into_iter(), &mut address, |hop| hop.to_string().starts_with("10."));
        address.to_string()
    }

    #[test]
    fn stops_at_the_first_address_that_is_not_trusted() {
        assert_eq!(client("1.1.1.1, 2.2.2.2, 10.0.0.2", parse_node), "2.2.2.2");
        assert_eq!(client("1.1.1.1", parse_node), "1.1.1.1");
        assert_eq!(client("10.0.0.9, 10.0.0.2", parse_node), "10.0.0.9");
    }

    #[test]
    fn stops_before_what_does_not_parse() {
        assert_eq!(client("1.1.1.1, unknown, 10.0.0.2", parse_node), "10.0.0.2");
        assert_eq!(client("1.1.1.1,,", parse_node), "10.0.0.1");
    }

    #[test]
    fn reads_the_forms_of_rfc_7239() {
        assert_eq!(client("for=1.2.3.4;proto=http", parse_element), "1.2.3.4");
        assert_eq!(client("proto=http; For=\"[2001:db8::1]:80\"", parse_element), "2001:db8::1");
        assert_eq!(client("for=\"1.2.3.4:99\"", parse_element), "1.2.3.4");
        assert_eq!(client("for=_hidden", parse_element), "10.0.0.1");
    }
}
