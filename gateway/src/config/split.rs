//! `split` of a route: several upstreams, and which share of the requests each gets.
//!
//! Owns the variants, what makes a request stick to one, and the checks of both. The choice for a request is
//! the request path's.

use std::collections::HashMap;

use http::HeaderName;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::names::Names;
use super::reader::{Table, Text};
use super::route::action;
use super::route::path::Paths;
use super::{Rewrite, Span, UpstreamId, suggest};

/// Attributes that the gateway sets, and that a request may stick by.
const OWN: [&str; 7] = [
    "client.address",
    "client.port",
    "listener.name",
    "request.host",
    "request.id",
    "request.scheme",
    "route.pattern",
];
/// What is known of the certificate that a client showed.
pub(super) const CERTIFICATE: &str = "client.certificate.";
pub(super) const OF_CERTIFICATE: [&str; 10] = [
    "common-name",
    "dns",
    "email",
    "fingerprint",
    "issuer",
    "not-after",
    "serial",
    "spiffe-id",
    "subject",
    "uri",
];
/// Beginnings of attributes that plugins cannot set.
const RESERVED: [&str; 5] = ["client.", "request.", "listener.", "route.", "upstream."];
/// What a claim of a token is called as an attribute.
const CLAIM: &str = "consumer.claim.";

/// `split = { variants, by, salt }`
#[derive(Debug, Clone)]
pub struct Split {
    /// `variants`, in the order of the file; at least one has a weight.
    pub variants: Vec<Variant>,
    /// Those with a weight, as the choice for a request needs them.
    pub chances: Box<[Chance]>,
    /// `by`: what a request sticks to a variant by. The first that it has; by chance where it has none.
    pub by: Vec<StickyKey>,
    /// Hash of `salt`. Default: that of the route's name.
    pub salt: u64,
}

/// `{ name = "canary", upstream = "v2", weight = 5 }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// `name`, unique in its split.
    pub name: String,
    /// `upstream`
    pub upstream: UpstreamId,
    /// `weight`: its part of the sum of all weights. Default 1.
    pub weight: u32,
    /// `rewrite`, in place of the route's; `None` where it has none.
    pub rewrite: Option<Rewrite>,
}

/// The chance of a variant that has a weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// Its place in [`Split::variants`].
    pub variant: usize,
    /// Its weight.
    pub weight: f64,
    /// Hash of its name.
    pub hash: u64,
}

impl Chance {
    /// Those of these variants that have one.
    pub(crate) fn of(variants: &[Variant]) -> Box<[Self]> {
        let weighted = variants.iter().enumerate().filter(|(_, it)| it.weight > 0);
        let chance = |(variant, it): (usize, &Variant)| {
            let (weight, hash) = (f64::from(it.weight), stable_hash(0, it.name.as_bytes()));
            Self { variant, weight, hash }
        };
        weighted.map(chance).collect()
    }
}

/// An element of `by`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StickyKey {
    /// `"client.address"`; of IPv6 the first 64 bits, as a client has them to itself.
    #[default]
    ClientAddress,
    /// The attribute of this name: `"consumer.id"`, `"claim:sub"`.
    Attribute(String),
    /// `"header:NAME"`
    Header(HeaderName),
    /// `"cookie:NAME"`
    Cookie(String),
}

/// A hash that is the same in every gateway and version.
pub(crate) fn stable_hash(seed: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, seed)
}

/// Reads a split.
pub(super) fn read(
    table: &Table<'_, '_>,
    upstreams: &Names,
    route: Option<&Text>,
    (paths, has_plugins): (&Paths, bool),
) -> Option<Split> {
    let variants = variants(table, upstreams, paths);
    let by = table.list("by").unwrap_or_default();
    let by = by.iter().filter_map(|item| table.reading.text(item, "an element of `by`"));
    let by = by.filter_map(|text| {
        let key = table.reading.parsed(&text, "what a request sticks by", sticky_key)?;
        if let StickyKey::Attribute(name) = &key
            && let Some(capture) = name.strip_prefix("capture.")
            && !paths.may_capture(capture)
        {
            let error = format!("no path of the route captures `{capture}`");
            let error = Diagnostic::error(text.span.clone(), error);
            table.reading.report(error.help("name a `{...}` of `paths`"));
        }
        if matches!(&key, StickyKey::Attribute(name) if !has_plugins && !is_own(name)) {
            let warning =
                format!("nothing sets the attribute `{}`: the route has no plugins", text.shown);
            table.reading.report_absence(Diagnostic::warning(text.span, warning));
        }
        Some(key)
    });
    let by = by.collect();
    let salt = table.text("salt").map(|text| text.value);
    let salt = salt.as_deref().or(route.map(|name| &*name.value)).unwrap_or_default();
    let salt = stable_hash(0, salt.as_bytes());
    let variants = variants?;
    Some(Split { chances: Chance::of(&variants), variants, by, salt })
}

fn variants(table: &Table<'_, '_>, upstreams: &Names, paths: &Paths) -> Option<Vec<Variant>> {
    let tables = table.tables("variants");
    let mut seen: HashMap<String, Span> = HashMap::new();
    let mut variants = Vec::with_capacity(tables.len());
    for given in &tables {
        let name = given.word("name");
        let upstream = given.word("upstream").and_then(|name| {
            upstreams.find(table.reading, &name, "a `[upstreams.NAME]` table with `targets`")
        });
        let weight = given.integer("weight").unwrap_or(1);
        let rewrite = given.value("rewrite").map(|_| action::rewrite(given, paths));
        if let Some(name) = &name
            && let Some(first) = seen.insert(name.value.clone(), name.span.clone())
        {
            let error = format!("two variants have the name `{}`", name.shown);
            let error = Diagnostic::error(name.span.clone(), error).related(first, "the first");
            table.reading.report(error);
        }
        if let (Some(name), Some(upstream)) = (name, upstream) {
            let (upstream, weight) = (UpstreamId(upstream), weight as u32);
            variants.push(Variant { name: name.value, upstream, weight, rewrite });
        }
    }
    if variants.len() < tables.len() || variants.is_empty() {
        return None;
    }
    if variants.iter().all(|variant| variant.weight == 0) {
        let place = table.value("variants").map_or(table.span.clone(), |value| value.span());
        let error = Diagnostic::error(place, "no variant gets a request: each has the weight 0");
        let help = "leave `weight` out where a variant shall get its share";
        table.reading.report(error.help(help));
        return None;
    }
    Some(variants)
}

pub(super) fn sticky_key(text: &str) -> Result<StickyKey, Fault> {
    let fault = |place, what: &str| Fault::new(place, what.to_owned());
    if let Some(name) = text.strip_prefix("header:") {
        let header = HeaderName::from_bytes(name.as_bytes());
        return header.map(StickyKey::Header).map_err(|_| {
            fault(text.len() - name.len()..text.len(), "this is no name of a header field")
                .help("write it like `header:x-user`")
        });
    }
    if let Some(name) = text.strip_prefix("cookie:") {
        // A token (RFC 6265 section 4.1.1).
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            let place = text.len() - name.len()..text.len();
            return Err(
                fault(place, "this is no name of a cookie").help("write it like `cookie:session`")
            );
        }
        return Ok(StickyKey::Cookie(name.to_owned()));
    }
    if let Some(claim) = text.strip_prefix("claim:") {
        if claim.is_empty() {
            return Err(fault(0..text.len(), "the claim has no name").help("write `claim:sub`"));
        }
        return Ok(StickyKey::Attribute(format!("{CLAIM}{claim}")));
    }
    if text == "client.address" {
        return Ok(StickyKey::ClientAddress);
    }
    if text.is_empty() {
        return Err(fault(0..0, "this is empty").help("write `consumer.id`"));
    }
    if let Some((prefix, name)) = text.split_once(':') {
        let error = fault(0..prefix.len() + 1, "this is none of `header:`, `cookie:` and `claim:`");
        return Err(match suggest::closest(prefix, ["header", "cookie", "claim"]) {
            Some(meant) => error.help(format!("did you mean `{meant}:{name}`?")),
            None => error.help("write `header:x-user`, `cookie:session` or `claim:sub`"),
        });
    }
    if let Some(part) = text.strip_prefix(CERTIFICATE) {
        if OF_CERTIFICATE.contains(&part) {
            return Ok(StickyKey::Attribute(text.to_owned()));
        }
        let place = CERTIFICATE.len()..text.len();
        let error = fault(place, "nothing of a certificate has this name");
        return Err(match suggest::closest(part, OF_CERTIFICATE) {
            Some(meant) => error.help(format!("did you mean `{CERTIFICATE}{meant}`?")),
            None => error.help(format!("there are `{}`", OF_CERTIFICATE.join("`, `"))),
        });
    }
    let is_reserved = RESERVED.iter().any(|prefix| text.starts_with(prefix));
    if is_reserved && !OWN.contains(&text) {
        let error = fault(0..text.len(), "no request has this attribute before it is sent on");
        return Err(match suggest::closest(text, OWN) {
            Some(meant) => error.help(format!("did you mean `{meant}`?")),
            None => error.help(format!("there are `{}`", OWN.join("`, `"))),
        });
    }
    Ok(StickyKey::Attribute(text.to_owned()))
}

/// Whether the gateway sets it.
fn is_own(attribute: &str) -> bool {
    OWN.contains(&attribute)
        || attribute.starts_with("capture.")
        || attribute.starts_with(CERTIFICATE)
}
