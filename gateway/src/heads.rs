//! The two heads of an exchange and what is known about it: all that plugins may read.
//!
//! Owns the request and response heads while plugins run, and the attributes. Must not know who
//! reads or changes them, nor how they came from or go to the wire.

pub(crate) mod authority;
mod calls;
mod detached;
mod fact;
mod hop_by_hop;
pub(crate) mod query;
mod rules;
pub(crate) mod trace_context;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

pub(crate) use self::calls::{Calls, MadeCall};
pub(crate) use self::detached::{detach_uri, detach_value};
pub(crate) use self::fact::AttributeName;
pub(crate) use self::hop_by_hop::{strip_hop_by_hop, strip_nominated};
pub(crate) use self::rules::{check_host_value, normal_path};
use crate::route::Captures;
use crate::tls::ClientCertificate;

/// What plugins can read of one exchange: both heads and the attributes.
#[derive(Debug, Clone)]
pub(crate) struct ExchangeView {
    /// The request as the plugins so far left it.
    pub(crate) request: RequestHead,
    /// The response, once there is one.
    pub(crate) response: Option<ResponseHead>,
    /// What plugins set, in the order in which they did.
    pub(crate) attributes: Vec<Attribute>,
    /// What the gateway knows.
    pub(crate) facts: ExchangeFacts,
    /// For the plugin that sees a response and may ask for another attempt: the request's body as it saw it.
    pub(crate) received: Option<Bytes>,
    /// What the plugin whose hook is called has of the cache.
    pub(crate) cached: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

/// A name and a text that a plugin set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) name: Cow<'static, str>,
    pub(crate) value: String,
    /// The place of the plugin in its chain.
    pub(crate) owner: usize,
}

impl Attribute {
    /// Bytes of both texts.
    pub(crate) fn bytes(&self) -> usize {
        self.name.len() + self.value.len()
    }
}

/// The head of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// Normalised path, and the query as it was sent.
    pub(crate) target: PathAndQuery,
    pub(crate) headers: HeaderMap,
}

/// The head of a response.
#[derive(Debug, Clone)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// What the gateway knows about an exchange: the attributes that plugins cannot set.
#[derive(Debug, Clone)]
pub(crate) struct ExchangeFacts {
    /// The client, after trusted proxies.
    pub(crate) client: IpAddr,
    /// The port of the peer that connected.
    pub(crate) client_port: u16,
    /// What the client showed in its TLS handshake, if it is trusted.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    /// The request id.
    pub(crate) request_id: HeaderValue,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The host without port, in lower case.
    pub(crate) host: Box<str>,
    /// Host and port as the client asked for them, as far as the gateway or a trusted proxy knows.
    pub(crate) authority: Option<HeaderValue>,
    /// Whether the request came with a body, which may turn out to be empty.
    pub(crate) has_body: bool,
    /// It asks for another protocol on its connection, for `request.has-upgrade`.
    pub(crate) has_upgrade: bool,
    /// How long it waited for slots of its plugins.
    pub(crate) waited: Duration,
    /// The listener.
    pub(crate) listener: Arc<str>,
    /// The route.
    pub(crate) route: Arc<RouteNames>,
    /// The index of the pattern that matched.
    pub(crate) pattern: usize,
    /// Where its captures are in `matched`.
    pub(crate) captures: Captures,
    /// The path that was matched, before any plugin changed it.
    pub(crate) matched: PathAndQuery,
    /// The upstream, once it is chosen: by a plugin that the request passed, or by the route.
    pub(crate) upstream: Option<Arc<str>>,
    /// The index of the route's variant, once it is chosen.
    pub(crate) variant: Option<usize>,
    /// What plugins call upstreams with, where there are traces.
    pub(crate) calls: Option<Arc<Calls>>,
    /// While a response passes the plugins: what another attempt would need.
    pub(crate) attempts: Option<Attempts>,
    /// How a cache answered, for `request.cache`.
    pub(crate) cache: Option<&'static str>,
    /// In `on-complete`: what was added to its usage so far, by the numbers of names.
    pub(crate) amounts: Option<Arc<[(u8, i64)]>>,
    /// What the plugin that is called at the end hears of exchanges that ended before: contexts, statuses, and how many.
    pub(crate) counted: Option<Counted>,
    /// The plugin that holds the response back, while one does.
    pub(crate) held_by: Option<Arc<str>>,
    /// For the plugin that is called: what has passed it without a call, in bytes of the string that it counts.
    pub(crate) passed: u64,
}

/// Exchanges that ended alike: with which context and status, and how many.
pub(crate) type Counted = Arc<[(Box<[u8]>, u16, u32)]>;

/// How often a request was sent, and whether it can be sent again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempts {
    pub(crate) sent: u32,
    /// Its body was kept, or it has none.
    pub(crate) is_whole: bool,
}

/// How often a request is sent at most.
pub(crate) const MAX_ATTEMPTS: u32 = 8;

/// The names of a route that exchanges refer to.
#[derive(Debug)]
pub(crate) struct RouteNames {
    /// Its name.
    pub(crate) name: Box<str>,
    /// Its path patterns.
    pub(crate) patterns: Box<[PatternNames]>,
    /// Its variants, where it splits.
    pub(crate) variants: Box<[Box<str>]>,
}

/// A path pattern as the file has it, and the names of its captures.
pub(crate) type PatternNames = (Box<str>, Box<[Box<str>]>);

/// The names that plugins cannot set begin with one of these.
const RESERVED: [&str; 6] = ["client.", "request.", "listener.", "route.", "upstream.", "capture."];

/// Bytes of the name and of the value of an attribute, and attributes of an exchange, at most.
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 8 << 10;
pub(crate) const MAX_ATTRIBUTES: usize = 128;

/// Why a plugin cannot set an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttributeRefused {
    /// It is the gateway's to set.
    Reserved,
    /// The name, the value or the number of attributes.
    TooLarge,
}

impl std::fmt::Display for AttributeRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reserved => "the gateway's to set",
            Self::TooLarge => "without a name, too large, or one too many",
        })
    }
}

/// Whether an attribute of this name is the gateway's to set.
fn is_reserved(name: &str) -> bool {
    // The first byte decides nearly always, and comparing the rest is a call.
    let first = name.as_bytes().first();
    RESERVED.iter().any(|prefix| prefix.as_bytes().first() == first && name.starts_with(prefix))
}

/// Whether a plugin may set an attribute in an exchange that has so many.
pub(crate) fn check_attribute(
    name: &str,
    value: &str,
    count: usize,
) -> Result<(), AttributeRefused> {
    check_attribute_name(name)?;
    check_attribute_value(value)?;
    if count >= MAX_ATTRIBUTES { Err(AttributeRefused::TooLarge) } else { Ok(()) }
}

/// Whether a plugin may set an attribute of this name.
pub(crate) fn check_attribute_name(name: &str) -> Result<(), AttributeRefused> {
    if is_reserved(name) {
        return Err(AttributeRefused::Reserved);
    }
    let fits = !name.is_empty() && name.len() <= MAX_NAME;
    if fits { Ok(()) } else { Err(AttributeRefused::TooLarge) }
}

/// Whether an attribute may have this value.
pub(crate) fn check_attribute_value(value: &str) -> Result<(), AttributeRefused> {
    if value.len() > MAX_VALUE { Err(AttributeRefused::TooLarge) } else { Ok(()) }
}

impl ExchangeView {
    /// Sets an attribute that is not reserved, in place of its former value. Returns whose that was,
    /// and how many bytes it had.
    pub(crate) fn set_attribute(
        &mut self,
        name: Cow<'static, str>,
        value: String,
        owner: usize,
    ) -> Option<(usize, usize)> {
        let Some(known) = self.attributes.iter_mut().find(|known| known.name == name) else {
            self.attributes.push(Attribute { name, value, owner });
            return None;
        };
        let replaced = (known.owner, known.bytes());
        (known.value, known.owner) = (value, owner);
        Some(replaced)
    }
}

impl ExchangeFacts {
    /// The request id as text; it is made of visible ASCII.
    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }
}
