//! ID tokens and logout tokens (OpenID Connect Core section 3.1.3.7, Back-Channel Logout section 2.6).
//!
//! Owns what each of them must say. Signatures, times and audiences are judged by `gateway-plugin-identity`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_plugin_identity::jwt::{Keys, NotAdmitted, Times, Token, check_audience, media_type};
use gateway_plugin_sdk::{clock, digest};
use serde_json::{Map, Value};

/// The event that a logout token is about.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What tokens of the provider must be like.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) keys: Keys,
    pub(crate) issuer: String,
    /// One: this client.
    pub(crate) audiences: Vec<String>,
    /// Seconds.
    pub(crate) skew: f64,
}

/// What an ID token belongs to.
pub(crate) struct Expected<'a> {
    /// That of the login; none where tokens are renewed.
    pub(crate) nonce: Option<&'a str>,
    pub(crate) access_token: &'a str,
}

/// Whom a logout token logs out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogoutToken {
    pub(crate) id: String,
    pub(crate) subject: Option<String>,
    pub(crate) session: Option<String>,
    /// Seconds since 1970.
    pub(crate) issued: u64,
}

impl Verifier {
    /// The claims of an ID token.
    pub(crate) fn id_token(
        &self,
        text: &str,
        expected: &Expected<'_>,
    ) -> Result<Map<String, Value>, NotAdmitted> {
        let (algorithm, claims) = self.verified(text, &["jwt"])?;
        if claims.contains_key("events") {
            return Err("the ID token is a token about events".into());
        }
        if string(&claims, "sub").is_none_or(str::is_empty) {
            return Err("the ID token names no subject".into());
        }
        if !claims.contains_key("iat") {
            return Err("the ID token does not say when it was issued".into());
        }
        if let Some(nonce) = expected.nonce
            && string(&claims, "nonce") != Some(nonce)
        {
            return Err("the ID token's `nonce` is not that of the login".into());
        }
        if let Some(named) = claims.get("at_hash") {
            check_access_token(named, &algorithm, expected.access_token)?;
        }
        Ok(claims)
    }

    /// What a logout token says.
    pub(crate) fn logout_token(&self, text: &str) -> Result<LogoutToken, NotAdmitted> {
        let (_, mut claims) = self.verified(text, &["jwt", "logout+jwt"])?;
        let event = claims.get("events").and_then(|events| events.get(LOGOUT_EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err("the token is about no logout".into());
        }
        if claims.contains_key("nonce") {
            return Err("the logout token has a `nonce`".into());
        }
        let issued = claims.get("iat").and_then(Value::as_f64);
        let issued = issued.ok_or("the logout token does not say when it was issued")?;
        let mut take = |name: &str| match claims.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let id = take("jti").ok_or("the logout token has no `jti`")?;
        let (subject, session) = (take("sub"), take("sid"));
        if subject.is_none() && session.is_none() {
            return Err("the logout token names neither a subject nor a session".into());
        }
        Ok(LogoutToken { id, subject, session, issued: issued as u64 })
    }

    /// The algorithm and the claims of a token of the provider for this client that is valid now.
    fn verified(
        &self,
        text: &str,
        types: &[&str],
    ) -> Result<(String, Map<String, Value>), NotAdmitted> {
        let token = Token::parse(text.as_bytes())?;
        let kind = token.jws.header.kind.as_deref().map(media_type);
        if kind.is_some_and(|kind| !types.contains(&&*kind)) {
            return Err("the token is of another type".into());
        }
        if string(&token.claims, "iss") != Some(&self.issuer) {
            return Err("the token is of another issuer".into());
        }
        self.keys.verify(&token.jws)?;
        if !token.claims.contains_key("exp") {
            return Err("the token does not say when it expires".into());
        }
        Times::new(&token.claims)?.check(clock::now().as_secs_f64(), self.skew)?;
        check_audience(&token.claims, &self.audiences, None)?;
        let several = matches!(token.claims.get("aud"), Some(Value::Array(all)) if all.len() > 1);
        match token.claims.get("azp") {
            None if several => {
                Err("the token is for several, and does not say who asked for it".into())
            }
            Some(azp) if azp.as_str() != Some(&self.audiences[0]) => {
                Err("the token was made for another client (`azp`)".into())
            }
            None | Some(_) => Ok((token.jws.header.algorithm, token.claims)),
        }
    }
}

fn string<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

/// Whether `at_hash` is of the access token (Core section 3.1.3.6). The gateway has the digest of the algorithms
/// with 256 bits alone; in this flow, where both tokens come from the token endpoint, the check is optional.
fn check_access_token(
    named: &Value,
    algorithm: &str,
    access_token: &str,
) -> Result<(), &'static str> {
    if !algorithm.ends_with("256") && algorithm != "ES256K" {
        return Ok(());
    }
    let half = &digest::sha256(access_token.as_bytes())[..16];
    if named.as_str() == Some(&URL_SAFE_NO_PAD.encode(half)) {
        Ok(())
    } else {
        Err("the ID token's `at_hash` is not that of the access token")
    }
}
