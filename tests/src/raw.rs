//! A client that says what it is told to, byte for byte.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::within;

/// A connection.
#[derive(Debug)]
pub struct Raw {
    /// The socket.
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response as it came.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The head without its last empty line.
    pub head: String,
    /// The body, chunks joined.
    pub body: String,
}

impl Response {
    /// The value of the first field of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as a problem document.
    ///
    /// # Panics
    /// If it is none.
    pub fn problem(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).expect("valid JSON");
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["instance"].as_str(), self.header("x-request-id"));
        problem
    }
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        Self { stream, buffer: Vec::new() }
    }

    /// Connects, sends, and reads one response.
    pub async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Response {
        let mut raw = Self::connect(address).await;
        raw.send(request).await;
        raw.response().await
    }

    /// Writes. What the peer does not take any more is not an error here.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _may_be_closed = within(self.stream.write_all(bytes.as_ref())).await;
    }

    /// Reads more; `false` at the end or when the connection broke.
    async fn fill(&mut self) -> bool {
        matches!(within(self.stream.read_buf(&mut self.buffer)).await, Ok(read) if read > 0)
    }

    /// Reads up to and including a text.
    ///
    /// # Panics
    /// If the connection ends before.
    pub async fn read_until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = find(&self.buffer, text.as_bytes()) {
                let rest = self.buffer.split_off(at + text.len());
                let read = std::mem::replace(&mut self.buffer, rest);
                return String::from_utf8(read).expect("text");
            }
            assert!(self.fill().await, "ended before {text:?}: {:?}", self.peek());
        }
    }

    /// Reads over the preface and frames of HTTP/2 until one of this type is there.
    ///
    /// # Panics
    /// If the connection ends before.
    pub async fn wait_for_frame(&mut self, kind: u8) {
        let mut at = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
        loop {
            while self.buffer.len() < at + 9 {
                assert!(self.fill().await, "ended before a frame of type {kind}");
            }
            let head = &self.buffer[at..at + 9];
            if head[3] == kind {
                return;
            }
            at += 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        }
    }

    /// What was read and not yet asked for.
    #[must_use]
    pub fn peek(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Reads one response with a length or chunks.
    pub async fn response(&mut self) -> Response {
        let mut response = self.head().await;
        if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().expect("a number");
            while self.buffer.len() < length {
                assert!(self.fill().await, "the body is short");
            }
            let rest = self.buffer.split_off(length);
            let body = std::mem::replace(&mut self.buffer, rest);
            response.body = String::from_utf8(body).expect("text");
        } else if response.header("transfer-encoding").is_some() {
            loop {
                let size = self.read_until("\r\n").await;
                let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
                if size == 0 {
                    break;
                }
                while self.buffer.len() < size + 2 {
                    assert!(self.fill().await, "the chunk is short");
                }
                let rest = self.buffer.split_off(size + 2);
                let chunk = std::mem::replace(&mut self.buffer, rest);
                response.body.push_str(std::str::from_utf8(&chunk[..size]).expect("text"));
            }
            loop {
                let line = self.read_until("\r\n").await;
                if line == "\r\n" {
                    break;
                }
                response.head.push_str(&format!("\r\ntrailer-{}", line.trim()));
            }
        }
        response
    }

    /// Reads the head of a response.
    pub async fn head(&mut self) -> Response {
        let head = self.read_until("\r\n\r\n").await;
        let status = head[9..12].parse().expect("a status");
        Response { status, head: head.trim_end().to_owned(), body: String::new() }
    }

    /// Whether any answer comes before the connection ends.
    pub async fn is_answered(&mut self) -> bool {
        while !self.buffer.contains(&b'\n') {
            if !self.fill().await {
                return false;
            }
        }
        true
    }

    /// Breaks the connection: a client that only closes could still be waiting for its answer.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a socket");
    }

    /// Reads to the end of the connection, orderly or not.
    pub async fn rest(&mut self) -> String {
        while self.fill().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

impl From<TcpStream> for Raw {
    fn from(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }
}
