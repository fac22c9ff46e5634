//! `Vary`: which request fields select among the stored responses (RFC 9111 section 4.1), and when two requests are
//! the same in them.
//!
//! A normal form may only join what means the same: the order of members where none is meant, white space and case
//! where the grammar allows any. For a field that is not known here that is only how its lines are joined.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::fields::{Fields, members};

/// More names than that are taken for `*`.
const MOST_NAMES: usize = 16;

/// The longest value that is kept as it is, in bytes. Of a longer one a digest is: clients choose how long it is, and who
/// looks under the key reads those of all variants.
const LONGEST: usize = 128;

/// What `Vary` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vary {
    /// These fields select, in lower case and in order; none for most responses.
    Names(Vec<String>),
    /// Nothing that a later request has can select it.
    Never,
}

impl Vary {
    /// Reads `Vary`.
    pub fn of(response: &Fields) -> Self {
        let text = response.text("vary").unwrap_or_default();
        let mut names: Vec<_> = members(&text).map(str::to_ascii_lowercase).collect();
        names.sort_unstable();
        names.dedup();
        let is_star = |name: &String| !crate::directives::is_token(name) || name == "*";
        if names.len() > MOST_NAMES || names.iter().any(is_star) {
            return Vary::Never;
        }
        Vary::Names(names)
    }
}

/// A request field in its normal form; `None` if the request does not have it.
pub fn normal(name: &str, value: Option<&[u8]>) -> Option<Vec<u8>> {
    let value = value?;
    let known = std::str::from_utf8(value).ok().and_then(|text| match name {
        "accept-encoding" => weighted(text, true),
        "accept-language" | "accept-charset" => weighted(text, false),
        "accept" => weighted(text, false),
        _ => None,
    });
    let normal = known.map_or_else(|| value.trim_ascii().to_vec(), String::into_bytes);
    Some(if normal.len() <= LONGEST { normal } else { digest(&normal) })
}

/// What no field has as its value: it begins with a zero.
fn digest(value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&Sha256::digest(value));
    bytes
}

/// Members with weights, from the heaviest to the lightest; of the same weight by name. `None` if it is not such a
/// list.
fn weighted(text: &str, is_coding: bool) -> Option<String> {
    let mut all = Vec::new();
    for member in members(text) {
        let mut parts = member.split(';').map(|part| part.trim_matches([' ', '\t']));
        let mut name = parts.next()?.to_ascii_lowercase();
        if is_coding && matches!(name.as_str(), "x-gzip" | "x-compress") {
            name.drain(..2);
        }
        let mut weight = 1000;
        for part in parts {
            match part.split_once('=') {
                Some((key, value)) if key.eq_ignore_ascii_case("q") => weight = thousandths(value)?,
                // The case of other values may mean something.
                _ => drop(write!(name, ";{part}")),
            }
        }
        all.push((1000 - weight, name));
    }
    all.sort_unstable();
    all.dedup();
    let mut normal = String::with_capacity(text.len());
    for (lightness, name) in all {
        if !normal.is_empty() {
            normal.push(',');
        }
        normal.push_str(&name);
        if lightness > 0 {
            let _ = write!(normal, ";q={}", 1000 - lightness);
        }
    }
    Some(normal)
}

fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_weight = matches!(whole, "0" | "1")
        && fraction.len() <= 3
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{fraction:0<3}").parse::<u32>().ok().filter(|_| is_weight)?;
    let weight = whole.parse::<u32>().ok()? * 1000 + thousandths;
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(name: &str, one: &str, other: &str) -> bool {
        normal(name, Some(one.as_bytes())) == normal(name, Some(other.as_bytes()))
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        assert!(same("accept-encoding", "gzip, br", "BR ,x-gzip"));
        assert!(same("accept-encoding", "gzip;q=1.0, br;q=0.50", "br; q=0.5,gzip"));
        assert!(!same("accept-encoding", "gzip", "gzip;q=0"));
        assert!(!same("accept-encoding", "", "gzip"));
        assert!(same("accept-language", "en, de", "de,eN"));
        assert!(!same("accept-language", "en;q=0.9, de", "en, de;q=0.9"));
        assert!(same("x-any", " a, b ", "a, b"));
        assert!(!same("x-any", "a, b", "b, a"));
        assert!(!same("x-any", "a,b", "a, b"));
        assert!(!same("cookie", "A=1", "a=1"));
        assert_ne!(normal("x", None), normal("x", Some(b"")));
    }

    #[test]
    fn what_is_no_list_is_compared_as_it_is() {
        assert!(!same("accept-encoding", "gzip;q=2, br", "br, gzip;q=2"));
        assert!(same("accept-encoding", "gzip;q=x", "gzip;q=x"));
    }

    #[test]
    fn a_long_value_takes_no_more_room_and_is_told_apart() {
        let long = |last: &str| format!("{}{last}", "a".repeat(9000));
        assert!(same("cookie", &long("1"), &long("1")) && !same("cookie", &long("1"), &long("2")));
        assert_eq!(normal("cookie", Some(long("1").as_bytes())).unwrap().len(), 33);
        let kept = "a".repeat(LONGEST);
        assert_eq!(normal("cookie", Some(kept.as_bytes())).unwrap(), kept.as_bytes());
    }

    #[test]
    fn vary_is_read() {
        let of = |text: &str| Vary::of(&[("vary", text)].into_iter().collect());
        assert_eq!(of("B, a,,b"), Vary::Names(vec!["a".into(), "b".into()]));
        assert_eq!(of(""), Vary::Names(Vec::new()));
        for never in ["*", ", *", "a, *", "a b"] {
            assert_eq!(of(never), Vary::Never, "{never}");
        }
        let many: Vec<_> = (0..17).map(|number| format!("x{number}")).collect();
        assert_eq!(of(&many.join(",")), Vary::Never);
    }
}
