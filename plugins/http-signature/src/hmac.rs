//! Bodies that are signed with a shared secret, as the senders of webhooks do it.
//!
//! Owns the notations of such signatures. What is signed is a template of the configuration.

mod template;

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use gateway_plugin_sdk::clock;
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::signature::{Algorithm, VerifyingKey};

use self::template::Template;
use crate::config::{HmacConfig, HmacDigest, SignatureEncoding};
use crate::consumer::{Consumer, Owner};
use crate::once::Once;
use crate::refusal::Refusal;
use crate::secret;
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::time;

/// The most signatures and secrets that are tried: each reads the whole body.
const MOST_SIGNATURES: usize = 4;
const MOST_SECRETS: usize = 4;

/// The longest time for which a text is admitted once.
const MAX_WINDOW: Duration = Duration::from_hours(24);

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a signature must be like.
pub(crate) struct Hmac {
    header: HeaderName,
    prefix: String,
    separator: Option<String>,
    encoding: SignatureEncoding,
    template: Template,
    timestamp: Option<Timestamp>,
    window: Option<Duration>,
    /// Each with a consumer that names it.
    secrets: Vec<(VerifyingKey, Consumer)>,
    max_age: Duration,
    skew: Duration,
}

impl fmt::Debug for Hmac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hmac").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Where the time of a signature is.
#[derive(Debug)]
enum Timestamp {
    Header(HeaderName),
    Prefix(String),
}

/// A signature in a request, before the body is known.
#[derive(Debug)]
pub(crate) struct Presented {
    signatures: Vec<Vec<u8>>,
    timestamp: String,
    /// Until when it counts.
    until: Option<Duration>,
}

impl Hmac {
    /// Checks the settings.
    pub(crate) fn new(
        config: &HmacConfig,
        max_age: Duration,
        skew: Duration,
        problems: &mut Problems,
    ) -> Self {
        let at = Pointer::default().key("hmac");
        if config.separator.as_deref() == Some("") {
            problems.add(&at.key("separator"), "must not be empty");
        }
        let timestamp = match (&config.timestamp_header, &config.timestamp_prefix) {
            (Some(_), Some(_)) => {
                let message = "stands beside `timestamp_header`: name one of them";
                problems.add(&at.key("timestamp_prefix"), message);
                None
            }
            (Some(header), None) => Some(Timestamp::Header(header.clone())),
            (None, Some(prefix)) => {
                if prefix.is_empty() || config.separator.is_none() {
                    let message = "needs a `separator`, and a text that begins the part";
                    problems.add(&at.key("timestamp_prefix"), message);
                }
                Some(Timestamp::Prefix(prefix.clone()))
            }
            (None, None) => None,
        };
        let template = Template::new(&config.text).unwrap_or_else(|message| {
            problems.add(&at.key("text"), message);
            Template::default()
        });
        template.check(timestamp.is_some(), &at.key("text"), problems);
        if timestamp.is_some() && config.window.is_some() {
            let message =
                "is for texts without a time: `max_age` and `skew` say how long one with it counts";
            problems.add(&at.key("window"), message);
        }
        let window = config.window.as_deref();
        let window =
            window.map(|text| time::at_most(text, MAX_WINDOW, &at.key("window"), problems));
        Self {
            header: config.header.clone(),
            prefix: config.prefix.clone(),
            separator: config.separator.clone(),
            encoding: config.encoding,
            template,
            timestamp,
            window,
            secrets: secrets(config, &at, problems),
            max_age,
            skew,
        }
    }

    /// The request field that holds the signature.
    pub(crate) fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Whose a secret is.
    pub(crate) fn consumer(&self, secret: usize) -> Option<&Consumer> {
        self.secrets.get(secret).map(|(_, consumer)| consumer)
    }

    /// The signature of a request, as far as it can be judged without the body.
    pub(crate) fn find(&self, request: &Request) -> Result<Presented, Refusal> {
        let value = request.header_bytes(&self.header).ok_or(Refusal::Missing)?;
        let value = std::str::from_utf8(value).map_err(|_| "the signature is malformed")?;
        let parts: Vec<&str> = match self.separator.as_deref().filter(|it| !it.is_empty()) {
            Some(separator) => value.split(separator).map(str::trim).collect(),
            None => vec![value.trim()],
        };
        let signatures = parts.iter().filter_map(|part| part.strip_prefix(&*self.prefix));
        let signatures: Vec<_> =
            signatures.filter_map(|text| decoded(text, self.encoding)).collect();
        if signatures.is_empty() || signatures.len() > MOST_SIGNATURES {
            return Err("the field holds no signature of this form, or more than four".into());
        }
        let timestamp = match &self.timestamp {
            None => None,
            Some(Timestamp::Header(name)) => {
                Some(request.header(name).ok_or("the time of the signature is missing")?)
            }
            Some(Timestamp::Prefix(prefix)) => {
                let mut times = parts.iter().filter_map(|part| part.strip_prefix(&**prefix));
                match (times.next(), times.next()) {
                    (Some(time), None) => Some(time),
                    _ => return Err("the time of the signature is missing, or there twice".into()),
                }
            }
        };
        let until = match timestamp {
            Some(text) => Some(self.check_time(text)?),
            None => self.window.map(|window| clock::now().saturating_add(window)),
        };
        Ok(Presented { signatures, timestamp: timestamp.unwrap_or_default().to_owned(), until })
    }

    /// Until when a time counts.
    fn check_time(&self, text: &str) -> Result<Duration, Refusal> {
        let is_number =
            (1..=11).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        let seconds = text.parse().ok().filter(|_| is_number);
        let signed = Duration::from_secs(seconds.ok_or("the time of the signature is no time")?);
        let now = clock::now();
        if signed > now.saturating_add(self.skew) {
            return Err("the signature was made in the future".into());
        }
        let old = signed.saturating_add(self.max_age);
        if now > old {
            return Err("the signature is too old".into());
        }
        // One second more than it could be admitted in: times are compared to the second.
        Ok(old.saturating_add(Duration::from_secs(1)))
    }

    /// The index of the secret that signed the request with this body, and what is admitted once.
    pub(crate) fn verify(
        &self,
        request: &Request,
        presented: &Presented,
        body: &[u8],
    ) -> Result<(usize, Option<Once>), Refusal> {
        let signed = self.template.fill(request, &presented.timestamp, body)?;
        for (index, (secret, _)) in self.secrets.iter().enumerate() {
            if presented.signatures.iter().any(|signature| secret.verify(&signed, signature)) {
                let once = presented.until.map(|until| Once::new(&[b"hmac", &signed], until));
                return Ok((index, once));
            }
        }
        Err("the signature does not fit the request".into())
    }
}

fn secrets(
    config: &HmacConfig,
    at: &Pointer,
    problems: &mut Problems,
) -> Vec<(VerifyingKey, Consumer)> {
    let list = at.key("secrets");
    if config.secrets.is_empty() {
        problems.add(&list, "no secret is named, so no request could be admitted");
    }
    if config.secrets.len() > MOST_SECRETS {
        problems.add(&list, format!("are more than {MOST_SECRETS}"));
    }
    let algorithm = match config.digest {
        HmacDigest::Sha256 => Algorithm::Hs256,
        HmacDigest::Sha384 => Algorithm::Hs384,
        HmacDigest::Sha512 => Algorithm::Hs512,
    };
    let mut secrets = Vec::new();
    for (index, secret) in config.secrets.iter().enumerate() {
        let owner = Owner {
            id: &config.consumer,
            key_id: &format!("secret-{}", index + 1),
            group: config.group.as_deref(),
            names_groups: config.group.is_some(),
            scopes: &config.scopes,
            claims: &config.claims,
        };
        // What is wrong with it is said once.
        let mut of_consumer = Problems::default();
        let consumer = Consumer::new(&owner, at, &mut of_consumer);
        if index == 0 {
            problems.append(of_consumer);
        }
        match secret::key(algorithm, secret, config.secret_encoding) {
            Ok(key) => secrets.push((key, consumer)),
            Err(message) => problems.add(&list.index(index), message),
        }
    }
    secrets
}

fn decoded(text: &str, encoding: SignatureEncoding) -> Option<Vec<u8>> {
    match encoding {
        SignatureEncoding::Base64 => BASE64.decode(text).ok(),
        SignatureEncoding::Hex => {
            let (pairs, rest) = text.as_bytes().as_chunks::<2>();
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
            if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
        }
    }
}
