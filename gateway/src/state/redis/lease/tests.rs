//! How many permits are held, and who waits, by how long the store takes for an answer.

use super::*;

const LEASE: u64 = 50;

/// What came of a busy key, whose questions are answered when so many more requests have come.
struct Seen {
    /// Requests that found no permit.
    missed: usize,
    questions: u64,
    /// Permits that were here at once, at most.
    held: u64,
}

fn ask(requests: u64, delay: u64) -> Seen {
    let leases = Leases::new(LEASE);
    let million = 1_000_000;
    let charge =
        Charge { key: "k", limit: million, period: 1_000_000_000, burst: million, cost: 1 };
    let asked = [Asked::of(&charge)];
    let charges = [charge];
    let answer = |parts: &[Part]| Answer {
        verdicts: smallvec![asked[0].rule.verdict(true, 0, 0)],
        used: vec![0],
        ahead: vec![parts[0].ahead],
    };
    let first = leases.parts(&charges, &asked);
    leases.put(&charges, &asked, &first, &answer(&first));
    let mut seen = Seen { missed: 0, questions: 1, held: 0 };
    let mut under_way: Option<(u64, Vec<Part>)> = None;
    for request in 0..requests {
        if let Some((_, parts)) = under_way.take_if(|(due, _)| *due <= request) {
            leases.renew(&charges, &parts, Some(&answer(&parts)));
        }
        let left = leases.by_key().map["k"].left;
        seen.held = seen.held.max(left / first[0].permit);
        match leases.take(&charges, &asked) {
            None => seen.missed += 1,
            Some(taken) if taken.is_low => {
                assert!(under_way.is_none(), "one question at a time");
                under_way = Some((request + delay, leases.parts_to_renew(&charges, &asked)));
                seen.questions += 1;
            }
            Some(_) => {}
        }
    }
    seen
}

#[test]
fn of_a_key_that_finds_permits_little_is_held() {
    let seen = ask(5_000, 36);
    assert_eq!(seen.missed, 0);
    assert!(seen.questions <= 1 + 5_000 / LEASE, "{}", seen.questions);
    assert!(seen.held <= LEASE * 7 / 4, "{}", seen.held);
}

#[test]
fn of_a_key_whose_requests_waited_a_lease_more_is_held_and_none_waits_again() {
    for delay in [40, 60, 66] {
        let seen = ask(5_000, delay);
        assert!((1..=60).contains(&seen.missed), "{delay}: {}", seen.missed);
        assert!(seen.questions <= 1 + 5_000 / LEASE, "{}", seen.questions);
        assert!(seen.held > LEASE * 7 / 4 && seen.held <= LEASE * 11 / 4, "{}", seen.held);
    }
}
