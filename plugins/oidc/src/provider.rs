//! What the provider says of itself (OpenID Connect Discovery 1.0), and where its endpoints are.
//!
//! Owns the reading of the discovery document. It sends nothing.

use gateway_plugin_identity::json;
use serde_json::{Map, Value};

/// The provider's endpoints.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Where browsers log in: an address.
    pub(crate) authorization: String,
    /// Path and query of the token endpoint.
    pub(crate) token: String,
    /// The whole address of the token endpoint.
    pub(crate) token_address: String,
    /// Path and query of the userinfo endpoint.
    pub(crate) userinfo: Option<String>,
    /// Where browsers log out: an address.
    pub(crate) end_session: Option<String>,
    /// Whether it names itself when it sends a browser back (RFC 9207).
    pub(crate) sends_issuer: bool,
}

impl Metadata {
    /// Reads the discovery document of this issuer.
    pub(crate) fn parse(document: &[u8], issuer: &str) -> Result<Self, String> {
        let document = document.strip_prefix("\u{feff}".as_bytes()).unwrap_or(document);
        let members = json::object(document).ok_or("it is not one JSON object")?;
        let named = text(&members, "issuer").ok_or("it names no issuer")?;
        if named != issuer {
            return Err(format!("it is of the issuer {named:?}, and {issuer:?} is configured"));
        }
        let needed = |name| text(&members, name).ok_or(format!("it has no `{name}`"));
        let address = |name: &str, it: &str| match split(it) {
            Some(_) => Ok(it.to_owned()),
            None => Err(format!("`{name}` is no address")),
        };
        let target = |name: &str, it: &str| match split(it) {
            Some((_, target)) => Ok(target.to_owned()),
            None => Err(format!("`{name}` is no address")),
        };
        let (authorization, token) = ("authorization_endpoint", "token_endpoint");
        let (userinfo, end_session) = ("userinfo_endpoint", "end_session_endpoint");
        let sends_issuer = members.get("authorization_response_iss_parameter_supported");
        Ok(Self {
            authorization: address(authorization, needed(authorization)?)?,
            token: target(token, needed(token)?)?,
            token_address: needed(token)?.to_owned(),
            userinfo: text(&members, userinfo).map(|it| target(userinfo, it)).transpose()?,
            end_session: text(&members, end_session)
                .map(|it| address(end_session, it))
                .transpose()?,
            sends_issuer: sends_issuer == Some(&Value::Bool(true)),
        })
    }
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    members.get(name).and_then(Value::as_str)
}

/// Scheme with host, and path with query, of an address without fragment, which fits into a field.
pub(crate) fn split(address: &str) -> Option<(&str, &str)> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
    if !address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'"') {
        return None;
    }
    let length = rest.find(['/', '?']).unwrap_or(rest.len());
    if length == 0 || rest[..length].contains('@') {
        return None;
    }
    let (origin, target) = address.split_at(address.len() - rest.len() + length);
    match target {
        "" => Some((origin, "/")),
        // A query alone has no place here.
        target if target.starts_with('?') => None,
        target => Some((origin, target)),
    }
}

/// An address with parameters behind, or a form with an empty address.
pub(crate) fn with_parameters<'p>(
    address: &str,
    parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
) -> String {
    let mut text = address.to_owned();
    let mut separator = match (address.is_empty(), address.contains('?')) {
        (true, _) => "",
        (false, true) => "&",
        (false, false) => "?",
    };
    for (name, value) in parameters {
        text.push_str(separator);
        push_encoded(&mut text, name);
        text.push('=');
        push_encoded(&mut text, value);
        separator = "&";
    }
    text
}

/// Percent-encodes all that is not unreserved (RFC 3986 section 2.3), which serves addresses and forms.
pub(crate) fn push_encoded(text: &mut String, value: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn splits_addresses_and_takes_no_others() {
        assert_eq!(split("https://a.example/b?c=d"), Some(("https://a.example", "/b?c=d")));
        assert_eq!(split("http://[::1]:80"), Some(("http://[::1]:80", "/")));
        for text in [
            "",
            "a",
            "/a",
            "//a",
            "https://",
            "https:///a",
            "ftp://a/b",
            "https://a?b",
            "https://a/#b",
            "https://u@a/",
            "https://a/ b",
            "https://a/\r\nx",
            "https://a/\u{e9}",
            "javascript:alert(1)",
        ] {
            assert_eq!(split(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_are_encoded() {
        let text = with_parameters("https://a/?x=1", [("a b", "c&d=\u{e9}\r\n"), ("e", "")]);
        assert_eq!(text, "https://a/?x=1&a%20b=c%26d%3D%C3%A9%0D%0A&e=");
        assert_eq!(with_parameters("https://a/", [("a", "~")]), "https://a/?a=~");
        assert_eq!(with_parameters("", [("a", "1"), ("b", "2")]), "a=1&b=2");
    }

    #[test]
    fn a_discovery_document_must_be_of_the_issuer_and_whole() {
        let whole = json!({
            "issuer": "https://id.example", "authorization_endpoint": "https://id.example/a?p=1",
            "token_endpoint": "https://id.example/t", "userinfo_endpoint": "https://api.example/u",
        });
        let parse =
            |value: &Value| Metadata::parse(value.to_string().as_bytes(), "https://id.example");
        let metadata = parse(&whole).unwrap();
        assert_eq!((&*metadata.token, metadata.userinfo.as_deref()), ("/t", Some("/u")));
        assert_eq!((metadata.end_session, metadata.sends_issuer), (None, false));
        for (name, value) in [
            ("issuer", json!("https://id.example/")),
            ("issuer", json!(null)),
            ("authorization_endpoint", json!("javascript:alert(1)")),
            ("token_endpoint", json!(7)),
            ("userinfo_endpoint", json!("u")),
        ] {
            let mut wrong = whole.clone();
            wrong[name] = value;
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
        assert!(Metadata::parse(b"[]", "https://id.example").is_err());
    }
}
