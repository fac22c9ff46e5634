//! Responses and chunked bodies that nobody meant to send.
//!
//! Owns two properties: how the bytes were cut on their way changes nothing, and what is accepted
//! means the same to hyper's client. Ours may refuse more than hyper does.

use bytes::Bytes;
use gateway_fuzz::Target;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

use super::append;
use super::chunked::Found;
use super::parse::{self, Framing, Head};
use super::response::Decoder;
use crate::config::UpstreamLimits;

const TOKENS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    ": ",
    "0\r\n\r\n",
    "\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 ",
    "101",
    "204",
    "1",
    "ffffffffffffffff",
    "content-length: 3\r\n",
    "transfer-encoding: chunked\r\n",
    "transfer-encoding: gzip\r\n",
    "connection: close\r\n",
    ";name=\"value\"",
    "\t",
    "\0",
];

/// A whole response, as a reader understood it.
#[derive(Debug, PartialEq)]
struct Understood {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
}

/// What ours makes of the input in pieces of so many bytes, with the end of the connection behind
/// it. `None` if it is refused or not a whole response.
fn ours(input: &[u8], piece: usize) -> Option<Understood> {
    let mut reader = Reader { input: Bytes::new(), pieces: input.chunks(piece) };
    let (head, headers) = reader.head()?;
    let mut decoder = match head.framing {
        Framing::Switch => return None,
        framing => Decoder::new(framing),
    };
    let (body, trailers) = reader.body(&mut decoder)?;
    Some(Understood { status: head.status, headers, body, trailers })
}

struct Reader<'i> {
    input: Bytes,
    pieces: std::slice::Chunks<'i, u8>,
}

impl Reader<'_> {
    fn fill(&mut self) -> bool {
        let piece = self.pieces.next();
        if let Some(piece) = piece {
            append(&mut self.input, piece);
        }
        piece.is_some()
    }

    fn head(&mut self) -> Option<(Head, HeaderMap)> {
        let limits = UpstreamLimits::default();
        loop {
            let mut headers = HeaderMap::new();
            match parse::head(&mut self.input, false, &mut headers, limits).ok()? {
                Some(head) if head.is_interim() => {}
                Some(head) => return Some((head, headers)),
                None if self.fill() => {}
                None => return None,
            }
        }
    }

    fn body(&mut self, decoder: &mut Decoder) -> Option<(Vec<u8>, HeaderMap)> {
        let mut body = Vec::new();
        loop {
            match decoder.decode(&mut self.input).ok()? {
                Found::Data(data) => {
                    body.extend_from_slice(&data);
                    if decoder.take_end(&mut self.input) {
                        return Some((body, HeaderMap::new()));
                    }
                }
                Found::End(trailers) => return Some((body, trailers)),
                Found::Unfinished if self.fill() => {}
                Found::Unfinished if matches!(decoder, Decoder::UntilClose) => {
                    return Some((body, HeaderMap::new()));
                }
                Found::Unfinished => return None,
            }
        }
    }
}

/// What hyper's client makes of it.
async fn hypers(input: &[u8]) -> Option<Understood> {
    let (client, mut server) = tokio::io::duplex(256 << 10);
    let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.ok()?;
    let asked = async {
        let request = Request::get("/").header("host", "a.example").body(Empty::<Bytes>::new());
        let response = sender.send_request(request.unwrap()).await.ok()?;
        let (head, body) = response.into_parts();
        let collected = body.collect().await.ok()?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let body = collected.to_bytes().to_vec();
        Some(Understood { status: head.status, headers: head.headers, body, trailers })
    };
    let answering = async {
        // hyper takes what comes before its request for an answer to none.
        let mut request = [0; 1];
        let _there = tokio::io::AsyncReadExt::read(&mut server, &mut request).await;
        let _written = server.write_all(input).await;
        let _closed = server.shutdown().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        understood = asked => understood,
        _ = async { tokio::join!(connection, answering) } => None,
    }
}

#[test]
fn what_is_accepted_means_the_same_to_hyper() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut accepted = 0;
    Target::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/responses"), TOKENS).check(|input| {
        let whole = ours(input, input.len().max(1));
        for piece in [1, 2, 7] {
            assert_eq!(ours(input, piece), whole, "in pieces of {piece}");
        }
        if let Some(mut whole) = whole {
            accepted += 1;
            let theirs = runtime.block_on(hypers(input));
            let mut theirs = theirs.expect("hyper refuses what is accepted here");
            for headers in [&mut whole.headers, &mut theirs.headers] {
                // Several equal lengths are one to both; they differ in what they pass on.
                headers.remove("content-length");
            }
            assert_eq!(whole, theirs);
        }
    });
    assert!(accepted > 5, "only {accepted} were responses");
}

#[test]
fn a_chunked_body_is_the_same_to_hyper() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut accepted = 0;
    Target::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/chunked"), TOKENS).check(|body| {
        let input = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", body].concat();
        let whole = ours(&input, input.len());
        for piece in [1, 3, 5] {
            assert_eq!(ours(&input, piece), whole, "in pieces of {piece}");
        }
        if whole.is_some() {
            accepted += 1;
            assert_eq!(whole, runtime.block_on(hypers(&input)));
        }
    });
    assert!(accepted > 3, "only {accepted} were bodies");
}
