//! Networks, and the most specific one that holds an address.
//!
//! Owns how networks are written and found. IPv4 addresses in IPv6 form (`::ffff:192.0.2.1`, RFC 4291
//! section 2.5.5.2) are IPv4 addresses, in the configuration as in requests.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_plugin_sdk::prelude::ConfigError;
use ipnet::IpNet;

/// Networks by length of their prefix, longest first, and within one length in order.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    lengths: Vec<(u8, Vec<(IpNet, bool)>)>,
}

/// Networks that are gathered in any order. A list may have a million, and an instance little memory: each takes its own
/// bytes alone.
#[derive(Debug, Default)]
pub(crate) struct Builder(BTreeMap<u8, Vec<(IpNet, bool)>>);

impl Builder {
    /// A network, and what becomes of its addresses.
    pub(crate) fn add(&mut self, network: IpNet, allows: bool) {
        self.0.entry(network.prefix_len()).or_default().push((network, allows));
    }

    pub(crate) fn finish(self) -> Networks {
        let sorted = |(length, mut networks): (u8, Vec<_>)| {
            networks.sort_unstable();
            networks.dedup();
            (length, networks)
        };
        Networks { lengths: self.0.into_iter().rev().map(sorted).collect() }
    }
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is neither that nor an address.
    NoNetwork,
    /// It has bits beyond its prefix; without them it is this.
    BeyondPrefix(IpNet),
}

/// How networks are written.
pub(crate) const EXAMPLES: &str = "write it like 192.0.2.0/24 or 2001:db8::/32";
/// No network is written with more letters.
const LONGEST: usize = 64;

impl Wrong {
    /// What is wrong with this text.
    pub(crate) fn words(self, text: &str) -> String {
        let shown = &text[..text.floor_char_boundary(LONGEST)];
        match self {
            Self::NoNetwork => format!("`{shown}` is no address or network; {EXAMPLES}"),
            Self::BeyondPrefix(network) => {
                format!("{shown} has bits beyond its prefix; the network is {network}")
            }
        }
    }
}

/// What is known of an address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The most specific network that holds it, and what becomes of its addresses.
    Network {
        allows: bool,
        network: IpNet,
    },
    None,
    NotAnAddress,
}

impl Networks {
    /// Reads both lists. What comes besides is each entry that is no network, or that both lists have.
    pub(crate) fn new(allow: &[String], deny: &[String]) -> (Self, Vec<ConfigError>) {
        let mut errors = Vec::new();
        let mut known: BTreeMap<IpNet, bool> = BTreeMap::new();
        let lists = [("allow", allow, true), ("deny", deny, false)];
        for (list, entries, allows) in lists {
            for (index, text) in entries.iter().enumerate() {
                let pointer = format!("/{list}/{index}");
                match network(text) {
                    Ok(network) => match known.insert(network, allows) {
                        Some(earlier) if earlier != allows => {
                            let message = format!("`allow` has {network} too");
                            errors.push(ConfigError::at(pointer, message));
                        }
                        _ => {}
                    },
                    Err(wrong) => errors.push(ConfigError::at(pointer, wrong.words(text))),
                }
            }
        }
        let mut networks = Builder::default();
        known.into_iter().for_each(|(network, allows)| networks.add(network, allows));
        (networks.finish(), errors)
    }

    /// Finds the network that decides about an address.
    pub(crate) fn find(&self, address: &str) -> Found {
        // A zone (RFC 4007 section 11) names an interface of this host.
        let text = address.split_once('%').map_or(address, |(text, _)| text);
        let Ok(address) = text.parse::<IpAddr>() else { return Found::NotAnAddress };
        let address = address.to_canonical();
        for (length, networks) in &self.lengths {
            // A length that only IPv6 has is no length of an IPv4 network.
            let Ok(wanted) = IpNet::new(address, *length) else { continue };
            let wanted = wanted.trunc();
            if let Ok(index) = networks.binary_search_by_key(&wanted, |(network, _)| *network) {
                let (network, allows) = networks[index];
                return Found::Network { allows, network };
            }
        }
        Found::None
    }
}

/// Reads a network, or an address alone.
pub(crate) fn network(text: &str) -> Result<IpNet, Wrong> {
    if text.len() > LONGEST {
        return Err(Wrong::NoNetwork);
    }
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text.parse::<IpNet>().map_err(|_| Wrong::NoNetwork)?,
    };
    let network = canonical(network);
    let trunc = network.trunc();
    if network != trunc {
        return Err(Wrong::BeyondPrefix(trunc));
    }
    Ok(network)
}

/// An IPv4 network in IPv6 form is that IPv4 network.
fn canonical(network: IpNet) -> IpNet {
    let mapped = match network.addr().to_canonical() {
        v4 @ IpAddr::V4(_) => network.prefix_len().checked_sub(96).map(|length| (v4, length)),
        IpAddr::V6(_) => None,
    };
    match (network, mapped) {
        (IpNet::V6(_), Some((address, length))) => IpNet::new(address, length).unwrap_or(network),
        _ => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(allow: &[&str], deny: &[&str]) -> Networks {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (networks, errors) = Networks::new(&owned(allow), &owned(deny));
        assert!(errors.is_empty(), "{errors:?}");
        networks
    }

    fn found(networks: &Networks, address: &str) -> Option<(bool, String)> {
        match networks.find(address) {
            Found::Network { allows, network } => Some((allows, network.to_string())),
            Found::None | Found::NotAnAddress => None,
        }
    }

    #[test]
    fn the_most_specific_network_decides() {
        let networks = networks(
            &["10.0.0.0/8", "10.1.2.3", "2001:db8::/32"],
            &["10.1.0.0/16", "2001:db8:1::/48", "0.0.0.0/0"],
        );
        let cases = [
            ("10.9.9.9", true, "10.0.0.0/8"),
            ("10.1.9.9", false, "10.1.0.0/16"),
            ("10.1.2.3", true, "10.1.2.3/32"),
            ("192.0.2.1", false, "0.0.0.0/0"),
            ("::ffff:10.1.2.3", true, "10.1.2.3/32"),
            ("2001:db8::1", true, "2001:db8::/32"),
            ("2001:db8:1::1%eth0", false, "2001:db8:1::/48"),
        ];
        for (address, allows, network) in cases {
            assert_eq!(found(&networks, address), Some((allows, network.to_owned())), "{address}");
        }
        assert_eq!(networks.find("::1"), Found::None);
        assert_eq!(networks.find("unix:"), Found::NotAnAddress);
    }

    #[test]
    fn networks_in_ipv6_form_are_those_that_they_hold() {
        let networks = networks(&["::ffff:192.0.2.0/120", "::ffff:198.51.100.7"], &[]);
        assert_eq!(found(&networks, "192.0.2.9"), Some((true, "192.0.2.0/24".to_owned())));
        assert_eq!(found(&networks, "198.51.100.7"), Some((true, "198.51.100.7/32".to_owned())));
        assert_eq!(networks.find("::1"), Found::None);
    }

    #[test]
    fn thousands_are_found() {
        let entries: Vec<String> =
            (0..=255).flat_map(|a| (0..40).map(move |b| format!("10.{a}.{b}.0/24"))).collect();
        let (networks, _) = Networks::new(&entries, &[]);
        for text in ["10.0.0.1", "10.255.39.255", "10.77.13.1"] {
            assert!(found(&networks, text).is_some(), "{text}");
        }
        assert_eq!(networks.find("10.77.40.1"), Found::None);
    }
}
