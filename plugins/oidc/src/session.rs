//! A session: who it is, since when, and by which tokens. And a login that has begun.
//!
//! Owns what is in the cookies, and when a session is over by itself. It verifies nothing.

use std::time::Duration;

use gateway_plugin_sdk::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};

/// A session. The names are short, since each request carries them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Its own random name.
    #[serde(rename = "i")]
    pub(crate) id: String,
    /// When the login was; all times in seconds since 1970.
    #[serde(rename = "c")]
    pub(crate) created: u64,
    /// When a request was seen last, not to the second.
    #[serde(rename = "n")]
    pub(crate) seen: u64,
    /// How often its tokens were renewed.
    #[serde(rename = "g")]
    pub(crate) generation: u32,
    /// When the access token ends, if the provider said so.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(crate) access_token: Option<String>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<String>,
    /// `sub` and `sid` at the provider.
    #[serde(rename = "u")]
    pub(crate) subject: String,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider_session: Option<String>,
    /// The consumer's name.
    #[serde(rename = "p")]
    pub(crate) consumer: String,
    /// The scopes that were granted, separated by spaces.
    #[serde(rename = "o")]
    pub(crate) scopes: String,
    /// The claims that the configuration names.
    #[serde(rename = "m", default, skip_serializing_if = "Map::is_empty")]
    pub(crate) claims: Map<String, Value>,
}

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) idle: Duration,
    pub(crate) whole: Duration,
    pub(crate) refresh_before: Duration,
}

impl Session {
    /// Why it is over by itself, if it is.
    pub(crate) fn over(&self, now: u64, times: &Lifetimes) -> Option<&'static str> {
        if now >= self.created.saturating_add(times.whole.as_secs()) {
            Some("the session has reached its lifetime")
        } else if now >= self.seen.saturating_add(times.idle.as_secs()) {
            Some("the session was idle for too long")
        } else {
            None
        }
    }

    /// Whether the cookie should say that a request was seen: a tenth of the idle time is how exact it is.
    pub(crate) fn wants_touch(&self, now: u64, times: &Lifetimes) -> bool {
        now.saturating_sub(self.seen) >= (times.idle.as_secs() / 10).max(1)
    }

    /// Whether the access token has ended.
    pub(crate) fn expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// Whether it is time to renew the tokens.
    pub(crate) fn wants_refresh(&self, now: u64, times: &Lifetimes) -> bool {
        let due = |expires: u64| now >= expires.saturating_sub(times.refresh_before.as_secs());
        self.refresh_token.is_some() && self.expires.is_some_and(due)
    }
}

/// A login that has begun.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    #[serde(rename = "s")]
    pub(crate) state: String,
    #[serde(rename = "n")]
    pub(crate) nonce: String,
    /// The verifier of RFC 7636.
    #[serde(rename = "v")]
    pub(crate) verifier: String,
    /// Path and query to go back to.
    #[serde(rename = "b")]
    pub(crate) back: String,
    /// When it began.
    #[serde(rename = "t")]
    pub(crate) began: u64,
}

/// Copies the claim that a name or a JSON Pointer names, and no more of what is around it than a reader of the
/// same name needs.
pub(crate) fn keep(from: &Map<String, Value>, to: &mut Map<String, Value>, name: &str) {
    let Some(path) = name.strip_prefix('/') else {
        if let Some(value) = from.get(name) {
            to.insert(name.to_owned(), value.clone());
        }
        return;
    };
    let tokens: Vec<_> =
        path.split('/').map(|it| it.replace("~1", "/").replace("~0", "~")).collect();
    keep_path(from, to, &tokens);
}

fn keep_path(from: &Map<String, Value>, to: &mut Map<String, Value>, tokens: &[String]) {
    let [first, rest @ ..] = tokens else { return };
    match from.get(first) {
        Some(Value::Object(inner)) if !rest.is_empty() => {
            let kept = to.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(kept) = kept {
                keep_path(inner, kept, rest);
            }
        }
        // Of a list all is kept: what a pointer finds in it depends on where it is.
        Some(value) => {
            to.insert(first.clone(), value.clone());
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_the_claims_only_what_is_named_is_kept() {
        let claims = json!({
            "sub": "ada", "name": "Ada", "realm_access": { "roles": ["a"], "other": 1 },
            "resource_access": { "shop": { "roles": ["b"] }, "big": {} }, "list": [{ "x": 1 }], "a/b": 2,
        });
        let mut kept = Map::new();
        let names = [
            "name",
            "/realm_access/roles",
            "/resource_access/shop/roles",
            "/list/0/x",
            "/a~1b",
            "none",
        ];
        for name in names {
            keep(claims.as_object().unwrap(), &mut kept, name);
        }
        let expected = json!({
            "name": "Ada", "realm_access": { "roles": ["a"] }, "a/b": 2,
            "resource_access": { "shop": { "roles": ["b"] } }, "list": [{ "x": 1 }],
        });
        assert_eq!(Value::Object(kept), expected);
    }
}
