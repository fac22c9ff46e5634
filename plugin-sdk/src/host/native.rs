//! Host calls in native tests: served by the test host of this thread.

use crate::attempts::{Attempt, AttemptsError};
use crate::attributes::AttributeError;
use crate::cache::{Background, CacheError, Collapsed, Entry, Freshening, Serve, Store};
use crate::documents::{Document, Fault, Refreshed};
use crate::events::EmitError;
use crate::held_response::{HeadChange, HeldResponseError};
use crate::http_client::{HttpError, Request, Response};
use crate::key_value::KeyValueError;
use crate::keys::{Key, KeyError};
use crate::limiter::{Charge, LimiterError, Quota, Reservation, Settlement, Verdict};
use crate::log::Level;
use crate::password::PasswordError;
use crate::signature::{Algorithm, KeyMaterial};
use crate::slots::{Occupancy, Queued, SlotsError, Taken, Wait};
use crate::testing::host::{current, reached};
use crate::testing::{cryptography, host, quotas};
use crate::wire::{self, Field};

pub(crate) fn request_method() -> String {
    reached().request().method.clone()
}

pub(crate) fn request_path() -> String {
    reached().request().path.clone()
}

pub(crate) fn request_query() -> Option<String> {
    reached().request().query.clone()
}

pub(crate) fn request_field(name: &str) -> Vec<Vec<u8>> {
    host::lines(&reached().request().fields, name)
}

pub(crate) fn request_fields() -> Vec<Field> {
    reached().request().fields.clone()
}

pub(crate) fn response_status() -> Option<u16> {
    reached().response().as_ref().map(|response| response.status)
}

pub(crate) fn response_field(name: &str) -> Vec<Vec<u8>> {
    let host = reached();
    let response = host.response();
    response.as_ref().map_or_else(Vec::new, |response| host::lines(&response.fields, name))
}

pub(crate) fn response_fields() -> Vec<Field> {
    reached().response().as_ref().map_or_else(Vec::new, |response| response.fields.clone())
}

pub(crate) fn keep_context(context: &[u8]) {
    reached().keep_context(context);
}

pub(crate) fn attribute(name: &str) -> Option<String> {
    reached().attribute(name)
}

pub(crate) fn set_attribute(name: &str, value: &str) -> Result<(), AttributeError> {
    reached().set_attribute(name, value)
}

pub(crate) fn set_attributes(attributes: &[(&str, &str)]) -> Result<(), AttributeError> {
    attributes.iter().try_for_each(|(name, value)| set_attribute(name, value))
}

/// Natively each chunk comes with a call.
pub(crate) fn pass_alike(
    pieces: &[&[u8]],
    counted: u32,
    bytes: u32,
) -> Result<(), crate::chunks::ChunksError> {
    reached().check_alike(pieces, counted, bytes)
}

pub(crate) fn passed() -> u64 {
    reached();
    0
}

pub(crate) fn log_enabled(level: Level) -> bool {
    reached().log_enabled(level)
}

pub(crate) fn log_write(level: Level, message: &str) {
    reached().log_write(level, message);
}

pub(crate) fn now() -> u64 {
    current().now()
}

pub(crate) fn monotonic() -> u64 {
    current().monotonic()
}

pub(crate) fn random_bytes(count: u32) -> Vec<u8> {
    assert!(count <= 64 * 1024, "the gateway gives at most 64 KiB of random bytes at once");
    reached();
    cryptography::random(count as usize)
}

pub(crate) fn random_number() -> u64 {
    reached();
    cryptography::random(8).into_iter().fold(0, |number, byte| number << 8 | u64::from(byte))
}

pub(crate) fn sha256(data: &[u8]) -> (u64, u64, u64, u64) {
    cryptography::sha256(data)
}

pub(crate) fn take(charges: &[Charge<'_>]) -> Result<Vec<Verdict>, LimiterError> {
    reached().take(charges)
}

pub(crate) fn reserve(quotas: &[Quota<'_>]) -> Result<Vec<Reservation>, LimiterError> {
    reached().reserve(quotas)
}

pub(crate) fn settle(settlements: &[Settlement<'_>]) -> Result<(), LimiterError> {
    reached().settle(settlements)
}

pub(crate) fn check_time_zone(name: &str) -> Result<(), Option<String>> {
    quotas::check_time_zone(name)
}

pub(crate) fn value(key: &str) -> Option<Vec<u8>> {
    reached().store().value(key)
}

/// That of native tests is in memory.
pub(crate) fn was_answered() -> bool {
    true
}

pub(crate) fn set_value(key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), KeyValueError> {
    reached().store().set(key, value, ttl)
}

pub(crate) fn set_value_if_absent(
    key: &str,
    value: &[u8],
    ttl: Option<u64>,
) -> Result<bool, KeyValueError> {
    reached().store().set_if_absent(key, value, ttl)
}

pub(crate) fn delete_value(key: &str) -> bool {
    reached().store().delete(key)
}

pub(crate) fn increment_value(key: &str, by: i64, ttl: Option<u64>) -> Result<i64, KeyValueError> {
    reached().store().increment(key, by, ttl)
}

pub(crate) fn verify_password(hash: &str, password: &str) -> Result<bool, PasswordError> {
    reached().verify_password(hash, password)
}

pub(crate) fn metrics_counter(name: &str, labels: &[(&str, &str)]) -> u32 {
    reached().metrics().counter(name, labels)
}

pub(crate) fn metrics_gauge(name: &str, labels: &[(&str, &str)]) -> u32 {
    reached().metrics().gauge(name, labels)
}

pub(crate) fn metrics_histogram(name: &str, labels: &[(&str, &str)], bounds: &[f64]) -> u32 {
    reached().metrics().histogram(name, labels, bounds)
}

pub(crate) fn metrics_add(series: u32, amount: u64) {
    reached().metrics().add(series, amount);
}

pub(crate) fn metrics_set(series: u32, value: f64) {
    reached().metrics().set(series, value);
}

pub(crate) fn metrics_observe(series: u32, value: f64) {
    reached().metrics().observe(series, value);
}

pub(crate) fn metrics_record(amounts: &[(u32, u64)], values: &[(u32, f64)]) {
    amounts.iter().for_each(|(series, amount)| metrics_add(*series, *amount));
    values.iter().for_each(|(series, value)| metrics_observe(*series, *value));
}

pub(crate) fn metrics_record_end(counters: &[u32], durations: &[u32], squares: &[u32]) {
    current().record_end(counters, durations, squares);
}

pub(crate) fn metrics_record_amount(name: &str, amounts: u32, squares: u32) {
    current().record_amount(name, amounts, squares);
}

/// Each exchange of a test has its call.
pub(crate) fn metrics_count_alike(_most: u32, _time_to_head: u64) {
    current().judges_end();
}

pub(crate) fn metrics_counted() -> Vec<(Vec<u8>, u16, u32)> {
    Vec::new()
}

pub(crate) fn usage_add(name: &str, amount: i64) {
    reached().add_usage(name, amount);
}

pub(crate) fn usage_add_all(amounts: &[(&str, i64)]) {
    amounts.iter().for_each(|(name, amount)| usage_add(name, *amount));
}

pub(crate) fn usage_added() -> Vec<(String, i64)> {
    reached().usage_added()
}

pub(crate) fn is_sink_granted(sink: &str) -> bool {
    current().sinks().contains_key(sink)
}

pub(crate) fn emit(sink: &str, event: &[u8]) -> Result<(), EmitError> {
    reached().emit(sink, event)
}

pub(crate) fn take_slot(key: &str, limit: u32) -> Result<Taken, SlotsError> {
    reached().take_slot(key, limit)
}

pub(crate) fn queue_for_slot(wait: &Wait<'_>, late: wire::Response) -> Result<Queued, SlotsError> {
    reached().queue_for_slot(wait, 1, late)
}

pub(crate) fn queue_by_weight(
    wait: &Wait<'_>,
    weight: u16,
    late: wire::Response,
) -> Result<Queued, SlotsError> {
    reached().queue_for_slot(wait, weight, late)
}

pub(crate) fn may_forward(_: &str) -> bool {
    true
}

pub(crate) fn received_body() -> Option<Vec<u8>> {
    reached().received_body()
}

pub(crate) fn attempts_sent() -> u32 {
    reached().attempts_sent()
}

pub(crate) fn ask_for_attempt(attempt: &Attempt) -> Result<(), AttemptsError> {
    reached().ask_for_attempt(attempt)
}

pub(crate) fn bound_first_byte(time: std::time::Duration) -> Result<(), AttemptsError> {
    reached().bound_first_byte(time)
}

pub(crate) fn call_when_late() -> Result<(), HeldResponseError> {
    reached().call_when_late()
}

pub(crate) fn call_when_broken() -> Result<(), HeldResponseError> {
    reached().call_when_broken()
}

pub(crate) fn hold_response(
    bytes: u32,
    time: std::time::Duration,
) -> Result<(), HeldResponseError> {
    reached().hold_response(bytes, time)
}

pub(crate) fn is_response_held() -> bool {
    reached().is_response_held()
}

pub(crate) fn release_response() {
    reached().release_response();
}

pub(crate) fn change_held_head(change: &HeadChange) -> Result<(), HeldResponseError> {
    reached().change_held_head(change)
}

pub(crate) fn respond_instead(answer: wire::Response) -> Result<(), HeldResponseError> {
    reached().respond_instead(answer)
}

pub(crate) fn cache_lookup(key: &[u8]) -> Vec<Entry> {
    reached().cache_lookup(key)
}

pub(crate) fn cache_fields(entry: u64) -> Result<Vec<Field>, CacheError> {
    reached().cached().given(entry).map(|stored| stored.head.fields.clone())
}

pub(crate) fn cache_field(entry: u64, name: &str) -> Vec<Vec<u8>> {
    let host = reached();
    let cached = host.cached();
    cached.given(entry).map(|stored| host::lines(&stored.head.fields, name)).unwrap_or_default()
}

pub(crate) fn cache_serve(serve: &Serve) -> Result<(), CacheError> {
    reached().cached().serve(serve)
}

pub(crate) fn cache_keep(entry: u64) -> Result<(), CacheError> {
    reached().cached().keep(entry)
}

pub(crate) fn cache_kept() -> Option<Entry> {
    let host = reached();
    host.cached().kept(host.monotonic())
}

pub(crate) fn cache_collapse(
    key: &[u8],
    time: std::time::Duration,
    waiters: u32,
) -> Result<Collapsed, CacheError> {
    if key.len() > 8 << 10 || time.is_zero() || waiters > 10_000 {
        return Err(CacheError::Invalid);
    }
    reached().cache_collapse()
}

pub(crate) fn cache_revalidate(key: &[u8], background: &Background) -> Result<bool, CacheError> {
    if key.len() > 8 << 10 {
        return Err(CacheError::Invalid);
    }
    let host = reached();
    let method = host.request().method.clone();
    host.cached().revalidate(&method, background)
}

pub(crate) fn cache_is_background() -> bool {
    reached().cached().is_background
}

pub(crate) fn cache_store(store: &Store) -> Result<(), CacheError> {
    let host = reached();
    let head = host.response().clone().unwrap_or_default();
    let method = host.request().method.clone();
    host.cached().store(store, head, &method)
}

pub(crate) fn cache_discard() -> Result<(), CacheError> {
    reached().cached().change_store(None)
}

pub(crate) fn cache_set_metadata(metadata: &[u8]) -> Result<(), CacheError> {
    reached().cached().change_store(Some(metadata))
}

pub(crate) fn cache_freshen(entry: u64, freshening: &Freshening) -> Result<Entry, CacheError> {
    reached().cache_freshen(entry, freshening)
}

pub(crate) fn cache_purge_key(key: &[u8]) -> u32 {
    reached().cache().purge(|other, _| other == key)
}

pub(crate) fn cache_purge_tag(tag: &str) -> u32 {
    reached().cache().purge(|_, tags| tags.iter().any(|other| other == tag))
}

pub(crate) fn give_slot_back(key: &str) -> Result<(), SlotsError> {
    reached().give_slot_back(key)
}

pub(crate) fn drain_response(
    bytes: u64,
    time: std::time::Duration,
) -> Result<(), crate::drain::DrainError> {
    reached().drain_response(bytes, time)
}

pub(crate) fn keep_alive(
    text: &[u8],
    every: std::time::Duration,
    ends: &[&[u8]],
) -> Result<(), crate::keep_alive::KeepAliveError> {
    reached().keep_alive(text, every, ends)
}

pub(crate) fn look_at_slots(key: &str) -> Occupancy {
    reached().slots().look(key)
}

pub(crate) fn expected_wait(key: &str) -> Option<u64> {
    reached().slots().expected_wait(key)
}

/// Nobody waits here, so that every turn is the next one.
pub(crate) fn expected_turn(wait: &Wait<'_>, _: u16) -> Option<u64> {
    expected_wait(wait.key)
}

pub(crate) fn secret(name: &str) -> Option<String> {
    current().secret(name)
}

pub(crate) fn sign(name: &str, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    let Some(secret) = secret(name) else {
        return Err("the plugin was not granted a secret of this name".to_owned());
    };
    cryptography::sign(&secret, algorithm, message)
}

pub(crate) fn document_version(name: &str) -> Option<u64> {
    current().documents().version(name)
}

pub(crate) fn document(name: &str) -> Option<Document> {
    current().documents().get(name)
}

pub(crate) fn accept_document(name: &str, version: u64) {
    current().documents().accept(name, version);
}

pub(crate) fn accepted_document(name: &str) -> Option<Document> {
    current().documents().accepted(name)
}

pub(crate) fn report_document(name: &str, version: u64, is_refused: bool, faults: &[Fault]) {
    let text = current().documents().report(name, version, is_refused, faults);
    text.inspect(|text| reached().log_write(Level::Warn, text));
}

pub(crate) fn refresh_document(name: &str, _wait: u64) -> Refreshed {
    reached().refresh_document(name)
}

pub(crate) fn find_key(set: &str, digest: &[u8]) -> Result<Option<Key>, KeyError> {
    let host = current();
    host.keys().find(set, digest, std::time::Duration::from_nanos(host.now()))
}

pub(crate) fn is_upstream_granted(upstream: &str) -> bool {
    reached().calls().is_granted(upstream)
}

pub(crate) fn send(request: Request) -> Result<Response, HttpError> {
    reached().send(request)
}

/// A key, held by the test host.
pub(crate) struct VerifyingKey(cryptography::Key);

impl VerifyingKey {
    pub(crate) fn parse(algorithm: Algorithm, material: KeyMaterial<'_>) -> Result<Self, String> {
        cryptography::Key::parse(algorithm, material).map(Self)
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature)
    }
}
