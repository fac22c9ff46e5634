//! Credentials of deployments that are more than one key, as they are written.

use gateway_plugin_sdk::prelude::JsonSchema;
use serde::Deserialize;

/// A service account of Google, which gets an access token for a message that it signed (RFC 7523).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccountSpec {
    /// Its address: `client_email` of its key.
    pub email: String,

    /// The name of the secret with `private_key` of its key, in PEM, which `secrets` of this plugin lists.
    pub key: String,

    /// The id of the key: `private_key_id`.
    #[serde(default)]
    pub key_id: Option<String>,

    /// The upstream that gives tokens, one that `upstreams` of this plugin lists.
    pub upstream: String,

    /// The path there. Default `"/token"`.
    #[serde(default = "default_token_path")]
    pub path: String,

    /// For whom the message is. Default `"https://oauth2.googleapis.com/token"`.
    #[serde(default = "default_audience")]
    pub audience: String,
}

/// The names of the secrets with an access key of AWS, which `secrets` of this plugin lists.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsSpec {
    /// The id of the key.
    pub access_key_id: String,

    /// The secret key.
    pub secret_access_key: String,

    /// The token of the session, which temporary credentials have.
    #[serde(default)]
    pub session_token: Option<String>,
}

fn default_token_path() -> String {
    "/token".to_owned()
}

fn default_audience() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}
