//! Targets that fail: when they get no requests, and when all get some.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use gateway_tests::client::{get, request};
use gateway_tests::upstream::full;
use gateway_tests::{ClosedPort, Http1, Running, Upstream, within};
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::health::grpc;
use super::{at, example, failed, ms};
use crate::health::{becomes, shown as health};

async fn answering(status: u16) -> Upstream {
    Upstream::http1(
        move |_| async move { Response::builder().status(status).body(full("")).unwrap() },
    )
    .await
}

async fn silent() -> Upstream {
    Upstream::script(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_respond_badly_one_is_ejected() {
    let (one, two, well) = (answering(500).await, answering(500).await, Upstream::echo().await);
    let all = [at(&one), at(&two), at(&well)];
    let places = ["10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.3:9000"];
    let gateway = example("Ejection", &[0, 1, 2].map(|it| (places[it], &*all[it]))).start();
    let mut client = Http1::connect(gateway.address).await;
    let mut bad = 0;
    for _ in 0..30 {
        bad += usize::from(client.send(get("/orders/1")).await.status() == 500);
    }
    let states =
        [health(&gateway, "orders", &all[0]).await, health(&gateway, "orders", &all[1]).await];
    let ejected: Vec<_> = states.iter().filter(|it| it["state"] == "ejected").collect();
    assert_eq!(ejected.len(), 1, "{states:?}");
    assert_eq!(
        (&ejected[0]["reason"], &ejected[0]["ejections"]["status"]),
        (&"status".into(), &1.into())
    );
    let counts = [one.requests().len(), two.requests().len()];
    // Three of the one that is ejected, and its turns of the other.
    assert_eq!((counts.iter().min(), counts.iter().sum()), (Some(&3), bad), "{counts:?}");
}

/// Two targets that were away for a while and are back, and how many of 20 requests they get then.
async fn back_with(threshold: Option<u32>) -> usize {
    let (one, two) = (ClosedPort::new(), ClosedPort::new());
    let well = Upstream::echo().await;
    let (first, second) = (one.to_string(), two.to_string());
    let places =
        [("10.0.0.1:9000", &*first), ("10.0.0.2:9000", &*second), ("10.0.0.3:9000", &at(&well))];
    let mut setup = example("Ejection", &places);
    let ejection = &mut setup.config.upstreams[0].ejection;
    assert_eq!((ejection.panic_threshold, ejection.time), (500, Duration::from_secs(10)));
    ejection.time = Duration::from_secs(3_600);
    ejection.max_time = ejection.time;
    ejection.panic_threshold = threshold.unwrap_or(ejection.panic_threshold);
    let gateway = setup.start();
    let mut client = Http1::connect(gateway.address).await;
    let mut ask = async || assert_eq!(client.send(get("/orders/1")).await.status(), 200);
    within(async {
        while health(&gateway, "orders", &first).await["state"] != "ejected"
            || health(&gateway, "orders", &second).await["state"] != "ejected"
        {
            ask().await;
        }
    })
    .await;
    let addresses = [one.address, two.address];
    drop((one, two));
    let mut back = Vec::new();
    for address in addresses {
        back.push(Upstream::http1_at(address, |_| async { Response::new(full("back")) }).await);
    }
    for _ in 0..20 {
        ask().await;
    }
    back.iter().map(|it| it.requests().len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_get_some_while_less_than_half_take_requests() {
    assert_eq!(back_with(Some(0)).await, 0, "ejected for longer than this takes");
    let some = back_with(None).await;
    assert!(some >= 10, "{some} of 20");
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_of_each_kind_find_out_who_is_well() {
    let (well, sick, mute) = (answering(204).await, answering(500).await, silent().await);
    let (open, closed) = (Upstream::echo().await, ClosedPort::new());
    let serving = grpc("ledger.v1.Ledger", Arc::new(AtomicUsize::new(1))).await;
    let other = Upstream::echo().await;
    let targets =
        [at(&well), at(&sick), at(&mute), at(&open), closed.to_string(), at(&serving), at(&other)];
    let places = ["1", "2", "3", "4", "5", "6", "7"].map(|it| format!("10.0.0.{it}:9000"));
    let places: Vec<_> = places.iter().zip(&targets).map(|(it, at)| (&**it, &**at)).collect();
    let mut setup = example("Health checks", &places);
    for upstream in &mut setup.config.upstreams {
        let check = upstream.health.as_mut().unwrap();
        let is_http = upstream.name == "stock";
        assert_eq!(check.interval, Duration::from_secs(5));
        assert_eq!(check.timeout, Duration::from_secs(if is_http { 1 } else { 2 }));
        assert_eq!((check.unhealthy, check.healthy), (2, if is_http { 3 } else { 2 }));
        (check.interval, check.timeout) = (ms(100), ms(700));
    }
    let gateway = setup.start();
    for (upstream, target, why) in [
        ("stock", 1, "the status is 500"),
        ("files", 4, "cannot connect: the connection was refused"),
        ("stock", 2, "no answer within"),
        ("ledger", 6, ""),
    ] {
        becomes(&gateway, upstream, &targets[target], "down").await;
        let said = health(&gateway, upstream, &targets[target]).await["check_error"].clone();
        assert!(said.as_str().unwrap().contains(why), "{said}");
    }
    for (upstream, target) in [("stock", 0), ("files", 3), ("ledger", 5)] {
        becomes(&gateway, upstream, &targets[target], "up").await;
        let passed = health(&gateway, upstream, &targets[target]).await["checks"]["passed"].clone();
        assert!(passed.as_u64().unwrap() > 0, "{upstream}");
    }
    for _ in 0..6 {
        assert_eq!(Http1::get(gateway.address, "/stock/1").await.status(), 204);
    }
}

async fn by_hand(gateway: &Running, verb: &str, target: &str) {
    let admin = gateway.admin.unwrap();
    let path = format!("/upstreams/orders/{verb}?target={target}");
    let mut client = Http1::connect(admin).await;
    let request = gateway_tests::client::to(admin, request("POST", &path, &[], ""));
    assert_eq!(client.send(request).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_back_begins_slowly() {
    let (one, two) = (Upstream::echo().await, Upstream::echo().await);
    let text = [("10.0.0.1:9000", &*at(&one)), ("10.0.0.2:9000", &*at(&two))];
    let mut setup = example("Slow start", &text);
    assert_eq!(setup.config.upstreams[0].slow_start, Duration::from_secs(30));
    // In turns, so that its share is known.
    setup.config.upstreams[0].balance = gateway::config::Balance::RoundRobin;
    let gateway = setup.start();
    let mut client = Http1::connect(gateway.address).await;
    by_hand(&gateway, "drain", &at(&one)).await;
    by_hand(&gateway, "enable", &at(&one)).await;
    for _ in 0..60 {
        assert_eq!(client.send(get("/orders/1")).await.status(), 200);
    }
    let (begins, other) = (one.requests().len(), two.requests().len());
    // A tenth of its weight is one of eleven: 5 or 6 of 60, and a little more with each second.
    assert!((3..=12).contains(&begins) && begins + other == 60, "{begins} and {other}");
}

/// Answers as it is told: resets, or a status with a `Retry-After`, one after the other, and 200 at the end.
async fn one_after_the_other(answers: &'static [&'static str]) -> Upstream {
    let next = Arc::new(AtomicUsize::new(0));
    Upstream::script(move |mut stream| {
        let next = Arc::clone(&next);
        async move {
            let mut buffer = vec![0; 4096];
            loop {
                let mut head: Vec<u8> = Vec::new();
                while !head.windows(4).any(|it| it == b"\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(read @ 1..) => head.extend(&buffer[..read]),
                        _ => return,
                    }
                }
                let answer = answers.get(next.fetch_add(1, SeqCst)).unwrap_or(&"200 OK\r\n");
                if answer.is_empty() {
                    return;
                }
                let answer = format!("HTTP/1.1 {answer}content-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_target_is_asked_again_after_a_while_and_when_it_says() {
    let prices = one_after_the_other(&["503 Busy\r\n", "", "429 Slow\r\nretry-after: 1\r\n"]).await;
    let gateway = example("Where there is one target", &[("10.0.0.1:9000", &at(&prices))]).start();
    let mut client = Http1::connect(gateway.address).await;
    let began = Instant::now();
    let post = || request("POST", "/prices/1", &[], "");
    assert_eq!(client.send(post()).await.status(), 200);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    // What would take too long is passed on.
    let prices = one_after_the_other(&["503 Busy\r\nretry-after: 60\r\n"]).await;
    let gateway = example("Where there is one target", &[("10.0.0.1:9000", &at(&prices))]).start();
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(post()).await;
    assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("60")));
    // And what may be under way is not begun again.
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked);
    let slow = Upstream::http1(move |_| {
        assert!(!asked.swap(true, SeqCst), "once");
        std::future::pending()
    })
    .await;
    let mut setup = example("Where there is one target", &[("10.0.0.1:9000", &at(&slow))]);
    setup.config.upstreams[0].timeouts.first_byte = ms(200);
    let gateway = setup.start();
    assert_eq!(Http1::get(gateway.address, "/prices/1").await.status(), 504);
    assert_eq!(failed(&gateway, "prices", "first-byte-timeout").await, 1);
    assert_eq!(slow.requests().len(), 1);
}
