//! Names with passwords: the Basic scheme (RFC 7617).
//!
//! Owns users and where they are listed. The verification itself is the gateway's, since it takes
//! milliseconds by design.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_plugin_sdk::password::PasswordError;
use gateway_plugin_sdk::{clock, digest, password, random};
use serde_json::Map;

use crate::cache::Cache;
use crate::config::{BasicConfig, UserSpec};
use crate::hash::{self, Hash};
use crate::refusal::Refusal;
use gateway_plugin_identity::consumer::{Admission, Consumer, Policy, check_scopes, is_name};
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::time;

/// The longest credential that is checked, in bytes of base64.
const MAX_CREDENTIAL: usize = 4 * 1024;

/// The longest time for which a password is remembered: that long it outlives its hash's cost.
const MAX_REMEMBER: Duration = Duration::from_secs(3600);

/// How many passwords are remembered.
const REMEMBERED: usize = 256;

/// The configured users.
#[derive(Debug)]
pub(crate) struct Users {
    users: Vec<User>,
    remember: Duration,
    /// Makes the digests of remembered passwords useless elsewhere.
    salt: Vec<u8>,
    remembered: Cache<(Duration, Rc<Admission>)>,
    /// Digest of all hashes, which nobody else knows.
    secret: [u8; 32],
}

#[derive(Debug)]
struct User {
    name: String,
    hash: Hash,
    admission: Rc<Admission>,
}

impl Users {
    /// Checks the users.
    pub(crate) fn new(config: &BasicConfig, policy: &Policy, problems: &mut Problems) -> Self {
        let at = Pointer::default().key("basic");
        let remember = match time::duration(&config.remember) {
            Ok(remember) if remember <= MAX_REMEMBER => remember,
            Ok(_) => {
                problems.add(&at.key("remember"), "is longer than 1h, which is the most");
                Duration::ZERO
            }
            Err(message) => {
                problems.add(&at.key("remember"), message);
                Duration::ZERO
            }
        };
        let listed = at.key("users");
        let mut names = BTreeSet::new();
        let mut users = Vec::with_capacity(config.users.len());
        for (index, spec) in config.users.iter().enumerate() {
            let at = listed.index(index);
            if !names.insert(spec.name.clone()) {
                problems.add(&at.key("name"), "is the name of another user");
            }
            users.extend(User::new(spec, policy, &at, problems));
        }
        if let Some(text) = &config.htpasswd {
            let lines = htpasswd(text, &at.key("htpasswd"), problems);
            for Line { number, name, hash } in lines {
                if !names.insert(name.clone()) {
                    let name = hash::shown(&name);
                    let message = format!("line {number}: `{name}` is the name of another user");
                    problems.add(&at.key("htpasswd"), message);
                    continue;
                }
                let consumer = Consumer {
                    id: &name,
                    method: "basic",
                    key_id: &name,
                    scopes: &[],
                    claims: &Map::new(),
                    group: None,
                };
                users.push(User::admitting(hash, &consumer, policy));
            }
        }
        if config.users.is_empty() && config.htpasswd.is_none() {
            problems.add(&listed, "no user is named, so none could be admitted");
        }
        let capacity = if remember.is_zero() { 0 } else { REMEMBERED };
        let secret = secret(&users);
        Self { users, remember, salt: random::bytes(32), remembered: Cache::new(capacity), secret }
    }

    /// What follows from a credential: base64 of name, colon and password.
    pub(crate) fn verify(&self, text: &[u8]) -> Result<Rc<Admission>, Refusal> {
        let wrong = |reason| Refusal::Invalid { bearer: false, reason };
        if text.len() > MAX_CREDENTIAL {
            return Err(wrong("the credential is longer than 4 KiB"));
        }
        let decoded = STANDARD.decode(text).map_err(|_| wrong("the credential is not base64"))?;
        let decoded = String::from_utf8(decoded).map_err(|_| wrong("the credential is no text"))?;
        let (name, password) =
            decoded.split_once(':').ok_or(wrong("the credential has no colon"))?;
        if decoded.chars().any(char::is_control) {
            return Err(wrong("the credential holds a control character"));
        }
        let digest = self.remembered.is_on().then(|| {
            let salted = [&self.salt, decoded.as_bytes()].concat();
            digest::sha256(&salted)
        });
        let remembered = digest.as_ref().and_then(|digest| self.remembered.value(digest));
        if let Some((until, admission)) = remembered
            && clock::monotonic() < until
        {
            return Ok(admission);
        }
        let admission = self.verify_anew(name, password)?;
        if let Some(digest) = digest {
            let until = clock::monotonic() + self.remember;
            self.remembered.remember(digest, (until, Rc::clone(admission)));
        }
        Ok(Rc::clone(admission))
    }

    fn verify_anew(&self, name: &str, password: &str) -> Result<&Rc<Admission>, Refusal> {
        let user = self.users.iter().find(|user| user.name == name);
        let Some(hash) = user.or_else(|| self.stand_in(name)).map(|user| &user.hash) else {
            return Err(Refusal::Failed("there is no user"));
        };
        match (password::verify(&hash.text, &hash.prepared(password)), user) {
            (Ok(true), Some(user)) => Ok(&user.admission),
            (Ok(_), _) => {
                let reason = "the name or the password is wrong";
                Err(Refusal::Invalid { bearer: false, reason })
            }
            (Err(PasswordError::Busy), _) => Err(Refusal::Busy),
            (Err(PasswordError::Unsupported), _) => {
                Err(Refusal::Failed("the gateway does not support the hash of a password"))
            }
        }
    }
}

impl Users {
    /// Whose hash is verified for a name that nobody has, so that time reveals no names. Hashes may cost differently: each
    /// name has one of them, always the same, in every gateway, and nobody can tell beforehand which.
    fn stand_in(&self, name: &str) -> Option<&User> {
        let digest = digest::sha256(&[&self.secret, name.as_bytes()].concat());
        let number =
            digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let place = number.checked_rem(self.users.len() as u64)?;
        self.users.get(usize::try_from(place).ok()?)
    }
}

fn secret(users: &[User]) -> [u8; 32] {
    let mut texts = String::new();
    for user in users {
        texts.push_str(&user.hash.text);
        texts.push('\n');
    }
    digest::sha256(texts.as_bytes())
}

impl User {
    /// A user as the configuration lists one; `None` if the password could not be verified.
    fn new(
        spec: &UserSpec,
        policy: &Policy,
        at: &Pointer,
        problems: &mut Problems,
    ) -> Option<Self> {
        let consumer = spec.consumer.as_deref().unwrap_or(&spec.name);
        if !is_name(&spec.name) || spec.name.contains(':') {
            problems.add(&at.key("name"), "is no name of 1 to 1024 bytes without a colon");
        }
        if !is_name(consumer) {
            problems.add(&at.key("consumer"), "is no name of 1 to 1024 bytes on one line");
        }
        if spec.group.as_deref().is_some_and(|group| !is_name(group)) {
            problems.add(&at.key("group"), "is no name on one line");
        }
        check_scopes(&spec.scopes, &at.key("scopes"), problems);
        let hash = match Hash::read(&spec.hash, &spec.name) {
            Ok(hash) => hash,
            Err(message) => {
                problems.add(&at.key("hash"), message);
                return None;
            }
        };
        let scopes: Vec<&str> = spec.scopes.iter().map(String::as_str).collect();
        let consumer = Consumer {
            id: consumer,
            method: "basic",
            key_id: &spec.name,
            scopes: &scopes,
            claims: &spec.claims,
            group: spec.group.as_deref(),
        };
        Some(Self::admitting(hash, &consumer, policy))
    }

    fn admitting(hash: Hash, consumer: &Consumer<'_>, policy: &Policy) -> Self {
        let (name, admission) = (consumer.key_id.to_owned(), Rc::new(policy.admit(consumer)));
        Self { name, hash, admission }
    }
}

/// The hash of a line, without the comment that nginx allows behind it and the fields that Dovecot's
/// files have there.
fn first_field(rest: &str) -> &str {
    match rest.split_once(':') {
        Some((hash, _)) if hash.trim_start().starts_with(['$', '{']) => hash,
        _ => rest,
    }
}

/// A line of an htpasswd file.
struct Line {
    number: usize,
    name: String,
    hash: Hash,
}

/// The users of an htpasswd file. Every line that is no user is reported: a line that is skipped would be
/// somebody who cannot log in, or a file that was not meant.
fn htpasswd(text: &str, at: &Pointer, problems: &mut Problems) -> Vec<Line> {
    // Old systems end lines with a carriage return alone.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let is_line = text.contains([':', '\n', '#']);
    if !is_line && !text.trim().is_empty() {
        let message = "is no text of an htpasswd file; that of a file stands in place of its name by \
                       `\"${file:NAME}\"`";
        problems.add(at, message);
        return Vec::new();
    }
    let lines = text.lines().enumerate();
    let lines = lines.map(|(index, line)| (index + 1, line.trim()));
    let mut users = Vec::new();
    let mut is_empty = true;
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        is_empty = false;
        let read = match line.split_once(':') {
            None => Err("is no `NAME:HASH`".to_owned()),
            Some((name, _)) if !is_name(name) => {
                Err("has no name of 1 to 1024 bytes in front of the colon".to_owned())
            }
            Some((name, rest)) => {
                Hash::read(first_field(rest), name).map(|hash| (name.to_owned(), hash))
            }
        };
        match read {
            Ok((name, hash)) => users.push(Line { number, name, hash }),
            Err(message) => problems.add(at, format!("line {number}: {message}")),
        }
    }
    if is_empty {
        problems.add(at, "no user is named, so none could be admitted");
    }
    users
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gateway_plugin_identity::consumer::Settings;

    use super::*;

    fn users(password: &str) -> Users {
        let hash = |cost| bcrypt::hash_with_salt(password, cost, [7; 16]).expect("a hash");
        let users: Vec<_> = (4..8)
            .map(|cost| serde_json::json!({ "name": format!("u{cost}"), "hash": hash(cost).to_string() }))
            .collect();
        let config = serde_json::from_value(serde_json::json!({ "users": users }));
        let mut problems = Problems::default();
        let headers = BTreeMap::new();
        let settings = Settings {
            headers: &headers,
            claims_to_attributes: &[],
            group_claim: None,
            require: None,
            names_groups: false,
        };
        let policy = Policy::new(settings, &[], &mut problems);
        Users::new(&config.expect("a configuration"), &policy, &mut problems)
    }

    #[test]
    fn each_unknown_name_has_one_hash_of_all_there_are() {
        let names: Vec<_> = (0..400).map(|number| format!("nobody-{number}")).collect();
        let stand_ins = |users: &Users| -> Vec<String> {
            names.iter().map(|name| users.stand_in(name).expect("one").name.clone()).collect()
        };
        let (one, another) = (stand_ins(&users("a")), stand_ins(&users("a")));
        assert_eq!(one, another, "every gateway takes the same");
        for cost in 4..8 {
            let count = one.iter().filter(|name| **name == format!("u{cost}")).count();
            assert!((60..140).contains(&count), "{cost}: {count}");
        }
        assert_ne!(one, stand_ins(&users("b")), "only who knows the hashes can tell which");
    }
}
