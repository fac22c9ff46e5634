#!/usr/bin/env bash
# A server on hyper that has answered a request before its chunked body came to its end, and goes on
# reading the body: without trailers it learns of the end at once, with trailers of nothing, neither them
# nor the end, until the client sends the head of its next request.
#
# Seen with hyper 1.12.0 (tokio 1.54.1, http-body-util 0.1.5), the frames of the body after each write:
#     without trailers: data, end
#     with trailers: data
#     and with the next head: data, trailers, end
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.1.0"
edition = "2021"

[dependencies]
bytes = "=1.12.1"
http-body-util = "=0.1.5"
hyper = { version = "=1.12.0", features = ["http1", "server"] }
hyper-util = { version = "=0.1.21", features = ["tokio"] }
tokio = { version = "=1.54.1", features = ["io-util", "macros", "rt", "time"] }
TOML
cat > src/main.rs <<'RS'
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

type Seen = Arc<Mutex<Vec<&'static str>>>;

/// Answers at once, and reads the body of the first request behind the answer.
fn serve(connection: DuplexStream) -> Seen {
    let seen = Seen::default();
    let tell = seen.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let tell = tell.clone();
        if request.uri() == "/first" {
            tokio::spawn(async move {
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    let kind = match frame {
                        Ok(frame) if frame.is_data() => "data",
                        Ok(_) => "trailers",
                        Err(_) => "error",
                    };
                    tell.lock().unwrap().push(kind);
                }
                tell.lock().unwrap().push("end");
            });
        }
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let server = hyper::server::conn::http1::Builder::new();
    tokio::spawn(server.serve_connection(TokioIo::new(connection), service));
    seen
}

async fn after(client: &mut DuplexStream, bytes: &str, seen: &Seen) -> String {
    client.write_all(bytes.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    seen.lock().unwrap().join(", ")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let head = "POST /first HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    for (what, rest) in [
        ("without trailers", "2\r\nhi\r\n0\r\n\r\n"),
        ("with trailers", "2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n"),
    ] {
        let (mut client, server) = tokio::io::duplex(65_536);
        let seen = serve(server);
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 4096];
        assert!(client.read(&mut answer).await.unwrap() > 0);
        println!("{what}: {}", after(&mut client, rest, &seen).await);
        if what == "with trailers" {
            let next = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";
            println!("and with the next head: {}", after(&mut client, next, &seen).await);
        }
    }
}
RS
seen=$(cargo run --quiet)
echo "$seen"
[ "$seen" = "without trailers: data, end
with trailers: data
and with the next head: data, trailers, end" ]
