//! HTTP/1.1: heads, reuse of connections, giving up, upgrades.

use std::io::Write as _;
use std::time::Duration;

use http::{Method, StatusCode, Version, header};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::support::{
    Server, SlowBody, answer, config, empty, full, get, ms, names, read_head, request, run, send,
    target, upstream, upstream_at, upstream_with_first_byte,
};
use crate::config::HostPolicy;
use crate::timer::Timers;
use crate::upstream::{Payload, UpstreamError, Upstreams};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn one_connection_serves_requests_that_follow_each_other() {
    run(async {
        let server = Server::http1().await;
        let upstream = upstream_at(server.address);
        for number in 0..5 {
            let answer = answer(&upstream, get("/a?b")).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.text, "HTTP/1.1 GET /a?b host=api.example.com body=");
            assert_eq!(answer.reused, number > 0);
            assert_eq!(answer.connected, number == 0);
        }
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn requests_at_the_same_time_have_a_connection_each_which_are_used_again() {
    run(async {
        let server = Server::http1().await;
        let upstream = upstream_at(server.address);
        for _ in 0..3 {
            let (a, b) =
                tokio::join!(answer(&upstream, get("/slow")), answer(&upstream, get("/slow")));
            assert_eq!((a.status, b.status), (200, 200));
        }
        assert_eq!(server.accepted(), 2);
        assert_eq!(upstream.pool_size(), 2);
    });
}

#[test]
fn keeps_no_more_idle_connections_than_it_may() {
    run(async {
        let server = Server::http1().await;
        let mut config = config(vec![target(server.address)]);
        config.idle_connections = 1;
        let upstream = upstream(&config);
        tokio::join!(answer(&upstream, get("/slow")), answer(&upstream, get("/slow")));
        assert_eq!(upstream.pool_size(), 1);
        config.idle_connections = 0;
        let upstream = super::support::upstream(&config);
        assert!(!answer(&upstream, get("/")).await.reused);
        assert!(!answer(&upstream, get("/")).await.reused);
        assert_eq!(upstream.pool_size(), 0);
    });
}

#[test]
fn a_connection_that_was_idle_for_too_long_is_not_used_again() {
    run(async {
        let server = Server::http1().await;
        let mut config = config(vec![target(server.address)]);
        config.idle_timeout = ms(30);
        let upstream = upstream(&config);
        answer(&upstream, get("/")).await;
        tokio::time::sleep(ms(80)).await;
        assert!(!answer(&upstream, get("/")).await.reused);
        assert_eq!(server.accepted(), 2);
    });
}

#[test]
fn gives_a_connection_up_before_its_target_does() {
    run(async {
        for (said, pause, reused) in [
            ("x-a: timeout=0", 0, true),
            ("keep-alive: timeout=0", 0, false),
            ("keep-alive: timeout=1", 0, true),
            ("keep-alive: timeout=1, max=9", 600, false),
            ("keep-alive: timeout=3600", 600, true),
        ] {
            let server = Server::start(move |mut stream, _| async move {
                while !read_head(&mut stream).await.is_empty() {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{said}\r\n\r\nok");
                    stream.write_all(head.as_bytes()).await.unwrap();
                }
            })
            .await;
            let upstream = upstream_at(server.address);
            answer(&upstream, get("/")).await;
            tokio::time::sleep(ms(pause)).await;
            assert_eq!(answer(&upstream, get("/")).await.reused, reused, "{said}");
        }
    });
}

#[test]
fn the_sweep_closes_connections_that_nobody_asks_for() {
    run(async {
        let (closed, sees_close) = oneshot::channel();
        let closed = std::cell::Cell::new(Some(closed));
        let server = Server::start(move |mut stream, _| {
            let closed = closed.take();
            async move {
                read_head(&mut stream).await;
                stream.write_all(OK.as_bytes()).await.unwrap();
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
                closed.unwrap().send(()).unwrap();
            }
        })
        .await;
        let mut config = config(vec![target(server.address)]);
        config.idle_timeout = ms(30);
        let upstreams = Upstreams::new(&[config], names(), &Timers::new()).unwrap();
        answer(upstreams.upstream(crate::config::UpstreamId(0)), get("/")).await;
        sees_close.await.unwrap();
    });
}

#[test]
fn a_target_that_closed_an_idle_connection_is_asked_on_a_new_one() {
    run(async {
        let server = Server::raw(OK, true).await;
        let upstream = upstream_at(server.address);
        for _ in 0..3 {
            assert_eq!(answer(&upstream, get("/")).await.text, "ok");
            tokio::time::sleep(ms(10)).await;
        }
        assert_eq!(server.accepted(), 3);
    });
}

/// The server closes the connection at a moment when nobody can have noticed: this thread is
/// blocked, and the news of it comes together with what wakes the test, which runs first.
#[test]
fn a_request_that_meets_the_closing_of_its_connection_is_sent_again() {
    run(async {
        let control = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let control_address = control.local_addr().unwrap();
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let (close, may_close) = std::sync::mpsc::channel::<()>();
        let (closed, is_closed) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut to_test = std::net::TcpStream::connect(control_address).unwrap();
            let mut seen = Vec::new();
            for number in 0..2 {
                let (mut connection, _) = server.accept().unwrap();
                seen.push(read_head_blocking(&mut connection));
                connection.write_all(OK.as_bytes()).unwrap();
                if number == 0 {
                    may_close.recv().unwrap();
                    to_test.write_all(b"!").unwrap();
                    drop(connection);
                    std::thread::sleep(ms(20));
                    closed.send(()).unwrap();
                }
            }
            seen
        });
        let (from_server, _) = control.accept().unwrap();
        from_server.set_nonblocking(true).unwrap();
        let mut from_server = TcpStream::from_std(from_server).unwrap();
        let upstream = upstream_at(address);
        answer(&upstream, get("/first")).await;
        close.send(()).unwrap();
        is_closed.recv().unwrap();
        from_server.read_u8().await.unwrap();
        assert_eq!(upstream.pool_size(), 1, "the pool does not know yet");
        let second = answer(&upstream, request(Method::POST, "/second", full("whole"))).await;
        assert_eq!((second.text.as_str(), second.reused), ("ok", false));
        assert!(thread.join().unwrap()[1].starts_with("POST /second HTTP/1.1\r\n"));
    });
}

fn read_head_blocking(stream: &mut std::net::TcpStream) -> String {
    use std::io::Read as _;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn names_the_target_in_host_when_the_policy_says_so() {
    run(async {
        let server = Server::http1().await;
        let mut config = config(vec![target(server.address)]);
        config.host = HostPolicy::Target;
        let upstream = upstream(&config);
        let answer = answer(&upstream, get("/")).await;
        let host = server.address;
        assert_eq!(answer.text, format!("HTTP/1.1 GET / host={host} body="));
    });
}

#[test]
fn takes_a_missing_host_and_the_path_from_an_absolute_uri() {
    run(async {
        let server = Server::http1().await;
        let upstream = upstream_at(server.address);
        let mut request = get("http://example.net:81/deep?q=1");
        request.headers_mut().remove(header::HOST);
        *request.version_mut() = Version::HTTP_2;
        let answer = answer(&upstream, request).await;
        assert_eq!(answer.text, "HTTP/1.1 GET /deep?q=1 host=example.net:81 body=");
    });
}

#[test]
fn a_request_that_is_given_up_closes_its_connection_and_no_other_request_gets_it() {
    run(async {
        let server = Server::http1().await;
        let upstream = upstream_at(server.address);
        answer(&upstream, get("/")).await;
        let given_up = tokio::time::timeout(ms(30), send(&upstream, get("/never"))).await;
        assert!(given_up.is_err());
        assert_eq!(upstream.pool_size(), 0);
        assert!(!answer(&upstream, get("/")).await.reused);
        assert_eq!(server.accepted(), 2);
    });
}

#[test]
fn a_response_that_was_not_read_is_never_taken_for_the_next_one() {
    run(async {
        let server = Server::start(|mut stream, number| async move {
            read_head(&mut stream).await;
            let length = if number == 1 { 1_000_000 } else { 2 };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nok");
            stream.write_all(head.as_bytes()).await.unwrap();
            let _eof = stream.read(&mut [0; 64]).await;
        })
        .await;
        let upstream = upstream_at(server.address);
        let unread = send(&upstream, get("/")).await.unwrap();
        drop(unread);
        let next = answer(&upstream, get("/")).await;
        assert_eq!((next.text.as_str(), next.reused), ("ok", false));
    });
}

#[test]
fn a_response_that_comes_before_the_request_ends_is_passed_at_once() {
    run(async {
        let server = Server::raw("HTTP/1.1 413 Too Much\r\ncontent-length: 0\r\n\r\n", false).await;
        let upstream = upstream_at(server.address);
        let endless = SlowBody::boxed(1_000_000, Duration::from_secs(3600), false);
        let exchange = send(&upstream, request(Method::POST, "/", endless)).await.unwrap();
        assert_eq!(exchange.response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        drop(exchange);
        tokio::task::yield_now().await;
        assert!(!answer(&upstream, get("/")).await.reused, "its request is still being sent");
    });
}

#[test]
fn an_upgrade_hands_both_directions_over() {
    run(async {
        let server = Server::start(|mut stream, _| async move {
            assert!(read_head(&mut stream).await.contains("upgrade: echo\r\n"));
            let head = "HTTP/1.1 101 Switching Protocols\r\n\
                        connection: upgrade\r\nupgrade: echo\r\n\r\nhello";
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut heard = [0; 3];
            stream.read_exact(&mut heard).await.unwrap();
            stream.write_all(&heard).await.unwrap();
        })
        .await;
        let upstream = upstream_at(server.address);
        let mut request = request(Method::GET, "/", empty());
        request.headers_mut().insert(header::UPGRADE, "echo".parse().unwrap());
        request.headers_mut().insert(header::CONNECTION, "upgrade".parse().unwrap());
        let exchange = send(&upstream, request).await.unwrap();
        assert_eq!(exchange.response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let Payload::Switched(mut stream) = exchange.response.into_body() else { panic!() };
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        stream.write_all(b"abc").await.unwrap();
        let mut echoed = String::new();
        stream.read_to_string(&mut echoed).await.unwrap();
        assert_eq!(echoed, "abc");
        assert_eq!(upstream.pool_size(), 0);
    });
}

#[test]
fn a_chunked_response_gives_its_connection_back_too() {
    run(async {
        let server = Server::start(|mut stream, _| async move {
            loop {
                if read_head(&mut stream).await.is_empty() {
                    break;
                }
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                tokio::time::sleep(ms(5)).await;
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
        })
        .await;
        let upstream = upstream_at(server.address);
        for _ in 0..3 {
            let exchange = send(&upstream, get("/")).await.unwrap();
            let body = exchange.response.into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), "ok");
            drop(exchange.lease);
        }
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn connections_that_were_idle_while_a_request_timed_out_are_given_up_with_it() {
    run(async {
        // Each connection answers one request and then nothing any more, as if the network were gone.
        let server = Server::start(|mut stream, number| async move {
            loop {
                read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                if number <= 3 {
                    std::future::pending::<()>().await;
                }
            }
        })
        .await;
        let upstream = upstream_with_first_byte(server.address, ms(1_200));
        let three = (0..3).map(|_| send(&upstream, get("/")));
        let three = futures_join(three).await;
        drop(three);
        let error = send(&upstream, get("/")).await.err().unwrap();
        assert!(matches!(error, UpstreamError::FirstByteTimeout { .. }), "{error}");
        assert!(!answer(&upstream, get("/")).await.reused);
    });
}

/// All of them at once.
async fn futures_join<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, output) in &mut all {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = one.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        match all.iter().all(|(_, output)| output.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    all.into_iter().filter_map(|(_, output)| output).collect()
}
