//! Where the text of the last message of a user stands in a request, if that message is one text and nothing else.

use std::borrow::Cow;

use gateway_model_protocols::Protocol;
use gateway_model_protocols::json::Raw;

/// A text in a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// A JSON Pointer to it.
    pub(crate) pointer: String,
    pub(crate) text: Cow<'a, str>,
}

/// The last message, if a user wrote it. None if it has an image, the result of a tool, or more than one text.
pub(crate) fn last_text(protocol: Protocol, root: Raw<'_>) -> Option<Place<'_>> {
    match protocol {
        Protocol::OpenAiChat
        | Protocol::Anthropic
        | Protocol::BedrockConverse
        | Protocol::Cohere => of_messages(root, "messages", "content"),
        Protocol::Gemini => of_messages(root, "contents", "parts"),
        Protocol::Ollama if root.some("messages").is_some() => {
            of_messages(root, "messages", "content")
        }
        Protocol::Ollama if root.some("images").is_none() => of_string(root, "prompt"),
        Protocol::OpenAiCompletions => of_string(root, "prompt"),
        Protocol::OpenAiResponses => {
            of_string(root, "input").or_else(|| of_messages(root, "input", "content"))
        }
        Protocol::Ollama
        | Protocol::OpenAiEmbeddings
        | Protocol::OpenAiOther
        | Protocol::VertexEmbeddings
        | Protocol::BedrockInvoke => None,
    }
}

fn of_string<'a>(root: Raw<'a>, name: &str) -> Option<Place<'a>> {
    Some(Place { pointer: format!("/{name}"), text: root.some(name)?.str()? })
}

fn of_messages<'a>(root: Raw<'a>, list: &str, content: &str) -> Option<Place<'a>> {
    let (index, message) = root.some(list)?.elements().enumerate().last()?;
    // Where there may be no role, it is a user.
    let is_of_user = message.some("role").is_none_or(|role| role.is("user"));
    if !is_of_user || message.some("images").is_some() {
        return None;
    }
    let said = message.some(content)?;
    let pointer = format!("/{list}/{index}/{content}");
    if let Some(text) = said.str() {
        return Some(Place { pointer, text });
    }
    let mut parts = said.elements();
    let part = parts.next().filter(|_| parts.next().is_none())?;
    let is_text = part.some("type").is_none_or(|kind| kind.is("text") || kind.is("input_text"));
    let text = part.some("text").filter(|_| is_text)?.str()?;
    Some(Place { pointer: format!("{pointer}/0/text"), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(protocol: Protocol, body: &str) -> Option<(String, String)> {
        let place = last_text(protocol, Raw::parse(body.as_bytes()).unwrap())?;
        Some((place.pointer, place.text.into_owned()))
    }

    #[test]
    fn the_last_message_of_a_user_is_found() {
        for (protocol, body, pointer) in [
            (
                Protocol::OpenAiChat,
                r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"h\u0069"}]}"#,
                "/messages/1/content",
            ),
            (
                Protocol::Anthropic,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}"#,
                "/messages/0/content/0/text",
            ),
            (
                Protocol::BedrockConverse,
                r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#,
                "/messages/0/content/0/text",
            ),
            (
                Protocol::Gemini,
                r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
                "/contents/0/parts/0/text",
            ),
            (Protocol::Ollama, r#"{"prompt":"hi"}"#, "/prompt"),
            (
                Protocol::Ollama,
                r#"{"messages":[{"role":"user","content":"hi"}]}"#,
                "/messages/0/content",
            ),
            (Protocol::OpenAiResponses, r#"{"input":"hi"}"#, "/input"),
            (
                Protocol::OpenAiResponses,
                r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]}"#,
                "/input/0/content/0/text",
            ),
        ] {
            let expected = Some((pointer.to_owned(), "hi".to_owned()));
            assert_eq!(of(protocol, body), expected, "{body}");
        }
    }

    #[test]
    fn what_is_more_than_a_text_of_a_user_is_not() {
        for (protocol, body) in [
            (Protocol::OpenAiChat, r#"{"messages":[{"role":"tool","content":"hi"}]}"#),
            (Protocol::OpenAiChat, r#"{"messages":[{"role":"assistant","content":"hi"}]}"#),
            (
                Protocol::OpenAiChat,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url"}]}]}"#,
            ),
            (
                Protocol::Anthropic,
                r#"{"messages":[{"role":"user","content":[{"type":"tool_result","text":"hi"}]}]}"#,
            ),
            (Protocol::Ollama, r#"{"messages":[{"role":"user","content":"hi","images":["x"]}]}"#),
            (Protocol::Ollama, r#"{"prompt":"hi","images":["x"]}"#),
            (Protocol::OpenAiCompletions, r#"{"prompt":["hi","ho"]}"#),
            (
                Protocol::OpenAiResponses,
                r#"{"input":[{"type":"function_call_output","output":"hi"}]}"#,
            ),
            (Protocol::OpenAiEmbeddings, r#"{"input":"hi"}"#),
            (Protocol::OpenAiChat, "{}"),
        ] {
            assert_eq!(of(protocol, body), None, "{body}");
        }
    }
}
