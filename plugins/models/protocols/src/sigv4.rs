//! Signature Version 4 of AWS: the fields that a request to one of its services carries.
//!
//! Owns the canonical form and the signature. The clock and the credentials are the caller's. Requests have no query here,
//! and the fields that are signed are `host` and those that are made here: others may be changed on the way.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::date;
use crate::protocol::encode;

/// Whose request it is.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The id of the access key.
    pub access_key_id: &'a str,
    /// The secret access key.
    pub secret_access_key: &'a str,
    /// The token of a session, which temporary credentials have.
    pub session_token: Option<&'a str>,
}

/// What is signed of a request without a query.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The value of `host`, as it is sent.
    pub host: &'a str,
    /// The path as it is sent, percent-encoded.
    pub path: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The region of the service.
    pub region: &'a str,
    /// The service's name in credential scopes, such as `bedrock`.
    pub service: &'a str,
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// The fields that a signed request has besides `host`.
pub fn sign(credentials: Credentials<'_>, request: Request<'_>) -> Vec<(&'static str, String)> {
    let time: String = date::to_rfc3339(request.now).replace(['-', ':'], "");
    let day = time.split('T').next().unwrap_or_default();
    let scope = [day, request.region, request.service, "aws4_request"].join("/");
    let mut fields = vec![("host", request.host.to_owned()), ("x-amz-date", time.clone())];
    if let Some(token) = credentials.session_token {
        fields.push(("x-amz-security-token", token.to_owned()));
    }
    let names = fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    // Services but S3 encode each segment of the path once more.
    let path = request.path.split('/').map(encode).collect::<Vec<_>>().join("/");
    let mut canonical = format!("{}\n{path}\n\n", request.method);
    for (name, value) in &fields {
        canonical.push_str(&[name, ":", value.trim(), "\n"].concat());
    }
    canonical.push_str(&["\n", &names, "\n", &hex(&Sha256::digest(request.body))].concat());
    let hash = hex(&Sha256::digest(canonical.as_bytes()));
    let text = ["AWS4-HMAC-SHA256", &time, &scope, &hash].join("\n");
    let mut key = ["AWS4", credentials.secret_access_key].concat().into_bytes();
    for part in [day, request.region, request.service, "aws4_request"] {
        key = mac(&key, part.as_bytes());
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        credentials.access_key_id,
        hex(&mac(&key, text.as_bytes()))
    );
    fields.remove(0);
    fields.push(("authorization", authorization));
    fields
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // A key of any length is one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _cannot_fail = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Request, sign};

    /// The credentials and the time of the test suite that AWS publishes.
    const EXAMPLE: Credentials<'_> = Credentials {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session_token: None,
    };
    const REQUEST: Request<'_> = Request {
        method: "GET",
        host: "example.amazonaws.com",
        path: "/",
        body: b"",
        region: "us-east-1",
        service: "service",
        now: 1_440_938_160,
    };
    const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

    fn authorization(credentials: Credentials<'_>, request: Request<'_>) -> String {
        let fields = sign(credentials, request);
        assert_eq!(fields[0], ("x-amz-date", "20150830T123600Z".to_owned()));
        let (name, value) = fields.into_iter().next_back().expect("fields");
        assert_eq!(name, "authorization");
        value
    }

    #[test]
    fn signs_as_the_published_test_suite() {
        // `get-vanilla`, `post-vanilla`, `post-sts-header-before`.
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                        SignedHeaders=host;x-amz-date, \
                        Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        assert_eq!(authorization(EXAMPLE, REQUEST), expected);
        let post = Request { method: "POST", ..REQUEST };
        let signature = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        assert!(authorization(EXAMPLE, post).ends_with(signature));
        let session = Credentials { session_token: Some(TOKEN), ..EXAMPLE };
        let written = authorization(session, post);
        let signature = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead";
        assert!(written.ends_with(signature), "{written}");
        assert!(written.contains("SignedHeaders=host;x-amz-date;x-amz-security-token,"));
    }

    #[test]
    fn signs_encoded_paths_and_bodies_as_botocore() {
        // Of botocore 1.43.11, for the same time.
        let request = Request {
            method: "POST",
            host: "bedrock-runtime.eu-central-1.amazonaws.com",
            path: "/model/anthropic.claude-5-v1%3A0/converse",
            body: br#"{"messages":[]}"#,
            region: "eu-central-1",
            service: "bedrock",
            ..REQUEST
        };
        let session = Credentials { session_token: Some("session"), ..EXAMPLE };
        let signature = "74048060be49ea0d29e6f55a2c321ab5ef950001a1817105109c3cf236aed8dd";
        assert!(authorization(session, request).ends_with(signature));
    }
}
