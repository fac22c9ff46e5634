//! Where a value of a request comes from.
//!
//! The notation is that of `split.by` of routes: an attribute, `claim:NAME`, `header:NAME` or `cookie:NAME`.

use gateway_plugin_sdk::prelude::{HeaderName, Interest, Request};

/// A place in a request.
#[derive(Debug)]
pub(crate) enum Source {
    Attribute(String),
    Claim(String),
    Header(HeaderName),
    Cookie(String),
}

impl Source {
    /// Reads the notation. The error is a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
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

    pub(crate) fn declare(&self, interest: Interest) -> Interest {
        match self {
            Self::Attribute(name) | Self::Claim(name) => interest.attribute(name),
            Self::Header(name) => interest.header(name),
            Self::Cookie(_) => interest.header("cookie"),
        }
    }

    /// What is there, if it is not empty.
    pub(crate) fn value<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let text = match self {
            Self::Attribute(name) | Self::Claim(name) => request.attribute(name),
            Self::Header(name) => request.header(name),
            Self::Cookie(name) => cookie(request, name),
        };
        text.filter(|text| !text.is_empty())
    }

    /// Whether it is another one for almost every request.
    pub(crate) fn is_rarely_alike(&self) -> bool {
        matches!(self, Self::Attribute(name) if name.starts_with("capture.") || matches!(name.as_str(), "request.id" | "client.port"))
    }
}

pub(crate) fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let all = request.header("cookie")?;
    // Several lines are joined by commas.
    let pairs = all.split([';', ',']).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.trim_matches('"')).next()
}
