//! Finding the events in a stream that arrives piece by piece.
//!
//! Owns what is held back: an event that is not complete, and nothing else. An event is complete with
//! its blank line, so it goes on with the piece that brings that, whatever ends the lines. How the
//! stream is cut makes no difference to what goes on. What an event says is `event`'s.

use gateway_plugin_sdk::prelude::*;

/// The end of what was seen of a stream.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Splitter {
    /// The event that is not complete.
    held: Vec<u8>,
    /// Where in there the line begins that is not complete.
    line: usize,
    /// Whether the first event is over: only before it may there be a byte order mark.
    begun: bool,
    tail: Tail,
}

/// A CR ends a line, and a LF behind it belongs to it, but may come later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Tail {
    /// Nothing is open.
    #[default]
    None,
    /// A LF that comes next is of an event that went on as it was: it goes on, too.
    Pass,
    /// It is of an event that was changed, and goes.
    Drop,
}

/// An event is larger than it may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EventTooLarge;

const BOM: &[u8] = b"\xEF\xBB\xBF";

impl Splitter {
    /// Takes a piece of the stream and returns what goes on in its place. `change` gets each event,
    /// without a byte order mark, and says what it becomes; `None` leaves it as it is.
    pub(crate) fn push(
        &mut self,
        data: &[u8],
        is_last: bool,
        limit: usize,
        mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Vec<u8>, EventTooLarge> {
        let mut buffer = std::mem::take(&mut self.held);
        buffer.extend_from_slice(data);
        let mut out = Vec::with_capacity(buffer.len());
        let mut start = 0;
        let mut line = std::mem::take(&mut self.line);
        if !buffer.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            start = tail.over(&buffer, 0, &mut out);
            line = line.max(start);
        }
        while let Some((end, next)) = self.line_end(&buffer, line, is_last) {
            line = next;
            let Some(end) = end else {
                continue;
            };
            let tail = self.pass_on(&buffer[start..end], limit, &mut change, &mut out)?;
            start = end;
            if buffer[end - 1] == b'\r' {
                match buffer.get(end) {
                    Some(_) => start = tail.over(&buffer, end, &mut out),
                    None => self.tail = tail,
                }
            }
            line = start;
        }
        if is_last && start < buffer.len() {
            self.pass_on(&buffer[start..], limit, &mut change, &mut out)?;
            start = buffer.len();
        }
        if buffer.len() - start > limit {
            return Err(EventTooLarge);
        }
        self.line = line.saturating_sub(start);
        buffer.drain(..start);
        self.held = buffer;
        Ok(out)
    }

    /// The end of the event if the line that begins here is blank, and where the next line begins;
    /// `None` if that is not known yet.
    fn line_end(
        &self,
        buffer: &[u8],
        line: usize,
        is_last: bool,
    ) -> Option<(Option<usize>, usize)> {
        let length = buffer[line..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
        let end = line + length;
        let is_first = line == 0 && !self.begun;
        if length == 0 || (is_first && &buffer[..end] == BOM) {
            return Some((Some(end + 1), end + 1));
        }
        match (buffer[end], buffer.get(end + 1)) {
            (b'\r', Some(b'\n')) => Some((None, end + 2)),
            (b'\r', None) if !is_last => None,
            _ => Some((None, end + 1)),
        }
    }

    fn pass_on(
        &mut self,
        event: &[u8],
        limit: usize,
        change: &mut impl FnMut(&[u8]) -> Option<Vec<u8>>,
        out: &mut Vec<u8>,
    ) -> Result<Tail, EventTooLarge> {
        if event.len() > limit {
            return Err(EventTooLarge);
        }
        let is_first = !std::mem::replace(&mut self.begun, true);
        let bare = if is_first { event.strip_prefix(BOM).unwrap_or(event) } else { event };
        match change(bare) {
            Some(changed) => {
                out.extend_from_slice(&changed);
                Ok(Tail::Drop)
            }
            None => {
                out.extend_from_slice(event);
                Ok(Tail::Pass)
            }
        }
    }
}

impl Tail {
    /// Takes a LF at this place, if it is what is missing, and returns where it goes on.
    fn over(self, buffer: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
        if self == Self::None || buffer.get(at) != Some(&b'\n') {
            return at;
        }
        if self == Self::Pass {
            out.push(b'\n');
        }
        at + 1
    }
}
