//! Host and port, as `Host` and `:authority` carry them (RFC 9110 section 7.2).

use crate::error::Malformed;

/// The host part of an authority. IPv6 addresses keep their brackets.
///
/// # Errors
/// [`Malformed`], for user information and for everything that is no `host [":" port]`.
pub(crate) fn host(authority: &str) -> Result<&str, Malformed> {
    let end = authority.bytes().position(|byte| !fits(byte)).unwrap_or(authority.len());
    let (host, rest) = authority.split_at(end);
    let port = rest.strip_prefix(':').unwrap_or(rest);
    let has_port = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if end > 0 && has_port { Ok(host) } else { unusual(authority) }
}

/// As [`host`], for an address in brackets, an empty one, and one that is refused.
#[cold]
fn unusual(authority: &str) -> Result<&str, Malformed> {
    if authority.contains('@') {
        return Err(Malformed::UserInfo);
    }
    let (host, port) = split(authority).ok_or(Malformed::HostInvalid)?;
    if host.is_empty() && !authority.is_empty() {
        return Err(Malformed::HostInvalid);
    }
    if port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed::HostInvalid);
    }
    if host.starts_with('[') {
        let address = host[1..host.len() - 1].parse::<std::net::Ipv6Addr>();
        return address.map(|_| host).map_err(|_| Malformed::HostInvalid);
    }
    if host.bytes().all(fits) { Ok(host) } else { Err(Malformed::HostInvalid) }
}

/// Whether a registered name may hold it (RFC 3986 section 3.2.2).
fn fits(byte: u8) -> bool {
    const FITS: [bool; 256] = {
        let mut fits = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            fits[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let others = b"-._~%!$&'()*+,;=";
        let mut index = 0;
        while index < others.len() {
            fits[others[index] as usize] = true;
            index += 1;
        }
        fits
    };
    FITS[usize::from(byte)]
}

/// In lower case, and without a port that is the scheme's own (RFC 3986 section 6.2).
pub(crate) fn normal(authority: &str, scheme: &str) -> String {
    let mut text = authority.to_ascii_lowercase();
    let own = if scheme == "https" { ":443" } else { ":80" };
    let kept = text.strip_suffix(own).or_else(|| text.strip_suffix(':')).map(str::len);
    text.truncate(kept.unwrap_or(text.len()));
    text
}

/// The port that an authority names, if it names one.
pub(crate) fn port(authority: &str) -> Option<u16> {
    split(authority)?.1.parse().ok().filter(|port| *port > 0)
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
        for bad in [
            "a b", "a/b", "a:b", "a:1:2", "[::1", "[x]", "a:123456", "a#b", "a\\b", "é", ":", ":80",
        ] {
            assert_eq!(host(bad), Err(Malformed::HostInvalid), "{bad}");
        }
        assert_eq!(host("user@a.example"), Err(Malformed::UserInfo));
    }

    #[test]
    fn finds_the_port_that_is_named() {
        assert_eq!(port("a.example:8443"), Some(8443));
        assert_eq!(port("[::1]:80"), Some(80));
        for none in ["a.example", "[::1]", "a.example:", "a:0", "a:99999"] {
            assert_eq!(port(none), None, "{none}");
        }
    }
}
