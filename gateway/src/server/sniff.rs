//! Which protocol a client speaks without TLS.
//!
//! Owns the comparison with the preface of HTTP/2 (RFC 9113 section 3.4). What was read is
//! replayed to the code that serves the connection.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;

use super::Transport;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for a whole request head of the usual size.
const FIRST_READ: usize = 4_096;

/// What the first bytes said.
#[derive(Debug)]
pub(super) struct Sniffed {
    pub(super) is_http2: bool,
    pub(super) bytes: Bytes,
}

/// Reads until the bytes differ from the preface or contain it. `None` if the client left before
/// the first byte.
pub(super) async fn sniff(transport: &mut Transport) -> io::Result<Option<Sniffed>> {
    // There is no buffer before there is something to put into it.
    transport.readable().await?;
    let mut bytes = BytesMut::with_capacity(FIRST_READ);
    loop {
        if transport.read_buf(&mut bytes).await? == 0 {
            let replay = Sniffed { is_http2: false, bytes: bytes.freeze() };
            return Ok(Some(replay).filter(|sniffed| !sniffed.bytes.is_empty()));
        }
        let known = bytes.len().min(PREFACE.len());
        let is_preface = bytes[..known] == PREFACE[..known];
        if !is_preface || known == PREFACE.len() {
            return Ok(Some(Sniffed { is_http2: is_preface, bytes: bytes.freeze() }));
        }
    }
}
