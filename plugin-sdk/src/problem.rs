//! Problem details for HTTP APIs (RFC 9457): the body of an answer that refuses.

use serde::Serialize;

/// The members of a problem, in the order in which they are written.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) kind: Option<String>,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) instance: Option<String>,
    /// Extension members (section 3.2), each with its value as JSON text.
    pub(crate) extensions: Vec<(String, String)>,
}

impl Problem {
    pub(crate) fn extend<T: Serialize + ?Sized>(&mut self, name: String, value: &T) {
        let value = serde_json::to_string(value).expect("an extension is a value of JSON");
        self.extensions.retain(|(other, _)| *other != name);
        self.extensions.push((name, value));
    }

    pub(crate) fn to_json(&self, status: u16) -> Vec<u8> {
        let mut json = String::with_capacity(160 + self.detail.len());
        json.push_str("{\"type\":");
        push_text(&mut json, self.kind.as_deref().unwrap_or("about:blank"));
        json.push_str(",\"title\":");
        push_text(&mut json, &self.title);
        json.push_str(",\"status\":");
        push_number(&mut json, status);
        json.push_str(",\"detail\":");
        push_text(&mut json, &self.detail);
        // Clients of AI APIs show this member alone.
        if !self.extensions.iter().any(|(name, _)| name == "message") {
            json.push_str(",\"message\":");
            push_text(&mut json, &self.detail);
        }
        if let Some(instance) = &self.instance {
            json.push_str(",\"instance\":");
            push_text(&mut json, instance);
        }
        for (name, value) in &self.extensions {
            json.push(',');
            push_text(&mut json, name);
            json.push(':');
            json.push_str(value);
        }
        json.push('}');
        json.into_bytes()
    }
}

fn push_number(json: &mut String, number: u16) {
    let mut divisor = 10_000;
    while divisor > 1 && number < divisor {
        divisor /= 10;
    }
    while divisor > 0 {
        json.push(char::from(b'0' + (number / divisor % 10) as u8));
        divisor /= 10;
    }
}

/// Writes a JSON string (RFC 8259 section 7).
fn push_text(json: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\0'..='\u{1f}' => {
                let code = character as usize;
                json.push_str("\\u00");
                json.push(char::from(DIGITS[code >> 4]));
                json.push(char::from(DIGITS[code & 15]));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

/// The reason phrase of a status code (RFC 9110 section 15), for the title.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Error",
    }
}
