//! HTTP/2: sharing of connections, limits, the end of connections, giving up.

use std::rc::Rc;

use http::{Method, Version, header};
use hyper_util::rt::TokioIo;
use tokio::task::spawn_local;

use super::support::{
    LocalExecutor, Server, answer, config, echo, full, get, ms, request, run, send, target,
    upstream,
};
use crate::config::{HostPolicy, UpstreamProtocol};
use crate::upstream::care::Wants;
use crate::upstream::{Upstream, UpstreamError};

fn http2_upstream(server: &Server) -> Rc<Upstream> {
    let mut config = config(vec![target(server.address)]);
    config.protocol = UpstreamProtocol::Http2;
    Rc::new(upstream(&config))
}

#[test]
fn speaks_http2_in_clear_by_prior_knowledge() {
    run(async {
        let server = Server::http2(100).await;
        let upstream = http2_upstream(&server);
        for number in 0..3 {
            let answer = answer(&upstream, request(Method::POST, "/a?b", full("hi"))).await;
            assert_eq!(answer.version, Version::HTTP_2);
            let said = "HTTP/2.0 POST http://api.example.com/a?b host=- body=hi";
            assert_eq!(answer.text, said);
            assert_eq!(answer.reused, number > 0);
        }
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn names_the_target_as_authority_when_the_policy_says_so() {
    run(async {
        let server = Server::http2(100).await;
        let upstream = http2_upstream(&server);
        let exchange = upstream.send(&mut get("/"), &HostPolicy::Target).await.unwrap();
        let body = http_body_util::BodyExt::collect(exchange.response.into_body()).await.unwrap();
        let said = format!("HTTP/2.0 GET http://{}/ host=- body=", server.address);
        assert_eq!(body.to_bytes(), said);
    });
}

#[test]
fn refuses_a_host_that_is_no_authority() {
    run(async {
        let server = Server::http2(100).await;
        let mut request = get("/");
        request.headers_mut().insert(header::HOST, "a b".parse().unwrap());
        let error = send(&http2_upstream(&server), request).await.err().unwrap();
        assert!(matches!(error, UpstreamError::Protocol { .. }), "{error}");
    });
}

#[test]
fn a_thousand_requests_at_once_share_as_few_connections_as_the_peer_allows() {
    run(async {
        let server = Server::http2(250).await;
        let upstream = http2_upstream(&server);
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                let upstream = Rc::clone(&upstream);
                spawn_local(async move { answer(&upstream, get("/slow")).await })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().status, 200);
        }
        assert!(server.accepted() <= 10, "{} connections", server.accepted());
        let before = server.accepted();
        assert!(answer(&upstream, get("/")).await.reused);
        assert_eq!(server.accepted(), before);
    });
}

#[test]
fn opens_another_connection_when_the_peers_limit_is_reached() {
    run(async {
        let server = Server::http2(2).await;
        let upstream = http2_upstream(&server);
        answer(&upstream, get("/")).await;
        let many = (0..4).map(|_| {
            let upstream = Rc::clone(&upstream);
            spawn_local(async move { answer(&upstream, get("/slow")).await })
        });
        for task in many.collect::<Vec<_>>() {
            assert_eq!(task.await.unwrap().status, 200);
        }
        assert_eq!(server.accepted(), 2);
    });
}

#[test]
fn requests_that_wait_for_the_same_connect_share_its_failure() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut config = config(vec![target(address)]);
        config.protocol = UpstreamProtocol::Http2;
        let upstream = Rc::new(upstream(&config));
        let tasks = (0..50).map(|_| {
            let upstream = Rc::clone(&upstream);
            spawn_local(async move { send(&upstream, get("/")).await.err().unwrap() })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert!(matches!(task.await.unwrap(), UpstreamError::Connect { .. }));
        }
    });
}

#[test]
fn goes_on_connecting_for_the_others_when_the_first_request_is_given_up() {
    run(async {
        let server = Server::http2(100).await;
        let upstream = http2_upstream(&server);
        let first = spawn_local({
            let upstream = Rc::clone(&upstream);
            async move { send(&upstream, get("/")).await.is_ok() }
        });
        let second = spawn_local({
            let upstream = Rc::clone(&upstream);
            async move { answer(&upstream, get("/")).await.status }
        });
        tokio::task::yield_now().await;
        first.abort();
        assert_eq!(second.await.unwrap(), 200);
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn a_request_that_is_given_up_leaves_the_connection_to_the_others() {
    run(async {
        let server = Server::http2(1).await;
        let upstream = http2_upstream(&server);
        answer(&upstream, get("/")).await;
        for _ in 0..3 {
            let given_up = tokio::time::timeout(ms(20), send(&upstream, get("/never"))).await;
            assert!(given_up.is_err());
            assert!(answer(&upstream, get("/")).await.reused);
        }
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn a_connection_that_the_peer_says_goodbye_on_is_replaced() {
    run(async {
        let goodbye = Rc::new(tokio::sync::Notify::new());
        let told = Rc::clone(&goodbye);
        let server = Server::start(move |stream, _| {
            let told = Rc::clone(&told);
            async move {
                let service = hyper::service::service_fn(echo);
                let connection = hyper::server::conn::http2::Builder::new(LocalExecutor)
                    .serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ = &mut connection => return,
                    () = told.notified() => connection.as_mut().graceful_shutdown(),
                }
                let _ended = connection.await;
            }
        })
        .await;
        let upstream = http2_upstream(&server);
        assert!(!answer(&upstream, get("/")).await.reused);
        goodbye.notify_waiters();
        while upstream.targets[0].pooled(Wants::default()).is_some() {
            tokio::time::sleep(ms(5)).await;
        }
        assert!(!answer(&upstream, get("/")).await.reused);
        assert_eq!(server.accepted(), 2);
    });
}

#[test]
fn an_idle_connection_is_swept_and_a_busy_one_is_not() {
    run(async {
        let server = Server::http2(100).await;
        let mut config = config(vec![target(server.address)]);
        config.protocol = UpstreamProtocol::Http2;
        let upstream = upstream(&config);
        let open = send(&upstream, get("/")).await.unwrap();
        let sweep_in = |wait| upstream.targets[0].sweep(std::time::Instant::now() + wait);
        sweep_in(2 * config.idle_timeout);
        assert_eq!(upstream.pool_size(), 1, "busy");
        drop(open);
        sweep_in(config.idle_timeout / 2);
        assert_eq!(upstream.pool_size(), 1, "idle since just now");
        sweep_in(2 * config.idle_timeout);
        assert_eq!(upstream.pool_size(), 0);
    });
}

/// The first connection answers until it freezes; those after it answer.
async fn freezing_server(frozen: &Rc<tokio::sync::Notify>) -> Server {
    let frozen = Rc::clone(frozen);
    Server::start(move |stream, number| {
        let frozen = Rc::clone(&frozen);
        async move {
            let io = TokioIo::new(stream);
            let serving = super::support::serve_http2(io, 100);
            if number > 1 {
                return serving.await;
            }
            let mut serving = std::pin::pin!(serving);
            tokio::select! {
                () = &mut serving => {}
                () = frozen.notified() => std::future::pending().await,
            }
        }
    })
    .await
}

#[test]
fn a_connection_on_which_a_request_timed_out_is_not_taken_again() {
    run(async {
        let frozen = Rc::default();
        let server = freezing_server(&frozen).await;
        let mut config = config(vec![target(server.address)]);
        config.protocol = UpstreamProtocol::Http2;
        config.timeouts.first_byte = ms(100);
        let upstream = upstream(&config);
        answer(&upstream, get("/")).await;
        frozen.notify_one();
        let error = send(&upstream, get("/")).await.err().unwrap();
        assert!(matches!(error, UpstreamError::FirstByteTimeout { .. }), "{error}");
        assert!(!answer(&upstream, get("/")).await.reused);
        assert_eq!(server.accepted(), 2);
    });
}

#[test]
fn a_request_that_is_given_up_in_silence_takes_its_connection_with_it() {
    run(async {
        let frozen = Rc::default();
        let server = freezing_server(&frozen).await;
        let upstream = http2_upstream(&server);
        answer(&upstream, get("/")).await;
        frozen.notify_one();
        // Somebody else's timeout, such as that of the whole request.
        let given_up = tokio::time::timeout(ms(1_100), send(&upstream, get("/"))).await;
        assert!(given_up.is_err());
        assert!(!answer(&upstream, get("/")).await.reused);
    });
}

#[test]
fn one_that_is_given_up_while_others_are_answered_does_not() {
    run(async {
        let server = Server::http2(100).await;
        let upstream = http2_upstream(&server);
        answer(&upstream, get("/")).await;
        let slow = async { tokio::time::timeout(ms(1_100), send(&upstream, get("/never"))).await };
        let others = async {
            tokio::time::sleep(ms(500)).await;
            answer(&upstream, get("/")).await
        };
        let (slow, _) = tokio::join!(slow, others);
        assert!(slow.is_err());
        assert!(answer(&upstream, get("/")).await.reused);
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn a_ping_without_an_answer_ends_the_connection() {
    run(async {
        let frozen = Rc::default();
        let server = freezing_server(&frozen).await;
        let mut config = config(vec![target(server.address)]);
        config.protocol = UpstreamProtocol::Http2;
        (config.ping, config.ping_timeout) = (ms(1_000), ms(200));
        let upstream = upstream(&config);
        answer(&upstream, get("/")).await;
        frozen.notify_one();
        let error = send(&upstream, get("/")).await.err().unwrap();
        assert!(matches!(error, UpstreamError::Reset { .. }), "{error:?}");
        assert!(!answer(&upstream, get("/")).await.reused);
        assert_eq!(server.accepted(), 2);
    });
}

#[test]
fn a_response_head_over_its_limits_is_refused_by_name() {
    run(async {
        let server = Server::http2(100).await;
        let mut config = config(vec![target(server.address)]);
        config.protocol = UpstreamProtocol::Http2;
        config.limits.header_count = 1;
        let error = send(&upstream(&config), get("/")).await.err().unwrap();
        assert!(matches!(error, UpstreamError::ResponseTooLarge { .. }), "{error}");
        assert!(error.to_string().contains("`limits.header_count` of the upstream"), "{error}");
    });
}
