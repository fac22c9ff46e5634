//! Requests to the provider: token endpoint (RFC 6749) and userinfo endpoint.
//!
//! Owns the client's authentication, and what of an answer counts. It trusts no claim.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_plugin_identity::assertion::{self, Assertion};
use gateway_plugin_identity::json;
use gateway_plugin_sdk::http_client::{self, HttpError};
use serde_json::{Map, Value};

use crate::config::ClientAuthentication;
use crate::provider::{Metadata, push_encoded, with_parameters};

/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 256 << 10;

/// This client, as the provider knows it.
pub(crate) struct Client {
    pub(crate) upstream: String,
    pub(crate) userinfo_upstream: Option<String>,
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    pub(crate) authentication: ClientAuthentication,
    pub(crate) assertion: Option<Assertion>,
    pub(crate) timeout: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the token endpoint gave.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) id: Option<String>,
    pub(crate) refresh: Option<String>,
    /// Seconds.
    pub(crate) expires_in: Option<u64>,
    pub(crate) scope: Option<String>,
}

/// Why the provider gave nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It says that the code or the refresh token is of no use.
    InvalidGrant,
    /// It refuses this client, or does not say what it should. The text is for the log.
    Refused(String),
    /// It cannot be asked at the moment.
    Unavailable(String),
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::NotGranted => {
                Self::Refused(format!("{error}: it is granted by `upstreams` beside `component`"))
            }
            HttpError::Invalid(_)
            | HttpError::TooLarge
            | HttpError::TooMany
            | HttpError::NotHere => Self::Refused(error.to_string()),
            HttpError::Connect | HttpError::Timeout | HttpError::Protocol => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::InvalidGrant => "the provider answered `invalid_grant`",
            Self::Refused(why) | Self::Unavailable(why) => why,
        })
    }
}

impl Client {
    /// Asks the token endpoint.
    pub(crate) fn tokens(
        &self,
        provider: &Metadata,
        form: &[(&str, &str)],
    ) -> Result<Tokens, Failure> {
        let mut asked = http_client::post(&*self.upstream, &*provider.token)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json");
        let mut form = form.to_vec();
        let assertion = self.assertion.as_ref().map(|it| it.token(&provider.token_address));
        let assertion = assertion.transpose().map_err(Failure::Refused)?;
        if let Some(assertion) = &assertion {
            form.push(("client_assertion_type", assertion::TYPE));
            form.push(("client_assertion", assertion));
        }
        match (&self.secret, self.authentication) {
            (Some(secret), ClientAuthentication::ClientSecretBasic) => {
                // Both are encoded as in a form before (RFC 6749 section 2.3.1).
                let mut pair = String::new();
                push_encoded(&mut pair, &self.id);
                pair.push(':');
                push_encoded(&mut pair, secret);
                asked = asked.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
            }
            (Some(secret), ClientAuthentication::ClientSecretPost) => {
                form.extend([("client_id", &*self.id), ("client_secret", secret)]);
            }
            (_, ClientAuthentication::PrivateKeyJwt) | (None, _) => {
                form.push(("client_id", &self.id))
            }
        }
        let asked = asked.body(with_parameters("", form));
        let answer = asked.timeout(self.timeout).response_limit(MAX_ANSWER).send()?;
        let members = json::object(answer.body());
        match (answer.status(), members) {
            (200, Some(members)) => {
                tokens(&members).map_err(|why| Failure::Refused(why.to_owned()))
            }
            (status @ (429 | 500..), _) => {
                Err(Failure::Unavailable(format!("the token endpoint answered {status}")))
            }
            (200, None) => {
                let why = "the token endpoint answered with what is not one JSON object";
                Err(Failure::Refused(why.to_owned()))
            }
            (status, members) => Err(refused(status, members.as_ref())),
        }
    }

    /// The claims of the userinfo endpoint, if it is to be asked (OpenID Connect Core section 5.3).
    pub(crate) fn userinfo(
        &self,
        target: Option<&str>,
        access_token: &str,
    ) -> Result<Option<Map<String, Value>>, Failure> {
        let Some(upstream) = &self.userinfo_upstream else { return Ok(None) };
        let target = target.ok_or_else(|| {
            Failure::Refused("the discovery document has no `userinfo_endpoint`".to_owned())
        })?;
        let asked = http_client::get(&**upstream, target)
            .header("authorization", format!("Bearer {access_token}"))
            .header("accept", "application/json");
        let answer = asked.timeout(self.timeout).response_limit(MAX_ANSWER).send()?;
        match (answer.status(), json::object(answer.body())) {
            (200, Some(members)) => Ok(Some(members)),
            (200, None) => {
                let why = "the userinfo endpoint answered with what is not one JSON object";
                Err(Failure::Refused(why.to_owned()))
            }
            (status @ (429 | 500..), _) => {
                Err(Failure::Unavailable(format!("the userinfo endpoint answered {status}")))
            }
            (status, _) => {
                Err(Failure::Refused(format!("the userinfo endpoint answered {status}")))
            }
        }
    }
}

fn refused(status: u16, members: Option<&Map<String, Value>>) -> Failure {
    let code = members.and_then(|members| members.get("error")).and_then(Value::as_str);
    match code {
        Some("invalid_grant") => Failure::InvalidGrant,
        Some(code) => {
            let code = error_code(code);
            Failure::Refused(format!("the token endpoint answered {status} `{code}`"))
        }
        None => Failure::Refused(format!("the token endpoint answered {status}")),
    }
}

/// The code of an error as a log may have it.
pub(crate) fn error_code(code: &str) -> String {
    code.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '_').take(64).collect()
}

fn tokens(members: &Map<String, Value>) -> Result<Tokens, &'static str> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = text("token_type").ok_or("the token endpoint named no `token_type`")?;
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err("the token endpoint gave no bearer token");
    }
    let access = text("access_token").ok_or("the token endpoint gave no access token")?;
    // It goes into a field as it is (RFC 6750 section 2.1 allows less).
    if access.is_empty() || !access.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the access token is no text for a field");
    }
    // Some providers write the number as a text.
    let expires_in = match members.get("expires_in") {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) | None => None,
    };
    Ok(Tokens {
        access,
        id: text("id_token"),
        refresh: text("refresh_token"),
        expires_in,
        scope: text("scope"),
    })
}
