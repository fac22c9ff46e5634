//! A plugin that panics on half of all requests.

use std::time::Duration;

use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Http1, Upstream, client};
use http::{Request, Response};

use crate::process::Process;
use crate::{alone, guest, median, open_loop, scaled};

/// How much more may be resident at the end.
const GROWTH: u64 = 8 << 20;

fn every_other_panics(index: u32) -> Request<BoxBody> {
    let field = if index.is_multiple_of(2) { ("x-panic", "now") } else { ("x-fine", "now") };
    client::request("GET", "/", &[field], "")
}

/// Checks that each request got what is its own, and returns how long the good ones took.
fn check(timed: &[open_loop::Timed]) -> Vec<Duration> {
    let mut good = Vec::new();
    for open_loop::Timed { index, answer, latency } in timed {
        if index.is_multiple_of(2) {
            assert_eq!(answer.status(), 500, "{index}: {answer:?}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert_eq!(answer.problem()["status"], 500, "{index}");
        } else {
            assert_eq!((answer.status(), answer.text()), (200, "fine"), "{index}");
            assert_eq!(answer.header("x-panics"), Some("survived"), "{index}");
            good.push(*latency);
        }
    }
    good
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_panics_on_half_of_the_requests_costs_that_half_alone() {
    let _alone = alone().await;
    let upstream = Upstream::http1(|_| async { Response::new(full("fine")) }).await;
    let gateway = Process::start(&format!(
        r#"
        [plugins.panics]
        component = "{}"
        # One instance that is not given back, and none is left.
        limits = {{ instances = 1, deadline = "1s", log_lines = 1000000, log_bytes = "1GiB" }}

        [upstreams.service]
        targets = ["http://{}"]

        [[routes]]
        name = "all"
        paths = ["/{{*rest}}"]
        plugins = ["panics"]
        upstream = "service"
        "#,
        guest("panics"),
        upstream.address
    ));
    let (rate, count) = scaled((400, 1_200), (5_000, 100_000));
    let warm = 400;
    check(&open_loop::send(gateway.address, warm, rate, every_other_panics).await.0);
    let before = gateway.memory();

    let (timed, held) = open_loop::send(gateway.address, count, rate, every_other_panics).await;
    assert_eq!(timed.len(), count as usize);
    let good = check(&timed);
    assert_eq!(good.len(), count as usize / 2);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let after = gateway.memory();
    println!(
        "{rate} requests a second asked for, {held:.0} held; of {count}, half panicked, and the \
         other half took {:?} in the middle; {} KiB became {} KiB",
        median(good),
        before >> 10,
        after >> 10,
    );
    assert!(after < before + GROWTH, "{before} bytes became {after}");
    let refused = gateway.said("the request is refused, since on_error is closed");
    assert_eq!(refused, u64::from(warm + count) / 2, "each failure is told once");
    assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
}
