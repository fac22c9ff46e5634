//! The consumer that a credential belongs to, and what follows from it: whether it may pass, the
//! attributes that others read, the fields that the upstream reads.
//!
//! Owns `require`, `headers` and `claims_to_attributes`. It knows no credentials.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_sdk::prelude::*;
use serde_json::{Map, Value};

use crate::json;
use crate::problems::{Pointer, Problems};

/// The longest attribute that the gateway takes, in bytes.
pub const MAX_ATTRIBUTE: usize = 8 * 1024;

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

/// What a consumer must have.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Require {
    /// Scopes, all of them.
    #[serde(default)]
    pub scopes: Vec<String>,

    /// Claims, all of them: each with the values of which it must have one. A claim that is a
    /// list must hold one. Names, or JSON Pointers.
    #[serde(default)]
    pub claims: BTreeMap<String, Vec<Scalar>>,
}

/// A value that a claim may have to have.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// Who sent a request, as a credential says it.
pub struct Consumer<'a> {
    /// `consumer.id`
    pub id: &'a str,
    /// `consumer.method`
    pub method: &'static str,
    /// `consumer.key-id`: which key or user it was; empty if that has no name.
    pub key_id: &'a str,
    /// `consumer.scopes`
    pub scopes: &'a [&'a str],
    /// What else is known.
    pub claims: &'a Map<String, Value>,
    /// The group that the configuration names, for `consumer.group`.
    pub group: Option<&'a str>,
}

/// What follows for a request; made once for each consumer in the configuration.
#[derive(Debug)]
pub struct Admission {
    attributes: Vec<(Rc<str>, Rc<str>)>,
    /// One value for each of the policy's fields; `None` removes the field.
    fields: Vec<Option<String>>,
    /// Whether the consumer has all that is required.
    pub sufficient: bool,
}

/// Who is admitted, and for how long the same credential leads to the same.
#[derive(Debug)]
pub struct Admitted {
    /// What follows for the request.
    pub admission: Rc<Admission>,
    /// `None` where it may lead to something else the next time.
    pub reuse: Option<Duration>,
}

/// However long a credential is valid, a clock that is set meanwhile is noticed after this time.
const LONGEST_REUSE: Duration = Duration::from_secs(60);

impl Admitted {
    /// By a credential that does not expire.
    pub fn new(admission: &Rc<Admission>) -> Self {
        Self::for_another(admission, LONGEST_REUSE)
    }

    /// By a credential that expires after this time.
    pub fn for_another(admission: &Rc<Admission>, time: Duration) -> Self {
        Self { admission: Rc::clone(admission), reuse: Some(time.min(LONGEST_REUSE)) }
    }

    /// By a credential that is to be verified each time, or remembered elsewhere.
    pub fn only_now(admission: Rc<Admission>) -> Self {
        Self { admission, reuse: None }
    }
}

/// What the configuration says about every consumer, as it is written. The names are those of the settings
/// of `auth` and `oidc`.
#[derive(Debug)]
pub struct Settings<'c> {
    /// Request fields, each with the attribute that fills it.
    pub headers: &'c BTreeMap<String, String>,
    /// Claims that become attributes.
    pub claims_to_attributes: &'c [String],
    /// The claim that names the group.
    pub group_claim: Option<String>,
    /// What a consumer must have.
    pub require: Option<Require>,
    /// Whether anything names groups, so that consumers without one get an empty attribute.
    pub names_groups: bool,
}

/// What the configuration says about every consumer, checked.
#[derive(Debug)]
pub struct Policy {
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
    pub fn new(settings: Settings<'_>, taken: &[&str], problems: &mut Problems) -> Self {
        let root = Pointer::default();
        let mut policy = Self {
            id: "consumer.id".into(),
            method: "consumer.method".into(),
            key_id: "consumer.key-id".into(),
            scopes: "consumer.scopes".into(),
            group: settings.names_groups.then(|| "consumer.group".into()),
            group_claim: settings.group_claim,
            claims: Vec::new(),
            fields: Vec::new(),
            require: settings.require.unwrap_or_default(),
        };
        for (index, claim) in settings.claims_to_attributes.iter().enumerate() {
            let at = root.key("claims_to_attributes").index(index);
            policy.add_claim(claim, &at, problems);
        }
        if let Some(claim) = &policy.group_claim {
            check_claim(claim, &root.key("group_claim"), problems);
        }
        for (name, attribute) in settings.headers {
            let at = root.key("headers").key(name);
            policy.add_field(name, attribute, taken, &at, problems);
        }
        let at = root.key("require");
        check_scopes(&policy.require.scopes, &at.key("scopes"), problems);
        for (claim, values) in &policy.require.claims {
            check_claim(claim, &at.key("claims").key(claim), problems);
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
        check_claim(claim, at, problems);
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

    /// The claims that follow up: those that become attributes, name the group or are required. For plugins that
    /// keep no others.
    pub fn claim_names(&self) -> Vec<&str> {
        let attributes = self.claims.iter().map(|known| &*known.claim);
        let required = self.require.claims.keys().map(String::as_str);
        attributes.chain(self.group_claim.as_deref()).chain(required).collect()
    }

    /// Whether something is required.
    pub fn requires(&self) -> bool {
        !self.require.scopes.is_empty() || !self.require.claims.is_empty()
    }

    /// The scopes that are required, as challenges have them.
    pub fn required_scopes(&self) -> Option<String> {
        let scopes = &self.require.scopes;
        (!scopes.is_empty()).then(|| scopes.join(" "))
    }

    /// What follows for a consumer.
    pub fn admit(&self, consumer: &Consumer<'_>) -> Admission {
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
            (Rc::clone(&self.id), consumer.id.into()),
            (Rc::clone(&self.method), consumer.method.into()),
            (Rc::clone(&self.key_id), consumer.key_id.into()),
            (Rc::clone(&self.scopes), scopes.into()),
        ];
        // One without a group has an empty one: a plugin before this may have set another.
        attributes.extend(self.group.as_ref().map(|name| (Rc::clone(name), group.into())));
        let named = self.claims.iter().zip(claims);
        attributes.extend(named.filter_map(|(known, text)| {
            text.map(|text| (Rc::clone(&known.attribute), text.into()))
        }));
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
    pub fn apply(&self, admission: &Admission, request: &mut Request) -> bool {
        for ((name, _), value) in self.fields.iter().zip(&admission.fields) {
            match value {
                Some(value) => request.set_header(name, value.as_str()),
                // A client could pretend to be somebody otherwise.
                None => request.remove_header(name),
            };
        }
        let mut attributes = admission.attributes.iter();
        attributes.all(|(name, value)| request.share_attribute(name, value).is_ok())
    }

    /// The attributes that [`Policy::suffices_as_told`] reads.
    pub fn attributes_to_read(&self) -> Vec<String> {
        let claims = self.require.claims.keys().map(|claim| attribute_name(claim));
        [self.id.to_string(), self.scopes.to_string()].into_iter().chain(claims).collect()
    }

    /// Whether the consumer that a plugin before this one found has all that is required; `None`
    /// if there is no consumer.
    ///
    /// A list arrives as one text here, so it never equals an allowed value.
    pub fn suffices_as_told(&self, request: &Request) -> Option<bool> {
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

/// Checks how a claim is named: by itself, or by a JSON Pointer.
pub fn check_claim(name: &str, at: &Pointer, problems: &mut Problems) {
    let is_escape = |rest: &str| rest.starts_with(['0', '1']);
    if name.starts_with('/') && !name.split('~').skip(1).all(is_escape) {
        problems
            .add(at, "is no JSON Pointer: `~` stands only in `~0` (for `~`) and `~1` (for `/`)");
    }
}

/// Checks that scopes are scopes (RFC 6749 section 3.3), so that a space never makes two of one.
pub fn check_scopes(scopes: &[String], at: &Pointer, problems: &mut Problems) {
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
pub fn is_scope(text: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.bytes().all(visible)
}

/// Whether a text can name a consumer wherever names go: attributes, logs, fields.
pub fn is_name(text: &str) -> bool {
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
