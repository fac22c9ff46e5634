//! The bound on the time that a request waits for its store.
//!
//! Times are compared with each other, and with what the configuration says is waited for at least.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};

use super::gateways::{Gateway, flood, limit};
use super::relay::Relay;
use super::server::{KINDS, Server};

const HUNDRED: &str = "{ name = \"day\", limit = 100, window = \"1d\", key = [] }";

/// A store at this URL, which two gateways share, and a route `/NAME` for each choice.
fn text(url: &str, timeout: &str, choices: &[&str]) -> String {
    let mut text = format!("[stores.shared]\nredis = \"{url}\"\ninstances = 2\n{timeout}\n");
    for choice in choices {
        let limiter = format!("{{ store = \"shared\", on_store_error = \"{choice}\" }}");
        text += &limit(choice, &limiter, HUNDRED);
    }
    text
}

async fn run(text: &str) -> (Gateway, TempDir) {
    let folder = tempdir().unwrap();
    (Gateway::run_up(folder.path(), text).await, folder)
}

/// The least time that one of some requests took: a machine that is busy makes single ones late.
async fn least(gateway: &Gateway) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..4 {
        let (status, took) = gateway.ask("/open", &[]).await;
        assert_eq!(status, 200);
        least = least.min(took);
    }
    least
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_store_is_waited_for_as_long_as_is_configured_and_50_ms_by_default() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let url = server.url();
        let (short, _kept) = run(&text(&url, "", &["open"])).await;
        let (said, _kept) = run(&text(&url, "timeout = \"50ms\"", &["open"])).await;
        let (longer, _kept) = run(&text(&url, "timeout = \"500ms\"", &["open"])).await;
        server.pause();
        let (short, said, longer) = tokio::join!(least(&short), least(&said), least(&longer));
        let told = format!("{kind:?}: {short:?}, {said:?}, {longer:?}");
        // Each waits for as long as it may, and those of 50 ms are done long before.
        assert!(short >= Duration::from_millis(50) && said >= Duration::from_millis(50), "{told}");
        assert!(longer >= Duration::from_millis(500), "{told}");
        assert!(short.max(said) < longer / 2, "{told}");
        assert!(longer < Duration::from_millis(500) + short * 10, "{told}");
        server.go_on();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_other_routes_pass_those_that_wait_for_a_slow_store() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let relay = Relay::to(server.port).await;
        let (gateway, _kept) = run(&text(&relay.url(), "timeout = \"10s\"", &["closed"])).await;
        relay.is_late_by(Duration::from_secs(1));
        // 64 hooks wait on both workers, for one answer after the other or for all at once.
        let asked = [&gateway];
        let waiting = flood(&asked, "/closed", 64, 1);
        tokio::pin!(waiting);
        let began = Instant::now();
        let mut passed = 0;
        let counts = loop {
            tokio::select! {
                counts = &mut waiting => break counts,
                (status, _) = gateway.ask("/free", &[]) => {
                    assert_eq!(status, 200);
                    passed += 1;
                }
            }
        };
        assert_eq!(counts, BTreeMap::from([(200, 64)]), "{kind:?}");
        assert!(began.elapsed() >= Duration::from_secs(1), "they waited for the store");
        // One that waits behind a hook is one at a time.
        assert!(passed >= 20, "{kind:?}: {passed} requests passed those that wait");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_answers_within_the_bound_limits_exactly_however_late_it_is() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        for late in [20, 200] {
            assert!(server.ask("FLUSHALL").starts_with("+OK"));
            let relay = Relay::to(server.port).await;
            let text = text(&relay.url(), "timeout = \"10s\"", &["closed"]);
            let ((one, _kept), (other, _too)) = tokio::join!(run(&text), run(&text));
            relay.is_late_by(Duration::from_millis(late));
            let counts = flood(&[&one, &other], "/closed", 60, 5).await;
            assert_eq!(counts, BTreeMap::from([(200, 100), (429, 200)]), "{kind:?}, {late} ms");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_answers_after_the_bound_is_done_without_as_configured() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let relay = Relay::to(server.port).await;
        let text = text(&relay.url(), "", &["local", "open", "closed"]);
        let ((one, _kept), (other, _too)) = tokio::join!(run(&text), run(&text));
        // No answer comes within 50 ms, and none of those by which a connection is taken up again.
        relay.is_late_by(Duration::from_secs(1));
        for gateway in [&one, &other] {
            let local = flood(&[gateway], "/local", 20, 10).await;
            assert_eq!(local, BTreeMap::from([(200, 50), (429, 150)]), "{kind:?}: its share");
            let open = flood(&[gateway], "/open", 20, 10).await;
            assert_eq!(open, BTreeMap::from([(200, 200)]), "{kind:?}");
            let closed = flood(&[gateway], "/closed", 20, 1).await;
            assert_eq!(closed, BTreeMap::from([(503, 20)]), "{kind:?}");
        }
        // What was given up may have been counted, once for each connection that was tried: never is too much admitted.
        relay.is_late_by(Duration::ZERO);
        for gateway in [&one, &other] {
            gateway.until("gateway_store_up", |up| up == 1.0).await;
        }
        let later = flood(&[&one, &other], "/closed", 40, 5).await;
        assert!(later.get(&200).is_some_and(|admitted| *admitted <= 100), "{kind:?}: {later:?}");
    }
}
