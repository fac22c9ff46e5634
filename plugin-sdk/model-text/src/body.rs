//! Whole bodies: every text of one is checked, and what a check changes is changed there. All other bytes stay.

use gateway_model_protocols::json::{Fault, Raw};

use crate::escape::{Decoded, escape};
use crate::places::{self, Place};
use crate::text::{Changes, Check, Kind, Text};

/// What became of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// It stays as it is.
    Same,
    /// It is another one.
    Changed(Vec<u8>),
    /// A check stopped it, with this message.
    Stopped(String),
}

/// Checks the texts of a request or an answer of a model API: all strings but names, ids, and what is encoded.
///
/// # Errors
/// If it is not JSON.
pub fn check(body: &[u8], check: &mut impl Check) -> Result<Checked, Fault> {
    let root = Raw::parse(body)?;
    Ok(checked(body, &places::of_body(root, body), check))
}

/// Checks the strings of any JSON that JSON Pointers (RFC 6901) lead to, and all strings below them. In a pointer `*`
/// stands for each element or member.
///
/// # Errors
/// If it is not JSON.
pub fn check_at(
    body: &[u8],
    pointers: &[String],
    check: &mut impl Check,
) -> Result<Checked, Fault> {
    let root = Raw::parse(body)?;
    let mut found = Vec::new();
    for pointer in pointers {
        places::at_pointer(root, body, pointer, &mut found);
    }
    found.sort_by_key(|place| place.range.start);
    found.dedup();
    Ok(checked(body, &found, check))
}

/// Checks a body that is one text.
///
/// # Errors
/// If it is not UTF-8.
pub fn check_text(body: &[u8], check: &mut impl Check) -> Result<Checked, Fault> {
    let text = std::str::from_utf8(body).map_err(|error| Fault { at: error.valid_up_to() })?;
    let mut changes = Changes::default();
    check.check(&Text { text, before: None, is_end: true, kind: Kind::Said }, &mut changes);
    if let Some(message) = changes.stop {
        return Ok(Checked::Stopped(message));
    }
    if changes.replaced.is_empty() {
        return Ok(Checked::Same);
    }
    let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
    for (part, with) in changes.replaced {
        out.push_str(&text[copied..part.start]);
        out.push_str(&with);
        copied = part.end;
    }
    out.push_str(&text[copied..]);
    Ok(Checked::Changed(out.into_bytes()))
}

fn checked(body: &[u8], places: &[Place], check: &mut impl Check) -> Checked {
    let mut out = Vec::new();
    let mut copied = 0;
    for Place { range, kind, .. } in places {
        // It was read as UTF-8 before.
        let Ok(written) = std::str::from_utf8(&body[range.clone()]) else { continue };
        let decoded = Decoded::read(written, *kind, true);
        let mut changes = Changes::default();
        let text = Text { text: &decoded.text, before: None, is_end: true, kind: *kind };
        check.check(&text, &mut changes);
        if let Some(message) = changes.stop {
            return Checked::Stopped(message);
        }
        for (part, with) in &changes.replaced {
            let at = |at| range.start + decoded.place(at);
            out.extend_from_slice(&body[copied..at(part.start).max(copied)]);
            out.extend_from_slice(escape(with, *kind).as_bytes());
            copied = at(part.end).max(copied);
        }
    }
    if copied == 0 {
        return Checked::Same;
    }
    out.extend_from_slice(&body[copied..]);
    Checked::Changed(out)
}

#[cfg(test)]
mod tests {
    use super::{Checked, check, check_at};
    use crate::text::{Changes, Text};

    /// Puts `_` in place of each `x`.
    fn no_x(text: &Text<'_>, changes: &mut Changes) {
        for (at, _) in text.text.match_indices('x') {
            changes.replace(at..at + 1, "_\"");
        }
    }

    fn changed(body: &str) -> String {
        match check(body.as_bytes(), &mut no_x).unwrap() {
            Checked::Same => body.to_owned(),
            Checked::Changed(body) => String::from_utf8(body).unwrap(),
            Checked::Stopped(message) => panic!("{message}"),
        }
    }

    #[test]
    fn texts_of_every_api_are_seen_and_nothing_else_is() {
        for (body, wanted) in [
            // Chat completions: texts, parts, arguments, results; no names, ids or images.
            (
                r#"{"model":"x","messages":[{"role":"x","content":"axb"},{"role":"u","content":[{"type":"x","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}]},{"role":"assistant","tool_calls":[{"id":"x","function":{"name":"f","arguments":"{\"a\":\"x\"}"}}]},{"role":"tool","tool_call_id":"x","content":"x"}]}"#,
                r#"{"model":"x","messages":[{"role":"x","content":"a_\"b"},{"role":"u","content":[{"type":"x","text":"_\""},{"type":"image_url","image_url":{"url":"data:image/png;base64,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}]},{"role":"assistant","tool_calls":[{"id":"x","function":{"name":"f","arguments":"{\"a\":\"_\\\"\"}"}}]},{"role":"tool","tool_call_id":"x","content":"_\""}]}"#,
            ),
            // Anthropic: below a tool's input every name is its own.
            (
                r#"{"system":"x","messages":[{"content":[{"type":"tool_use","id":"x","input":{"id":"x","data":["x"]}},{"type":"tool_result","tool_use_id":"x","content":[{"type":"text","text":"x"}]},{"type":"thinking","thinking":"x","signature":"x"},{"type":"image","source":{"data":"x","media_type":"x"}}]}]}"#,
                r#"{"system":"_\"","messages":[{"content":[{"type":"tool_use","id":"x","input":{"id":"_\"","data":["_\""]}},{"type":"tool_result","tool_use_id":"x","content":[{"type":"text","text":"_\""}]},{"type":"thinking","thinking":"_\"","signature":"x"},{"type":"image","source":{"data":"x","media_type":"x"}}]}]}"#,
            ),
            (
                r#"{"messages":[{"content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}],"images":["x"]}]}"#,
                r#"{"messages":[{"content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"_\""}}],"images":["x"]}]}"#,
            ),
            // Gemini, responses, Ollama.
            (
                r#"{"contents":[{"parts":[{"text":"x"},{"functionCall":{"args":{"type":"x"}}},{"functionResponse":{"response":{"id":"x"}}},{"inlineData":{"mimeType":"x","data":"x"}}]}],"systemInstruction":{"parts":[{"text":"x"}]}}"#,
                r#"{"contents":[{"parts":[{"text":"_\""},{"functionCall":{"args":{"type":"_\""}}},{"functionResponse":{"response":{"id":"_\""}}},{"inlineData":{"mimeType":"x","data":"x"}}]}],"systemInstruction":{"parts":[{"text":"_\""}]}}"#,
            ),
            (
                r#"{"instructions":"x","input":[{"type":"message","content":"x"},{"type":"function_call","call_id":"x","arguments":"{\"q\":\"x\"}"},{"type":"function_call_output","call_id":"x","output":"x"},{"type":"reasoning","encrypted_content":"x"}]}"#,
                r#"{"instructions":"_\"","input":[{"type":"message","content":"_\""},{"type":"function_call","call_id":"x","arguments":"{\"q\":\"_\\\"\"}"},{"type":"function_call_output","call_id":"x","output":"_\""},{"type":"reasoning","encrypted_content":"x"}]}"#,
            ),
            (r#"{"input":"x"}"#, r#"{"input":"_\""}"#),
            (
                r#"{"input":["x",{"id":"x"}],"prompt":"\u0078"}"#,
                r#"{"input":["_\"",{"id":"x"}],"prompt":"_\""}"#,
            ),
        ] {
            assert_eq!(changed(body), wanted);
        }
    }

    #[test]
    fn only_a_file_in_a_member_for_files_is_not_looked_at() {
        let file = "xA+/".repeat(16);
        for (body, is_seen) in [
            (format!(r#"{{"image_url":{{"url":"data:image/png;base64,{file}"}}}}"#), false),
            (format!(r#"{{"url":"data:;base64,{file}=="}}"#), false),
            (format!(r#"{{"url":"data:image\/png;base64,{file}\/="}}"#), false),
            (format!(r#"{{"file_data":"data:text/plain;base64,{file}"}}"#), false),
            (format!(r#"{{"file_data":"{file}"}}"#), false),
            (format!(r#"{{"images":["{file}"]}}"#), false),
            (format!(r#"{{"data":[{{"embedding":"{file}"}}]}}"#), false),
            // What is no file, and where no file is.
            (r#"{"url":"data:;base64,my x is"}"#.to_owned(), true),
            (format!(r#"{{"url":"data:x;base64, {file}"}}"#), true),
            (format!(r#"{{"url":"data:x;base64,{file} "}}"#), true),
            (r#"{"url":"data:;base64,x"}"#.to_owned(), true),
            (format!(r#"{{"content":"data:;base64,{file}"}}"#), true),
            (format!(r#"{{"text":"data:;base64,{file}"}}"#), true),
            (r#"{"file_data":"my x"}"#.to_owned(), true),
            (r#"{"data":"my x"}"#.to_owned(), true),
            (r#"{"images":["my x"]}"#.to_owned(), true),
        ] {
            assert_eq!(changed(&body) != body, is_seen, "{body}");
        }
    }

    #[test]
    fn names_of_what_is_no_text_hide_nothing_below_them() {
        for name in ["type", "model", "data", "format", "detail", "signature", "images", "id"] {
            for value in [r#"{"a":"my x"}"#, r#"["my x"]"#, r#"[{"a":["my x"]}]"#] {
                let body = format!(r#"{{"messages":[{{"{name}":{value}}}]}}"#);
                assert_ne!(changed(&body), body);
            }
        }
        for body in [
            r#"{"tools":[{"input_schema":{"properties":{"a":{"format":"x"}}}}]}"#,
            r#"{"text":{"format":{"type":"json_schema","schema":{"enum":["a"],"id":"x"}}}}"#,
            r#"{"metadata":{"id":"x"}}"#,
            r#"{"prompt_cache_key":"x"}"#,
            r#"{"detail":"no x"}"#,
            r#"{"detail":"no\nx"}"#,
            r#"{"status":"no\u0020x"}"#,
            r#"{"format":{"type":"x"}}"#,
        ] {
            assert_ne!(changed(body), body);
        }
    }

    #[test]
    fn pointers_lead_to_strings_of_any_json() {
        let body = r#"{"id":"x","items":[{"note":"x"},{"note":{"a":"x"}}],"a/b":"x","other":"x"}"#;
        let pointers = ["/items/*/note", "/a~1b", "/items", "/none"].map(str::to_owned);
        let Ok(Checked::Changed(changed)) = check_at(body.as_bytes(), &pointers, &mut no_x) else {
            panic!()
        };
        let wanted =
            r#"{"id":"x","items":[{"note":"_\""},{"note":{"a":"_\""}}],"a/b":"_\"","other":"x"}"#;
        assert_eq!(String::from_utf8(changed).unwrap(), wanted);
        assert!(check_at(b"{", &pointers, &mut no_x).is_err());
    }
}
