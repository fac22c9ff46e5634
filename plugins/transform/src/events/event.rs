//! One server-sent event (WHATWG HTML section 9.2.6): what it says, and writing it anew.
//!
//! Owns its fields. Lines that do not change, such as `id`, `retry` and comments, stay in their places,
//! and all lines end as the first one does: a CR in front of a LF would be one end, and not two. What is
//! written cannot end a line or an event early, whatever is in it.

use std::borrow::Cow;

/// An event that has data: others are not handed to anybody by those who read a stream.
#[derive(Debug)]
pub(super) struct Event<'a> {
    lines: Vec<Line<'a>>,
    /// What ends its first line.
    end: &'static [u8],
    /// The lines of `data`, joined by line feeds.
    pub(super) data: Cow<'a, [u8]>,
    /// The type; `message` unless it says another.
    pub(super) kind: Cow<'a, [u8]>,
}

#[derive(Debug)]
struct Line<'a> {
    content: &'a [u8],
    field: Field,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Other,
    Blank,
}

/// What becomes of an event.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) data: Option<Vec<u8>>,
    pub(super) kind: Option<String>,
    pub(super) is_dropped: bool,
}

impl<'a> Event<'a> {
    /// Reads an event; `None` if it has no data.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let mut event = Self {
            lines: Vec::new(),
            end: first_end(text),
            data: Cow::default(),
            kind: Cow::Borrowed(b"message"),
        };
        let mut has_data = false;
        let mut rest = text;
        while !rest.is_empty() {
            let (content, _, behind) = split_line(rest);
            rest = behind;
            let (name, value) = split_field(content);
            let field = match name {
                b"" if content.is_empty() => Field::Blank,
                b"data" => Field::Data,
                b"event" => Field::Event,
                _ => Field::Other,
            };
            event.lines.push(Line { content, field });
            if field == Field::Event {
                event.kind = Cow::Borrowed(if value.is_empty() { b"message" } else { value });
            }
            if field == Field::Data {
                event.add_data(value, has_data);
                has_data = true;
            }
        }
        has_data.then_some(event)
    }

    fn add_data(&mut self, value: &'a [u8], is_more: bool) {
        if is_more {
            let data = self.data.to_mut();
            data.push(b'\n');
            data.extend_from_slice(value);
        } else {
            self.data = Cow::Borrowed(value);
        }
    }

    /// The event with its changes; `None` if there are none.
    pub(super) fn changed(&self, change: &Change) -> Option<Vec<u8>> {
        if !change.is_dropped && change.data.is_none() && change.kind.is_none() {
            return None;
        }
        if change.is_dropped {
            return Some(self.without_data());
        }
        let end = self.end;
        let mut out = Vec::new();
        let mut kind = change.kind.as_deref();
        let mut data = change.data.as_deref();
        let has_kind = self.lines.iter().any(|line| line.field == Field::Event);
        for line in &self.lines {
            match line.field {
                Field::Event if change.kind.is_some() => {
                    write_kind(kind.take(), end, &mut out);
                }
                Field::Data => {
                    if !has_kind {
                        write_kind(kind.take(), end, &mut out);
                    }
                    if change.data.is_none() {
                        line.write(end, &mut out);
                    } else if let Some(data) = data.take() {
                        write_data(data, end, &mut out);
                    }
                }
                Field::Event | Field::Other | Field::Blank => line.write(end, &mut out),
            }
        }
        Some(out)
    }

    /// What is left of it when it goes: its `id` and `retry` still count to who reads the stream.
    fn without_data(&self) -> Vec<u8> {
        let (mut out, mut is_empty) = (Vec::new(), true);
        for line in &self.lines {
            match line.field {
                Field::Other => {
                    line.write(self.end, &mut out);
                    is_empty = false;
                }
                Field::Blank if !is_empty => line.write(self.end, &mut out),
                Field::Blank | Field::Data | Field::Event => {}
            }
        }
        out
    }
}

impl Line<'_> {
    fn write(&self, end: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.content);
        out.extend_from_slice(end);
    }
}

fn first_end(text: &[u8]) -> &'static [u8] {
    match split_line(text).1 {
        [.., b'\r', b'\n'] => b"\r\n",
        [.., b'\r'] => b"\r",
        _ => b"\n",
    }
}

fn write_kind(kind: Option<&str>, end: &[u8], out: &mut Vec<u8>) {
    if let Some(kind) = kind {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(end);
    }
}

/// Each line of the data is a field of its own, so that no value can begin another field.
fn write_data(data: &[u8], end: &[u8], out: &mut Vec<u8>) {
    let mut rest = Some(data);
    while let Some(text) = rest {
        let (content, whole, behind) = split_line(text);
        out.extend_from_slice(if content.is_empty() { b"data:" } else { b"data: " });
        out.extend_from_slice(content);
        out.extend_from_slice(end);
        rest = (whole.len() > content.len()).then_some(behind);
    }
}

/// The content of the first line, the line with what ends it, and what is behind it.
fn split_line(text: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let length = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    let whole = match text.get(length..) {
        Some([b'\r', b'\n', ..]) => length + 2,
        Some([_, ..]) => length + 1,
        _ => length,
    };
    (&text[..length], &text[..whole], &text[whole..])
}

fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| *byte == b':') {
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        }
        None => (line, b""),
    }
}
