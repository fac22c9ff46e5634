//! The consumer that a credential belongs to, and what follows from it: whether it may pass, the
//! attributes that others read, the fields that the upstream reads.
//!
//! Owns `require`, `headers` and `claims_to_attributes`. It knows no credentials.

use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_sdk::prelude::*;
use serde_json::{Map, Value};

use crate::config::{Config, Require, Scalar};
use crate::json;
use crate::problems::{Pointer, Problems};

/// The longest attribute that the gateway takes, in bytes.
pub(crate) const MAX_ATTRIBUTE: usize = 8 * 1024;

/// The longest name of an attribute, in bytes.
const MAX_ATTRIBUTE_NAME: usize = 128;

/// Fields that frame the message or belong to the connection: the gateway's own.
const GATEWAY_FIELDS: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const CLAIM_PREFIX: &str = "consumer.claim.";

/// Who sent a request, as a credential says it.
pub(crate) struct Consumer<'a> {
    /// `consumer.id`
    pub(crate) id: &'a str,
    /// `consumer.method`
    pub(crate) method: &'static str,
    /// `consumer.key-id`: which key or user it was; empty if that has no name.
    pub(crate) key_id: &'a str,
    /// `consumer.scopes`
    pub(crate) scopes: &'a [&'a str],
    /// What else is known.
    pub(crate) claims: &'a Map<String, Value>,
    /// The group that the configuration names, for `consumer.group`.
    pub(crate) group: Option<&'a str>,
}

/// What follows for a request; made once for each consumer in the configuration.
#[derive(Debug)]
pub(crate) struct Admission {
    attributes: Vec<(Rc<str>, String)>,
    /// One value for each of the policy's fields; `None` removes the field.
    fields: Vec<Option<String>>,
    /// Whether the consumer has all that is required.
    pub(crate) sufficient: bool,
}

/// Who is admitted, and for how long the same credential leads to the same.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) admission: Rc<Admission>,
    /// `None` where it may lead to something else the next time.
    pub(crate) reuse: Option<Duration>,
}

/// However long a credential is valid, a clock that is set meanwhile is noticed after this time.
const LONGEST_REUSE: Duration = Duration::from_secs(60);

impl Admitted {
    /// By a credential that does not expire.
    pub(crate) fn new(admission: &Rc<Admission>) -> Self {
        Self::for_another(admission, LONGEST_REUSE)
    }

    /// By a credential that expires after this time.
    pub(crate) fn for_another(admission: &Rc<Admission>, time: Duration) -> Self {
        Self { admission: Rc::clone(admission), reuse: Some(time.min(LONGEST_REUSE)) }
    }

    /// By a credential that is to be verified each time, or remembered elsewhere.
    pub(crate) fn only_now(admission: Rc<Admission>) -> Self {
        Self { admission, reuse: None }
    }
}

/// What the configuration says about every consumer.
#[derive(Debug)]
pub(crate) struct Policy {
    id: Rc<str>,
    method: Rc<str>,
    key_id: Rc<str>,
    scopes: Rc<str>,
    /// Where anything names groups.
    group: Option<Rc<str>>,
    group_claim: Option<String>,
    claims: Vec<ClaimAttribute>,
    fields: Vec<(HeaderName, Source)>,
    require: Require,
}

/// A claim that becomes an attribute.
#[derive(Debug)]
struct ClaimAttribute {
    claim: String,
    attribute: Rc<str>,
}

/// What fills a field for the upstream.
#[derive(Debug, Clone, Copy)]
enum Source {
    Id,
    Method,
    KeyId,
    Scopes,
    Group,
    /// An index into the claims that become attributes.
    Claim(usize),
}

impl Policy {
    /// Checks the settings that concern every consumer. `taken` are the fields that hold
    /// credentials.
    pub(crate) fn new(config: &mut Config, taken: &[&str], problems: &mut Problems) -> Self {
        let root = Pointer::default();
        let mut policy = Self {
            id: "consumer.id".into(),
            method: "consumer.method".into(),
            key_id: "consumer.key-id".into(),
            scopes: "consumer.scopes".into(),
            group: config.names_groups().then(|| "consumer.group".into()),
            group_claim: config.group_claim.take(),
            claims: Vec::new(),
            fields: Vec::new(),
            require: config.require.take().unwrap_or_default(),
        };
        for (index, claim) in config.claims_to_attributes.iter().enumerate() {
            let at = root.key("claims_to_attributes").index(index);
            policy.add_claim(claim, &at, problems);
        }
        for (name, attribute) in &config.headers {
            let at = root.key("headers").key(name);
            policy.add_field(name, attribute, taken, &at, problems);
        }
        let at = root.key("require");
        check_scopes(&policy.require.scopes, &at.key("scopes"), problems);
        for (claim, values) in &policy.require.claims {
            if values.is_empty() {
                problems
                    .add(&at.key("claims").key(claim), "no value is allowed: name at least one");
            }
        }
        policy
    }

    fn add_claim(&mut self, claim: &str, at: &Pointer, problems: &mut Problems) -> usize {
        if let Some(index) = self.claims.iter().position(|known| known.claim == claim) {
            return index;
        }
        let name = claim.strip_prefix('/').map(|path| path.replace('/', "."));
        let attribute = format!("{CLAIM_PREFIX}{}", name.as_deref().unwrap_or(claim));
        if attribute.len() == CLAIM_PREFIX.len() || attribute.len() > MAX_ATTRIBUTE_NAME {
            problems.add(at, "is no claim's name of 1 to 113 bytes");
        }
        self.claims.push(ClaimAttribute { claim: claim.to_owned(), attribute: attribute.into() });
        self.claims.len() - 1
    }

    fn add_field(
        &mut self,
        name: &str,
        attribute: &str,
        taken: &[&str],
        at: &Pointer,
        problems: &mut Problems,
    ) {
        let source = match (attribute, attribute.strip_prefix(CLAIM_PREFIX)) {
            ("consumer.id", _) => Source::Id,
            ("consumer.method", _) => Source::Method,
            ("consumer.key-id", _) => Source::KeyId,
            ("consumer.scopes", _) => Source::Scopes,
            ("consumer.group", _) => Source::Group,
            (_, Some(claim)) => {
                let known = self.claims.iter().position(|known| &*known.attribute == attribute);
                Source::Claim(known.unwrap_or_else(|| self.add_claim(claim, at, problems)))
            }
            _ => {
                let message = "is none of the attributes `consumer.id`, `consumer.method`, \
                               `consumer.key-id`, `consumer.scopes`, `consumer.group` and \
                               `consumer.claim.NAME`";
                return problems.add(at, message);
            }
        };
        match HeaderName::parse(name) {
            Ok(field) if taken.contains(&field.as_str()) => {
                problems.add(at, "holds a credential, so it cannot name the consumer");
            }
            Ok(field) if GATEWAY_FIELDS.contains(&field.as_str()) => {
                problems.add(at, "belongs to the gateway and cannot be set");
            }
            Ok(field) if self.fields.iter().any(|(known, _)| *known == field) => {
                problems.add(at, "is the same field as another");
            }
            Ok(field) => self.fields.push((field, source)),
            Err(error) => problems.add(at, error.to_string()),
        }
    }

    /// Whether something is required.
    pub(crate) fn requires(&self) -> bool {
        !self.require.scopes.is_empty() || !self.require.claims.is_empty()
    }

    /// The scopes that are required, as challenges have them.
    pub(crate) fn required_scopes(&self) -> Option<String> {
        let scopes = &self.require.scopes;
        (!scopes.is_empty()).then(|| scopes.join(" "))
    }

    /// What follows for a consumer.
    pub(crate) fn admit(&self, consumer: &Consumer<'_>) -> Admission {
        let scopes = consumer.scopes.join(" ");
        let claims = self.claims.iter().map(|known| claim_text(consumer.claims, &known.claim));
        let claims: Vec<_> = claims.collect();
        let group = self.group_of(consumer);
        let field = |(_, source): &(HeaderName, Source)| match source {
            Source::Id => field_value(consumer.id),
            Source::Method => field_value(consumer.method),
            Source::KeyId => field_value(consumer.key_id),
            Source::Scopes => field_value(&scopes),
            Source::Group => field_value(&group),
            Source::Claim(index) => claims[*index].as_deref().and_then(field_value),
        };
        let fields = self.fields.iter().map(field).collect();
        let mut attributes = vec![
            (Rc::clone(&self.id), consumer.id.to_owned()),
            (Rc::clone(&self.method), consumer.method.to_owned()),
            (Rc::clone(&self.key_id), consumer.key_id.to_owned()),
            (Rc::clone(&self.scopes), scopes),
        ];
        // One without a group has an empty one: a plugin before this may have set another.
        attributes.extend(self.group.as_ref().map(|name| (Rc::clone(name), group)));
        let named = self.claims.iter().zip(claims);
        attributes.extend(
            named.filter_map(|(known, text)| text.map(|text| (Rc::clone(&known.attribute), text))),
        );
        Admission { attributes, fields, sufficient: self.suffices(consumer) }
    }

    /// The group of a consumer; empty if it has none.
    fn group_of(&self, consumer: &Consumer<'_>) -> String {
        if let Some(group) = consumer.group {
            return group.to_owned();
        }
        let claim = self.group_claim.as_deref();
        let group = match claim.and_then(|claim| json::claim(consumer.claims, claim)) {
            Some(Value::String(group)) => group.clone(),
            Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
            Some(_) | None => String::new(),
        };
        if is_name(&group) { group } else { String::new() }
    }

    fn suffices(&self, consumer: &Consumer<'_>) -> bool {
        let has =
            |(claim, allowed): (&String, &Vec<Scalar>)| match json::claim(consumer.claims, claim) {
                Some(Value::Array(items)) => items.iter().any(|item| is_one_of(item, allowed)),
                Some(value) => is_one_of(value, allowed),
                None => false,
            };
        let Require { scopes, claims } = &self.require;
        scopes.iter().all(|scope| consumer.scopes.contains(&scope.as_str()))
            && claims.iter().all(has)
    }

    /// Tells the others who the consumer is. Whether the gateway took it all.
    pub(crate) fn apply(&self, admission: &Admission, request: &mut Request) -> bool {
        for ((name, _), value) in self.fields.iter().zip(&admission.fields) {
            match value {
                Some(value) => request.set_header(name, value.as_str()),
                // A client could pretend to be somebody otherwise.
                None => request.remove_header(name),
            };
        }
        let mut attributes = admission.attributes.iter();
        attributes.all(|(name, value)| request.set_attribute(name, value).is_ok())
    }

    /// The attributes that [`Policy::suffices_as_told`] reads.
    pub(crate) fn attributes_to_read(&self) -> Vec<String> {
        let claims = self.require.claims.keys().map(|claim| attribute_name(claim));
        [self.id.to_string(), self.scopes.to_string()].into_iter().chain(claims).collect()
    }

    /// Whether the consumer that a plugin before this one found has all that is required; `None`
    /// if there is no consumer.
    ///
    /// A list arrives as one text here, so it never equals an allowed value.
    pub(crate) fn suffices_as_told(&self, request: &Request) -> Option<bool> {
        request.attribute(&*self.id).filter(|id| !id.is_empty())?;
        let told = request.attribute(&*self.scopes).unwrap_or_default();
        let told: Vec<&str> = told.split(' ').collect();
        let scopes = self.require.scopes.iter().all(|scope| told.contains(&scope.as_str()));
        let claims = self.require.claims.iter().all(|(claim, allowed)| {
            let value = request.attribute(attribute_name(claim));
            value.is_some_and(|value| allowed.iter().any(|scalar| scalar.to_string() == value))
        });
        Some(scopes && claims)
    }
}

/// The attribute of a claim.
fn attribute_name(claim: &str) -> String {
    match claim.strip_prefix('/') {
        Some(path) => format!("{CLAIM_PREFIX}{}", path.replace('/', ".")),
        None => format!("{CLAIM_PREFIX}{claim}"),
    }
}

/// Checks that scopes are scopes (RFC 6749 section 3.3), so that a space never makes two of one.
pub(crate) fn check_scopes(scopes: &[String], at: &Pointer, problems: &mut Problems) {
    for (index, scope) in scopes.iter().enumerate() {
        if !is_scope(scope) {
            problems.add(&at.index(index), "is no scope: visible ASCII without `\"` and `\\`");
        }
    }
    if scopes.join(" ").len() > MAX_ATTRIBUTE {
        problems.add(at, "are longer than 8 KiB altogether");
    }
}

/// Whether a text is one scope.
pub(crate) fn is_scope(text: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.bytes().all(visible)
}

/// Whether a text can name a consumer wherever names go: attributes, logs, fields.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1024 && !text.chars().any(char::is_control)
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(formatter),
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

fn is_one_of(value: &Value, allowed: &[Scalar]) -> bool {
    allowed.iter().any(|scalar| match scalar {
        Scalar::Flag(flag) => value.as_bool() == Some(*flag),
        Scalar::Number(number) => value.as_i64() == Some(*number),
        Scalar::Text(text) => value.as_str() == Some(text),
    })
}

/// A claim as an attribute: a text as it is, anything else as JSON.
fn claim_text(claims: &Map<String, Value>, claim: &str) -> Option<String> {
    let text = match json::claim(claims, claim)? {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (text.len() <= MAX_ATTRIBUTE).then_some(text)
}

/// A text as a field's value, if it can be one (RFC 9110 section 5.5).
fn field_value(text: &str) -> Option<String> {
    let valid = !text.is_empty() && !text.bytes().any(|byte| byte.is_ascii_control());
    valid.then(|| text.trim().to_owned())
}
