//! What clients are sent while a stream is silent: what their API has for that, and nothing where it has nothing.

use std::time::Duration;

use serde_json::json;

use super::support::{answer, chat, config, configured, hello, plugin, post, stream};

const CHUNK: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";

#[test]
fn a_stream_is_kept_alive_in_the_way_of_its_client_s_api() {
    let mut config = config();
    config["defaults"]["keep_alive"] = json!("15s");
    let harness = configured(config);
    let contents = json!([{ "role": "user", "parts": [{ "text": "hi" }] }]);
    let messages = json!([{ "role": "user", "content": "hi" }]);
    let streamed =
        json!({ "model": "mini", "stream": true, "max_tokens": 9, "messages": messages.clone() });
    let ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
    for (path, body, wanted) in [
        ("/v1/chat/completions", streamed.clone(), Some(": keep-alive\n\n")),
        (
            "/v1/responses",
            json!({ "model": "mini", "stream": true, "input": "hi" }),
            Some(": keep-alive\n\n"),
        ),
        ("/v1/messages", streamed.clone(), Some(ping)),
        ("/v1beta/models/mini:streamGenerateContent", json!({ "contents": contents }), None),
        ("/api/chat", json!({ "model": "mini", "messages": messages }), None),
    ] {
        let mut exchange = harness.request(post(path, body));
        exchange.response(stream(&[CHUNK, "data: [DONE]\n\n"]));
        let kept = exchange.kept_alive();
        assert_eq!(
            kept,
            wanted.map(|text| (text.as_bytes().to_vec(), Duration::from_secs(15))),
            "{path}"
        );
    }
    // A whole answer has no place for it.
    let mut exchange = harness.request(hello("mini"));
    exchange.response(answer(json!({ "choices": [] })));
    assert_eq!(exchange.kept_alive(), None);
}

#[test]
fn it_is_not_unless_it_is_asked_for() {
    let harness = plugin();
    let mut exchange =
        harness.request(chat(json!({ "model": "mini", "stream": true, "messages": [] })));
    exchange.response(stream(&[CHUNK, "data: [DONE]\n\n"]));
    assert_eq!(exchange.kept_alive(), None);
}
