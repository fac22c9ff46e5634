//! The body of a response on its way to the client.
//!
//! Owns what is read of it, and the one thing that is taken out: the usage that the client did not ask for. All other
//! bytes pass as they are. Must not count: `meter` does.

use gateway_model_protocols::error::{self, Class, Failure, Refusal};
use gateway_model_protocols::framing::{Event, Fault, Reader};
use gateway_model_protocols::saved::Held;
use gateway_model_protocols::translate::Translator;
use gateway_model_protocols::usage::{self, Stream};
use gateway_model_protocols::{Action, Protocol};
use gateway_plugin_sdk::prelude::Chunk;
use gateway_plugin_sdk::{chunks, clock, log};

use crate::state::{Call, Reading, TAIL};

/// What a chunk brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// There is news of the usage, or it is time to say how far the text has come.
    pub(crate) usage: bool,
    /// The stream failed.
    pub(crate) failure: Option<Failure>,
    /// It failed before it had content.
    pub(crate) is_early: bool,
    /// It is over, and its answer is not: what came must not look whole.
    pub(crate) is_cut: bool,
    /// It has content, or is at its end.
    pub(crate) has_begun: bool,
}

impl Read {
    /// A failure is news once.
    fn see(&mut self, stream: &Stream, had_failed: bool) {
        self.failure = stream.failure().filter(|_| !had_failed).cloned();
        self.is_early = stream.failed_before_content();
        self.has_begun = stream.has_content() || stream.is_complete();
    }

    /// A stream that cannot be read on, or has ended too early, before it had content is no answer.
    fn breaks(&mut self, stream: &Stream, is_broken: bool) {
        let is_empty = !stream.has_content() && stream.usage().is_none();
        if is_broken && is_empty && self.failure.is_none() {
            self.ends_early();
        }
    }

    /// A stream that passes as it is, and ends without the end that its API has: as long as nothing of it was passed on
    /// it is no answer, and then it is cut off.
    fn cut(&mut self) {
        self.is_cut = true;
        if self.failure.is_none() {
            self.ends_early();
        }
    }

    fn ends_early(&mut self) {
        self.failure = Some(failed("The provider's stream ended before its answer did."));
        self.is_early = true;
    }
}

fn failed(message: &str) -> Failure {
    Failure {
        class: Class::Server,
        status: 502,
        kind: String::new(),
        code: String::new(),
        message: message.to_owned(),
        retry_after_ms: None,
    }
}

/// How often the gateway is told in vain which events need no call: some streams have no two that are alike.
const MOST_TOLD: u8 = 8;

/// How often an estimate is told while a text comes: once for so many bytes.
const EACH: u64 = 1024;

/// Reads a chunk, and changes it if need be.
pub(crate) fn chunk(call: &mut Call, chunk: &mut Chunk) -> Read {
    match std::mem::take(&mut call.reading) {
        Reading::Nothing | Reading::Failure | Reading::Whole | Reading::Short => Read::default(),
        Reading::Translated(read) => translated(call, read, chunk),
        Reading::Tail(tail, is_first) => json(call, tail, is_first, chunk),
        Reading::Events(read) => events(call, read, chunk),
    }
}

fn events(call: &mut Call, mut kept: Box<(Reader, Stream)>, chunk: &mut Chunk) -> Read {
    let (reader, stream) = &mut *kept;
    let hides = call.hides_usage;
    let (had_content, had_failed) = (stream.has_content(), stream.failure().is_some());
    let before = stream.text_bytes() / EACH;
    let passed = count_passed(call);
    stream.add_text(passed);
    let held_before = if hides { reader.held().to_vec() } else { Vec::new() };
    let (mut out, mut drops, mut read) = (Vec::new(), false, Read::default());
    // What passes is alike to an event that came alone, since one that is not whole is never passed.
    let may_tell = !chunk.is_last() && call.told_alike < MOST_TOLD && reader.held().is_empty();
    let (length, mut told) = (chunk.data().len(), false);
    let mut each = |event: Event<'_>| {
        let seen = stream.event(&event);
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
    read.breaks(stream, chunk.is_last() && !stream.is_complete());
    // What could not be read to its end passes.
    if chunk.is_last() && fault.is_none() && has_end(call) && !stream.has_ended() {
        read.cut();
    }
    let holds = !reader.held().is_empty();
    if hides && fault.is_none() && (drops || !held_before.is_empty() || holds) {
        chunk.replace(out);
    }
    call.is_complete = stream.is_complete();
    if read.usage || chunk.is_last() {
        call.set_usage(stream.usage_or_estimate(call.input));
        read.usage = true;
    }
    if let Some(fault) = fault {
        give_up(held_before, chunk, fault);
    } else if !chunk.is_last() {
        call.reading = Reading::Events(kept);
    }
    read
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
    let before = translator.usage().text_bytes() / EACH;
    let (mut out, mut read) = (Vec::new(), Read::default());
    let mut each = |event: Event<'_>| read.usage |= translator.event(&event, &mut out).usage;
    let fault = reader.read(chunk.data(), &mut each).err();
    if fault.is_none() && chunk.is_last() {
        reader.finish(&mut each);
    }
    if let Some(fault) = fault {
        log::warn!("a stream cannot be translated: {fault}");
        let refusal = Refusal {
            status: 502,
            class: Class::Server,
            code: "",
            message: "The provider's stream cannot be read.",
            param: None,
            request_id: None,
        };
        translator.fail(&refusal, &mut out);
    } else if chunk.is_last() {
        translator.finish(&mut out);
    }
    let stream = translator.usage();
    let is_broken = fault.is_some() || (chunk.is_last() && !stream.is_complete());
    if !had_content && stream.has_content() {
        call.first = Some(nanoseconds());
        read.usage = true;
    }
    read.usage |= stream.text_bytes() / EACH != before || chunk.is_last();
    read.see(stream, had_failed);
    read.breaks(stream, is_broken);
    call.is_complete = stream.is_complete();
    if read.usage {
        call.set_usage(stream.usage_or_estimate(call.input));
    }
    if let Some(has_element) = &mut call.array {
        out = elements(&out, has_element, chunk.is_last());
    }
    chunk.replace(out);
    if !chunk.is_last() {
        // What follows an end or an error is read to its end, and not passed on.
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

/// Lets what cannot be read pass, behind what was held back of it.
fn give_up(mut held: Vec<u8>, chunk: &mut Chunk, fault: Fault) {
    log::warn!("the usage of a stream cannot be read: {fault}");
    if !held.is_empty() {
        held.extend_from_slice(chunk.data());
        chunk.replace(held);
    }
}

/// Keeps the end of a body, where APIs have their usage, and reads it with the last chunk. One that begins as an error
/// is held back until it is whole.
fn json(call: &mut Call, Held(mut tail): Held, is_first: bool, chunk: &mut Chunk) -> Read {
    if chunk.is_last() && tail.is_empty() {
        return whole(call, chunk.data());
    }
    tail.extend_from_slice(chunk.data());
    if chunk.is_last() {
        return if is_first {
            whole(call, &tail)
        } else {
            end(call, of_tail(call.protocol(), &tail))
        };
    }
    let may_fail = is_first
        && (says_nothing(call, &tail, false) || error::begins_as_error(&tail) != Some(false));
    let cut = tail.len().saturating_sub(TAIL);
    tail.drain(..cut);
    call.reading = Reading::Tail(Held(tail), is_first && cut == 0);
    Read { has_begun: !may_fail, ..Read::default() }
}

/// Reads a whole JSON body, which may be an error.
pub(crate) fn whole(call: &mut Call, body: &[u8]) -> Read {
    let failure = if says_nothing(call, body, true) {
        Some(failed("The provider's answer has nothing in it."))
    } else if error::begins_as_error(body) != Some(false) {
        error::of_answer(body)
    } else {
        None
    };
    if let Some(failure) = failure {
        call.set_usage(usage::Usage::default());
        return Read { usage: true, failure: Some(failure), is_early: true, ..Read::default() };
    }
    end(call, usage::of_body(call.protocol(), body))
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
