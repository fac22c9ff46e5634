//! Slots: none is lost, none is given twice, and who waits is served.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::*;
use crate::telemetry::metrics::Metrics;

fn slots() -> Arc<Slots> {
    Arc::new(Slots::new(Metrics::default().of(&"limit".into())))
}

fn wait<'a>(share: &'a str, priority: u8) -> Wait<'a> {
    let time = Duration::from_secs(60);
    Wait { key: "k", limit: 1, queue: 8, time, turn: Turn { priority, share, weight: 1 } }
}

fn waiting(queued: (Queued, Occupancy)) -> Waiting {
    match queued.0 {
        Queued::Waits(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

#[test]
fn as_many_are_held_as_there_are() {
    let slots = slots();
    let (one, _) = slots.take("k", 2);
    let (two, now) = slots.take("k", 2);
    assert!(one.is_some() && two.is_some());
    assert_eq!(now, Occupancy { held: 2, waiting: 0 });
    assert!(slots.take("k", 2).0.is_none());
    assert!(slots.take("other", 2).0.is_some(), "another key, and dropped at once");
    drop(one);
    assert!(slots.take("k", 2).0.is_some());
    drop(two);
    assert_eq!(slots.look("k"), Occupancy::default());
    assert_eq!(slots.all(), []);
}

#[test]
fn a_bounded_number_of_keys_is_known_that_nobody_holds() {
    let slots = slots();
    let (held, _) = slots.take("held", 1);
    for key in 0..2 * REMEMBERED {
        drop(slots.take(&key.to_string(), 1));
    }
    assert_eq!(slots.lines.len(), REMEMBERED);
    assert_eq!(slots.known.load(Relaxed), REMEMBERED);
    assert_eq!(slots.all().len(), 1, "no more than are held are shown");
    drop(held);
    assert_eq!(slots.all(), []);
}

fn waits(line: &Line) -> Option<Duration> {
    line.expected_wait(line.turns.len() as u64)
}

/// Who has a higher weight or priority is told a shorter time.
#[tokio::test]
async fn the_wait_that_is_expected_goes_by_whose_turn_it_is() {
    let slots = slots();
    let (first, _) = slots.take("k", 1);
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(first);
    let (_second, _) = slots.take("k", 1);
    let many: Vec<_> = (0..6).map(|_| waiting(slots.queue(wait("many", 0)))).collect();
    let turn = |share, priority, weight| {
        slots.expected_turn("k", Turn { priority, share, weight }).expect("known")
    };
    let last = turn("many", 0, 1);
    assert_eq!(last, slots.expected_wait("k").expect("known"));
    let (other, urgent) = (turn("other", 0, 1), turn("many", 5, 1));
    assert!(urgent < other && other < last, "{urgent:?} {other:?} {last:?}");
    assert_eq!(last, urgent * 7, "behind six others");
    drop(many);
}

/// As many slots as there are become free in the time for which one is held.
#[test]
fn the_wait_that_is_expected_goes_by_how_long_slots_were_held_and_who_waits() {
    let mut line = Line { held: 1, limit: 2, ..Line::default() };
    assert_eq!(waits(&line), Some(Duration::ZERO), "one is free");
    line.held = 2;
    assert_eq!(waits(&line), None, "none was given back");
    line.learn(Duration::from_secs(8));
    assert_eq!(waits(&line), Some(Duration::from_secs(4)));
    for share in ["a", "b"] {
        let rank = Rank { priority: 0, share, weight: 1 };
        line.turns.push(rank, oneshot::channel().0);
    }
    assert_eq!(waits(&line), Some(Duration::from_secs(12)), "behind two others");
    for _ in 0..100 {
        line.learn(Duration::from_secs(80));
    }
    let wait = waits(&line).expect("known").as_secs_f64();
    assert!((wait - 120.0).abs() < 1.0, "what was long ago is forgotten: {wait}");
    line.learn(Duration::MAX);
    assert!(waits(&line).is_some(), "and no time is too long");
}

#[tokio::test]
async fn how_long_slots_are_held_is_known_when_all_are_again() {
    let slots = slots();
    let (first, _) = slots.take("k", 1);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(slots.expected_wait("k"), None);
    drop(first);
    let (_second, _) = slots.take("k", 1);
    let wait = slots.expected_wait("k").expect("known");
    assert!(wait >= Duration::from_millis(20), "{wait:?}");
    assert_eq!(slots.expected_wait("other"), None);
}

#[tokio::test]
async fn a_slot_goes_to_the_next_and_nobody_passes_by() {
    let slots = slots();
    let (first, _) = slots.take("k", 1);
    let second = waiting(slots.queue(wait("", 0)));
    let third = waiting(slots.queue(wait("", 0)));
    drop(first);
    assert!(slots.take("k", 1).0.is_none(), "the second has it");
    let second = second.held().await.expect("in time");
    assert_eq!(slots.look("k"), Occupancy { held: 1, waiting: 1 });
    drop(second);
    drop(third.held().await.expect("in time"));
    assert_eq!(slots.all(), []);
}

#[tokio::test]
async fn who_leaves_gives_back_what_it_was_given_and_its_place() {
    let slots = slots();
    let (first, _) = slots.take("k", 1);
    let leaves = waiting(slots.queue(wait("", 0)));
    let given = waiting(slots.queue(wait("", 0)));
    let last = waiting(slots.queue(wait("", 0)));
    drop(leaves);
    assert_eq!(slots.look("k").waiting, 2);
    drop(first);
    // It has the slot, and never looks.
    drop(given);
    drop(last.held().await.expect("in time"));
    assert_eq!(slots.all(), []);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_its_time() {
    let slots = slots();
    let (_first, _) = slots.take("k", 1);
    let queued = slots.queue(Wait { time: Duration::from_millis(50), ..wait("", 0) });
    assert!(waiting(queued).held().await.is_none());
    assert_eq!(slots.look("k"), Occupancy { held: 1, waiting: 0 });
}

#[test]
fn as_many_wait_as_may() {
    let slots = slots();
    let (_first, _) = slots.take("k", 1);
    let _second = waiting(slots.queue(Wait { queue: 1, ..wait("", 0) }));
    let (third, now) = slots.queue(Wait { queue: 1, ..wait("", 9) });
    assert!(matches!(third, Queued::Full));
    assert_eq!(now, Occupancy { held: 1, waiting: 1 });
    let none = slots.queue(Wait { queue: 0, ..wait("", 0) });
    assert!(matches!(none.0, Queued::Full));
}

#[tokio::test]
async fn a_higher_limit_lets_in_who_waits_and_a_lower_one_takes_nothing_away() {
    let slots = slots();
    let (_first, _) = slots.take("k", 1);
    let second = waiting(slots.queue(wait("", 0)));
    assert!(slots.take("k", 2).0.is_none(), "the one who waits is before");
    let second = second.held().await.expect("in time");
    assert!(slots.take("k", 1).0.is_none());
    assert_eq!(slots.look("k").held, 2);
    drop(second);
    assert!(slots.take("k", 1).0.is_none());
}

/// Threads that take, wait, leave and give back as it comes: never more are held than there are, and in the
/// end none is.
#[test]
fn none_is_lost_and_none_is_given_twice() {
    const LIMIT: u32 = 3;
    let slots = slots();
    let now = Arc::new(AtomicU32::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (slots, now) = (Arc::clone(&slots), Arc::clone(&now));
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                runtime.expect("a runtime").block_on(async move {
                    let mut random = 0x9E37_79B9_7F4A_7C15 ^ (thread + 1);
                    let mut held = Vec::new();
                    for _ in 0..3000 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        if random.is_multiple_of(3) && !held.is_empty() {
                            now.fetch_sub(1, SeqCst);
                            held.pop();
                            continue;
                        }
                        let time = Duration::from_micros(random % 400 + 1);
                        let share = ["a", "b"][(random >> 9) as usize % 2];
                        let asked = Wait { limit: LIMIT, queue: 4, time, ..wait(share, 0) };
                        let got = match slots.queue(asked).0 {
                            Queued::Taken(slot) => Some(slot),
                            // Some leave before they have it.
                            Queued::Waits(_) if (random >> 20).is_multiple_of(4) => None,
                            Queued::Waits(waiting) => waiting.held().await,
                            Queued::Full => None,
                        };
                        if let Some(slot) = got {
                            assert!(now.fetch_add(1, SeqCst) < LIMIT, "more than there are");
                            held.push(slot);
                        }
                    }
                    now.fetch_sub(u32::try_from(held.len()).expect("few"), SeqCst);
                });
            });
        }
    });
    assert_eq!(slots.look("k"), Occupancy::default());
    assert_eq!(slots.all(), []);
}
