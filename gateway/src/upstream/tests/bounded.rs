//! Connections of a target that are bounded, for all workers together.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::Method;

use super::support::{Server, answer, config, empty, get, ms, names, request, run, send, target};
use crate::config::{ConnectionBound, Upstream as Config, UpstreamId};
use crate::health::{Health, NoPlace};
use crate::timer::Timers;
use crate::upstream::{Upstream, UpstreamError, Upstreams};

fn bounded(server: &Server, max: usize, queue: usize, queue_time: Duration) -> Config {
    let connections = Some(ConnectionBound { max, queue, queue_time });
    Config { connections, ..config(vec![target(server.address)]) }
}

/// The same for one worker more.
fn worker(config: &Config, health: &Health) -> Upstreams {
    let all = std::slice::from_ref(config);
    Upstreams::default().succeeded_by(all, health, names(), &Timers::new()).unwrap()
}

/// Waits until so many are open, and so many requests wait.
async fn becomes(health: &Health, counts: (usize, usize)) {
    while health.all()[0].known_connections().unwrap().counts() != counts {
        tokio::time::sleep(ms(1)).await;
    }
}

/// Does this while a request that is never answered has a connection.
async fn while_one_is_held(upstream: &Upstream, rest: impl Future<Output = ()>) {
    tokio::select! {
        _ = send(upstream, get("/never")) => panic!("it is never answered"),
        () = rest => {}
    }
}

#[test]
fn requests_share_what_there_is_and_those_beyond_the_queue_are_refused() {
    run(async {
        let server = Server::http1().await;
        let config = bounded(&server, 1, 2, Duration::from_secs(30));
        let health = Health::default();
        let upstreams = worker(&config, &health);
        let upstream = upstreams.upstream(UpstreamId(0));
        let late = async {
            becomes(&health, (1, 2)).await;
            let refused = send(upstream, get("/")).await.err().unwrap();
            let UpstreamError::NoConnection { source, .. } = &refused else { panic!("{refused}") };
            assert_eq!(*source, NoPlace::NoConnection { max: 1, queue: 2 });
            assert_eq!(refused.status(), 503);
        };
        let held = while_one_is_held(upstream, late);
        let waiting = async {
            becomes(&health, (1, 0)).await;
            tokio::join!(answer(upstream, get("/")), answer(upstream, get("/")))
        };
        let ((), (one, other)) = tokio::join!(held, waiting);
        assert_eq!((one.status, other.status), (200, 200));
        assert!(server.accepted() <= 2, "{}", server.accepted());
        let known = health.all();
        let connections = known[0].known_connections().unwrap();
        assert_eq!((connections.counts(), connections.shed()), ((1, 0), [1, 0]));
        drop(upstreams);
    });
}

#[test]
fn who_waits_for_too_long_is_refused_and_waits_no_more() {
    run(async {
        let server = Server::http1().await;
        let config = bounded(&server, 1, 9, ms(30));
        let health = Health::default();
        let upstreams = worker(&config, &health);
        let upstream = upstreams.upstream(UpstreamId(0));
        let late = async {
            becomes(&health, (1, 0)).await;
            let refused = send(upstream, get("/")).await.err().unwrap();
            let late = NoPlace::LateConnection { max: 1, time: ms(30) };
            assert!(
                matches!(&refused, UpstreamError::NoConnection { source, .. } if *source == late),
                "{refused}"
            );
            assert_eq!(health.all()[0].known_connections().unwrap().counts(), (1, 0));
        };
        while_one_is_held(upstream, late).await;
        assert_eq!(answer(upstream, get("/")).await.status, 200);
    });
}

#[test]
fn an_idle_connection_that_will_not_do_makes_room_for_one_that_will() {
    run(async {
        let server = Server::http1().await;
        let config = bounded(&server, 1, 1, ms(100));
        let health = Health::default();
        let upstreams = worker(&config, &health);
        let upstream = upstreams.upstream(UpstreamId(0));
        for round in 1..=5 {
            assert_eq!(answer(upstream, get("/")).await.status, 200);
            // A request that cannot be sent again takes none that was idle for so long, as far as is known.
            tokio::time::sleep(ms(60 * round)).await;
            assert_eq!(answer(upstream, request(Method::POST, "/", empty())).await.status, 200);
        }
        assert!(server.accepted() > 1, "{}", server.accepted());
        assert_eq!(health.all()[0].known_connections().unwrap().shed(), [0, 0]);
    });
}

#[test]
fn over_http2_one_connection_serves_them_all() {
    run(async {
        let server = Server::http2(100).await;
        let mut config = bounded(&server, 1, 0, ms(30));
        config.protocol = crate::config::UpstreamProtocol::Http2;
        let health = Health::default();
        let upstreams = worker(&config, &health);
        let upstream = upstreams.upstream(UpstreamId(0));
        assert_eq!(answer(upstream, get("/")).await.status, 200);
        let (one, other) = tokio::join!(answer(upstream, get("/slow")), answer(upstream, get("/")));
        assert_eq!((one.status, other.status, server.accepted()), (200, 200, 1));
    });
}

fn on_a_thread(config: &Config, health: &Arc<Health>) -> JoinHandle<()> {
    let (config, health) = (config.clone(), Arc::clone(health));
    std::thread::spawn(move || {
        run(async {
            let upstreams = worker(&config, &health);
            let upstream = upstreams.upstream(UpstreamId(0));
            for _ in 0..40 {
                assert_eq!(answer(upstream, get("/")).await.status, 200);
                tokio::time::sleep(ms(1)).await;
            }
            // One that nobody uses does not stay in the way of others, as long as its worker is there.
            tokio::time::sleep(ms(300)).await;
        });
    })
}

#[test]
fn a_worker_gives_an_idle_connection_up_for_a_request_of_another() {
    run(async {
        let server = Server::http1().await;
        let config = bounded(&server, 1, 100, Duration::from_secs(20));
        let health = Arc::new(Health::default());
        let workers: Vec<_> = (0..3).map(|_| on_a_thread(&config, &health)).collect();
        let joined = move || workers.into_iter().for_each(|worker| worker.join().unwrap());
        tokio::task::spawn_blocking(joined).await.unwrap();
        assert!(server.accepted() >= 3, "each worker had its own");
        assert_eq!(health.all()[0].known_connections().unwrap().counts(), (0, 0));
    });
}

#[test]
fn targets_that_stay_keep_their_connections_and_those_of_others_are_closed() {
    run(async {
        let (stays, goes, comes) =
            (Server::http1().await, Server::http1().await, Server::http1().await);
        let with = |other: &Server| config(vec![target(stays.address), target(other.address)]);
        let health = Health::default();
        let before = worker(&with(&goes), &health);
        for _ in 0..4 {
            assert_eq!(answer(before.upstream(UpstreamId(0)), get("/")).await.status, 200);
        }
        let open = send(before.upstream(UpstreamId(0)), get("/slow")).await.unwrap();
        let after = [with(&comes)];
        let after = before.succeeded_by(&after, &health, names(), &Timers::new()).unwrap();
        after.succeed(&before);
        // What is under way goes on, and its connection serves no other.
        drop(open);
        for _ in 0..4 {
            let answered = answer(after.upstream(UpstreamId(0)), get("/")).await;
            assert_eq!(answered.status, 200);
        }
        assert_eq!((stays.accepted(), goes.accepted(), comes.accepted()), (1, 1, 1));
    });
}
