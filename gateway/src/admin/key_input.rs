//! What is said of an API key in the body of a request.
//!
//! Owns its members, their forms and bounds, and that all that is wrong is said at once, each with its place. Must
//! not know which keys there are.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Refusal;
use crate::json;
use crate::state::key_sets::record::{Digest, Record, now};

/// Characters of an identifier, a consumer, a group, a scope, a claim's name and a note, at most.
const ID: usize = 64;
const CONSUMER: usize = 256;
const GROUP: usize = 64;
const SCOPE: usize = 128;
const CLAIM: usize = 113;
const NOTE: usize = 500;
/// Scopes and claims, at most.
const SCOPES: usize = 50;
const CLAIMS: usize = 32;
/// Bytes of all claims, as JSON.
const CLAIM_BYTES: usize = 8 << 10;
/// The end of the year 9999, in seconds since 1970.
const LAST: u64 = 253_402_300_799;
/// For how long a replaced secret may be accepted: 90 days.
const GRACE: u64 = 90 * 86_400;

/// A body, as far as it was read.
pub(super) struct Members {
    members: Map<String, Value>,
    faults: Vec<(String, String)>,
}

/// What a body says of each member: nothing, that it is gone, or what it is.
#[derive(Debug, Clone)]
pub(super) enum Said<T> {
    Nothing,
    Gone,
    Is(T),
}

/// What is known of a key besides its secret.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    consumer: Option<Box<str>>,
    group: Said<Box<str>>,
    scopes: Said<Vec<Box<str>>>,
    claims: Said<Vec<(Box<str>, Box<str>)>>,
    expires: Said<u64>,
    note: Said<Box<str>>,
}

impl Facts {
    /// Writes into a record what is said.
    pub(super) fn apply(&self, record: &mut Record) {
        if let Some(consumer) = &self.consumer {
            record.consumer.clone_from(consumer);
        }
        self.group.apply(&mut record.group);
        self.note.apply(&mut record.note);
        self.expires.apply(&mut record.expires);
        match &self.scopes {
            Said::Nothing => {}
            Said::Gone => record.scopes.clear(),
            Said::Is(scopes) => record.scopes.clone_from(scopes),
        }
        match &self.claims {
            Said::Nothing => {}
            Said::Gone => record.claims.clear(),
            Said::Is(claims) => record.claims.clone_from(claims),
        }
    }

    /// The names of what is said.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let said = [
            ("consumer", self.consumer.is_some()),
            ("group", self.group.is_something()),
            ("scopes", self.scopes.is_something()),
            ("claims", self.claims.is_something()),
            ("expires", self.expires.is_something()),
            ("note", self.note.is_something()),
        ];
        said.into_iter().filter(|(_, is_said)| *is_said).map(|(name, _)| name).collect()
    }

    /// The consumer, where it is said.
    pub(super) fn consumer(&self) -> Option<&str> {
        self.consumer.as_deref()
    }
}

impl<T> Said<T> {
    fn is_something(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

impl<T: Clone> Said<T> {
    fn apply(&self, to: &mut Option<T>) {
        match self {
            Self::Nothing => {}
            Self::Gone => *to = None,
            Self::Is(value) => *to = Some(value.clone()),
        }
    }
}

impl Members {
    /// Reads a body; an empty one has no members where that `may_be_empty`.
    ///
    /// # Errors
    /// 400 for what is no JSON object.
    pub(super) fn read(body: &[u8], may_be_empty: bool) -> Result<Self, Refusal> {
        let faults = Vec::new();
        if body.trim_ascii().is_empty() && may_be_empty {
            return Ok(Self { members: Map::new(), faults });
        }
        match json::read(body) {
            Ok(Value::Object(members)) => Ok(Self { members, faults }),
            Ok(_) => Err(Refusal::bad("the body is a JSON object")),
            Err(error) if error.is_data() => Err(Refusal::bad(format!("in the body {error}"))),
            Err(error) => Err(Refusal::bad(format!("the body is no JSON: {error}"))),
        }
    }

    /// All that may be said of a key; `consumer` must be where that `is_new`.
    pub(super) fn facts(&mut self, is_new: bool) -> Facts {
        Facts {
            consumer: self.consumer(is_new),
            group: self.text("group", GROUP),
            scopes: self.scopes(),
            claims: self.claims(),
            expires: self.expires(),
            note: self.text("note", NOTE),
        }
    }

    /// The identifier that is wished for.
    pub(super) fn id(&mut self) -> Option<String> {
        let value = self.take("id")?;
        match value.as_str() {
            Some(id) if is_id(id) => return Some(id.to_owned()),
            _ => {
                let what = format!(
                    "is no identifier: 1 to {ID} of `A-Z`, `a-z`, `0-9`, `.`, `_`, `~` and `-`, with a letter \
                     or digit first"
                );
                self.fault("/id", what);
            }
        }
        None
    }

    /// The digest of a secret that somebody else made.
    pub(super) fn digest(&mut self) -> Option<Digest> {
        let value = self.take("digest")?;
        match value.as_str().and_then(Digest::parse) {
            None => self.fault(
                "/digest",
                "is not `sha256:` with the 64 hexadecimal digits of the secret's SHA-256 digest",
            ),
            Some(digest) if digest == Digest::of(b"") => self.fault(
                "/digest",
                "is the digest of an empty text: what should have been the secret was not set",
            ),
            digest => return digest,
        }
        None
    }

    /// For how many seconds a replaced secret is accepted.
    pub(super) fn grace(&mut self) -> u64 {
        let Some(value) = self.take("grace") else { return 0 };
        match value.as_u64().filter(|grace| *grace <= GRACE) {
            Some(grace) => grace,
            None => {
                self.fault("/grace", format!("is no number of seconds from 0 to {GRACE}"));
                0
            }
        }
    }

    /// Says all that was wrong, with what nobody asked for.
    ///
    /// # Errors
    /// 400 with `errors`.
    pub(super) fn finish(mut self) -> Result<(), Refusal> {
        for name in self.members.keys() {
            let at = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            self.faults.push((at, "is no member that is known here".to_owned()));
        }
        let Some((at, what)) = self.faults.first() else { return Ok(()) };
        let detail = match self.faults.len() {
            1 => format!("`{at}` {what}"),
            count => format!("`{at}` {what}; and {} more in `errors`", count - 1),
        };
        let error = |(at, what): &(String, String)| json!({ "pointer": at, "detail": what });
        let errors: Vec<_> = self.faults.iter().map(error).collect();
        Err(Refusal::new(StatusCode::BAD_REQUEST, detail).with("errors", json!(errors)))
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    fn said(&mut self, name: &str) -> Said<Value> {
        match self.members.remove(name) {
            None => Said::Nothing,
            Some(Value::Null) => Said::Gone,
            Some(value) => Said::Is(value),
        }
    }

    fn fault(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.faults.push((at.into(), what.into()));
    }

    fn consumer(&mut self, is_new: bool) -> Option<Box<str>> {
        match self.text("consumer", CONSUMER) {
            Said::Is(consumer) => return Some(consumer),
            Said::Gone => self.fault("/consumer", "is whose the key is, and cannot be taken away"),
            Said::Nothing if is_new && !self.faults.iter().any(|(at, _)| at == "/consumer") => {
                self.fault("/consumer", "is required: whose is the key?");
            }
            Said::Nothing => {}
        }
        None
    }

    /// A text on one line.
    fn text(&mut self, name: &str, most: usize) -> Said<Box<str>> {
        match self.said(name) {
            Said::Nothing => Said::Nothing,
            Said::Gone => Said::Gone,
            Said::Is(Value::String(text)) if is_line(&text, most) => Said::Is(text.into()),
            Said::Is(_) => {
                let what = format!("is no text of 1 to {most} characters on one line");
                self.fault(format!("/{name}"), what);
                Said::Nothing
            }
        }
    }

    fn scopes(&mut self) -> Said<Vec<Box<str>>> {
        let items = match self.said("scopes") {
            Said::Nothing => return Said::Nothing,
            Said::Gone => return Said::Gone,
            Said::Is(Value::Array(items)) if items.len() <= SCOPES => items,
            Said::Is(_) => {
                self.fault("/scopes", format!("is no list of up to {SCOPES} scopes"));
                return Said::Nothing;
            }
        };
        let mut scopes = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str().filter(|text| is_scope(text)) {
                Some(scope) => scopes.push(scope.into()),
                None => {
                    let what = format!(
                        "is no scope: 1 to {SCOPE} characters of visible ASCII without `\"` and `\\`"
                    );
                    self.fault(format!("/scopes/{index}"), what);
                }
            }
        }
        Said::Is(scopes)
    }

    fn claims(&mut self) -> Said<Vec<(Box<str>, Box<str>)>> {
        let members = match self.said("claims") {
            Said::Nothing => return Said::Nothing,
            Said::Gone => return Said::Gone,
            Said::Is(Value::Object(members)) if members.len() <= CLAIMS => members,
            Said::Is(_) => {
                self.fault("/claims", format!("is no object with up to {CLAIMS} members"));
                return Said::Nothing;
            }
        };
        let mut claims: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(members.len());
        for (name, value) in members {
            if !is_line(&name, CLAIM) {
                let what =
                    format!("has a name that is no text of 1 to {CLAIM} characters on one line");
                self.fault("/claims", what);
                continue;
            }
            claims.push((name.into(), value.to_string().into()));
        }
        let bytes: usize = claims.iter().map(|(name, text)| name.len() + text.len()).sum();
        if bytes > CLAIM_BYTES {
            self.fault("/claims", format!("has {bytes} bytes, and may have {CLAIM_BYTES}"));
        }
        Said::Is(claims)
    }

    fn expires(&mut self) -> Said<u64> {
        let at = match self.said("expires") {
            Said::Nothing => return Said::Nothing,
            Said::Gone => return Said::Gone,
            Said::Is(value) => value.as_u64().filter(|at| *at <= LAST),
        };
        match at {
            Some(at) if at > now() => return Said::Is(at),
            Some(_) => self.fault("/expires", "is in the past"),
            None => self.fault("/expires", "is no time in seconds since 1970, such as 1830297600"),
        }
        Said::Nothing
    }
}

/// Whether a text can be an identifier: it stands in paths, as it is.
pub(super) fn is_id(text: &str) -> bool {
    text.len() <= ID
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
}

fn is_line(text: &str, most: usize) -> bool {
    !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
}

fn is_scope(text: &str) -> bool {
    let is_of = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.len() <= SCOPE && text.bytes().all(is_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(body: &Value, is_new: bool) -> Vec<String> {
        let mut members = Members::read(body.to_string().as_bytes(), false).expect("an object");
        members.facts(is_new);
        let _said = (members.id(), members.digest(), members.grace());
        let Err(refusal) = members.finish() else { return Vec::new() };
        let errors = refusal.document("1")["errors"].clone();
        let at = |error: &Value| error["pointer"].as_str().expect("a place").to_owned();
        errors.as_array().expect("a list").iter().map(at).collect()
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let fine = json!({
            "id": "a.B-9", "consumer": "acme", "group": "gold", "scopes": ["orders:read"],
            "claims": { "tenant": { "id": 7 } }, "expires": LAST, "note": "for the till",
            "digest": format!("sha256:{}", "aB".repeat(32)), "grace": 60,
        });
        assert_eq!(faults(&fine, true), Vec::<String>::new());
        let wrong = json!({
            "id": "-a", "consumer": "", "group": 7, "scopes": ["a b", "c", 1], "claims": [],
            "expires": 1, "note": "a\nb", "digest": "sha256:ab", "grace": GRACE + 1, "a/b": 1,
        });
        let expected = [
            "/consumer",
            "/group",
            "/scopes/0",
            "/scopes/2",
            "/claims",
            "/expires",
            "/note",
            "/id",
            "/digest",
            "/grace",
            "/a~1b",
        ];
        assert_eq!(faults(&wrong, true), expected);
        assert_eq!(faults(&json!({}), true), ["/consumer"]);
        assert_eq!(faults(&json!({}), false), Vec::<String>::new());
        assert_eq!(
            faults(&json!({ "consumer": null, "group": null, "scopes": null }), false),
            ["/consumer"]
        );
        let long = json!({ "claims": { "a": "b".repeat(CLAIM_BYTES) } });
        assert_eq!(faults(&long, false), ["/claims"]);
        for wrong in ["", "[]", "1", "{", "{\"consumer\":\"a\",\"consumer\":\"b\"}"] {
            assert!(Members::read(wrong.as_bytes(), false).is_err(), "{wrong}");
        }
        assert!(Members::read(b"", true).is_ok());
    }
}
