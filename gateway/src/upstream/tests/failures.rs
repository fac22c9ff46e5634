//! What goes wrong, and what becomes of it.

use std::error::Error;

use http::Method;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::support::{
    Server, SlowBody, answer, config, get, ms, named_target, names, read_head, request, run, send,
    target, upstream, upstream_at, upstream_with_first_byte,
};
use crate::config::Target;
use crate::upstream::{ConnectError, Upstream, UpstreamError};

async fn failure(upstream: &Upstream, path: &str) -> UpstreamError {
    match send(upstream, get(path)).await {
        Ok(exchange) => panic!("a response came: {:?}", exchange.response),
        Err(error) => error,
    }
}

/// A target where nobody listens.
async fn closed_target() -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    target(listener.local_addr().unwrap())
}

#[test]
fn a_refused_connection_is_a_bad_gateway_that_names_the_target() {
    run(async {
        let target = closed_target().await;
        let authority = target.authority.clone();
        let error = failure(&upstream(&config(vec![target])), "/").await;
        assert!(matches!(&error, UpstreamError::Connect { cause: ConnectError::Refused(_), .. }));
        assert_eq!(error.status(), 502);
        assert_eq!(
            error.to_string(),
            format!("cannot connect to {authority}: the connection was refused")
        );
        assert!(error.source().unwrap().source().unwrap().to_string().contains("refused"));
    });
}

#[test]
fn a_name_without_an_address_is_told_from_a_dead_server() {
    run(async {
        let upstream = upstream(&config(vec![named_target("nowhere.invalid", 80)]));
        let error = failure(&upstream, "/").await;
        assert!(
            matches!(&error, UpstreamError::Connect { cause: ConnectError::Dns { .. }, .. }),
            "{error}"
        );
        assert_eq!(error.status(), 502);
        assert!(error.to_string().contains("nowhere.invalid"));
    });
}

#[test]
fn a_name_is_resolved_and_each_of_its_addresses_tried() {
    run(async {
        // `localhost` is often `::1` first, where this server does not listen.
        let server = Server::http1().await;
        let upstream = upstream(&config(vec![named_target("localhost", server.address.port())]));
        assert_eq!(answer(&upstream, get("/")).await.status, 200);
    });
}

#[test]
fn a_handshake_that_does_not_end_is_a_gateway_timeout() {
    run(async {
        // Accepts, and says nothing: TCP is there at once, TLS never.
        let server = Server::start(|mut stream, _| async move {
            let _all = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let mut target = target(server.address);
        target.tls = true;
        let mut config = config(vec![target]);
        config.tls.ca = Some(Vec::new());
        config.timeouts.connect = ms(50);
        let Err(setup) = Upstream::new(&config, names(), &crate::timer::Timers::new()) else {
            panic!("trusts nobody");
        };
        assert!(setup.to_string().contains("TLS"), "{setup}");
        config.tls.ca = Some(vec![super::tls::authority().0]);
        let error = failure(&upstream(&config), "/").await;
        assert!(matches!(&error, UpstreamError::Connect { cause: ConnectError::Timeout(_), .. }));
        assert_eq!(error.status(), 504);
    });
}

#[test]
fn a_target_that_does_not_answer_in_time_is_a_gateway_timeout() {
    run(async {
        let server = Server::http1().await;
        let upstream = upstream_with_first_byte(server.address, ms(60));
        let error = failure(&upstream, "/never").await;
        assert!(matches!(error, UpstreamError::FirstByteTimeout { .. }));
        assert_eq!(error.status(), 504);
        assert_eq!(upstream.pool_size(), 0);
    });
}

#[test]
fn an_upload_that_makes_progress_may_take_longer_than_the_first_byte() {
    run(async {
        let server = Server::http1().await;
        let upstream = upstream_with_first_byte(server.address, ms(150));
        let body = SlowBody::boxed(20, ms(30), false);
        let answer = answer(&upstream, request(Method::PUT, "/", body)).await;
        assert!(answer.text.ends_with(&format!("body={}", "x".repeat(20))), "{}", answer.text);
    });
}

#[test]
fn a_client_that_pauses_its_upload_is_not_the_targets_fault() {
    run(async {
        let server = Server::http1().await;
        let upstream = upstream_with_first_byte(server.address, ms(40));
        let body = SlowBody::boxed(1, ms(300), false);
        assert_eq!(answer(&upstream, request(Method::PUT, "/", body)).await.status, 200);
    });
}

#[test]
fn after_an_upload_the_target_still_has_its_time_and_no_more() {
    run(async {
        let server = Server::http1().await;
        let upstream = upstream_with_first_byte(server.address, ms(100));
        let body = SlowBody::boxed(5, ms(50), false);
        let result = send(&upstream, request(Method::PUT, "/never", body)).await;
        assert!(matches!(result.err(), Some(UpstreamError::FirstByteTimeout { .. })));
    });
}

#[test]
fn a_target_that_stops_reading_an_upload_is_a_gateway_timeout() {
    run(async {
        let server = Server::start(|stream, _| async move {
            tokio::time::sleep(ms(5_000)).await;
            drop(stream);
        })
        .await;
        let upstream = upstream_with_first_byte(server.address, ms(100));
        let body = http_body_util::Full::new(bytes::Bytes::from(vec![0; 64 << 20]));
        let body = http_body_util::BodyExt::map_err(body, |never| match never {});
        let body = http_body_util::BodyExt::boxed_unsync(body);
        let result = send(&upstream, request(Method::PUT, "/", body)).await;
        assert!(matches!(result.err(), Some(UpstreamError::FirstByteTimeout { .. })));
    });
}

#[test]
fn a_body_that_fails_is_not_blamed_on_the_target() {
    run(async {
        for server in [Server::http1().await, Server::http2(10).await] {
            let mut config = config(vec![target(server.address)]);
            for protocol in
                [crate::config::UpstreamProtocol::Http1, crate::config::UpstreamProtocol::Http2]
            {
                config.protocol = protocol;
                let upstream = upstream(&config);
                if send(&upstream, get("/")).await.is_err() {
                    continue; // the other server's protocol
                }
                let body = SlowBody::boxed(3, ms(5), true);
                let error = send(&upstream, request(Method::PUT, "/", body)).await.err().unwrap();
                let UpstreamError::RequestBody { cause, .. } = &error else { panic!("{error}") };
                assert!(cause.downcast_ref::<std::io::Error>().is_some());
                assert_eq!(cause.to_string(), "the client left");
                assert_eq!(error.status(), 400);
            }
        }
    });
}

#[test]
fn a_connection_that_ends_within_the_head_is_a_bad_gateway() {
    run(async {
        for head in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
            let server = Server::raw(head, true).await;
            let error = failure(&upstream_at(server.address), "/").await;
            assert!(matches!(error, UpstreamError::ClosedBeforeResponse { .. }), "{error}");
            assert_eq!(error.status(), 502);
            assert_eq!(server.accepted(), 1, "a request that was sent is not sent again");
        }
    });
}

#[test]
fn a_target_that_closes_behind_a_long_head_has_that_told() {
    run(async {
        for (fields, is_told) in [(10, false), (101, true)] {
            let server = Server::raw("", true).await;
            let host = server.address.to_string();
            let mut request = get("/");
            request.headers_mut().insert("host", host.parse().unwrap());
            for number in 1..fields {
                let name = format!("x-{number}").parse::<http::HeaderName>().unwrap();
                request.headers_mut().insert(name, "1".parse().unwrap());
            }
            let error = send(&upstream_at(server.address), request).await.err().unwrap();
            let told = error.source().unwrap().to_string();
            let bytes = head_bytes(fields, &host);
            let expected = format!(
                "; the head of the request has {fields} fields and {bytes} bytes, which may be more than the \
                 target takes"
            );
            assert_eq!(told.ends_with(&expected), is_told, "{told} {expected}");
            assert!(told.starts_with("the connection was closed before"), "{told}");
        }
    });
}

/// Of a head with these fields, `Host` among them.
fn head_bytes(fields: usize, host: &str) -> usize {
    let others: usize = (1..fields).map(|number| format!("x-{number}: 1\r\n").len()).sum();
    format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").len() + others
}

#[test]
fn a_connection_that_is_reset_is_a_bad_gateway() {
    run(async {
        let server = Server::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            stream.set_zero_linger().unwrap();
        })
        .await;
        let error = failure(&upstream_at(server.address), "/").await;
        assert!(matches!(error, UpstreamError::Reset { .. }), "{error}");
        assert_eq!(error.status(), 502);
    });
}

#[test]
fn refuses_responses_that_are_malformed_or_could_be_read_in_two_ways() {
    run(async {
        let heads = [
            "ICY 200 OK\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nna me: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nname : x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nname: a\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nab",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nab",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
        ];
        for head in heads {
            let server = Server::raw(head, true).await;
            let upstream = upstream_at(server.address);
            let error = failure(&upstream, "/").await;
            assert!(matches!(error, UpstreamError::MalformedResponse { .. }), "{head}: {error}");
            assert_eq!(error.status(), 502);
            assert_eq!(upstream.pool_size(), 0, "{head}");
        }
    });
}

#[test]
fn folds_equal_lengths_into_one() {
    run(async {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok";
        let server = Server::raw(head, false).await;
        let exchange = send(&upstream_at(server.address), get("/")).await.unwrap();
        let lengths = exchange.response.headers().get_all("content-length");
        assert_eq!(lengths.iter().collect::<Vec<_>>(), ["2"]);
    });
}

#[test]
fn skips_interim_responses() {
    run(async {
        let head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                    HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let server = Server::raw(head, false).await;
        assert_eq!(answer(&upstream_at(server.address), get("/")).await.text, "ok");
    });
}

#[test]
fn a_target_that_cannot_be_reached_is_passed_over_within_the_same_request() {
    run(async {
        let alive = Server::http1().await;
        let targets = vec![closed_target().await, target(alive.address), closed_target().await];
        let upstream = upstream(&config(targets));
        let mut refused = 0;
        for _ in 0..6 {
            let exchange = send(&upstream, get("/")).await.unwrap();
            assert_eq!(exchange.info.target, 1);
            refused += exchange.info.refused;
        }
        // Of three turns two fall to the dead ones; from there it may be one or both of them.
        assert!((4..=8).contains(&refused), "{refused}");
    });
}

#[test]
fn gives_up_when_each_target_was_tried_once() {
    run(async {
        let targets = vec![closed_target().await, closed_target().await];
        let upstream = upstream(&config(targets));
        let error = failure(&upstream, "/").await;
        assert!(matches!(error, UpstreamError::Connect { .. }));
    });
}

#[test]
fn a_request_that_reached_a_target_goes_to_no_other() {
    run(async {
        let dying = [Server::raw("", true).await, Server::raw("", true).await];
        let targets = dying.iter().map(|server| target(server.address)).collect();
        let error = failure(&upstream(&config(targets)), "/").await;
        assert!(matches!(error, UpstreamError::ClosedBeforeResponse { .. }));
        assert_eq!(dying[0].accepted() + dying[1].accepted(), 1);
    });
}

#[test]
fn targets_get_requests_by_their_weights() {
    run(async {
        let servers = [Server::http1().await, Server::http1().await];
        let mut targets: Vec<_> = servers.iter().map(|server| target(server.address)).collect();
        targets[1].weight = 3;
        let upstream = upstream(&config(targets));
        let mut counts = [0; 2];
        for _ in 0..40 {
            counts[answer(&upstream, get("/")).await.target] += 1;
        }
        assert_eq!(counts, [10, 30]);
    });
}

#[test]
fn a_response_head_over_its_limits_is_refused_by_name() {
    run(async {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(70_000));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(1_001));
        for (head, limit) in [(long, "header_size"), (many, "header_count")] {
            let server = Server::raw(Box::leak(head.into_boxed_str()), true).await;
            let upstream = upstream_at(server.address);
            let error = failure(&upstream, "/").await;
            assert!(matches!(error, UpstreamError::ResponseTooLarge { .. }), "{error}");
            assert_eq!(error.status(), 502);
            assert!(error.to_string().contains(&format!("`limits.{limit}`")), "{error}");
            assert_eq!(upstream.pool_size(), 0);
        }
    });
}
