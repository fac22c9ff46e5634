//! The configuration as it is written, with its JSON Schema.
//!
//! Owns names, defaults and documentation of the settings. What they mean together is checked by
//! the modules that use them.

use std::collections::BTreeMap;

use gateway_plugin_sdk::prelude::*;
use serde_json::Value;

/// Which requests are signed rightly, and by whom. One of `message` and `hmac`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Admits requests with HTTP Message Signatures (RFC 9421).
    #[serde(default)]
    pub message: Option<MessageConfig>,

    /// Admits requests whose body is signed with a shared secret, as webhooks are.
    #[serde(default)]
    pub hmac: Option<HmacConfig>,

    /// The protection space that challenges name (RFC 9110 section 11.5). Default `api`.
    #[serde(default = "default_realm")]
    pub realm: String,

    /// Request fields for the upstream, each with the attribute that fills it, such as
    /// `"x-consumer-id" = "consumer.id"`. What a client sends under these names is removed.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,

    /// How old a signature may be; at most a day. Default `5m`.
    #[serde(default = "default_max_age")]
    #[schemars(regex(pattern = gateway_plugin_identity::time::DURATION))]
    pub max_age: String,

    /// How far the clock of a signer may be ahead; at most 10 minutes. Default `30s`.
    #[serde(default = "default_skew")]
    #[schemars(regex(pattern = gateway_plugin_identity::time::DURATION))]
    pub skew: String,

    /// The longest body that is checked, in bytes; a longer one is refused with 413. At most 16 MiB. Default
    /// 1 MiB.
    #[serde(default = "default_max_body")]
    #[schemars(range(min = 1, max = crate::MAX_BODY))]
    pub max_body: u64,

    /// Whether a signed request is admitted only once. Default `true`.
    #[serde(default = "default_true")]
    pub once: bool,
}

/// HTTP Message Signatures, and who may sign.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageConfig {
    /// Who may sign, at least one.
    #[schemars(length(min = 1))]
    pub keys: Vec<KeySpec>,

    /// What a signature must cover, such as `@method`, `content-type` or `@query-param;name="id"`. Default:
    /// `@method` and the whole target: `@target-uri`, or `@authority` with `@path` and `@query`, or
    /// `@authority` with `@request-target`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub components: Option<Vec<String>>,

    /// Whether the body must be covered, by `content-digest` (RFC 9530).
    #[serde(default)]
    pub content_digest: ContentDigest,

    /// The one label whose signature counts. Labels are not signed: a `tag` is better. Default: any.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub label: Option<String>,

    /// The `tag` that a signature must have to count. Default: any or none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub tag: Option<String>,

    /// Whether a signature must have a `nonce`. Default `false`.
    #[serde(default)]
    pub require_nonce: bool,

    /// What kind of structured field (RFC 9651) a request field is, for signatures that cover it with `sf`.
    /// The fields of RFC 9421, RFC 9530 and RFC 9218 are known.
    #[serde(default)]
    pub structured_fields: BTreeMap<HeaderName, FieldKind>,
}

/// Whether the body must be covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentDigest {
    /// A signature of a request with a body covers `content-digest`.
    #[default]
    Required,
    /// The body is checked where a signature covers `content-digest`, and not signed elsewhere.
    Optional,
}

/// A kind of structured field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// An item.
    Item,
    /// A list.
    List,
    /// A dictionary.
    Dictionary,
}

/// A key, and whose it is: one of `pem`, `jwk` and `secret`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// The `keyid` of signatures by this key.
    #[schemars(length(min = 1, max = 1024))]
    pub id: String,

    /// The one algorithm of the key.
    pub algorithm: SignatureAlgorithm,

    /// A public key as PEM: `PUBLIC KEY`, `RSA PUBLIC KEY` or a `CERTIFICATE`, of which only the key counts.
    #[serde(default)]
    pub pem: Option<String>,

    /// A JSON Web Key (RFC 7517): its text or a table.
    #[serde(default)]
    #[schemars(with = "Option<TextOrTable>")]
    pub jwk: Option<Value>,

    /// A shared secret of at least 16 bytes, for `hmac-sha256`.
    #[serde(default)]
    pub secret: Option<Secret>,

    /// How the secret is written. Default `text`.
    #[serde(default)]
    pub secret_encoding: SecretEncoding,

    /// The consumer. Default: the `id`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    pub consumer: Option<String>,

    /// The group of the consumer, such as a plan or a team, for the attribute `consumer.group`. Default none.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub group: Option<String>,

    /// What the key allows. Default nothing.
    #[serde(default)]
    pub scopes: Vec<String>,

    /// Further facts about the consumer, for attributes `consumer.claim.NAME`. Default none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub claims: serde_json::Map<String, Value>,
}

/// An algorithm of RFC 9421 section 3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SignatureAlgorithm {
    /// HMAC with SHA-256.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// RSASSA-PSS with SHA-512.
    #[serde(rename = "rsa-pss-sha512")]
    RsaPssSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "rsa-v1_5-sha256")]
    RsaV15Sha256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    #[serde(rename = "ecdsa-p384-sha384")]
    EcdsaP384Sha384,
    /// Ed25519.
    #[serde(rename = "ed25519")]
    Ed25519,
}

/// A shared secret.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Secret {
    /// Itself, as `"${env:NAME}"` fills it in.
    Text(String),
    /// One of `[secrets]`, which the plugin is granted by `secrets = ["NAME"]` beside `component`.
    Named {
        /// Its name.
        name: String,
    },
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

/// How a secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretEncoding {
    /// It is the bytes of the text.
    #[default]
    Text,
    /// Base64, also behind `whsec_`.
    Base64,
}

/// A signature by a shared secret in a field, as webhooks have it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HmacConfig {
    /// The request field that holds the signature.
    pub header: HeaderName,

    /// What stands before a signature, such as `sha256=`. Default nothing.
    #[serde(default)]
    pub prefix: String,

    /// What stands between the parts of the field, if it has several: those with the `prefix` are signatures,
    /// of which one must be right. Default: the field is one signature.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub separator: Option<String>,

    /// How a signature is written. Default `hex`.
    #[serde(default)]
    pub encoding: SignatureEncoding,

    /// The digest of the HMAC. Default `sha256`.
    #[serde(default)]
    pub digest: HmacDigest,

    /// What is signed: texts with `{body}`, `{timestamp}` and `{header:NAME}`. Default `{body}`.
    #[serde(default = "default_text")]
    pub text: String,

    /// The request field that holds the time of the signature, in seconds since 1970. Default none.
    #[serde(default)]
    pub timestamp_header: Option<HeaderName>,

    /// What stands before the time, if it is a part of the field with the signature, such as `t=`. Default none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub timestamp_prefix: Option<String>,

    /// For how long the same text is admitted only once where there is no time in it; at most a day. Default:
    /// it is admitted each time.
    #[serde(default)]
    pub window: Option<String>,

    /// The secrets, of at least 16 bytes; one must fit. Several let one take the place of another. At least
    /// one, at most four.
    #[schemars(length(min = 1, max = 4))]
    pub secrets: Vec<Secret>,

    /// How the secrets are written. Default `text`.
    #[serde(default)]
    pub secret_encoding: SecretEncoding,

    /// The consumer.
    #[schemars(length(min = 1, max = 1024))]
    pub consumer: String,

    /// The group of the consumer, for the attribute `consumer.group`. Default none.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub group: Option<String>,

    /// What the consumer may do. Default nothing.
    #[serde(default)]
    pub scopes: Vec<String>,

    /// Further facts about the consumer, for attributes `consumer.claim.NAME`. Default none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub claims: serde_json::Map<String, Value>,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureEncoding {
    /// Hexadecimal digits.
    #[default]
    Hex,
    /// Base64.
    Base64,
}

/// The digest of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HmacDigest {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A JSON document: its text, or a table.
// For the JSON Schema alone.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "its schema is used, its values are not")]
enum TextOrTable {
    Text(String),
    Table(serde_json::Map<String, Value>),
}

fn default_realm() -> String {
    "api".to_owned()
}

fn default_max_age() -> String {
    "5m".to_owned()
}

fn default_skew() -> String {
    "30s".to_owned()
}

fn default_max_body() -> u64 {
    1 << 20
}

fn default_true() -> bool {
    true
}

fn default_text() -> String {
    "{body}".to_owned()
}
