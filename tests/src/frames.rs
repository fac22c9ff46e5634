//! A client that says what it is told to over HTTP/2, malformed or not.
//!
//! Owns just as much of RFC 9113 and RFC 7541 as that takes: fields go out as literals, and of an
//! answer's head the status is read alone.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::within;

/// A connection.
#[derive(Debug)]
pub struct Frames {
    stream: TcpStream,
    next: u32,
}

/// What became of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status and body.
    Answer(u16, String),
    /// The stream was reset, with this code.
    Reset(u32),
    /// The connection was ended.
    Ended,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// On `HEADERS` and `DATA`; on `SETTINGS` it acknowledges.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Frames {
    /// Connects in clear, by prior knowledge.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("somebody listens");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("it is taken");
        let mut frames = Self { stream, next: 1 };
        frames.write(SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// Sends a request of these fields without a body, pseudo-fields too, and tells what becomes of
    /// it.
    pub async fn ask(&mut self, fields: &[(&str, &[u8])]) -> Outcome {
        let id = self.next;
        self.next += 2;
        let mut block = Vec::new();
        for (name, value) in fields {
            // Without indexing, with a new name, neither compressed.
            block.push(0);
            push_text(&mut block, name.as_bytes());
            push_text(&mut block, value);
        }
        self.write(HEADERS, END_STREAM | END_HEADERS, id, &block).await;
        self.outcome(id).await
    }

    /// A `GET` of this path, with a host.
    pub async fn get(&mut self, path: &[u8]) -> Outcome {
        let fields: [(&str, &[u8]); 4] = [
            (":method", b"GET"),
            (":scheme", b"http"),
            (":authority", b"a.example"),
            (":path", path),
        ];
        self.ask(&fields).await
    }

    async fn write(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a short frame");
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(id.to_be_bytes());
        frame.extend(payload);
        let _may_be_closed = within(self.stream.write_all(&frame)).await;
    }

    async fn outcome(&mut self, id: u32) -> Outcome {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let mut head = [0; 9];
            if within(self.stream.read_exact(&mut head)).await.is_err() {
                return Outcome::Ended;
            }
            let [a, b, c, kind, flags, id_bytes @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            if within(self.stream.read_exact(&mut payload)).await.is_err() {
                return Outcome::Ended;
            }
            let is_ours = u32::from_be_bytes(id_bytes) == id;
            match kind {
                SETTINGS if flags & END_STREAM == 0 => {
                    self.write(SETTINGS, END_STREAM, 0, &[]).await;
                }
                GOAWAY => return Outcome::Ended,
                RST_STREAM if is_ours => {
                    let code = payload.try_into().map(u32::from_be_bytes);
                    return Outcome::Reset(code.expect("four bytes"));
                }
                HEADERS if is_ours => status = status_of(&payload),
                DATA if is_ours => body.extend(payload),
                _ => {}
            }
            if is_ours && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                let body = String::from_utf8(body).expect("text");
                return Outcome::Answer(status, body);
            }
        }
    }
}

fn push_text(block: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => block.push(length),
        _ => {
            let rest = text.len() - 127;
            assert!(rest < 128, "a text of at most 254 bytes");
            block.extend([127, rest as u8]);
        }
    }
    block.extend(text);
}

/// The status as an index of the static table (RFC 7541 appendix A); 0 for any other.
fn status_of(block: &[u8]) -> u16 {
    match block.iter().find(|byte| !(0x20..0x40).contains(*byte)) {
        Some(0x88) => 200,
        Some(0x89) => 204,
        Some(0x8C) => 400,
        Some(0x8D) => 404,
        Some(0x8E) => 500,
        _ => 0,
    }
}
