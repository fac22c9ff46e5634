//! What a line of a document says of a key.
//!
//! Owns its members and their forms and bounds, which are those that the admin API has for managed keys: what one takes the
//! other takes. All that is wrong with a line is told at once, and no value, which may be a secret in the wrong place.

use std::time::Duration;

use gateway_plugin_identity::consumer::is_scope;
use gateway_plugin_identity::{json, time};
use gateway_plugin_sdk::digest;
use serde_json::{Map, Value};

use super::{EMPTY, NO_DIGEST, parse_digest};
use crate::config::ApiKeySpec;

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
/// All members.
const MEMBERS: [&str; 8] =
    ["id", "digest", "consumer", "group", "scopes", "claims", "expires", "note"];
/// Bytes of all claims, as JSON.
const CLAIM_BYTES: usize = 8 << 10;

/// A key that somebody serves.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) spec: ApiKeySpec,
    /// Since 1970.
    pub(super) expires: Option<Duration>,
}

/// What a line says, as far as it can be read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) id: Option<String>,
    pub(super) digest: Option<[u8; 32]>,
    /// The key, if nothing is wrong.
    pub(super) served: Option<Served>,
    pub(super) wrong: Vec<String>,
}

/// The key of a line.
///
/// # Errors
/// Why it is no JSON object, with the column.
pub(super) fn key(line: &[u8]) -> Result<Read, String> {
    let members = match json::read(line) {
        Ok(Some(members)) => members,
        Ok(None) => return Err("this is no JSON object with one key".to_owned()),
        Err(error) if error.is_data() => {
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default();
            return Err(format!("column {}: {said}", error.column()));
        }
        Err(error) => return Err(format!("column {}: it stops being JSON here", error.column())),
    };
    Ok(Members { members, wrong: Vec::new() }.read())
}

/// The members of a line that were not read yet, and what was wrong with the others.
struct Members {
    members: Map<String, Value>,
    wrong: Vec<String>,
}

impl Members {
    fn read(mut self) -> Read {
        let id = self.id();
        let digest = self.digest();
        let consumer = self.line("consumer", CONSUMER);
        let group = self.line("group", GROUP);
        let scopes = self.scopes();
        let claims = self.claims();
        let expires = self.expires();
        // It is for people.
        let _note = self.line("note", NOTE);
        for name in self.members.keys() {
            let meant = MEMBERS.into_iter().find(|known| is_slip(name, known));
            let shown: String = name.chars().take(ID).collect();
            self.wrong.push(match meant {
                Some(meant) => format!("there is no member `{shown}`; did you mean `{meant}`?"),
                None => format!("there is no member `{shown}`"),
            });
        }
        let served = id.as_ref().filter(|_| self.wrong.is_empty()).map(|id| Served {
            spec: ApiKeySpec {
                id: id.clone(),
                digest: String::new(),
                consumer,
                group,
                scopes,
                claims,
                expires: None,
            },
            expires,
        });
        Read { id, digest, served, wrong: self.wrong }
    }

    /// A member. One that is null is as good as none.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    fn fault(&mut self, name: &str, what: &str) {
        self.wrong.push(format!("`{name}` {what}"));
    }

    fn id(&mut self) -> Option<String> {
        let what = format!(
            "is no identifier: 1 to {ID} of `A-Z`, `a-z`, `0-9`, `.`, `_`, `~` and `-`, with a letter or digit first"
        );
        match self.take("id") {
            Some(Value::String(id)) if is_id(&id) => return Some(id),
            Some(_) => self.fault("id", &what),
            None => self.lacks("id"),
        }
        None
    }

    /// A member is not there, unless it is misspelled, which is told by itself.
    fn lacks(&mut self, name: &str) {
        if !self.members.keys().any(|known| is_slip(known, name)) {
            self.wrong.push(format!("there is no `{name}`"));
        }
    }

    fn digest(&mut self) -> Option<[u8; 32]> {
        let Some(value) = self.take("digest") else {
            self.lacks("digest");
            return None;
        };
        match value.as_str().and_then(parse_digest) {
            Some(digest) if digest == digest::sha256(b"") => self.fault("digest", EMPTY),
            Some(digest) => return Some(digest),
            None => self.fault("digest", NO_DIGEST),
        }
        None
    }

    /// A text on one line.
    fn line(&mut self, name: &str, most: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if is_line(&text, most) => return Some(text),
            _ => self.fault(name, &format!("is no text of 1 to {most} characters on one line")),
        }
        None
    }

    fn scopes(&mut self) -> Vec<String> {
        let items = match self.take("scopes") {
            None => return Vec::new(),
            Some(Value::Array(items)) if items.len() <= SCOPES => items,
            Some(_) => {
                self.fault("scopes", &format!("is no list of up to {SCOPES} scopes"));
                return Vec::new();
            }
        };
        let mut scopes = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str().filter(|it| is_scope(it) && it.len() <= SCOPE) {
                Some(scope) => scopes.push(scope.to_owned()),
                None => {
                    let what = format!(
                        "is no scope: 1 to {SCOPE} characters of visible ASCII without `\"` and `\\`"
                    );
                    self.fault(&format!("scopes/{index}"), &what);
                }
            }
        }
        scopes
    }

    fn claims(&mut self) -> Map<String, Value> {
        let claims = match self.take("claims") {
            None => return Map::new(),
            Some(Value::Object(claims)) if claims.len() <= CLAIMS => claims,
            Some(_) => {
                self.fault("claims", &format!("is no object with up to {CLAIMS} members"));
                return Map::new();
            }
        };
        if !claims.keys().all(|name| is_line(name, CLAIM)) {
            let what = format!("has a name that is no text of 1 to {CLAIM} characters on one line");
            self.fault("claims", &what);
        }
        let bytes: usize =
            claims.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
        if bytes > CLAIM_BYTES {
            self.fault("claims", &format!("has {bytes} bytes, and may have {CLAIM_BYTES}"));
        }
        claims
    }

    /// When the key ends. Unlike where it is imported, that may be past: a document is not refused because time goes on.
    fn expires(&mut self) -> Option<Duration> {
        let at = match self.take("expires")? {
            Value::String(text) => time::date(&text).and_then(|at| u64::try_from(at).ok()),
            value => value.as_u64(),
        };
        if at.is_none() {
            let what = "is neither a date such as `2027-01-31`, nor a date-time such as `2027-01-31T12:00:00Z`, nor a \
                        number of seconds since 1970";
            self.fault("expires", what);
        }
        at.map(Duration::from_secs)
    }
}

fn is_id(text: &str) -> bool {
    text.len() <= ID
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
}

fn is_line(text: &str, most: usize) -> bool {
    !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
}

/// Whether one name was typed for another: its letters in another order, or with one too many or too few.
fn is_slip(name: &str, meant: &str) -> bool {
    let sorted = |text: &str| {
        let mut letters = text.to_ascii_lowercase().into_bytes();
        letters.sort_unstable();
        letters
    };
    let (long, short) = match name.len() > meant.len() {
        true => (name, meant),
        false => (meant, name),
    };
    let mut rest = long.bytes();
    let is_within = short.bytes().all(|letter| rest.any(|it| it == letter));
    sorted(name) == sorted(meant) || is_within && long.len() == short.len() + 1 && short.len() > 1
}
