//! Signed requests: admits those whose signature is right, reports to others who signed, and refuses the rest.
//!
//! Owns the order: find the signature and verify what can be verified by the head, then the body, then note that the
//! request was admitted, then report. `message` is RFC 9421, `hmac` is what webhooks have; neither knows the other.

mod config;
mod consumer;
mod content_digest;
mod hmac;
mod message;
mod once;
mod refusal;
mod secret;

use std::time::Duration;

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;
use serde::Serialize;

use crate::consumer::{Consumer, Fields};
use crate::content_digest::Expected;
use crate::hmac::Hmac;
use crate::message::Messages;
use crate::once::Once;
use crate::refusal::{Challenge, Refusal, is_realm, quoted};
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::time;

pub use crate::config::{
    Config, ContentDigest, FieldKind, HmacConfig, HmacDigest, KeySpec, MessageConfig, Secret,
    SecretEncoding, SignatureAlgorithm, SignatureEncoding,
};

/// The longest body that may be checked, in bytes.
pub(crate) const MAX_BODY: u64 = 16 << 20;

const MAX_AGE: Duration = Duration::from_hours(24);
const MAX_SKEW: Duration = Duration::from_mins(10);

const UNCOVERED: &str = "the signature does not cover the body";

/// Whether a request came with a body.
const HAS_BODY: &str = "request.has-body";

/// The configured plugin.
#[derive(Debug)]
pub struct HttpSignature {
    method: Method,
    fields: Fields,
    challenge: Challenge,
    max_body: u64,
    once: bool,
}

#[derive(Debug)]
enum Method {
    Message(Messages),
    Hmac(Hmac),
}

/// What is left to check when the body is there.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Pending(Option<Left>);

#[derive(Debug, Serialize, Deserialize)]
struct Left {
    key: usize,
    expected: Vec<Expected>,
    once: Once,
}

/// How far a request is judged by its head.
enum Judged {
    /// It is admitted.
    Wholly,
    /// All but the body is right.
    ButBody(Option<Left>),
}

impl Plugin for HttpSignature {
    type Config = Config;
    type Context = Pending;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let root = Pointer::default();
        let max_age = time::at_most(&config.max_age, MAX_AGE, &root.key("max_age"), &mut problems);
        let skew = time::at_most(&config.skew, MAX_SKEW, &root.key("skew"), &mut problems);
        if config.max_body == 0 || config.max_body > MAX_BODY {
            problems.add(&root.key("max_body"), "is not from 1 to 16777216 bytes");
        }
        if !is_realm(&config.realm) {
            problems.add(&root.key("realm"), "is no realm: visible ASCII and spaces");
        }
        let fields = Fields::new(&config.headers, &root.key("headers"), &mut problems);
        let realm = quoted(&config.realm);
        let configured = match (&config.message, &config.hmac) {
            (Some(message), None) => {
                let messages = Messages::new(message, max_age, skew, &mut problems);
                let challenge = format!("Signature realm={realm}");
                let accept = Some(messages.accepted());
                Some((Method::Message(messages), Challenge { challenge, accept }))
            }
            (None, Some(hmac)) => {
                let hmac = Hmac::new(hmac, max_age, skew, &mut problems);
                let header = quoted(hmac.header().as_str());
                let challenge = format!("HMAC realm={realm}, header={header}");
                Some((Method::Hmac(hmac), Challenge { challenge, accept: None }))
            }
            (Some(message), Some(hmac)) => {
                // What is wrong with either is told too: it is not known which of them stays.
                Messages::new(message, max_age, skew, &mut problems);
                Hmac::new(hmac, max_age, skew, &mut problems);
                problems.add(&root.key("hmac"), "stands beside `message`: leave one of them out");
                None
            }
            (None, None) => {
                problems.add(&root, "name a method: `message` or `hmac`");
                None
            }
        };
        problems.finish()?;
        let Some((method, challenge)) = configured else {
            return Err(ConfigError::new("name a method: `message` or `hmac`"));
        };
        Ok(Self { method, fields, challenge, max_body: config.max_body, once: config.once })
    }

    fn interest(&self) -> Interest {
        let interest = Interest::on_request().attribute(HAS_BODY);
        // Whatever comes of the signature: what a client sends under these names would pass for who signed.
        let interest =
            self.fields.names().fold(interest, |it, name| it.always_remove_header(name.as_str()));
        match &self.method {
            Method::Message(_) => {
                let parts = interest.method().path().query().attribute("request.scheme");
                ["host", "signature-input", "signature", "content-digest"]
                    .into_iter()
                    .fold(parts, Interest::header)
            }
            Method::Hmac(hmac) => interest.header(hmac.header()),
        }
    }

    fn on_request(&self, request: &mut Request, pending: &mut Pending) -> Outcome {
        let has_body = request.attribute(HAS_BODY) == Some("true");
        match self.by_head(request, has_body) {
            Ok(Judged::Wholly) => Outcome::Next,
            Ok(Judged::ButBody(left)) => {
                pending.0 = left;
                request.want_request_body(BodyMode::Buffered(self.max_body));
                Outcome::Next
            }
            Err(refusal) => self.refuse(&refusal, has_body),
        }
    }

    fn on_request_body(
        &self,
        request: &mut Request,
        body: &mut Body,
        pending: &mut Pending,
    ) -> Outcome {
        match self.by_body(request, body.bytes(), pending.0.take()) {
            Ok(()) => Outcome::Next,
            Err(refusal) => self.refuse(&refusal, true),
        }
    }
}

impl HttpSignature {
    /// Judges a request by its head, and wholly if its body does not matter.
    fn by_head(&self, request: &mut Request, has_body: bool) -> Result<Judged, Refusal> {
        match &self.method {
            Method::Message(messages) => {
                let message::Verified { key, expected, once } = messages.verify(request)?;
                if has_body && expected.is_empty() && messages.requires_digest() {
                    // A body that turns out to be empty needs no digest.
                    let length = request.header("content-length");
                    if length.is_some_and(|length| length != "0") {
                        return Err(UNCOVERED.into());
                    }
                    return Ok(Judged::ButBody(Some(Left { key, expected, once })));
                }
                if has_body && !expected.is_empty() {
                    return Ok(Judged::ButBody(Some(Left { key, expected, once })));
                }
                content_digest::check(&expected, b"")?;
                self.admit(request, messages.consumer(key), Some(&once))?;
            }
            Method::Hmac(hmac) => {
                let presented = hmac.find(request)?;
                if has_body {
                    return Ok(Judged::ButBody(None));
                }
                let (secret, once) = hmac.verify(request, &presented, b"")?;
                self.admit(request, hmac.consumer(secret), once.as_ref())?;
            }
        }
        Ok(Judged::Wholly)
    }

    fn by_body(
        &self,
        request: &mut Request,
        body: &[u8],
        left: Option<Left>,
    ) -> Result<(), Refusal> {
        match &self.method {
            Method::Message(messages) => {
                let lost = Refusal::Failed("what the head said of the signature is lost");
                let Left { key, expected, once } = left.ok_or(lost)?;
                if expected.is_empty() && messages.requires_digest() && !body.is_empty() {
                    return Err(UNCOVERED.into());
                }
                content_digest::check(&expected, body)?;
                self.admit(request, messages.consumer(key), Some(&once))
            }
            Method::Hmac(hmac) => {
                let presented = hmac.find(request)?;
                let (secret, once) = hmac.verify(request, &presented, body)?;
                self.admit(request, hmac.consumer(secret), once.as_ref())
            }
        }
    }

    fn admit(
        &self,
        request: &mut Request,
        consumer: Option<&Consumer>,
        once: Option<&Once>,
    ) -> Result<(), Refusal> {
        let consumer = consumer.ok_or(Refusal::Failed("the key is not known any more"))?;
        if let Some(once) = once.filter(|_| self.once) {
            once.admit()?;
        }
        if self.fields.tell(consumer, request) {
            return Ok(());
        }
        Err(Refusal::Failed("the gateway does not take the consumer's attributes"))
    }

    fn refuse(&self, refusal: &Refusal, has_body: bool) -> Outcome {
        match refusal {
            Refusal::Missing => log::debug!("refused: {refusal}"),
            Refusal::Invalid(_) | Refusal::Replayed => log::info!("refused: {refusal}"),
            Refusal::NoRoom | Refusal::NoStore => log::warn!("refused: {refusal}"),
            Refusal::Failed(_) => log::error!("refused: {refusal}"),
        }
        Outcome::respond(self.challenge.answer(refusal, has_body).because(refusal.to_string()))
    }
}

register_plugin!(HttpSignature);
