//! Bodies that are one JSON value.
//!
//! Owns whether one is an answer of its API, an error, or neither, and where its usage is.

use gateway_model_protocols::error;
use gateway_model_protocols::json::Raw;
use gateway_model_protocols::saved::Held;
use gateway_model_protocols::usage;
use gateway_model_protocols::{Action, Protocol};
use gateway_plugin_sdk::prelude::Chunk;

use super::{Read, message};
use crate::outcome::{ErrorType, failure};
use crate::state::{Call, Reading, TAIL};

/// Keeps the end of a body, where APIs have their usage, and reads it with the last chunk. One that begins as an error
/// is held back until it is whole.
pub(super) fn piece(
    call: &mut Call,
    Held(mut tail): Held,
    is_first: bool,
    chunk: &mut Chunk,
) -> Read {
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
        call.tool_calls = Some(usage::tool_calls_of_body(call.protocol(), body));
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
