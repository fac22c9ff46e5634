//! The body of a response on its way to the client.
//!
//! Owns what is read of it, and the one thing that is taken out: the usage that the client did not ask for. All other
//! bytes pass as they are. Must not count: `meter` does.

mod whole;

use gateway_model_protocols::error::{self, Failure, Refusal};
use gateway_model_protocols::framing::{Event, Fault, Framing, Reader};
use gateway_model_protocols::translate::Translator;
use gateway_model_protocols::usage::{self, Stream};
use gateway_model_protocols::{Action, Protocol};
use gateway_plugin_sdk::prelude::Chunk;
use gateway_plugin_sdk::{chunks, clock, log};

pub(crate) use self::whole::whole;
use crate::outcome::{ErrorType, failure};
use crate::state::{Call, Reading};

/// What a chunk brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// There is news of the usage, or it is time to say how far the text has come.
    pub(crate) usage: bool,
    /// It failed, and why.
    pub(crate) failure: Option<(Failure, ErrorType)>,
    /// It failed before it had content, or so that as long as nothing was passed on it is no answer.
    pub(crate) is_early: bool,
    /// The client cannot be told, and what came must not look whole.
    pub(crate) is_cut: bool,
    /// It has content, or is at its end.
    pub(crate) has_begun: bool,
}

impl Read {
    /// A failure is news once.
    fn see(&mut self, stream: &Stream, had_failed: bool) {
        let failure = stream.failure().filter(|_| !had_failed);
        self.failure = failure.map(|failure| (failure.clone(), failure.class.into()));
        self.is_early = stream.failed_before_content();
        self.has_begun = stream.has_content() || stream.is_complete();
    }

    /// It failed in a way that the provider did not say.
    fn fails(&mut self, error: ErrorType, is_early: bool) {
        if self.failure.is_none() {
            self.failure = Some((failure(502, message(error)), error));
            self.is_early = is_early;
        }
    }
}

fn message(error: ErrorType) -> &'static str {
    match error {
        ErrorType::Garbled => "The provider's answer is not what its API answers.",
        _ => "The provider's stream ended before its answer did.",
    }
}

/// How often the gateway is told in vain which events need no call: some streams have no two that are alike.
const MOST_TOLD: u8 = 8;

/// How often an estimate is told while a text comes: once for so many bytes.
const EACH: u64 = 1024;

/// How much of a stream is read that goes on behind its error.
const OVER: u64 = 64 << 10;

/// Reads a chunk, and changes it if need be.
pub(crate) fn chunk(call: &mut Call, chunk: &mut Chunk) -> Read {
    match std::mem::take(&mut call.reading) {
        Reading::Nothing | Reading::Failure | Reading::Whole | Reading::Short => Read::default(),
        Reading::Translated(read) => translated(call, read, chunk),
        Reading::Tail(tail, is_first) => whole::piece(call, tail, is_first, chunk),
        Reading::Events(read) => events(call, read, chunk),
        Reading::Over(bytes) => over(call, bytes, chunk),
    }
}

/// A stream has broken off behind what was passed on of it. An event says so to its client, if there is a place for one.
pub(crate) fn broken(call: &mut Call, chunk: &mut Chunk) -> Read {
    let mut read = Read { usage: true, ..Read::default() };
    match std::mem::take(&mut call.reading) {
        Reading::Events(mut kept) => {
            let (reader, stream) = &mut *kept;
            let passed = count_passed(call);
            stream.add_text(passed);
            call.set_usage(stream.usage_or_estimate(call.input));
            if stream.has_ended() {
                return read;
            }
            let whole = (call.hides_usage || reader.is_between()).then(Vec::new);
            tell_error(call, reader.framing(), whole, ErrorType::Cut, chunk);
        }
        Reading::Translated(mut kept) => {
            let translator = &mut kept.1;
            call.set_usage(translator.usage().usage_or_estimate(call.input));
            if translator.is_over() {
                return read;
            }
            let mut out = Vec::new();
            translator.fail(&Refusal::of(&failure(502, message(ErrorType::Cut))), &mut out);
            if let Some(has_element) = &mut call.array {
                out = elements(&out, has_element, true);
            }
            chunk.replace(out);
        }
        _ => return Read::default(),
    }
    read.fails(ErrorType::Cut, false);
    read
}

/// Reads what goes on behind an error to its end, if that is near.
fn over(call: &mut Call, bytes: u64, chunk: &mut Chunk) -> Read {
    let bytes = bytes + chunk.data().len() as u64;
    chunk.replace(Vec::new());
    call.reading = Reading::Over(bytes);
    Read { is_cut: bytes > OVER, ..Read::default() }
}

fn events(call: &mut Call, mut kept: Box<(Reader, Stream)>, chunk: &mut Chunk) -> Read {
    let (reader, stream) = &mut *kept;
    let hides = call.hides_usage;
    let (had_content, had_failed) = (stream.has_content(), stream.failure().is_some());
    let before = stream.text_bytes() / EACH;
    let passed = count_passed(call);
    stream.add_text(passed);
    let held_before = reader.held().len();
    let (mut out, mut drops, mut read) = (Vec::new(), false, Read::default());
    // What passes is alike to an event that came alone, since one that is not whole is never passed.
    let may_tell = !chunk.is_last() && call.told_alike < MOST_TOLD && reader.is_between();
    let (length, mut told) = (chunk.data().len(), false);
    // How far it is as the API has it.
    let (mut good, mut is_garbled) = (0, false);
    let mut each = |event: Event<'_>| {
        if is_garbled {
            return;
        }
        let seen = stream.event(&event);
        is_garbled = seen.garbled;
        if is_garbled {
            return;
        }
        good += event.raw.len();
        if may_tell && event.raw.len() == length {
            told = tell_alike(stream, &event, seen);
        }
        read.usage |= seen.usage;
        if hides && seen.extra_usage {
            drops = true;
        } else if hides {
            out.extend_from_slice(event.raw);
        }
    };
    let fault = reader.read(chunk.data(), &mut each).err();
    let is_between = reader.is_between();
    if fault.is_none() && chunk.is_last() {
        reader.finish(&mut each);
    }
    call.told_alike += u8::from(told);
    if !had_content && stream.has_content() {
        call.first = Some(nanoseconds());
        read.usage = true;
    }
    read.usage |= stream.text_bytes() / EACH != before;
    read.see(stream, had_failed);
    let holds = !reader.held().is_empty();
    if hides && fault.is_none() && !is_garbled && (drops || held_before > 0 || holds) {
        chunk.replace(std::mem::take(&mut out));
    }
    let framing = reader.framing();
    let mut is_over = false;
    if fault.is_some() || is_garbled {
        // As long as nothing of it was passed on it is no answer, whatever stands before.
        read.fails(ErrorType::Garbled, true);
        // Of an event that is no such its beginning was passed on, perhaps.
        let whole = match good.checked_sub(held_before) {
            _ if fault == Some(Fault::Endless) => None,
            _ if hides => Some(out),
            good => good.map(|good| chunk.data()[..good].to_vec()),
        };
        is_over = tell_error(call, framing, whole, ErrorType::Garbled, chunk);
        read.is_cut = !is_over;
    } else if chunk.is_last() && has_end(call) && !stream.has_ended() {
        read.fails(ErrorType::Cut, true);
        let whole = is_between.then(|| chunk.data().to_vec());
        read.is_cut = !tell_error(call, framing, whole, ErrorType::Cut, chunk);
    } else if chunk.is_last()
        && !(stream.is_complete() || stream.has_content() || stream.usage().is_some())
    {
        read.fails(ErrorType::Cut, true);
    }
    call.is_complete = stream.is_complete();
    call.tool_calls = generates(call).then(|| stream.tool_calls());
    if read.usage || chunk.is_last() || read.failure.is_some() {
        call.set_usage(stream.usage_or_estimate(call.input));
        read.usage = true;
    }
    if is_over {
        call.reading = Reading::Over(0);
    } else if !chunk.is_last() {
        call.reading = Reading::Events(kept);
    }
    read
}

/// Puts an event that says so to the client behind what is passed on of a stream that failed, if that is whole events. `false` where
/// there is no place for one.
fn tell_error(
    call: &Call,
    framing: Framing,
    whole: Option<Vec<u8>>,
    why: ErrorType,
    chunk: &mut Chunk,
) -> bool {
    let Some(mut out) = whole.filter(|_| framing != Framing::JsonArray) else { return false };
    let failure = failure(502, message(why));
    out.extend_from_slice(&error::event(call.protocol(), &Refusal::of(&failure)));
    chunk.replace(out);
    true
}

/// Whether each stream of these calls says that its answer is over. Of others, such as images or completions of text, that
/// is not known of every server.
fn has_end(call: &Call) -> bool {
    let is_known = matches!(
        call.protocol(),
        Protocol::OpenAiChat
            | Protocol::OpenAiResponses
            | Protocol::Anthropic
            | Protocol::Gemini
            | Protocol::Ollama
            | Protocol::BedrockConverse
            | Protocol::Cohere
    );
    is_known && generates(call)
}

/// Whether it is a call for an answer, which may call tools.
fn generates(call: &Call) -> bool {
    call.action() == Action::Generate
}

/// The bytes of text that have passed without a call since the last one.
fn count_passed(call: &mut Call) -> u64 {
    if call.told_alike == 0 {
        return 0;
    }
    let before = std::mem::replace(&mut call.passed, chunks::passed());
    if call.passed > before {
        call.told_alike = 1;
    }
    call.passed.saturating_sub(before)
}

/// Lets events pass without a call that are as this one but for their texts, if it has nothing but text.
fn tell_alike(stream: &Stream, event: &Event<'_>, seen: usage::Seen) -> bool {
    let Some((pieces, text)) = stream.pieces(event, seen) else { return false };
    // Where it is refused, each comes with a call.
    chunks::pass_alike(&pieces, text, EACH as u32).is_ok()
}

/// What has passed since the last call, where the usage is an estimate: by how much the output is larger.
pub(crate) fn passed_since(call: &Call) -> u64 {
    if call.told_alike == 0 { 0 } else { chunks::passed().saturating_sub(call.passed).div_ceil(4) }
}

fn translated(call: &mut Call, mut kept: Box<(Reader, Translator)>, chunk: &mut Chunk) -> Read {
    let (reader, translator) = &mut *kept;
    let stream = translator.usage();
    let (had_content, had_failed) = (stream.has_content(), stream.failure().is_some());
    let was_broken = translator.is_broken();
    let before = translator.usage().text_bytes() / EACH;
    let (mut out, mut read) = (Vec::new(), Read::default());
    let mut each = |event: Event<'_>| read.usage |= translator.event(&event, &mut out).usage;
    let fault = reader.read(chunk.data(), &mut each).err();
    if fault.is_none() && chunk.is_last() {
        reader.finish(&mut each);
    }
    let is_garbled = fault.is_some() || (translator.is_broken() && !was_broken);
    if let Some(fault) = fault {
        log::warn!("a stream cannot be translated: {fault}");
        let told = failure(502, "The provider's stream cannot be read.");
        translator.fail(&Refusal::of(&told), &mut out);
    } else if chunk.is_last() {
        translator.finish(&mut out);
    }
    let stream = translator.usage();
    if !had_content && stream.has_content() {
        call.first = Some(nanoseconds());
        read.usage = true;
    }
    read.see(stream, had_failed);
    if is_garbled {
        read.fails(ErrorType::Garbled, true);
    } else if translator.is_broken() && !was_broken {
        let why = if stream.has_ended() { ErrorType::Garbled } else { ErrorType::Cut };
        read.fails(why, true);
    }
    read.usage |= stream.text_bytes() / EACH != before || chunk.is_last() || read.failure.is_some();
    call.is_complete = stream.is_complete() && !translator.is_broken();
    call.tool_calls = generates(call).then(|| stream.tool_calls());
    if read.usage {
        call.set_usage(stream.usage_or_estimate(call.input));
    }
    if let Some(has_element) = &mut call.array {
        out = elements(&out, has_element, chunk.is_last());
    }
    chunk.replace(out);
    let has_failed = stream.failure().is_some() || translator.is_broken() || fault.is_some();
    if has_failed && call.array.is_none() {
        call.reading = Reading::Over(0);
    } else if !chunk.is_last() {
        // What follows an end is read to its end, and not passed on.
        call.reading = Reading::Translated(kept);
    }
    read
}

/// Events of Gemini's as elements of one array, which ends with the last of them.
fn elements(events: &[u8], has_element: &mut bool, is_last: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(events.len() + 2);
    for event in events.split(|byte| *byte == b'\n').filter_map(|it| it.strip_prefix(b"data: ")) {
        out.extend_from_slice(if *has_element { b",\r\n" } else { b"[" });
        out.extend_from_slice(event.trim_ascii());
        *has_element = true;
    }
    if is_last {
        out.extend_from_slice(if *has_element { b"]" } else { b"[]" });
    }
    out
}

pub(crate) fn nanoseconds() -> u64 {
    u64::try_from(clock::monotonic().as_nanos()).unwrap_or(u64::MAX)
}
