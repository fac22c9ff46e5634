//! Chaos: under load, targets are killed, paused, reset, slowed and black-holed, and one stays well.
//!
//! A request that may be repeated does not fail, and one that may not is never processed twice. The long run is
//! `chaos_for_long`, for the gateway, HAProxy and Envoy.

mod load;
mod others;
mod shadow;
mod targets;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway_tests::client::request;
use gateway_tests::{Http1, Running, Setup};

use self::load::{Load, Outcome};
use self::targets::{Fault, Target};

/// For one attempt, and for a connection.
const ATTEMPT: Duration = Duration::from_millis(500);
const CONNECT: Duration = Duration::from_millis(300);

/// For how long an ejection holds at first, and how long after faults begin the long run does not count latencies.
const EJECTION: Duration = Duration::from_secs(1);

/// Whether targets are chosen by how many requests are open there, and not by turns.
fn by_load() -> bool {
    std::env::var_os("CHAOS_BY_LOAD").is_some()
}

/// The configuration of a gateway in front of the targets.
fn settings(targets: &[SocketAddr]) -> String {
    let list = targets.iter().map(|address| format!("\"http://{address}\""));
    let list = list.collect::<Vec<_>>().join(", ");
    let (connect, attempt) = (CONNECT.as_millis(), ATTEMPT.as_millis());
    let ejection = EJECTION.as_secs();
    let balance = if by_load() { "least_requests" } else { "round_robin" };
    format!(
        "[upstreams.chaos]\ntargets = [{list}]\nbalance = \"{balance}\"\n\
         timeouts = {{ connect = \"{connect}ms\", first_byte = \"{attempt}ms\" }}\n\
         ejection = {{ consecutive_failures = 2, time = \"{ejection}s\", max_time = \"5s\", max_share = 1 }}\n\
         health = {{ path = \"/\", interval = \"500ms\", timeout = \"500ms\", unhealthy = 2, healthy = 1 }}\n\
         retry_budget = {{ share = 1.0, min_per_second = 1000 }}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"chaos\"\n\
         retries = {{ attempts = 4, attempt_timeout = \"{attempt}ms\", backoff = \"10ms\" }}\n"
    )
}

fn gateway(targets: &[Target], workers: usize) -> Running {
    Setup::toml(&settings(&addresses(targets)), &[]).workers(workers).start()
}

fn addresses(targets: &[Target]) -> Vec<SocketAddr> {
    targets.iter().map(|target| target.address).collect()
}

/// What becomes of a target, step by step: each fault once at a target that was well before. The others are at other
/// steps of it, so that all have one in nearly half of the steps, and none in one of eight.
const FAULTS: [Fault; 15] = [
    Fault::None,
    Fault::Paused,
    Fault::None,
    Fault::Killed,
    Fault::Slow,
    Fault::None,
    Fault::BlackHole,
    Fault::Resets,
    Fault::None,
    Fault::Resets,
    Fault::Killed,
    Fault::None,
    Fault::Slow,
    Fault::BlackHole,
    Fault::Paused,
];
const FIRST: [usize; 3] = [1, 6, 9];

/// Gives all targets but the first one a fault each, or none, until it is stopped.
async fn faults(targets: &[Target], begin: Instant, step: Duration) {
    for turn in 0.. {
        for (target, first) in targets[1..].iter().zip(FIRST) {
            target.becomes(FAULTS[(first + turn as usize) % FAULTS.len()]);
        }
        tokio::time::sleep_until((begin + step * (turn + 1)).into()).await;
    }
}

/// The outcome of requests through whatever listens there, while faults come and go.
async fn run(address: SocketAddr, targets: &[Target], load: Load, step: Duration) -> Outcome {
    let begin = Instant::now();
    let loaded = load.run(address, begin);
    tokio::select! {
        outcome = loaded => outcome,
        () = faults(targets, begin, step) => unreachable!("they never end"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_three_of_four_targets_no_request_fails_that_may_be_repeated() {
    let targets = targets::start(4).await;
    let gateway = gateway(&targets, 2);
    let (time, step) = (Duration::from_secs(3), Duration::from_millis(500));
    let outcome = run(gateway.address, &targets, Load { rate: 100, time }, step).await;
    assert_eq!((outcome.gets.failed, outcome.why.as_str()), (0, ""), "{outcome:?}");
    assert!(outcome.gets.all > 200 && outcome.posts.all > 40, "{outcome:?}");
    assert_eq!(targets::processed_twice(&targets), 0);
    let unsent = targets::never_received(&targets, &outcome.lost);
    assert_eq!(unsent, 0, "they could have been sent to another target: {outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_ends_before_there_is_a_connection_is_no_risk_to_any_method() {
    let targets = targets::start(2).await;
    targets[1].becomes(Fault::BlackHole);
    targets[1].is(Fault::BlackHole).await;
    let [well, hole] = [targets[0].address, targets[1].address];
    let text = format!(
        "[upstreams.hole]\ntargets = [\"http://{hole}\", {{ url = \"http://{well}\", priority = 1 }}]\n\
         timeouts = {{ connect = \"10s\" }}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"hole\"\n\
         retries = {{ attempts = 2, attempt_timeout = \"100ms\" }}\n"
    );
    let gateway = Setup::toml(&text, &[]).workers(1).start();
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("POST", "/", &[("x-id", "0")], "{}")).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
}

/// What a request that cannot be sent again is spared: the target hangs, and nobody knows it for sure for a long time.
#[tokio::test(flavor = "multi_thread")]
async fn few_requests_that_cannot_be_sent_again_go_to_a_target_that_has_fallen_silent() {
    let targets = targets::start(3).await;
    let list = addresses(&targets);
    let text = format!(
        "[upstreams.quiet]\ntargets = [\"http://{}\", \"http://{}\", \"http://{}\"]\n\
         timeouts = {{ first_byte = \"2s\" }}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"quiet\"\n",
        list[0], list[1], list[2]
    );
    let gateway = Setup::toml(&text, &[]).workers(1).start();
    let load = |time| Load { rate: 400, time: Duration::from_millis(time) };
    assert_eq!(load(200).run(gateway.address, Instant::now()).await.posts.failed, 0);
    targets[2].becomes(Fault::Paused);
    // Until it is known some go there; how many depends on how busy the machine is.
    let before = load(300).run(gateway.address, Instant::now()).await;
    assert!(before.posts.failed >= 1, "{before:?}");
    // 80 a second, of which by turns a third would go there.
    let after = load(1_000).run(gateway.address, Instant::now()).await;
    assert!(after.posts.all > 40 && after.posts.failed * 10 <= after.posts.all, "{after:?}");
    targets[2].becomes(Fault::None);
}

/// `CHAOS_SECONDS` and `CHAOS_RATE` say for how long and how much, `CHAOS_PROXY` (`gateway`, `haproxy` or `envoy`, with
/// the program in `CHAOS_PROGRAM`) through what. Without a program the gateway is that of the test. `CHAOS_BY_LOAD` has
/// targets chosen by open requests.
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
    let program = std::env::var("CHAOS_PROGRAM").ok();
    let (mut own, mut other) = (None, None);
    let address = if proxy == "gateway" && program.is_none() {
        own.insert(gateway(&targets, 2)).address
    } else {
        other.insert(others::start(&proxy, program, &addresses(&targets)).await).address
    };
    let well = Load { rate, time: Duration::from_secs(10) }.run(address, Instant::now()).await;
    println!("{proxy}: without faults {}", well.shown(|_| true));
    let step = Duration::from_secs(3);
    let outcome = run(address, &targets, Load { rate, time }, step).await;
    let twice = targets::processed_twice(&targets);
    let unsent = targets::never_received(&targets, &outcome.lost);
    println!("{proxy}: with faults {}", outcome.shown(|_| true));
    let is_late = |at: Duration| at.as_nanos() % step.as_nanos() >= EJECTION.as_nanos();
    println!("{proxy}: outside of the first second of faults {}", outcome.shown(is_late));
    println!("{proxy}: POST twice {twice}, lost without any target having had them {unsent}");
    if let (Some(other), "gateway") = (&other, &*proxy) {
        println!(
            "{proxy}: how the last attempts ended of those that were lost {:?}",
            other.ends_of_lost()
        );
    }
}
