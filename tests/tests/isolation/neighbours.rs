//! Plugins that do their worst, beside others on the same worker.
//!
//! What can be promised to a neighbour is its own time, and the time that one hostile hook takes of
//! the worker: the first one of a plugin is not put aside halfway for others. Both are measured here, quiet and
//! hostile rounds in turn, and the one held against the other, so that a slow machine slows both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway_tests::upstream::full;
use gateway_tests::{Http1, Upstream, client};
use http::Response;

use crate::process::Process;
use crate::{alone, guest, median, scaled};

/// A guest, the rest of its table, the field that makes it hostile, and the answer to that.
const HOSTILE: [(&str, &str, (&str, &str), u16); 8] = [
    ("panics", "", ("x-panic", "now"), 500),
    ("loops", "", ("x-loop", "1"), 500),
    ("recurses", "", ("x-recurse", "1"), 500),
    ("allocates", "", ("x-allocate", "all"), 500),
    ("floods-log", "", ("x-flood", "1000000"), 500),
    ("bad-header", "memory = \"64MiB\"", ("x-bad", "huge-name"), 500),
    ("hoards", "", ("x-hoard", "1000000"), 500),
    ("waits", "", ("x-wait", "1"), 500),
];

fn configuration(service: SocketAddr) -> String {
    let mut text = format!("[upstreams.service]\ntargets = [\"http://{service}\"]\n");
    for (name, limits, ..) in HOSTILE {
        let grants = match name {
            "hoards" => "grants = [\"key-value\"]",
            "waits" => "grants = [\"password\"]",
            _ => "",
        };
        text += &format!(
            r#"
            [plugins.{name}]
            component = "{}"
            limits = {{ {limits} }}
            {grants}
            [[routes]]
            name = "{name}"
            paths = ["/{name}"]
            plugins = ["{name}"]
            upstream = "service"
            "#,
            guest(name)
        );
    }
    text + &format!(
        r#"
        [plugins.neighbour]
        component = "{}"
        config = {{ name = "neighbour" }}
        limits = {{ deadline = "10s" }}
        [[routes]]
        name = "neighbour"
        paths = ["/neighbour"]
        plugins = ["neighbour"]
        upstream = "service"
        "#,
        guest("tagger")
    )
}

/// How long each of as many requests of a neighbour took; each is answered as ever.
async fn neighbour(client: &mut Http1, count: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        let answer = client.send(client::get("/neighbour")).await;
        times.push(began.elapsed());
        assert_eq!((answer.status(), answer.text()), (200, "fine"));
        assert_eq!(answer.header("x-trace-response"), Some("neighbour"));
        // Comes at any time, and not always just after the end of a hostile hook.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    times
}

/// How many lines of the log one hostile request makes.
async fn lines_of_one(gateway: &Process, name: &str, field: (&str, &str)) -> u64 {
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = gateway.lines();
    let mut client = Http1::connect(gateway.address).await;
    client.send(client::request("GET", &format!("/{name}"), &[field], "")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    gateway.lines() - before
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_waits_for_one_hostile_hook_each_time_that_it_waits() {
    let _alone = alone().await;
    let upstream = Upstream::http1(|_| async { Response::new(full("fine")) }).await;
    let gateway = Process::start(&configuration(upstream.address));
    let (rounds, count) = scaled((3, 5), (5, 100));
    let mut client = Http1::connect(gateway.address).await;
    neighbour(&mut client, count).await;
    println!(
        "guest | neighbour alone, p99 | beside it, p99 | a hostile request | lines of log each"
    );
    for (name, _, field, status) in HOSTILE {
        let (mut quiet, mut beside, mut hostile) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            quiet.push(p99(neighbour(&mut client, count).await));
            let is_over = Arc::new(AtomicBool::new(false));
            let (ends, address) = (Arc::clone(&is_over), gateway.address);
            let attack = tokio::spawn(async move {
                let mut client = Http1::connect(address).await;
                let (path, mut times) = (format!("/{name}"), Vec::new());
                while !ends.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let request = client::request("GET", &path, &[field], "");
                    let answer = client.send(request).await;
                    times.push(began.elapsed());
                    assert_eq!(answer.status(), status, "{name}: {answer:?}");
                }
                times
            });
            beside.push(p99(neighbour(&mut client, count).await));
            is_over.store(true, Ordering::Relaxed);
            let times = attack.await.unwrap();
            hostile.push(p99(times));
        }
        let lines = lines_of_one(&gateway, name, field).await;
        let (quiet, beside, hostile) = (median(quiet), median(beside), median(hostile));
        println!("{name} | {quiet:.1?} | {beside:.1?} | {hostile:.1?} | {lines}");
        // It comes to the worker with its request and with the response of the upstream.
        assert!(
            beside < 2 * (quiet + 2 * hostile),
            "{name}: {beside:?} beside a hook of {hostile:?}, {quiet:?} alone"
        );
        // The flood is cut at a hundred lines and a word on how many were dropped.
        assert!(lines <= 110, "{name}: {lines} lines for each request");
    }
}
