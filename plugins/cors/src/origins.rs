//! Which origins are allowed.
//!
//! Owns how they are written and compared: an origin is a scheme, a host and a port (RFC 6454 section 6.2), as
//! browsers write it, without the default port.

use gateway_plugin_sdk::prelude::ConfigError;

/// Checked patterns.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    all: bool,
    /// `null`, or written as browsers write it.
    exact: Vec<String>,
    patterns: Vec<Pattern>,
}

/// One with a `*` in it.
#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    scheme: String,
    /// The host, or its end with the dot before.
    host: String,
    is_below: bool,
    port: Port,
}

#[derive(Debug, PartialEq, Eq)]
enum Port {
    Default,
    Is(String),
    Any,
}

impl Origins {
    /// Reads them; what is wrong goes to `errors`.
    pub(crate) fn new(written: &[String], errors: &mut Vec<ConfigError>) -> Self {
        let mut origins = Self::default();
        if written.is_empty() {
            errors.push(ConfigError::at("/origins", "there is at least one origin"));
        }
        for (index, text) in written.iter().enumerate() {
            match text.as_str() {
                "*" => origins.all = true,
                "null" => origins.exact.push(text.clone()),
                _ => match pattern(text) {
                    Ok(pattern) if pattern.is_below || pattern.port == Port::Any => {
                        origins.patterns.push(pattern);
                    }
                    Ok(_) => origins.exact.push(text.to_ascii_lowercase()),
                    Err(message) => {
                        errors.push(ConfigError::at(format!("/origins/{index}"), message));
                    }
                },
            }
        }
        if origins.all && written.len() > 1 {
            errors.push(ConfigError::at("/origins", "beside `*` no other origin has an effect"));
        }
        origins
    }

    /// Whether it is every origin.
    pub(crate) fn are_all(&self) -> bool {
        self.all
    }

    /// Whether this origin is one of them.
    pub(crate) fn allow(&self, origin: &str) -> bool {
        if self.all {
            return true;
        }
        if self.exact.iter().any(|exact| exact.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let origin = origin.to_ascii_lowercase();
        let Some((scheme, host, port)) = parts(&origin) else { return false };
        self.patterns.iter().any(|it| it.scheme == scheme && it.has(host) && it.has_port(port))
    }
}

impl Pattern {
    fn has(&self, host: &str) -> bool {
        match self.is_below {
            // At least one letter in front of the dot.
            true => host.len() > self.host.len() && host.ends_with(&self.host),
            false => host == self.host,
        }
    }

    fn has_port(&self, port: Option<&str>) -> bool {
        match &self.port {
            Port::Default => port.is_none(),
            Port::Is(wanted) => port == Some(wanted),
            Port::Any => true,
        }
    }
}

/// Scheme, host and port of an origin as browsers write it.
fn parts(origin: &str) -> Option<(&str, &str, Option<&str>)> {
    let (scheme, authority) = origin.split_once("://")?;
    let is_token = |text: &str, others: &[u8]| {
        let is = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        !text.is_empty() && text.bytes().all(is)
    };
    // The colons of an address are within brackets.
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => {
            (&authority[..at], Some(&authority[at + 1..]))
        }
        _ => (authority, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => is_token(address, b":."),
        None => is_token(host, b"-._"),
    };
    let is_port = port.is_none_or(|port| is_token(port, b"") && port.parse::<u16>().is_ok());
    (is_token(scheme, b"+-.") && is_host && is_port).then_some((scheme, host, port))
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let lower = text.to_ascii_lowercase();
    let (any_port, rest) = match lower.strip_suffix(":*") {
        Some(rest) => (true, rest.to_owned()),
        None => (false, lower),
    };
    let (below, rest) = match rest.split_once("://*.") {
        Some((scheme, host)) => (true, format!("{scheme}://{host}")),
        None => (false, rest),
    };
    let wrong = || {
        let path = text.split_once("://").and_then(|(scheme, rest)| {
            let (authority, _) = rest.split_once('/')?;
            Some(format!("an origin has no path: {scheme}://{authority}"))
        });
        path.unwrap_or_else(|| {
            format!(
                "`{text}` is no origin; write it like https://app.example or https://*.app.example"
            )
        })
    };
    let (scheme, host, port) = parts(&rest).ok_or_else(wrong)?;
    if matches!((scheme, port), ("https", Some("443")) | ("http", Some("80"))) {
        return Err(format!("browsers leave the default port out: {scheme}://{host}"));
    }
    Ok(Pattern {
        scheme: scheme.to_owned(),
        host: if below { format!(".{host}") } else { host.to_owned() },
        is_below: below,
        port: match port {
            _ if any_port => Port::Any,
            Some(port) => Port::Is(port.to_owned()),
            None => Port::Default,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(written: &[&str]) -> Origins {
        let written: Vec<String> = written.iter().map(ToString::to_string).collect();
        let mut errors = Vec::new();
        let origins = Origins::new(&written, &mut errors);
        assert!(errors.is_empty(), "{errors:?}");
        origins
    }

    #[test]
    fn an_origin_is_compared_whole() {
        let origins =
            origins(&["https://app.example", "http://localhost:3000", "http://[::1]:8080"]);
        for origin in ["https://app.example", "http://localhost:3000", "http://[::1]:8080"] {
            assert!(origins.allow(origin), "{origin}");
        }
        for origin in [
            "http://app.example",
            "https://app.example:8443",
            "https://app.example.evil.example",
            "https://evil-app.example",
            "https://a.app.example",
            "http://localhost",
            "null",
            "",
            "https://app.example/",
        ] {
            assert!(!origins.allow(origin), "{origin}");
        }
    }

    #[test]
    fn a_star_stands_for_names_below_or_for_any_port() {
        let origins = origins(&["https://*.app.example", "http://localhost:*", "null"]);
        for origin in [
            "https://a.app.example",
            "https://a.b.app.example",
            "http://localhost",
            "http://localhost:5173",
            "null",
        ] {
            assert!(origins.allow(origin), "{origin}");
        }
        for origin in [
            "https://app.example",
            "https://.app.example.evil.example",
            "https://evilapp.example",
            "https://a.app.example:8443",
            "http://a.app.example",
            "https://evil.example/.app.example",
            "https://evil.example#.app.example",
            "https://evil.example?.app.example",
            "https://user@a.app.example",
            "http://localhost:99999",
            "http://localhost.evil.example:80",
        ] {
            assert!(!origins.allow(origin), "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_what_it_should_be() {
        let cases = [
            ("https://app.example/", "an origin has no path: https://app.example"),
            ("https://app.example/x", "an origin has no path: https://app.example"),
            ("https://app.example:443", "browsers leave the default port out: https://app.example"),
            ("http://app.example:80", "browsers leave the default port out: http://app.example"),
            (
                "app.example",
                "`app.example` is no origin; write it like https://app.example or https://*.app.example",
            ),
            (
                "https://a.*.example",
                "`https://a.*.example` is no origin; write it like https://app.example or \
                 https://*.app.example",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(pattern(text).unwrap_err(), message, "{text}");
        }
    }
}
