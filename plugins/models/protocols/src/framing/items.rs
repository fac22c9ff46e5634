//! The elements of one JSON array that grows, as Gemini streams without `alt=sse`.

use std::borrow::Cow;

use super::{Event, Fault, bare};
use crate::saved::saved;

/// Where in the array the stream stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    depth: u16,
    in_string: bool,
    escaped: bool,
}
saved!(struct Ends { depth, in_string, escaped });

impl Ends {
    /// The offset behind an element, or behind the bracket that ends the array.
    pub(super) fn find(&mut self, chunk: &[u8]) -> Result<Option<usize>, Fault> {
        for (at, byte) in chunk.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth = self.depth.checked_add(1).ok_or(Fault::Malformed)?,
                b'}' | b']' => {
                    self.depth = self.depth.checked_sub(1).ok_or(Fault::Malformed)?;
                    if self.depth < 2 {
                        return Ok(Some(at + 1));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

/// The element without the comma or bracket before it.
pub(super) fn parse(raw: &[u8]) -> Event<'_> {
    let start =
        raw.iter().position(|byte| !matches!(byte, b'[' | b',') && !byte.is_ascii_whitespace());
    let data = raw[start.unwrap_or(raw.len())..].trim_ascii();
    let data = data.starts_with(b"{").then_some(Cow::Borrowed(data));
    Event { data, ..bare(raw) }
}
