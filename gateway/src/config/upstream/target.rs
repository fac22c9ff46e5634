//! URLs of targets.
//!
//! Owns what a target's URL may have (scheme, host, port) and may not (everything else).

use std::net::Ipv6Addr;

use crate::config::fault::Fault;
use crate::config::{Origin, Place, Target};

/// Parses `http://host:port` or `https://host:port`; the weight is 1, the priority 0.
pub(in crate::config) fn parse(url: &str) -> Result<Target, Fault> {
    let (tls, start) = scheme(url)?;
    let rest = &url[start..];
    let end = rest.find(['/', '?', '#']).map_or(url.len(), |found| start + found);
    refuse_rest(url, end)?;
    if let Some(at) = url[start..end].rfind('@') {
        return Err(Fault::new(start..start + at + 1, "a target's URL has no user or password")
            .help("a plugin can add the `authorization` header"));
    }
    let (host, port) = host_and_port(&url[start..end]).map_err(|fault| Fault {
        place: start + fault.place.start..start + fault.place.end,
        ..fault
    })?;
    let default_port = if tls { 443 } else { 80 };
    let in_brackets = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let authority = match port {
        Some(port) if port != default_port => format!("{in_brackets}:{port}"),
        _ => in_brackets,
    };
    let (port, origin, place) = (port.unwrap_or(default_port), Origin::Url, Place::default());
    Ok(Target { tls, host, port, authority, weight: 1, priority: 0, origin, place })
}

/// Parses `http://name` or `https://name`, where the name is one of SRV records.
pub(in crate::config) fn parse_srv(url: &str) -> Result<Target, Fault> {
    let target = parse(url)?;
    let (_, start) = scheme(url)?;
    let end = url[start..].find('/').map_or(url.len(), |found| start + found);
    if let Some(port) = url[start..end].rfind(':') {
        return Err(Fault::new(start + port..end, "SRV records say the port themselves")
            .help("leave the port out"));
    }
    if target.host.parse::<std::net::IpAddr>().is_ok() {
        return Err(
            Fault::new(start..end, "an address has no SRV records").help("write it as a `url`")
        );
    }
    let authority = target.host.clone();
    Ok(Target { authority, origin: Origin::Srv, ..target })
}

fn scheme(url: &str) -> Result<(bool, usize), Fault> {
    let Some((scheme, _)) = url.split_once("://") else {
        return Err(Fault::new(0..url.len(), format!("`{url}` is not a URL"))
            .help(format!("add a scheme: `http://{url}`")));
    };
    let start = scheme.len() + 3;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((false, start)),
        "https" => Ok((true, start)),
        "h2c" | "grpc" | "h2" | "grpcs" => {
            Err(Fault::new(0..scheme.len(), format!("`{scheme}` is not a scheme of a target"))
                .help("write `http` or `https`, and `protocol = \"http2\"` beside `targets`"))
        }
        _ => Err(Fault::new(0..scheme.len(), format!("`{scheme}` is not a scheme of a target"))
            .help("the schemes are `http` and `https`")),
    }
}

fn refuse_rest(url: &str, end: usize) -> Result<(), Fault> {
    let rest = &url[end..];
    match rest.as_bytes() {
        [] | b"/" => Ok(()),
        [b'/', ..] if !rest.contains(['?', '#']) => {
            let path = rest.trim_end_matches('/');
            Err(Fault::new(end..url.len(), "a target's URL has no path")
                .help(format!("write `rewrite = {{ add_prefix = \"{path}\" }}` in the route")))
        }
        _ => Err(Fault::new(end..url.len(), "a target's URL has no path, query or fragment")),
    }
}

/// Splits `host`, `host:port`, `[ipv6]` or `[ipv6]:port`; the host has no brackets.
pub(in crate::config) fn host_and_port(text: &str) -> Result<(String, Option<u16>), Fault> {
    let (host, behind) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, behind)) => {
            let address = host.parse::<Ipv6Addr>();
            let fault = || Fault::new(1..1 + host.len(), format!("`{host}` is no IPv6 address"));
            (address.map_err(|_| fault())?.to_string(), behind)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            if text[end..].matches(':').count() > 1 {
                let fault = Fault::new(0..text.len(), format!("`{text}` has several colons"));
                return Err(fault.help("an IPv6 address is written in brackets: `[::1]:8080`"));
            }
            host_name(&text[..end])?;
            (text[..end].to_ascii_lowercase(), &text[end..])
        }
    };
    let start = text.len() - behind.len();
    match behind.strip_prefix(':') {
        None if behind.is_empty() => Ok((host, None)),
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok((host, Some(number)))
            }
            _ => Err(Fault::new(start + 1..text.len(), format!("`{port}` is not a port"))
                .help("ports are 1 to 65535")),
        },
        None => Err(Fault::new(start..text.len(), format!("`{behind}` is not a port"))),
    }
}

/// Checks a host name or an IPv4 address: labels of letters, digits, `-` and `_`.
pub(in crate::config) fn host_name(name: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::new(0..0, "the host is missing"));
    }
    if let Some((at, c)) = name.char_indices().find(|(_, c)| !in_label(*c) && *c != '.') {
        let place = at..at + c.len_utf8();
        let fault = Fault::new(place, format!("`{}` is not allowed in a host", c.escape_debug()));
        return Err(if c.is_ascii() {
            fault.help("a host is made of letters, digits, `-` and `.`")
        } else {
            fault.help("write an international name in its ASCII form, which begins with `xn--`")
        });
    }
    let labels = name.strip_suffix('.').unwrap_or(name).split('.');
    let wrong = |label: &str| label.is_empty() || label.len() > 63;
    if name.len() > 254 || labels.clone().any(wrong) {
        let fault = format!("`{name}` is not a host name");
        return Err(Fault::new(0..name.len(), fault)
            .help("its labels have 1 to 63 characters, and all together at most 253"));
    }
    Ok(())
}

fn in_label(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_urls_apart() {
        let read = |url| {
            let target = parse(url).expect(url);
            (target.tls, target.host, target.port, target.authority)
        };
        let expect = |tls, host: &str, port, authority: &str| {
            (tls, host.to_owned(), port, authority.to_owned())
        };
        assert_eq!(read("http://10.0.0.1:9000"), expect(false, "10.0.0.1", 9000, "10.0.0.1:9000"));
        assert_eq!(read("https://A.Example/"), expect(true, "a.example", 443, "a.example"));
        assert_eq!(read("https://a:443"), expect(true, "a", 443, "a"));
        assert_eq!(read("http://a:443"), expect(false, "a", 443, "a:443"));
        assert_eq!(read("HTTP://[0::1]:81"), expect(false, "::1", 81, "[::1]:81"));
        assert_eq!(read("http://my_service"), expect(false, "my_service", 80, "my_service"));
    }

    #[test]
    fn says_where_a_url_goes_wrong() {
        let place = |url: &str| {
            let fault = parse(url).expect_err(url);
            url[fault.place].to_owned()
        };
        assert_eq!(place("10.0.0.1:9000"), "10.0.0.1:9000");
        assert_eq!(place("ftp://a"), "ftp");
        assert_eq!(place("http://a/b/c"), "/b/c");
        assert_eq!(place("http://a?b"), "?b");
        assert_eq!(place("http://u:p@a"), "u:p@");
        assert_eq!(place("http://a:b"), "b");
        assert_eq!(place("http://a:0"), "0");
        assert_eq!(place("http://a:+80"), "+80");
        assert_eq!(place("http://a:70000"), "70000");
        assert_eq!(place("http://::1"), "::1");
        assert_eq!(place("http://[::x]"), "::x");
        assert_eq!(place("http://[::1]80"), "80");
        assert_eq!(place("http://a b"), " ");
        assert_eq!(place("http://a..b"), "a..b");
        assert_eq!(place("http://"), "");
        let place = |url: &str| url[parse_srv(url).expect_err(url).place].to_owned();
        assert_eq!(place("http://_http._tcp.a:80/"), ":80");
        assert_eq!(place("http://10.0.0.1"), "10.0.0.1");
        let name = |url| parse_srv(url).expect(url).server_name().to_owned();
        assert_eq!(name("https://_http._tcp.a.example"), "a.example");
        assert_eq!(name("https://a.service.consul"), "a.service.consul");
    }
}
