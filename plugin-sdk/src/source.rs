//! Where a text of a request comes from, by a name in a configuration: an attribute such as `consumer.id`, `claim:NAME`,
//! `header:NAME` or `cookie:NAME`. The notation is that of `split.by` of routes.
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::source::Source;
//!
//! assert!(Source::parse("claim:plan").is_ok());
//! assert!(Source::parse("heder:x").unwrap_err().starts_with("there is no \"heder\""));
//! ```

use crate::header_name::HeaderName;
use crate::interest::Interest;
use crate::request::Request;

/// A place in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An attribute.
    Attribute(String),
    /// A claim of a token: the attribute of this name, which begins with `consumer.claim.`.
    Claim(String),
    /// A field, its lines joined by commas.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
}

impl Source {
    /// Reads the notation.
    ///
    /// # Errors
    /// What is wrong with it: a sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text.is_empty() => Err("it is empty".to_owned()),
            None => Ok(Self::Attribute(text.to_owned())),
            Some((_, "")) => Err(format!("{text:?} has no name behind the colon")),
            Some(("claim", name)) => Ok(Self::Claim(format!("consumer.claim.{name}"))),
            Some(("cookie", name)) => Ok(Self::Cookie(name.to_owned())),
            Some(("header", name)) => HeaderName::parse(name)
                .map(Self::Header)
                .map_err(|_| format!("{name:?} is no name of a field")),
            Some((kind, _)) => Err(format!(
                "there is no {kind:?}: write an attribute such as `consumer.id`, or `claim:NAME`, `header:NAME` or `cookie:NAME`"
            )),
        }
    }

    /// An interest in what it reads.
    #[must_use]
    pub fn declare(&self, interest: Interest) -> Interest {
        match self {
            Self::Attribute(name) | Self::Claim(name) => interest.attribute(name),
            Self::Header(name) => interest.header(name),
            Self::Cookie(_) => interest.header("cookie"),
        }
    }

    /// What is there, if it is not empty.
    #[must_use]
    pub fn value<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let text = match self {
            Self::Attribute(name) | Self::Claim(name) => request.attribute(name),
            Self::Header(name) => request.header(name),
            Self::Cookie(name) => cookie(request, name),
        };
        text.filter(|text| !text.is_empty())
    }

    /// Whether it is another one for almost every request, so that changes by it are not worth keeping for reuse.
    #[must_use]
    pub fn is_rarely_alike(&self) -> bool {
        matches!(self, Self::Attribute(name) if name.starts_with("capture.") || matches!(name.as_str(), "request.id" | "client.port"))
    }
}

/// The first cookie of this name. The interest needs the field `cookie`.
#[must_use]
pub fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let all = request.header("cookie")?;
    // Several lines are joined by commas.
    let mut pairs = all.split([';', ',']).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.trim_matches('"'))
}
