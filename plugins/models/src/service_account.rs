//! Access tokens of Google for a service account (RFC 7523 section 2.1).
//!
//! Owns the message that asks for one, and how long a token is kept: with the plugin's keys and values, so that all workers
//! have the same. The private key is signed with in the gateway, and never read here.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_plugin_sdk::prelude::ConfigError;
use gateway_plugin_sdk::signature::Algorithm;
use gateway_plugin_sdk::{clock, http_client, key_value, secrets};
use serde::Deserialize;
use serde_json::json;

use crate::config::ServiceAccountSpec;

/// What a token is for: all that the account may do.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long a signed message is valid, in seconds: as long as Google takes.
const LIFETIME: u64 = 3600;

/// How long before its end a token is not used any more, in seconds.
const EARLY: u64 = 300;

/// How long the answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An account, and where its tokens come from.
pub(crate) struct ServiceAccount {
    email: String,
    key: String,
    key_id: Option<String>,
    upstream: String,
    path: String,
    audience: String,
    /// The key under which its token is kept.
    kept: String,
}

/// What the server answers (RFC 6749 section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl ServiceAccount {
    /// Checks the settings. `at` makes the place of a key of them.
    pub(crate) fn new(
        spec: &ServiceAccountSpec,
        at: &dyn Fn(&str) -> String,
        errors: &mut Vec<ConfigError>,
    ) -> Self {
        if secrets::get(&spec.key).is_none() {
            let message = format!(
                "names the secret `{0}`, which the plugin is not granted: it needs `secrets = [\"{0}\"]` beside `component`",
                spec.key
            );
            errors.push(ConfigError::at(at("key"), message));
        } else if let Err(error) = secrets::sign(&spec.key, Algorithm::Rs256, b"") {
            errors.push(ConfigError::at(at("key"), format!("cannot sign: {error}")));
        }
        if !http_client::is_granted(&spec.upstream) {
            let message = format!(
                "names the upstream `{0}`, which the plugin is not granted: it needs `upstreams = [\"{0}\"]` beside `component`, with an \
                 upstream of this name",
                spec.upstream
            );
            errors.push(ConfigError::at(at("upstream"), message));
        }
        if !spec.path.starts_with('/') || !spec.path.bytes().all(|byte| byte.is_ascii_graphic()) {
            errors.push(ConfigError::at(at("path"), "is no path such as `/token`"));
        }
        Self {
            email: spec.email.clone(),
            key: spec.key.clone(),
            key_id: spec.key_id.clone(),
            upstream: spec.upstream.clone(),
            path: spec.path.clone(),
            audience: spec.audience.clone(),
            kept: ["token:", &spec.email, "@", &spec.upstream].concat(),
        }
    }

    /// A token that is good for some minutes more: the one that is kept, or a new one. The error never has one.
    pub(crate) fn token(&self) -> Result<String, String> {
        if let Some(token) = key_value::get(&self.kept)
            && let Ok(token) = String::from_utf8(token)
            && is_token(&token)
        {
            return Ok(token);
        }
        let body = [
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=",
            &self.assertion()?,
        ];
        let asked = http_client::post(&*self.upstream, &*self.path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .timeout(TIMEOUT)
            .response_limit(64 << 10)
            .body(body.concat());
        let answer = asked.send().map_err(|error| format!("no access token came: {error}"))?;
        if answer.status() != 200 {
            return Err(format!("no access token came: the server answered {}", answer.status()));
        }
        let granted: Granted =
            answer.json().map_err(|_| "the server's answer has no access token".to_owned())?;
        // Each request with it would fail, for as long as it is kept.
        if !is_token(&granted.access_token) {
            return Err("the server's access token cannot stand in a field".to_owned());
        }
        let time = granted.expires_in.saturating_sub(EARLY);
        if time > 0 {
            let time = Duration::from_secs(time);
            // Without room for it the next request asks again.
            let _no_room = key_value::set(&self.kept, granted.access_token.as_bytes(), Some(time));
        }
        Ok(granted.access_token)
    }

    /// Forgets a token that was refused.
    pub(crate) fn forget(&self) {
        key_value::delete(&self.kept);
    }

    /// The signed message (RFC 7523 section 3).
    fn assertion(&self) -> Result<String, String> {
        let now = clock::now().as_secs();
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.key_id {
            header["kid"] = json!(id);
        }
        let claims = json!({
            "iss": self.email, "scope": SCOPE, "aud": self.audience,
            "iat": now, "exp": now + LIFETIME,
        });
        let encoded = |text: String| URL_SAFE_NO_PAD.encode(text);
        let message = [encoded(header.to_string()), encoded(claims.to_string())].join(".");
        let signature = secrets::sign(&self.key, Algorithm::Rs256, message.as_bytes())
            .map_err(|error| format!("the message for an access token is not signed: {error}"))?;
        Ok([message, URL_SAFE_NO_PAD.encode(signature)].join("."))
    }
}

/// Whether `Authorization` can carry it: visible ASCII (RFC 6750 section 2.1).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
