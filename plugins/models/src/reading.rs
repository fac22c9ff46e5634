//! The body of a response on its way to the client.
//!
//! Owns what is read of it, and the one thing that is taken out: the usage that the client did not ask for. All other
//! bytes pass as they are. Must not count: `meter` does.

use gateway_model_protocols::error::{self, Failure, Refusal};
use gateway_model_protocols::framing::{Event, Fault, Framing, Reader};
use gateway_model_protocols::json::Raw;
use gateway_model_protocols::saved::Held;
use gateway_model_protocols::translate::Translator;
use gateway_model_protocols::usage::{self, Stream};
use gateway_model_protocols::{Action, Protocol};
use gateway_plugin_sdk::prelude::Chunk;
use gateway_plugin_sdk::{chunks, clock, log};

use crate::outcome::{ErrorType, failure};
use crate::state::{Call, Reading, TAIL};

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
        Reading::Tail(tail, is_first) => json(call, tail, is_first, chunk),
        Reading::Events(read) => events(call, read, chunk),
        Reading::Over(bytes) => over(call, bytes, chunk),
    }
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
    let mut is_over = false;
    if fault.is_some() || is_garbled {
        read.fails(ErrorType::Garbled, !stream.has_content());
        // Of an event that is no such its beginning was passed on, perhaps.
        let whole = if hides {
            Some(out)
        } else {
            good.checked_sub(held_before).map(|good| chunk.data()[..good].to_vec())
        };
        let told = whole
            .filter(|_| fault != Some(Fault::Endless))
            .and_then(|whole| tell_error(call, reader, whole, ErrorType::Garbled));
        read.is_cut = told.is_none();
        is_over = told.is_some();
        chunk.replace(told.unwrap_or_default());
    } else if chunk.is_last() && has_end(call) && !stream.has_ended() {
        // As long as nothing of it was passed on it is no answer.
        read.fails(ErrorType::Cut, true);
        let whole = Some(chunk.data().to_vec()).filter(|_| is_between);
        match whole.and_then(|whole| tell_error(call, reader, whole, ErrorType::Cut)) {
            Some(told) => chunk.replace(told),
            None => read.is_cut = true,
        }
    } else if chunk.is_last() && !stream.is_complete() {
        let is_empty = !stream.has_content() && stream.usage().is_none();
        if is_empty {
            read.fails(ErrorType::Cut, true);
        }
    }
    call.is_complete = stream.is_complete();
    call.tool_calls = stream.tool_calls();
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

/// What is passed on of a stream that fails between two of its events, with the event that says so to its client; `None` where its
/// framing has none.
fn tell_error(call: &Call, reader: &Reader, mut whole: Vec<u8>, why: ErrorType) -> Option<Vec<u8>> {
    if reader.framing() == Framing::JsonArray {
        return None;
    }
    whole.extend_from_slice(&error::event(
        call.protocol(),
        &Refusal::of(&failure(502, message(why))),
    ));
    Some(whole)
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
    is_known && call.action() == Action::Generate
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
        read.fails(ErrorType::Garbled, !stream.has_content());
    } else if translator.is_broken() && !was_broken {
        let why = if stream.has_ended() { ErrorType::Garbled } else { ErrorType::Cut };
        read.fails(why, !stream.has_content());
    }
    read.usage |= stream.text_bytes() / EACH != before || chunk.is_last() || read.failure.is_some();
    call.is_complete = stream.is_complete() && !translator.is_broken();
    call.tool_calls = stream.tool_calls();
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

/// Keeps the end of a body, where APIs have their usage, and reads it with the last chunk. One that begins as an error
/// is held back until it is whole.
fn json(call: &mut Call, Held(mut tail): Held, is_first: bool, chunk: &mut Chunk) -> Read {
    if chunk.is_last() && tail.is_empty() {
        return whole(call, chunk.data());
    }
    tail.extend_from_slice(chunk.data());
    if chunk.is_last() {
        return if is_first { whole(call, &tail) } else { tail_end(call, &tail) };
    }
    if is_first && is_api(call) && begins_as_json(&tail) == Some(false) {
        return no_answer(call);
    }
    let may_fail = is_first
        && (begins_as_json(&tail).is_none()
            || says_nothing(call, &tail, false)
            || error::begins_as_error(&tail) != Some(false));
    let cut = tail.len().saturating_sub(TAIL);
    tail.drain(..cut);
    call.reading = Reading::Tail(Held(tail), is_first && cut == 0);
    Read { has_begun: !may_fail, ..Read::default() }
}

/// Reads a whole JSON body, which may be an error.
pub(crate) fn whole(call: &mut Call, body: &[u8]) -> Read {
    let found = usage::of_body(call.protocol(), body);
    // One that says its usage at its end has been read from there.
    let is_json = begins_as_json(body) == Some(true)
        && ends_as_json(body)
        && (found.is_some() || Raw::parse(body).is_ok());
    if is_api(call) && !is_json {
        return no_answer(call);
    }
    let failure = if says_nothing(call, body, true) {
        Some((failure(502, "The provider's answer has nothing in it."), ErrorType::Garbled))
    } else if error::begins_as_error(body) != Some(false) {
        error::of_answer(body).map(|failure| (failure.clone(), failure.class.into()))
    } else {
        None
    };
    if failure.is_some() {
        call.set_usage(usage::Usage::default());
        return Read { usage: true, failure, is_early: true, ..Read::default() };
    }
    if call.action() == Action::Generate {
        call.tool_calls = usage::tool_calls_of_body(call.protocol(), body);
    }
    end(call, found)
}

/// What came is not JSON: a page, or a body that was cut off.
fn no_answer(call: &mut Call) -> Read {
    call.set_usage(usage::Usage::default());
    let failure = (failure(502, message(ErrorType::Garbled)), ErrorType::Garbled);
    Read { usage: true, failure: Some(failure), is_early: true, ..Read::default() }
}

/// The end of a body whose beginning was passed on.
fn tail_end(call: &mut Call, tail: &[u8]) -> Read {
    let read = end(call, of_tail(call.protocol(), tail));
    if !is_api(call) || ends_as_json(tail) {
        return read;
    }
    call.is_complete = false;
    let failure = (failure(502, "The provider's answer was cut off."), ErrorType::Cut);
    Read { failure: Some(failure), is_cut: true, ..read }
}

/// Whether each answer is known to be JSON.
fn is_api(call: &Call) -> bool {
    call.action() != Action::Other
}

/// Whether a body begins as JSON of an API does; `None` as long as nothing has come.
fn begins_as_json(body: &[u8]) -> Option<bool> {
    body.trim_ascii_start().first().map(|first| matches!(first, b'{' | b'['))
}

fn ends_as_json(body: &[u8]) -> bool {
    body.trim_ascii_end().last().is_some_and(|last| matches!(last, b'}' | b']'))
}

fn end(call: &mut Call, found: Option<usage::Usage>) -> Read {
    call.is_complete = true;
    // Without a usage it is charged as it was estimated.
    call.set_usage(found.unwrap_or_else(|| call.estimated()));
    Read { usage: true, has_begun: true, ..Read::default() }
}

/// Whether a chat completion has neither a text nor a usage; of one that is not whole, whether it may be so.
fn says_nothing(call: &Call, body: &[u8], is_whole: bool) -> bool {
    const NOTHING: [&[u8]; 3] = [b"null", b"{}", b"{\"choices\":[]}"];
    let is_chat = call.protocol() == Protocol::OpenAiChat && call.action() == Action::Generate;
    if !is_chat || body.len() > 64 {
        return false;
    }
    let mut plain = body.to_vec();
    plain.retain(|byte| !byte.is_ascii_whitespace());
    NOTHING.iter().any(|it| *it == plain || (!is_whole && it.starts_with(&plain)))
}

/// The usage in the end of a body.
fn of_tail(protocol: Protocol, tail: &[u8]) -> Option<usage::Usage> {
    if protocol == Protocol::Ollama {
        let of = |name: &str| number(tail, name).map(|number| format!("\"{name}\":{number}"));
        let members = [of("prompt_eval_count"), of("eval_count")];
        let members = members.into_iter().flatten().collect::<Vec<_>>().join(",");
        let body = format!("{{\"done\":true,{members}}}");
        return usage::of_body(protocol, body.as_bytes()).filter(|_| !members.is_empty());
    }
    let names: &[&[u8]] = match protocol {
        Protocol::Gemini => &[b"\"usageMetadata\""],
        // Embeddings have it in another member.
        Protocol::Cohere => &[b"\"usage\"", b"\"meta\""],
        _ => &[b"\"usage\""],
    };
    // A text may be the same word.
    let is_member = |at: usize| tail[at..].trim_ascii_start().first() == Some(&b':');
    let last = |name: &&[u8]| {
        let mut places = tail.windows(name.len()).enumerate().rev();
        let found = places.find(|(at, window)| window == name && is_member(at + name.len()));
        found.map(|(at, _)| at)
    };
    let at = names.iter().filter_map(last).max()?;
    let rest = &tail[at..];
    let open = rest.iter().position(|byte| *byte == b'{')?;
    let (mut depth, mut is_text, mut skips) = (0_u32, false, false);
    for (index, byte) in rest.iter().enumerate().skip(open) {
        match byte {
            _ if skips => skips = false,
            b'\\' if is_text => skips = true,
            b'"' => is_text = !is_text,
            b'{' if !is_text => depth += 1,
            b'}' if !is_text => {
                depth -= 1;
                if depth == 0 {
                    let object = [b"{", &rest[..=index], b"}"].concat();
                    return usage::of_body(protocol, &object);
                }
            }
            _ => {}
        }
    }
    None
}

/// The whole number that is the value of the last member of this name.
fn number(tail: &[u8], name: &str) -> Option<u64> {
    let name = format!("\"{name}\"");
    let at = tail.windows(name.len()).rposition(|window| window == name.as_bytes())?;
    let rest = tail[at + name.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

pub(crate) fn nanoseconds() -> u64 {
    u64::try_from(clock::monotonic().as_nanos()).unwrap_or(u64::MAX)
}
