//! Tools as they were reviewed.
//!
//! Owns the form of a tool's definition over which its digest is taken: members sorted, no white space, strings with the
//! escapes that JSON needs, numbers as they were written, and no `_meta`. Python's `json.dumps` with `sort_keys`,
//! `separators=(",", ":")` and `ensure_ascii=False` writes the same.

use std::collections::BTreeMap;

use gateway_model_protocols::json::Raw;
use gateway_plugin_sdk::{ConfigError, digest};

/// Digests by the name of the tool.
#[derive(Debug, Default)]
pub(crate) struct Pins(BTreeMap<String, [u8; 32]>);

impl Pins {
    pub(crate) fn new(texts: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let mut pins = BTreeMap::new();
        for (name, text) in texts {
            match text.strip_prefix("sha256:").and_then(from_hex) {
                Some(digest) => drop(pins.insert(name.clone(), digest)),
                None => {
                    let pointer = format!("/pins/{}", name.replace('~', "~0").replace('/', "~1"));
                    let message = "is not `sha256:` and 64 hexadecimal digits";
                    errors.push(ConfigError::at(pointer, message));
                }
            }
        }
        ConfigError::collect(errors)?;
        Ok(Self(pins))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The digest of a tool that is not as it was pinned.
    pub(crate) fn changed(&self, name: &str, tool: Raw<'_>) -> Option<String> {
        let pinned = self.0.get(name)?;
        let found = digest::sha256(canonical(tool).as_bytes());
        (found != *pinned).then(|| format!("sha256:{}", hex(&found)))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _a_string_takes_all = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(digest)
}

fn canonical(tool: Raw<'_>) -> String {
    let mut out = String::with_capacity(tool.text().len());
    object(&mut out, tool, Some("_meta"));
    out
}

fn value(out: &mut String, raw: Raw<'_>) {
    if raw.is_object() {
        object(out, raw, None);
    } else if raw.is_array() {
        out.push('[');
        for (index, element) in raw.elements().enumerate() {
            if index > 0 {
                out.push(',');
            }
            value(out, element);
        }
        out.push(']');
    } else if let Some(text) = raw.str() {
        string(out, &text);
    } else {
        out.push_str(raw.text());
    }
}

fn object(out: &mut String, raw: Raw<'_>, but: Option<&str>) {
    let members = raw.members().map(|(key, value)| (key.str().unwrap_or_default(), value));
    // Of several of one name the last counts, as most readers have it.
    let members: BTreeMap<_, _> = members.filter(|(key, _)| but != Some(&**key)).collect();
    out.push('{');
    for (index, (key, member)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, &key);
        out.push(':');
        value(out, member);
    }
    out.push('}');
}

fn string(out: &mut String, text: &str) {
    // The same escapes as Python's.
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        canonical(Raw::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_order_and_the_white_space_of_a_definition_do_not_count() {
        let one = r#"{"name": "a", "inputSchema": {"b": [1.0, true], "a": "\u00e9\n\u0008"}, "_meta": {"x": 1}}"#;
        assert_eq!(of(one), r#"{"inputSchema":{"a":"é\n\b","b":[1.0,true]},"name":"a"}"#);
        assert_eq!(of(one), of(r#"{"inputSchema":{"a":"é\n\b","b":[1.0,true]},"name":"a"}"#));
        assert_ne!(of(one), of(r#"{"inputSchema":{"a":"e\n\b","b":[1.0,true]},"name":"a"}"#));
    }

    #[test]
    fn a_pin_is_a_digest() {
        let pin = |text: &str| Pins::new(&[("a/b".to_owned(), text.to_owned())].into());
        assert_eq!(pin("sha256:12").unwrap_err().issues()[0].pointer, "/pins/a~1b");
        let pins = pin(&format!("sha256:{}", "0".repeat(64))).unwrap();
        let tool = Raw::parse(br#"{ "name": "a/b" }"#).unwrap();
        let found = pins.changed("a/b", tool).unwrap();
        // printf '{"name":"a/b"}' | sha256sum
        assert_eq!(
            found,
            "sha256:18864129827a52a783fbc04a42da3ff139cd0a273da8bf849ae21273bd1792d9"
        );
        assert!(pin(&found).unwrap().changed("a/b", tool).is_none());
        assert!(pins.changed("other", tool).is_none());
    }
}
