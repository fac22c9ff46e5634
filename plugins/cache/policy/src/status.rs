//! `Cache-Status` (RFC 9211): how the cache has handled a request.

use std::fmt::Write as _;

use crate::structured;

/// Why a request was forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Forward {
    /// The cache was not to be asked.
    Bypass,
    /// The method.
    Method,
    /// Nothing is stored under the key.
    UriMiss,
    /// What is stored is for requests with other fields.
    VaryMiss,
    /// The request did not want what is stored.
    Request,
    /// What is stored is stale.
    Stale,
}

impl Forward {
    /// The token for it.
    pub fn name(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
        }
    }
}

/// What is said of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// It was answered from the cache.
    pub hit: bool,
    /// Why it was forwarded.
    pub forward: Option<Forward>,
    /// The status code of the origin, where the client was sent another.
    pub forward_status: Option<u16>,
    /// For how many seconds the response is still fresh.
    pub ttl: Option<i64>,
    /// The response was stored.
    pub stored: bool,
    /// The request waited for the response to another one.
    pub collapsed: bool,
    /// A word more.
    pub detail: Option<&'static str>,
}

impl Report {
    /// The member of the list, of a cache of this name. What cannot be a name is written as a token `cache`.
    pub fn write(&self, name: &str) -> String {
        let is_token = crate::directives::is_token(name)
            && name.starts_with(|first: char| first.is_ascii_alphabetic());
        let name = if is_token { Some(name.to_owned()) } else { structured::quote(name) };
        let mut text = name.unwrap_or_else(|| "cache".to_owned());
        if self.hit {
            text.push_str("; hit");
        }
        if let Some(forward) = self.forward {
            let _ = write!(text, "; fwd={}", forward.name());
        }
        if let Some(status) = self.forward_status {
            let _ = write!(text, "; fwd-status={status}");
        }
        if let Some(ttl) = self.ttl {
            let _ = write!(text, "; ttl={ttl}");
        }
        if self.stored {
            text.push_str("; stored");
        }
        if self.collapsed {
            text.push_str("; collapsed");
        }
        if let Some(detail) = self.detail {
            let _ = write!(text, "; detail={detail}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_members_of_a_list() {
        let hit = Report { hit: true, ttl: Some(-3), ..Report::default() };
        assert_eq!(hit.write("gateway"), "gateway; hit; ttl=-3");
        let miss = Report {
            forward: Some(Forward::VaryMiss),
            forward_status: Some(304),
            stored: true,
            collapsed: true,
            detail: Some("x"),
            ..Report::default()
        };
        let text = miss.write("my \"cache\"");
        assert_eq!(
            text,
            r#""my \"cache\""; fwd=vary-miss; fwd-status=304; stored; collapsed; detail=x"#
        );
        assert_eq!(Report::default().write("ä"), "cache");
    }
}
