//! Examples of `docs/upstreams.md` and `docs/splits.md` that no other module runs: each is taken from there as it is and does
//! what is said of it. Where a time of theirs would be waited for, it is compared with the text and then made shorter.

mod failing;
mod kept;
mod splits;
mod times;

use std::time::Duration;

use gateway_tests::{Http1, Running, Setup, Upstream};

/// The first block of a chapter.
fn block(document: &'static str, chapter: &str) -> &'static str {
    let behind = document.split_once(&format!("# {chapter}\n")).expect(chapter).1;
    behind.split_once("```toml\n").expect(chapter).1.split_once("```").expect(chapter).0
}

/// An example of `docs/upstreams.md` with these addresses in place of its own.
fn example(chapter: &str, at: &[(&str, &str)]) -> Setup {
    let text = block(include_str!("../../../docs/upstreams.md"), chapter);
    let text = at.iter().fold(text.to_owned(), |text, (address, other)| {
        assert!(text.contains(address), "{chapter} has no {address}");
        text.replace(address, other)
    });
    Setup::toml(&format!("[admin]\naddress = \"127.0.0.1:0\"\n{text}"), &[]).workers(1)
}

fn at(upstream: &Upstream) -> String {
    upstream.address.to_string()
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// How many requests of a route failed for this reason.
async fn failed(gateway: &Running, route: &str, reason: &str) -> u64 {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let series = format!(
        "gateway_requests_failed_total{{route=\"{route}\",fault=\"upstream\",reason=\"{reason}\"}}"
    );
    let count = page.text().lines().find_map(|line| line.strip_prefix(&series));
    count.map_or(0, |count| count.trim().parse().unwrap())
}
