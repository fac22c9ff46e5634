//! What is masked does not reach the model, and is back in what the client reads.

use serde_json::{Value, json};

use crate::support::{DONE, answer, chat, completion, events, masking, plugin, post, stream};

const SAID: &str = "I am ada@example.com, +49 30 1234567; write to ada@example.com";
const MASKED: &str = "I am [EMAIL_1], [PHONE_1]; write to [EMAIL_1]";

#[test]
fn a_value_has_one_placeholder_and_comes_back_in_the_answer() {
    let plugin = masking();
    let mut exchange = plugin.request(chat(SAID));
    let sent: Value = serde_json::from_str(exchange.request().text()).unwrap();
    assert_eq!(sent["messages"][0]["content"], MASKED);
    assert_eq!(exchange.request().header("accept-encoding"), Some("identity"));
    assert_eq!(exchange.attribute("guardrails.input").as_deref(), Some("email:2,phone:1"));
    assert_eq!(exchange.attribute("guardrails.action").as_deref(), Some("mask"));
    let body: Value = exchange
        .response(completion("Hello [EMAIL_1] and [email_1], call [PHONE_1]. [EMAIL_9]"))
        .json();
    let wanted = "Hello ada@example.com and ada@example.com, call +49 30 1234567. [EMAIL_9]";
    assert_eq!(body["choices"][0]["message"]["content"], wanted);
    let labels = [("detector", "email"), ("action", "mask"), ("direction", "input")];
    assert_eq!(plugin.counter("guardrails_matches", &labels), 2);
    // No line of the log says what it was.
    assert!(plugin.log().iter().all(|line| !format!("{line:?}").contains("ada@")));
}

#[test]
fn placeholders_come_back_in_streams_however_they_are_cut() {
    let plugin = masking();
    let texts = ["Hello [", "EMAIL", "_1] and [EM", "AIL_2], bye ["];
    let sent = events(&texts).concat() + DONE;
    let wanted =
        events(&["Hello ada@example.com", "", " and [EM", "AIL_2], bye ["]).concat() + DONE;
    for size in [1, 2, 3, 7, 50, 1000] {
        let mut exchange = plugin.request(chat(SAID));
        let chunks =
            sent.as_bytes().chunks(size).map(|chunk| String::from_utf8(chunk.to_vec()).unwrap());
        let answered = exchange.response(stream(chunks.collect::<Vec<_>>()));
        assert_eq!(answered.text(), wanted, "in chunks of {size}");
    }
}

#[test]
fn texts_of_tools_are_masked_and_come_back_with_their_escapes() {
    let plugin = masking();
    let pem = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----";
    let arguments = json!({ "to": "ada@example.com", "key": pem }).to_string();
    let body = json!({ "model": "m", "messages": [
        { "role": "assistant", "tool_calls": [{ "id": "1", "function": { "name": "f", "arguments": arguments } }] },
        { "role": "tool", "tool_call_id": "1", "content": "{\"from\":\"bob@example.com\"}" },
    ] });
    let mut exchange = plugin.request(post("/v1/chat/completions", &body));
    let sent: Value = serde_json::from_str(exchange.request().text()).unwrap();
    let sent_arguments =
        sent["messages"][0]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
    let read: Value = serde_json::from_str(sent_arguments).unwrap();
    assert_eq!(read, json!({ "to": "[EMAIL_1]", "key": "[PRIVATE_KEY_1]" }));
    assert_eq!(sent["messages"][1]["content"], "{\"from\":\"[EMAIL_2]\"}");
    // The model calls with them, in pieces.
    let piece = |text: &str| {
        let call = json!({ "index": 0, "function": { "arguments": text } });
        format!(
            "data: {}\n\n",
            json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [call] } }] })
        )
    };
    let pieces = ["{\"key\":\"[PRIV", "ATE_KEY_1]\",\"to\":\"", "[EMAIL_2]\"}"].map(piece);
    let answered = exchange.response(stream(pieces)).text().to_owned();
    let arguments: String = answered
        .split("\n\n")
        .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok())
        .map(|event| {
            event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let read: Value = serde_json::from_str(&arguments).expect(&arguments);
    assert_eq!(read, json!({ "key": pem, "to": "bob@example.com" }));
}

#[test]
fn every_api_is_masked_and_unmasked() {
    let plugin = masking();
    for (path, request, response) in [
        (
            "/v1/messages",
            json!({ "system": "S", "messages": [{ "role": "user", "content": [{ "type": "text", "text": SAID }] }] }),
            json!({ "content": [{ "type": "text", "text": MASKED }, { "type": "tool_use", "id": "t", "input": { "q": MASKED } }] }),
        ),
        (
            "/v1beta/models/g:generateContent",
            json!({ "contents": [{ "parts": [{ "text": SAID }] }] }),
            json!({ "candidates": [{ "content": { "parts": [{ "text": MASKED }, { "functionCall": { "args": { "q": MASKED } } }] } }] }),
        ),
        (
            "/v1/responses",
            json!({ "input": SAID }),
            json!({ "output": [{ "type": "message", "content": [{ "type": "output_text", "text": MASKED }] }] }),
        ),
        (
            "/api/chat",
            json!({ "messages": [{ "role": "user", "content": SAID }] }),
            json!({ "message": { "role": "assistant", "content": MASKED }, "done": true }),
        ),
        ("/v1/embeddings", json!({ "input": [SAID] }), json!({ "data": [] })),
    ] {
        let mut exchange = plugin.request(post(path, &request));
        let sent = exchange.request().text();
        assert!(sent.contains(MASKED) && !sent.contains("ada@"), "{path}: {sent}");
        let read = exchange.response(answer(&response)).text();
        assert!(
            !read.contains("EMAIL_1")
                && read.matches(SAID).count() == response.to_string().matches(MASKED).count(),
            "{path}: {read}"
        );
    }
}

#[test]
fn what_a_model_makes_up_is_redacted_and_what_the_client_said_itself_is_not() {
    let plugin = masking();
    let mut exchange = plugin.request(chat("my card is 4111 1111 1111 1111"));
    assert!(exchange.request().text().contains("[CARD_1]"));
    let sent = events(&["yours [CARD_1], mine 5555-5555", "-5555-4444", " ok"]);
    let wanted = events(&["yours 4111 1111 1111 1111, mine [CARD]", "", " ok"]);
    assert_eq!(exchange.response(stream(sent)).text(), wanted.concat());
    assert_eq!(exchange.attribute("guardrails.output").as_deref(), Some("card:1"));
    assert_eq!(exchange.attribute("guardrails.action").as_deref(), Some("redact"));
}

#[test]
fn other_json_is_masked_where_pointers_lead() {
    let plugin = plugin(json!({
        "input": { "email": "mask", "employee": "redact" },
        "patterns": { "employee": "EMP-\\d{6}" },
        "json": { "input": ["/customer", "/notes/*/text"], "output": ["/notes/*/text"] },
        "except": ["support@example.com"],
    }));
    let body = json!({
        "id": "ada@example.com",
        "customer": { "mail": "ada@example.com", "by": "EMP-123456" },
        "notes": [{ "text": "bob@example.com, support@example.com", "by": "bob@example.com" }],
    });
    let mut exchange = plugin.request(post("/crm/tickets", &body));
    let sent: Value = serde_json::from_str(exchange.request().text()).unwrap();
    assert_eq!(sent["id"], "ada@example.com");
    assert_eq!(sent["customer"], json!({ "mail": "[EMAIL_1]", "by": "[EMPLOYEE]" }));
    assert_eq!(
        sent["notes"][0],
        json!({ "text": "[EMAIL_2], support@example.com", "by": "bob@example.com" })
    );
    let read: Value = exchange
        .response(answer(&json!({ "notes": [{ "text": "[EMAIL_2]", "by": "[EMAIL_1]" }] })))
        .json();
    assert_eq!(read["notes"][0], json!({ "text": "bob@example.com", "by": "[EMAIL_1]" }));
}

#[test]
fn where_nothing_is_found_nothing_is_touched() {
    let plugin = masking();
    let body =
        "{ \"model\" : \"m\", \"messages\":[{\"role\":\"user\",\"content\":\"caf\\u00e9\"}] }";
    let request = chat("").body(body);
    let mut exchange = plugin.request(request);
    assert_eq!(exchange.request().text(), body);
    let sent = format!(": hi\r\n\r\n{}{DONE}", events(&["I am\u{e9}", " 4111 ", "and"]).concat());
    assert_eq!(exchange.response(stream([sent.clone()])).text(), sent);
    assert_eq!(exchange.attribute("guardrails.action"), None);
}
