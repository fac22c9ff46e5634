//! The codings of bodies (RFC 9110 section 8.4.1): which are known, taking them off, putting them on.
//!
//! Owns the bound on what a body may become: each decoded byte counts, whatever the ratio, so that
//! memory is bounded before it is taken. Must not know of rules or heads.

// By their paths, since `json-expression` has this file too.
#[path = "coding/brotli.rs"]
mod brotli;
#[cfg(test)]
#[path = "coding/peers.rs"]
mod peers;
#[path = "coding/zstd.rs"]
mod zstd;

use std::io::{self, Read};

use flate2::Compression;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::read::{GzEncoder, ZlibEncoder};
use gateway_plugin_sdk::prelude::*;

use crate::memory::has_room;

/// A coding that can be taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Coding {
    Gzip,
    /// The `zlib` format (RFC 1950); what some senders mean, bare `deflate` (RFC 1951), is read too.
    Deflate,
    /// Is not put on.
    Brotli,
    /// Is not put on.
    Zstd,
}

/// What is decoded, as `accept-encoding` names it.
pub(crate) const KNOWN: &str = "gzip, deflate, br, zstd";

/// How much is decoded at once.
const STEP: usize = 32 << 10;

/// Codings on top of one another, at most: more is no use to anybody.
const MOST: usize = 4;

/// Why a body was not decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// It is larger than this many bytes.
    TooLarge(u64),
    /// It is not what its head says, for this reason.
    Broken(String),
    /// It reaches back over so many bytes, for which there is no memory.
    NoRoom(usize),
}

impl DecodeError {
    fn broken(reason: &str) -> Self {
        Self::Broken(reason.to_owned())
    }

    fn cut_off() -> Self {
        Self::broken("it ends before its end")
    }
}

/// The codings that a field names, in the order in which they were applied; `None` if one is not
/// known or there are too many.
pub(crate) fn parse(field: &str) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for name in names(field) {
        codings.push(Coding::named(name)?);
    }
    (codings.len() <= MOST).then_some(codings)
}

/// Whether a field names any coding.
pub(crate) fn is_coded(field: &str) -> bool {
    names(field).next().is_some()
}

/// Takes codings off, the last one first.
pub(crate) fn decode(codings: &[Coding], body: &[u8], limit: u64) -> Result<Vec<u8>, DecodeError> {
    // What is still coded may be a little longer than what it holds.
    let between = limit.saturating_add(limit / 8).saturating_add(1024);
    let mut decoded: Option<Vec<u8>> = None;
    for (below, coding) in codings.iter().enumerate().rev() {
        let limit = if below == 0 { limit } else { between };
        decoded = Some(coding.decode(decoded.as_deref().unwrap_or(body), limit)?);
    }
    Ok(decoded.unwrap_or_else(|| body.to_vec()))
}

/// Whether all of them can be put on.
pub(crate) fn can_be_put_on(codings: &[Coding]) -> bool {
    codings.iter().all(|coding| coding.can_be_put_on())
}

/// Puts codings on, the first one first. Those that cannot be are left out.
pub(crate) fn encode(codings: &[Coding], body: Vec<u8>) -> Vec<u8> {
    codings.iter().fold(body, |body, coding| coding.encode(body))
}

/// The part of an `accept-encoding` that can be decoded here, and put on again if it `is_put_on`; `identity` if
/// nothing is.
pub(crate) fn acceptable(field: Option<&str>, is_put_on: bool) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for item in field.unwrap_or_default().split(',') {
        let item = item.trim();
        let name = item.split(';').next().unwrap_or_default().trim();
        let is_known = |coding: Coding| !is_put_on || coding.can_be_put_on();
        if name.eq_ignore_ascii_case("identity") || Coding::named(name).is_some_and(is_known) {
            kept.push(item);
        }
    }
    if kept.is_empty() { "identity".to_owned() } else { kept.join(", ") }
}

fn names(field: &str) -> impl Iterator<Item = &str> {
    field
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
}

impl Coding {
    fn named(name: &str) -> Option<Self> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("deflate") {
            Some(Self::Deflate)
        } else if is("br") {
            Some(Self::Brotli)
        } else if is("zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    fn can_be_put_on(self) -> bool {
        matches!(self, Self::Gzip | Self::Deflate)
    }

    fn decode(self, body: &[u8], limit: u64) -> Result<Vec<u8>, DecodeError> {
        let (out, rest) = match self {
            Self::Brotli => brotli::decode(body, limit)?,
            Self::Zstd => (zstd::decode(body, limit)?, &[][..]),
            Self::Gzip => {
                let mut decoder = MultiGzDecoder::new(body);
                (read(&mut decoder, limit)?, decoder.into_inner())
            }
            Self::Deflate if is_zlib(body) => {
                let mut decoder = ZlibDecoder::new(body);
                (read(&mut decoder, limit)?, decoder.into_inner())
            }
            Self::Deflate => {
                let mut decoder = DeflateDecoder::new(body);
                (read(&mut decoder, limit)?, decoder.into_inner())
            }
        };
        if !rest.is_empty() {
            return Err(DecodeError::Broken("there are bytes behind its end".to_owned()));
        }
        Ok(out)
    }

    fn encode(self, body: Vec<u8>) -> Vec<u8> {
        let mut out = Vec::with_capacity(body.len() / 2);
        let level = Compression::fast();
        let written = match self {
            Self::Gzip => GzEncoder::new(&*body, level).read_to_end(&mut out),
            Self::Deflate => ZlibEncoder::new(&*body, level).read_to_end(&mut out),
            Self::Brotli | Self::Zstd => return body,
        };
        written.expect("memory can be read and written");
        out
    }
}

fn read(decoder: &mut impl Read, limit: u64) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    let read = decoder.take(limit.saturating_add(1)).read_to_end(&mut out);
    if out.len() as u64 > limit {
        return Err(DecodeError::TooLarge(limit));
    }
    match read {
        Ok(_) => Ok(out),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(DecodeError::cut_off()),
        Err(error) => Err(DecodeError::Broken(error.to_string())),
    }
}

/// What operators read of a body that takes too much memory to decode.
pub(crate) fn no_room(window: usize) -> String {
    format!(
        "to decode its body takes {window} bytes and more, and the plugin's memory has no room for them; raise \
         `limits.memory`"
    )
}

/// Adds what was decoded.
fn add(out: &mut Vec<u8>, piece: &[u8], limit: u64) -> Result<(), DecodeError> {
    if out.len() as u64 + piece.len() as u64 > limit {
        return Err(DecodeError::TooLarge(limit));
    }
    out.extend_from_slice(piece);
    Ok(())
}

/// Whether the first two bytes are a header of RFC 1950 section 2.2.
fn is_zlib(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => {
            method & 0x0F == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACKS: [&[Coding]; 5] = [
        &[],
        &[Coding::Gzip],
        &[Coding::Deflate],
        &[Coding::Gzip, Coding::Deflate],
        &[Coding::Deflate, Coding::Gzip, Coding::Gzip],
    ];

    /// Bytes that repeat themselves to a degree, by a small generator, so that a failure can be
    /// repeated.
    fn bytes(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let alphabet = 1 + next() % 256;
        (0..length).map(|_| u8::try_from(next() % alphabet).unwrap()).collect()
    }

    #[test]
    fn what_is_put_on_comes_off_again_within_exactly_its_size() {
        for seed in 0..60 {
            let body = bytes(seed, usize::try_from(seed * seed * 7).unwrap());
            for stack in STACKS {
                let coded = encode(stack, body.clone());
                let limit = body.len() as u64;
                assert_eq!(decode(stack, &coded, limit), Ok(body.clone()), "{seed} {stack:?}");
                if !stack.is_empty() && limit > 0 {
                    assert_eq!(
                        decode(stack, &coded, limit - 1),
                        Err(DecodeError::TooLarge(limit - 1)),
                        "{seed} {stack:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_broken() {
        for stack in &STACKS[1..] {
            let coded = encode(stack, bytes(7, 500));
            for cut in 0..coded.len() {
                let decoded = decode(stack, &coded[..cut], 1 << 20);
                assert!(matches!(decoded, Err(DecodeError::Broken(_))), "{stack:?} {cut}");
            }
            let longer = [&coded[..], b"x"].concat();
            let decoded = decode(stack, &longer, 1 << 20);
            assert!(matches!(decoded, Err(DecodeError::Broken(_))), "{stack:?}");
        }
    }

    #[test]
    fn a_gzip_body_may_have_several_members_and_deflate_may_be_bare() {
        let two = [encode(&[Coding::Gzip], b"ab".to_vec()), encode(&[Coding::Gzip], b"c".to_vec())];
        assert_eq!(decode(&[Coding::Gzip], &two.concat(), 3), Ok(b"abc".to_vec()));
        let zlib = encode(&[Coding::Deflate], b"hello hello hello".to_vec());
        let bare = &zlib[2..zlib.len() - 4];
        assert_eq!(decode(&[Coding::Deflate], bare, 99), Ok(b"hello hello hello".to_vec()));
    }

    #[test]
    fn a_bomb_is_given_up_at_the_limit() {
        let bomb = encode(&[Coding::Gzip, Coding::Gzip], vec![0; 20 << 20]);
        assert!(bomb.len() < 4 << 10, "{}", bomb.len());
        let stack = [Coding::Gzip, Coding::Gzip];
        assert_eq!(decode(&stack, &bomb, 1 << 20), Err(DecodeError::TooLarge(1 << 20)));
    }

    #[test]
    fn knows_its_codings_by_name_and_no_others() {
        assert_eq!(parse("identity, X-GZip ,,deflate"), Some(vec![Coding::Gzip, Coding::Deflate]));
        assert_eq!(parse(" identity "), Some(Vec::new()));
        assert_eq!(parse("BR, zstd"), Some(vec![Coding::Brotli, Coding::Zstd]));
        assert!(can_be_put_on(&[Coding::Gzip]) && !can_be_put_on(&[Coding::Gzip, Coding::Brotli]));
        for field in ["brotli", "gzip, dcz", "compress", "gzip;q=1", "gzip,gzip,gzip,gzip,gzip"] {
            assert_eq!(parse(field), None, "{field}");
        }
        assert!(is_coded("br") && !is_coded("identity,") && !is_coded(""));
    }

    #[test]
    fn accepts_from_an_upstream_what_the_client_accepts_and_it_can_decode() {
        for (client, decoded, recoded) in [
            (None, "identity", "identity"),
            (Some(""), "identity", "identity"),
            (Some("dcb, *"), "identity", "identity"),
            (Some("br"), "br", "identity"),
            (Some("gzip, deflate, br, zstd"), "gzip, deflate, br, zstd", "gzip, deflate"),
            (Some("br;q=1.0, GZIP;q=0.5, dcz"), "br;q=1.0, GZIP;q=0.5", "GZIP;q=0.5"),
        ] {
            assert_eq!(acceptable(client, false), decoded);
            assert_eq!(acceptable(client, true), recoded);
        }
    }
}
