//! The types of `wit/`, as the component model passes them.
//!
//! Owns the Rust shape of every record, variant and flag that crosses between gateway and plugin.
//! The shapes are checked against each component when it is loaded, so that a slip here refuses
//! to load rather than misreads. What goes in is borrowed, what comes out is owned. Must not hold
//! logic.

use wasmtime::component::{ComponentType, Lift, Lower, flags};

use super::boxed::Boxed;
use super::edits::{Attributes, Edits};
use super::values::Values;

/// The version of `gateway:plugin` that this gateway speaks.
pub(crate) const VERSION: &str = "0.1.0";

/// The instance that a plugin exports, but for its version.
pub(crate) const HOOKS: &str = "gateway:plugin/hooks@";

/// `hooks.description`
#[derive(ComponentType, Lift, Debug, Clone)]
#[component(record)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sdk: String,
    #[component(name = "config-schema")]
    pub(crate) config_schema: String,
}

/// `hooks.config-error`
#[derive(ComponentType, Lift, Debug, Clone)]
#[component(record)]
pub(crate) struct ConfigError {
    pub(crate) pointer: String,
    pub(crate) message: String,
}

// `hooks.hook-set`
flags! {
    HookSet {
        #[component(name = "request")]
        const REQUEST;
        #[component(name = "response")]
        const RESPONSE;
        #[component(name = "complete")]
        const COMPLETE;
    }
}

// `hooks.request-parts`
flags! {
    RequestParts {
        #[component(name = "method")]
        const METHOD;
        #[component(name = "path")]
        const PATH;
        #[component(name = "query")]
        const QUERY;
    }
}

/// `types.body-mode`
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(variant)]
pub(crate) enum BodyMode {
    #[component(name = "none")]
    None,
    #[component(name = "buffered")]
    Buffered(u64),
    #[component(name = "chunks")]
    Chunks,
}

/// `hooks.interest`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Interest {
    pub(crate) hooks: HookSet,
    #[component(name = "request-parts")]
    pub(crate) request_parts: RequestParts,
    #[component(name = "request-fields")]
    pub(crate) request_fields: Vec<String>,
    #[component(name = "response-fields")]
    pub(crate) response_fields: Vec<String>,
    pub(crate) attributes: Vec<String>,
    #[component(name = "request-body")]
    pub(crate) request_body: BodyMode,
    #[component(name = "response-body")]
    pub(crate) response_body: BodyMode,
    #[component(name = "every-request")]
    pub(crate) every_request: Edits,
    #[component(name = "every-response")]
    pub(crate) every_response: Edits,
    #[component(name = "never-waits")]
    pub(crate) never_waits: bool,
}

/// `types.attribute`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// `types.field`, from a plugin.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

/// `types.field`, to a plugin.
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct FieldOut {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

/// `types.field-edit`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum FieldEdit {
    #[component(name = "set")]
    Set(Field),
    #[component(name = "append")]
    Append(Field),
    #[component(name = "remove")]
    Remove(String),
}

/// `types.response`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
}

/// `hooks.request-head`
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: Option<&'a str>,
    pub(crate) path: Option<&'a str>,
    pub(crate) query: Option<&'a str>,
    pub(crate) fields: Values<'a, &'a [u8]>,
    pub(crate) attributes: Values<'a, &'a str>,
}

/// `hooks.request-change`, which `changes.rs` reads.
#[derive(ComponentType, Debug, Clone)]
#[component(record)]
pub(crate) struct RequestChange {
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) fields: Edits,
    pub(crate) attributes: Attributes,
    #[component(name = "response-fields")]
    pub(crate) response_fields: Edits,
    pub(crate) upstream: Option<String>,
    #[component(name = "request-body")]
    pub(crate) request_body: Option<BodyMode>,
    #[component(name = "response-body")]
    pub(crate) response_body: Option<BodyMode>,
    pub(crate) context: Option<Vec<u8>>,
    #[component(name = "reuse-for")]
    pub(crate) reuse_for: Option<u64>,
}

/// The same as it is derived, where texts are not UTF-8.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct RequestChangeByParts {
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
    pub(super) query: Option<String>,
    pub(super) fields: Edits,
    pub(super) attributes: Attributes,
    #[component(name = "response-fields")]
    pub(super) response_fields: Edits,
    pub(super) upstream: Option<String>,
    #[component(name = "request-body")]
    pub(super) request_body: Option<BodyMode>,
    #[component(name = "response-body")]
    pub(super) response_body: Option<BodyMode>,
    pub(super) context: Option<Vec<u8>>,
    #[component(name = "reuse-for")]
    pub(super) reuse_for: Option<u64>,
}

impl RequestChange {
    /// How many fields and attributes it writes.
    pub(crate) fn parts(&self) -> usize {
        self.fields.count() + self.response_fields.count() + self.attributes.count()
    }

    /// Whether it changes nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        let has_text = self.method.is_some() || self.path.is_some() || self.query.is_some();
        let has_more =
            self.upstream.is_some() || self.request_body.is_some() || self.response_body.is_some();
        !has_text && !has_more && self.parts() == 0 && self.bytes() == 0
    }

    /// Bytes of all that it writes.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.method, &self.path, &self.query, &self.upstream];
        texts.into_iter().flatten().map(String::len).sum::<usize>()
            + self.context.as_ref().map_or(0, Vec::len)
            + self.fields.bytes()
            + self.response_fields.bytes()
            + self.attributes.bytes()
    }
}

/// `hooks.request-outcome`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum RequestOutcome {
    #[component(name = "next")]
    Next,
    #[component(name = "change")]
    Change(Boxed<RequestChange>),
    #[component(name = "respond")]
    Respond(Response),
}

/// `hooks.request-body-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct RequestBodyChange {
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) head: Boxed<RequestChange>,
}

/// `hooks.request-body-outcome`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum RequestBodyOutcome {
    #[component(name = "next")]
    Next,
    #[component(name = "change")]
    Change(RequestBodyChange),
    #[component(name = "respond")]
    Respond(Response),
}

/// `hooks.response-head`
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: u16,
    pub(crate) fields: Values<'a, &'a [u8]>,
}

/// `hooks.response-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct ResponseChange {
    pub(crate) status: Option<u16>,
    pub(crate) fields: Edits,
    #[component(name = "response-body")]
    pub(crate) response_body: Option<BodyMode>,
    pub(crate) context: Option<Vec<u8>>,
}

/// `hooks.response-outcome`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum ResponseOutcome {
    #[component(name = "next")]
    Next,
    #[component(name = "change")]
    Change(ResponseChange),
    #[component(name = "respond")]
    Respond(Response),
}

/// `hooks.response-body-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct ResponseBodyChange {
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) head: ResponseChange,
}

/// `hooks.response-body-outcome`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum ResponseBodyOutcome {
    #[component(name = "next")]
    Next,
    #[component(name = "change")]
    Change(ResponseBodyChange),
    #[component(name = "respond")]
    Respond(Response),
}

/// `hooks.body-chunk`
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct BodyChunk<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) last: bool,
}

/// `hooks.chunk-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct ChunkChange {
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) context: Option<Vec<u8>>,
}

/// `hooks.chunk-outcome`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum ChunkOutcome {
    #[component(name = "next")]
    Next,
    #[component(name = "change")]
    Change(ChunkChange),
    #[component(name = "abort")]
    Abort(String),
}

/// `hooks.ending`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Ending {
    #[component(name = "complete")]
    Complete,
    #[component(name = "client-left")]
    ClientLeft,
    #[component(name = "upstream-failed")]
    UpstreamFailed,
    #[component(name = "plugin-failed")]
    PluginFailed,
    #[component(name = "gateway-failed")]
    GatewayFailed,
}

/// `hooks.summary`
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Summary<'a> {
    pub(crate) ending: Ending,
    pub(crate) status: u16,
    pub(crate) upstream: Option<&'a str>,
    pub(crate) duration: u64,
    #[component(name = "time-to-head")]
    pub(crate) time_to_head: u64,
    #[component(name = "request-bytes")]
    pub(crate) request_bytes: u64,
    #[component(name = "response-bytes")]
    pub(crate) response_bytes: u64,
}

/// `log.level`
#[expect(dead_code, reason = "only guests make these values")]
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// `attributes.attribute-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum AttributeError {
    #[component(name = "reserved")]
    Reserved,
    #[component(name = "too-large")]
    TooLarge,
}

/// `limiter.charge`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Charge {
    pub(crate) key: String,
    pub(crate) limit: u64,
    pub(crate) period: u64,
    pub(crate) burst: u64,
    pub(crate) cost: u64,
}

/// `limiter.verdict`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(record)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    pub(crate) remaining: u64,
    pub(crate) reset: u64,
    #[component(name = "retry-after")]
    pub(crate) retry_after: Option<u64>,
}

/// `limiter.bucket-window`
#[derive(ComponentType, Lift, Debug, Clone, Copy)]
#[component(record)]
pub(crate) struct BucketWindow {
    pub(crate) period: u64,
    pub(crate) burst: u64,
}

/// `limiter.calendar-unit`
#[expect(dead_code, reason = "only guests make these values")]
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum CalendarUnit {
    #[component(name = "hour")]
    Hour,
    #[component(name = "day")]
    Day,
    #[component(name = "week")]
    Week,
    #[component(name = "month")]
    Month,
    #[component(name = "year")]
    Year,
}

/// `limiter.calendar-window`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CalendarWindow {
    pub(crate) unit: CalendarUnit,
    #[component(name = "time-zone")]
    pub(crate) time_zone: String,
}

/// `limiter.window`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum Window {
    #[component(name = "bucket")]
    Bucket(BucketWindow),
    #[component(name = "fixed")]
    Fixed(u64),
    #[component(name = "calendar")]
    Calendar(CalendarWindow),
}

/// `limiter.quota`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Quota {
    pub(crate) key: String,
    pub(crate) limit: u64,
    pub(crate) window: Window,
    pub(crate) cost: u64,
}

/// `limiter.sliding-quota`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct SlidingQuota {
    pub(crate) quota: Quota,
    pub(crate) slides: bool,
}

/// `limiter.reservation`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(record)]
pub(crate) struct Reservation {
    pub(crate) allowed: bool,
    pub(crate) remaining: u64,
    pub(crate) reset: u64,
    #[component(name = "retry-after")]
    pub(crate) retry_after: Option<u64>,
    pub(crate) length: u64,
    pub(crate) taken: u64,
}

/// `limiter.settlement`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Settlement {
    pub(crate) quota: Quota,
    pub(crate) taken: u64,
    pub(crate) by: i64,
}

/// `limiter.limiter-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum LimiterError {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "unavailable")]
    Unavailable,
}

/// `attempts.attempt`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Attempt {
    pub(crate) upstream: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, Vec<u8>)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) wait: u64,
}

/// `attempts.attempts-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum AttemptsError {
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "too-many")]
    TooMany,
    #[component(name = "body-gone")]
    BodyGone,
    #[component(name = "invalid")]
    Invalid,
}

/// `held-response.held-response-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum HeldResponseError {
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "invalid")]
    Invalid,
}

/// `drain.drain-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum DrainError {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "not-here")]
    NotHere,
}

/// `chunks.chunks-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum ChunksError {
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "invalid")]
    Invalid,
}

/// `held-response.head-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct HeadChange {
    pub(crate) status: Option<u16>,
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, Vec<u8>)>,
}

/// `cache.entry`
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct CacheEntry {
    pub(crate) id: u64,
    pub(crate) metadata: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) resident: u64,
    pub(crate) size: Option<u64>,
}

/// `cache.cache-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum CacheError {
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "gone")]
    Gone,
    #[component(name = "too-large")]
    TooLarge,
}

/// `cache.head-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CacheChange {
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, Vec<u8>)>,
}

/// `cache.freshness`
#[expect(dead_code, reason = "only guests make these values")]
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum CacheFreshness {
    #[component(name = "fresh")]
    Fresh,
    #[component(name = "stale")]
    Stale,
    #[component(name = "revalidated")]
    Revalidated,
}

/// `cache.answer`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CacheAnswer {
    pub(crate) entry: u64,
    pub(crate) status: Option<u16>,
    pub(crate) change: CacheChange,
    pub(crate) freshness: CacheFreshness,
}

/// `cache.collapsed`
#[derive(ComponentType, Lower, Debug)]
#[component(variant)]
pub(crate) enum CacheCollapsed {
    #[component(name = "leads")]
    Leads,
    #[component(name = "waits")]
    Waits,
    #[component(name = "joins")]
    Joins(CacheEntry),
    #[component(name = "alone")]
    Alone,
}

/// `cache.background`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CacheBackground {
    pub(crate) change: CacheChange,
    pub(crate) context: Vec<u8>,
    pub(crate) entry: Option<u64>,
}

/// `cache.storing`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CacheStoring {
    pub(crate) key: Vec<u8>,
    pub(crate) variant: Vec<u8>,
    pub(crate) metadata: Vec<u8>,
    pub(crate) tags: Vec<String>,
    pub(crate) partition: String,
    pub(crate) ttl: u64,
    pub(crate) change: CacheChange,
}

/// `cache.freshening`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CacheFreshening {
    pub(crate) metadata: Option<Vec<u8>>,
    pub(crate) change: CacheChange,
    pub(crate) ttl: u64,
}

/// `slots.occupancy`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(record)]
pub(crate) struct Occupancy {
    #[component(name = "in-use")]
    pub(crate) in_use: u32,
    pub(crate) waiting: u32,
}

/// `slots.taken`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(variant)]
pub(crate) enum Taken {
    #[component(name = "yes")]
    Yes(Occupancy),
    #[component(name = "no")]
    No(Occupancy),
}

/// `slots.wait`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct SlotWait {
    pub(crate) key: String,
    pub(crate) limit: u32,
    pub(crate) queue: u32,
    pub(crate) time: u64,
    pub(crate) priority: u8,
    pub(crate) share: String,
}

/// `slots.answer` and `held-response.answer`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct SlotAnswer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// `slots.queued`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(variant)]
pub(crate) enum Queued {
    #[component(name = "taken")]
    Taken(Occupancy),
    #[component(name = "waits")]
    Waits(Occupancy),
    #[component(name = "full")]
    Full(Occupancy),
}

/// `slots.slots-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum SlotsError {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "too-many")]
    TooMany,
    #[component(name = "not-here")]
    NotHere,
}

/// `key-value.key-value-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum KeyValueError {
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "full")]
    Full,
    #[component(name = "not-a-number")]
    NotANumber,
}

/// `documents.document`
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct DocumentOut {
    pub(crate) version: u64,
    pub(crate) content: Vec<u8>,
    pub(crate) age: u64,
}

/// `metrics.alike`
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct AlikeOut {
    pub(crate) context: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) count: u32,
}

/// `documents.fault`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct DocumentFault {
    pub(crate) place: Option<(u64, u64)>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// `documents.refreshed`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Refreshed {
    #[component(name = "changed")]
    Changed,
    #[component(name = "unchanged")]
    Unchanged,
    #[component(name = "failed")]
    Failed,
    #[component(name = "too-soon")]
    TooSoon,
    #[component(name = "pending")]
    Pending,
    #[component(name = "not-granted")]
    NotGranted,
}

/// `events.emit-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum EmitError {
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "full")]
    Full,
}

/// `keys.key`
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct KeyOut {
    pub(crate) id: String,
    pub(crate) consumer: String,
    pub(crate) group: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) claims: Vec<(String, String)>,
    pub(crate) expires: Option<u64>,
}

/// `keys.key-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum KeyError {
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "unavailable")]
    Unavailable,
    #[component(name = "expired")]
    Expired,
    #[component(name = "invalid")]
    Invalid,
}

/// `http-client.request`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct HttpRequest {
    pub(crate) upstream: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Option<u64>,
    #[component(name = "response-limit")]
    pub(crate) response_limit: Option<u64>,
}

/// `http-client.response`
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// `http-client.http-error`
#[derive(ComponentType, Lower, Debug, Clone, PartialEq, Eq)]
#[component(variant)]
pub(crate) enum HttpError {
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "too-many")]
    TooMany,
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "connect")]
    Connect,
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "protocol")]
    Protocol,
}

/// `signature.algorithm`
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Algorithm {
    #[component(name = "hs256")]
    Hs256,
    #[component(name = "hs384")]
    Hs384,
    #[component(name = "hs512")]
    Hs512,
    #[component(name = "rs256")]
    Rs256,
    #[component(name = "rs384")]
    Rs384,
    #[component(name = "rs512")]
    Rs512,
    #[component(name = "ps256")]
    Ps256,
    #[component(name = "ps384")]
    Ps384,
    #[component(name = "ps512")]
    Ps512,
    #[component(name = "es256")]
    Es256,
    #[component(name = "es384")]
    Es384,
    #[component(name = "es512")]
    Es512,
    #[component(name = "eddsa")]
    Eddsa,
}

/// `signature.key-material`
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum KeyMaterial {
    #[component(name = "secret")]
    Secret(Vec<u8>),
    #[component(name = "pem")]
    Pem(String),
    #[component(name = "jwk")]
    Jwk(String),
}

/// `password.password-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum PasswordError {
    #[component(name = "unsupported")]
    Unsupported,
    #[component(name = "busy")]
    Busy,
}
