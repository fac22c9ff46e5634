//! The script against the limits in memory: the same charges at the same times have the same verdicts.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::limits::SharedLimits;
use super::*;
use crate::config::{LimiterUse, OnStoreError, Topology};
use crate::state::limits::calendar::{Unit, Zone};
use crate::state::limits::quotas::{Quota, Quotas, Settlement, Times, Window};
use crate::state::limits::{Charge, Limits};
use crate::telemetry::metrics::Metrics;

struct Server(Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// `None` where it is not installed.
fn server() -> Option<Server> {
    let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let mut command = Command::new("redis-server");
    command.args(["--save", "", "--port", &port.to_string()]);
    let Ok(child) = command.stdout(Stdio::null()).spawn() else {
        // As other tests do, whose harness is made of this crate.
        assert!(
            std::env::var_os("CI").is_none(),
            "Redis is not installed, and CI must test with it"
        );
        let _unseen = writeln!(std::io::stderr(), "NOT TESTED: this machine has no Redis");
        return None;
    };
    let server = Server(child, port);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(server)
}

fn settings(port: u16) -> RedisStore {
    RedisStore {
        tls: false,
        hosts: vec![("127.0.0.1".to_owned(), port)],
        database: 0,
        topology: Topology::Single,
        username: None,
        password: None,
        ca: None,
        timeout: Duration::from_secs(5),
        instances: 1,
        prefix: "test".to_owned(),
    }
}

/// A sequence that is the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// The limits of a plugin in a store, and as many in memory.
fn both(store: &Arc<Redis>, metrics: &Metrics) -> (SharedLimits, Quotas) {
    let metrics = metrics.of(&"p".into());
    let quotas = Quotas {
        buckets: Arc::new(Limits::new(Arc::clone(&metrics), 16 << 20)),
        windows: Arc::new(Limits::of_windows(metrics, 16 << 20)),
    };
    let used = LimiterUse { store: None, on_store_error: OnStoreError::Closed, lease: 0 };
    (SharedLimits::new(store, "p", &used, &quotas), quotas)
}

#[test]
fn the_script_for_quotas_agrees_with_those_in_memory() {
    let Some(server) = server() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let metrics = Metrics::default();
        let store = Redis::new("s", &settings(server.1), metrics.of_store("s"));
        store.connect_here();
        let (shared, memory) = both(&store, &metrics);
        let mut numbers = Numbers(1);
        const SECOND: u64 = 1_000_000_000;
        let zone = |name| Zone::of(name).expect("it is there");
        let rules = [
            (10, Window::Bucket { period: 60 * SECOND, burst: 10 }),
            (7, Window::Bucket { period: 3 * SECOND, burst: 5 }),
            (10, Window::Calendar(Unit::Month, zone("UTC"))),
            (1_000_000_000_000, Window::Calendar(Unit::Month, zone("Asia/Tokyo"))),
            (500, Window::Calendar(Unit::Year, zone("America/New_York"))),
            (3, Window::Calendar(Unit::Hour, zone("Asia/Kolkata"))),
            (4, Window::Fixed(SECOND)),
            (10, Window::Sliding(60 * SECOND)),
            (999_999_999_999_999, Window::Sliding(300 * 86_400 * SECOND)),
            (999_999_937, Window::Fixed(90 * SECOND)),
        ];
        let mut now: u64 = 1_790_000_000_000_000;
        let mut reserved = Vec::new();
        for step in 0..4_000 {
            now += [0, 1, 997, 300_000, 4_000_000, 900_000_000, 90_000_000_000]
                [numbers.below(7) as usize];
            let keys: Vec<_> =
                (0..=numbers.below(3)).map(|_| numbers.below(rules.len() as u64)).collect();
            let names: Vec<_> = keys.iter().map(|key| format!("key {key}")).collect();
            let mut quotas = Vec::new();
            for (key, name) in keys.iter().zip(&names) {
                let (limit, window) = rules[*key as usize];
                let cost = match numbers.below(8) {
                    0 => 0,
                    1 => limit,
                    2 => limit + 1,
                    3 => numbers.below(limit) + 1,
                    _ => 1,
                };
                quotas.push(Quota { key: name, limit, window, cost });
            }
            let times = Times { process: now * 1_000, wall: now * 1_000 };
            let expected = memory.reserve_at(&quotas, times, 1).0;
            // A gateway whose clock goes wrong by up to half an hour is told the same.
            let skewed = (now + numbers.below(3_600_000_000) - 1_800_000_000) * 1_000;
            let time = now.to_string();
            let answer = shared.ask_quotas(&quotas, &time, skewed).await.expect("it answers");
            assert_eq!(answer.len(), expected.len());
            for (answer, expected) in answer.iter().zip(&expected) {
                let told = (answer.verdict, answer.taken);
                assert_eq!(told, (expected.verdict, expected.taken), "step {step}: {quotas:?}");
            }
            if expected.iter().all(|it| it.verdict.allowed) {
                let all = keys.iter().zip(&quotas).zip(&expected);
                reserved.extend(all.map(|((key, quota), it)| (*key, quota.cost, it.taken)));
            }
            if numbers.below(3) == 0 && !reserved.is_empty() {
                let last = reserved.len() as u64 - 1;
                let (key, cost, taken) =
                    reserved.swap_remove((last - numbers.below(last.min(4) + 1)) as usize);
                let (limit, window) = rules[key as usize];
                let by = [-(cost as i64), -1, 1, cost as i64 / 2][numbers.below(4) as usize];
                let name = format!("key {key}");
                let quota = Quota { key: &name, limit, window, cost: 0 };
                let settlement = [Settlement { quota, taken, by }];
                memory.settle_at(&settlement, times, 1);
                let settled = shared.ask_to_settle(&settlement, &time, skewed).await;
                settled.expect("it answers");
            }
        }
    });
}

#[test]
fn the_script_agrees_with_the_limits_in_memory() {
    let Some(server) = server() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let metrics = Metrics::default();
        let store = Redis::new("s", &settings(server.1), metrics.of_store("s"));
        store.connect_here();
        let (shared, quotas) = both(&store, &metrics);
        let memory = &quotas.buckets;
        let mut numbers = Numbers(1);
        const SECOND: u64 = 1_000_000_000;
        // By key: a rule of its own. The last ones are a burst, a year, and a limit with no whole nanoseconds.
        let rules = [
            (10, 60 * SECOND, 10),
            (1, SECOND, 1),
            (100, SECOND, 20),
            (1000, 366 * 86_400 * SECOND, 1000),
            (7, 3 * SECOND, 5),
            (3_000_000, SECOND, 3_000_000),
        ];
        // As late as it is today, in microseconds.
        let mut now: u64 = 1_790_000_000_000_000;
        for step in 0..4_000 {
            now += [0, 1, 997, 300_000, 4_000_000][numbers.below(5) as usize];
            let keys: Vec<_> =
                (0..=numbers.below(3)).map(|_| numbers.below(rules.len() as u64)).collect();
            let names: Vec<_> = keys.iter().map(|key| format!("key {key}")).collect();
            let charge = |(key, name): (&u64, &'static str)| {
                let (limit, period, burst) = rules[*key as usize];
                Charge { key: name, limit, period, burst, cost: 0 }
            };
            let mut charges = Vec::new();
            for (key, name) in keys.iter().zip(&names) {
                let charge = charge((key, Box::leak(name.clone().into_boxed_str())));
                let cost = match numbers.below(8) {
                    0 => 0,
                    1 => charge.burst,
                    2 => charge.burst + 1,
                    3 => numbers.below(charge.burst) + 1,
                    _ => 1,
                };
                charges.push(Charge { cost, ..charge });
            }
            let expected = memory.take_at(&charges, now * 1_000).0;
            let answer = shared.ask(&charges, &[], &now.to_string()).await.expect("it answers");
            assert_eq!(answer.verdicts.as_slice(), expected, "step {step}: {charges:?}");
        }
    });
}
