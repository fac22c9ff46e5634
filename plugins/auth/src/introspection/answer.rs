//! What the introspection endpoint says of a token (RFC 7662 section 2.2).
//!
//! Owns which answers are none, which tokens are for this gateway, and who the consumer is.

use std::time::Duration;

use serde_json::{Map, Number, Value};

use super::config::IntrospectionConfig;
use gateway_plugin_identity::consumer::{
    Admission, Consumer, MAX_ATTRIBUTE, Policy, check_claim, is_name, is_scope,
};
use gateway_plugin_identity::json;
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::time;

const MAX_SKEW: Duration = Duration::from_secs(600);

/// What an answer says.
#[derive(Debug)]
pub(super) enum Answer {
    /// The token is active, and for this gateway; times are since 1970.
    Active { expires: Option<Duration>, not_before: Option<Duration>, admission: Admission },
    /// It is not.
    Refused(&'static str),
}

/// What tokens must be like.
#[derive(Debug)]
pub(super) struct Expectations {
    audiences: Vec<String>,
    issuer: Option<String>,
    consumer_claim: String,
    consumer_prefix: String,
    scope_claims: Vec<String>,
    skew: Duration,
}

impl Expectations {
    /// Checks the settings.
    pub(super) fn new(config: &IntrospectionConfig, at: &Pointer, problems: &mut Problems) -> Self {
        if config.consumer_claim.is_empty() {
            problems.add(&at.key("consumer_claim"), "must not be empty");
        }
        check_claim(&config.consumer_claim, &at.key("consumer_claim"), problems);
        for (index, claim) in config.scope_claims.iter().enumerate() {
            check_claim(claim, &at.key("scope_claims").index(index), problems);
        }
        if config.consumer_prefix.chars().any(char::is_control) {
            problems.add(&at.key("consumer_prefix"), "holds a control character");
        }
        if config.issuer.as_deref() == Some("") {
            problems.add(&at.key("issuer"), "must not be empty");
        }
        Self {
            audiences: config.audiences.clone(),
            issuer: config.issuer.clone(),
            consumer_claim: config.consumer_claim.clone(),
            consumer_prefix: config.consumer_prefix.clone(),
            scope_claims: config.scope_claims.clone(),
            skew: time::at_most(&config.skew, MAX_SKEW, &at.key("skew"), problems),
        }
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// If it is none: it says nothing about the token then.
    pub(super) fn read(&self, body: &[u8], policy: &Policy) -> Result<Answer, &'static str> {
        let members = json::object(body).ok_or("the answer is no JSON object")?;
        match members.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Ok(Answer::Refused("the token is not active")),
            _ => return Err("the answer does not say in `active` whether the token is active"),
        }
        let (expires, not_before) = (time(&members, "exp")?, time(&members, "nbf")?);
        Ok(self.admit(&members, policy).map_or_else(Answer::Refused, |admission| Answer::Active {
            expires: expires.map(|expires| expires.saturating_add(self.skew)),
            not_before: not_before.map(|begins| begins.saturating_sub(self.skew)),
            admission,
        }))
    }

    fn admit(
        &self,
        members: &Map<String, Value>,
        policy: &Policy,
    ) -> Result<Admission, &'static str> {
        let text = |name| members.get(name).and_then(Value::as_str);
        if let Some(issuer) = &self.issuer
            && text("iss") != Some(issuer)
        {
            return Err("the token is of another issuer");
        }
        if !self.audiences.is_empty() && !is_for(members.get("aud"), &self.audiences) {
            return Err("the token is for another audience");
        }
        // Whoever has such a token must prove a key, which nobody checks here (RFC 9449 section 7.1).
        let is_bound = text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("dpop"))
            || members.get("cnf").is_some_and(|confirmation| !confirmation.is_null());
        if is_bound {
            return Err("the token is bound to a key, and is no bearer token");
        }
        let consumer = match json::claim(members, &self.consumer_claim) {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
            Some(_) | None => return Err("the answer does not name the consumer"),
        };
        if !is_name(&consumer) {
            return Err("the answer's name of the consumer is not usable");
        }
        let scopes = scopes(members, &self.scope_claims);
        if scopes.iter().map(|scope| scope.len() + 1).sum::<usize>() > MAX_ATTRIBUTE {
            return Err("the token's scopes are longer than 8 KiB");
        }
        Ok(policy.admit(&Consumer {
            id: &format!("{}{consumer}", self.consumer_prefix),
            method: "introspection",
            key_id: "",
            scopes: &scopes,
            claims: members,
            group: None,
        }))
    }
}

/// A time since 1970. One that is no number makes the answer none: nobody knows until when it holds.
fn time(members: &Map<String, Value>, name: &str) -> Result<Option<Duration>, &'static str> {
    let seconds = match members.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => Number::as_f64(number),
        Some(_) => None,
    };
    match seconds {
        // Beyond all times is no end.
        Some(seconds) if seconds >= 0.0 => {
            Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
        }
        Some(_) => Ok(Some(Duration::ZERO)),
        None => Err("a time in the answer is not a number"),
    }
}

fn is_for(named: Option<&Value>, audiences: &[String]) -> bool {
    let accepted = |value: &Value| audiences.iter().any(|known| value.as_str() == Some(known));
    match named {
        Some(Value::Array(values)) => values.iter().any(accepted),
        Some(value) => accepted(value),
        None => false,
    }
}

fn scopes<'m>(members: &'m Map<String, Value>, names: &[String]) -> Vec<&'m str> {
    let mut scopes = Vec::new();
    for name in names {
        match json::claim(members, name) {
            Some(Value::String(text)) => scopes.extend(text.split(' ').filter(|it| is_scope(it))),
            Some(Value::Array(items)) => {
                scopes.extend(items.iter().filter_map(Value::as_str).filter(|it| is_scope(it)));
            }
            Some(_) | None => {}
        }
    }
    scopes
}
