//! How an answer ends that was stopped, in the words of each API for filtered content: its official client shows that,
//! and no program takes the answer for a whole one.

use gateway_model_protocols::Protocol;
use gateway_model_protocols::error::{self, Class, Refusal};
use gateway_model_protocols::framing::{Framing, write_named_sse, write_sse};
use gateway_model_protocols::json::{Raw, Writer};

use crate::stream::Head;

/// The last events of a stream.
pub(crate) fn of_stream(
    protocol: Protocol,
    framing: Framing,
    head: &Head,
    message: &str,
    out: &mut Vec<u8>,
) {
    match protocol {
        Protocol::Anthropic => anthropic(head, message, out),
        Protocol::Gemini => {
            let mut w = Writer::new();
            w.object(|w| gemini(w, message, &head.id, &head.model));
            match framing {
                Framing::JsonArray => {
                    out.extend_from_slice(if head.has_events { b",\n" } else { b"[" });
                    out.extend_from_slice(w.out.as_bytes());
                    out.extend_from_slice(b"\n]");
                }
                _ => write_sse(out, &w.out),
            }
        }
        Protocol::OpenAiResponses => {
            let mut w = Writer::new();
            w.object(|w| {
                w.key("type")
                    .str("response.incomplete")
                    .key("sequence_number")
                    .u64(head.number + 1);
                w.key("response")
                    .object(|w| responses(w, &head.id, &head.model, head.created, None));
            });
            write_named_sse(out, "response.incomplete", &w.out);
        }
        // These APIs have no word for it.
        Protocol::Ollama | Protocol::Cohere => {
            out.extend_from_slice(&error::event(protocol, &refusal(message)));
        }
        _ => {
            let object = match protocol {
                Protocol::OpenAiCompletions => "text_completion",
                _ => "chat.completion.chunk",
            };
            let mut w = Writer::new();
            w.object(|w| {
                w.key("id").str(&head.id).key("object").str(object);
                w.key("created").u64(head.created).key("model").str(&head.model);
                w.key("choices").array(|w| {
                    for index in 0..head.choices.max(1) {
                        w.object(|w| {
                            w.key("index").u64(u64::from(index));
                            match protocol {
                                Protocol::OpenAiCompletions => w.key("text").str(""),
                                _ => w.key("delta").object(|_| {}),
                            };
                            w.key("finish_reason").str("content_filter");
                        });
                    }
                });
            });
            write_sse(out, &w.out);
            write_sse(out, "[DONE]");
        }
    }
}

/// A whole answer in place of the one that was stopped. `None` where the API has no word for it.
#[must_use]
pub fn of_body(protocol: Protocol, stopped: &[u8], message: &str) -> Option<String> {
    let root = Raw::parse(stopped).ok()?;
    let text = |name: &str| root.text_of(name).unwrap_or_default();
    let number = |name: &str| root.u64_of(name).unwrap_or(0);
    let usage = root.some("usage");
    let mut w = Writer::new();
    w.open('{');
    match protocol {
        Protocol::Anthropic => {
            w.key("id").str(&text("id")).key("type").str("message").key("role").str("assistant");
            w.key("model").str(&text("model")).key("content").array(|_| {});
            anthropic_stop(&mut w, message);
            w.key("usage").raw(usage.map_or(r#"{"input_tokens":0,"output_tokens":0}"#, Raw::text));
        }
        Protocol::Gemini => {
            gemini(&mut w, message, &text("responseId"), &text("modelVersion"));
            if let Some(usage) = root.some("usageMetadata") {
                w.key("usageMetadata").raw(usage.text());
            }
        }
        Protocol::OpenAiResponses => {
            responses(&mut w, &text("id"), &text("model"), number("created_at"), usage);
        }
        Protocol::OpenAiChat | Protocol::OpenAiCompletions => {
            let is_chat = protocol == Protocol::OpenAiChat;
            let object = if is_chat { "chat.completion" } else { "text_completion" };
            w.key("id").str(&text("id")).key("object").str(object);
            w.key("created").u64(number("created")).key("model").str(&text("model"));
            w.key("choices").array(|w| {
                for index in 0..root.get("choices").map_or(1, |it| it.elements().count().max(1)) {
                    w.object(|w| {
                        w.key("index").u64(index as u64);
                        match is_chat {
                            true => w.key("message").object(|w| {
                                w.key("role").str("assistant").key("content").null();
                                w.key("refusal").str(message);
                            }),
                            false => w.key("text").str(""),
                        };
                        w.key("finish_reason").str("content_filter");
                    });
                }
            });
            if let Some(usage) = usage {
                w.key("usage").raw(usage.text());
            }
        }
        Protocol::OpenAiEmbeddings
        | Protocol::OpenAiOther
        | Protocol::Ollama
        | Protocol::BedrockConverse
        | Protocol::Cohere
        | Protocol::VertexEmbeddings
        | Protocol::BedrockInvoke => return None,
    }
    w.close('}');
    Some(w.out)
}

fn refusal(message: &str) -> Refusal<'_> {
    let (status, class) = (400, Class::ContentFiltered);
    Refusal { status, class, code: "", message, param: None, request_id: None }
}

fn anthropic(head: &Head, message: &str, out: &mut Vec<u8>) {
    let mut event = |name: &str, members: &dyn Fn(&mut Writer)| {
        let mut w = Writer::new();
        w.object(|w| {
            w.key("type").str(name);
            members(w);
        });
        write_named_sse(out, name, &w.out);
    };
    if !head.has_events {
        event("message_start", &|w| {
            w.key("message").object(|w| {
                w.key("id").str(&head.id).key("type").str("message").key("role").str("assistant");
                w.key("model").str(&head.model).key("content").array(|_| {});
                w.key("stop_reason").null().key("stop_sequence").null();
                w.key("usage").raw(r#"{"input_tokens":0,"output_tokens":0}"#);
            });
        });
    }
    if let Some(index) = head.open {
        event("content_block_stop", &|w| _ = w.key("index").u64(index));
    }
    event("message_delta", &|w| {
        w.key("delta").object(|w| anthropic_stop(w, message));
        w.key("usage").object(|w| _ = w.key("output_tokens").u64(head.output_tokens));
    });
    event("message_stop", &|_| {});
}

fn anthropic_stop(w: &mut Writer, message: &str) {
    w.key("stop_reason").str("refusal").key("stop_sequence").null();
    w.key("stop_details").object(|w| {
        w.key("type").str("refusal").key("category").null().key("explanation").str(message);
    });
}

fn gemini(w: &mut Writer, message: &str, id: &str, model: &str) {
    w.key("candidates").array(|w| {
        w.object(|w| {
            w.key("content").object(|w| {
                w.key("parts").array(|_| {}).key("role").str("model");
            });
            w.key("finishReason")
                .str("SAFETY")
                .key("finishMessage")
                .str(message)
                .key("index")
                .u64(0);
        });
    });
    w.key("modelVersion").str(model).key("responseId").str(id);
}

fn responses(w: &mut Writer, id: &str, model: &str, created: u64, usage: Option<Raw<'_>>) {
    w.key("id").str(id).key("object").str("response").key("created_at").u64(created);
    w.key("status").str("incomplete").key("error").null();
    w.key("incomplete_details").object(|w| _ = w.key("reason").str("content_filter"));
    w.key("model").str(model).key("output").array(|_| {});
    w.key("parallel_tool_calls")
        .bool(true)
        .key("tool_choice")
        .str("auto")
        .key("tools")
        .array(|_| {});
    w.key("usage");
    match usage {
        Some(usage) => w.raw(usage.text()),
        None => w.null(),
    };
}
