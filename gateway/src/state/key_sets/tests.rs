//! Sets on a real file, without a gateway around them.

use std::sync::Arc;
use std::time::Instant;

use super::record::{Digest, Old, Record, now};
use super::{ChangeError, KeySet, NotFound, Refused};
use crate::config::{self, Store, StoreKind};
use crate::state::State;

fn definition(folder: &std::path::Path) -> config::KeySet {
    let kind = StoreKind::File { path: folder.join("state.db") };
    let store = Arc::new(Store { name: "kept".to_owned(), span: 0..0, kind });
    config::KeySet { name: "partners".to_owned(), store, prefix: "gw".to_owned() }
}

/// A set that was read.
fn open(definition: &config::KeySet) -> (State, Arc<KeySet>) {
    let state = State::default();
    state.named.open(&definition.store, &state.metrics).unwrap();
    let set = state.key_sets.of(definition);
    state.key_sets.begin();
    state.key_sets.wait_for_first();
    assert_eq!(set.failure(), None);
    (state, set)
}

fn close(state: &State) {
    state.key_sets.finish();
    state.named.finish();
}

fn record(secret: &str, tag: &str) -> Record {
    Record {
        tag: tag.into(),
        digest: Digest::of(secret.as_bytes()),
        consumer: "acme".into(),
        group: Some("gold".into()),
        scopes: vec!["orders:read".into()],
        claims: vec![("tenant".into(), "7".into())],
        note: None,
        created: now(),
        rotated: None,
        expires: None,
        old: None,
    }
}

fn found(set: &KeySet, secret: &str) -> Result<String, NotFound> {
    set.find(Digest::of(secret.as_bytes()), |found| found.id.to_owned())
}

async fn add(set: &KeySet, id: &str, record: Record) -> Result<(), ChangeError> {
    let make = move |before: Option<&Record>| match before {
        Some(_) => Err(Refused::Exists),
        None => Ok(Some(record.clone())),
    };
    set.change(id, make).await.map(drop)
}

async fn revoke(set: &KeySet, id: &str) -> Result<(), ChangeError> {
    set.change(id, |before| before.map(|_| None).ok_or(Refused::NotFound)).await.map(drop)
}

#[tokio::test]
async fn a_change_is_in_force_when_it_is_answered_and_is_another_generation() {
    let folder = tempfile::tempdir().unwrap();
    let definition = definition(folder.path());
    let (state, set) = open(&definition);
    let first = set.generation();
    assert_eq!(found(&set, "one"), Err(NotFound::Unknown));
    add(&set, "a", record("one", "1")).await.unwrap();
    let second = set.generation();
    assert!(second > first);
    assert_eq!(found(&set, "one").as_deref(), Ok("a"));
    let again = add(&set, "a", record("two", "1")).await;
    assert_eq!(again, Err(ChangeError::Refused(Refused::Exists)));
    let stolen = add(&set, "b", record("one", "1")).await;
    assert_eq!(stolen, Err(ChangeError::Refused(Refused::DigestOf("a".into()))));
    assert_eq!(set.generation(), second, "what is refused changes nothing");

    let until = now() + 3600;
    let rotated = set.change("a", move |before| {
        let mut after = before.ok_or(Refused::NotFound)?.clone();
        after.old = Some(Old { digest: after.digest, until });
        after.digest = Digest::of(b"new");
        Ok(Some(after))
    });
    rotated.await.unwrap();
    let ends = |secret: &str| set.find(Digest::of(secret.as_bytes()), |found| found.until);
    assert_eq!((ends("one"), ends("new")), (Ok(Some(until)), Ok(None)));

    revoke(&set, "a").await.unwrap();
    assert_eq!(found(&set, "one"), Err(NotFound::Unknown));
    assert_eq!(found(&set, "new"), Err(NotFound::Unknown));
    assert_eq!(revoke(&set, "a").await, Err(ChangeError::Refused(Refused::NotFound)));
    close(&state);
    assert!(matches!(add(&set, "c", record("c", "1")).await, Err(ChangeError::Unavailable(_))));
}

#[tokio::test]
async fn what_is_known_of_a_key_and_its_last_use_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let definition = definition(folder.path());
    let (state, set) = open(&definition);
    add(&set, "a", record("one", "1")).await.unwrap();
    add(&set, "b", record("two", "1")).await.unwrap();
    found(&set, "one").unwrap();
    let used = set.key("a").unwrap().last_used();
    assert!(used > 0);
    close(&state);
    drop(state);
    let (state, set) = open(&definition);
    let (one, two) = (set.key("a").unwrap(), set.key("b").unwrap());
    assert_eq!((one.last_used(), two.last_used()), (used, 0));
    assert_eq!(one.record.scopes, [Box::<str>::from("orders:read")]);
    assert_eq!(found(&set, "two").as_deref(), Ok("b"));
    close(&state);
}

#[tokio::test]
async fn an_expired_key_is_none_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (state, set) = open(&definition(folder.path()));
    let over = Record { expires: Some(now() - 1), ..record("one", "1") };
    add(&set, "a", over).await.unwrap();
    assert_eq!(found(&set, "one"), Err(NotFound::Expired));
    let until = now() + 1;
    add(&set, "b", Record { expires: Some(until), ..record("two", "1") }).await.unwrap();
    let before = set.generation();
    let waited = Instant::now();
    while set.generation() == before {
        assert!(waited.elapsed().as_secs() < 60, "what followed from it ends with it");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(found(&set, "two"), Err(NotFound::Expired));
    assert_eq!(set.len(), 2, "it is shown until it is revoked");
    close(&state);
}

#[test]
fn a_set_that_nobody_reads_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let set = KeySet::new(&definition(folder.path()), State::default().metrics.of_key_set("a"));
    assert_eq!((found(&set, "one"), set.generation()), (Err(NotFound::Unread), 0));
}

/// How large 100,000 keys are, and how long they take. Run with `--nocapture` it tells.
#[tokio::test]
async fn a_hundred_thousand_keys_are_read_found_and_paged_through() {
    const KEYS: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let definition = definition(folder.path());
    let state = State::default();
    state.named.open(&definition.store, &state.metrics).unwrap();
    let file = state.named.file(Some(&definition.store)).unwrap();
    let texts: Vec<_> = (0..KEYS)
        .map(|index| {
            let consumer = format!("consumer-{}", index % 1000).into();
            let record = Record { consumer, ..record(&format!("secret-{index}"), "1") };
            (format!("key-{index:06}"), serde_json::to_string(&record).unwrap())
        })
        .collect();
    let written = file.run(move |database| database.put_keys("partners", &texts)).await;
    written.unwrap();

    let (before, began) = (resident(), Instant::now());
    let set = state.key_sets.of(&definition);
    state.key_sets.begin();
    state.key_sets.wait_for_first();
    let read = began.elapsed();
    assert_eq!(set.len(), KEYS);
    let grown = resident().saturating_sub(before);

    let digests: Vec<_> =
        (0..KEYS).map(|index| Digest::of(format!("secret-{index}").as_bytes())).collect();
    let began = Instant::now();
    for digest in &digests {
        assert!(set.find(*digest, |found| found.until).is_ok());
    }
    let find = began.elapsed() / KEYS as u32;

    let (mut after, mut seen, mut pages) = (None::<Box<str>>, 0, 0);
    let began = Instant::now();
    loop {
        let (keys, total, more) = set.page(after.as_deref(), 1000, None);
        assert_eq!(total, KEYS);
        (seen, pages) = (seen + keys.len(), pages + 1);
        after = keys.last().map(|key| key.id.clone());
        if !more {
            break;
        }
    }
    let page = began.elapsed() / pages;
    assert_eq!(seen, KEYS);
    let began = Instant::now();
    let (some, total, more) = set.page(Some("key-050000"), 1000, Some("consumer-7"));
    let filtered = began.elapsed();
    assert_eq!((some.len(), total, more), (50, 100, false));
    assert!(some.iter().all(|key| &*key.record.consumer == "consumer-7"));
    let began = Instant::now();
    revoke(&set, "key-000007").await.unwrap();
    println!(
        "{KEYS} keys: read in {read:?}, {grown} KiB, found in {find:?}, a page of 1000 in {page:?}, \
         filtered in {filtered:?}, revoked in {:?}",
        began.elapsed()
    );
    close(&state);
}

/// KiB of memory of the process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
