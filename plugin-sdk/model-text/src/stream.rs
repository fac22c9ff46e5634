//! Streams: the texts that come in pieces are checked as they grow, whatever the bytes are cut into.
//!
//! An event is passed on when all of its text is decided, and with it all that came before: in their order, and to the
//! byte as they came where nothing is changed. So what is held back are the events of the text that a check waits for,
//! and those behind them. What a check changes over several events is written where it began, and taken out of the
//! others; no event is added or lost.

mod head;
mod held;
mod kept;

use std::borrow::Cow;
use std::ops::Range;

use gateway_model_protocols::Protocol;
use gateway_model_protocols::framing::{Event, Fault, Framing, Reader};
use gateway_model_protocols::json::Raw;
use serde::{Deserialize, Serialize};

use crate::ending;
use crate::escape::{Decoded, escape};
use crate::places::{self, Channel, Ends, Place};
use crate::text::{Changes, Check, Kind, Text};
pub(crate) use head::Head;
use held::{Held, Pieces, one_line, write};
use kept::{Bytes, KeptReader};

/// The largest event, in bytes. What is not whole of one is kept with the exchange.
const MAX_EVENT: usize = 512 << 10;
/// The most that is held back. Beyond it, texts are decided as they are: a check that waits for long is not waited for.
const MAX_HELD: usize = 384 << 10;

/// A stream of a model's answer. It is kept in the plugin's context between two chunks.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stream {
    protocol: u8,
    reader: KeptReader,
    texts: Vec<Growing>,
    /// Events that are not passed on yet; the first one's number.
    held: Vec<Held>,
    first: u64,
    head: Head,
    is_over: bool,
    stopped: Option<String>,
}

/// A stream that cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Why.
    pub why: Fault,
    /// How many bytes of the chunk were read.
    at: usize,
}

/// A text that comes in pieces.
#[derive(Debug, Serialize, Deserialize)]
struct Growing {
    id: u64,
    group: u32,
    kind: u8,
    before: Option<char>,
    /// The event, the piece in it and the byte in that from which on nothing is decided.
    from: Option<(u64, usize, usize)>,
}

const KINDS: [Kind; 3] = [Kind::Said, Kind::Thinking, Kind::Arguments];

impl Stream {
    /// At the start of a stream of this API. `None` for one whose streams are not known.
    #[must_use]
    pub fn new(protocol: Protocol, framing: Framing) -> Option<Self> {
        let index = Protocol::ALL.iter().position(|it| *it == protocol)?;
        let is_known = framing != Framing::EventStream && protocol != Protocol::BedrockConverse;
        is_known.then(|| Self {
            protocol: u8::try_from(index).unwrap_or_default(),
            reader: KeptReader(framing, Reader::new(framing, MAX_EVENT)),
            texts: Vec::new(),
            held: Vec::new(),
            first: 0,
            head: Head::default(),
            is_over: false,
            stopped: None,
        })
    }

    fn protocol(&self) -> Protocol {
        Protocol::ALL[usize::from(self.protocol)]
    }

    /// Why a check stopped the stream, if one did.
    #[must_use]
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// How many bytes are held back.
    #[must_use]
    pub fn held_back(&self) -> usize {
        let events: usize = self.held.iter().map(|event| event.raw.0.len()).sum();
        events + self.reader.1.held().len()
    }

    /// Takes a chunk, and appends to `out` what is passed on in its place.
    ///
    /// Where a check stops the stream, the API's own ending for filtered content is appended, and nothing comes after.
    ///
    /// # Errors
    /// If the stream cannot be read on. What was before that is in `out`; what to do with the rest is said by
    /// [`pass_unread`](Self::pass_unread) or [`stop`](Self::stop), one of which must follow.
    pub fn chunk(
        &mut self,
        chunk: &[u8],
        is_last: bool,
        check: &mut impl Check,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        if self.is_over {
            if self.stopped.is_none() {
                out.extend_from_slice(chunk);
            }
            return Ok(());
        }
        let mut reader =
            std::mem::replace(&mut self.reader.1, Reader::new(self.reader.0, MAX_EVENT));
        let (held_before, mut given) = (reader.held().len(), 0);
        let result = reader.read(chunk, |event| {
            given += event.raw.len();
            self.event(&event, check, out);
        });
        if result.is_ok() && is_last {
            reader.finish(|event| self.event(&event, check, out));
        }
        self.reader.1 = reader;
        result.map_err(|why| Unreadable { why, at: given.saturating_sub(held_before) })?;
        if self.stopped.is_none() && (is_last || self.held_back() > MAX_HELD) {
            self.end(Ends::All, check);
            self.release(out);
        }
        self.ended(out);
        Ok(())
    }

    /// Passes on the rest of a stream as it comes, from where in a chunk it could not be read.
    pub fn pass_unread(&mut self, chunk: &[u8], from: Unreadable, out: &mut Vec<u8>) {
        for event in std::mem::take(&mut self.held) {
            write(&event, out);
        }
        out.extend_from_slice(self.reader.1.held());
        out.extend_from_slice(chunk.get(from.at..).unwrap_or_default());
        self.is_over = true;
    }

    /// Ends the stream with the API's ending for filtered content.
    pub fn stop(&mut self, message: impl Into<String>, out: &mut Vec<u8>) {
        self.stopped = Some(message.into());
        self.ended(out);
    }

    /// Writes the ending, once, if the stream was stopped.
    fn ended(&mut self, out: &mut Vec<u8>) {
        if let Some(message) = self.stopped.as_deref().filter(|_| !self.is_over) {
            ending::of_stream(self.protocol(), self.reader.0, &self.head, message, out);
            self.is_over = true;
            self.held.clear();
            self.texts.clear();
        }
    }

    fn event(&mut self, event: &Event<'_>, check: &mut impl Check, out: &mut Vec<u8>) {
        if self.stopped.is_some() {
            return;
        }
        let Some(data) = &event.data else {
            self.push(Cow::Borrowed(event.raw), Vec::new());
            return self.release(out);
        };
        // Lines of JSON are put into one, which has a place in the event; no provider sends several.
        let (raw, start) = match data {
            Cow::Borrowed(data) => {
                let start = (data.as_ptr() as usize).saturating_sub(event.raw.as_ptr() as usize);
                (Cow::Borrowed(event.raw), start)
            }
            Cow::Owned(data) => one_line(event.name, data),
        };
        let length = data.len();
        let ends = self.texts_of(raw, start..start + length, check);
        if self.stopped.is_none() {
            self.end(ends, check);
        }
        if self.stopped.is_none() {
            self.release(out);
        }
    }

    /// Takes in an event with its texts.
    fn texts_of(&mut self, raw: Cow<'_, [u8]>, data: Range<usize>, check: &mut impl Check) -> Ends {
        let json = raw.get(data.clone()).unwrap_or_default();
        let Ok(root) = Raw::parse(json) else {
            let text = String::from_utf8_lossy(json).into_owned();
            self.push(raw, Vec::new());
            self.plain(&text, data, check);
            // The last event of OpenAI's; another is none of the texts that grow.
            return if text == "[DONE]" { Ends::All } else { Ends::None };
        };
        let (places, ends) = places::of_event(self.protocol(), root, json);
        let mut head = std::mem::take(&mut self.head);
        head.see(self.protocol(), root);
        let shifted = |range: &Range<usize>| range.start + data.start..range.end + data.start;
        let pieces =
            places.iter().filter_map(|it| Some((it.piece?.id, shifted(&it.range)))).collect();
        let whole: Vec<(String, Place)> = places
            .iter()
            .filter(|it| it.piece.is_none())
            .map(|it| {
                (
                    String::from_utf8_lossy(&json[it.range.clone()]).into_owned(),
                    Place { range: shifted(&it.range), ..*it },
                )
            })
            .collect();
        self.push(raw, pieces);
        for (written, place) in &whole {
            self.whole(written, place, check);
        }
        let mut at = 0;
        for place in &places {
            let Some(channel) = place.piece else { continue };
            head.choices = head.choices.max(channel.group.saturating_add(1));
            self.grow(channel, place.kind, at, check);
            at += 1;
        }
        // What was stopped was not passed on.
        if self.stopped.is_none() {
            head.has_events = true;
        } else {
            head.take_back();
        }
        self.head = head;
        ends
    }

    fn push(&mut self, raw: Cow<'_, [u8]>, pieces: Vec<(u64, Range<usize>)>) {
        let raw = Bytes(raw.into_owned());
        self.held.push(Held { raw, pieces, changes: Vec::new() });
    }

    /// A text that is whole in the event that came last.
    fn whole(&mut self, written: &str, place: &Place, check: &mut impl Check) {
        let decoded = Decoded::read(written, place.kind, true);
        let mut changes = Changes::default();
        let text = Text { text: &decoded.text, before: None, is_end: true, kind: place.kind };
        check.check(&text, &mut changes);
        self.stopped = self.stopped.take().or(changes.stop);
        let Some(event) = self.held.last_mut() else { return };
        for (part, with) in changes.replaced {
            let at = |at| place.range.start + decoded.place(at);
            event.changes.push((at(part.start)..at(part.end), escape(&with, place.kind)));
        }
    }

    /// What is no JSON is checked as it is.
    fn plain(&mut self, text: &str, data: Range<usize>, check: &mut impl Check) {
        if text.is_empty() || text == "[DONE]" {
            return;
        }
        let mut changes = Changes::default();
        check.check(&Text { text, before: None, is_end: true, kind: Kind::Said }, &mut changes);
        self.stopped = self.stopped.take().or(changes.stop);
        let Some(event) = self.held.last_mut() else { return };
        for (part, with) in changes.replaced {
            event.changes.push((data.start + part.start..data.start + part.end, with));
        }
    }

    /// One more piece of a text, the `at`th of the event that came last.
    fn grow(&mut self, channel: Channel, kind: Kind, at: usize, check: &mut impl Check) {
        // Where another text of the answer goes on, this one is over.
        let others = |it: &Growing| it.group == channel.group && it.id != channel.id;
        while let Some(other) = self.texts.iter().position(others) {
            self.decide(other, true, check);
            self.texts.swap_remove(other);
        }
        let event = self.first + self.held.len() as u64 - 1;
        let index = match self.texts.iter().position(|it| it.id == channel.id) {
            Some(index) => index,
            None => {
                let kind = KINDS.iter().position(|it| *it == kind).unwrap_or(0) as u8;
                let Channel { id, group } = channel;
                self.texts.push(Growing { id, group, kind, before: None, from: None });
                self.texts.len() - 1
            }
        };
        self.texts[index].from.get_or_insert((event, at, 0));
        self.decide(index, false, check);
    }

    /// Decides texts that end.
    fn end(&mut self, ends: Ends, check: &mut impl Check) {
        let is_over = |it: &Growing| match ends {
            Ends::None => false,
            Ends::Group(group) => it.group == group,
            Ends::All => true,
        };
        while let Some(index) = self.texts.iter().position(is_over) {
            self.decide(index, true, check);
            self.texts.swap_remove(index);
        }
    }

    /// Asks the check about what is not decided of a text.
    fn decide(&mut self, index: usize, is_end: bool, check: &mut impl Check) {
        let text = &self.texts[index];
        let kind = KINDS[usize::from(text.kind)];
        let Some(from) = text.from else { return };
        let mut pieces = Pieces::of(&self.held, self.first, text.id, from);
        let written = pieces.written(&self.held);
        let decoded = Decoded::read(&written, kind, is_end);
        let mut changes = Changes::default();
        if !decoded.text.is_empty() {
            let text = Text { text: &decoded.text, before: text.before, is_end, kind };
            check.check(&text, &mut changes);
        }
        if let Some(message) = changes.stop {
            self.stopped.get_or_insert(message);
            return;
        }
        let length = decoded.text.len();
        let mut until = match is_end {
            true => length,
            false => changes.waits_from.unwrap_or(length).min(decoded.whole),
        };
        // A change that reaches into what is not decided waits as well.
        if let Some((part, _)) = changes.replaced.iter().find(|(part, _)| part.end > until) {
            until = until.min(part.start);
        }
        let edits: Vec<_> = changes
            .replaced
            .iter()
            .filter(|(part, _)| part.end <= until)
            .map(|(part, with)| {
                (decoded.place(part.start)..decoded.place(part.end), escape(with, kind))
            })
            .collect();
        let before = decoded.text[..until].chars().next_back();
        let rest = (until < length).then(|| decoded.place(until));
        for (range, with) in edits {
            pieces.change(&mut self.held, range, with);
        }
        let text = &mut self.texts[index];
        text.before = before.or(text.before);
        text.from = rest
            .and_then(|at| pieces.at(at))
            .map(|(event, piece, offset)| (self.first + event as u64, piece, offset));
    }

    /// Passes on the events before the first whose text is not decided.
    fn release(&mut self, out: &mut Vec<u8>) {
        if self.stopped.is_some() {
            return;
        }
        let end = self.first + self.held.len() as u64;
        let until = self.texts.iter().filter_map(|it| it.from).map(|(event, ..)| event).min();
        let count = usize::try_from(until.unwrap_or(end) - self.first).unwrap_or_default();
        for event in self.held.drain(..count) {
            write(&event, out);
        }
        self.first += count as u64;
    }
}

#[cfg(test)]
mod tests;
