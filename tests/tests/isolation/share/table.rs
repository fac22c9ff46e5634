//! The latencies of a neighbour beside each attack.
//!
//! In passing each attack is run for a moment, to see that no neighbour fails; with
//! `GATEWAY_TEST_LONG=1` and a gateway that is built for release the latencies are held against bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_tests::{Http1, client};
use http_body_util::BodyExt as _;

use super::attack::{
    Ask, Attack, Over, busy, configuration, neighbour, service, turns_a_millisecond, with_others,
};
use crate::process::Process;
use crate::{alone, open_loop, scaled};

/// What the clients of an attack ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attacker {
    Nobody,
    /// Hooks that compute.
    Hooks,
    /// The same, with all clients on one connection.
    Streams,
    /// Hooks of chunks, of one download.
    Download,
    /// Hooks at the end of exchanges.
    Complete,
    /// A component that answers.
    Component,
    /// Hooks that are quick enough for their rate: requests a second, of clients that wait for no
    /// answers.
    Honest(u32),
    /// `password` without end.
    Password,
    /// `http-client`, to an upstream that takes its time.
    Call,
    /// A trap for each hook, so that each needs an instance that is made for it.
    Trap,
}

/// One row of the table.
struct Row {
    attacker: Attacker,
    limits: &'static str,
    /// Microseconds of a hook.
    hook: u64,
    clients: usize,
    /// Milliseconds, of the neighbour's 99th percentile.
    most: u64,
}

const fn row(attacker: Attacker, hook: u64, clients: usize) -> Row {
    let is_short = hook == 1_800;
    let limits = if is_short { "deadline = \"2ms\"" } else { "" };
    // Quick hooks of so many clients leave the machine no time: then the rest of a request counts.
    let most = if matches!(hook, 100..5_000) || clients == 0 { 15 } else { 35 };
    Row { attacker, limits, hook, clients, most }
}

const ROWS: [Row; 27] = [
    row(Attacker::Nobody, 0, 0),
    row(Attacker::Hooks, 1_800, 1),
    row(Attacker::Hooks, 1_800, 16),
    row(Attacker::Hooks, 1_800, 200),
    row(Attacker::Hooks, 18_000, 1),
    row(Attacker::Hooks, 18_000, 16),
    row(Attacker::Hooks, 18_000, 200),
    row(Attacker::Hooks, 400, 200),
    row(Attacker::Hooks, 50, 200),
    row(Attacker::Streams, 1_800, 16),
    row(Attacker::Streams, 1_800, 200),
    row(Attacker::Streams, 18_000, 16),
    row(Attacker::Streams, 18_000, 200),
    row(Attacker::Download, 1_800, 0),
    row(Attacker::Download, 18_000, 0),
    row(Attacker::Complete, 1_800, 16),
    row(Attacker::Complete, 1_800, 200),
    row(Attacker::Complete, 18_000, 16),
    row(Attacker::Complete, 18_000, 200),
    row(Attacker::Component, 1_800, 16),
    row(Attacker::Component, 1_800, 200),
    row(Attacker::Component, 18_000, 16),
    row(Attacker::Component, 18_000, 200),
    row(Attacker::Password, 0, 200),
    row(Attacker::Call, 0, 200),
    row(Attacker::Trap, 0, 200),
    row(Attacker::Honest(700), 1_000, 0),
];

/// Turns of the hook of the honest plugin.
static HONEST: AtomicU64 = AtomicU64::new(0);

/// The middle one of latencies, the 99th percentile, and the longest.
fn percentiles(timed: &[open_loop::Timed]) -> (Duration, Duration, Duration) {
    let mut times: Vec<_> = timed.iter().map(|timed| timed.latency).collect();
    times.sort();
    (times[times.len() / 2], times[times.len() * 99 / 100], times[times.len() - 1])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_neighbour_waits_for_beside_plugins_and_components_that_compute() {
    let _alone = alone().await;
    let per_millisecond = turns_a_millisecond().await;
    println!("attack | hook | clients | p50 | p99 | most | answers of the attack | refused");
    let mut failures = Vec::new();
    for row in &ROWS {
        if let Some(late) = beside(row, per_millisecond).await {
            failures.push(format!(
                "{:?}, {} us, {} clients: {late:?}",
                row.attacker, row.hook, row.clients
            ));
        }
    }
    assert!(scaled(true, failures.is_empty()), "{failures:?}");
}

/// Runs an attack. The neighbour's 99th percentile, if it is over its bound.
async fn beside(row: &Row, per_millisecond: u64) -> Option<Duration> {
    let attacker = row.attacker;
    let turns = (per_millisecond * row.hook / 1_000).max(1);
    let (mut chunk, mut complete) = (1, 0);
    match attacker {
        Attacker::Download => chunk = turns,
        Attacker::Complete => complete = turns,
        _ => {}
    }
    let settings = format!("chunk = {chunk}, complete = {complete}");
    let service = service().await;
    // In passing the machine does other work too, and a hook so near to its deadline would pass it.
    let limits = scaled("", row.limits);
    let text = configuration(service.address, "", limits, &settings);
    let gateway = Process::start(&with_others(text, ""));
    let address = gateway.address;
    neighbour(address, 20).await;
    let (over, ask) = match attacker {
        Attacker::Streams => (Over::Http2, Ask::hook(turns)),
        Attacker::Component => (Over::Http1, Ask::component(turns)),
        Attacker::Password => (Over::Http1, Ask::password()),
        Attacker::Call => (Over::Http1, Ask::slow_call()),
        Attacker::Trap => (Over::Http1, Ask::trap()),
        Attacker::Complete => (Over::Http1, Ask::hook(1)),
        Attacker::Nobody | Attacker::Hooks | Attacker::Download | Attacker::Honest(_) => {
            (Over::Http1, Ask::hook(turns))
        }
    };
    let attack = Attack::start(address, row.clients, over, ask).await;
    let download = (attacker == Attacker::Download).then(|| {
        tokio::spawn(async move {
            loop {
                let mut client = Http1::connect(address).await;
                let mut answer = client.0.send_request(client::get("/download")).await.unwrap();
                while let Some(Ok(_)) = answer.body_mut().frame().await {}
            }
        })
    });
    HONEST.store(turns, Ordering::Relaxed);
    let (count, seconds) = scaled((40, 1), (1_000, 6));
    let honest = match attacker {
        Attacker::Honest(rate) => {
            let honest = |_| busy(HONEST.load(Ordering::Relaxed));
            Some(tokio::spawn(open_loop::send(address, rate * seconds, rate, honest)))
        }
        _ => None,
    };
    tokio::time::sleep(scaled(Duration::from_millis(100), Duration::from_millis(500))).await;
    let before = gateway.worker_time();
    let began = std::time::Instant::now();
    let (timed, _) = open_loop::send(address, count, 200, |_| client::get("/neighbour")).await;
    let worker = (gateway.worker_time() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    let (p50, p99, most) = percentiles(&timed);
    let answers = attack.end().await;
    if let Some(download) = download {
        download.abort();
    }
    if let Some(honest) = honest {
        let (timed, held) = honest.await.unwrap();
        assert!(timed.iter().all(|timed| timed.answer.status() == 200), "it is served");
        let (p50, p99, _) = percentiles(&timed);
        println!("the honest plugin itself: {held:.0} a second, p50 {p50:.1?}, p99 {p99:.1?}");
    }
    let refused = answers.iter().filter(|(status, _)| *status != 200).count();
    println!(
        "{attacker:?} | {} us | {} | {p50:.1?} | {p99:.1?} | {most:.1?} | {} | {refused} | worker {:.0} %",
        row.hook,
        row.clients,
        answers.len(),
        100.0 * worker
    );
    let failed = timed.iter().find(|timed| timed.answer.status() != 200);
    assert!(failed.is_none(), "{attacker:?}: a neighbour failed");
    Some(p99).filter(|p99| *p99 > Duration::from_millis(row.most))
}
