//! The configuration as it is written, with its JSON Schema.
//!
//! Owns names, defaults and documentation of the settings. What they mean together is checked by
//! `settings`.

use gateway_plugin_identity::assertion::AssertionConfig;
use std::collections::BTreeMap;

use gateway_plugin_identity::consumer::Require;
use gateway_plugin_identity::time;
use gateway_plugin_sdk::prelude::*;

gateway_plugin_identity::schemas!(schema);

/// Logs browsers in by OpenID Connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The provider's name for itself, letter for letter: `issuer` of its discovery document and of its ID
    /// tokens.
    #[schemars(length(min = 1))]
    pub issuer: String,

    /// The name of the document that is the provider's discovery document
    /// (`/.well-known/openid-configuration`). The plugin must be granted it: `documents = ["NAME"]` beside
    /// `component`.
    #[schemars(length(min = 1))]
    pub discovery: String,

    /// The name of the document that is the provider's JWK Set: one with `follow`. The plugin must be granted
    /// it, too.
    #[schemars(length(min = 1))]
    pub document: String,

    /// The upstream that the token endpoint is asked through. `upstreams = ["NAME"]` beside `component` grants
    /// it.
    #[schemars(length(min = 1))]
    pub upstream: String,

    /// The upstream that the userinfo endpoint is asked through, once for each login. Its claims are added
    /// to those of the ID token. Default: it is not asked.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub userinfo: Option<String>,

    /// The name by which the provider knows this client.
    #[schemars(length(min = 1))]
    pub client_id: String,

    /// The name of the secret with which this client authenticates to the provider; `secrets = ["NAME"]`
    /// beside `component` grants it. Default: a public client, that has PKCE alone.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub client_secret: Option<String>,

    /// How this client authenticates to the token endpoint. Default `client_secret_basic`.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,

    /// The key and the claims of `private_key_jwt`, which has no secret. Default audience: the address of the
    /// token endpoint.
    #[serde(default)]
    pub assertion: Option<AssertionConfig>,

    /// The address to which the provider sends browsers back, as it is registered there. Its path is answered
    /// by the plugin; its scheme and host are those under which browsers see the gateway. `https://`, or
    /// `http://` with a name or address of this machine.
    #[schemars(regex(pattern = "^https?://"))]
    pub redirect_uri: String,

    /// The scopes that are asked for. Default `openid`, `profile` and `email`; `openid` is always among them.
    /// `offline_access` asks for a refresh token at many providers.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,

    /// Further parameters of the address to which browsers are sent to log in, such as `audience` or `prompt`.
    /// Default none.
    #[serde(default)]
    pub authorization_parameters: BTreeMap<String, String>,

    /// The algorithms that the provider may sign ID tokens and logout tokens with: those with public keys.
    /// Default `RS256`.
    #[serde(default = "default_algorithms")]
    #[schemars(with = "Vec<schema::AlgorithmName>", length(min = 1))]
    pub algorithms: Vec<String>,

    /// How far the clocks may be apart; at most 10 minutes. Default `60s`.
    #[serde(default = "default_skew")]
    #[schemars(regex(pattern = time::DURATION))]
    pub skew: String,

    /// How long a login may take, from the gateway to the provider and back; at most an hour. Default `10m`.
    #[serde(default = "default_login_time")]
    #[schemars(regex(pattern = time::DURATION))]
    pub login_time: String,

    /// How long one request to the provider may take; at most `60s`. Default `5s`.
    #[serde(default = "default_timeout")]
    #[schemars(regex(pattern = time::DURATION))]
    pub timeout: String,

    /// The path that pages about a failed login lead to. Default `/`.
    #[serde(default = "default_home")]
    #[schemars(regex(pattern = "^/"))]
    pub home: String,

    /// The session, which is in a cookie.
    pub session: SessionConfig,

    /// How a session ends.
    #[serde(default)]
    pub logout: LogoutConfig,

    /// Lets requests pass without a session whose consumer a plugin before this one has found: the attribute
    /// `consumer.id` is there, and `consumer.method` is not `anonymous`. Default `false`.
    #[serde(default)]
    pub accept_consumer: bool,

    /// The request field in which the upstream gets the access token, behind `Bearer` in `authorization` and
    /// bare in any other. What a client sends under this name is removed. Default: the access token is not
    /// kept.
    #[serde(default)]
    pub access_token_header: Option<HeaderName>,

    /// The claim that names the consumer. Default `sub`.
    #[serde(default = "default_consumer_claim")]
    #[schemars(length(min = 1))]
    pub consumer_claim: String,

    /// Request fields for the upstream, each with the attribute that fills it, such as
    /// `"x-consumer-id" = "consumer.id"`. What a client sends under these names is removed.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,

    /// Claims that become attributes `consumer.claim.NAME`: names, or JSON Pointers
    /// (RFC 6901) such as `/realm_access/roles`. Default none.
    #[serde(default)]
    pub claims_to_attributes: Vec<String>,

    /// The claim that names the consumer's group, such as a plan or a team: a text or a whole number. It
    /// becomes the attribute `consumer.group`. A name, or a JSON Pointer. Default none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub group_claim: Option<String>,

    /// What a consumer must have besides a session; 403 if not.
    #[serde(default)]
    #[schemars(with = "Option<schema::Require>")]
    pub require: Option<Require>,
}

/// How this client authenticates to the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// In the field `Authorization`, by the scheme `Basic` (RFC 6749 section 2.3.1).
    #[default]
    ClientSecretBasic,
    /// In the body.
    ClientSecretPost,
    /// By an assertion that a private key signs (RFC 7523 section 2.2).
    PrivateKeyJwt,
}

/// The session, which is in a cookie.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// The names of the secrets that sessions are encrypted with, at least one and at most 4: the first
    /// encrypts, each of them decrypts. `secrets = ["NAME"]` beside `component` grants them. Each has at least 32
    /// bytes, made by a generator of random numbers.
    #[schemars(length(min = 1, max = 4))]
    pub keys: Vec<String>,

    /// The name of the cookie. Default `__Host-oidc`: browsers take one of this prefix from this host alone.
    #[serde(default = "default_cookie")]
    #[schemars(length(min = 1, max = 64))]
    pub cookie: String,

    /// How long a session lasts without a request. Default `1h`.
    #[serde(default = "default_idle")]
    #[schemars(regex(pattern = time::DURATION))]
    pub idle: String,

    /// How long a session lasts at most; up to 30 days. Default `8h`.
    #[serde(default = "default_lifetime")]
    #[schemars(regex(pattern = time::DURATION))]
    pub lifetime: String,

    /// How long before its end the access token is renewed, if the provider gave a refresh token; at most an hour.
    /// Default `60s`.
    #[serde(default = "default_refresh_before")]
    #[schemars(regex(pattern = time::DURATION))]
    pub refresh_before: String,
}

/// How a session ends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoutConfig {
    /// The path that ends the session. Default `/oidc/logout`.
    #[serde(default = "default_logout_path")]
    #[schemars(regex(pattern = "^/"))]
    pub path: String,

    /// Whether the session at the provider ends too, if the provider has an `end_session_endpoint`. Default
    /// `true`.
    #[serde(default = "default_true")]
    pub provider: bool,

    /// The address that the browser is sent to in the end, as it is registered at the provider. Default: the
    /// provider's own page, and without the provider `home`.
    #[serde(default)]
    #[schemars(regex(pattern = "^https?://"))]
    pub redirect_uri: Option<String>,

    /// The path to which the provider posts logout tokens (OpenID Connect Back-Channel Logout 1.0). Default:
    /// none.
    #[serde(default)]
    #[schemars(regex(pattern = "^/"))]
    pub back_channel: Option<String>,
}

impl Default for LogoutConfig {
    fn default() -> Self {
        Self { path: default_logout_path(), provider: true, redirect_uri: None, back_channel: None }
    }
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn default_algorithms() -> Vec<String> {
    vec!["RS256".to_owned()]
}

fn default_skew() -> String {
    "60s".to_owned()
}

fn default_login_time() -> String {
    "10m".to_owned()
}

fn default_timeout() -> String {
    "5s".to_owned()
}

fn default_home() -> String {
    "/".to_owned()
}

fn default_cookie() -> String {
    "__Host-oidc".to_owned()
}

fn default_idle() -> String {
    "1h".to_owned()
}

fn default_lifetime() -> String {
    "8h".to_owned()
}

fn default_refresh_before() -> String {
    "60s".to_owned()
}

fn default_logout_path() -> String {
    "/oidc/logout".to_owned()
}

fn default_true() -> bool {
    true
}

fn default_consumer_claim() -> String {
    "sub".to_owned()
}
