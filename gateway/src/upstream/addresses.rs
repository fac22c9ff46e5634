//! The addresses of a name.
//!
//! Owns the order in which they are tried. Looks nothing up.

use std::net::SocketAddr;
use std::rc::Rc;

/// The order of RFC 8305 section 4: that of the system, whose first address says which family is first, with both
/// families in turns, so that one that leads nowhere costs one attempt and not all of its addresses.
pub(super) fn in_turns(addresses: impl Iterator<Item = SocketAddr>) -> Rc<[SocketAddr]> {
    let mut seen = Vec::new();
    addresses.for_each(|address| {
        if !seen.contains(&address) {
            seen.push(address);
        }
    });
    let is_first = |address: &SocketAddr| {
        seen.first().is_some_and(|first| first.is_ipv4() == address.is_ipv4())
    };
    let (first, second): (Vec<_>, Vec<_>) = seen.iter().copied().partition(is_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::with_capacity(seen.len());
    while ordered.len() < seen.len() {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Rc<[SocketAddr]> {
        in_turns(list.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn families_have_turns_in_the_order_of_the_system() {
        let mixed = ["[::1]:80", "[::2]:80", "[::3]:80", "10.0.0.1:80", "10.0.0.2:80", "[::1]:80"];
        let expected = ["[::1]:80", "10.0.0.1:80", "[::2]:80", "10.0.0.2:80", "[::3]:80"];
        let shown: Vec<_> = addresses(&mixed).iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected);
        let old = ["10.0.0.1:80", "[::1]:80", "[::2]:80"];
        let shown: Vec<_> = addresses(&old).iter().map(ToString::to_string).collect();
        assert_eq!(shown, old);
        assert!(addresses(&[]).is_empty());
    }
}
