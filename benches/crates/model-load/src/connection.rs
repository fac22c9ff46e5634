//! One connection that is read as it comes: what was read and is not used, and what could not be written yet.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// See the module.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) read: Vec<u8>,
    unsent: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, read: Vec::new(), unsent: Vec::new() })
    }

    pub(crate) fn to(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(address)?)
    }

    /// Reads what there is. `false` at the end.
    pub(crate) fn take(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// Writes, behind what could not be written before. `Ok(false)` if there is no room for it.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            let count = written(self.stream.write(&self.unsent))?;
            self.unsent.drain(..count);
            if !self.unsent.is_empty() {
                return Ok(false);
            }
        }
        let count = written(self.stream.write(bytes))?;
        self.unsent.extend_from_slice(&bytes[count..]);
        Ok(true)
    }
}

fn written(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// Where these bytes are.
pub(crate) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == first) {
        if text[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// The length of a whole message with `content-length` at the front, if it is whole.
pub(crate) fn whole(read: &[u8]) -> Option<usize> {
    let head = find(read, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..head]).ok()?.to_ascii_lowercase();
    if text.contains("transfer-encoding: chunked") {
        return find(&read[head..], b"0\r\n\r\n").map(|end| head + end + 5);
    }
    let (_, length) = text.split_once("content-length:")?;
    let length: usize = length.split("\r\n").next()?.trim().parse().ok()?;
    (read.len() >= head + length).then_some(head + length)
}
