//! Images and audio: forms with files, binary answers, and what they use.

use gateway_plugin_sdk::testing::{self, RequestBuilder};
use serde_json::json;

use super::support::{answer, plugin, post, stream};

const TYPE: &str = "multipart/form-data; boundary=XyZ";

fn form(model: &str) -> Vec<u8> {
    let head = "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n";
    let model = format!(
        "\r\n--XyZ\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--XyZ--\r\n"
    );
    [head.as_bytes(), &[0, 255, 13, 10, 45, 45], model.as_bytes()].concat()
}

fn transcription(model: &str) -> RequestBuilder {
    testing::request()
        .method("POST")
        .path("/v1/audio/transcriptions")
        .header("content-type", TYPE)
        .body(form(model))
}

#[test]
fn a_form_is_sent_with_the_provider_s_name_of_the_model_and_no_other_change() {
    let harness = plugin();
    let mut exchange = harness.request(transcription("fast"));
    assert_eq!(exchange.request().upstream(), Some("gpu"));
    assert_eq!(exchange.request().path(), "/v1/audio/transcriptions");
    assert_eq!(exchange.request().body(), form("llama-8b"));
    // Another attempt likewise.
    exchange.try_response(answer(json!({ "error": { "message": "no" } })).status(503));
    assert_eq!(exchange.attempt().unwrap().new_body(), Some(&*form("gpt-mini")));
    let usage = json!({ "type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
        "input_token_details": { "text_tokens": 0, "audio_tokens": 14 } });
    exchange.response(answer(json!({ "text": "hi", "usage": usage })));
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("59"));
    exchange.complete();
    assert_eq!(harness.usage("audio_input_tokens"), 14);
}

#[test]
fn seconds_are_counted_where_there_are_no_tokens() {
    let harness = plugin();
    let mut exchange = harness.request(transcription("mini"));
    exchange
        .response(answer(json!({ "text": "hi", "usage": { "type": "duration", "seconds": 8.2 } })));
    exchange.complete();
    assert_eq!((harness.usage("audio_seconds"), harness.usage("input_tokens")), (9, 0));
    let labels = [
        ("gen_ai_request_model", "mini"),
        ("deployment", "hosted"),
        ("gen_ai_provider_name", "openai"),
        ("gen_ai_operation_name", "other"),
    ];
    assert_eq!(harness.counter("gen_ai_audio_seconds", &labels), 9);
    assert_eq!(harness.usage("estimated_calls"), 0);
}

#[test]
fn a_stream_of_a_transcription_says_its_usage_at_its_end() {
    let harness = plugin();
    let mut exchange = harness.request(transcription("mini"));
    let text = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"hi\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"hi\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":3,\"output_tokens\":1,\"total_tokens\":4}}\n\n";
    assert_eq!(exchange.response(stream(&[text])).text(), text);
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("4"));
}

#[test]
fn speech_passes_as_its_bytes() {
    let harness = plugin();
    let ask = json!({ "model": "mini", "input": "say this", "voice": "alloy" });
    let mut exchange = harness.request(post("/v1/audio/speech", ask));
    let sound: Vec<u8> = (0..=255).collect();
    let response = testing::response().header("content-type", "audio/mpeg").body(sound.clone());
    assert_eq!(exchange.response(response).body(), sound);
    exchange.complete();
    assert_eq!(harness.usage("estimated_calls"), 1);
}

#[test]
fn a_form_that_cannot_be_read_is_refused() {
    let harness = plugin();
    let body = form("mini");
    let cut = transcription("mini").body(&body[..body.len() - 20]);
    let refused = harness.request(cut);
    let refused = refused.answer().unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("The form has a part without an end."), "{}", refused.text());
}
