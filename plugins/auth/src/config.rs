//! The configuration as it is written, with its JSON Schema.
//!
//! Owns names, defaults and documentation of the settings. What they mean together is checked by
//! the modules that use them.

use std::collections::BTreeMap;

use gateway_plugin_identity::consumer::Require;
use gateway_plugin_identity::jwt::KeySpec;
use gateway_plugin_identity::time;
use gateway_plugin_sdk::prelude::*;
use serde_json::Value;

use crate::certificate::CertificateConfig;
use crate::introspection::IntrospectionConfig;

gateway_plugin_identity::schemas!(schema);

/// Who may pass, and what is reported about them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The protection space that challenges name (RFC 9110 section 11.5). Default `api`.
    #[serde(default = "default_realm")]
    pub realm: String,

    /// The address of the resource's metadata (RFC 9728), which the challenge for bearer
    /// credentials names, so that clients of MCP and OAuth find who issues tokens. Default none.
    #[serde(default)]
    #[schemars(regex(pattern = "^https?://"))]
    pub resource_metadata: Option<String>,

    /// Admits requests without any credential, as this consumer. A wrong credential is refused
    /// nevertheless. Default: such requests are refused.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    pub anonymous: Option<String>,

    /// Removes the credential from the request before anyone behind sees it. Default `true`.
    #[serde(default = "default_true")]
    pub hide_credential: bool,

    /// Request fields for the upstream, each with the attribute that fills it, such as
    /// `"x-consumer-id" = "consumer.id"`. What a client sends under these names is removed.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,

    /// Claims that become attributes `consumer.claim.NAME`: names, or JSON Pointers
    /// (RFC 6901) such as `/realm_access/roles`. Default none.
    #[serde(default)]
    pub claims_to_attributes: Vec<String>,

    /// The claim that names the consumer's group, such as a plan or a team: a text or a whole number. It
    /// becomes the attribute `consumer.group`, by which metrics count requests. A name, or a JSON Pointer.
    /// Default none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub group_claim: Option<String>,

    /// What a consumer must have besides a valid credential; 403 if not. Without any method it
    /// checks the consumer that a plugin before this one found.
    #[serde(default)]
    #[schemars(with = "Option<schema::Require>")]
    pub require: Option<Require>,

    /// Admits API keys.
    #[serde(default)]
    pub api_key: Option<ApiKeyConfig>,

    /// Admits JSON Web Tokens (RFC 7519).
    #[serde(default)]
    pub jwt: Option<JwtConfig>,

    /// Admits tokens that the authorization server is asked about (RFC 7662).
    #[serde(default)]
    pub introspection: Option<IntrospectionConfig>,

    /// Admits names with passwords (RFC 7617).
    #[serde(default)]
    pub basic: Option<BasicConfig>,

    /// Admits clients by the certificates that they showed to a listener with `client_certificates`.
    #[serde(default)]
    pub client_certificate: Option<CertificateConfig>,
}

impl Config {
    /// Whether anything in it names the groups of consumers.
    pub(crate) fn names_groups(&self) -> bool {
        let keys = self.api_key.iter().flat_map(|methods| &methods.keys);
        let users = self.basic.iter().flat_map(|methods| &methods.users);
        let others = self.api_key.as_ref();
        let has_others = others.is_some_and(|it| it.set.is_some() || it.document.is_some());
        let clients = self.client_certificate.iter().flat_map(|it| &it.clients);
        self.group_claim.is_some()
            || has_others
            || clients.map(|client| &client.group).any(Option::is_some)
            || keys.map(|key| &key.group).chain(users.map(|user| &user.group)).any(Option::is_some)
    }
}

/// API keys, and where they are in a request. Where no place is named, they are the field
/// `x-api-key` and `Authorization: Bearer`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyConfig {
    /// The request field that holds the key, or a list of such fields.
    #[serde(default)]
    pub header: Option<Fields>,

    /// The query parameter that holds the key.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub query: Option<String>,

    /// Whether `Authorization: Bearer` may hold the key. Default `true` where no other place is
    /// named, else `false`.
    #[serde(default)]
    pub bearer: Option<bool>,

    /// The name of a document that lists keys, one JSON object a line with the members of `keys`. The plugin must be
    /// granted it: `documents = ["NAME"]` beside `component`. Default none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub document: Option<String>,

    /// The set of keys that are managed while the gateway runs: a `[keys.NAME]` table, which `keys` beside
    /// `component` grants. Default none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub set: Option<String>,

    /// The keys that stand here; at least one. Default none, if there is a `document` or a `set`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub keys: Vec<ApiKeySpec>,
}

/// Request fields that may hold a credential.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Fields {
    /// One.
    One(HeaderName),
    /// Several, at least one.
    Several(#[schemars(length(min = 1))] Vec<HeaderName>),
}

impl Fields {
    /// All of them.
    pub(crate) fn all(&self) -> &[HeaderName] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// An API key: its digest, and whose it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeySpec {
    /// A public name of the key, for logs and the attribute `consumer.key-id`.
    #[schemars(length(min = 1, max = 1024))]
    pub id: String,

    /// `sha256:` and the SHA-256 digest of the whole key in 64 hexadecimal digits.
    #[schemars(regex(pattern = "^sha256:[0-9A-Fa-f]{64}$"))]
    pub digest: String,

    /// The consumer. Default: the `id`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    pub consumer: Option<String>,

    /// The group of the consumer, such as a plan or a team, for the attribute `consumer.group`. Default: what
    /// `group_claim` finds, or none.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub group: Option<String>,

    /// What the key allows. Default nothing.
    #[serde(default)]
    pub scopes: Vec<String>,

    /// Further facts about the consumer, as a token's claims would be.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub claims: serde_json::Map<String, Value>,

    /// When the key stops working: a date `2027-01-31` (its first second, UTC) or a date-time
    /// `2027-01-31T12:00:00Z` (RFC 3339). Default never.
    #[serde(default)]
    pub expires: Option<String>,
}

/// Tokens, who may issue them, and where they are in a request. The default place is
/// `Authorization: Bearer`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// The request field that holds the token: behind `Bearer` in `authorization`, bare or
    /// behind `Bearer` in any other.
    #[serde(default)]
    pub header: Option<HeaderName>,

    /// The cookie that holds the token.
    #[serde(default)]
    pub cookie: Option<String>,

    /// The query parameter that holds the token. Addresses get logged: the other places are
    /// better.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub query: Option<String>,

    /// Who may issue tokens, at least one.
    #[schemars(length(min = 1))]
    pub issuers: Vec<IssuerConfig>,

    /// How far the clocks may be apart, for `exp`, `nbf` and `iat`; at most 10 minutes. Default
    /// `60s`.
    #[serde(default = "default_skew")]
    #[schemars(regex(pattern = time::DURATION))]
    pub skew: String,

    /// The types (`typ`) that are accepted, without regard to case and without `application/`.
    /// Default `JWT` and `at+jwt`.
    #[serde(default = "default_types")]
    #[schemars(length(min = 1))]
    pub types: Vec<String>,

    /// Whether a token must name its type. Default `false`.
    #[serde(default)]
    pub require_type: bool,

    /// Claims that a token must have, besides `iss`, `aud` and the consumer's. Default `exp`.
    #[serde(default = "default_required_claims")]
    pub required_claims: Vec<String>,

    /// The claim that names the consumer. Default `sub`.
    #[serde(default = "default_consumer_claim")]
    #[schemars(length(min = 1))]
    pub consumer_claim: String,

    /// The claims that hold scopes, as a list or as a text with spaces. Default `scope` and
    /// `scp`.
    #[serde(default = "default_scope_claims")]
    pub scope_claims: Vec<String>,

    /// How many verified tokens an instance remembers, so that their signatures need not be
    /// verified again; times are checked nevertheless. 0 turns it off; at most 1,024. Default 256.
    #[serde(default = "default_cache")]
    #[schemars(range(max = crate::jwt::MAX_CACHE))]
    pub cache: usize,

    /// How long a request waits for the keys of its issuer to be fetched, if its token is signed by
    /// one that is not there; at most 10 s. Default `2s`.
    #[serde(default = "default_key_wait")]
    #[schemars(regex(pattern = time::DURATION))]
    pub key_wait: String,
}

/// Who issues tokens, for whom, and with which keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The value of `iss`, letter for letter.
    #[schemars(length(min = 1))]
    pub issuer: String,

    /// The values of `aud` that mean this gateway; a token must name one.
    #[schemars(length(min = 1))]
    pub audiences: Vec<String>,

    /// The claim that replaces `aud` in tokens that have none, such as `client_id`: its value must
    /// be one of `audiences`. A token with `aud` is checked by `aud` only. Default: tokens without
    /// `aud` are refused.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub audience_claim: Option<String>,

    /// The algorithms that this issuer's tokens may be signed with.
    #[schemars(with = "Vec<schema::AlgorithmName>", length(min = 1))]
    pub algorithms: Vec<String>,

    /// Keys, one by one.
    #[serde(default)]
    #[schemars(with = "Vec<schema::KeySpec>")]
    pub keys: Vec<KeySpec>,

    /// Keys as a JWK Set (RFC 7517 section 5): its text, as `"${file:jwks.json}"` fills it in,
    /// or a table.
    #[serde(default)]
    #[schemars(with = "Option<schema::TextOrTable>")]
    pub jwks: Option<Value>,

    /// The name of a document that is the JWK Set of the issuer. The plugin must be granted it:
    /// `documents = ["NAME"]` beside `component`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub document: Option<String>,

    /// Stands before the consumer's name, so that two issuers cannot name the same consumer.
    /// Default nothing.
    #[serde(default)]
    pub consumer_prefix: String,
}

/// Names with passwords.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicConfig {
    /// The protection space of this method's challenge. Default: the `realm` of the whole.
    #[serde(default)]
    pub realm: Option<String>,

    /// Who may pass, here or in `htpasswd`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub users: Vec<UserSpec>,

    /// Who may pass, as lines `NAME:HASH` of an htpasswd file: its text, as
    /// `"${file:users.htpasswd}"` fills it in. The names are the consumers.
    #[serde(default)]
    pub htpasswd: Option<String>,

    /// For how long an instance remembers that a password was right, so that it need not be
    /// verified at full cost again. It remembers a salted digest. `0s` turns it off; at most
    /// an hour. Default `60s`.
    #[serde(default = "default_remember")]
    #[schemars(regex(pattern = time::DURATION))]
    pub remember: String,
}

/// A user: a name, a password's hash, and whose it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// The name, without a colon.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^[^:]*$"))]
    pub name: String,

    /// The hash of the password: argon2 as a PHC string (`$argon2id$...`) or bcrypt (`$2b$...`), also
    /// with what Django and Spring put in front of it.
    pub hash: String,

    /// The consumer. Default: the `name`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    pub consumer: Option<String>,

    /// The group of the consumer, such as a plan or a team, for the attribute `consumer.group`. Default: what
    /// `group_claim` finds, or none.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub group: Option<String>,

    /// What the user may do. Default nothing.
    #[serde(default)]
    pub scopes: Vec<String>,

    /// Further facts about the consumer, as a token's claims would be.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub claims: serde_json::Map<String, Value>,
}

fn default_realm() -> String {
    "api".to_owned()
}

fn default_true() -> bool {
    true
}

fn default_skew() -> String {
    "60s".to_owned()
}

fn default_types() -> Vec<String> {
    vec!["JWT".to_owned(), "at+jwt".to_owned()]
}

fn default_required_claims() -> Vec<String> {
    vec!["exp".to_owned()]
}

fn default_consumer_claim() -> String {
    "sub".to_owned()
}

fn default_scope_claims() -> Vec<String> {
    vec!["scope".to_owned(), "scp".to_owned()]
}

fn default_cache() -> usize {
    256
}

fn default_key_wait() -> String {
    "2s".to_owned()
}

fn default_remember() -> String {
    "60s".to_owned()
}
