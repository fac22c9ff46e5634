//! Signature Version 4 of AWS: the fields that a request to one of its services carries, by AWS's own crate `aws-sigv4`.
//!
//! Owns what of a request is signed: requests have no query here, and the fields that are signed are `host` and those that are
//! made here, since others may be changed on the way. The clock and the credentials are the caller's.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as Identity;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4::SigningParams;

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
///
/// # Errors
/// Why it cannot be signed: its host or path is none.
pub fn sign(
    credentials: Credentials<'_>,
    request: Request<'_>,
) -> Result<Vec<(&'static str, String)>, String> {
    let token = credentials.session_token.map(str::to_owned);
    let Credentials { access_key_id, secret_access_key, .. } = credentials;
    let identity = Identity::new(access_key_id, secret_access_key, token, None, "gateway").into();
    // As they are by default for services but S3: each segment of the path is encoded once more, and nothing is added for
    // the body, which is signed all the same.
    let params = SigningParams::builder()
        .identity(&identity)
        .region(request.region)
        .name(request.service)
        .time(UNIX_EPOCH + Duration::from_secs(request.now))
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?;
    let uri = ["https://", request.host, request.path].concat();
    let fields = std::iter::once(("host", request.host));
    let signable =
        SignableRequest::new(request.method, uri, fields, SignableBody::Bytes(request.body));
    let signed = signable.and_then(|signable| http_request::sign(signable, &params.into()));
    let (instructions, _) = signed.map_err(|error| causes(&error))?.into_parts();
    let (fields, _) = instructions.into_parts();
    Ok(fields.into_iter().map(|field| (field.name(), field.value().to_owned())).collect())
}

/// An error with what it was caused by.
fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
        let fields = sign(credentials, request).expect("it is signed");
        let field = |name: &str| fields.iter().find(|(known, _)| *known == name);
        let value = |name: &str| field(name).map(|(_, value)| value.clone());
        assert_eq!(value("x-amz-date").as_deref(), Some("20150830T123600Z"));
        assert_eq!(value("x-amz-security-token").as_deref(), credentials.session_token);
        assert_eq!(fields.len(), 2 + usize::from(credentials.session_token.is_some()));
        value("authorization").expect("a signature")
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

    #[test]
    fn what_cannot_be_signed_is_an_error() {
        for host in ["", "a b", "[::1"] {
            assert!(sign(EXAMPLE, Request { host, ..REQUEST }).is_err(), "{host:?}");
        }
    }
}
