//! The question to the introspection endpoint (RFC 7662 section 2.1).
//!
//! Owns how the gateway authenticates itself there. It does not read what an answer says.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_plugin_sdk::http_client::{self, HttpError};
use gateway_plugin_sdk::secrets;

use super::config::{ClientAuthentication, IntrospectionConfig};
use gateway_plugin_identity::assertion::{self, Assertion};
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::time;

/// The longest answer that is read.
const MAX_ANSWER: u64 = 64 << 10;

const MAX_TIMEOUT: Duration = Duration::from_secs(10);

/// Who asks, and where.
pub(super) struct Client {
    upstream: String,
    path: String,
    /// `Authorization`, if that is how the gateway authenticates itself.
    authorization: Option<String>,
    /// What stands behind the token otherwise.
    parameters: String,
    /// What is made anew for each question, if that is how.
    assertion: Option<Assertion>,
    timeout: Duration,
}

/// Why there is no answer to read.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is none at all.
    Http(HttpError),
    /// It has another status than 200.
    Status(u16),
    /// It could not be asked, since nothing was signed.
    Unsigned(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(HttpError::NotGranted) => {
                formatter.write_str("`upstreams` beside `component` does not list the upstream")
            }
            Self::Http(error) => error.fmt(formatter),
            // RFC 7662 section 2.3.
            Self::Status(401) => formatter.write_str(
                "the endpoint answered 401: it does not take the client's secret or assertion",
            ),
            Self::Unsigned(why) => formatter.write_str(why),
            Self::Status(status) => write!(formatter, "the endpoint answered {status}"),
        }
    }
}

// The secret is in it.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl Client {
    /// Checks the settings.
    pub(super) fn new(config: &IntrospectionConfig, at: &Pointer, problems: &mut Problems) -> Self {
        let upstream = &config.upstream;
        if upstream.is_empty() {
            problems.add(&at.key("upstream"), "must not be empty");
        } else if !http_client::is_granted(upstream) {
            let message = format!(
                "the upstream `{upstream}` is not granted: write `upstreams = [\"{upstream}\"]` beside `component`"
            );
            problems.add(&at.key("upstream"), message);
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !config.path.starts_with('/') || !config.path.bytes().all(is_plain) {
            let message = "is no path such as `/oauth2/introspect`: the address of the server is the upstream's";
            problems.add(&at.key("path"), message);
        }
        if config.client_id.is_empty() {
            problems.add(&at.key("client_id"), "must not be empty");
        }
        let timeout = time::at_most(&config.timeout, MAX_TIMEOUT, &at.key("timeout"), problems);
        if timeout.is_zero() {
            problems.add(&at.key("timeout"), "leaves no time for an answer");
        }
        let assertion = assertion(config, at, problems);
        let is_signed = config.client_authentication == ClientAuthentication::PrivateKeyJwt;
        let secret = if is_signed { String::new() } else { secret(config, at, problems) };
        let (id, secret) = (encoded(config.client_id.as_bytes()), encoded(secret.as_bytes()));
        let (authorization, parameters) = match config.client_authentication {
            ClientAuthentication::ClientSecretBasic => {
                let credentials = STANDARD.encode(format!("{id}:{secret}"));
                (Some(format!("Basic {credentials}")), String::new())
            }
            ClientAuthentication::ClientSecretPost => {
                (None, format!("&client_id={id}&client_secret={secret}"))
            }
            ClientAuthentication::PrivateKeyJwt => {
                let kind = encoded(assertion::TYPE.as_bytes());
                (None, format!("&client_id={id}&client_assertion_type={kind}"))
            }
        };
        Self {
            upstream: config.upstream.clone(),
            path: config.path.clone(),
            authorization,
            parameters,
            assertion,
            timeout,
        }
    }

    /// The body of the answer about a token.
    pub(super) fn ask(&self, token: &[u8]) -> Result<Vec<u8>, Failure> {
        let token = encoded(token);
        let mut body = format!("token={token}&token_type_hint=access_token{}", self.parameters);
        if let Some(assertion) = &self.assertion {
            let assertion = assertion.token("").map_err(Failure::Unsigned)?;
            body.push_str("&client_assertion=");
            body.push_str(&assertion);
        }
        let mut question = http_client::post(&*self.upstream, &*self.path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .timeout(self.timeout)
            .response_limit(MAX_ANSWER)
            .body(body);
        if let Some(authorization) = &self.authorization {
            question = question.header("authorization", authorization.as_str());
        }
        let answer = question.send().map_err(Failure::Http)?;
        if answer.status() == 200 {
            Ok(answer.into_body())
        } else {
            Err(Failure::Status(answer.status()))
        }
    }
}

/// What signs, where that is how the gateway authenticates itself.
fn assertion(
    config: &IntrospectionConfig,
    at: &Pointer,
    problems: &mut Problems,
) -> Option<Assertion> {
    let is_signed = config.client_authentication == ClientAuthentication::PrivateKeyJwt;
    if is_signed {
        for (key, secret) in [("client_secret", &config.client_secret), ("secret", &config.secret)]
        {
            if secret.is_some() {
                problems.add(&at.key(key), "is not for `private_key_jwt`, which has a key");
            }
        }
    }
    let at = at.key("assertion");
    match &config.assertion {
        Some(assertion) if is_signed => {
            Some(Assertion::new(assertion, &config.client_id, false, &at, problems))
        }
        Some(_) => {
            let message = "is for `client_authentication = \"private_key_jwt\"`";
            problems.add(&at, message);
            None
        }
        None if is_signed => {
            problems.add(&at, "is missing: it names the key of `private_key_jwt`");
            None
        }
        None => None,
    }
}

fn secret(config: &IntrospectionConfig, at: &Pointer, problems: &mut Problems) -> String {
    let secret = match (&config.client_secret, &config.secret) {
        (Some(secret), None) => Some(secret.clone()),
        (None, Some(name)) => {
            let secret = secrets::get(name);
            if secret.is_none() {
                let message = format!(
                    "is no secret of the plugin: write `secrets = [\"{name}\"]` beside `component`"
                );
                problems.add(&at.key("secret"), message);
                return String::new();
            }
            secret
        }
        (Some(_), Some(_)) => {
            problems.add(&at.key("secret"), "stands beside `client_secret`: name one of them");
            return String::new();
        }
        (None, None) => {
            problems.add(at, "needs the client's secret: `client_secret` or `secret`");
            return String::new();
        }
    };
    let secret = secret.unwrap_or_default();
    if secret.is_empty() {
        let key = if config.secret.is_some() { "secret" } else { "client_secret" };
        problems.add(&at.key(key), "is empty");
    }
    secret
}

/// As forms write it (RFC 6749 appendix B).
fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                text.push(char::from(*byte));
            }
            b' ' => text.push('+'),
            other => {
                write!(text, "%{other:02X}").expect("a string takes all that is written to it")
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_texts_as_forms_do() {
        // RFC 6749 appendix B.
        assert_eq!(encoded(" %&+\u{a3}\u{20ac}".as_bytes()), "+%25%26%2B%C2%A3%E2%82%AC");
        assert_eq!(encoded(b"mF_9.B5f-4.1JqM"), "mF_9.B5f-4.1JqM");
    }
}
