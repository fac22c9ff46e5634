//! How large a page can become, how long it takes, and that no worker waits for it.

use std::time::{Duration, Instant};

use gateway_tests::client::get;
use gateway_tests::{Http1, Setup};

use super::{after, page, sum};

/// Bytes of the page for each route, at most: 16 lines of a status or a reason, and five histograms.
const MOST_OF_ROUTE: usize = 8 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_of_a_thousand_routes_is_whole_and_bounded_and_no_worker_waits() {
    let route = |number| {
        format!(
            "[[routes]]\nname = \"r{number}\"\npaths = [\"/{number}\"]\nrespond = {{ status = 200 }}\n"
        )
    };
    let routes: String = (0..1_000).map(route).collect();
    let text = format!("[admin]\naddress = \"127.0.0.1:0\"\n{routes}");
    let gateway = Setup::toml(&text, &[]).workers(1).start();
    let mut client = Http1::connect(gateway.address).await;
    for number in 0..1_000 {
        assert_eq!(client.send(get(&format!("/{number}"))).await.status(), 200);
    }
    let seen = after(&gateway, 1_000.0).await;
    assert_eq!(sum(&seen, "gateway_requests_total", &["status=\"200\""]), 1_000.0);

    let (mut fastest, mut size) = (Duration::MAX, 0);
    let scrapes = async {
        for _ in 0..10 {
            let began = Instant::now();
            size = page(&gateway).await.len();
            fastest = fastest.min(began.elapsed());
        }
    };
    let mut answered = 0;
    let mut slowest = Duration::ZERO;
    let served = async {
        loop {
            let began = Instant::now();
            assert_eq!(client.send(get("/7")).await.status(), 200);
            slowest = slowest.max(began.elapsed());
            answered += 1;
        }
    };
    tokio::select! {
        biased;
        () = scrapes => {}
        () = served => unreachable!("it goes on"),
    }
    println!(
        "{size} bytes in {fastest:?}; meanwhile {answered} answers, the slowest after {slowest:?}"
    );
    assert!(size < 1_000 * MOST_OF_ROUTE, "{size}");
    assert!(answered > 20, "the only worker answers while pages are written: {answered}");
}
