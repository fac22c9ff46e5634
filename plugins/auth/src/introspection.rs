//! Tokens that only their issuer can read, introspected there (RFC 7662).
//!
//! Owns what an answer means, and for how long it is remembered: active ones and others apart, so that texts
//! that are no tokens never take the place of what is known of good ones. An endpoint that is away or answers
//! something else says nothing about a token.

mod answer;
mod client;
mod config;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_plugin_sdk::{clock, digest, log};
use serde_json::Value;

use self::answer::{Answer, Expectations};
use self::client::{Client, Failure};
pub use self::config::{ClientAuthentication, IntrospectionConfig};
use crate::cache::Cache;
use crate::config::JwtConfig;
use gateway_plugin_identity::consumer::{Admission, Admitted, Policy};
use gateway_plugin_identity::json;
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::time;

/// The most answers that an instance may remember: its memory is bounded.
pub(crate) const MAX_CACHE: usize = 1024;

/// The longest token that is sent.
const MAX_TOKEN: usize = 16 * 1024;

/// Why a token does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotActive {
    /// It is not active, or not for this.
    Refused(&'static str),
    /// Nobody can say.
    Unavailable(&'static str),
}

/// Where tokens are introspected, and what they must be like.
#[derive(Debug)]
pub(crate) struct Introspection {
    client: Client,
    expectations: Expectations,
    /// Issuers whose tokens are verified here instead.
    local_issuers: Vec<String>,
    active: Remembered<Rc<Active>>,
    refused: Remembered<&'static str>,
    /// Whether it was said that the endpoint's answers are of no use.
    has_warned: Cell<bool>,
}

/// What is known of a token that is active: all but whether it still is.
#[derive(Debug)]
struct Active {
    /// Since 1970, the difference of the clocks included.
    expires: Option<Duration>,
    admission: Rc<Admission>,
}

/// Answers, each with the time until when it holds.
#[derive(Debug)]
struct Remembered<V> {
    time: Duration,
    answers: Cache<(Duration, V)>,
}

impl Introspection {
    /// Checks the settings.
    pub(crate) fn new(
        config: &IntrospectionConfig,
        jwt: Option<&JwtConfig>,
        problems: &mut Problems,
    ) -> Self {
        let at = Pointer::default().key("introspection");
        if config.cache > MAX_CACHE {
            problems.add(&at.key("cache"), format!("is more than {MAX_CACHE}"));
        }
        let capacity = config.cache.min(MAX_CACHE);
        let hour = Duration::from_hours(1);
        let minute = Duration::from_mins(1);
        let active = time::at_most(&config.remember, hour, &at.key("remember"), problems);
        let refused = time::at_most(
            &config.remember_inactive,
            minute,
            &at.key("remember_inactive"),
            problems,
        );
        let issuers = jwt.iter().flat_map(|jwt| &jwt.issuers);
        Self {
            client: Client::new(config, &at, problems),
            expectations: Expectations::new(config, &at, problems),
            local_issuers: issuers.map(|issuer| issuer.issuer.clone()).collect(),
            active: Remembered::new(active, capacity),
            refused: Remembered::new(refused, capacity),
            has_warned: Cell::new(false),
        }
    }

    /// Whether a token is one that is verified here: a JSON Web Token that names an issuer whose keys are
    /// configured.
    pub(crate) fn is_local(&self, token: &[u8]) -> bool {
        if self.local_issuers.is_empty() {
            return false;
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (_, payload) = (parts.next(), parts.next());
        let payload = payload.and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
        let claims = payload.and_then(|payload| json::object(&payload));
        let issuer = claims.as_ref().and_then(|claims| claims.get("iss")).and_then(Value::as_str);
        issuer.is_some_and(|issuer| self.local_issuers.iter().any(|known| known == issuer))
    }

    /// What follows from a token, or why it is refused.
    pub(crate) fn verify(&self, token: &[u8], policy: &Policy) -> Result<Admitted, NotActive> {
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(NotActive::Refused("the token is empty, or longer than 16 KiB"));
        }
        let digest = digest::sha256(token);
        let now = clock::now();
        if let Some(active) = self.active.answer(&digest, now) {
            return active.admit(now);
        }
        if let Some(reason) = self.refused.answer(&digest, now) {
            return Err(NotActive::Refused(reason));
        }
        let body = self.client.ask(token).map_err(|failure| {
            match failure {
                // The gateway says once that there is none.
                Failure::Http(_) | Failure::Status(500..) => {
                    log::debug!("a token cannot be introspected: {failure}");
                }
                Failure::Status(_) | Failure::Unsigned(_) => self.trouble(&failure.to_string()),
            }
            NotActive::Unavailable("the introspection endpoint gives no usable answer")
        })?;
        // The wait may have been long.
        let now = clock::now();
        let answer = self.expectations.read(&body, policy).map_err(|reason| {
            self.trouble(reason);
            NotActive::Unavailable("the introspection endpoint gives no usable answer")
        })?;
        if self.has_warned.replace(false) {
            log::info!("tokens can be introspected again");
        }
        match answer {
            Answer::Active { expires, not_before, admission } => {
                if not_before.is_some_and(|begins| now < begins) {
                    return Err(NotActive::Refused("the token is not valid yet"));
                }
                let active = Rc::new(Active { expires, admission: Rc::new(admission) });
                let admitted = active.admit(now)?;
                self.active.remember(digest, now, active);
                Ok(admitted)
            }
            Answer::Refused(reason) => {
                self.refused.remember(digest, now, reason);
                Err(NotActive::Refused(reason))
            }
        }
    }
}

impl Introspection {
    /// Says once that the endpoint's answers are of no use: each request would say it again.
    fn trouble(&self, why: &str) {
        if self.has_warned.replace(true) {
            log::debug!("a token cannot be introspected: {why}");
        } else {
            log::warn!("a token cannot be introspected: {why}");
        }
    }
}

impl Active {
    fn admit(&self, now: Duration) -> Result<Admitted, NotActive> {
        if self.expires.is_some_and(|expires| now >= expires) {
            return Err(NotActive::Refused("the token has expired"));
        }
        Ok(Admitted::only_now(Rc::clone(&self.admission)))
    }
}

impl<V: Clone> Remembered<V> {
    fn new(time: Duration, capacity: usize) -> Self {
        Self { time, answers: Cache::new(if time.is_zero() { 0 } else { capacity }) }
    }

    fn answer(&self, digest: &[u8; 32], now: Duration) -> Option<V> {
        if !self.answers.is_on() {
            return None;
        }
        let (until, value) = self.answers.value(digest)?;
        // A clock that was set back must not keep it for longer than it may be.
        (now < until && until.saturating_sub(now) <= self.time).then_some(value)
    }

    fn remember(&self, digest: [u8; 32], now: Duration, value: V) {
        self.answers.remember(digest, (now.saturating_add(self.time), value));
    }
}
