//! Host calls in a component: the imports. Each is a thin skin over a generated function, so that
//! an import which no code calls is left out of the component.

use std::time::Duration;

use crate::attempts::{Attempt, AttemptsError};
use crate::attributes::AttributeError;
use crate::bindings::gateway::plugin as imports;
use crate::cache::{
    Background, CacheError, Collapsed, Entry, Freshening, Freshness, HeadChange as CacheChange,
    Serve, Store,
};
use crate::chunks::ChunksError;
use crate::documents::{Document, Fault, Refreshed};
use crate::drain::DrainError;
use crate::events::EmitError;
use crate::held_response::{HeadChange, HeldResponseError};
use crate::http_client::{HttpError, Request, Response};
use crate::keep_alive::KeepAliveError;
use crate::key_value::KeyValueError;
use crate::keys::{Key, KeyError};
use crate::limiter::{
    CalendarUnit, Charge, LimiterError, Quota, Reservation, Settlement, Verdict, Window,
    nanoseconds,
};
use crate::log::Level;
use crate::password::PasswordError;
use crate::signature::{Algorithm, KeyMaterial};
use crate::slots::{Occupancy, Queued, SlotsError, Taken, Wait};
use crate::wire::Field;

pub(crate) use imports::cache::{
    field as cache_field, is_background as cache_is_background, purge_key as cache_purge_key,
    purge_tag as cache_purge_tag,
};
pub(crate) use imports::clock::{monotonic, now};
pub(crate) use imports::digest::sha256;
pub(crate) use imports::documents::{accept as accept_document, version as document_version};
pub(crate) use imports::events::is_granted as is_sink_granted;
pub(crate) use imports::exchange::{
    keep_context, request_field, request_fields, request_method, request_path, request_query,
    response_field, response_fields, response_status,
};
pub(crate) use imports::held_response::{is_held as is_response_held, release as release_response};
pub(crate) use imports::http_client::is_granted as is_upstream_granted;
pub(crate) use imports::key_value::{delete as delete_value, get as value, was_answered};
pub(crate) use imports::limiter::check_time_zone;
pub(crate) use imports::metrics::{
    add as metrics_add, count_alike as metrics_count_alike, counter as metrics_counter,
    gauge as metrics_gauge, histogram as metrics_histogram, observe as metrics_observe,
    record_all as metrics_record, record_amount as metrics_record_amount,
    record_end as metrics_record_end, set as metrics_set,
};
pub(crate) use imports::random::{bytes as random_bytes, number as random_number};
pub(crate) use imports::secrets::{get as secret, sign};
pub(crate) use imports::usage::{add as usage_add, add_all as usage_add_all, added as usage_added};

pub(crate) use imports::attributes::get as attribute;

pub(crate) fn set_attribute(name: &str, value: &str) -> Result<(), AttributeError> {
    imports::attributes::set(name, value).map_err(attribute_error)
}

pub(crate) fn set_attributes(attributes: &[(&str, &str)]) -> Result<(), AttributeError> {
    imports::attributes::set_all(attributes).map_err(attribute_error)
}

fn attribute_error(error: imports::attributes::AttributeError) -> AttributeError {
    use imports::attributes::AttributeError as Error;
    match error {
        Error::Reserved => AttributeError::Reserved,
        Error::TooLarge => AttributeError::TooLarge,
    }
}

pub(crate) use imports::chunks::passed;

pub(crate) fn pass_alike(pieces: &[&[u8]], counted: u32, bytes: u32) -> Result<(), ChunksError> {
    use imports::chunks::ChunksError as Error;
    imports::chunks::pass_alike(pieces, counted, bytes).map_err(|error| match error {
        Error::NotHere => ChunksError::NotHere,
        Error::Invalid => ChunksError::Invalid,
    })
}

pub(crate) fn log_enabled(level: Level) -> bool {
    imports::log::enabled(log_level(level))
}

pub(crate) fn log_write(level: Level, message: &str) {
    imports::log::write(log_level(level), message);
}

fn log_level(level: Level) -> imports::log::Level {
    match level {
        Level::Trace => imports::log::Level::Trace,
        Level::Debug => imports::log::Level::Debug,
        Level::Info => imports::log::Level::Info,
        Level::Warn => imports::log::Level::Warn,
        Level::Error => imports::log::Level::Error,
    }
}

/// The charges that the gateway takes at once.
const CHARGES: usize = 16;

pub(crate) fn take<'a>(charges: &[Charge<'a>]) -> Result<Vec<Verdict>, LimiterError> {
    use imports::limiter::Charge as Wire;
    if charges.len() > CHARGES {
        return Err(LimiterError::Invalid);
    }
    let to_wire = |charge: &Charge<'a>| Wire {
        key: charge.key,
        limit: charge.limit,
        period: nanoseconds(charge.period),
        burst: charge.burst,
        cost: charge.cost,
    };
    let taken = match charges {
        // Nearly every request is charged to one bucket.
        [charge] => imports::limiter::take(&[to_wire(charge)]),
        _ => imports::limiter::take(&charges.iter().map(to_wire).collect::<Vec<_>>()),
    };
    let verdicts = taken.map_err(limiter_error)?;
    let verdict = |verdict: imports::limiter::Verdict| Verdict {
        allowed: verdict.allowed,
        remaining: verdict.remaining,
        reset: Duration::from_nanos(verdict.reset),
        retry_after: verdict.retry_after.map(Duration::from_nanos),
    };
    Ok(verdicts.into_iter().map(verdict).collect())
}

pub(crate) fn take_slot(key: &str, limit: u32) -> Result<Taken, SlotsError> {
    use imports::slots::Taken as Wire;
    match imports::slots::take(key, limit).map_err(slots_error)? {
        Wire::Yes(now) => Ok(Taken::Yes(occupancy(now))),
        Wire::No(now) => Ok(Taken::No(occupancy(now))),
    }
}

pub(crate) fn queue_for_slot(
    wait: &Wait<'_>,
    late: crate::wire::Response,
) -> Result<Queued, SlotsError> {
    let fields: Vec<_> =
        late.fields.iter().map(|field| (field.name.as_str(), field.value.as_slice())).collect();
    let late = imports::slots::Answer { status: late.status, fields: &fields, body: &late.body };
    imports::slots::queue(slot_wait(wait), late).map(queued).map_err(slots_error)
}

pub(crate) fn queue_by_weight(
    wait: &Wait<'_>,
    weight: u16,
    late: crate::wire::Response,
) -> Result<Queued, SlotsError> {
    let fields: Vec<_> =
        late.fields.iter().map(|field| (field.name.as_str(), field.value.as_slice())).collect();
    let late = imports::slots::Answer { status: late.status, fields: &fields, body: &late.body };
    let asked = imports::slots::queue_by_weight(slot_wait(wait), weight, late);
    asked.map(queued).map_err(slots_error)
}

pub(crate) fn expected_turn(wait: &Wait<'_>, weight: u16) -> Option<u64> {
    imports::slots::expected_turn(wait.key, wait.priority, wait.share, weight)
}

fn slot_wait<'a>(wait: &Wait<'a>) -> imports::slots::Wait<'a> {
    imports::slots::Wait {
        key: wait.key,
        limit: wait.limit,
        queue: wait.queue,
        time: nanoseconds(wait.time),
        priority: wait.priority,
        share: wait.share,
    }
}

fn queued(queued: imports::slots::Queued) -> Queued {
    use imports::slots::Queued as Wire;
    match queued {
        Wire::Taken(now) => Queued::Taken(occupancy(now)),
        Wire::Waits(now) => Queued::Waits(occupancy(now)),
        Wire::Full(now) => Queued::Full(occupancy(now)),
    }
}

pub(crate) fn emit(sink: &str, event: &[u8]) -> Result<(), EmitError> {
    use imports::events::EmitError as Error;
    imports::events::emit(sink, event).map_err(|error| match error {
        Error::NotGranted => EmitError::NotGranted,
        Error::NotHere => EmitError::NotHere,
        Error::Invalid => EmitError::Invalid,
        Error::Full => EmitError::Full,
    })
}

pub(crate) fn may_forward(upstream: &str) -> bool {
    imports::attempts::may_forward(upstream)
}

pub(crate) fn received_body() -> Option<Vec<u8>> {
    imports::attempts::received_body()
}

pub(crate) fn attempts_sent() -> u32 {
    imports::attempts::sent()
}

pub(crate) fn ask_for_attempt(attempt: &Attempt) -> Result<(), AttemptsError> {
    let remove: Vec<_> = attempt.remove.iter().map(String::as_str).collect();
    let set: Vec<_> =
        attempt.set.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let asked = imports::attempts::Attempt {
        upstream: attempt.upstream.as_deref(),
        path: attempt.path.as_deref(),
        query: attempt.query.as_deref(),
        remove: &remove,
        set: &set,
        body: attempt.body.as_deref(),
        wait: nanoseconds(attempt.wait),
    };
    imports::attempts::again(asked).map_err(attempts_error)
}

pub(crate) fn bound_first_byte(time: Duration) -> Result<(), AttemptsError> {
    imports::attempts::first_byte(nanoseconds(time)).map_err(attempts_error)
}

fn attempts_error(error: imports::attempts::AttemptsError) -> AttemptsError {
    use imports::attempts::AttemptsError as Error;
    match error {
        Error::NotHere => AttemptsError::NotHere,
        Error::TooMany => AttemptsError::TooMany,
        Error::BodyGone => AttemptsError::BodyGone,
        Error::Invalid => AttemptsError::Invalid,
    }
}

pub(crate) fn hold_response(bytes: u32, time: Duration) -> Result<(), HeldResponseError> {
    imports::held_response::hold(bytes, nanoseconds(time)).map_err(held_response_error)
}

pub(crate) fn call_when_late() -> Result<(), HeldResponseError> {
    imports::held_response::call_when_late().map_err(held_response_error)
}

pub(crate) fn call_when_broken() -> Result<(), HeldResponseError> {
    imports::held_response::call_when_broken().map_err(held_response_error)
}

pub(crate) fn change_held_head(change: &HeadChange) -> Result<(), HeldResponseError> {
    let remove: Vec<_> = change.remove.iter().map(String::as_str).collect();
    let set: Vec<_> =
        change.set.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let change =
        imports::held_response::HeadChange { status: change.status, remove: &remove, set: &set };
    imports::held_response::change_head(change).map_err(held_response_error)
}

pub(crate) fn respond_instead(answer: crate::wire::Response) -> Result<(), HeldResponseError> {
    let fields: Vec<_> =
        answer.fields.iter().map(|field| (field.name.as_str(), field.value.as_slice())).collect();
    let answer = imports::held_response::Answer {
        status: answer.status,
        fields: &fields,
        body: &answer.body,
    };
    imports::held_response::respond(answer).map_err(held_response_error)
}

fn held_response_error(error: imports::held_response::HeldResponseError) -> HeldResponseError {
    use imports::held_response::HeldResponseError as Error;
    match error {
        Error::NotHere => HeldResponseError::NotHere,
        Error::Invalid => HeldResponseError::Invalid,
    }
}

pub(crate) fn cache_lookup(key: &[u8]) -> Vec<Entry> {
    imports::cache::lookup(key).into_iter().map(cache_entry).collect()
}

pub(crate) fn cache_fields(entry: u64) -> Result<Vec<Field>, CacheError> {
    let fields = imports::cache::fields(entry).map_err(cache_error)?;
    Ok(fields.into_iter().map(|(name, value)| Field { name, value }).collect())
}

pub(crate) fn cache_serve(serve: &Serve) -> Result<(), CacheError> {
    use imports::cache::Freshness as Wire;
    let (remove, set) = cache_change(&serve.change);
    let freshness = match serve.freshness {
        Freshness::Fresh => Wire::Fresh,
        Freshness::Stale => Wire::Stale,
        Freshness::Revalidated => Wire::Revalidated,
    };
    let change = imports::cache::HeadChange { remove: &remove, set: &set };
    let Serve { entry, status, .. } = *serve;
    imports::cache::serve(imports::cache::Answer { entry, status, change, freshness })
        .map_err(cache_error)
}

pub(crate) fn cache_keep(entry: u64) -> Result<(), CacheError> {
    imports::cache::keep(entry).map_err(cache_error)
}

pub(crate) fn cache_kept() -> Option<Entry> {
    imports::cache::kept().map(cache_entry)
}

pub(crate) fn cache_collapse(
    key: &[u8],
    time: Duration,
    waiters: u32,
) -> Result<Collapsed, CacheError> {
    use imports::cache::Collapsed as Wire;
    let collapsed = imports::cache::collapse(key, nanoseconds(time), waiters);
    Ok(match collapsed.map_err(cache_error)? {
        Wire::Leads => Collapsed::Leads,
        Wire::Waits => Collapsed::Waits,
        Wire::Joins(entry) => Collapsed::Joins(cache_entry(entry)),
        Wire::Alone => Collapsed::Alone,
    })
}

pub(crate) fn cache_revalidate(key: &[u8], background: &Background) -> Result<bool, CacheError> {
    let (remove, set) = cache_change(&background.change);
    let change = imports::cache::HeadChange { remove: &remove, set: &set };
    let (context, entry) = (background.context.as_slice(), background.entry);
    let background = imports::cache::Background { change, context, entry };
    imports::cache::revalidate(key, background).map_err(cache_error)
}

pub(crate) fn cache_store(store: &Store) -> Result<(), CacheError> {
    let (remove, set) = cache_change(&store.change);
    let change = imports::cache::HeadChange { remove: &remove, set: &set };
    let tags: Vec<_> = store.tags.iter().map(String::as_str).collect();
    let store = imports::cache::Storing {
        key: &store.key,
        variant: &store.variant,
        metadata: &store.metadata,
        tags: &tags,
        partition: &store.partition,
        ttl: nanoseconds(store.ttl),
        change,
    };
    imports::cache::store(store).map_err(cache_error)
}

pub(crate) fn cache_discard() -> Result<(), CacheError> {
    imports::cache::discard().map_err(cache_error)
}

pub(crate) fn cache_set_metadata(metadata: &[u8]) -> Result<(), CacheError> {
    imports::cache::set_metadata(metadata).map_err(cache_error)
}

pub(crate) fn cache_freshen(entry: u64, freshening: &Freshening) -> Result<Entry, CacheError> {
    let (remove, set) = cache_change(&freshening.change);
    let change = imports::cache::HeadChange { remove: &remove, set: &set };
    let metadata = freshening.metadata.as_deref();
    let ttl = nanoseconds(freshening.ttl);
    let freshening = imports::cache::Freshening { metadata, change, ttl };
    imports::cache::freshen(entry, freshening).map(cache_entry).map_err(cache_error)
}

fn cache_change(change: &CacheChange) -> (Vec<&str>, Vec<(&str, &[u8])>) {
    let set = change.set.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    (change.remove.iter().map(String::as_str).collect(), set.collect())
}

fn cache_entry(entry: imports::cache::Entry) -> Entry {
    let imports::cache::Entry { id, metadata, status, resident, size } = entry;
    Entry { id, metadata, status, resident: Duration::from_nanos(resident), size }
}

fn cache_error(error: imports::cache::CacheError) -> CacheError {
    use imports::cache::CacheError as Error;
    match error {
        Error::NotHere => CacheError::NotHere,
        Error::Invalid => CacheError::Invalid,
        Error::Gone => CacheError::Gone,
        Error::TooLarge => CacheError::TooLarge,
    }
}

pub(crate) fn give_slot_back(key: &str) -> Result<(), SlotsError> {
    imports::slots::give_back(key).map_err(slots_error)
}

pub(crate) fn drain_response(bytes: u64, time: Duration) -> Result<(), DrainError> {
    use imports::drain::DrainError as Error;
    imports::drain::response(bytes, nanoseconds(time)).map_err(|error| match error {
        Error::Invalid => DrainError::Invalid,
        Error::NotHere => DrainError::NotHere,
    })
}

pub(crate) fn keep_alive(
    text: &[u8],
    every: Duration,
    ends: &[&[u8]],
) -> Result<(), KeepAliveError> {
    use imports::keep_alive::KeepAliveError as Error;
    imports::keep_alive::send(text, nanoseconds(every), ends).map_err(|error| match error {
        Error::Invalid => KeepAliveError::Invalid,
        Error::NotHere => KeepAliveError::NotHere,
    })
}

pub(crate) fn look_at_slots(key: &str) -> Occupancy {
    occupancy(imports::slots::look(key))
}

pub(crate) use imports::slots::expected_wait;

fn occupancy(now: imports::slots::Occupancy) -> Occupancy {
    Occupancy { in_use: now.in_use, waiting: now.waiting }
}

fn slots_error(error: imports::slots::SlotsError) -> SlotsError {
    use imports::slots::SlotsError as Error;
    match error {
        Error::Invalid => SlotsError::Invalid,
        Error::TooMany => SlotsError::TooMany,
        Error::NotHere => SlotsError::NotHere,
    }
}

pub(crate) fn reserve(quotas: &[Quota<'_>]) -> Result<Vec<Reservation>, LimiterError> {
    if quotas.len() > CHARGES {
        return Err(LimiterError::Invalid);
    }
    let slides = |quota: &Quota<'_>| matches!(quota.window, Window::Sliding(_));
    let reserved = if quotas.iter().any(slides) {
        let sliding = |it| imports::limiter::SlidingQuota { quota: quota(it), slides: slides(it) };
        let quotas: Vec<_> = quotas.iter().map(sliding).collect();
        imports::limiter::reserve_sliding(&quotas)
    } else {
        let quotas: Vec<_> = quotas.iter().map(quota).collect();
        imports::limiter::reserve(&quotas)
    }
    .map_err(limiter_error)?;
    let reservation = |reservation: imports::limiter::Reservation| Reservation {
        allowed: reservation.allowed,
        remaining: reservation.remaining,
        reset: Duration::from_nanos(reservation.reset),
        retry_after: reservation.retry_after.map(Duration::from_nanos),
        length: Duration::from_nanos(reservation.length),
        taken: reservation.taken,
    };
    Ok(reserved.into_iter().map(reservation).collect())
}

pub(crate) fn settle(settlements: &[Settlement<'_>]) -> Result<(), LimiterError> {
    if settlements.len() > CHARGES {
        return Err(LimiterError::Invalid);
    }
    let settlements: Vec<_> = settlements
        .iter()
        .map(|it| imports::limiter::Settlement {
            quota: quota(&it.quota),
            taken: it.taken,
            by: it.by,
        })
        .collect();
    imports::limiter::settle(&settlements).map_err(limiter_error)
}

fn quota<'a>(quota: &Quota<'a>) -> imports::limiter::Quota<'a> {
    use imports::limiter::{BucketWindow, CalendarUnit as Unit, CalendarWindow, Window as Wire};
    let window = match quota.window {
        Window::Bucket { period, burst } => {
            Wire::Bucket(BucketWindow { period: nanoseconds(period), burst })
        }
        // What was taken says that it slides.
        Window::Fixed(length) | Window::Sliding(length) => Wire::Fixed(nanoseconds(length)),
        Window::Calendar { unit, time_zone } => {
            let unit = match unit {
                CalendarUnit::Hour => Unit::Hour,
                CalendarUnit::Day => Unit::Day,
                CalendarUnit::Week => Unit::Week,
                CalendarUnit::Month => Unit::Month,
                CalendarUnit::Year => Unit::Year,
            };
            Wire::Calendar(CalendarWindow { unit, time_zone })
        }
    };
    imports::limiter::Quota { key: quota.key, limit: quota.limit, window, cost: quota.cost }
}

fn limiter_error(error: imports::limiter::LimiterError) -> LimiterError {
    use imports::limiter::LimiterError as Error;
    match error {
        Error::Invalid => LimiterError::Invalid,
        Error::Unavailable => LimiterError::Unavailable,
    }
}

pub(crate) fn set_value(key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), KeyValueError> {
    imports::key_value::set(key, value, ttl).map_err(key_value_error)
}

pub(crate) fn set_value_if_absent(
    key: &str,
    value: &[u8],
    ttl: Option<u64>,
) -> Result<bool, KeyValueError> {
    imports::key_value::set_if_absent(key, value, ttl).map_err(key_value_error)
}

pub(crate) fn increment_value(key: &str, by: i64, ttl: Option<u64>) -> Result<i64, KeyValueError> {
    imports::key_value::increment(key, by, ttl).map_err(key_value_error)
}

fn key_value_error(error: imports::key_value::KeyValueError) -> KeyValueError {
    use imports::key_value::KeyValueError as Error;
    match error {
        Error::TooLarge => KeyValueError::TooLarge,
        Error::Full if !was_answered() => KeyValueError::Unavailable,
        Error::Full => KeyValueError::Full,
        Error::NotANumber => KeyValueError::NotANumber,
    }
}

pub(crate) fn verify_password(hash: &str, password: &str) -> Result<bool, PasswordError> {
    use imports::password::PasswordError as Error;
    imports::password::verify(hash, password).map_err(|error| match error {
        Error::Unsupported => PasswordError::Unsupported,
        Error::Busy => PasswordError::Busy,
    })
}

pub(crate) fn document(name: &str) -> Option<Document> {
    let imports::documents::Document { version, content, age } = imports::documents::get(name)?;
    Some(Document { version, content, age: Duration::from_nanos(age) })
}

pub(crate) fn accepted_document(name: &str) -> Option<Document> {
    let imports::documents::Document { version, content, age } =
        imports::documents::accepted(name)?;
    Some(Document { version, content, age: Duration::from_nanos(age) })
}

pub(crate) fn metrics_counted() -> Vec<(Vec<u8>, u16, u32)> {
    let counted = imports::metrics::counted().into_iter();
    counted.map(|it| (it.context, it.status, it.count)).collect()
}

pub(crate) fn report_document(name: &str, version: u64, is_refused: bool, faults: &[Fault]) {
    use imports::documents::Fault as Wire;
    let faults: Vec<Wire<'_>> = faults
        .iter()
        .map(|Fault { place, message, help }| Wire {
            place: place.as_ref().map(|place| (place.start as u64, place.end as u64)),
            message,
            help: help.as_deref(),
        })
        .collect();
    imports::documents::report(name, version, is_refused, &faults);
}

pub(crate) fn refresh_document(name: &str, wait: u64) -> Refreshed {
    use imports::documents::Refreshed as Wire;
    match imports::documents::refresh(name, wait) {
        Wire::Changed => Refreshed::Changed,
        Wire::Unchanged => Refreshed::Unchanged,
        Wire::Failed => Refreshed::Failed,
        Wire::TooSoon => Refreshed::TooSoon,
        Wire::Pending => Refreshed::Pending,
        Wire::NotGranted => Refreshed::NotGranted,
    }
}

pub(crate) fn find_key(set: &str, digest: &[u8]) -> Result<Option<Key>, KeyError> {
    use imports::keys::KeyError as Error;
    let found = imports::keys::find(set, digest).map_err(|error| match error {
        Error::NotGranted => KeyError::NotGranted,
        Error::Unavailable => KeyError::Unavailable,
        Error::Expired => KeyError::Expired,
        Error::Invalid => KeyError::Invalid,
    })?;
    Ok(found.map(|key| {
        let imports::keys::Key { id, consumer, group, scopes, claims, expires } = key;
        Key { id, consumer, group, scopes, claims, expires: expires.map(Duration::from_nanos) }
    }))
}

pub(crate) fn send(request: Request) -> Result<Response, HttpError> {
    use imports::http_client::{HttpError as Error, Request as Wire};
    let fields: Vec<(&str, &[u8])> =
        request.fields.iter().map(|field| (&*field.name, &*field.value)).collect();
    let wire = Wire {
        upstream: &request.upstream,
        method: &request.method,
        target: &request.target,
        fields: &fields,
        body: &request.body,
        timeout: request.timeout.map(nanoseconds),
        response_limit: request.response_limit,
    };
    let sent = imports::http_client::send(wire);
    let response = sent.map_err(|error| match error {
        Error::NotGranted => HttpError::NotGranted,
        Error::NotHere => HttpError::NotHere,
        Error::TooMany => HttpError::TooMany,
        Error::Invalid(why) => HttpError::Invalid(why),
        Error::Connect => HttpError::Connect,
        Error::Timeout => HttpError::Timeout,
        Error::TooLarge => HttpError::TooLarge,
        Error::Protocol => HttpError::Protocol,
    })?;
    let fields = response.fields.into_iter().map(|(name, value)| Field { name, value });
    Ok(Response { status: response.status, fields: fields.collect(), body: response.body })
}

/// A key, held by the gateway.
pub(crate) struct VerifyingKey(imports::signature::VerifyingKey);

impl VerifyingKey {
    pub(crate) fn parse(algorithm: Algorithm, material: KeyMaterial<'_>) -> Result<Self, String> {
        use imports::signature::KeyMaterial as Wire;
        let material = match material {
            KeyMaterial::Secret(secret) => Wire::Secret(secret),
            KeyMaterial::Pem(pem) => Wire::Pem(pem),
            KeyMaterial::Jwk(jwk) => Wire::Jwk(jwk),
        };
        use imports::signature::VerifyingKey as Key;
        match signature_algorithm(algorithm) {
            Some(algorithm) => Key::parse(algorithm, material),
            None => Key::parse_named(algorithm.name(), material),
        }
        .map(Self)
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature)
    }
}

/// `None` if the algorithm goes by its name alone.
fn signature_algorithm(algorithm: Algorithm) -> Option<imports::signature::Algorithm> {
    use imports::signature::Algorithm as Wire;
    Some(match algorithm {
        Algorithm::Hs256 => Wire::Hs256,
        Algorithm::Hs384 => Wire::Hs384,
        Algorithm::Hs512 => Wire::Hs512,
        Algorithm::Rs256 => Wire::Rs256,
        Algorithm::Rs384 => Wire::Rs384,
        Algorithm::Rs512 => Wire::Rs512,
        Algorithm::Ps256 => Wire::Ps256,
        Algorithm::Ps384 => Wire::Ps384,
        Algorithm::Ps512 => Wire::Ps512,
        Algorithm::Es256 => Wire::Es256,
        Algorithm::Es384 => Wire::Es384,
        Algorithm::Es512 => Wire::Es512,
        Algorithm::EdDsa => Wire::Eddsa,
        Algorithm::Es256k => return None,
    })
}
