//! A configured plugin with its own host.

use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;

use crate::cache::{Collapsed, Freshness};
use crate::dispatch::Configured;
use crate::documents::Fault;
use crate::http_client::HttpError;
use crate::keys::Key;
use crate::limiter::nanoseconds;
use crate::log::Level;
use crate::testing::calls::Call;
use crate::testing::contract::judge_edits;
use crate::testing::exchange::Exchange;
use crate::testing::host::{self, LogLine, TestHost};
use crate::testing::message::{RequestBuilder, ResponseBuilder};
use crate::{ConfigError, Interest, Plugin, configure, digest, key_value};

/// A plugin, configured as the gateway would, and a host that serves its calls.
///
/// The host outlives the exchanges: what one wrote to the key-value store, the next one reads.
pub struct Harness<P: Plugin> {
    configured: Configured<P>,
    interest: Interest,
    host: Rc<TestHost>,
}

impl<P: Plugin> Harness<P> {
    /// Configures the plugin from JSON, by the same path and with the same errors as in the
    /// gateway.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    pub fn new(config: impl Serialize) -> Result<Self, ConfigError> {
        let text = serde_json::to_string(&config).expect("the configuration is a value of JSON");
        Self::from_json(&text)
    }

    /// Configures the plugin from the text of a JSON document.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn from_json(config: &str) -> Result<Self, ConfigError> {
        Self::with_host(Rc::new(TestHost::new()), config)
    }

    /// Secrets and upstreams for a plugin that is configured afterwards.
    pub fn prepare() -> Preparation<P> {
        Preparation { host: Rc::new(TestHost::new()), plugin: PhantomData }
    }

    fn with_host(host: Rc<TestHost>, config: &str) -> Result<Self, ConfigError> {
        host.calls().begin(false);
        let (configured, interest) = host::serve(&host, || Configured::new(config))?;
        for edits in [&interest.every_request, &interest.every_response] {
            judge_edits(edits).map_err(|breach| ConfigError::at("", breach.to_string()))?;
        }
        host.set_never_waits(interest.never_waits);
        host.calls().begin(true);
        Ok(Self { configured, interest, host })
    }

    /// What the plugin wants to see.
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// The JSON Schema of the configuration, as the component carries it; empty if there is none.
    pub fn config_schema() -> String {
        configure::schema::<P::Config>()
    }

    /// Sends a request through the plugin: its head, and its body if it has one and the plugin
    /// wants it.
    ///
    /// # Panics
    /// If the plugin does.
    pub fn request(&self, request: RequestBuilder) -> Exchange<'_, P> {
        Exchange::begin(&self.configured, &self.interest, &self.host, request)
    }

    /// Moves the clock on, for time of day, limits and the life of values.
    pub fn advance(&self, time: Duration) {
        self.host.advance(nanoseconds(time));
    }

    /// Sets the time of day, since 1970; limits and the life of values do not see it. Without,
    /// it begins at 2026-01-01T00:00:00Z.
    pub fn set_time(&self, since_1970: Duration) {
        self.host.set_now(nanoseconds(since_1970));
    }

    /// Whether the limiter's store is out of reach: charges then fail with
    /// [`LimiterError::Unavailable`](crate::limiter::LimiterError::Unavailable).
    pub fn limiter_unavailable(&self, is_unavailable: bool) {
        self.host.set_limiter_unavailable(is_unavailable);
    }

    /// Whether too many passwords are being verified: verifications then fail with
    /// [`PasswordError::Busy`](crate::password::PasswordError::Busy).
    pub fn passwords_busy(&self, are_busy: bool) {
        self.host.set_passwords_busy(are_busy);
    }

    /// Keeps only log lines of this level and above. Default: all are kept.
    pub fn set_log_level(&self, level: Level) {
        self.host.set_log_level(level);
    }

    /// What the plugin logged since it was configured.
    pub fn log(&self) -> Vec<LogLine> {
        self.host.log()
    }

    /// The value under a key of the plugin's key-value store.
    pub fn stored(&self, key: &str) -> Option<Vec<u8>> {
        host::serve(&self.host, || key_value::get(key))
    }

    /// Writes a value to the plugin's key-value store, to live until it is removed.
    ///
    /// # Panics
    /// If the key or the value is too long, or the store is full.
    pub fn store(&self, key: &str, value: &[u8]) {
        host::serve(&self.host, || key_value::set(key, value, None)).expect("the value fits");
    }

    /// What the plugin added to a counter; 0 if nothing. `_total` may be left out of the name.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.host.metrics().counted(name, labels)
    }

    /// What the plugin added to usage under a name, over all exchanges; 0 if nothing.
    pub fn usage(&self, name: &str) -> i64 {
        self.host.usage(name)
    }

    /// What the plugin emitted to a sink of events, in order.
    pub fn events(&self, sink: &str) -> Vec<String> {
        self.host.sinks().get(sink).cloned().unwrap_or_default()
    }

    /// What the plugin set a gauge to, if there is one.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.host.metrics().gauged(name, labels)
    }

    /// The values that the plugin counted in a histogram, in order.
    pub fn observations(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        self.host.metrics().observed(name, labels)
    }

    /// What comes of the next call of [`cache::collapse`](crate::cache::collapse) that has no answer yet. Where it is
    /// `Waits`, the hook is called again. An entry to join is one that is stored.
    pub fn collapse_next(&self, collapsed: Collapsed) {
        self.host.cache().collapses.push_back(collapsed);
    }

    /// How entries of the cache were served, in order.
    pub fn served(&self) -> Vec<Freshness> {
        self.host.cache().served.clone()
    }

    /// Sends a request through the plugin as one that is sent in the background: its response hooks alone see it, with
    /// the context and the entry that it was asked for with.
    ///
    /// # Panics
    /// If the exchange sent nothing in the background.
    pub fn background<'a>(&'a self, of: &Exchange<'a, P>) -> Exchange<'a, P> {
        Exchange::background_of(of)
    }

    /// Gives a document another content, as a fetch in the background would.
    pub fn set_document(&self, name: &str, content: impl Into<Vec<u8>>) {
        self.host.documents().set(name, content.into());
    }

    /// What the plugin has found wrong in a document, in the version that it looked at last of those that were wrong.
    pub fn document_faults(&self, name: &str) -> Vec<Fault> {
        self.host.documents().faults(name)
    }

    /// How often the plugin asked for a document to be fetched. The gateway fetches it less often: it
    /// bounds that.
    pub fn refreshes(&self, name: &str) -> usize {
        self.host.documents().refreshes(name)
    }

    /// Adds an API key to a set, or changes the one of this identifier, as who runs the gateway would.
    pub fn add_key(&self, set: &str, secret: impl AsRef<[u8]>, key: Key) {
        self.host.keys().add(set, digest::sha256(secret.as_ref()), key);
    }

    /// Revokes an API key. Whether there was one.
    pub fn revoke_key(&self, set: &str, id: &str) -> bool {
        self.host.keys().revoke(set, id)
    }

    /// The requests that the plugin sent to upstreams, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.host.calls().sent()
    }

    /// Calls something with the host calls served by this harness: parts of the plugin, say.
    pub fn serve<R>(&self, call: impl FnOnce() -> R) -> R {
        host::serve(&self.host, call)
    }
}

/// What a plugin is granted before it is configured: [`Harness::prepare`].
pub struct Preparation<P> {
    host: Rc<TestHost>,
    plugin: PhantomData<fn() -> P>,
}

impl<P: Plugin> Preparation<P> {
    /// Grants a secret.
    pub fn secret(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.host.set_secret(name.into(), value.into());
        self
    }

    /// Grants a document with this content.
    pub fn document(self, name: impl AsRef<str>, content: impl Into<Vec<u8>>) -> Self {
        self.host.documents().set(name.as_ref(), content.into());
        self
    }

    /// Grants a document that is not there before the plugin asks for it, and says what a fetch finds:
    /// `None` fails.
    pub fn document_from(
        self,
        name: impl AsRef<str>,
        source: impl Fn() -> Option<Vec<u8>> + 'static,
    ) -> Self {
        self.host.documents().serve(name.as_ref(), source);
        self
    }

    /// Grants a sink of events.
    pub fn sink(self, name: impl Into<String>) -> Self {
        self.host.sinks().insert(name.into(), Vec::new());
        self
    }

    /// Grants a set of API keys in which there is none yet.
    pub fn keys(self, set: impl AsRef<str>) -> Self {
        self.host.keys().grant(set.as_ref(), true);
        self
    }

    /// Grants a set of API keys that have not been read yet: the first key that is added is the first read.
    pub fn unread_keys(self, set: impl AsRef<str>) -> Self {
        self.host.keys().grant(set.as_ref(), false);
        self
    }

    /// Grants an upstream, and says how it answers each request.
    pub fn upstream(
        self,
        name: impl Into<String>,
        answer: impl Fn(&Call) -> Result<ResponseBuilder, HttpError> + 'static,
    ) -> Self {
        self.host.calls().grant(name.into(), answer);
        self
    }

    /// Configures the plugin, as [`Harness::new`] does.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    pub fn configure(self, config: impl Serialize) -> Result<Harness<P>, ConfigError> {
        let text = serde_json::to_string(&config).expect("the configuration is a value of JSON");
        Harness::with_host(self.host, &text)
    }
}
