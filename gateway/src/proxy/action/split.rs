//! Which variant of a split a request goes to.
//!
//! Owns the choice, by weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by the logarithm):
//! each variant has a score from the hash of the request's key and its own name, and the best wins. So the
//! same key has the same variant in every gateway, and where weights change only those keys move that a
//! variant gains or loses. Also owns what a request has for a key, by which upstreams choose targets too. Must not
//! know how a request is sent.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::Matched;
use crate::config::{Action, StickyKey, Variant, stable_hash};
use crate::exchange::Exchange;

/// The action of a route for a request: that of its variant, where it splits.
pub(in crate::proxy) fn settle(
    exchange: &Exchange,
    action: &Action,
    headers: &HeaderMap,
    attribute: impl Fn(&str) -> Option<Box<str>>,
) -> Option<Action> {
    let Action::Split(split) = action else { return None };
    let key =
        split.by.iter().find_map(|key| hashed(key, split.salt, exchange, headers, &attribute));
    let variant = best(&split.variants, key.unwrap_or_else(random));
    exchange.goes_to_variant(variant);
    Some(Action::Forward(split.variants[variant].upstream))
}

/// The hash of what a request has for a key; `None` if it has nothing there.
pub(super) fn hashed(
    key: &StickyKey,
    salt: u64,
    exchange: &Exchange,
    headers: &HeaderMap,
    attribute: &impl Fn(&str) -> Option<Box<str>>,
) -> Option<u64> {
    match key {
        StickyKey::ClientAddress => Some(of_address(salt, exchange.client())),
        StickyKey::Attribute(name) => {
            let value = attribute(name).filter(|value| !value.is_empty())?;
            Some(stable_hash(salt, value.as_bytes()))
        }
        StickyKey::Header(name) => {
            let value = headers.get(name).filter(|value| !value.is_empty())?;
            Some(stable_hash(salt, value.as_bytes()))
        }
        StickyKey::Cookie(name) => {
            let value = cookie(headers, name).filter(|value| !value.is_empty())?;
            Some(stable_hash(salt, value))
        }
    }
}

/// The variant with the best score.
fn best(variants: &[Variant], key: u64) -> usize {
    let (mut best, mut least) = (0, f64::INFINITY);
    for (index, variant) in variants.iter().enumerate() {
        // Exponentially distributed with the weight as its rate: the smallest of all is that of a variant
        // with the probability that its weight has of the sum.
        let score = -unit(mixed(key ^ variant.hash)).ln() / f64::from(variant.weight);
        if score < least {
            (best, least) = (index, score);
        }
    }
    best
}

/// Evenly distributed between 0 and 1, neither of them included.
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
fn unit(hash: u64) -> f64 {
    ((hash >> 11) as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64)
}

/// Each bit of the result depends on each bit of the number (the finaliser of SplitMix64, Steele et al. 2014).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Whether a request is one of the share, which is from 0 to 1.
pub(super) fn is_drawn(share: f64) -> bool {
    share >= 1.0 || unit(random()) < share
}

fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15));
    }
    let next = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(next);
    mixed(next)
}

/// A client has the last 64 bits of an address of IPv6 to itself.
fn of_address(salt: u64, address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => stable_hash(salt, &address.octets()),
        IpAddr::V6(address) => stable_hash(salt, &address.octets()[..8]),
    }
}

/// The value of the first cookie of this name.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let pairs = headers
        .get_all(COOKIE)
        .into_iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let value = pair.strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    })
}

/// An attribute that the gateway itself sets, of a request without plugins.
pub(in crate::proxy) fn own_attribute(
    exchange: &Exchange,
    matched: &Matched<'_>,
    head: &Parts,
    name: &str,
) -> Option<Box<str>> {
    let Matched { found, target, .. } = matched;
    let (pattern, captures) =
        exchange.snapshot.route_names(found.index).patterns.get(found.pattern)?;
    let facts = exchange.facts();
    let value: Cow<'_, str> = match name {
        "client.port" => facts.peer.port().to_string().into(),
        "listener.name" => (&*facts.listener.name).into(),
        "request.host" => target.host().to_ascii_lowercase().into(),
        "request.id" => exchange.id().into(),
        "request.scheme" => if exchange.is_https() { "https" } else { "http" }.into(),
        "route.pattern" => (&**pattern).into(),
        _ => match name.strip_prefix("client.certificate.") {
            Some(part) => {
                let certificate = facts.client_tls.get()?.certificate.as_ref()?;
                return certificate.attribute(part).map(Into::into);
            }
            None => {
                let name = name.strip_prefix("capture.")?;
                let index = captures.iter().position(|known| **known == *name)?;
                let value = found.captures.value(index, target.path(&head.uri))?;
                percent_decode_str(value).decode_utf8_lossy()
            }
        },
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UpstreamId;

    fn variants(weights: &[(&str, u32)]) -> Vec<Variant> {
        let variant = |(name, weight): &(&str, u32)| Variant {
            name: (*name).to_owned(),
            upstream: UpstreamId(0),
            weight: *weight,
            rewrite: None,
            hash: stable_hash(0, name.as_bytes()),
        };
        weights.iter().map(variant).collect()
    }

    fn keys(salt: u64, count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(move |user| stable_hash(salt, format!("user-{user}").as_bytes()))
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "they are counts")]
    fn each_variant_gets_its_weight() {
        const KEYS: u64 = 1_000_000;
        let variants = variants(&[("stable", 90), ("canary", 9), ("new", 1), ("off", 0)]);
        let mut counts = [0_u64; 4];
        keys(1, KEYS).for_each(|key| counts[best(&variants, key)] += 1);
        for (count, variant) in counts.iter().zip(&variants) {
            let share = *count as f64 / KEYS as f64;
            let wanted = f64::from(variant.weight) / 100.0;
            assert!((share - wanted).abs() < 0.002, "{}: {share}", variant.name);
        }
        assert_eq!(counts[3], 0);
        let mut drawn = [0_u64; 2];
        let even = self::variants(&[("a", 1), ("b", 1)]);
        (0..KEYS).for_each(|_| drawn[best(&even, random())] += 1);
        assert!((drawn[0] as f64 / KEYS as f64 - 0.5).abs() < 0.002, "{drawn:?}");
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "they are counts")]
    fn only_the_share_that_must_move_moves() {
        const KEYS: u64 = 100_000;
        let before = variants(&[("a", 50), ("b", 30), ("c", 20)]);
        // c grows from 20 to 40 of 120: from 0.2 to a third.
        let after = variants(&[("c", 40), ("a", 50), ("b", 30)]);
        let mut moved = 0_u64;
        for key in keys(7, KEYS) {
            let (old, new) = (&before[best(&before, key)].name, &after[best(&after, key)].name);
            if old != new {
                moved += 1;
                assert_eq!(new, "c", "{old} to {new}: its own weight is what it was");
            }
        }
        let share = moved as f64 / KEYS as f64;
        assert!((share - (1.0 / 3.0 - 0.2)).abs() < 0.005, "{share}");
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "they are counts")]
    fn splits_with_other_salts_are_independent() {
        const KEYS: u64 = 100_000;
        let halves = variants(&[("a", 1), ("b", 1)]);
        let mut both = [[0_u64; 2]; 2];
        for (one, other) in keys(1, KEYS).zip(keys(2, KEYS)) {
            both[best(&halves, one)][best(&halves, other)] += 1;
        }
        // Chi-square of four cells with one degree of freedom: 10.83 is passed once in a thousand times.
        let (rows, columns) = (
            [both[0][0] + both[0][1], both[1][0] + both[1][1]],
            [both[0][0] + both[1][0], both[0][1] + both[1][1]],
        );
        let mut chi_square = 0.0;
        for (row, sum) in rows.iter().enumerate() {
            for (column, other) in columns.iter().enumerate() {
                let expected = (sum * other) as f64 / KEYS as f64;
                chi_square += (both[row][column] as f64 - expected).powi(2) / expected;
            }
        }
        assert!(chi_square < 10.83, "{both:?}");
    }

    #[test]
    fn a_choice_stays_the_same_over_versions() {
        let variants = variants(&[("stable", 1), ("canary", 1)]);
        let chosen: String = keys(stable_hash(0, b"chat"), 32)
            .map(|key| if best(&variants, key) == 0 { 's' } else { 'c' })
            .collect();
        assert_eq!(chosen, "scscscccscccscsscssscssscscccscs");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "xsid=1; sid=2".parse().unwrap());
        headers.append(COOKIE, " sid=3;tail=a=b".parse().unwrap());
        assert_eq!(cookie(&headers, "sid"), Some(&b"2"[..]));
        assert_eq!(cookie(&headers, "tail"), Some(&b"a=b"[..]));
        assert_eq!(cookie(&headers, "si"), None);
    }

    #[test]
    fn clients_of_one_network_of_ipv6_are_one() {
        let hash = |text: &str| of_address(3, text.parse().unwrap());
        assert_eq!(hash("2001:db8:1:2::1"), hash("2001:db8:1:2:ffff::9"));
        assert_ne!(hash("2001:db8:1:2::1"), hash("2001:db8:1:3::1"));
        assert_eq!(hash("::ffff:10.0.0.1"), hash("10.0.0.1"));
        assert_ne!(hash("10.0.0.1"), hash("10.0.0.2"));
    }
}
