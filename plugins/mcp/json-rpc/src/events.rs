//! Server-sent events on their way to the client (WHATWG HTML section 9.2.6).
//!
//! Owns where an event ends, and what is held back of it: nothing, unless events are changed. Must not know what a
//! message means beyond what `scan` tells.

use serde::{Deserialize, Serialize};

use crate::scan::{Said, Scanner};

/// How much of an event is held back. What is kept with an exchange is at most 1 MiB.
const MOST_HELD: usize = 768 << 10;

/// Changes a message with a list; `None` leaves it as it is.
pub type Change<'a> = dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, Unreadable> + 'a;

/// A list that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// What is known of the line that is being read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Line {
    /// So many bytes of `data` were there.
    Name(u8),
    /// Behind `data:`, in front of the space.
    Colon,
    Data,
    Other,
    #[default]
    Empty,
}

/// The reader of one stream.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Events {
    line: Line,
    after_cr: bool,
    /// That CR ended an event, to which a LF belongs that comes later.
    after_end: bool,
    scanner: Scanner,
    held: Vec<u8>,
    /// The event was too long to be held back: its beginning has gone.
    passes: bool,
    /// What the last event said that answers a request.
    pub said: Said,
}

impl Events {
    /// Takes the next bytes. With a change, gives what goes on to the client in their place.
    pub fn read(
        &mut self,
        bytes: &[u8],
        change: Option<&Change<'_>>,
    ) -> Result<Vec<u8>, Unreadable> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (end, is_over) = self.find(rest);
            let (part, behind) = rest.split_at(end);
            rest = behind;
            if let Some(change) = change {
                self.hold(part, is_over, change, &mut out)?;
            }
            if is_over {
                self.passes = false;
                match std::mem::take(&mut self.scanner).said() {
                    Said::Nothing => {}
                    said => self.said = said,
                }
            }
        }
        Ok(out)
    }

    /// What is left at the end of the stream. An event without its end is none to a client.
    pub fn rest(&mut self) -> Vec<u8> {
        match self.scanner.has_list() {
            true => Vec::new(),
            false => std::mem::take(&mut self.held),
        }
    }

    fn hold(
        &mut self,
        part: &[u8],
        is_over: bool,
        change: &Change<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        if self.passes {
            if self.scanner.has_list() {
                return Err(Unreadable);
            }
            out.extend_from_slice(part);
            return Ok(());
        }
        self.held.extend_from_slice(part);
        if is_over {
            let held = std::mem::take(&mut self.held);
            match self.scanner.has_list() {
                true => event(&held, change, out)?,
                false => out.extend_from_slice(&held),
            }
        } else if self.held.len() > MOST_HELD {
            if self.scanner.has_list() {
                return Err(Unreadable);
            }
            out.append(&mut self.held);
            self.passes = true;
        }
        Ok(())
    }

    /// Where the event ends, and whether that is in these bytes. A CR ends a line at once; a LF that follows it belongs
    /// to it.
    fn find(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            let is_second = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            let was_end = std::mem::take(&mut self.after_end);
            if is_second {
                at += 1;
                if was_end {
                    return (at, true);
                }
                continue;
            }
            if matches!(byte, b'\n' | b'\r') {
                at += 1;
                match std::mem::take(&mut self.line) {
                    Line::Empty => {
                        if self.after_cr && bytes.get(at) == Some(&b'\n') {
                            self.after_cr = false;
                            at += 1;
                        }
                        self.after_end = self.after_cr;
                        return (at, true);
                    }
                    // Lines of data are one text, with line ends in between.
                    Line::Data | Line::Colon => self.scanner.read(b"\n"),
                    Line::Name(_) | Line::Other => {}
                }
                continue;
            }
            let end =
                memchr::memchr2(b'\n', b'\r', &bytes[at..]).map_or(bytes.len(), |end| at + end);
            at = self.within(bytes, at, end);
        }
        (at, false)
    }

    /// Reads on in a line, and says how far.
    fn within(&mut self, bytes: &[u8], at: usize, end: usize) -> usize {
        self.line = match (self.line, bytes[at]) {
            (Line::Data, _) => {
                self.scanner.read(&bytes[at..end]);
                return end;
            }
            (Line::Other, _) => return end,
            (Line::Colon, b' ') => Line::Data,
            (Line::Colon, _) => {
                self.line = Line::Data;
                return self.within(bytes, at, end);
            }
            (Line::Empty, b'd') => Line::Name(1),
            // A byte order mark may be in front of the first line.
            (Line::Empty, 0xef | 0xbb | 0xbf) => Line::Empty,
            (Line::Name(known), byte) if b"data".get(usize::from(known)) == Some(&byte) => {
                Line::Name(known + 1)
            }
            (Line::Name(4), b':') => Line::Colon,
            _ => Line::Other,
        };
        at + 1
    }
}

/// Writes an event with a list, without what the client may not see.
fn event(held: &[u8], change: &Change<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut data = Vec::new();
    for line in lines(held) {
        if let Some(value) = data_of(line) {
            if !data.is_empty() {
                data.push(b'\n');
            }
            data.extend_from_slice(value);
        }
    }
    let Some(changed) = change(&data)? else {
        out.extend_from_slice(held);
        return Ok(());
    };
    let mut is_written = false;
    for line in lines(held) {
        if data_of(line).is_none() {
            out.extend_from_slice(line);
        } else if !std::mem::replace(&mut is_written, true) {
            out.extend_from_slice(b"data: ");
            // Line ends in JSON are white space.
            out.extend(changed.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
            out.push(b'\n');
        }
    }
    Ok(())
}

/// The lines of an event, each with its end.
fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(event);
    std::iter::from_fn(move || {
        let mut end = memchr::memchr2(b'\n', b'\r', rest).map_or(rest.len(), |end| end + 1);
        if rest.get(end.wrapping_sub(1)) == Some(&b'\r') && rest.get(end) == Some(&b'\n') {
            end += 1;
        }
        let (line, behind) = rest.split_at(end);
        rest = behind;
        (!line.is_empty()).then_some(line)
    })
}

fn data_of(line: &[u8]) -> Option<&[u8]> {
    let value = line.trim_ascii_end().strip_prefix(b"data:")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one tool out of the list, and reads no other list.
    fn without_a(message: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let text = String::from_utf8(message.to_vec()).map_err(|_| Unreadable)?;
        assert!(text.contains("tools"), "{text}");
        Ok(Some(text.replace(char::is_whitespace, "").replace(r#"{"name":"a"},"#, "").into_bytes()))
    }

    fn through(stream: &[u8], sizes: usize) -> Result<(Vec<u8>, Said), Unreadable> {
        let (mut events, mut plain, mut out) = (Events::default(), Events::default(), Vec::new());
        for part in stream.chunks(sizes) {
            out.extend(events.read(part, Some(&without_a))?);
            assert!(plain.read(part, None)?.is_empty());
        }
        out.extend(events.rest());
        assert_eq!(plain.said, events.said);
        Ok((out, events.said))
    }

    const LIST: &str = r#"{"id":1,"result":{"tools":[{"name":"a"},{"name":"b"}]}}"#;
    const FILTERED: &str = r#"{"id":1,"result":{"tools":[{"name":"b"}]}}"#;

    #[test]
    fn filters_lists_in_streams_wherever_they_are_cut() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = format!(
                ": ping\n\nid: 7\ndata:\n\ndata: {{\"method\":\"x\"}}\n\nevent: message\nid: 8\ndata: {LIST}\nretry: 5\n\ndata: {{\"a\":1}}\n\n"
            );
            let stream = stream.replace('\n', end);
            // The line that was written anew ends as most do.
            let line = format!("data: {FILTERED}{end}");
            let wanted = stream.replace(&format!("data: {LIST}{end}"), &line);
            for sizes in 1..stream.len() {
                let (out, said) = through(stream.as_bytes(), sizes).unwrap();
                let out = String::from_utf8(out).unwrap();
                assert_eq!(
                    out.replace(&format!("{FILTERED}\n"), &format!("{FILTERED}{end}")),
                    wanted.replace(&format!("{FILTERED}\n"), &format!("{FILTERED}{end}")),
                    "{sizes}"
                );
                assert_eq!(said, Said::Result);
            }
        }
    }

    #[test]
    fn an_event_over_several_lines_is_one_text() {
        let pretty = LIST.replace(',', ",\ndata: ");
        let (out, _) = through(format!("data: {pretty}\n\n").as_bytes(), 5).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap().replace(' ', ""),
            format!("data:{FILTERED}\n\n").replace(' ', "")
        );
    }

    #[test]
    fn a_long_event_passes_unless_it_is_a_list() {
        let text = "x".repeat(2 << 20);
        let long = format!(
            "data: {{\"id\":1,\"result\":{{\"content\":\"{text}\",\"isError\":true}}}}\n\n"
        );
        let (out, said) = through(long.as_bytes(), 65_536).unwrap();
        assert!(out == long.as_bytes() && said == Said::ToolError);
        for list in [
            format!("data: {{\"id\":1,\"result\":{{\"x\":\"{text}\",\"tools\":[]}}}}\n\n"),
            format!("data: {{\"id\":1,\"result\":{{\"tools\":[\"{text}\"]}}}}\n\n"),
        ] {
            assert_eq!(through(list.as_bytes(), 65_536).unwrap_err(), Unreadable);
        }
    }

    #[test]
    fn half_a_list_at_the_end_of_a_stream_is_dropped() {
        let (out, _) = through(format!("data: {{}}\n\ndata: {LIST}\n").as_bytes(), 7).unwrap();
        assert_eq!(out, b"data: {}\n\n");
    }
}
