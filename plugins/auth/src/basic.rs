//! Names with passwords: the Basic scheme (RFC 7617).
//!
//! Owns users and their hashes. The verification itself is the gateway's, since it takes
//! milliseconds by design.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use gateway_plugin_sdk::password::PasswordError;
use gateway_plugin_sdk::{clock, digest, password, random};

use crate::cache::Cache;
use crate::config::{BasicConfig, UserSpec};
use crate::consumer::{Admission, Consumer, Policy, check_scopes, is_name};
use crate::problems::{Pointer, Problems};
use crate::refusal::Refusal;
use crate::time;

/// The longest credential that is looked at, in bytes of base64.
const MAX_CREDENTIAL: usize = 4 * 1024;

/// The longest time for which a password is remembered: that long it outlives its hash's cost.
const MAX_REMEMBER: Duration = Duration::from_secs(3600);

/// How many passwords are remembered.
const REMEMBERED: usize = 256;

/// What the gateway's `password` interface bears: KiB of memory and passes.
const MAX_MEMORY: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;

/// The configured users.
#[derive(Debug)]
pub(crate) struct Users {
    users: Vec<User>,
    remember: Duration,
    /// Makes the digests of remembered passwords useless elsewhere.
    salt: Vec<u8>,
    remembered: Cache<(Duration, Rc<Admission>)>,
}

#[derive(Debug)]
struct User {
    name: String,
    hash: String,
    admission: Rc<Admission>,
}

impl Users {
    /// Checks the users.
    pub(crate) fn new(config: &BasicConfig, policy: &Policy, problems: &mut Problems) -> Self {
        let at = Pointer::default().key("basic");
        let remember = match time::duration(&config.remember) {
            Ok(remember) if remember <= MAX_REMEMBER => remember,
            Ok(_) => {
                problems.add(&at.key("remember"), "is longer than an hour");
                Duration::ZERO
            }
            Err(message) => {
                problems.add(&at.key("remember"), message);
                Duration::ZERO
            }
        };
        let at = at.key("users");
        if config.users.is_empty() {
            problems.add(&at, "no user is named, so none could be admitted");
        }
        let mut names = BTreeSet::new();
        let mut users = Vec::with_capacity(config.users.len());
        for (index, spec) in config.users.iter().enumerate() {
            let at = at.index(index);
            if !names.insert(&spec.name) {
                problems.add(&at.key("name"), "is the name of another user");
            }
            users.push(User::new(spec, policy, &at, problems));
        }
        let capacity = if remember.is_zero() { 0 } else { REMEMBERED };
        Self { users, remember, salt: random::bytes(32), remembered: Cache::new(capacity) }
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
        // Nobody's password takes as long as somebody's, so that time tells no names.
        let hash = user.or(self.users.first()).map_or("", |user| &user.hash);
        match (password::verify(hash, password), user) {
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

impl User {
    fn new(spec: &UserSpec, policy: &Policy, at: &Pointer, problems: &mut Problems) -> Self {
        let consumer = spec.consumer.as_deref().unwrap_or(&spec.name);
        if !is_name(&spec.name) || spec.name.contains(':') {
            problems.add(&at.key("name"), "is no name of 1 to 1024 bytes without a colon");
        }
        if !is_name(consumer) {
            problems.add(&at.key("consumer"), "is no name of 1 to 1024 bytes on one line");
        }
        check_scopes(&spec.scopes, &at.key("scopes"), problems);
        if let Err(message) = check_hash(&spec.hash) {
            problems.add(&at.key("hash"), message);
        }
        let scopes: Vec<&str> = spec.scopes.iter().map(String::as_str).collect();
        let admission = policy.admit(&Consumer {
            id: consumer,
            method: "basic",
            key_id: &spec.name,
            scopes: &scopes,
            claims: &spec.claims,
        });
        let (name, hash) = (spec.name.clone(), spec.hash.clone());
        Self { name, hash, admission: Rc::new(admission) }
    }
}

/// Whether a text looks like a hash that the gateway verifies.
fn check_hash(hash: &str) -> Result<(), &'static str> {
    const NEITHER: &str = "is neither an argon2 hash (`$argon2id$...`) nor a bcrypt hash \
                           (`$2b$...`)";
    let mut parts = hash.split('$');
    match (parts.next(), parts.next()) {
        (Some(""), Some("2a" | "2b" | "2y")) => check_bcrypt(hash),
        (Some(""), Some("argon2id" | "argon2i" | "argon2d")) => check_argon2(parts.collect()),
        _ => Err(NEITHER),
    }
}

/// A cost of 4 to 31, then 22 digits of salt and 31 of hash.
fn check_bcrypt(hash: &str) -> Result<(), &'static str> {
    const MALFORMED: &str = "is no whole bcrypt hash: `$2b$`, two digits, `$`, 53 letters";
    let rest = hash.get(4..).unwrap_or_default();
    let (cost, rest) = rest.split_once('$').ok_or(MALFORMED)?;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let digits = cost.len() == 2 && number(cost).is_some_and(|cost| (4..=31).contains(&cost));
    if digits && rest.len() == 53 && rest.bytes().all(valid) { Ok(()) } else { Err(MALFORMED) }
}

/// Version, parameters, salt and hash of a PHC string.
fn check_argon2(parts: Vec<&str>) -> Result<(), &'static str> {
    const MALFORMED: &str = "is no whole argon2 hash: `$argon2id$v=19$m=...,t=...,p=...$` with \
                             salt and hash in base64";
    let ([_, parameters, salt, hash] | [parameters, salt, hash]) = parts[..] else {
        return Err(MALFORMED);
    };
    if parts.len() == 4 && !matches!(parts[0], "v=19" | "v=16") {
        return Err(MALFORMED);
    }
    let decodes = |text, least| STANDARD_NO_PAD.decode(text).is_ok_and(|all| all.len() >= least);
    if !decodes(salt, 8) || !decodes(hash, 4) {
        return Err(MALFORMED);
    }
    let (mut memory, mut passes, mut lanes) = (None, None, None);
    for parameter in parameters.split(',') {
        let (name, value) = parameter.split_once('=').ok_or(MALFORMED)?;
        let value = number(value).ok_or(MALFORMED)?;
        match name {
            "m" => memory = Some(value),
            "t" => passes = Some(value),
            "p" => lanes = Some(value),
            _ => return Err(MALFORMED),
        }
    }
    let (Some(memory), Some(passes), Some(1..)) = (memory, passes, lanes) else {
        return Err(MALFORMED);
    };
    if memory > MAX_MEMORY || passes > MAX_PASSES {
        return Err("asks for more than 256 MiB (`m=262144`) or 16 passes (`t=16`)");
    }
    Ok(())
}

/// Digits alone: `parse` would take a sign too.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
