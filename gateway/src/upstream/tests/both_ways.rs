//! HTTP/1.1: requests that continue while their response comes, and what a closing connection means.

use std::io;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{
    Server, SlowBody, TestBody, answer, empty, full, get, ms, read_head, request, run, send,
    upstream_at,
};
use crate::upstream::UpstreamError;

fn channel() -> (Sender<Bytes, io::Error>, TestBody) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed_unsync())
}

/// Reads a chunked body to its end, trailers included.
async fn read_chunks(stream: &mut TcpStream) -> String {
    let mut body = Vec::new();
    while !body.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => body.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(body).unwrap()
}

/// Tells in its response what came behind the head of the request.
async fn server_that_tells_chunks() -> Server {
    Server::start(|mut stream, _| async move {
        loop {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                return;
            }
            assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
            let body = read_chunks(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
        }
    })
    .await
}

#[test]
fn a_body_of_unknown_length_goes_in_chunks_whatever_the_method() {
    run(async {
        let server = server_that_tells_chunks().await;
        let upstream = upstream_at(server.address);
        for method in [Method::GET, Method::POST] {
            let (mut sender, body) = channel();
            let sending = async {
                sender.send_data(Bytes::from_static(b"0123456789abcdef")).await.unwrap();
                tokio::time::sleep(ms(5)).await;
                sender.send_data(Bytes::from(vec![b'x'; 5000])).await.unwrap();
                drop(sender);
            };
            let request = request(method, "/", body);
            let (answer, ()) = tokio::join!(answer(&upstream, request), sending);
            let expected =
                format!("10\r\n0123456789abcdef\r\n1388\r\n{}\r\n0\r\n\r\n", "x".repeat(5000));
            assert_eq!(answer.text, expected);
        }
    });
}

#[test]
fn trailers_follow_the_last_chunk_announced_or_not() {
    run(async {
        let server = server_that_tells_chunks().await;
        let (mut sender, body) = channel();
        sender.send_data(Bytes::from_static(b"a")).await.unwrap();
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
        let sending = async {
            sender.send_trailers(trailers).await.unwrap();
        };
        let upstream = upstream_at(server.address);
        let request = request(Method::PUT, "/", body);
        let (answer, ()) = tokio::join!(answer(&upstream, request), sending);
        assert_eq!(answer.text, "1\r\na\r\n0\r\nx-sum: 1\r\n\r\n");
    });
}

#[test]
fn a_target_may_answer_each_part_of_a_request_before_the_next_comes() {
    run(async {
        let server = Server::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut heard = [0; 64];
            loop {
                let length = stream.read(&mut heard).await.unwrap();
                let is_last = heard[..length].ends_with(b"0\r\n\r\n");
                stream.write_all(&heard[..length]).await.unwrap();
                if is_last {
                    break;
                }
            }
            let _eof = stream.read(&mut heard).await;
        })
        .await;
        let upstream = upstream_at(server.address);
        let (mut sender, body) = channel();
        let exchange = send(&upstream, request(Method::POST, "/", body)).await.unwrap();
        let mut response = exchange.response.into_body();
        for word in ["one", "two", "three"] {
            sender.send_data(Bytes::from_static(word.as_bytes())).await.unwrap();
            let frame = response.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), word);
        }
        drop(sender);
        assert!(response.frame().await.is_none());
        drop(exchange.lease);
        assert_eq!(upstream.pool_size(), 1, "both directions have come to their end");
    });
}

#[test]
fn an_answer_is_heard_though_the_target_stopped_listening() {
    run(async {
        let server = Server::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            let head = "HTTP/1.1 413 Too Much\r\ncontent-length: 2\r\n\r\nno";
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let _until_reset = stream.read(&mut [0; 1]).await;
        })
        .await;
        let upstream = upstream_at(server.address);
        let body = SlowBody::boxed(1_000_000, ms(1), false);
        let answer = answer(&upstream, request(Method::POST, "/", body)).await;
        assert_eq!((answer.status, &*answer.text), (413, "no"));
        tokio::time::sleep(ms(20)).await;
        assert!(!super::support::answer(&upstream, get("/")).await.reused);
    });
}

#[test]
fn a_request_body_that_fails_behind_its_response_breaks_the_response_too() {
    run(async {
        let server = Server::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf").await.unwrap();
            let _all = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let upstream = upstream_at(server.address);
        let body = SlowBody::boxed(3, ms(10), true);
        let exchange = send(&upstream, request(Method::POST, "/", body)).await.unwrap();
        let error = exchange.response.into_body().collect().await.unwrap_err();
        assert_eq!(error.to_string(), "the request it answers broke off");
        drop(exchange.lease);
        assert_eq!(upstream.pool_size(), 0);
    });
}

/// Answers the first request of a connection; reads the second and closes without a word.
async fn server_that_leaves() -> Server {
    Server::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        read_head(&mut stream).await;
    })
    .await
}

#[test]
fn a_request_that_may_be_repeated_is_when_a_used_connection_ends_without_a_word() {
    run(async {
        let server = server_that_leaves().await;
        let upstream = upstream_at(server.address);
        for _ in 0..3 {
            let answer = answer(&upstream, get("/")).await;
            assert_eq!((&*answer.text, answer.reused), ("ok", false));
        }
        assert_eq!(server.accepted(), 3);
    });
}

#[test]
fn no_other_request_is_sent_twice() {
    run(async {
        for (method, body) in [(Method::POST, empty()), (Method::PATCH, full("x"))] {
            let server = server_that_leaves().await;
            let upstream = upstream_at(server.address);
            answer(&upstream, get("/")).await;
            let error = send(&upstream, request(method, "/", body)).await.err().unwrap();
            let is_closed = matches!(error, UpstreamError::ClosedBeforeResponse { .. });
            assert!(is_closed || matches!(error, UpstreamError::Reset { .. }), "{error}");
            assert_eq!(server.accepted(), 1);
        }
    });
}

#[test]
fn a_target_that_speaks_unasked_is_not_believed() {
    run(async {
        let server = Server::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            let two = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\
                       HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
            stream.write_all(two.as_bytes()).await.unwrap();
            let _eof = stream.read(&mut [0; 64]).await;
        })
        .await;
        let upstream = upstream_at(server.address);
        for _ in 0..2 {
            let answer = answer(&upstream, get("/")).await;
            assert_eq!((&*answer.text, answer.reused), ("ok", false));
        }
    });
}

#[test]
fn a_body_until_the_end_of_the_connection_is_read_to_it() {
    run(async {
        let server = Server::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\none").await.unwrap();
            tokio::time::sleep(ms(5)).await;
            stream.write_all(b" two").await.unwrap();
        })
        .await;
        let upstream = upstream_at(server.address);
        assert_eq!(answer(&upstream, get("/")).await.text, "one two");
        assert_eq!(upstream.pool_size(), 0);
    });
}

#[test]
fn large_bodies_arrive_as_they_were_sent() {
    run(async {
        let body: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        for chunked in [false, true] {
            let sent = body.clone();
            let server = Server::start(move |mut stream, _| {
                let sent = sent.clone();
                async move {
                    read_head(&mut stream).await;
                    if chunked {
                        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                        stream.write_all(head.as_bytes()).await.unwrap();
                        for (number, part) in sent.chunks(70_001).enumerate() {
                            let size = format!("{:x};n={number}\r\n", part.len());
                            stream.write_all(size.as_bytes()).await.unwrap();
                            stream.write_all(part).await.unwrap();
                            stream.write_all(b"\r\n").await.unwrap();
                        }
                        stream.write_all(b"0\r\nx-end: 1\r\n\r\n").await.unwrap();
                    } else {
                        let length = sent.len();
                        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                        stream.write_all(head.as_bytes()).await.unwrap();
                        stream.write_all(&sent).await.unwrap();
                    }
                    let _eof = stream.read(&mut [0; 1]).await;
                }
            })
            .await;
            let upstream = upstream_at(server.address);
            let exchange = send(&upstream, get("/")).await.unwrap();
            let collected = exchange.response.into_body().collect().await.unwrap();
            assert_eq!(collected.trailers().is_some(), chunked);
            assert!(collected.to_bytes() == body);
            drop(exchange.lease);
            assert_eq!(upstream.pool_size(), 1);
        }
    });
}
