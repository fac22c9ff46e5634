//! Which client an address stands for.
//!
//! Owns the grouping of IPv6 addresses: one subscriber is commonly given a whole /64, so that a
//! limit for each single address is no limit at all. Must not look anywhere but at the text it is
//! given: whose address it is was the gateway's to find out.

use std::net::Ipv6Addr;

/// Appends what stands for the client with this address: an IPv4 address as it is written, an
/// IPv6 address as the hexadecimal digits of its network of `prefix` bits. An IPv4-mapped address
/// (RFC 4291 section 2.5.5.2) is the IPv4 address that it holds.
///
/// A text that is no address stands for itself.
pub(crate) fn push_client(out: &mut String, address: &str, prefix: u8) {
    if !address.contains(':') {
        return out.push_str(address);
    }
    // A zone (RFC 4007 section 11) names an interface of this host, not another client.
    let text = address.split_once('%').map_or(address, |(text, _)| text);
    let Ok(parsed) = text.parse::<Ipv6Addr>() else {
        return out.push_str(address);
    };
    match parsed.to_ipv4_mapped() {
        Some(v4) => out.push_str(&v4.to_string()),
        None => push_network(out, u128::from(parsed), prefix),
    }
}

fn push_network(out: &mut String, bits: u128, prefix: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let network = bits & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    let digits = prefix.div_ceil(4);
    for digit in 0..u32::from(digits) {
        let nibble = (network >> (124 - 4 * digit)) & 0xf;
        out.push(char::from(DIGITS[nibble as usize]));
    }
    out.push(':');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str, prefix: u8) -> String {
        let mut out = String::new();
        push_client(&mut out, address, prefix);
        out
    }

    #[test]
    fn keeps_ipv4_addresses_apart() {
        assert_eq!(client("192.0.2.1", 64), "192.0.2.1");
        assert_ne!(client("192.0.2.1", 64), client("192.0.2.2", 64));
    }

    #[test]
    fn takes_all_addresses_of_a_network_for_one_client() {
        assert_eq!(client("2001:db8:1:2:3::4", 64), "20010db800010002:");
        assert_eq!(client("2001:db8:1:2:ffff::", 64), client("2001:db8:1:2::1", 64));
        assert_ne!(client("2001:db8:1:2::1", 64), client("2001:db8:1:3::1", 64));
    }

    #[test]
    fn groups_by_any_number_of_bits() {
        assert_eq!(client("2001:db8:1:2ff::1", 56), client("2001:db8:1:200::1", 56));
        assert_ne!(client("2001:db8:1:2ff::1", 60), client("2001:db8:1:200::1", 60));
        assert_ne!(client("2001:db8::1", 128), client("2001:db8::2", 128));
        assert_eq!(client("2001:db8::2", 127), client("2001:db8::3", 127));
        assert_ne!(client("2001:db8::1", 127), client("2001:db8::2", 127));
    }

    #[test]
    fn reads_through_mapped_addresses_and_zones() {
        assert_eq!(client("::ffff:192.0.2.1", 64), "192.0.2.1");
        assert_eq!(client("fe80::1%eth0", 64), client("fe80::1", 64));
    }

    #[test]
    fn lets_a_text_that_is_no_address_stand_for_itself() {
        assert_eq!(client("unix:", 64), "unix:");
    }
}
