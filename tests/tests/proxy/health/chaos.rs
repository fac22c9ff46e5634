//! Chaos: under load, targets are killed, paused, reset, slowed and black-holed, and one stays well.
//!
//! A request that may be repeated does not fail, and one that may not is never processed twice. The long run is
//! `chaos_for_long`, for the gateway, HAProxy and Envoy.

mod load;
mod others;
mod targets;

use std::time::Duration;

use gateway_tests::{Running, Setup};

use self::load::Outcome;
use self::targets::{Fault, Target};

/// For one attempt, and for a connection.
const ATTEMPT: Duration = Duration::from_millis(500);
const CONNECT: Duration = Duration::from_millis(300);

/// A gateway in front of the targets.
fn gateway(targets: &[Target], workers: usize) -> Running {
    let list = targets.iter().map(|it| format!("\"http://{}\"", it.address));
    let list = list.collect::<Vec<_>>().join(", ");
    let (connect, attempt) = (CONNECT.as_millis(), ATTEMPT.as_millis());
    let text = format!(
        "[upstreams.chaos]\ntargets = [{list}]\n\
         timeouts = {{ connect = \"{connect}ms\", first_byte = \"{attempt}ms\" }}\n\
         ejection = {{ consecutive_failures = 2, time = \"1s\", max_time = \"5s\" }}\n\
         health = {{ path = \"/\", interval = \"500ms\", timeout = \"500ms\", unhealthy = 2, healthy = 1 }}\n\
         retry_budget = {{ share = 1.0, min_per_second = 1000 }}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"chaos\"\n\
         retries = {{ attempts = 4, attempt_timeout = \"{attempt}ms\", backoff = \"10ms\" }}\n"
    );
    Setup::toml(&text, &[]).workers(workers).start()
}

/// Gives all targets but the first one a fault each, in turns, until it is stopped.
async fn faults(targets: &[Target], step: Duration) {
    let all =
        [Fault::Killed, Fault::Paused, Fault::None, Fault::Resets, Fault::Slow, Fault::BlackHole];
    for turn in 0.. {
        for (index, target) in targets.iter().enumerate().skip(1) {
            // Each turn begins faults that the last one did not have at this target.
            target.becomes(all[(turn + 2 * index) % all.len()]);
        }
        tokio::time::sleep(step).await;
    }
}

/// The outcome of requests through whatever listens there, while faults come and go.
async fn run(
    address: std::net::SocketAddr,
    targets: &[Target],
    rate: u32,
    time: Duration,
    step: Duration,
) -> Outcome {
    let loaded = load::run(address, rate, time);
    tokio::select! {
        outcome = loaded => outcome,
        () = faults(targets, step) => unreachable!("they never end"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_three_of_four_targets_no_request_fails_that_may_be_repeated() {
    let targets = targets::start(4).await;
    let gateway = gateway(&targets, 2);
    let (time, step) = (Duration::from_secs(3), Duration::from_millis(500));
    let outcome = run(gateway.address, &targets, 100, time, step).await;
    assert_eq!((outcome.gets.failed, outcome.why.as_str()), (0, ""), "{outcome:?}");
    assert!(outcome.gets.all > 200 && outcome.posts.all > 40, "{outcome:?}");
    assert_eq!(targets::processed_twice(&targets), 0);
}

/// `CHAOS_SECONDS` and `CHAOS_RATE` say for how long and how much, `CHAOS_PROXY` (`gateway`, `haproxy` or `envoy`, with
/// the program in `CHAOS_PROGRAM`) through what.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes, and the machine for itself"]
async fn chaos_for_long() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let time = Duration::from_secs(number("CHAOS_SECONDS", 120));
    let rate = u32::try_from(number("CHAOS_RATE", 2000)).unwrap();
    let targets = targets::start(4).await;
    let proxy = std::env::var("CHAOS_PROXY").unwrap_or_else(|_| "gateway".to_owned());
    let addresses: Vec<_> = targets.iter().map(|target| target.address).collect();
    let (own, other);
    let address = if proxy == "gateway" {
        own = gateway(&targets, 2);
        own.address
    } else {
        other = others::start(&proxy, &addresses).await;
        other.address
    };
    let well = load::run(address, rate, Duration::from_secs(5)).await;
    let outcome = run(address, &targets, rate, time, Duration::from_secs(3)).await;
    let twice = targets::processed_twice(&targets);
    println!("{proxy}: without faults {well}; with faults {outcome}; POST twice {twice}");
}
