//! What a target sends behind the end of a response: bodies of responses that have none, and more.

use std::io::{Read as _, Write as _};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::support::{
    Server, SlowBody, TestBody, answer, config, empty, get, ms, read_head, request, run, send,
    target, upstream, upstream_at, upstream_of_worker,
};
use crate::upstream::{Upstream, UpstreamError};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Longer than a connection rests where few do.
const RESTED: Duration = Duration::from_millis(1_050);

const EVIL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";

fn head(path: &str) -> Request<TestBody> {
    request(Method::HEAD, path, empty())
}

/// The head of a response without a body by its kind, to `HEAD` or by its status.
fn bodiless(head: &str) -> Option<&'static [u8]> {
    Some(match head {
        head if head.starts_with("HEAD /chunks ") => {
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        }
        head if head.starts_with("HEAD /bare ") => b"HTTP/1.1 200 OK\r\n\r\n",
        head if head.starts_with("HEAD /empty ") => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        head if head.starts_with("HEAD ") => b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        head if head.starts_with("GET /204 ") => b"HTTP/1.1 204 No Content\r\n\r\n",
        head if head.starts_with("GET /304 ") => b"HTTP/1.1 304 Not Modified\r\n\r\n",
        head if head.starts_with("GET /304/length ") => {
            b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"
        }
        _ => return None,
    })
}

/// Sends this after such a head, so much later.
async fn server(stray: &'static str, later: Duration) -> Server {
    Server::start(move |mut stream, _| async move {
        loop {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                return;
            }
            let Some(bodiless) = bodiless(&head) else {
                let _closed_already = stream.write_all(OK).await;
                continue;
            };
            stream.write_all(bodiless).await.unwrap();
            if !later.is_zero() {
                stream.flush().await.unwrap();
                tokio::time::sleep(later).await;
            }
            if stream.write_all(stray.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[test]
fn the_body_of_a_response_that_has_none_is_no_part_of_the_next_one() {
    run(async {
        for stray in ["stray", "5\r\nstray\r\n0\r\n\r\n", EVIL] {
            for later in [0, 1, 10, 50] {
                let server = server(stray, ms(later)).await;
                let upstream = upstream_at(server.address);
                let bodiless = ["/204", "/304", "/304/length"].map(get);
                let heads = ["/", "/bare", "/empty", "/chunks"].map(head);
                for bodiless in heads.into_iter().chain(bodiless) {
                    let path = bodiless.uri().path().to_owned();
                    answer(&upstream, bodiless).await;
                    for pause in [0, 1, 20] {
                        tokio::time::sleep(ms(pause)).await;
                        let text = answer(&upstream, get("/")).await.text;
                        assert_eq!(text, "ok", "{path} {stray:?} {later} {pause}");
                    }
                }
            }
        }
    });
}

#[test]
fn a_connection_rests_behind_such_a_response_and_serves_again() {
    run(async {
        let one = async |bodiless| {
            let server = server("", ms(0)).await;
            let upstream = upstream_at(server.address);
            answer(&upstream, bodiless).await;
            assert!(!answer(&upstream, get("/")).await.reused);
            answer(&upstream, get("/204")).await;
            assert_eq!(upstream.pool_size(), 2);
            tokio::time::sleep(RESTED).await;
            for _ in 0..3 {
                assert!(answer(&upstream, get("/")).await.reused);
            }
            assert_eq!(server.accepted(), 2);
        };
        tokio::join!(one(head("/empty")), one(get("/204")), one(get("/304")));
    });
}

#[test]
fn a_connection_on_which_a_body_was_promised_serves_once_enough_others_rest() {
    run(async {
        let one = async |path: &'static str, method: Method| {
            let server = server("", ms(0)).await;
            let upstream = upstream_at(server.address);
            let promise = || request(method.clone(), path, empty());
            for _ in 0..16 {
                assert!(!answer(&upstream, promise()).await.reused);
            }
            tokio::time::sleep(RESTED).await;
            assert!(!answer(&upstream, get("/")).await.reused);
            assert!(answer(&upstream, promise()).await.reused);
            for _ in 0..3 {
                assert!(answer(&upstream, get("/")).await.reused);
            }
            assert_eq!((server.accepted(), upstream.pool_size()), (17, 17));
        };
        let heads = async { tokio::join!(one("/", Method::HEAD), one("/bare", Method::HEAD)) };
        tokio::join!(heads, one("/304/length", Method::GET));
    });
}

#[test]
fn a_body_that_was_promised_is_no_part_of_the_next_response_however_late_it_comes() {
    run(async {
        let one = async |heads: usize, later: u64| {
            let server = server(EVIL, ms(later)).await;
            let upstream = upstream_at(server.address);
            for _ in 0..heads {
                answer(&upstream, head("/")).await;
            }
            tokio::time::sleep(ms(later - 50)).await;
            let next = answer(&upstream, get("/")).await;
            assert_eq!((&*next.text, next.reused), ("ok", false), "{heads} {later}");
        };
        tokio::join!(one(1, 1_200), one(6, 300), one(6, 1_200));
    });
}

#[test]
fn all_workers_know_that_a_target_sends_such_bodies() {
    run(async {
        let server = server("stray", ms(5)).await;
        let known = crate::health::Health::default();
        let worker = || upstream_of_worker(&config(vec![target(server.address)]), &known);
        let (first, second) = (worker(), worker());
        answer(&second, head("/")).await;
        assert_eq!(second.pool_size(), 1);
        answer(&first, head("/")).await;
        tokio::time::sleep(ms(20)).await;
        answer(&first, get("/")).await;
        answer(&second, get("/")).await;
        assert_eq!(second.pool_size(), 1, "what rested is closed");
        assert!(answer(&second, head("/")).await.reused);
        assert_eq!(second.pool_size(), 0);
        // Until somebody says that it has been mended.
        known.target("test", &server.address.to_string(), false).unwrap().drain(false);
        answer(&second, head("/")).await;
        assert_eq!(second.pool_size(), 1);
    });
}

#[test]
fn a_connection_rests_for_less_where_many_do() {
    run(async {
        let server = server("", ms(0)).await;
        let upstream = upstream_at(server.address);
        for _ in 0..5 {
            assert!(!answer(&upstream, get("/204")).await.reused);
        }
        tokio::time::sleep(ms(130)).await;
        assert!(answer(&upstream, get("/")).await.reused);
    });
}

#[test]
fn a_body_that_comes_late_is_no_part_of_the_next_response() {
    run(async {
        let server = server(EVIL, ms(400)).await;
        let upstream = upstream_at(server.address);
        answer(&upstream, head("/")).await;
        // Another connection serves these, and rests too.
        for _ in 0..12 {
            tokio::time::sleep(ms(50)).await;
            assert_eq!(answer(&upstream, get("/")).await.text, "ok");
        }
    });
}

/// After a response without a body by its kind and another with one, the target sends this.
async fn says_behind_both(stray: &'static str) -> (Server, Upstream) {
    let server = Server::start(move |mut stream, number| async move {
        for turn in 0.. {
            let head = read_head(&mut stream).await;
            let answer = bodiless(&head).unwrap_or(OK);
            if head.is_empty() || stream.write_all(answer).await.is_err() {
                return;
            }
            if (number, turn) == (1, 1) {
                tokio::time::sleep(ms(20)).await;
                let _closed_already = stream.write_all(stray.as_bytes()).await;
            }
        }
    })
    .await;
    let upstream = upstream_at(server.address);
    answer(&upstream, head("/empty")).await;
    tokio::time::sleep(RESTED).await;
    assert!(answer(&upstream, get("/")).await.reused);
    tokio::time::sleep(ms(60)).await;
    assert!(!answer(&upstream, get("/")).await.reused);
    (server, upstream)
}

#[test]
fn a_target_is_known_by_what_came_behind_the_next_response_too() {
    run(async {
        let known = async {
            let (_server, upstream) = says_behind_both(EVIL).await;
            assert!(answer(&upstream, head("/")).await.reused);
            assert_eq!(upstream.pool_size(), 0, "it is closed behind such a response");
        };
        let says_why_it_closes = async {
            let (_server, upstream) =
                says_behind_both("HTTP/1.1 408 Request Timeout\r\n\r\n").await;
            assert!(answer(&upstream, head("/")).await.reused);
            assert_eq!(upstream.pool_size(), 1, "that is no body");
        };
        tokio::join!(known, says_why_it_closes);
    });
}

#[test]
fn a_target_that_has_sent_such_a_body_is_not_waited_for_again() {
    run(async {
        let server = server("stray", ms(5)).await;
        let upstream = upstream_at(server.address);
        answer(&upstream, head("/")).await;
        assert_eq!(upstream.pool_size(), 1);
        tokio::time::sleep(RESTED).await;
        assert!(!answer(&upstream, get("/")).await.reused);
        assert!(answer(&upstream, head("/")).await.reused);
        assert_eq!(upstream.pool_size(), 0);
    });
}

#[test]
fn a_request_that_is_still_sent_is_not_cut_off_by_an_early_204_or_a_full_pool() {
    run(async {
        for (capacity, answer) in [
            (64, &b"HTTP/1.1 204 No Content\r\n\r\n"[..]),
            (0, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ] {
            let (whole, is_whole) = oneshot::channel();
            let whole = std::cell::Cell::new(Some(whole));
            let server = Server::start(move |mut stream, _| {
                let whole = whole.take();
                async move {
                    read_head(&mut stream).await;
                    stream.write_all(answer).await.unwrap();
                    let mut body = Vec::new();
                    while !body.ends_with(b"0\r\n\r\n") {
                        assert!(stream.read_buf(&mut body).await.unwrap() > 0, "{body:?}");
                    }
                    whole.unwrap().send(body).unwrap();
                }
            })
            .await;
            let mut config = config(vec![target(server.address)]);
            config.idle_connections = capacity;
            let upstream = upstream(&config);
            let body = SlowBody::boxed(5, ms(10), false);
            let exchange = send(&upstream, request(Method::POST, "/", body)).await.unwrap();
            drop((exchange.response, exchange.lease));
            let body = is_whole.await.unwrap();
            assert_eq!(
                body,
                b"1\r\nx\r\n".repeat(5).into_iter().chain(*b"0\r\n\r\n").collect::<Vec<_>>()
            );
        }
    });
}

/// A server in its own thread that answers a request, sends something more when told to, and
/// answers one request of another connection.
struct Sly {
    upstream: Upstream,
    go: mpsc::Sender<()>,
    gone: mpsc::Receiver<()>,
    /// What came over the other connection.
    second: mpsc::Receiver<String>,
}

impl Sly {
    fn start(first: &'static [u8], stray: &'static [u8]) -> Self {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = upstream_at(server.local_addr().unwrap());
        let (go, may_go) = mpsc::channel();
        let (went, gone) = mpsc::channel();
        let (heard, second) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut connection, _) = server.accept().unwrap();
            assert!(connection.read(&mut [0; 1024]).unwrap() > 0);
            connection.write_all(first).unwrap();
            may_go.recv().unwrap();
            connection.write_all(stray).unwrap();
            went.send(()).unwrap();
            let (mut other, _) = server.accept().unwrap();
            let mut head = [0; 1024];
            let length = other.read(&mut head).unwrap();
            heard.send(String::from_utf8(head[..length].to_vec()).unwrap()).unwrap();
            other.write_all(OK).unwrap();
        });
        Self { upstream, go, gone, second }
    }

    /// While it does, this thread waits, so that its runtime knows nothing of it.
    fn sends_more(&self) {
        assert_eq!(self.upstream.pool_size(), 1);
        self.go.send(()).unwrap();
        self.gone.recv().unwrap();
    }
}

#[test]
fn the_kernel_is_asked_before_a_connection_serves_behind_such_a_response() {
    run(async {
        let sly = Sly::start(b"HTTP/1.1 204 No Content\r\n\r\n", EVIL.as_bytes());
        assert_eq!(answer(&sly.upstream, get("/")).await.status, 204);
        tokio::time::sleep(RESTED).await;
        sly.sends_more();
        let request = request(Method::POST, "/", empty());
        let second = answer(&sly.upstream, request).await;
        assert_eq!((second.text.as_str(), second.reused), ("ok", false));
    });
}

#[test]
fn what_is_no_response_from_its_first_byte_on_means_a_stale_connection() {
    run(async {
        // For what could not be sent again the kernel is asked before.
        for method in [Method::GET, Method::PUT, Method::POST] {
            let sly = Sly::start(OK, b"more than it said");
            answer(&sly.upstream, get("/")).await;
            tokio::time::sleep(ms(5)).await;
            sly.sends_more();
            let mut request = request(method, "/", empty());
            request.headers_mut().insert("x-key", "secret".parse().unwrap());
            assert!(!answer(&sly.upstream, request).await.reused);
            assert!(sly.second.recv().unwrap().contains("x-key: secret\r\n"));
        }
    });
}

/// A body that has the target send this, and end the connection, at the moment when the request is about to be written.
struct Meets {
    told: Option<mpsc::Sender<()>>,
    done: mpsc::Receiver<()>,
}

impl Body for Meets {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Some(told) = self.told.take() else { return Poll::Ready(None) };
        told.send(()).unwrap();
        self.done.recv().unwrap();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"prompt")))))
    }

    fn is_end_stream(&self) -> bool {
        self.told.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(if self.told.is_some() { 6 } else { 0 })
    }
}

/// What becomes of a request that meets this on a connection whose last response was that one; `ends` says that the
/// connection ends with it.
async fn meeting(
    first: &'static [u8],
    stray: &'static str,
    ends: bool,
    method: Method,
) -> Result<String, UpstreamError> {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = upstream_at(server.local_addr().unwrap());
    let (told, may_go) = mpsc::channel();
    let (went, done) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut connection, _) = server.accept().unwrap();
        assert!(connection.read(&mut [0; 1024]).unwrap() > 0);
        connection.write_all(first).unwrap();
        // What arrives is confirmed some time later only, as it is on a longer way.
        rustix::net::sockopt::set_tcp_quickack(&connection, false).unwrap();
        may_go.recv().unwrap();
        connection.write_all(stray.as_bytes()).unwrap();
        let kept = (!ends).then_some(connection);
        went.send(()).unwrap();
        let (mut other, _) = server.accept().unwrap();
        assert!(other.read(&mut [0; 1024]).unwrap() > 0);
        other.write_all(OK).unwrap();
        drop(kept);
    });
    answer(&upstream, get("/")).await;
    if upstream.pool_size() == 1 && first != OK {
        tokio::time::sleep(RESTED).await;
    }
    let body = Meets { told: Some(told), done }.boxed_unsync();
    let exchange = send(&upstream, request(method, "/", body)).await?;
    let body = exchange.response.into_body().collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

#[test]
fn a_request_that_meets_more_than_the_last_response_had_is_sent_again_if_it_may_be() {
    run(async {
        let stray = "more than it said";
        assert_eq!(meeting(OK, stray, false, Method::PUT).await.unwrap(), "ok");
        // The target may have read it.
        let error = meeting(OK, stray, false, Method::POST).await.unwrap_err().to_string();
        assert!(error.contains("an earlier response"), "{error}");
        assert!(error.contains("may have been processed"), "{error}");
        // It has ended the connection before the request.
        assert_eq!(meeting(OK, stray, true, Method::POST).await.unwrap(), "ok");
    });
}

#[test]
fn what_came_before_the_request_had_arrived_is_no_response_to_it() {
    run(async {
        // Where this machine is held up, the request is confirmed before what came is read.
        let mut right = 0;
        for _ in 0..3 {
            let text = meeting(NO_CONTENT, EVIL, false, Method::PUT).await.unwrap();
            right += usize::from(text == "ok");
        }
        assert!(right > 0);
        let mut sent_again = 0;
        for _ in 0..3 {
            let text = meeting(NO_CONTENT, EVIL, true, Method::POST).await;
            sent_again += usize::from(text.is_ok_and(|text| text == "ok"));
        }
        assert!(sent_again > 0);
    });
}
