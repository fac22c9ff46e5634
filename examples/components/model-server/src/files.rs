//! OpenAI's endpoints with files: transcriptions, speech, and images that are edited. Nothing is heard or seen here: what
//! came is told.

use serde_json::{Value, json};

use crate::reply::{Answer, Reply};

/// What a form with a file is answered.
pub(crate) fn answer(path: &str, form: &[u8]) -> Answer {
    let model = field(form, "model").unwrap_or_default();
    let text = format!("I am a stand-in and no model. You sent {} bytes to {model}.", form.len());
    if path.ends_with("/images/edits") {
        let usage = json!({
            "input_tokens": 20, "output_tokens": 10, "total_tokens": 30,
            "input_tokens_details": { "text_tokens": 5, "image_tokens": 15 },
        });
        return Answer::json(json!({
            "created": 0, "data": [{ "b64_json": "", "revised_prompt": text }], "usage": usage,
        }));
    }
    Answer::json(json!({ "text": text, "usage": { "type": "duration", "seconds": 2 } }))
}

/// Speech: bytes that are no sound.
pub(crate) fn speech(body: &Value) -> Answer {
    let words = body["input"].as_str().unwrap_or_default();
    let sound = words.bytes().flat_map(|byte| [0xff, byte]).collect();
    Answer::of(Reply::Sound(sound))
}

/// The value of a field of a form.
fn field(form: &[u8], name: &str) -> Option<String> {
    let mark = format!("name=\"{name}\"\r\n\r\n");
    let start = form.windows(mark.len()).position(|it| it == mark.as_bytes())? + mark.len();
    let length = form[start..].windows(2).position(|it| it == b"\r\n")?;
    String::from_utf8(form[start..start + length].to_vec()).ok()
}
