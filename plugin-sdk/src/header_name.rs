//! Names of header fields, checked.

use std::borrow::{Borrow, Cow};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// The name of a header field: a token (RFC 9110 section 5.1), in lower case.
///
/// ```
/// use gateway_plugin_sdk::HeaderName;
///
/// assert_eq!(HeaderName::parse("X-Api-Key").unwrap().as_str(), "x-api-key");
/// assert!(HeaderName::parse("not a name").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct HeaderName(Cow<'static, str>);

/// Not the name of a header field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a header name is one or more letters, digits or any of !#$%&'*+-.^_`|~")]
pub struct InvalidHeaderName;

impl HeaderName {
    /// Checks a name and puts it in lower case.
    ///
    /// # Errors
    /// If it is not a token.
    pub fn parse(name: &str) -> Result<Self, InvalidHeaderName> {
        if !is_token(name.as_bytes()) {
            return Err(InvalidHeaderName);
        }
        Ok(Self(Cow::Owned(name.to_ascii_lowercase())))
    }

    /// A name that is known when the plugin is compiled.
    ///
    /// # Panics
    /// If it is not a token in lower case; in a `const`, that is an error of the compiler.
    pub const fn from_static(name: &'static str) -> Self {
        assert!(is_lower_token(name.as_bytes()), "not a header name in lower case");
        Self(Cow::Borrowed(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the field frames the message or belongs to one connection: the gateway writes it, and a plugin that does breaks
    /// the contract.
    ///
    /// ```
    /// use gateway_plugin_sdk::HeaderName;
    ///
    /// assert!(HeaderName::from_static("content-length").is_of_connection());
    /// assert!(!HeaderName::from_static("content-type").is_of_connection());
    /// ```
    #[must_use]
    pub fn is_of_connection(&self) -> bool {
        OF_CONNECTION.contains(&self.as_str())
    }
}

const OF_CONNECTION: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(crate) const fn is_token(name: &[u8]) -> bool {
    let mut index = 0;
    while index < name.len() {
        if !is_token_byte(name[index]) {
            return false;
        }
        index += 1;
    }
    !name.is_empty()
}

const fn is_lower_token(name: &[u8]) -> bool {
    let mut index = 0;
    while index < name.len() {
        if name[index].is_ascii_uppercase() {
            return false;
        }
        index += 1;
    }
    is_token(name)
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for HeaderName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for HeaderName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for HeaderName {
    fn eq(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl PartialEq<&str> for HeaderName {
    fn eq(&self, other: &&str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl TryFrom<&str> for HeaderName {
    type Error = InvalidHeaderName;

    fn try_from(name: &str) -> Result<Self, InvalidHeaderName> {
        Self::parse(name)
    }
}

impl TryFrom<String> for HeaderName {
    type Error = InvalidHeaderName;

    fn try_from(name: String) -> Result<Self, InvalidHeaderName> {
        Self::parse(&name)
    }
}

impl std::str::FromStr for HeaderName {
    type Err = InvalidHeaderName;

    fn from_str(name: &str) -> Result<Self, InvalidHeaderName> {
        Self::parse(name)
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> Self {
        name.0.into_owned()
    }
}

impl From<&HeaderName> for String {
    fn from(name: &HeaderName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&name).map_err(de::Error::custom)
    }
}

impl JsonSchema for HeaderName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("HeaderName")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of a header field, in any case.",
            "type": "string",
            "pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        })
    }
}
