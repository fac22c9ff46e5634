//! Values that nobody meant to log.
//!
//! Owns what holds of every line, whatever a client sends: it is one line, and of its format.

use gateway_fuzz::Target;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::Written;
use crate::access_log::escape;

const TOKENS: &[&str] = &[
    "\n",
    "\r\n",
    "\"",
    "\\",
    "\\\"",
    "\t",
    "\0",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{feff}",
    "{",
    "}",
    " ",
    "&",
    ";",
    "=",
    "?",
    "#",
    "%0a",
    "%6b%65y=",
    "key=",
    "token=",
    "api_key=SECRET",
    "https://u:SECRET@h/",
    "[",
    "]",
    "-",
    "é",
    "\u{ffff}",
];

fn assert_one_line(line: &[u8]) {
    let inner = line.strip_suffix(b"\n").unwrap();
    let text = String::from_utf8(inner.to_vec()).unwrap();
    let is_wrong = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}');
    assert!(!text.contains(is_wrong), "{text:?}");
}

#[test]
fn a_line_of_anything_is_one_line_and_json_parses() {
    let json = Written::new(
        "fields = { a = \"request.header.x-a\", l = \"response.header.location\", q = \"uri\", c = \"consumer\", s = \"status\" }",
    );
    let combined = Written::new("format = \"combined\"");
    let tabs = Written::new("format = \"{consumer}\\t{request.header.x-a}\\t{status}\"");
    let mut shown = 0;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/access_log");
    Target::new(folder, TOKENS).check(|input| {
        // What the parsers of heads let through is any byte but some controls.
        let field: Vec<u8> = input.iter().copied().filter(|it| *it >= 32 && *it != 127).collect();
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(&field).unwrap();
        for name in ["x-a", "location", "referer", "user-agent"] {
            headers.append(HeaderName::from_static(name), value.clone());
        }
        let target = String::from_utf8_lossy(input);
        let uri =
            [format!("/{target}"), "/".into()].into_iter().find(|it| it.parse::<Uri>().is_ok());
        // An attribute is any text.
        let attribute = String::from_utf8_lossy(input);
        let uri = uri.unwrap();
        let line = json.line(&uri, &headers, &attribute);
        assert_one_line(&line);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["s"], 200);
        if input.len() < 8 << 10 {
            assert_eq!(value["c"], &*attribute, "nothing is lost");
            assert_eq!(value["a"], &*String::from_utf8_lossy(&field));
        }
        let line = combined.line(&uri, &headers, &attribute);
        assert_one_line(&line);
        assert!(line.is_ascii());
        let quotes = line.iter().filter(|byte| **byte == b'"').count();
        assert_eq!(quotes, 6, "{}", line.escape_ascii());
        assert_eq!(
            line.split(|byte| *byte == b' ').nth(2).unwrap(),
            combined_user(&attribute).as_bytes()
        );
        let line = tabs.line(&uri, &headers, &attribute);
        assert_eq!(line.iter().filter(|byte| **byte == b'\t').count(), 2);
        assert!(!line.contains(&b' '));
        shown += 1;
    });
    assert!(shown > 5);
}

fn combined_user(text: &str) -> String {
    let mut out = Vec::new();
    escape::text(text.as_bytes(), false, &mut out);
    if out.is_empty() || text.len() > 8 << 10 {
        out.truncate(0);
        out.push(b'-');
    }
    String::from_utf8(out).unwrap()
}
