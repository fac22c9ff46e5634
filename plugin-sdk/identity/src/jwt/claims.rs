//! What the claims of a token must say (RFC 7519 section 4.1), once its signature is verified.
//!
//! Owns times, audience, and the reading of consumer and scopes.

use serde_json::{Map, Number, Value};

use crate::consumer::{is_name, is_scope};
use crate::json;

/// The times between which a token is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    expires: Option<f64>,
    not_before: Option<f64>,
    issued: Option<f64>,
}

impl Times {
    /// Reads `exp`, `nbf` and `iat`: each absent, or a number.
    pub fn new(claims: &Map<String, Value>) -> Result<Self, &'static str> {
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Number::as_f64(number)),
            Some(_) => Err("a time among the token's claims is not a number"),
        };
        Ok(Self { expires: time("exp")?, not_before: time("nbf")?, issued: time("iat")? })
    }

    /// Whether the token is valid at a time, with clocks so far apart, all in seconds.
    pub fn check(&self, now: f64, skew: f64) -> Result<(), &'static str> {
        if self.expires.is_some_and(|expires| now >= expires + skew) {
            return Err("the token has expired");
        }
        if self.not_before.is_some_and(|not_before| now + skew < not_before) {
            return Err("the token is not valid yet");
        }
        if self.issued.is_some_and(|issued| now + skew < issued) {
            return Err("the token was issued in the future");
        }
        Ok(())
    }

    /// For how much longer a token that is valid at a time stays so, if it ends.
    pub fn left(&self, now: f64, skew: f64) -> Option<f64> {
        self.expires.map(|expires| expires + skew - now)
    }
}

/// Whether `aud` names one of the audiences (RFC 7519 section 4.1.3). Where there is none, another
/// claim may do it, if one is named: some issuers say in `client_id` for whom a token is.
pub fn check_audience(
    claims: &Map<String, Value>,
    audiences: &[String],
    other: Option<&str>,
) -> Result<(), &'static str> {
    let accepted = |value: &Value| audiences.iter().any(|known| value.as_str() == Some(known));
    let named = match (claims.get("aud"), other) {
        (Some(audience), _) => audience,
        (None, Some(other)) => json::claim(claims, other)
            .ok_or("the token has neither an audience nor the claim that may stand for it")?,
        (None, None) => return Err("the token has no audience"),
    };
    let matches = match named {
        Value::Array(values) if !values.iter().all(Value::is_string) => false,
        Value::Array(values) => values.iter().any(accepted),
        value => accepted(value),
    };
    if matches { Ok(()) } else { Err("the token is for another audience") }
}

/// The name of the consumer: a text, or a whole number as one.
pub fn consumer(claims: &Map<String, Value>, claim: &str) -> Result<String, &'static str> {
    let name = match json::claim(claims, claim) {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        Some(_) | None => return Err("the token does not name the consumer"),
    };
    if is_name(&name) { Ok(name) } else { Err("the token's name of the consumer is not usable") }
}

/// The scopes: the words of a text, or the texts of a list. What is no scope is left out.
pub fn scopes<'c>(claims: &'c Map<String, Value>, names: &[String]) -> Vec<&'c str> {
    let mut scopes = Vec::new();
    for name in names {
        match json::claim(claims, name) {
            Some(Value::String(text)) => scopes.extend(text.split(' ').filter(|s| is_scope(s))),
            Some(Value::Array(items)) => {
                scopes.extend(items.iter().filter_map(Value::as_str).filter(|s| is_scope(s)));
            }
            Some(_) | None => {}
        }
    }
    scopes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn takes_a_token_from_its_beginning_to_its_end_and_a_skew_around() {
        let times = Times::new(&members(json!({ "exp": 2_000, "nbf": 1_000.5, "iat": 900 })));
        let times = times.unwrap();
        assert!(times.check(939.0, 60.0).is_err());
        assert!(times.check(940.5, 60.0).is_ok());
        assert!(times.check(2_059.9, 60.0).is_ok());
        assert!(times.check(2_060.0, 60.0).is_err());
        let issued = Times::new(&members(json!({ "iat": 1_000 }))).unwrap();
        assert!(issued.check(939.0, 60.0).is_err());
        assert!(issued.check(940.0, 60.0).is_ok());
    }

    #[test]
    fn refuses_times_that_are_no_numbers() {
        for name in ["exp", "nbf", "iat"] {
            for value in [json!("2000"), json!(null), json!([2_000]), json!(true)] {
                assert!(Times::new(&members(json!({ name: value }))).is_err());
            }
        }
    }

    #[test]
    fn wants_one_of_the_audiences() {
        let known = ["api".to_owned(), "web".to_owned()];
        for aud in [json!("api"), json!(["other", "web"])] {
            assert!(check_audience(&members(json!({ "aud": aud })), &known, None).is_ok());
        }
        for aud in [json!("API"), json!("api web"), json!([]), json!(["api", 1]), json!(null)] {
            assert!(check_audience(&members(json!({ "aud": aud })), &known, None).is_err());
        }
        assert!(check_audience(&members(json!({})), &known, None).is_err());
    }

    #[test]
    fn takes_another_claim_only_where_there_is_no_audience() {
        let known = ["app".to_owned()];
        let check = |claims| check_audience(&members(claims), &known, Some("client_id"));
        assert_eq!(check(json!({ "client_id": "app" })), Ok(()));
        assert_eq!(check(json!({ "aud": "app" })), Ok(()));
        for claims in [
            json!({}),
            json!({ "client_id": "other" }),
            json!({ "client_id": null }),
            json!({ "client_id": "app", "aud": "other" }),
            json!({ "client_id": "app", "aud": null }),
            json!({ "client_id": "app", "aud": [] }),
        ] {
            assert!(check(claims.clone()).is_err(), "{claims}");
        }
    }

    #[test]
    fn reads_scopes_as_text_and_as_list_and_makes_no_two_of_one() {
        let claims = members(json!({
            "scope": "read  write", "scp": ["admin", "a b", 7], "realm": { "roles": ["r"] },
        }));
        let names = ["scope", "scp", "/realm/roles", "none"].map(str::to_owned);
        assert_eq!(scopes(&claims, &names), ["read", "write", "admin", "r"]);
    }

    #[test]
    fn names_the_consumer_only_by_what_can_be_a_name() {
        let name = |value| consumer(&members(json!({ "sub": value })), "sub");
        assert_eq!(name(json!("ada")), Ok("ada".to_owned()));
        assert_eq!(name(json!(42)), Ok("42".to_owned()));
        for value in [json!(""), json!("a\r\nb"), json!(1.5), json!(null), json!(["ada"])] {
            assert!(name(value).is_err());
        }
    }
}
