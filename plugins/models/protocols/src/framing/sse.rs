//! Server-sent events (WHATWG HTML section 9.2.6): where one ends, what it says, writing one.

use std::borrow::Cow;

use super::{Event, bare};
use crate::json::line_end;
use crate::saved::saved;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What is known of the line that was not complete.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// It has bytes.
    filled: bool,
    /// The byte before was a CR, and nothing but a LF can belong to the same end of a line.
    after_cr: bool,
}
saved!(struct Ends { filled, after_cr });

impl Ends {
    /// The offset behind the blank line that ends the event.
    ///
    /// A CR ends a line at once, so that an event is not held back for a LF that may follow. If
    /// that LF comes with a later chunk it is the first byte of what follows.
    pub(super) fn find(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let end = line_end(chunk, at);
            if end == chunk.len() {
                break;
            }
            let step = end - at;
            let is_second = step == 0 && self.after_cr && chunk[end] == b'\n';
            let is_blank = step == 0 && !self.filled;
            self.after_cr = chunk[end] == b'\r';
            at = end + 1;
            if is_second {
                continue;
            }
            self.filled = false;
            if is_blank {
                if self.after_cr && chunk.get(at) == Some(&b'\n') {
                    self.after_cr = false;
                    at += 1;
                }
                return Some(at);
            }
        }
        if at < chunk.len() {
            *self = Self { filled: true, after_cr: false };
        }
        None
    }
}

/// What the lines of an event say.
pub(super) fn parse(raw: &[u8], is_first: bool) -> Event<'_> {
    let mut rest = raw;
    if is_first {
        rest = rest.strip_prefix(BOM).unwrap_or(rest);
    }
    let mut event = bare(raw);
    while !rest.is_empty() {
        let end = line_end(rest, 0);
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if let Some(value) = field(line, b"data") {
            event.data = Some(match event.data {
                None => Cow::Borrowed(value),
                Some(before) => Cow::Owned([&before, b"\n".as_slice(), value].concat()),
            });
        } else if let Some(value) = field(line, b"event") {
            event.name = value;
        }
    }
    event
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest.split_first() {
        None => Some(rest),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

/// Appends an event without a name. `data` is JSON text, or another text without line ends.
pub fn write(out: &mut Vec<u8>, data: &str) {
    out.extend_from_slice(b"data: ");
    lines(out, data);
}

/// Appends an event with a name.
pub fn write_named(out: &mut Vec<u8>, name: &str, data: &str) {
    out.extend_from_slice(b"event: ");
    out.extend(name.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    out.extend_from_slice(b"\ndata: ");
    lines(out, data);
}

/// White space of JSON may have line ends, which are spaces as well.
fn lines(out: &mut Vec<u8>, data: &str) {
    let space = |byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
    match memchr::memchr2(b'\n', b'\r', data.as_bytes()) {
        None => out.extend_from_slice(data.as_bytes()),
        Some(_) => out.extend(data.bytes().map(space)),
    }
    out.extend_from_slice(b"\n\n");
}
