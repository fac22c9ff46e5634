//! Targets that close connections which were used before: when a request may be sent again, and what is learned.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{
    Server, SlowBody, TestBody, answer, config, empty, full, get, ms, read_head, request, run,
    send, target, upstream, upstream_at,
};
use crate::config::UpstreamProtocol;
use crate::upstream::UpstreamError;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Has the server close the connection and waits for that, at the moment when the request is about to be written.
struct ClosingBody {
    text: Option<&'static str>,
    close: Sender<()>,
    is_closed: Receiver<()>,
}

impl Body for ClosingBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Some(text) = self.text.take() else { return Poll::Ready(None) };
        self.close.send(()).unwrap();
        self.is_closed.recv().unwrap();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.text.map_or(0, |text| text.len() as u64))
    }
}

fn read_request(stream: &mut std::net::TcpStream, body: &str) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(format!("\r\n\r\n{body}").as_bytes()) {
        if stream.read(&mut byte).unwrap() == 0 {
            break;
        }
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

#[test]
fn a_request_that_no_byte_of_has_arrived_is_sent_again_with_its_body_whatever_its_method() {
    run(async {
        for method in [Method::POST, Method::PUT] {
            let server = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = server.local_addr().unwrap();
            let (close, may_close) = channel::<()>();
            let (closed, is_closed) = channel::<()>();
            let thread = std::thread::spawn(move || {
                let (mut first, _) = server.accept().unwrap();
                read_request(&mut first, "");
                first.write_all(OK).unwrap();
                may_close.recv().unwrap();
                drop(first);
                closed.send(()).unwrap();
                let (mut second, _) = server.accept().unwrap();
                let request = read_request(&mut second, "prompt");
                second.write_all(OK).unwrap();
                request
            });
            let upstream = upstream_at(address);
            answer(&upstream, get("/")).await;
            let body = ClosingBody { text: Some("prompt"), close, is_closed };
            let answer = answer(&upstream, request(method, "/", body.boxed_unsync())).await;
            assert_eq!((&*answer.text, answer.reused), ("ok", false));
            let request = thread.join().unwrap();
            assert!(request.contains("content-length: 6\r\n"), "{request}");
        }
    });
}

/// Answers the first request of a connection; of the second it reads so much and closes.
async fn server_that_reads(bytes: usize) -> Server {
    Server::start(move |mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        let _all = stream.read_exact(&mut vec![0; bytes]).await;
    })
    .await
}

#[test]
fn a_request_of_which_a_byte_was_read_is_not_unless_it_may_be_repeated() {
    run(async {
        for bytes in [1, 60] {
            let server = server_that_reads(bytes).await;
            let upstream = upstream_at(server.address);
            answer(&upstream, get("/")).await;
            let error = send(&upstream, request(Method::POST, "/", full("prompt"))).await.err();
            let error = error.unwrap();
            let is_closed = matches!(error, UpstreamError::ClosedBeforeResponse { .. });
            assert!(is_closed || matches!(error, UpstreamError::Reset { .. }), "{error}");
            assert_eq!(server.accepted(), 1);
            answer(&upstream, get("/")).await;
            let answer = answer(&upstream, request(Method::PUT, "/", full("prompt"))).await;
            assert_eq!((&*answer.text, answer.reused, server.accepted()), ("ok", false, 3));
        }
    });
}

/// Closes connections that are idle for so long.
async fn server_with_idle_time(time: Duration) -> Server {
    Server::start(move |mut stream, _| async move {
        loop {
            let head = tokio::time::timeout(time, read_head(&mut stream)).await;
            if head.is_err() || stream.write_all(OK).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[test]
fn a_request_that_cannot_be_sent_again_gets_no_connection_that_may_be_about_to_close() {
    run(async {
        let server = server_with_idle_time(ms(400)).await;
        let upstream = upstream_at(server.address);
        let post = || request(Method::POST, "/", full("prompt"));
        assert!(!answer(&upstream, post()).await.reused);
        let mut reused = false;
        for _ in 0..5 {
            reused |= answer(&upstream, post()).await.reused;
        }
        assert!(reused, "it was just used");
        tokio::time::sleep(ms(250)).await;
        assert!(
            !answer(&upstream, post()).await.reused,
            "it is open, and nobody knows for how long"
        );
        tokio::time::sleep(ms(50)).await;
        assert!(answer(&upstream, post()).await.reused, "another was idle for longer");
        tokio::time::sleep(ms(375)).await;
        assert!(!answer(&upstream, post()).await.reused, "none that was idle for longer was open");
        tokio::time::sleep(ms(470)).await;
        assert!(!answer(&upstream, get("/")).await.reused, "all are closed");
        tokio::time::sleep(ms(375)).await;
        assert!(!answer(&upstream, post()).await.reused);
    });
}

/// Resets a connection on which this is asked for, without reading it.
async fn server_that_resets() -> Server {
    Server::start(|mut stream, _| async move {
        let mut first = [0; 11];
        while stream.peek(&mut first).await.is_ok_and(|length| length > 0) {
            if &first == b"POST /reset" {
                return;
            }
            read_head(&mut stream).await;
            tokio::time::sleep(ms(20)).await;
            stream.write_all(OK).await.unwrap();
        }
    })
    .await
}

#[test]
fn a_request_that_is_lost_teaches_for_how_long_connections_are_kept() {
    run(async {
        let server = server_that_resets().await;
        let upstream = upstream_at(server.address);
        tokio::join!(answer(&upstream, get("/")), answer(&upstream, get("/")));
        assert_eq!(server.accepted(), 2);
        tokio::time::sleep(ms(600)).await;
        answer(&upstream, get("/")).await;
        tokio::time::sleep(ms(150)).await;
        // The other one has been idle for 800 ms, so that this seems to be safe.
        let lost = send(&upstream, request(Method::POST, "/reset", empty())).await.err().unwrap();
        assert!(matches!(lost, UpstreamError::Reset { .. }), "{lost}");
        assert_eq!(server.accepted(), 2);
        assert!(answer(&upstream, get("/")).await.reused);
        tokio::time::sleep(ms(150)).await;
        assert!(!answer(&upstream, request(Method::POST, "/", empty())).await.reused);
    });
}

#[test]
fn what_a_target_says_of_its_idle_time_is_believed() {
    run(async {
        let server = Server::start(|mut stream, _| async move {
            while !read_head(&mut stream).await.is_empty() {
                let head =
                    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nkeep-alive: timeout=5\r\n\r\nok";
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        })
        .await;
        let upstream = upstream_at(server.address);
        answer(&upstream, request(Method::POST, "/", empty())).await;
        tokio::time::sleep(ms(300)).await;
        assert!(answer(&upstream, request(Method::POST, "/", empty())).await.reused);
    });
}

/// Closes after 50 ms without a request, and at once behind every tenth response, and says neither.
async fn unreliable_server() -> Server {
    Server::start(|mut stream, _| async move {
        for number in 1.. {
            let head = tokio::time::timeout(ms(50), read_head(&mut stream)).await;
            let Ok(head) = head else { return };
            let length = head.split("content-length: ").nth(1).and_then(|it| it.split('\r').next());
            let mut body = vec![0; length.map_or(0, |it| it.parse().unwrap())];
            if head.is_empty() || stream.read_exact(&mut body).await.is_err() {
                return;
            }
            if stream.write_all(OK).await.is_err() || number % 10 == 0 {
                return;
            }
        }
    })
    .await
}

#[test]
fn no_request_fails_at_a_target_that_closes_without_a_word() {
    run(async {
        let server = unreliable_server().await;
        let upstream = Rc::new(upstream_at(server.address));
        let until = Instant::now() + ms(1_500);
        let client = |number: u64| {
            let upstream = Rc::clone(&upstream);
            tokio::task::spawn_local(async move {
                let mut served = 0;
                while Instant::now() < until {
                    let (method, body) = match served % 3 {
                        0 => (Method::GET, empty()),
                        1 => (Method::POST, full("prompt")),
                        _ => (Method::POST, empty()),
                    };
                    let answer = answer(&upstream, request(method, "/", body)).await;
                    assert_eq!(answer.text, "ok");
                    served += 1;
                    // About its idle time, or without a pause.
                    tokio::time::sleep(ms(if number < 16 { 43 + number } else { 0 })).await;
                }
                served
            })
        };
        let clients: Vec<_> = (0..20).map(client).collect();
        let mut served = 0;
        for client in clients {
            served += client.await.unwrap();
        }
        assert!(served > 500, "{served}");
    });
}

#[test]
fn a_connection_whose_answer_came_before_the_request_was_sent_serves_no_other() {
    run(async {
        let server = Server::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(OK).await.unwrap();
            // What is left of the request would be the next one, for a server that does not read it.
            while stream.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
        })
        .await;
        let upstream = upstream_at(server.address);
        let upload = || -> TestBody { SlowBody::boxed(4, ms(5), false) };
        for number in 1..=3 {
            let early = answer(&upstream, request(Method::POST, "/", upload())).await;
            assert_eq!((&*early.text, early.reused), ("ok", false));
            tokio::time::sleep(ms(60)).await;
            assert_eq!(server.accepted(), number);
        }
    });
}

#[test]
fn a_connection_takes_no_request_beyond_its_age_and_those_that_it_has_go_on() {
    run(async {
        for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
            let server = match protocol {
                UpstreamProtocol::Http2 => Server::http2(100).await,
                _ => Server::http1().await,
            };
            let mut config = config(vec![target(server.address)]);
            (config.protocol, config.max_age) = (protocol, ms(150));
            let upstream = upstream(&config);
            for _ in 0..40 {
                assert_eq!(answer(&upstream, get("/slow")).await.status, 200);
            }
            // 40 requests of 20 ms each.
            let opened = server.accepted();
            assert!((4..=20).contains(&opened), "{protocol:?}: {opened}");
        }
    });
}
