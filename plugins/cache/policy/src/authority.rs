//! The authority that a request is for: its host and its port, in one form.
//!
//! Owns what of `Host` tells origins apart. Whether a `Host` may be is for who reads the request.

/// In lower case, without the port that the scheme has anyway (RFC 3986 section 6.2).
pub fn normal(scheme: &str, authority: &str) -> String {
    let mut text = authority.to_ascii_lowercase();
    let own = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => ":",
    };
    let kept = text.strip_suffix(own).or_else(|| text.strip_suffix(':')).map(str::len);
    text.truncate(kept.unwrap_or(text.len()));
    text
}

/// What a URL has: the field `Host` with its port where it is of this host, or else the host alone, such as behind a plugin
/// that has changed the field.
pub fn of(scheme: &str, field: Option<&str>, host: &str) -> String {
    let sent = normal(scheme, field.unwrap_or_default());
    let port = sent.strip_prefix(host).filter(|rest| rest.is_empty() || rest.starts_with(':'));
    if port.is_some() { sent } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_counts_where_it_is_not_that_of_the_scheme() {
        for (scheme, sent, is) in [
            ("http", "Shop.Test:6666", "shop.test:6666"),
            ("http", "shop.test:80", "shop.test"),
            ("http", "shop.test:", "shop.test"),
            ("http", "shop.test:443", "shop.test:443"),
            ("https", "shop.test:443", "shop.test"),
            ("https", "shop.test:80", "shop.test:80"),
            ("http", "[::1]:80", "[::1]"),
            ("http", "[::80]", "[::80]"),
        ] {
            assert_eq!(normal(scheme, sent), is, "{scheme} {sent}");
        }
    }

    #[test]
    fn a_field_of_another_host_is_not_the_authority() {
        assert_eq!(of("http", Some("shop.test:81"), "shop.test"), "shop.test:81");
        assert_eq!(of("http", Some("[::1]:81"), "[::1]"), "[::1]:81");
        assert_eq!(of("http", Some("shop.test.evil:81"), "shop.test"), "shop.test");
        assert_eq!(of("http", None, "shop.test"), "shop.test");
    }
}
