//! What is asked for: its key, and what the hooks of an exchange tell each other.

use std::fmt::Write as _;

use gateway_cache_policy::authority;
use gateway_cache_policy::conditional::ANSWERED;
use gateway_cache_policy::status::Forward;
use gateway_cache_policy::{Fields, Millis, Request, RequestDirectives, Stored};
use gateway_plugin_sdk::cache::{self, Entry};
use gateway_plugin_sdk::exchange::RequestView;
use gateway_plugin_sdk::{clock, prelude};
use serde::{Deserialize, Serialize};

use crate::config::Credentials;
use crate::settings::{Settings, is_listed};

/// The request fields that are always read, as they arrive with the hook.
pub(crate) const READ: [&str; 10] = [
    "authorization",
    "cache-control",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "pragma",
    "range",
];

/// The variants that the experiments of plugins before have chosen: they may change the request, and so its response.
pub(crate) const VARIANTS: &str = "experiment-variants";

/// A request in the hooks of its exchange; none if the cache has nothing to do with it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress(pub(crate) Option<Box<Asked>>);

/// A request that was sent on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) key: Vec<u8>,
    /// Where what stands behind the query begins in it.
    parts_from: usize,
    /// The query, as far as it counts.
    pub(crate) query: String,
    /// Scheme, authority, path and query, as they were asked for; empty as long as it is answered from what is stored.
    pub(crate) url: String,
    /// Whose it is; empty if it is not known.
    pub(crate) consumer: String,
    pub(crate) owns_key: bool,
    pub(crate) has_credentials: bool,
    pub(crate) directives: RequestDirectives,
    /// The conditions of the client, which are answered here.
    pub(crate) conditions: Vec<(String, Vec<u8>)>,
    /// Whether it may ask for something else than what is stored.
    may_revalidate: bool,
    /// Whether its route splits, and nothing is known of the variant that answers.
    pub(crate) splits: bool,
    /// When it was sent.
    pub(crate) at: Millis,
    pub(crate) why: Forward,
    pub(crate) collapsed: bool,
    /// Whether the upstream is asked about the entry that is kept.
    pub(crate) validates: bool,
}

/// What is remembered of a stored response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) stored: Stored,
    /// What other caches have said of it in `Cache-Status`.
    pub(crate) said: Vec<u8>,
    /// Which parameters of the query count for it, and the query that it has then.
    pub(crate) search: Option<(gateway_cache_policy::variation::Variation, String)>,
}

impl Kept {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// What is remembered of an entry. It is no younger than the time for which it lay here, by a clock that is not set: a
    /// time of day that was set back makes nothing fresh again.
    pub(crate) fn of(entry: &Entry, now: Millis) -> Option<Self> {
        let mut kept: Self = postcard::from_bytes(&entry.metadata).ok()?;
        let resident = u64::try_from(entry.resident.as_millis()).unwrap_or(u64::MAX);
        kept.stored.came = kept.stored.came.min(now.saturating_sub(resident));
        Some(kept)
    }
}

/// The time of day.
pub(crate) fn now() -> Millis {
    u64::try_from(clock::now().as_millis()).unwrap_or(u64::MAX)
}

/// The host and its port.
fn authority_of(request: &prelude::Request) -> String {
    let text = |name: &str| request.attribute(name).unwrap_or_default();
    authority::of(text("request.scheme"), request.header("host"), text("request.host"))
}

impl Asked {
    /// Reads a request.
    pub(crate) fn new(request: &prelude::Request, settings: &Settings) -> Self {
        let text = |name: &str| request.attribute(name).unwrap_or_default();
        let scheme = text("request.scheme");
        let authority = authority_of(request);
        let (path, query) = (request.path(), request.query());
        let consumer = text("consumer.id").to_owned();
        let has_header = request.header_bytes("authorization").is_some();
        let owns_key = settings.credentials == Credentials::ByConsumer && !consumer.is_empty();
        let is_shared = settings.credentials == Credentials::Shared;
        let has_credentials = !is_shared && (has_header || !consumer.is_empty());
        let mut directives =
            RequestDirectives::of(request.header("cache-control"), request.header("pragma"));
        let group = request.attribute("consumer.group");
        let may_revalidate = is_listed(settings.may_revalidate.as_ref(), Some(&consumer), group);
        if !may_revalidate {
            (directives.no_cache, directives.max_age, directives.min_fresh) = (false, None, None);
        }
        // A query that is empty is another URL than none, unless it is said what counts.
        let mark = if query.is_some() || !settings.query.is_exact() { "?" } else { "" };
        let query = settings.query.key(query.unwrap_or_default());
        let mut key =
            String::with_capacity(scheme.len() + authority.len() + path.len() + query.len() + 96);
        for part in [scheme, "://", &authority, path, mark, &query] {
            key.push_str(part);
        }
        // Each part in a form that has an end, so that no two requests have one key.
        let behind = key.len();
        let parts = &mut key;
        // Another route may have another upstream, and what one was answered is not for the other.
        let _ = write!(parts, "\n{:?} {:?}", text("route.name"), text("listener.name"));
        let chosen = request.attribute("upstream.name").filter(|name| !name.is_empty());
        if let Some(upstream) = chosen {
            let _ = write!(parts, "\nupstream {upstream:?}");
        }
        let variants = request.attribute(VARIANTS).filter(|text| !text.is_empty());
        if let Some(variants) = variants {
            let _ = write!(parts, "\nvariants {variants:?}");
        }
        // What was stored under other settings may be more than these allow.
        let _ = write!(parts, "\nrules {:x}", settings.digest);
        let field = request.header("host").map(|field| authority::normal(scheme, field));
        if let Some(field) = field.filter(|field| *field != authority) {
            let _ = write!(parts, "\nhost {field:?}");
        }
        for name in &settings.key_headers {
            let _ = write!(parts, "\n{:?}", request.header_bytes(name));
        }
        for name in &settings.key_attributes {
            let _ = write!(parts, "\n{:?}", request.attribute(name));
        }
        if owns_key {
            let _ = write!(parts, "\nconsumer {consumer:?}");
        }
        let conditions = ANSWERED.into_iter().filter_map(|name| {
            request.header_bytes(name).map(|value| (name.to_owned(), value.to_vec()))
        });
        Self {
            method: request.method().to_owned(),
            key: key.into_bytes(),
            parts_from: behind,
            query,
            url: String::new(),
            consumer,
            owns_key,
            has_credentials,
            directives,
            conditions: conditions.collect(),
            may_revalidate,
            splits: chosen.is_none() && text("route.splits") == "true",
            at: now(),
            why: Forward::UriMiss,
            collapsed: false,
            validates: false,
        }
    }

    /// The key of all queries for which a response is that says which of their parameters count.
    pub(crate) fn path_key(&self) -> Vec<u8> {
        let query = self.parts_from - self.query.len();
        [&self.key[..query], &self.key[self.parts_from..], b"\n*"].concat()
    }

    /// Removes what is under the key under which a response lies.
    pub(crate) fn forget(&self, kept: &Kept) {
        let key = if kept.search.is_some() { self.path_key() } else { self.key.clone() };
        cache::purge_key(&key);
    }

    /// Keeps what was asked for, for the hooks of the response.
    pub(crate) fn keep_url(&mut self, request: &prelude::Request) {
        let text = |name: &str| request.attribute(name).unwrap_or_default();
        let scheme = text("request.scheme");
        self.url = format!("{scheme}://{}{}", authority_of(request), request.path());
        if let Some(query) = request.query() {
            self.url.push('?');
            self.url.push_str(query);
        }
    }

    /// The request for the rules, in the hook that sees it.
    pub(crate) fn arrived(&self, request: &prelude::Request, stored: &[Stored]) -> Request {
        let mut fields = Fields::default();
        let vary = stored.iter().flat_map(|one| one.vary.iter().map(|(name, _)| name.as_str()));
        for name in READ.into_iter().chain(vary.filter(|name| !READ.contains(name))) {
            if let Some(value) = request.header_bytes(name).filter(|_| !fields.has(name)) {
                fields.push(name, value);
            }
        }
        let mut request = self.request(fields);
        // It is answered from what is stored, and what answers it otherwise is not stored.
        request.directives.no_store &= self.may_revalidate;
        request
    }

    /// The request for the rules, in the hooks of its response. `vary` are the fields that this one is selected by.
    pub(crate) fn sent(&self, request: RequestView, vary: &[String]) -> Request {
        let mut fields = Fields::default();
        let all = request.headers();
        for field in all.into_iter().filter(|field| vary.contains(&field.name)) {
            if ANSWERED.iter().all(|name| field.name != *name) {
                fields.push(&field.name, field.value);
            }
        }
        for (name, value) in &self.conditions {
            fields.push(name, value.clone());
        }
        self.request(fields)
    }

    fn request(&self, fields: Fields) -> Request {
        Request {
            method: self.method.clone(),
            fields,
            directives: self.directives.clone(),
            has_credentials: self.has_credentials,
            owns_key: self.owns_key,
        }
    }

    /// The conditions of the client, as fields.
    pub(crate) fn conditions(&self) -> Fields {
        Fields::new(self.conditions.iter().cloned())
    }
}
