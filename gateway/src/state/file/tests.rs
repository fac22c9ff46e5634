//! What a file keeps under pressure, and what comes back from it.

use std::collections::HashMap;

use super::*;
use crate::state::limits::{Charge, Key, wall};
use crate::telemetry::metrics::Metrics;

const DAY: u64 = 86_400_000_000_000;
const SECRET: [u64; 2] = [1, 2];

fn durable(bytes: usize, written: &Written) -> Limits {
    Limits::new(Metrics::default().of(&"p".into()), bytes).durable(SECRET, written)
}

fn allowed(limits: &Limits, key: &str) -> bool {
    let charge = Charge { key, limit: 3, period: DAY, burst: 3, cost: 1 };
    limits.take(&[charge])[0].allowed
}

#[test]
fn buckets_come_back_as_they_were_and_no_others() {
    let limits = durable(1 << 20, &Written::default());
    assert_eq!([(); 4].map(|()| allowed(&limits, "a")), [true, true, true, false]);
    assert!(allowed(&limits, "b"));
    let again = durable(1 << 20, &limits.changes());
    assert!(!allowed(&again, "a"));
    assert_eq!([(); 3].map(|()| allowed(&again, "b")), [true, true, false]);
    assert!(allowed(&again, "c"));
    assert_eq!(limits.changes(), Written::default(), "it is told once");
}

#[test]
fn who_floods_the_memory_and_has_the_gateway_restarted_resets_nobody() {
    // 64 sets of ten buckets.
    let limits = durable(16 << 10, &Written::default());
    for _ in 0..3 {
        assert!(allowed(&limits, "victim"));
    }
    let (mut rows, mut floor) = (HashMap::new(), 0);
    for key in 0..5_000 {
        let key = format!("attacker {key}");
        for _ in 0..3 {
            allowed(&limits, &key);
        }
        if key.ends_with("00") {
            let changed = limits.changes();
            rows.extend(changed.buckets.iter().map(|(Key(key), full_at)| (*key, *full_at)));
            floor = floor.max(changed.floor);
        }
    }
    assert!(!allowed(&limits, "victim"));
    let buckets = rows.into_iter().map(|(key, full_at)| (Key(key), full_at)).collect();
    let again = durable(16 << 10, &Written { buckets, floor });
    assert!(!allowed(&again, "victim"));
}

#[test]
fn what_there_is_no_room_for_in_the_file_counts_as_full_no_sooner() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    let mut database = Database::open(&path).expect("it is new");
    let now = wall();
    let buckets = (1..=100).map(|key| (Key([key, 0]), now + key * DAY)).collect();
    let change = Change {
        plugin: "p".into(),
        buckets: Written { buckets, floor: 0 },
        entries: vec![("k".into(), Some((bytes::Bytes::from_static(b"v"), None)))],
        are_all: false,
    };
    database.write(&[change]).expect("it is written");
    database.sweep_to(10).expect("it is swept");
    let secret = database.secret();
    drop(database);
    let database = Database::open(&path).expect("it is there");
    assert_eq!(database.secret(), secret);
    let loaded = database.load("p").expect("it is read");
    let mut kept: Vec<_> = loaded.buckets.buckets.iter().map(|(Key([key, _]), _)| *key).collect();
    kept.sort_unstable();
    assert_eq!(kept, (91..=100).collect::<Vec<_>>(), "those that are full last stay");
    assert_eq!(loaded.buckets.floor, now + 90 * DAY);
    assert_eq!(loaded.entries.len(), 1);
    assert!(database.load("other").expect("it is read").buckets.buckets.is_empty());
    let again = durable(1 << 20, &loaded.buckets);
    assert!(!allowed(&again, "of whom nothing is known"), "it may have been one of those");
}

#[test]
fn a_file_that_is_closed_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let counts = Metrics::default().of_store("kept");
    let file = File::open("kept", &folder.path().join("state.db"), counts).expect("it opens");
    file.finish();
    let (sender, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        assert!(file.load("p").entries.is_empty());
        file.leave("p", Part::default());
        sender.send(()).expect("somebody waits");
    });
    done.recv_timeout(std::time::Duration::from_secs(30)).expect("both came back");
}

#[test]
fn a_new_file_in_the_place_of_one_that_is_gone_has_keys_and_what_nobody_uses_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("link.db");
    // As where the file is elsewhere, and a link leads there.
    std::os::unix::fs::symlink("state.db", &path).expect("a link");
    let mut database = Database::open(&path).expect("it is new");
    let buckets = vec![(Key([1, 2]), wall() + DAY)];
    let change = Change {
        plugin: "configured no more".into(),
        buckets: Written { buckets: buckets.clone(), floor: 0 },
        entries: Vec::new(),
        are_all: false,
    };
    database.write(&[change]).expect("it is written");
    database.put_key("partners", "one", Some("{}")).expect("it is written");
    database.is_done_with();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(&path, mode).expect("it is ours");
    assert!(database.look().is_ok());
    std::fs::remove_file(folder.path().join("state.db")).expect("it is there");
    assert!(matches!(database.look(), Err(Lost::Gone)));
    database.write_anew().expect("it is made");
    assert!(database.look().is_ok());
    assert!(path.is_symlink(), "it is where the link leads");
    let found = std::fs::metadata(&path).expect("it is there");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&found) & 0o777, 0o640);
    let secret = database.secret();
    drop(database);
    let names = std::fs::read_dir(folder.path()).expect("a folder");
    assert_eq!(names.count(), 2, "nothing is left beside it");
    let database = Database::open(&path).expect("it is whole");
    assert_eq!(database.secret(), secret);
    assert_eq!(database.load("configured no more").expect("it is read").buckets.buckets, buckets);
    assert_eq!(database.keys("partners").expect("they are read").len(), 1);
    let again = Database::open(&folder.path().join("state.db"));
    let why = again.err().expect("it is open").to_string();
    assert_eq!(why, "this gateway has it open already");
}
