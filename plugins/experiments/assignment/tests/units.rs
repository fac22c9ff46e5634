//! A million units: shares, independence, and who moves when weights change.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use gateway_experiments::{Salt, Schedule, Variants, tail};

const UNITS: usize = 1_000_000;

fn unit(number: usize) -> Vec<u8> {
    format!("user-{number}").into_bytes()
}

#[test]
fn a_million_units_have_the_shares_of_the_weights_and_experiments_are_independent() {
    let weights = [50.0, 30.0, 15.0, 5.0];
    let variants = Variants::new(["a", "b", "c", "d"].into_iter().zip(weights)).unwrap();
    let (one, other) = (Salt::new("ranking"), Salt::new("ranking2"));
    let mut pairs = [[0_usize; 4]; 4];
    for number in 0..UNITS {
        let unit = unit(number);
        pairs[variants.choose(one.key(&unit))][variants.choose(other.key(&unit))] += 1;
    }
    let mut statistic = 0.0;
    for (row, weight) in pairs.iter().zip(weights) {
        let share = row.iter().sum::<usize>() as f64 / UNITS as f64;
        assert!((share - weight / 100.0).abs() < 0.002, "{share} instead of {weight} %");
        for (count, other) in row.iter().zip(weights) {
            let expected = UNITS as f64 * weight * other / 10_000.0;
            statistic += (*count as f64 - expected).powi(2) / expected;
        }
    }
    let probability = tail(statistic, 15);
    println!(
        "shares and independence: chi-square {statistic:.1} of 15 degrees, p = {probability:.3}"
    );
    assert!(probability > 0.001, "{pairs:?}: {statistic}");
}

#[test]
fn only_those_move_that_must() {
    let choose = |weights: [f64; 3], key| {
        Variants::new(["a", "b", "c"].into_iter().zip(weights)).unwrap().choose(key)
    };
    let salt = Salt::new("checkout");
    let mut moved = 0;
    for number in 0..100_000 {
        let key = salt.key(&unit(number));
        let (before, after) = (choose([50.0, 25.0, 25.0], key), choose([50.0, 50.0, 25.0], key));
        assert!(before == after || after == 1, "nobody goes from one of the others to another");
        moved += usize::from(before != after);
        assert_eq!(choose([100.0, 50.0, 50.0], key), before, "it is the shares that count");
        assert_ne!(choose([50.0, 25.0, 0.0], key), 2);
    }
    // From a quarter to two fifths.
    assert!((14_500..15_500).contains(&moved), "{moved}");
    assert!(
        Variants::new([("a", 0.0), ("b", 0.0)]).is_none()
            && Variants::new([("a", -1.0), ("b", 2.0)]).is_none()
    );
}

#[test]
fn a_share_grows_with_its_ramp() {
    let second = Duration::from_secs;
    let schedule = Schedule { from: Some(second(1000)), to: Some(second(2000)), ramp: second(100) };
    let parts = [999, 1000, 1025, 1100, 1999, 2000].map(|at| schedule.part(second(at)));
    assert_eq!(parts, [0.0, 0.0, 0.25, 1.0, 1.0, 0.0]);
    assert_eq!(Schedule::default().part(second(5)), 1.0);
    assert!(schedule.is_set() && !Schedule::default().is_set());
    // Who is in stays in: a place is fixed.
    let salt = Salt::new("share");
    assert!((0..1000).all(|number| (0.0..1.0).contains(&salt.place(&unit(number)))));
}

/// Kept for good: another gateway, and the next version, assign alike.
#[test]
fn the_same_unit_has_the_same_variant_everywhere() {
    let variants = Variants::new([("control", 1.0), ("treatment", 1.0)]).unwrap();
    let salt = Salt::new("ranking");
    let chosen: String =
        (0..32).map(|number| variants.choose(salt.key(&unit(number))).to_string()).collect();
    assert_eq!(chosen, "01110111001001110011101110011100");
}
