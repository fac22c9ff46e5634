//! A shadow upstream that hangs, floods or dies beside one that is well: what it costs the requests that it gets copies of.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use gateway_tests::Http1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::load::Load;
use super::others::{self, Other};
use super::targets::{self, Fault};

/// A gateway with an admin API, and a mirror if there is a shadow.
async fn gateway(real: SocketAddr, shadow: Option<SocketAddr>) -> (Other, SocketAddr) {
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = move |address| {
        let (upstream, mirror) = match shadow {
            Some(shadow) => (
                format!("[upstreams.shadow]\ntargets = [\"http://{shadow}\"]\n"),
                "mirror = { upstream = \"shadow\", timeout = \"1s\" }\n",
            ),
            None => Default::default(),
        };
        format!(
            "[gateway]\nworkers = 1\n[admin]\naddress = \"{admin}\"\n\
             [[listeners]]\nname = \"http\"\naddress = \"{address}\"\n\
             [upstreams.real]\ntargets = [\"http://{real}\"]\n{upstream}\
             [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"real\"\n{mirror}"
        )
    };
    let program = std::env::var("CHAOS_PROGRAM").ok();
    let program = program.unwrap_or_else(|| gateway_tests::binary().display().to_string());
    (others::gateway_of(program, text).await, admin)
}

/// Answers each request with a body that never ends.
async fn flood() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = [0; 4_096];
                let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                if matches!(stream.read(&mut read).await, Ok(1..))
                    && stream.write_all(head).await.is_ok()
                {
                    while stream.write_all(chunk.as_bytes()).await.is_ok() {}
                }
            });
        }
    });
    address
}

/// Of a page of metrics, the values of the lines that begin so, added up.
async fn sum(admin: SocketAddr, start: &str) -> f64 {
    let page = Http1::admin(admin, "/metrics").await;
    let lines = page.text().lines().filter(|line| line.starts_with(start));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}

/// `SHADOW_ROUNDS` and `SHADOW_RATE` say how many rounds of two seconds there are of each shadow, and at which rate; each
/// is against a gateway without a mirror, right after it. `CHAOS_PROGRAM` is the gateway.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes, and the machine for itself"]
async fn a_shadow_that_fails_costs_the_real_requests_nothing() {
    let number = |name: &str, default: u32| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (rounds, rate) = (number("SHADOW_ROUNDS", 9), number("SHADOW_RATE", 500));
    let real = targets::start(1).await;
    let (plain, _) = gateway(real[0].address, None).await;
    for kind in ["well", "hangs", "floods", "dies", "resets"] {
        let shadow = targets::start(1).await;
        let address = if kind == "floods" { flood().await } else { shadow[0].address };
        let (mirrored, admin) = gateway(real[0].address, Some(address)).await;
        match kind {
            "hangs" => shadow[0].becomes(Fault::Paused),
            "resets" => shadow[0].becomes(Fault::Resets),
            _ => {}
        }
        let dies = async {
            for turn in 0_u32.. {
                let next = if turn.is_multiple_of(2) { Fault::Killed } else { Fault::None };
                shadow[0].becomes(next);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let load = Load { rate, time: Duration::from_secs(2) };
        let (mut without, mut with) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        let mut failed = 0;
        let mut memory = 0.0;
        let measure = async {
            for round in 0..=rounds {
                let one = load.run(plain.address, Instant::now()).await;
                let other = load.run(mirrored.address, Instant::now()).await;
                failed += other.gets.failed + other.posts.failed;
                // The first one warms up.
                if round == 0 {
                    memory = sum(admin, "process_resident_memory_bytes").await;
                    continue;
                }
                without.0.push(one.quantile(0.5));
                without.1.push(one.quantile(0.99));
                with.0.push(other.quantile(0.5));
                with.1.push(other.quantile(0.99));
            }
        };
        if kind == "dies" {
            tokio::select! { () = measure => {}, () = dies => {} }
        } else {
            measure.await;
        }
        // Every copy has ended by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let in_use = "gateway_upstream_connections{upstream=\"shadow\"";
        let page = Http1::admin(admin, "/metrics").await;
        let busy: f64 = page
            .text()
            .lines()
            .filter(|line| line.starts_with(in_use) && line.contains("in_use"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        let results = ["same", "different", "failed", "timeout", "skipped"];
        let mut counts = Vec::new();
        for result in results {
            let line = format!(
                "gateway_mirrored_requests_total{{route=\"r\",upstream=\"shadow\",result=\"{result}\"}}"
            );
            counts.push(format!("{result} {}", sum(admin, &line).await));
        }
        let grown = sum(admin, "process_resident_memory_bytes").await - memory;
        let fds = sum(admin, "process_open_fds").await;
        let ratios = with.1.iter().zip(&without.1).map(|(with, without)| with / without);
        println!(
            "shadow {kind}: p50 {:.2} ms, without {:.2} ms; p99 {:.1} ms, without {:.1} ms, median of the ratios {:.2}; \
             {failed} failed; {}; connections in use {busy}, descriptors {fds}, memory {:+.1} MiB",
            median(with.0),
            median(without.0),
            median(with.1.clone()),
            median(without.1.clone()),
            median(ratios.collect()),
            counts.join(", "),
            grown / f64::from(1 << 20)
        );
        assert_eq!((failed, busy), (0, 0.0));
    }
}
