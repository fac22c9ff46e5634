//! A store that is away, silent or slow.

use std::time::{Duration, Instant};

use tempfile::tempdir;

use super::gateways::{Gateway, limit};
use super::server::{KINDS, Server};

const TWO: &str = "{ name = \"day\", limit = 4, window = \"1d\", key = [] }";

/// A route for each choice of `on_store_error`; this gateway is one of two.
fn text(server: &Server) -> String {
    let mut text = format!("[stores.shared]\nredis = \"{}\"\ninstances = 2\n", server.url());
    for choice in ["open", "closed", "local"] {
        let limiter = format!("{{ store = \"shared\", on_store_error = \"{choice}\" }}");
        text += &limit(choice, &limiter, TWO);
    }
    text
}

#[tokio::test]
async fn a_store_that_dies_is_done_without_as_configured_until_it_is_back() {
    for kind in KINDS {
        let Some(mut server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let gateway = Gateway::run_up(folder.path(), &text(&server)).await;
        server.kill();
        gateway.until("gateway_store_up", |up| up == 0.0).await;
        assert_eq!(gateway.statuses("/open", 6).await, [200; 6], "{kind:?}");
        assert_eq!(gateway.statuses("/closed", 3).await, [503; 3]);
        // Half of the limit is this gateway's.
        assert_eq!(gateway.statuses("/local", 4).await, [200, 200, 429, 429]);
        // One line for the change, and none a request.
        gateway.says("cannot be had", 1).await;
        server.start_again().await;
        gateway.until("gateway_store_up", |up| up == 1.0).await;
        for path in ["/open", "/closed", "/local"] {
            assert_eq!(
                gateway.statuses(path, 5).await,
                [200, 200, 200, 200, 429],
                "{kind:?} {path}"
            );
        }
        gateway.says("answers again", 1).await;
        gateway.says("cannot be had", 1).await;
    }
}

#[tokio::test]
async fn a_gateway_that_starts_without_its_store_serves_and_finds_it_later() {
    for kind in KINDS {
        let Some(mut server) = Server::start(kind, &[]).await else { continue };
        server.kill();
        let folder = tempdir().unwrap();
        let gateway = Gateway::run(folder.path(), &text(&server));
        assert_eq!(gateway.statuses("/local", 3).await, [200, 200, 429], "{kind:?}");
        server.start_again().await;
        gateway.until("gateway_store_up", |up| up == 1.0).await;
        assert_eq!(gateway.statuses("/local", 5).await, [200, 200, 200, 200, 429]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_store_costs_a_bounded_wait_and_stalls_no_other_route() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let slow = text(&server).replace("instances = 2", "instances = 2\ntimeout = \"1s\"");
        let gateway = Gateway::run_up(folder.path(), &slow).await;
        server.pause();
        let waiting = gateway.ask("/open", &[]);
        let others = async {
            // It is under way by then, on one of two workers; these go to both.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut longest = Duration::ZERO;
            for _ in 0..20 {
                let (status, took) = gateway.ask("/free", &[]).await;
                assert_eq!(status, 200);
                longest = longest.max(took);
            }
            longest
        };
        let ((status, took), longest) = tokio::join!(waiting, others);
        assert_eq!(status, 200, "{kind:?}");
        assert!(took >= Duration::from_millis(900), "it waited for the store: {took:?}");
        assert!(longest < Duration::from_millis(800), "no other waited: {longest:?}");
        // After five on a worker none waits any more.
        let began = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..30 {
            tasks.push(gateway.ask("/open", &[]));
        }
        for (status, _) in futures_util::future::join_all(tasks).await {
            assert_eq!(status, 200);
        }
        gateway.until("gateway_store_up", |up| up == 0.0).await;
        assert_eq!(gateway.ask("/open", &[]).await.0, 200);
        gateway
            .until("gateway_store_calls_total{store=\"shared\",result=\"away\"}", |away| away > 0.0)
            .await;
        assert!(began.elapsed() < Duration::from_secs(8));
        server.go_on();
        gateway.until("gateway_store_up", |up| up == 1.0).await;
        assert_eq!(gateway.statuses("/closed", 5).await, [200, 200, 200, 200, 429]);
    }
}

#[tokio::test]
async fn a_connection_for_checks_that_is_cut_is_made_anew() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let patient = text(&server).replace("instances = 2", "instances = 2\ntimeout = \"1s\"");
        let gateway = Gateway::run_up(folder.path(), &patient).await;
        let began = Instant::now();
        // What is asked last by each connection: once a second whether the server is there, but for the one of a check.
        let of_checks = loop {
            assert!(began.elapsed() < Duration::from_secs(20), "{}", server.ask("CLIENT LIST"));
            assert_eq!(gateway.statuses("/open", 1).await.len(), 1);
            let clients = server.ask("CLIENT LIST");
            let lines = clients.lines().filter(|line| line.contains("cmd=evalsha"));
            let ids: Vec<_> =
                lines.filter_map(|it| it.strip_prefix("id=")?.split(' ').next()).collect();
            if let [id] = ids[..] {
                break id.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert!(server.ask(&format!("CLIENT KILL ID {of_checks}")).starts_with(":1"), "{kind:?}");
        gateway.says("answers again", 1).await;
        gateway.says("cannot be had", 1).await;
        assert_eq!(gateway.statuses("/closed", 5).await, [200, 200, 200, 200, 429], "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_one_line_of_the_log_however_many_requests_wait() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let patient = text(&server).replace("instances = 2", "instances = 2\ntimeout = \"500ms\"");
        let gateway = Gateway::run_up(folder.path(), &patient).await;
        server.pause();
        let waiting = (0..64).map(|_| gateway.ask("/closed", &[]));
        for (status, _) in futures_util::future::join_all(waiting).await {
            assert_eq!(status, 503, "{kind:?}");
        }
        gateway.until("gateway_store_up", |up| up == 0.0).await;
        assert_eq!(gateway.statuses("/closed", 3).await, [503; 3]);
        gateway.says("cannot be had", 1).await;
        assert_eq!(gateway.lines_with("level", "WARN").len(), 1, "{kind:?}");
        server.go_on();
    }
}
