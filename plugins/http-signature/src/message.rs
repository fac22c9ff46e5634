//! HTTP Message Signatures (RFC 9421): which signature of a request counts, and whether it is right.
//!
//! Owns the order of the checks (section 3.2): the signature's parameters, what it covers, its key, the signature
//! base, the signature. Nothing that a signature says of keys or algorithms is more than a choice among what is
//! configured.

mod base;
mod component;
#[cfg(test)]
mod fuzz;
mod key;

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_plugin_sdk::clock;
use gateway_plugin_sdk::prelude::*;
use sfv::{BareItem, Dictionary, InnerList, Item, ListEntry, Parameters, Parser};

use self::component::{Component, Required};
use self::key::Key;
use crate::config::{ContentDigest, FieldKind, MessageConfig};
use crate::consumer::Consumer;
use crate::content_digest::Expected;
use crate::once::Once;
use crate::refusal::Refusal;
use gateway_plugin_identity::problems::{Pointer, Problems};

/// The most signatures that are looked at in one request.
const MOST_SIGNATURES: usize = 8;

/// What signatures must be like.
#[derive(Debug)]
pub(crate) struct Messages {
    keys: Vec<Key>,
    required: Required,
    content_digest: ContentDigest,
    label: Option<String>,
    tag: Option<String>,
    require_nonce: bool,
    fields: BTreeMap<String, FieldKind>,
    max_age: Duration,
    skew: Duration,
}

/// A signature that is right.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The index of its key.
    pub(crate) key: usize,
    /// What the body must have; nothing if that is not covered.
    pub(crate) expected: Vec<Expected>,
    /// What is admitted once.
    pub(crate) once: Once,
}

/// The parameters of a signature (RFC 9421 section 2.3).
struct Signed<'p> {
    created: Duration,
    expires: Option<Duration>,
    nonce: Option<&'p str>,
    algorithm: Option<&'p str>,
    key: Option<&'p str>,
}

impl Messages {
    /// Checks the settings.
    pub(crate) fn new(
        config: &MessageConfig,
        max_age: Duration,
        skew: Duration,
        problems: &mut Problems,
    ) -> Self {
        let at = Pointer::default().key("message");
        if let Some(label) = &config.label
            && sfv::KeyRef::from_str(label).is_err()
        {
            let message = "is no label: lower-case letters, digits and `_-.*`, a letter first";
            problems.add(&at.key("label"), message);
        }
        let is_text = |text: &String| !text.is_empty() && sfv::StringRef::from_str(text).is_ok();
        if config.tag.as_ref().is_some_and(|tag| !is_text(tag)) {
            problems.add(&at.key("tag"), "is no tag: visible ASCII and spaces");
        }
        let fields = config.structured_fields.iter();
        let fields = fields.map(|(name, kind)| (name.as_str().to_owned(), *kind));
        Self {
            keys: key::all(&config.keys, &at.key("keys"), problems),
            required: Required::new(config.components.as_deref(), &at.key("components"), problems),
            content_digest: config.content_digest,
            label: config.label.clone(),
            tag: config.tag.clone(),
            require_nonce: config.require_nonce,
            fields: fields.collect(),
            max_age,
            skew,
        }
    }

    /// Whose a key is.
    pub(crate) fn consumer(&self, key: usize) -> Option<&Consumer> {
        self.keys.get(key).map(|key| &key.consumer)
    }

    /// Whether a body must be covered.
    pub(crate) fn requires_digest(&self) -> bool {
        self.content_digest == ContentDigest::Required
    }

    /// What a signer is told of the signature that is wanted (RFC 9421 section 5.1), without a body and with one.
    pub(crate) fn accepted(&self) -> [String; 2] {
        let label = self.label.as_deref().unwrap_or("sig1");
        let digest = if self.requires_digest() { " \"content-digest\"" } else { "" };
        let nonce = if self.require_nonce { ";nonce" } else { "" };
        let tag = self.tag.as_deref().map(|tag| {
            let tag = Item::new(sfv::String::from_string(tag.to_owned()).unwrap_or_default());
            format!(";tag={}", sfv::FieldType::serialize(&tag))
        });
        let tag = tag.unwrap_or_default();
        let components = self.required.names();
        ["", digest].map(|digest| format!("{label}=({components}{digest});created{nonce}{tag}"))
    }

    /// The signature of a request.
    pub(crate) fn verify(&self, request: &Request) -> Result<Verified, Refusal> {
        let (inputs, signatures) =
            (request.header_bytes("signature-input"), request.header_bytes("signature"));
        let (inputs, signatures) = match (inputs, signatures) {
            (None, None) => return Err(Refusal::Missing),
            (Some(inputs), Some(signatures)) => (inputs, signatures),
            _ => return Err("one of `signature-input` and `signature` is missing".into()),
        };
        let dictionary = |field: &[u8]| Parser::new(field).parse::<Dictionary>();
        let inputs = dictionary(inputs).map_err(|_| "the field `signature-input` is malformed")?;
        let signatures =
            dictionary(signatures).map_err(|_| "the field `signature` is malformed")?;
        if inputs.len() > MOST_SIGNATURES {
            return Err("there are more than eight signatures".into());
        }
        let mut reason = None;
        for (label, input) in &inputs {
            if self.label.as_ref().is_some_and(|wanted| wanted != label.as_str()) {
                continue;
            }
            let ListEntry::InnerList(input) = input else {
                reason = Some(format!("the signature `{label}` covers no list").into());
                continue;
            };
            if let Some(tag) = &self.tag
                && text(&input.params, "tag").ok().flatten() != Some(tag)
            {
                continue;
            }
            let signature = match signatures.get(label) {
                Some(ListEntry::Item(Item {
                    bare_item: BareItem::ByteSequence(bytes), ..
                })) => bytes,
                _ => {
                    reason = Some(format!("the signature `{label}` is missing").into());
                    continue;
                }
            };
            match self.verify_one(request, input, signature) {
                Ok(verified) => return Ok(verified),
                Err(why) => reason = Some(why),
            }
        }
        Err(reason.unwrap_or_else(|| "no signature has the label and the tag that count".into()))
    }

    fn verify_one(
        &self,
        request: &Request,
        input: &InnerList,
        signature: &[u8],
    ) -> Result<Verified, Refusal> {
        let signed = Signed::new(&input.params)?;
        let now = clock::now();
        let until = signed.check(now, self.max_age, self.skew)?;
        if self.require_nonce && signed.nonce.is_none_or(str::is_empty) {
            return Err("the signature has no nonce".into());
        }
        let components = Component::all(input)?;
        self.required.check(&components)?;
        let (index, key) = self.key_of(&signed)?;
        if signed.algorithm.is_some_and(|name| name != key.algorithm.name()) {
            return Err("the signature's algorithm is not that of its key".into());
        }
        let covered = component::content_digest(&components);
        let expected = match request.header_bytes("content-digest").filter(|_| covered.is_any()) {
            Some(field) => covered.expected(field)?,
            None => Vec::new(),
        };
        let base = base::of(request, &components, input, &self.fields)?;
        if !key.verifying.verify(base.as_bytes(), signature) {
            return Err("the signature does not fit the request".into());
        }
        // Without a nonce it is what is signed that counts, and not the signature: whoever has one by ECDSA can make
        // another of it.
        let once = match signed.nonce {
            Some(nonce) => Once::new(&[b"nonce", key.id.as_bytes(), nonce.as_bytes()], until),
            None => Once::new(&[b"base", key.id.as_bytes(), base.as_bytes()], until),
        };
        Ok(Verified { key: index, expected, once })
    }

    fn key_of(&self, signed: &Signed<'_>) -> Result<(usize, &Key), Refusal> {
        let mut keys = self.keys.iter().enumerate();
        match (signed.key, &*self.keys) {
            (Some(id), _) => {
                keys.find(|(_, key)| key.id == id).ok_or("the signature's key is not known".into())
            }
            (None, [only]) => Ok((0, only)),
            (None, _) => Err("the signature does not name its key".into()),
        }
    }
}

impl<'p> Signed<'p> {
    fn new(parameters: &'p Parameters) -> Result<Self, Refusal> {
        let created = time(parameters, "created")?;
        Ok(Self {
            created: created.ok_or("the signature does not say when it was created")?,
            expires: time(parameters, "expires")?,
            nonce: text(parameters, "nonce")?,
            algorithm: text(parameters, "alg")?,
            key: text(parameters, "keyid")?,
        })
    }

    /// Whether it is of a time that counts, and until when it does.
    fn check(&self, now: Duration, age: Duration, skew: Duration) -> Result<Duration, Refusal> {
        if self.created > now.saturating_add(skew) {
            return Err("the signature was created in the future".into());
        }
        let old = self.created.saturating_add(age);
        if now > old {
            return Err("the signature is too old".into());
        }
        if self.expires.is_some_and(|expires| now >= expires) {
            return Err("the signature has expired".into());
        }
        // One second more than it could be admitted in: times are compared to the second.
        let end = self.expires.map_or(old, |expires| old.min(expires));
        Ok(end.saturating_add(Duration::from_secs(1)))
    }
}

fn time(parameters: &Parameters, name: &str) -> Result<Option<Duration>, Refusal> {
    let Some(value) = find(parameters, name) else { return Ok(None) };
    let seconds = value.as_integer().and_then(|number| u64::try_from(i64::from(number)).ok());
    match seconds {
        Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
        None => Err(format!("the signature's `{name}` is no time").into()),
    }
}

fn text<'p>(parameters: &'p Parameters, name: &str) -> Result<Option<&'p str>, Refusal> {
    let Some(value) = find(parameters, name) else { return Ok(None) };
    match value.as_string() {
        Some(text) => Ok(Some(text.as_str())),
        None => Err(format!("the signature's `{name}` is no text").into()),
    }
}

fn find<'p>(parameters: &'p Parameters, name: &str) -> Option<&'p BareItem> {
    parameters.iter().find_map(|(known, value)| (known.as_str() == name).then_some(value))
}
