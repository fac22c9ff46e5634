//! Certificates of clients: which of them admit, and whose they are.
//!
//! Owns the list of clients and its patterns. The gateway verified the certificate when the connection
//! began, and says what is in it by attributes; whether it is still valid is looked at here, since a
//! connection may outlive it.

mod pattern;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_identity::consumer::{
    Admission, Admitted, Consumer, Policy, check_scopes, is_name,
};
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::time;
use gateway_plugin_sdk::clock;
use gateway_plugin_sdk::prelude::*;
use serde_json::{Map, Value};

use self::pattern::Pattern;
use crate::refusal::Refusal;

const FINGERPRINT: &str = "client.certificate.fingerprint";
const NOT_AFTER: &str = "client.certificate.not-after";

/// Certificates of clients, which the listener asks for (`client_certificates`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// `any` (default): a certificate admits where the request has no other credential. `all`: a request
    /// needs both, a certificate of this list and a credential of another method, which names the consumer.
    #[serde(default)]
    pub combine: Combine,

    /// Which certificates admit, and whose they are; the first that fits counts.
    #[schemars(length(min = 1))]
    pub clients: Vec<ClientSpec>,
}

/// How certificates go with other methods.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// One of them is enough.
    #[default]
    Any,
    /// Both are needed.
    All,
}

/// A client, or several: all that is named here must fit. At least one of it must be there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSpec {
    /// SHA-256 of the certificate: 64 hexadecimal digits, also with `sha256:` in front or colons between.
    #[serde(default)]
    pub fingerprint: Option<String>,

    /// The SPIFFE id. `*` is anything within a segment, `**` anything.
    #[serde(default)]
    pub spiffe_id: Option<String>,

    /// An alternative name that is a URI. `*` is anything without a `/`, `**` anything.
    #[serde(default)]
    pub uri: Option<String>,

    /// An alternative name that is a host. `*` is anything without a dot.
    #[serde(default)]
    pub dns: Option<String>,

    /// An alternative name that is an e-mail address. `*` is anything without an `@`.
    #[serde(default)]
    pub email: Option<String>,

    /// The common name of the subject. `*` is anything.
    #[serde(default)]
    pub common_name: Option<String>,

    /// The whole subject, as the gateway writes it: `CN=billing,O=Acme`.
    #[serde(default)]
    pub subject: Option<String>,

    /// The whole name of the issuer, where the listener trusts several authorities.
    #[serde(default)]
    pub issuer: Option<String>,

    /// The consumer. Default: the name of the certificate that fits the first of the above.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    pub consumer: Option<String>,

    /// The group of the consumer, such as a plan or a team, for the attribute `consumer.group`. Default: what
    /// `group_claim` finds, or none.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub group: Option<String>,

    /// What the client may do. Default nothing.
    #[serde(default)]
    pub scopes: Vec<String>,

    /// Further facts about the consumer, as a token's claims would be.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub claims: Map<String, Value>,
}

/// The configured clients.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// Whether another credential is needed too.
    pub(crate) are_needed: bool,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    conditions: Vec<Condition>,
    /// `None`: the name that fits.
    consumer: Option<String>,
    group: Option<String>,
    scopes: Vec<String>,
    claims: Map<String, Value>,
}

#[derive(Debug)]
struct Condition {
    attribute: &'static str,
    /// Whether the attribute is a list.
    is_list: bool,
    pattern: Pattern,
}

impl Certificates {
    /// Checks the configured clients.
    pub(crate) fn new(config: &CertificateConfig, problems: &mut Problems) -> Self {
        let at = Pointer::default().key("client_certificate").key("clients");
        if config.clients.is_empty() {
            problems.add(&at, "names no client, so none could be admitted");
        }
        let clients = config.clients.iter().enumerate();
        let clients = clients.map(|(index, spec)| Client::new(spec, &at.index(index), problems));
        Self { are_needed: config.combine == Combine::All, clients: clients.collect() }
    }

    /// What the gateway must say of a certificate.
    pub(crate) fn attributes(&self) -> BTreeSet<&'static str> {
        let conditions = self.clients.iter().flat_map(|client| &client.conditions);
        conditions.map(|it| it.attribute).chain([FINGERPRINT, NOT_AFTER]).collect()
    }

    /// Who the client of the connection is; `None` if it showed no certificate.
    ///
    /// # Errors
    /// If it is none of the list, or does not count any more.
    pub(crate) fn verify(
        &self,
        request: &Request,
        policy: &Policy,
    ) -> Result<Option<Admitted>, Refusal> {
        let Some(fingerprint) = request.attribute(FINGERPRINT) else { return Ok(None) };
        let left = left(&request.attribute(NOT_AFTER).unwrap_or_default())
            .ok_or(Refusal::Certificate("the certificate of the client has expired"))?;
        let found = self.clients.iter().find_map(|client| Some((client, client.fits(request)?)));
        let (client, name) =
            found.ok_or(Refusal::Certificate("the certificate of the client is not known"))?;
        let id = client.consumer.as_deref().unwrap_or(&name);
        if !is_name(id) {
            return Err(Refusal::Certificate("the certificate of the client has no usable name"));
        }
        let scopes: Vec<&str> = client.scopes.iter().map(String::as_str).collect();
        let admission: Rc<Admission> = Rc::new(policy.admit(&Consumer {
            id,
            method: "client-certificate",
            key_id: &fingerprint,
            scopes: &scopes,
            claims: &client.claims,
            group: client.group.as_deref(),
        }));
        Ok(Some(Admitted::for_another(&admission, left)))
    }
}

/// For how long a certificate is valid; `None` if it is not.
fn left(not_after: &str) -> Option<Duration> {
    let end = time::date(not_after).and_then(|seconds| u64::try_from(seconds).ok())?;
    Duration::from_secs(end).checked_sub(clock::now()).filter(|left| !left.is_zero())
}

impl Client {
    fn new(spec: &ClientSpec, at: &Pointer, problems: &mut Problems) -> Self {
        let mut conditions = Vec::new();
        let mut add = |key: &str, text: &Option<String>, attribute, is_list, parse: Parse| {
            let Some(text) = text else { return };
            match parse(text) {
                Ok(pattern) => conditions.push(Condition { attribute, is_list, pattern }),
                Err(message) => problems.add(&at.key(key), message),
            }
        };
        add("fingerprint", &spec.fingerprint, FINGERPRINT, false, fingerprint);
        add("spiffe_id", &spec.spiffe_id, "client.certificate.spiffe-id", false, spiffe_id);
        add("uri", &spec.uri, "client.certificate.uri", true, uri);
        add("dns", &spec.dns, "client.certificate.dns", true, dns);
        add("email", &spec.email, "client.certificate.email", true, email);
        add("common_name", &spec.common_name, "client.certificate.common-name", false, plain);
        add("subject", &spec.subject, "client.certificate.subject", false, whole);
        add("issuer", &spec.issuer, "client.certificate.issuer", false, whole);
        let names = [
            &spec.fingerprint,
            &spec.spiffe_id,
            &spec.uri,
            &spec.dns,
            &spec.email,
            &spec.common_name,
            &spec.subject,
        ];
        if names.iter().all(|name| name.is_none()) {
            problems.add(
                at,
                "names no certificate: give `spiffe_id`, `dns`, `uri`, `email`, `common_name`, \
                 `subject` or `fingerprint`; `common_name = \"*\"` is each that has one",
            );
        }
        if spec.consumer.as_deref().is_some_and(|name| !is_name(name)) {
            problems.add(&at.key("consumer"), "is no name of 1 to 1024 bytes on one line");
        }
        if spec.group.as_deref().is_some_and(|group| !is_name(group)) {
            problems.add(&at.key("group"), "is no name on one line");
        }
        check_scopes(&spec.scopes, &at.key("scopes"), problems);
        Self {
            conditions,
            consumer: spec.consumer.clone(),
            group: spec.group.clone(),
            scopes: spec.scopes.clone(),
            claims: spec.claims.clone(),
        }
    }

    /// The name that fits the first condition, if all of them are met.
    fn fits(&self, request: &Request) -> Option<String> {
        let mut first = None;
        for condition in &self.conditions {
            let name = condition.fits(&request.attribute(condition.attribute)?)?;
            first.get_or_insert(name);
        }
        first
    }
}

impl Condition {
    fn fits(&self, value: &str) -> Option<String> {
        let mut names = value.split(|c| self.is_list && c == ' ');
        names.find(|name| self.pattern.fits(name)).map(str::to_owned)
    }
}

type Parse = fn(&str) -> Result<Pattern, &'static str>;

fn fingerprint(text: &str) -> Result<Pattern, &'static str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text).replace(':', "").to_ascii_lowercase();
    match digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        true => Ok(Pattern::exact(&digits)),
        false => Err("is no SHA-256: 64 hexadecimal digits, as `openssl x509 -noout -fingerprint \
                      -sha256` prints them"),
    }
}

fn spiffe_id(text: &str) -> Result<Pattern, &'static str> {
    match text.starts_with("spiffe://") {
        true => Pattern::of(text, Some('/')),
        false => Err("is no SPIFFE id: `spiffe://` and a trust domain"),
    }
}

fn uri(text: &str) -> Result<Pattern, &'static str> {
    Pattern::of(text, Some('/'))
}

fn dns(text: &str) -> Result<Pattern, &'static str> {
    Pattern::of(&text.to_ascii_lowercase(), Some('.'))
}

fn email(text: &str) -> Result<Pattern, &'static str> {
    Pattern::of(text, Some('@'))
}

fn plain(text: &str) -> Result<Pattern, &'static str> {
    Pattern::of(text, None)
}

fn whole(text: &str) -> Result<Pattern, &'static str> {
    match text.is_empty() {
        true => Err("is empty, and fits nothing"),
        false => Ok(Pattern::exact(text)),
    }
}
