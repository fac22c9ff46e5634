//! The settings of introspection as they are written.

use gateway_plugin_identity::assertion::AssertionConfig;
use gateway_plugin_sdk::prelude::*;

/// Tokens that are introspected (RFC 7662), where, and where they are in a request. The default place is
/// `Authorization: Bearer`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionConfig {
    /// The upstream that is the authorization server. The plugin is granted it by `upstreams = ["NAME"]`
    /// beside `component`.
    #[schemars(length(min = 1))]
    pub upstream: String,

    /// The path of the introspection endpoint, such as `/oauth2/introspect`.
    #[schemars(regex(pattern = "^/"))]
    pub path: String,

    /// The name by which the gateway authenticates itself there.
    #[schemars(length(min = 1))]
    pub client_id: String,

    /// The secret of that client, as `"${env:NAME}"` fills it in. Or name a `secret`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub client_secret: Option<String>,

    /// The secret of that client: the name of a table under `[secrets]`. The plugin must be granted it:
    /// `secrets = ["NAME"]` beside `component`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub secret: Option<String>,

    /// How the gateway authenticates itself. Default `client_secret_basic`.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,

    /// The key and the claims of `private_key_jwt`, which has no secret.
    #[serde(default)]
    pub assertion: Option<AssertionConfig>,

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

    /// The values of `aud` that mean this gateway; a token must name one. Default: `aud` is not checked.
    #[serde(default)]
    pub audiences: Vec<String>,

    /// What `iss` of the answer must be, letter for letter. Default: it is not checked.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub issuer: Option<String>,

    /// The member of the answer that names the consumer, such as `sub`, `client_id` or `username`. Default
    /// `sub`.
    #[serde(default = "default_consumer_claim")]
    #[schemars(length(min = 1))]
    pub consumer_claim: String,

    /// Stands before the consumer's name, so that it cannot meet one of another method. Default nothing.
    #[serde(default)]
    pub consumer_prefix: String,

    /// The members of the answer that hold scopes, as a list or as a text with spaces. Default `scope`.
    #[serde(default = "default_scope_claims")]
    pub scope_claims: Vec<String>,

    /// How long an answer may take, at most `10s`. Default `2s`.
    #[serde(default = "default_timeout")]
    #[schemars(regex(pattern = gateway_plugin_identity::time::DURATION))]
    pub timeout: String,

    /// For how long an instance remembers that a token is active, and never past its `exp`: a token that is
    /// revoked meanwhile still admits. `0s` turns it off; at most an hour. Default `60s`.
    #[serde(default = "default_remember")]
    #[schemars(regex(pattern = gateway_plugin_identity::time::DURATION))]
    pub remember: String,

    /// For how long an instance remembers that a token is not active. `0s` turns it off; at most a minute.
    /// Default `5s`.
    #[serde(default = "default_remember_inactive")]
    #[schemars(regex(pattern = gateway_plugin_identity::time::DURATION))]
    pub remember_inactive: String,

    /// How many active tokens an instance remembers, and how many others besides; at most 1,024. Default 256.
    #[serde(default = "default_cache")]
    #[schemars(range(max = crate::introspection::MAX_CACHE))]
    pub cache: usize,

    /// How far the clocks may be apart, for `exp` and `nbf`; at most 10 minutes. Default `0s`: the server has
    /// said that the token is active now.
    #[serde(default = "default_skew")]
    #[schemars(regex(pattern = gateway_plugin_identity::time::DURATION))]
    pub skew: String,
}

/// How a client authenticates itself at the authorization server (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// By HTTP Basic.
    #[default]
    ClientSecretBasic,
    /// By parameters beside the token.
    ClientSecretPost,
    /// By an assertion that a private key signs (RFC 7523 section 2.2).
    PrivateKeyJwt,
}

fn default_consumer_claim() -> String {
    "sub".to_owned()
}

fn default_scope_claims() -> Vec<String> {
    vec!["scope".to_owned()]
}

fn default_timeout() -> String {
    "2s".to_owned()
}

fn default_remember() -> String {
    "60s".to_owned()
}

fn default_remember_inactive() -> String {
    "5s".to_owned()
}

fn default_cache() -> usize {
    256
}

fn default_skew() -> String {
    "0s".to_owned()
}
