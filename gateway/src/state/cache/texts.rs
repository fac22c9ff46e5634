//! What the heads of a cache have in common.
//!
//! Owns by what text each head is packed: at first one of common fields, then of what was stored lately, where that makes heads
//! shorter. Which is looked at after 16 heads, 32, 64 and so on, so that there are few. Must not be read but
//! to unpack: what is in a text may belong to what was purged since.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::sync::{Mutex, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::block::Block;
use super::lock;
use super::packed::Common;

/// Texts, the first one too.
const MOST: usize = 24;
/// Heads that make one, and one by which it is judged.
const SAMPLES: usize = 9;
/// Bytes of one of them.
const SAMPLE: usize = 2 << 10;
/// After so many heads the first are looked at.
const FIRST: u64 = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Texts {
    all: [OnceLock<Common>; MOST],
    current: AtomicU8,
    /// How many heads there were, and after how many the next are looked at.
    heads: AtomicU64,
    next: AtomicU64,
    samples: Mutex<Vec<Box<[u8]>>>,
}

impl Texts {
    pub(super) fn new() -> Self {
        let all = [const { OnceLock::new() }; MOST];
        let _first = all[0].set(Common::new(&usual()));
        Self {
            all,
            current: AtomicU8::new(0),
            heads: AtomicU64::new(0),
            next: AtomicU64::new(FIRST),
            samples: Mutex::default(),
        }
    }

    /// Packs a head behind what is there, and says by which text.
    pub(super) fn pack(&self, head: &[u8], packed: &mut Vec<u8>) -> u8 {
        let number = self.current.load(Acquire);
        if let Some(common) = self.text(number) {
            common.pack(head, packed);
        }
        if self.heads.fetch_add(1, Relaxed) >= self.next.load(Relaxed) {
            self.sample(head);
        }
        number
    }

    /// The head that was packed by this text.
    pub(super) fn unpack(&self, number: u8, packed: &[u8], length: usize) -> Option<Vec<u8>> {
        self.text(number)?.unpack(packed, length)
    }

    fn text(&self, number: u8) -> Option<&Common> {
        self.all.get(usize::from(number))?.get()
    }

    #[cold]
    fn sample(&self, head: &[u8]) {
        let mut samples = lock(&self.samples);
        samples.push(head[..head.len().min(SAMPLE)].into());
        if samples.len() < SAMPLES {
            return;
        }
        let samples = std::mem::take(&mut *samples);
        self.next.store(self.heads.load(Relaxed).saturating_mul(2), Relaxed);
        let (Some((judge, others)), number) = (samples.split_last(), self.current.load(Acquire))
        else {
            return;
        };
        let (Some(first), Some(known)) = (self.text(0), self.text(number)) else { return };
        let new = Common::new(&[first.text(), &others.concat()].concat());
        let length = |common: &Common| {
            let mut packed = Vec::new();
            common.pack(judge, &mut packed);
            packed.len()
        };
        // Not for a little: there is not room for many.
        if length(&new) * 8 > length(known) * 7 {
            return;
        }
        let Some(place) = self.all.get(usize::from(number) + 1) else { return };
        if place.set(new).is_ok() {
            self.current.store(number + 1, Release);
        }
    }
}

/// Fields that many responses have, in the form in which they are packed.
fn usual() -> Vec<u8> {
    const FIELDS: [(&str, &str); 36] = [
        ("permissions-policy", "interest-cohort=()"),
        ("content-security-policy", "default-src 'self'; frame-ancestors 'none'"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-headers", "Content-Type, Authorization"),
        ("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("access-control-expose-headers", "x-request-id"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("content-disposition", "attachment; filename=\""),
        ("content-language", "en-US"),
        ("content-location", "/"),
        ("x-powered-by", "Express"),
        ("alt-svc", "h3=\":443\"; ma=86400"),
        ("cdn-cache-control", "max-age=86400"),
        ("surrogate-key", "product-"),
        ("surrogate-control", "max-age=86400"),
        ("cache-tag", "article-"),
        ("link", "<https://www.example.com/>; rel=\"canonical\""),
        ("location", "https://www.example.com/"),
        ("x-xss-protection", "1; mode=block"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("content-type", "application/javascript"),
        ("content-type", "image/jpeg"),
        ("content-type", "application/json; charset=utf-8"),
        ("content-encoding", "gzip"),
        ("accept-ranges", "bytes"),
        ("access-control-allow-origin", "*"),
        ("x-request-id", ""),
        ("cache-control", "no-cache, must-revalidate, private"),
        ("content-type", "text/plain"),
        ("via", "1.1 varnish"),
        ("connection", "keep-alive"),
    ];
    /// Nearly all have these, so they are nearest.
    const NEAREST: [(&str, &str); 8] = [
        ("server", "nginx/1."),
        ("date", "Mon, 02 Nov 2026 00:00:00 GMT"),
        ("content-type", "text/html; charset=utf-8"),
        ("vary", "Accept-Encoding"),
        ("cache-control", "public, max-age=3600, s-maxage="),
        ("x-request-id", ""),
        ("etag", "W/\""),
        ("last-modified", "Mon, 02 Nov 2026 00:00:00 GMT"),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in FIELDS.into_iter().chain(NEAREST) {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Block::new(&headers, b"accept-encoding", b"accept-encoding\x01\x04gzip").bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(number: usize) -> Vec<u8> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("server", "a server of nobody's".to_owned()),
            ("x-our-policy", "something long that each response of this site repeats ".repeat(3)),
            ("etag", format!("\"{:x}\"", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().expect("a value"));
        }
        Block::new(&headers, b"", b"").bytes().to_vec()
    }

    #[test]
    fn heads_that_are_alike_are_packed_by_one_another() {
        let texts = Texts::new();
        let mut packed = Vec::new();
        for number in 0..5_000 {
            let (head, mut bytes) = (head(number), Vec::new());
            let text = texts.pack(&head, &mut bytes);
            packed.push((text, bytes, head));
        }
        for (text, bytes, head) in &packed {
            assert_eq!(texts.unpack(*text, bytes, head.len()).as_ref(), Some(head));
        }
        let (first, last) = (&packed[0], &packed[4_999]);
        assert!(first.1.len() > 80 && last.1.len() < 40, "{} {}", first.1.len(), last.1.len());
        assert_eq!((first.0, last.0), (0, 1), "one more text is enough");
        assert_eq!(texts.unpack(9, &last.1, last.2.len()), None);
    }

    #[test]
    fn there_are_so_many_texts_and_no_more() {
        let texts = Texts::new();
        // Of another site whenever they are looked at.
        let kind =
            |number: u64| (1..9).map(move |it| (number.ilog2() + it).wrapping_mul(0x9e37_79b1));
        for number in 1..60_000 {
            let head: Vec<u8> = kind(number).flat_map(u32::to_le_bytes).collect();
            texts.pack(&head, &mut Vec::new());
        }
        let current = texts.current.load(Relaxed);
        assert!((5..MOST as u8).contains(&current), "{current}");
    }
}
