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

use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;
use percent_encoding::percent_decode_str;

use super::Matched;
use crate::config::{Action, Chance, Split, StickyKey, UpstreamId, stable_hash};
use crate::error::Failure;
use crate::exchange::Exchange;

/// Up to so many fields, comparing the name with each costs less than hashing it, which goes byte by byte.
const FEW_FIELDS: usize = 12;
/// By how much the logarithm to the base 2 of a number from 1 to 2 is above the number less 1, at most.
const LOG_ERROR: f64 = 0.0861;

/// Chooses the variant of a request, where its route splits. `attribute` shows the value of the attribute with a name, if
/// there is one.
pub(in crate::proxy) fn settle(
    exchange: &Exchange,
    action: &Action,
    headers: &HeaderMap,
    attribute: impl Fn(&str, &mut dyn FnMut(&str)),
) {
    let Action::Split(split) = action else { return };
    let key =
        split.by.iter().find_map(|key| hashed(key, split.salt, exchange, headers, &attribute));
    let variant = key.map_or_else(|| drawn(&split.chances), |key| best(&split.chances, key));
    exchange.goes_to_variant(variant);
}

/// The upstream of the variant that was chosen.
pub(super) fn settled(exchange: &Exchange, split: &Split) -> Result<UpstreamId, Failure> {
    let variant = exchange.variant().and_then(|variant| split.variants.get(variant));
    // Not made where it is not needed: it would have to be dropped.
    variant.map(|it| it.upstream).ok_or_else(|| Failure::Internal("a split was not settled"))
}

/// The upstream that an action forwards to, if it does.
pub(in crate::proxy) fn upstream_of(exchange: &Exchange, action: &Action) -> Option<UpstreamId> {
    match action {
        Action::Forward(upstream) => Some(*upstream),
        Action::Split(split) => settled(exchange, split).ok(),
        Action::Component(_) | Action::Respond(_) | Action::Redirect(_) => None,
    }
}

/// The hash of what a request has for a key; `None` if it has nothing there.
pub(super) fn hashed(
    key: &StickyKey,
    salt: u64,
    exchange: &Exchange,
    headers: &HeaderMap,
    attribute: &impl Fn(&str, &mut dyn FnMut(&str)),
) -> Option<u64> {
    let hash = |value: &[u8]| (!value.is_empty()).then(|| stable_hash(salt, value));
    match key {
        StickyKey::ClientAddress => Some(of_address(salt, exchange.client())),
        StickyKey::Attribute(name) => {
            let mut hashed = None;
            attribute(name, &mut |value| hashed = hash(value.as_bytes()));
            hashed
        }
        StickyKey::Header(name) => hash(field(headers, name)?.as_bytes()),
        StickyKey::Cookie(name) => hash(cookie(headers, name)?),
    }
}

/// The first value of a field.
fn field<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    if headers.len() > FEW_FIELDS {
        return headers.get(name);
    }
    headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The variant with the best score.
fn best(chances: &[Chance], key: u64) -> usize {
    // Logarithms take long, and bounds of them are enough nearly always.
    let (mut best, mut low, mut high, mut low_of_others) = (0, f64::INFINITY, 0.0, f64::INFINITY);
    for chance in chances {
        let above = -log2_at_least(unit(mixed(key ^ chance.hash)));
        let below = (above - LOG_ERROR) / chance.weight;
        if below < low {
            low_of_others = low;
            (best, low, high) = (chance.variant, below, above / chance.weight);
        } else {
            low_of_others = low_of_others.min(below);
        }
    }
    if high < low_of_others { best } else { exactly_best(chances, key) }
}

#[cold]
fn exactly_best(chances: &[Chance], key: u64) -> usize {
    let (mut best, mut least) = (0, f64::INFINITY);
    for chance in chances {
        // Exponentially distributed with the weight as its rate: the smallest of all is that of a variant
        // with the probability that its weight has of the sum.
        let score = -unit(mixed(key ^ chance.hash)).ln() / chance.weight;
        if score < least {
            (best, least) = (chance.variant, score);
        }
    }
    best
}

/// A variant by its weight alone.
fn drawn(chances: &[Chance]) -> usize {
    let sum: f64 = chances.iter().map(|chance| chance.weight).sum();
    let mut place = unit(random()) * sum;
    for chance in chances {
        if place < chance.weight {
            return chance.variant;
        }
        place -= chance.weight;
    }
    // Rounded up to the sum.
    chances.last().map_or(0, |chance| chance.variant)
}

/// A number that the logarithm to the base 2 is not below, and at most [`LOG_ERROR`] above. The exponent of a
/// float, and its fraction behind it, are a logarithm with straight lines between the powers of two.
#[expect(clippy::cast_precision_loss, reason = "the error is far below what is left of the bound")]
fn log2_at_least(number: f64) -> f64 {
    number.to_bits().cast_signed() as f64 * (1.0 / (1_u64 << 52) as f64) - 1023.0
}

/// Evenly distributed between 0 and 1, neither of them included.
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
fn unit(hash: u64) -> f64 {
    // A number with a sign is converted by one instruction.
    ((hash >> 11).cast_signed() as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64)
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
    headers.get_all(COOKIE).into_iter().find_map(|field| {
        let mut rest = field.as_bytes();
        while !rest.is_empty() {
            let end = memchr(b';', rest).unwrap_or(rest.len());
            let value = rest[..end].trim_ascii_start().strip_prefix(name.as_bytes());
            if let Some(value) = value.and_then(|value| value.strip_prefix(b"=")) {
                return Some(value.trim_ascii_end());
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        None
    })
}

/// An attribute that the gateway itself sets, of a request without plugins.
pub(in crate::proxy) fn own_attribute(
    exchange: &Exchange,
    matched: &Matched<'_>,
    head: &Parts,
    name: &str,
    look: &mut dyn FnMut(&str),
) {
    if let Some(value) = own(exchange, matched, head, name) {
        look(&value);
    }
}

fn own<'a>(
    exchange: &'a Exchange,
    matched: &'a Matched<'_>,
    head: &'a Parts,
    name: &str,
) -> Option<Cow<'a, str>> {
    let Matched { found, target, .. } = matched;
    let (pattern, captures) =
        exchange.snapshot.route_names(found.index).patterns.get(found.pattern)?;
    let facts = exchange.facts();
    Some(match name {
        "client.port" => facts.peer.port().to_string().into(),
        "listener.name" => (&*facts.listener.name).into(),
        "request.host" => target.host().to_ascii_lowercase().into(),
        "request.id" => exchange.id().into(),
        "request.scheme" => if exchange.is_https() { "https" } else { "http" }.into(),
        "route.pattern" => (&**pattern).into(),
        _ => match name.strip_prefix("client.certificate.") {
            Some(part) => facts.client_tls.get()?.certificate.as_ref()?.attribute(part)?,
            None => {
                let name = name.strip_prefix("capture.")?;
                let index = captures.iter().position(|known| **known == *name)?;
                let value = found.captures.value(index, target.path(&head.uri))?;
                percent_decode_str(value).decode_utf8_lossy()
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Variant;

    fn variants(weights: &[(&str, u32)]) -> (Vec<Variant>, Box<[Chance]>) {
        let variant = |(name, weight): &(&str, u32)| Variant {
            name: (*name).to_owned(),
            upstream: UpstreamId(0),
            weight: *weight,
            rewrite: None,
        };
        let variants: Vec<_> = weights.iter().map(variant).collect();
        let chances = Chance::of(&variants);
        (variants, chances)
    }

    fn keys(salt: u64, count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(move |user| stable_hash(salt, format!("user-{user}").as_bytes()))
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "they are counts")]
    fn each_variant_gets_its_weight() {
        const KEYS: u64 = 1_000_000;
        let (variants, chances) =
            variants(&[("stable", 90), ("canary", 9), ("new", 1), ("off", 0)]);
        let mut counts = [0_u64; 4];
        keys(1, KEYS).for_each(|key| counts[best(&chances, key)] += 1);
        for (count, variant) in counts.iter().zip(&variants) {
            let share = *count as f64 / KEYS as f64;
            let wanted = f64::from(variant.weight) / 100.0;
            assert!((share - wanted).abs() < 0.002, "{}: {share}", variant.name);
        }
        assert_eq!(counts[3], 0);
        let mut drawn = [0_u64; 2];
        let (_, even) = self::variants(&[("a", 1), ("b", 1)]);
        (0..KEYS).for_each(|_| drawn[super::drawn(&even)] += 1);
        assert!((drawn[0] as f64 / KEYS as f64 - 0.5).abs() < 0.002, "{drawn:?}");
        let mut drawn = [0_u64; 4];
        (0..KEYS).for_each(|_| drawn[super::drawn(&chances)] += 1);
        for (count, share) in drawn.iter().zip([0.9, 0.09, 0.01, 0.0]) {
            assert!((*count as f64 / KEYS as f64 - share).abs() < 0.002, "{drawn:?}");
        }
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "they are counts")]
    fn only_the_share_that_must_move_moves() {
        const KEYS: u64 = 100_000;
        let (before, chances_before) = variants(&[("a", 50), ("b", 30), ("c", 20)]);
        // c grows from 20 to 40 of 120: from 0.2 to a third.
        let (after, chances_after) = variants(&[("c", 40), ("a", 50), ("b", 30)]);
        let mut moved = 0_u64;
        for key in keys(7, KEYS) {
            let (old, new) = (best(&chances_before, key), best(&chances_after, key));
            let (old, new) = (&before[old].name, &after[new].name);
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
        let (_, halves) = variants(&[("a", 1), ("b", 1)]);
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
    fn bounds_choose_what_logarithms_would() {
        let mut by_bounds = 0;
        for weights in [&[1, 1][..], &[95, 5], &[1, 0, 3], &[1_000_000, 1], &[5, 4, 3, 2, 1], &[7]]
        {
            let names = ["a", "b", "c", "d", "e"];
            let (_, chances) =
                variants(&names.into_iter().zip(weights.iter().copied()).collect::<Vec<_>>());
            for key in keys(9, 20_000) {
                assert_eq!(best(&chances, key), exactly_best(&chances, key), "{weights:?}, {key}");
            }
        }
        for hash in
            (0..10_000).map(mixed).chain([0, 1 << 11, u64::MAX, 1 << 63, u64::MAX - (1 << 11)])
        {
            let number = unit(hash);
            let above = number.log2() - log2_at_least(number);
            assert!((-1e-12..LOG_ERROR).contains(&above), "{number}: {above}");
            by_bounds += u32::from(above > 0.0);
        }
        assert!(by_bounds > 9_000, "{by_bounds}");
    }

    #[test]
    fn a_field_is_found_among_few_and_among_many() {
        let name = HeaderName::from_static("x-user");
        for others in [0, 5, 11, 12, 60] {
            let mut headers = HeaderMap::new();
            assert_eq!(field(&headers, &name), None);
            for number in 0..others {
                headers.append(
                    HeaderName::try_from(format!("x-us{number}")).unwrap(),
                    HeaderValue::from_static("other"),
                );
            }
            assert_eq!(field(&headers, &name), None);
            headers.append("x-user", HeaderValue::from_static("first"));
            headers.append("x-user", HeaderValue::from_static("second"));
            assert_eq!(field(&headers, &name).unwrap(), "first");
        }
    }

    #[test]
    fn a_choice_stays_the_same_over_versions() {
        let (_, chances) = variants(&[("stable", 1), ("canary", 1)]);
        let chosen: String = keys(stable_hash(0, b"chat"), 32)
            .map(|key| if best(&chances, key) == 0 { 's' } else { 'c' })
            .collect();
        assert_eq!(chosen, "csssscsccscscsscscscccsssscsscss");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "xsid=1; sid=2".parse().unwrap());
        headers.append(COOKIE, " sid=3;tail=a=b".parse().unwrap());
        assert_eq!(cookie(&headers, "sid"), Some(&b"2"[..]));
        assert_eq!(cookie(&headers, "tail"), Some(&b"a=b"[..]));
        assert_eq!(cookie(&headers, "si"), None);
        headers.append(COOKIE, ";; last = no; last=4 ;".parse().unwrap());
        assert_eq!(cookie(&headers, "last"), Some(&b"4"[..]));
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
