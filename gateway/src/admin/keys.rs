//! `/keys`: API keys, added, shown, changed, rotated and revoked.
//!
//! Owns how a key is shown, and that its secret is answered once and kept nowhere: neither in the log nor in the
//! audit log. Who makes a change is the set's keeper.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Admin;
use super::audit::Entry;
use super::call::{Answer, Call, Refusal, Reply};
use super::key_input::{Members, is_id};
use super::page::{MOST, number};
use super::router::Waiting;
use crate::state::key_sets::record::{Digest, Key, Old, Record, now};
use crate::state::key_sets::secret::{self, NoRandom};
use crate::state::key_sets::{ChangeError, KeySet, Refused};

/// Keys of an answer where nothing is asked.
const USUAL: usize = 100;

/// A change that is about to be made.
struct Begun {
    entry: Entry,
    set: Arc<KeySet>,
    id: String,
}

/// `GET /keys`.
pub(super) fn sets(admin: &Admin, call: &Call) -> Answer {
    call.known([])?;
    let in_force = admin.in_force();
    let definitions = in_force.config.keys.iter();
    let sets = definitions.filter_map(|it| admin.0.key_sets.find(&in_force.config, &it.name));
    let show = |set: Arc<KeySet>| {
        json!({
            "name": set.name(),
            "store": set.store(),
            "is_shared": set.is_shared(),
            "is_read": set.generation() > 0,
            "keys": set.len(),
            "failure": set.failure(),
        })
    };
    Ok(Reply::json(json!({ "sets": sets.map(show).collect::<Vec<_>>() })))
}

/// `GET /keys/{set}`.
pub(super) fn list<'a>(admin: &'a Admin, call: &'a Call) -> Waiting<'a> {
    Box::pin(async {
        let [limit, after, consumer] = call.known(["limit", "after", "consumer"])?;
        let limit = number("limit", limit.as_deref(), 1, MOST)?.unwrap_or(USUAL);
        let set = read_set_of(admin, call)?;
        let (keys, total, more) = set.page(after.as_deref(), limit, consumer.as_deref());
        let uses = set.last_uses(&keys).await;
        let next = keys.last().filter(|_| more).map(|key| key.id.clone());
        let shown: Vec<_> = keys.iter().zip(uses).map(|(key, used)| show(key, used)).collect();
        Ok(plain(&json!({ "total": total, "keys": shown, "next": next })))
    })
}

/// `GET /keys/{set}/{id}`.
pub(super) fn one<'a>(admin: &'a Admin, call: &'a Call) -> Waiting<'a> {
    Box::pin(async {
        call.known([])?;
        let set = read_set_of(admin, call)?;
        let key = set.key(id_of(call)).ok_or_else(no_such_key)?;
        shown(&set, &key).await
    })
}

/// `POST /keys/{set}`.
pub(super) fn add<'a>(admin: &'a Admin, call: &'a Call) -> Waiting<'a> {
    Box::pin(async {
        call.known([])?;
        let set = set_of(admin, call)?;
        let mut members = Members::read(&call.body, false)?;
        let facts = members.facts(true);
        let (id, digest) = (members.id(), members.digest());
        members.finish()?;
        let id = id.map_or_else(secret::id, Ok).map_err(no_random)?;
        let (secret, digest) = secret_or(digest, &prefix(admin, &set))?;
        let mut record = Record {
            tag: secret::tag().map_err(no_random)?,
            digest,
            consumer: Box::default(),
            group: None,
            scopes: Vec::new(),
            claims: Vec::new(),
            note: None,
            created: now(),
            rotated: None,
            expires: None,
            old: None,
        };
        facts.apply(&mut record);
        let what = json!({ "set": set.name(), "id": id, "consumer": facts.consumer() });
        let begun = begin(admin, call, "key-add", what, set, id)?;
        let make = move |before: Option<&Record>| match before {
            Some(_) => Err(Refused::Exists),
            None => Ok(Some(record.clone())),
        };
        begun.made("added", make, move |key| with_secret(key, secret)).await
    })
}

/// `PATCH /keys/{set}/{id}`.
pub(super) fn change<'a>(admin: &'a Admin, call: &'a Call) -> Waiting<'a> {
    Box::pin(async {
        call.known([])?;
        let set = set_of(admin, call)?;
        let mut members = Members::read(&call.body, false)?;
        let facts = members.facts(false);
        members.finish()?;
        let tag = secret::tag().map_err(no_random)?;
        let changed = json!({ "changed": facts.names() });
        let begun = begin_of_key(admin, call, "key-change", set, changed)?;
        let make = move |before: Option<&Record>| {
            let mut after = before.ok_or(Refused::NotFound)?.clone();
            facts.apply(&mut after);
            after.tag.clone_from(&tag);
            Ok(Some(after))
        };
        begun.made("changed", make, |key| show(key, key.last_used())).await
    })
}

/// `POST /keys/{set}/{id}/rotate`.
pub(super) fn rotate<'a>(admin: &'a Admin, call: &'a Call) -> Waiting<'a> {
    Box::pin(async {
        call.known([])?;
        let set = set_of(admin, call)?;
        let mut members = Members::read(&call.body, true)?;
        let (grace, digest) = (members.grace(), members.digest());
        members.finish()?;
        let (secret, digest) = secret_or(digest, &prefix(admin, &set))?;
        let (tag, now) = (secret::tag().map_err(no_random)?, now());
        let kept = json!({ "grace": grace });
        let begun = begin_of_key(admin, call, "key-rotate", set, kept)?;
        let id = Box::<str>::from(&*begun.id);
        let make = move |before: Option<&Record>| {
            let mut after = before.ok_or(Refused::NotFound)?.clone();
            if after.digest == digest {
                return Err(Refused::DigestOf(id.clone()));
            }
            let old = Old { digest: after.digest, until: now.saturating_add(grace) };
            after.old = (grace > 0).then_some(old);
            (after.digest, after.rotated) = (digest, Some(now));
            after.tag.clone_from(&tag);
            Ok(Some(after))
        };
        begun.made("rotated", make, move |key| with_secret(key, secret)).await
    })
}

/// `DELETE /keys/{set}/{id}`.
pub(super) fn revoke<'a>(admin: &'a Admin, call: &'a Call) -> Waiting<'a> {
    Box::pin(async {
        call.known([])?;
        let set = set_of(admin, call)?;
        let begun = begin_of_key(admin, call, "key-revoke", set, json!({}))?;
        let make = |before: Option<&Record>| before.map(|_| None).ok_or(Refused::NotFound);
        begun.made("revoked", make, |key| show(key, key.last_used())).await
    })
}

fn set_of(admin: &Admin, call: &Call) -> Result<Arc<KeySet>, Refusal> {
    let name = call.path.first().map_or("", String::as_str);
    let in_force = admin.in_force();
    let found = admin.0.key_sets.find(&in_force.config, name);
    let known = in_force.config.keys.iter().map(|set| &*set.name);
    found.ok_or_else(|| Refusal::no_such("set of keys: `[keys.NAME]` makes one", name, known))
}

/// One of which it is known what is in it.
fn read_set_of(admin: &Admin, call: &Call) -> Result<Arc<KeySet>, Refusal> {
    let set = set_of(admin, call)?;
    if set.generation() == 0 {
        let why = set.failure().unwrap_or_else(|| "they are being read".to_owned());
        let why = format!("the keys have not been read yet: {why}");
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
    }
    Ok(set)
}

fn id_of(call: &Call) -> &str {
    call.path.get(1).map_or("", String::as_str)
}

fn no_such_key() -> Refusal {
    Refusal::not_found(Refused::NotFound.to_string())
}

fn no_random(_: NoRandom) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the system gives no random numbers")
}

/// What secrets of a set begin with.
fn prefix(admin: &Admin, set: &KeySet) -> String {
    let in_force = admin.in_force();
    let definition = in_force.config.keys.iter().find(|it| it.name == set.name());
    definition.map_or_else(|| "gw".to_owned(), |it| it.prefix.clone())
}

/// A new secret with its digest, unless somebody else made one.
fn secret_or(digest: Option<Digest>, prefix: &str) -> Result<(Option<String>, Digest), Refusal> {
    if let Some(digest) = digest {
        return Ok((None, digest));
    }
    let secret = secret::secret(prefix).map_err(no_random)?;
    let digest = Digest::of(secret.as_bytes());
    Ok((Some(secret), digest))
}

fn begin(
    admin: &Admin,
    call: &Call,
    action: &'static str,
    what: Value,
    set: Arc<KeySet>,
    id: String,
) -> Result<Begun, Refusal> {
    Ok(Begun { entry: Entry::of(admin, call, action, what)?, set, id })
}

/// A change of a key that is there, with what the audit log says of it besides.
fn begin_of_key(
    admin: &Admin,
    call: &Call,
    action: &'static str,
    set: Arc<KeySet>,
    more: Value,
) -> Result<Begun, Refusal> {
    let id = id_of(call).to_owned();
    if !is_id(&id) {
        return Err(no_such_key());
    }
    let mut what = json!({ "set": set.name(), "id": id });
    if let (Value::Object(what), Value::Object(more)) = (&mut what, more) {
        what.extend(more);
    }
    begin(admin, call, action, what, set, id)
}

impl Begun {
    /// Has the change made, in a task of its own: it is finished, and written down, whether or not somebody waits
    /// for it.
    async fn made(
        self,
        done: &'static str,
        make: impl Fn(Option<&Record>) -> Result<Option<Record>, Refused> + Send + 'static,
        shown: impl FnOnce(&Key) -> Value + 'static,
    ) -> Answer {
        let Self { entry, set, id } = self;
        let made = tokio::task::spawn_local(async move {
            let made = set.change(&id, make).await;
            entry.done(match &made {
                Ok(_) => done,
                Err(ChangeError::Refused(_)) => "refused",
                Err(ChangeError::Unavailable(_)) => "unavailable",
                Err(ChangeError::Unknown(_)) => "unknown",
            });
            made
        });
        let gone = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway is about to end");
        let key = made.await.map_err(gone)?.map_err(refusal)?;
        Ok(plain(&shown(&key)))
    }
}

fn refusal(error: ChangeError) -> Refusal {
    match error {
        ChangeError::Refused(Refused::NotFound) => no_such_key(),
        ChangeError::Refused(refused) => Refusal::new(StatusCode::CONFLICT, refused.to_string()),
        ChangeError::Unavailable(why) => {
            let why = format!("the change is not made, since the store cannot be had: {why}");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
        }
        ChangeError::Unknown(why) => {
            let why = format!("the store did not say whether it made the change, so look: {why}");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
        }
    }
}

async fn shown(set: &KeySet, key: &Arc<Key>) -> Answer {
    let used = set.last_uses(std::slice::from_ref(key)).await;
    Ok(plain(&show(key, used.first().copied().unwrap_or_default())))
}

/// Nothing here is from the configuration, so that nothing needs to be taken out of it; and nothing may be, from
/// a secret.
fn plain(value: &Value) -> Reply {
    Reply::text("application/json", format!("{value}\n"))
}

fn with_secret(key: &Key, secret: Option<String>) -> Value {
    json!({ "key": show(key, key.last_used()), "secret": secret })
}

fn show(key: &Key, used: u64) -> Value {
    let record = &key.record;
    let claim = |(name, text): &(Box<str>, Box<str>)| {
        (name.to_string(), serde_json::from_str(text).unwrap_or_default())
    };
    let claims: Map<String, Value> = record.claims.iter().map(claim).collect();
    let now = now();
    let is_over = record.expires.is_some_and(|end| end <= now);
    json!({
        "id": key.id,
        "consumer": record.consumer,
        "group": record.group,
        "scopes": record.scopes,
        "claims": claims,
        "note": record.note,
        "state": if is_over { "expired" } else { "active" },
        "created": record.created,
        "rotated": record.rotated,
        "expires": record.expires,
        "old_secret_until": record.old.map(|old| old.until).filter(|until| *until > now),
        "last_used": (used > 0).then_some(used),
    })
}
