//! Host and port, as `Host` and `:authority` carry them (RFC 9110 section 7.2).

use crate::error::Malformed;

/// The host part of an authority. IPv6 addresses keep their brackets.
///
/// # Errors
/// [`Malformed`], for user information and for whatever is no `host [":" port]`.
pub(super) fn host(authority: &str) -> Result<&str, Malformed> {
    if authority.contains('@') {
        return Err(Malformed::UserInfo);
    }
    let (host, port) = split(authority).ok_or(Malformed::HostInvalid)?;
    if port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed::HostInvalid);
    }
    if host.starts_with('[') {
        let address = host[1..host.len() - 1].parse::<std::net::Ipv6Addr>();
        return address.map(|_| host).map_err(|_| Malformed::HostInvalid);
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    if host.bytes().all(fits) { Ok(host) } else { Err(Malformed::HostInvalid) }
}

fn split(authority: &str) -> Option<(&str, &str)> {
    if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        let rest = &authority[end..];
        let port = if rest.is_empty() { "" } else { rest.strip_prefix(':')? };
        return Some((&authority[..end], port));
    }
    Some(authority.split_once(':').unwrap_or((authority, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_hosts_with_and_without_a_port() {
        for (authority, expected) in [
            ("a.example", "a.example"),
            ("a.example:80", "a.example"),
            ("[::1]:8080", "[::1]"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(host(authority), Ok(expected));
        }
    }

    #[test]
    fn refuses_what_is_no_host() {
        for bad in ["a b", "a/b", "a:b", "a:1:2", "[::1", "[x]", "a:123456", "a#b", "a\\b", "é"] {
            assert_eq!(host(bad), Err(Malformed::HostInvalid), "{bad}");
        }
        assert_eq!(host("user@a.example"), Err(Malformed::UserInfo));
    }
}
