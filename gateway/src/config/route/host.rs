//! Host patterns.
//!
//! Owns the notation of `hosts`: a host, or `*.` and a suffix.

use std::net::Ipv6Addr;

use crate::config::HostPattern;
use crate::config::fault::Fault;
use crate::config::upstream::target::host_name;

/// Parses a host pattern into lower case, without a dot at the end.
pub(super) fn parse(text: &str) -> Result<HostPattern, Fault> {
    let whole = 0..text.len();
    if let Some((scheme, rest)) = text.split_once("://") {
        let fault = Fault::new(0..scheme.len() + 3, "a host pattern has no scheme");
        return Err(fault.help(format!("write `{}`", rest.split('/').next().unwrap_or(rest))));
    }
    if text.starts_with(['^', '~']) || text.contains(['\\', '(', '|', '$']) {
        return Err(Fault::new(whole, "this looks like a regular expression")
            .help("a host is matched to the letter, or with `*.` in front: `*.example.com`"));
    }
    if let Some(suffix) = text.strip_prefix('.').filter(|suffix| !suffix.is_empty()) {
        return Err(Fault::new(whole, "a host pattern begins with no dot")
            .help(format!("write `*.{suffix}`, and `{suffix}` beside it if it is meant too")));
    }
    if let Some(address) = text.strip_prefix('[') {
        let Some((address, behind)) = address.split_once(']') else {
            return Err(Fault::new(whole, "`[` has no closing bracket"));
        };
        let address = address.parse::<Ipv6Addr>();
        let address = address.map_err(|_| Fault::new(whole, "this is no IPv6 address"))?;
        refuse_port(text, text.len() - behind.len())?;
        return Ok(HostPattern::Exact(format!("[{address}]")));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        let fault = Fault::new(whole, "an IPv6 address is written in brackets");
        return Err(fault.help(format!("write `[{text}]`")));
    }
    if text == "*" {
        return Err(Fault::new(whole, "`*` alone is no host pattern")
            .help("leave `hosts` out to match any host"));
    }
    refuse_port(text, text.find(':').unwrap_or(text.len()))?;
    let (wildcard, name, start) = match text.strip_prefix("*.") {
        Some(suffix) => (true, suffix, 2),
        None => (false, text, 0),
    };
    if let Some(star) = name.find('*') {
        let place = start + star..start + star + 1;
        return Err(Fault::new(place, "`*` is allowed only in front, as a whole label")
            .help("write it like `*.example.com`"));
    }
    host_name(name).map_err(|fault| Fault {
        place: start + fault.place.start..start + fault.place.end,
        ..fault
    })?;
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    Ok(if wildcard { HostPattern::Suffix(name) } else { HostPattern::Exact(name) })
}

fn refuse_port(text: &str, end: usize) -> Result<(), Fault> {
    if end == text.len() {
        return Ok(());
    }
    let fault = Fault::new(end..text.len(), "a host pattern has no port");
    Err(fault.help(format!("write `{}`", &text[..end])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_and_suffixes_in_lower_case() {
        let exact = |host: &str| Ok(HostPattern::Exact(host.to_owned()));
        assert_eq!(parse("API.Example.com"), exact("api.example.com"));
        assert_eq!(parse("example.com."), exact("example.com"));
        assert_eq!(parse("127.0.0.1"), exact("127.0.0.1"));
        assert_eq!(parse("[0:0::1]"), exact("[::1]"));
        assert_eq!(parse("*.Example.org"), Ok(HostPattern::Suffix("example.org".to_owned())));
    }

    #[test]
    fn says_where_a_host_goes_wrong() {
        let place = |text: &str| text[parse(text).expect_err(text).place].to_owned();
        assert_eq!(place("example.com:80"), ":80");
        assert_eq!(place("[::1]:80"), ":80");
        assert_eq!(place("https://example.com/x"), "https://");
        assert_eq!(place("a.*.com"), "*");
        assert_eq!(place("*a.com"), "*");
        assert_eq!(place("*"), "*");
        assert_eq!(place("*."), "");
        assert_eq!(place("::1"), "::1");
        assert_eq!(place("a/b"), "/");
        assert_eq!(place("bücher.de"), "ü");
        assert_eq!(place(""), "");
    }
}
