//! Values of plugins: what is kept, for how long, and what the bound in bytes holds.

use super::*;

#[test]
fn a_value_is_gone_when_its_time_is_over() {
    let store = Store::new(1 << 20);
    store.set("k", Bytes::from_static(b"v"), Some(Duration::ZERO)).expect("room");
    assert_eq!(store.get("k"), None);
    assert_eq!(store.set_if_absent("k", Bytes::from_static(b"w"), None), Ok(true));
    assert_eq!(store.set_if_absent("k", Bytes::from_static(b"x"), None), Ok(false));
    assert_eq!(store.get("k").as_deref(), Some(&b"w"[..]));
}

#[test]
fn increments_of_many_threads_add_up() {
    let store = Store::new(1 << 20);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    store.increment("n", 1, None).expect("room");
                }
            });
        }
    });
    assert_eq!(store.increment("n", 0, None), Ok(1000));
}

#[test]
fn increment_refuses_what_is_not_a_number_and_what_overflows() {
    let store = Store::new(1 << 20);
    store.set("t", Bytes::from_static(b"text"), None).expect("room");
    assert_eq!(store.increment("t", 1, None), Err(WriteError::NotANumber));
    store.increment("n", i64::MAX, None).expect("fits");
    assert_eq!(store.increment("n", 1, None), Err(WriteError::NotANumber));
    assert_eq!(store.increment("n", 0, None), Ok(i64::MAX));
}

#[test]
fn refuses_more_bytes_than_its_share_and_takes_them_again_after_a_delete() {
    let store = Store::new(8 << 20);
    let megabyte = Bytes::from(vec![0; MAX_VALUE]);
    for key in 0..7 {
        store.set(&key.to_string(), megabyte.clone(), None).expect("room");
    }
    assert_eq!(store.set("one more", megabyte.clone(), None), Err(WriteError::Full));
    assert_eq!(store.set("0", megabyte.clone(), None), Ok(()), "a value may take its own place");
    assert!(store.delete("0"));
    assert_eq!(store.set("one more", megabyte.clone(), None), Ok(()));
    store.bound(4 << 20);
    assert_eq!(store.set("1", Bytes::new(), None), Ok(()), "what takes less is always written");
    assert_eq!(store.set("two", megabyte, None), Err(WriteError::Full));
}

#[test]
fn empty_values_take_room_too() {
    let store = Store::new(1 << 20);
    let mut keys = 0;
    while store.set(&format!("{keys:08}"), Bytes::new(), None).is_ok() {
        keys += 1;
    }
    assert_eq!(keys, (1 << 20) / (ENTRY + 8));
}

#[test]
fn a_full_store_takes_a_value_as_soon_as_one_is_past_its_time() {
    let store = Store::new(1 << 20);
    let hour = Some(Duration::from_secs(3600));
    let mut keys = 0;
    while store.set(&format!("{keys:08}"), Bytes::new(), hour).is_ok() {
        keys += 1;
    }
    assert!(store.delete("00000001"));
    store.set("brief001", Bytes::new(), Some(Duration::from_millis(5))).expect("room");
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(store.set("new", Bytes::new(), None), Ok(()));
    let long = Bytes::from(vec![0; 300]);
    assert_eq!(store.set("newer", long, None), Err(WriteError::Full));
    assert_eq!(store.get("00000000").as_deref(), Some(&b""[..]), "what is in its time stays");
}

#[test]
fn many_threads_together_stay_within_the_share() {
    let store = Store::new(256 << 10);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for turn in 0..2_000 {
                    let ttl = (turn % 3 == 0).then_some(Duration::from_micros(50));
                    let value = Bytes::from(vec![0; turn % 500]);
                    let _full = store.set(&format!("{thread}/{}", turn % 700), value, ttl);
                    assert!(store.share.bytes.load(Relaxed) <= 256 << 10);
                }
            });
        }
    });
    let shards = store.shards().iter().map(read);
    let sizes =
        shards.map(|shard| shard.values.iter().map(|(key, it)| size(key, it)).sum::<usize>());
    assert_eq!(sizes.sum::<usize>(), store.share.bytes.load(Relaxed));
}

#[test]
fn the_account_returns_to_zero() {
    let store = Store::new(1 << 20);
    store.set("a", Bytes::from_static(b"1"), None).expect("room");
    store.increment("a", 41, None).expect("a number");
    store.increment("b", -7, Some(Duration::ZERO)).expect("a number");
    store.increment("b", 7, None).expect("a number");
    assert!(store.delete("a") && store.delete("b"));
    assert_eq!(store.share.bytes.load(Relaxed), 0);
}
