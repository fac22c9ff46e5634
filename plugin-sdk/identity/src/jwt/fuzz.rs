//! Tokens that nobody signed.
//!
//! Owns what holds of every text that is taken for a token: there is one way to write it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_fuzz::Target;
use serde_json::Value;

use super::token::Token;

const TOKENS: &[&str] = &[
    ".",
    "..",
    "=",
    "-",
    "_",
    "+",
    "/",
    "\n",
    " ",
    "e30",
    "bnVsbA",
    "W10",
    "eyJhbGciOiJIUzI1NiJ9",
    "eyJhbGciOiJub25lIn0",
    "eyJhbGciOiJIUzI1NiIsImNyaXQiOlsiZXhwIl19",
    "eyJhIjoxLCJhIjoyfQ",
];

#[test]
fn a_text_that_is_a_token_is_the_only_way_to_write_it() {
    let mut tokens = 0;
    Target::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/tokens"), TOKENS).check(|text| {
        let Ok(token) = Token::parse(text) else { return };
        tokens += 1;
        let signature = URL_SAFE_NO_PAD.encode(&token.jws.signature);
        assert_eq!([token.jws.signed, b".", signature.as_bytes()].concat(), text);
        let mut parts = token.jws.signed.split(|byte| *byte == b'.');
        let mut next = || URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap();
        let (header, payload) = (next(), next());
        let written = [URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&payload)].join(".");
        assert_eq!(written.as_bytes(), token.jws.signed);
        // Nothing is dropped from the payload, nor added.
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload, Value::Object(token.claims));
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header["alg"], token.jws.header.algorithm.as_str());
        assert!(header.get("crit").is_none());
    });
    assert!(tokens > 2, "only {tokens} were tokens");
}
