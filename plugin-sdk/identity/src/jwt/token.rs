//! The outer form of a token: compact serialisation, base64url, JSON.
//!
//! Owns what can be said without keys, issuers and clocks. It trusts nothing that it reads.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::json;

/// The longest token that is checked, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;

/// A token as it was sent. Nothing in it has been verified.
#[derive(Debug)]
pub struct Token<'t> {
    /// What is signed, and how.
    pub jws: Jws<'t>,
    /// What it says.
    pub claims: Map<String, Value>,
}

/// What is signed, whatever it says (RFC 7515).
#[derive(Debug)]
pub struct Jws<'t> {
    /// What was signed: header and payload as they were sent.
    pub signed: &'t [u8],
    /// The signature.
    pub signature: Vec<u8>,
    /// What it says of itself.
    pub header: Header,
    payload: Vec<u8>,
}

/// The parts of the JOSE header that count. References to keys (`jku`, `x5u`) and keys (`jwk`,
/// `x5c`) are not among them: a token does not say by what it is to be trusted.
#[derive(Debug)]
pub struct Header {
    /// `alg`
    pub algorithm: String,
    /// `kid`
    pub kid: Option<String>,
    /// `typ`
    pub kind: Option<String>,
}

impl<'t> Token<'t> {
    /// Reads a token in compact serialisation (RFC 7515 section 7.1).
    ///
    /// # Errors
    /// If it has not this form, or its payload is not one object.
    pub fn parse(text: &'t [u8]) -> Result<Self, &'static str> {
        let jws = Jws::parse(text)?;
        let claims = json::object(&jws.payload);
        let claims = claims.ok_or("the token's payload is not one JSON object")?;
        Ok(Self { jws, claims })
    }
}

impl<'t> Jws<'t> {
    /// Reads what is signed, whatever its payload is.
    ///
    /// # Errors
    /// If it has not this form.
    pub fn parse(text: &'t [u8]) -> Result<Self, &'static str> {
        if text.len() > MAX_TOKEN {
            return Err("the token is longer than 16 KiB");
        }
        let mut dots = text.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err("the token does not have three parts");
        };
        let header = decode(&text[..first])?;
        let payload = decode(&text[first + 1..second])?;
        let signature = decode(&text[second + 1..])?;
        let header = json::object(&header).ok_or("the token's header is not one JSON object")?;
        Ok(Self { signed: &text[..second], signature, header: Header::new(header)?, payload })
    }
}

impl Header {
    fn new(mut members: Map<String, Value>) -> Result<Self, &'static str> {
        // No extension is understood here, so whatever is critical is not (RFC 7515
        // section 4.1.11). An unencoded payload is one (RFC 7797 section 6), named or not.
        if members.contains_key("crit") || members.contains_key("b64") {
            return Err("the token's header names a critical extension");
        }
        let algorithm = text(&mut members, "alg")?.ok_or("the token's header has no `alg`")?;
        let kid = text(&mut members, "kid")?;
        Ok(Self { algorithm, kid, kind: text(&mut members, "typ")? })
    }
}

fn text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, &'static str> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a member of the token's header is not a text"),
    }
}

/// Decodes base64url without padding and without surplus bits (RFC 7515 section 2).
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a part of the token is not base64url")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The token of RFC 7519 section 3.1.
    const EXAMPLE: &str = concat!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290",
        "Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    );

    fn with_header(header: &str) -> String {
        format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn reads_the_example_of_rfc_7519() {
        let token = Token::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(token.jws.header.algorithm, "HS256");
        assert_eq!(token.jws.header.kind.as_deref(), Some("JWT"));
        assert_eq!(token.jws.header.kid, None);
        assert_eq!(token.claims["iss"], "joe");
        assert_eq!(token.claims["exp"], 1_300_819_380);
        assert_eq!(token.claims["http://example.com/is_root"], true);
        assert_eq!((token.jws.signed.len(), token.jws.signature.len()), (EXAMPLE.len() - 44, 32));
    }

    #[test]
    fn refuses_every_other_form() {
        let (signed, signature) = EXAMPLE.rsplit_once('.').unwrap();
        for text in [
            String::new(),
            "a.b".to_owned(),
            "..".to_owned(),
            signed.to_owned(),
            format!("{EXAMPLE}."),
            format!(".{EXAMPLE}"),
            format!("{EXAMPLE}="),
            format!("{EXAMPLE}=="),
            format!("{EXAMPLE} "),
            format!("{signed}..{signature}"),
            format!("{signed}.{}", signature.replace('-', "+")),
            format!("{signed}.{}", signature.replace('_', "/")),
            // The last digit holds two bits that belong to no byte: `l` decodes as `k` does.
            format!("{signed}.{}l", &signature[..42]),
            format!("{EXAMPLE}.{EXAMPLE}"),
            "a".repeat(MAX_TOKEN + 1),
        ] {
            assert!(Token::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_headers_that_it_does_not_understand_whole() {
        assert!(Token::parse(with_header(r#"{"alg":"HS256"}"#).as_bytes()).is_ok());
        for header in [
            r#"{}"#,
            r#"{"alg":1}"#,
            r#"{"alg":null}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"alg":"HS256","kid":7}"#,
            r#"{"alg":"HS256","typ":["JWT"]}"#,
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"HS256","crit":[]}"#,
            r#"{"alg":"HS256","b64":false}"#,
            r#"["HS256"]"#,
        ] {
            assert!(Token::parse(with_header(header).as_bytes()).is_err(), "{header}");
        }
    }
}
