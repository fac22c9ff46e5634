//! What of a trace is found: by the policy of the gateway's caches (`quick_cache`, with its options) and by W-TinyLFU (`moka`, after
//! Caffeine), both with room for the same objects of 1 KiB.
//!
//!     cargo run --release --package hit-ratio
//!
//! The traces are Zipf's, alone and with scans: every 100,000 requests there are 50,000 for something that nobody asks for again.
//! They are the same in each run.

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

const KEYS: usize = 1_000_000;
const REQUESTS: usize = 4_000_000;
const SCAN_EVERY: usize = 100_000;
const SCAN: usize = 50_000;
/// Weight of an object, and how many shards the gateway has for a cache of 256 MiB with objects of up to 8 MiB.
const OBJECT: u64 = 1 << 10;
const SHARDS: usize = 8;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((it ^ (it >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The keys of a trace, and which of them count: those of a scan are never found.
fn trace(skew: f64, scans: bool) -> Vec<u64> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=KEYS)
        .map(|rank| {
            sum += 1.0 / (rank as f64).powf(skew);
            sum
        })
        .collect();
    let (mut random, mut scanned) = (Random(7), KEYS as u64);
    let mut keys = Vec::with_capacity(REQUESTS * 2);
    for number in 1..=REQUESTS {
        let at = random.next() * sum;
        keys.push(sums.partition_point(|it| *it < at) as u64);
        if scans && number % SCAN_EVERY == 0 {
            keys.extend(scanned..scanned + SCAN as u64);
            scanned += SCAN as u64;
        }
    }
    keys
}

#[derive(Clone)]
struct Weigh;

impl Weighter<u64, ()> for Weigh {
    fn weight(&self, _: &u64, (): &()) -> u64 {
        OBJECT
    }
}

fn quick(keys: &[u64], room: u64) -> usize {
    let options = OptionsBuilder::new()
        .shards(SHARDS)
        .estimated_items_capacity(room as usize)
        .weight_capacity(room * OBJECT)
        .ghost_allocation(1.0)
        .build()
        .expect("all that it needs is given");
    let cache: Cache<u64, (), Weigh> =
        Cache::with_options(options, Weigh, Default::default(), DefaultLifecycle::default());
    let mut hits = 0;
    for key in keys {
        if cache.get(key).is_some() {
            hits += 1;
        } else {
            cache.insert(*key, ());
        }
    }
    hits
}

fn tiny_lfu(keys: &[u64], room: u64) -> usize {
    let cache: moka::sync::Cache<u64, ()> = moka::sync::Cache::builder()
        .max_capacity(room * OBJECT)
        .weigher(|_, ()| OBJECT as u32)
        .initial_capacity(room as usize)
        .build();
    let mut hits = 0;
    for (number, key) in keys.iter().enumerate() {
        if cache.get(key).is_some() {
            hits += 1;
        } else {
            cache.insert(*key, ());
        }
        // What it does beside the calls is done often enough to be exact.
        if number % 16 == 0 {
            cache.run_pending_tasks();
        }
    }
    hits
}

fn main() {
    println!("| trace | room for | gateway | W-TinyLFU |");
    println!("|---|---|---|---|");
    for (scans, name) in [(false, "Zipf"), (true, "Zipf with scans")] {
        for skew in [0.8, 1.0] {
            let keys = trace(skew, scans);
            for percent in [1, 5, 20] {
                let room = (KEYS * percent / 100) as u64;
                let share = |hits: usize| hits as f64 * 100.0 / keys.len() as f64;
                let (own, other) = (share(quick(&keys, room)), share(tiny_lfu(&keys, room)));
                println!("| {name} {skew} | {percent}% of the keys | {own:.2}% | {other:.2}% |");
            }
        }
    }
}
