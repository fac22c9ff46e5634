//! The configuration as it is written.
//!
//! Owns the keys, their defaults and their documentation, which becomes the JSON Schema. Must not
//! judge values: `policy` turns what is written here into what is checked, or says what is wrong.

use std::collections::BTreeMap;

use gateway_plugin_sdk::duration;
use gateway_plugin_sdk::prelude::{HeaderName, JsonSchema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// JSON Schema's pattern for a window, of the calendar or as long as [`duration::parse`] reads.
const WINDOW_PATTERN: &str = r"^(hour|day|week|month|year|([0-9]+(\.[0-9]+)?(d|h|ms?|s))+)$";

/// Limits how often clients may ask.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The limits, 1 to 16. A request is charged to all of them at once: it is admitted if each
    /// has room for it, and otherwise charged to none. Default none, if there is one under
    /// `concurrency`.
    #[serde(default, deserialize_with = "at_least_one")]
    #[schemars(length(min = 1, max = 16))]
    pub policies: Vec<PolicySpec>,

    /// Limits on requests at the same time, at most 8. A request has a slot of each until its response
    /// is complete, or it ends in another way. Default none.
    #[serde(default, deserialize_with = "at_least_one")]
    #[schemars(length(min = 1, max = 8))]
    pub concurrency: Vec<ConcurrencySpec>,

    /// Requests that no limit of this plugin is for: attributes, written as in a `key`, each with values of which one is enough.
    /// Those of `client.address` are networks and addresses. Default none.
    #[serde(default)]
    pub exempt: BTreeMap<String, Vec<String>>,

    /// Which response fields tell the client about its limits.
    #[serde(default)]
    pub headers: Headers,

    /// What becomes of a request while the limiter's store is out of reach, where the gateway says
    /// so (`limiter = { store = "NAME", on_store_error = "closed" }`). Memory never is out of reach.
    #[serde(default)]
    pub on_unavailable: OnUnavailable,

    /// How many leading bits of an IPv6 `client.address` stand for one client, 1 to 128. Default
    /// 64, since a subscriber commonly has a whole /64.
    #[serde(default = "default_ipv6_prefix")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6_prefix: u8,

    /// The longest request body that is read for `json:` in a key. Of one that says that it is longer there is no
    /// value; one that turns out longer is answered 413. Default 1 MiB.
    #[serde(default = "default_max_body")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub max_body: u64,

    /// Count and log what would be refused, and refuse nothing: to try a limit out on live
    /// traffic. Clients see no fields. Default `false`.
    #[serde(default)]
    pub dry_run: bool,
}

/// A limit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// What clients and logs know the policy by: up to 64 letters, digits, `-`, `_` and `.`,
    /// different from those of the other policies.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,64}$"))]
    pub name: String,

    /// How much there is per `window`. With `plans` it is the limit of requests of no plan in the list,
    /// and without it such requests are refused with 403.
    #[serde(default)]
    pub limit: Option<LimitSpec>,

    /// The time in which `limit` comes back: `"hour"`, `"day"`, `"week"` (from Monday), `"month"` or
    /// `"year"` of the calendar, or a time such as `"1s"`, `"1m"`, `"1h30m"`, at most `"366d"`.
    #[schemars(regex(pattern = WINDOW_PATTERN))]
    pub window: String,

    /// Where the calendar is that of: a name of the IANA time zone database, such as `"Europe/Berlin"`.
    /// Default `"UTC"`.
    #[serde(default)]
    pub time_zone: Option<String>,

    /// How a limit in a time comes back. Windows of the calendar begin and end with it.
    #[serde(default)]
    pub algorithm: Option<Algorithm>,

    /// How much may be used at once after a rest. Default `limit`. For buckets only.
    #[serde(default)]
    #[schemars(range(min = 1, max = 999_999_999_999_999_u64))]
    pub burst: Option<u64>,

    /// Other limits for requests of these plans, by the value of `plan`: up to 64.
    #[serde(default)]
    pub plans: Option<BTreeMap<String, PlanSpec>>,

    /// The attribute that says the plan of a request: `claim:NAME` is `consumer.claim.NAME`. Default
    /// `"consumer.group"`.
    #[serde(default)]
    pub plan: Option<String>,

    /// What a request costs, or an estimate where it is settled. Default 1.
    #[serde(default)]
    pub cost: CostSpec,

    /// Where the response says what the request did cost. What it cost more or less than `cost` is taken
    /// or given back then. Without a number there, `cost` stays.
    #[serde(default)]
    pub settle: Option<SettleSpec>,

    /// What requests are told apart by; each combination of values has the limit to itself.
    ///
    /// `header:NAME` is a request field, `cookie:NAME` a cookie, `json:/POINTER` a value in a JSON
    /// body, `claim:NAME` the attribute `consumer.claim.NAME`, and anything else an attribute, such as `client.address`, `consumer.id`, `route.name` or
    /// `capture.NAME`. At most 8. The empty list means one limit for all requests together.
    /// Default `["client.address"]`.
    #[serde(default = "default_key")]
    #[schemars(length(max = 8))]
    pub key: Vec<String>,

    /// What becomes of a request that has no value for a part of the key.
    #[serde(default)]
    pub missing: Missing,
}

/// A limit on requests at the same time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencySpec {
    /// What clients and logs know the limit by, as with policies.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,64}$"))]
    pub name: String,

    /// How many requests may be under way at once, for each key. With 0 none is let through.
    pub limit: u32,

    /// What requests are told apart by, as with policies. Default `["client.address"]`.
    #[serde(default = "default_key")]
    #[schemars(length(max = 8))]
    pub key: Vec<String>,

    /// What becomes of a request that has no value for a part of the key.
    #[serde(default)]
    pub missing: Missing,

    /// How many requests may wait for a slot, for each key, at most 10,000. Default 0: they are
    /// refused at once.
    #[serde(default)]
    #[schemars(range(max = 10_000))]
    pub queue: u32,

    /// How long a request waits, at most `"1h"`. Default `"10s"`.
    #[serde(default = "default_wait")]
    #[schemars(regex(pattern = duration::PATTERN))]
    pub wait: String,

    /// Which of those that wait has the next slot: the one with the highest number. The lower of two has one turn for
    /// eight of the higher one, so that none waits for ever. Default all have 0.
    #[serde(default)]
    pub priority: Option<PrioritySpec>,

    /// Whose a request is, written like `key`. Those that wait with one priority have slots in turns, one
    /// for each of these, so that who sends many keeps nobody else waiting. Default: the first who came
    /// is first.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub share: Vec<String>,

    /// How many turns the share of a request has for one of a share with the weight 1. Default all have 1.
    #[serde(default)]
    pub weight: Option<WeightSpec>,

    /// Whether a request waits though its turn is expected later than its `wait` is over. Default `false`: it is refused
    /// at once.
    #[serde(default)]
    pub wait_in_vain: bool,

    /// The status of a refusal: 429 or 503. Default 429.
    #[serde(default = "default_status")]
    #[schemars(extend("enum" = [429, 503]))]
    pub status: u16,
}

/// Where the priority of a request stands: either `header` or `attribute` names that.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrioritySpec {
    /// The request field, a whole number. Clients can write it as they like: use it only where
    /// something in front sets or removes it.
    #[serde(default)]
    pub header: Option<HeaderName>,

    /// The attribute, a whole number, as set by a plugin before this one.
    #[serde(default)]
    pub attribute: Option<String>,

    /// The priority where none is told, or none that can be read. Default 0.
    #[serde(default)]
    pub default: u8,

    /// What a higher one is lowered to. Default 255.
    #[serde(default = "default_max_priority")]
    pub max: u8,
}

/// Where the weight of a request's share stands: either `header` or `attribute` names that.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightSpec {
    /// The request field, a whole number. Clients can write it as they like: use it only where something in front sets
    /// or removes it.
    #[serde(default)]
    pub header: Option<HeaderName>,

    /// The attribute, a whole number, as set by a plugin before this one.
    #[serde(default)]
    pub attribute: Option<String>,

    /// The weight where none is told, or none that can be read: at least 1. Default 1.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 1, max = 1000))]
    pub default: u16,

    /// What a higher one is lowered to. Default 100.
    #[serde(default = "default_max_weight")]
    #[schemars(range(min = 1, max = 1000))]
    pub max: u16,
}

/// How much there is in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum LimitSpec {
    /// So much; with 0 nothing is let through.
    Number(#[schemars(range(max = 999_999_999_999_999_u64))] u64),
    /// The policy does not apply.
    Word(Unlimited),
}

/// That there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Unlimited {
    /// There is none.
    Unlimited,
}

/// How a limit in a time comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Evenly, token by token (a token bucket, which others call a leaky bucket or GCRA): with 10 in `"1m"`, one each six
    /// seconds. The default.
    #[default]
    Bucket,
    /// All at once at the end of each window: windows of `"1m"` end with each minute.
    Fixed,
    /// As `fixed`, but of the window before as much still counts as overlaps with one that ends now: the
    /// sliding window counter.
    Sliding,
}

/// The limit of a plan.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanSpec {
    /// How much there is per `window`, or `"unlimited"`.
    pub limit: LimitSpec,

    /// How much may be used at once after a rest. Default `limit`. For buckets only.
    #[serde(default)]
    #[schemars(range(min = 1, max = 999_999_999_999_999_u64))]
    pub burst: Option<u64>,
}

/// Where the cost of a request stands in its response: one of the three.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleSpec {
    /// The response field with the cost, a whole number.
    #[serde(default)]
    pub response_header: Option<HeaderName>,

    /// Where the cost is in a JSON response: a JSON Pointer (RFC 6901), such as `"/usage/total_tokens"`.
    /// The response is held until it is whole.
    #[serde(default)]
    pub json: Option<String>,

    /// The attribute with the cost, as set by a plugin. It is read when the exchange is over.
    #[serde(default)]
    pub attribute: Option<String>,

    /// The largest response body that is read for `json`, in bytes. Of one that says that it is longer,
    /// `cost` stays. Default 1 MiB.
    #[serde(default)]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub max_body: Option<u64>,

    /// Take more than `cost` where requests turn out to cost more on average: as many times as much, up to 16 times.
    /// Default `true`.
    #[serde(default = "yes")]
    pub learn: bool,
}

fn yes() -> bool {
    true
}

/// What a request costs.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum CostSpec {
    /// Each request the same; at least 1 and at most the burst.
    Fixed(#[schemars(range(min = 1))] u64),
    /// What the request says.
    Told(ToldCost),
}

/// A cost that stands in the request: either `header` or `attribute` names where.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToldCost {
    /// The request field with the cost, a whole number. Clients can write it as they like: use it
    /// only where something in front sets or removes it.
    #[serde(default)]
    pub header: Option<HeaderName>,

    /// The attribute with the cost, a whole number, as set by a plugin before this one.
    #[serde(default)]
    pub attribute: Option<String>,

    /// The cost where none is told, or none that can be read. Default 1.
    #[serde(default = "default_cost")]
    #[schemars(range(min = 1))]
    pub default: u64,

    /// What a higher cost is lowered to, at most the burst. Default the burst. A cost of 0 counts
    /// as 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max: Option<u64>,
}

/// What becomes of a request that has no value for a part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// All such requests share one limit. Nobody gains by leaving the value out.
    #[default]
    Shared,
    /// The policy does not apply to it.
    Skip,
    /// It is refused: with 400 if a header is missing, with 403 if an attribute is.
    Refuse,
}

/// Which response fields tell the client about its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Headers {
    /// `RateLimit-Policy` and `RateLimit`, as in draft-ietf-httpapi-ratelimit-headers-11.
    #[default]
    Standard,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset` (in seconds from
    /// now), of the policy that is closest to its end.
    Legacy,
    /// Both.
    Both,
    /// None. A refusal still has `Retry-After`.
    Off,
}

/// What becomes of a request while the limiter's store is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnavailable {
    /// It goes on, uncounted.
    Open,
    /// It is refused with 503.
    #[default]
    Closed,
}

impl Headers {
    /// Whether `RateLimit-Policy` and `RateLimit` are wanted.
    pub(crate) fn standard(self) -> bool {
        matches!(self, Self::Standard | Self::Both)
    }

    /// Whether `X-RateLimit-*` are wanted.
    pub(crate) fn legacy(self) -> bool {
        matches!(self, Self::Legacy | Self::Both)
    }
}

impl Default for CostSpec {
    fn default() -> Self {
        Self::Fixed(default_cost())
    }
}

/// By hand, so that an error says what may be written.
impl<'de> Deserialize<'de> for LimitSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor)
    }
}

struct LimitVisitor;

impl Visitor<'_> for LimitVisitor {
    type Value = LimitSpec;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a whole number, or \"unlimited\"")
    }

    fn visit_u64<E: Error>(self, limit: u64) -> Result<LimitSpec, E> {
        Ok(LimitSpec::Number(limit))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<LimitSpec, E> {
        match word {
            "unlimited" => Ok(LimitSpec::Word(Unlimited::Unlimited)),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
        }
    }
}

/// By hand, so that an error inside the table points at its key instead of at the whole.
impl<'de> Deserialize<'de> for CostSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CostVisitor)
    }
}

struct CostVisitor;

impl<'de> Visitor<'de> for CostVisitor {
    type Value = CostSpec;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a whole number, or a table with `header` or `attribute`")
    }

    fn visit_u64<E: Error>(self, cost: u64) -> Result<CostSpec, E> {
        Ok(CostSpec::Fixed(cost))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CostSpec, A::Error> {
        ToldCost::deserialize(MapAccessDeserializer::new(map)).map(CostSpec::Told)
    }
}

fn default_cost() -> u64 {
    1
}

fn default_key() -> Vec<String> {
    vec!["client.address".to_owned()]
}

/// A list that is there for something.
fn at_least_one<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(D::Error::custom("the list is empty: leave it out, or put something into it"));
    }
    Ok(list)
}

fn default_wait() -> String {
    "10s".to_owned()
}

fn default_status() -> u16 {
    429
}

fn default_weight() -> u16 {
    1
}

fn default_max_weight() -> u16 {
    100
}

fn default_max_priority() -> u8 {
    u8::MAX
}

fn default_max_body() -> u64 {
    1 << 20
}

fn default_ipv6_prefix() -> u8 {
    64
}
