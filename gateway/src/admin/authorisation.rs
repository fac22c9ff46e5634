//! Who may ask.
//!
//! Owns three checks: `Host` and `Origin`, so that no page of another origin gets anything through the
//! browser of somebody who runs the gateway, and the token. Must not know what is asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use http::uri::Authority;
use http::{HeaderName, StatusCode, Uri};

use super::call::Refusal;
use crate::config;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Between two lines in the log about requests without the token.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Refuses what a browser sends on behalf of a page that is not the gateway's own.
///
/// # Errors
/// 400 for a request of several hosts, 421 for a name that is not the listener's, 403 for another origin.
pub(super) fn origin(admin: &config::Admin, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = host(uri, headers)?;
    if let Some(host) = &host
        && !is_own(admin, host.host())
    {
        let detail = "the admin API is not asked for by this `Host`: it takes its address, `localhost`, and \
                      the names in `hosts` of `[admin]`";
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    let foreign = || Refusal::new(StatusCode::FORBIDDEN, "pages of other origins may not ask");
    let scheme = if admin.tls.is_some() { "https" } else { "http" };
    let own = host.map(|host| format!("{scheme}://{host}"));
    let is_ours = |origin: &http::HeaderValue| {
        own.as_deref().is_some_and(|own| origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()))
    };
    if !headers.get_all(ORIGIN).iter().all(is_ours) {
        return Err(foreign());
    }
    let is_direct = |site: &http::HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if !headers.get_all(SEC_FETCH_SITE).iter().all(is_direct) {
        return Err(foreign());
    }
    Ok(())
}

/// The host that is asked; none where the request has none, which no browser sends.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, Refusal> {
    let bad = || Refusal::bad("a request has one `Host`, with a host and perhaps a port");
    let mut lines = headers.get_all(HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err(bad());
    }
    let named = match line {
        None => None,
        Some(line) => {
            let text = line.to_str().map_err(|_| bad())?;
            let named = text.parse::<Authority>().map_err(|_| bad())?;
            if text.contains('@') {
                return Err(bad());
            }
            Some(named)
        }
    };
    // A target in the absolute form names the host itself (RFC 9112 section 3.2.2).
    Ok(uri.authority().cloned().or(named))
}

/// Whether the listener is known by this host.
fn is_own(admin: &config::Admin, host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    if admin.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
        return true;
    }
    let address = host.parse::<IpAddr>().ok().map(|it| it.to_canonical());
    let own = admin.address.ip().to_canonical();
    if admin.is_local() {
        let is_loopback = address.is_some_and(|it| it == own || it.is_loopback());
        return is_loopback || host.eq_ignore_ascii_case("localhost");
    }
    // Elsewhere only the token counts, unless the file names the hosts: an address has many names.
    admin.hosts.is_empty() || address == Some(own)
}

/// Refuses a request without the token, where there is one. Returns who asks, for the audit log.
///
/// # Errors
/// 401.
pub(super) fn token(admin: &config::Admin, headers: &HeaderMap) -> Result<&'static str, Refusal> {
    let Some(wanted) = admin.token else { return Ok("loopback") };
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = lines.next().filter(|_| lines.next().is_none());
    let shown = line.and_then(|line| bearer(line.as_bytes()));
    // Digests have one length, so that the time says nothing about the token.
    let is_it = shown.is_some_and(|token| {
        let shown = digest(&SHA256, token);
        verify_slices_are_equal(shown.as_ref(), &wanted.0).is_ok()
    });
    if is_it {
        return Ok("token");
    }
    let detail = match line {
        None => "a token is asked for: `Authorization: Bearer TOKEN`",
        Some(_) => "this is not the token",
    };
    Err(Refusal::new(StatusCode::UNAUTHORIZED, detail))
}

/// The token in `Bearer TOKEN` (RFC 6750 section 2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// Requests without the token.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Failures {
    /// Counts one, and says so in the log once in a while.
    pub(super) fn count(&self, peer: SocketAddr) {
        let failures = self.count.fetch_add(1, Relaxed) + 1;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|at| at.elapsed() < TOLD_EVERY) {
            return;
        }
        *told = Some(Instant::now());
        drop(told);
        tracing::warn!(%peer, failures,
            "a request to the admin API without its token was refused. This is told every 10 seconds at most");
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::config::TokenDigest;

    fn admin(address: &str) -> config::Admin {
        config::Admin {
            address: address.parse().unwrap(),
            address_span: 0..0,
            tls: None,
            token: None,
            hosts: vec!["gateway.internal".to_owned()],
            audit: None,
        }
    }

    fn asked(admin: &config::Admin, fields: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::try_from(*value).unwrap());
        }
        match origin(admin, &Uri::from_static("/"), &headers) {
            Ok(()) => 200,
            Err(refusal) => refusal.status.as_u16(),
        }
    }

    #[test]
    fn a_loopback_listener_has_few_names() {
        let admin = admin("127.0.0.1:9901");
        let own = [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:9901",
            "[::1]:2",
            "gateway.internal",
            "localhost.",
        ];
        for host in own {
            assert_eq!(asked(&admin, &[("host", host)]), 200, "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:9901", "10.0.0.1"]
        {
            assert_eq!(asked(&admin, &[("host", host)]), 421, "{host}");
        }
        assert_eq!(asked(&admin, &[("host", "a@localhost")]), 400);
        assert_eq!(asked(&admin, &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(asked(&admin, &[]), 200, "no browser");
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost"))]);
        let absolute = origin(&admin, &Uri::from_static("http://evil.example/"), &headers);
        assert_eq!(absolute.unwrap_err().status, 421);
    }

    #[test]
    fn other_origins_get_nothing() {
        let admin = admin("127.0.0.1:9901");
        let host = ("host", "localhost:9901");
        let own = ("origin", "http://localhost:9901");
        assert_eq!(asked(&admin, &[host, own, ("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(asked(&admin, &[host, ("sec-fetch-site", "none")]), 200);
        for (name, value) in [
            ("origin", "null"),
            ("origin", "https://localhost:9901"),
            ("origin", "http://localhost:3000"),
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(asked(&admin, &[host, (name, value)]), 403, "{name}: {value}");
        }
        assert_eq!(asked(&admin, &[host, own, ("origin", "null")]), 403);
        assert_eq!(asked(&admin, &[own]), 403, "an origin without a host");
    }

    #[test]
    fn the_token_is_the_one_of_the_digest() {
        let mut admin = admin("10.0.0.1:9901");
        let ask = |admin: &config::Admin, value: Option<&str>| {
            let value = value.map(|value| (AUTHORIZATION, HeaderValue::try_from(value).unwrap()));
            token(admin, &HeaderMap::from_iter(value)).map_err(|refusal| refusal.status.as_u16())
        };
        assert_eq!(ask(&admin, None), Ok("loopback"));
        let wanted = digest(&SHA256, b"a secret");
        admin.token = Some(TokenDigest(wanted.as_ref().try_into().unwrap()));
        assert_eq!(ask(&admin, Some("bearer a secret")), Ok("token"));
        for wrong in
            ["Bearer a secre", "Bearer a secret2", "Bearer ", "Bearer", "Basic a secret", ""]
        {
            assert_eq!(ask(&admin, Some(wrong)), Err(401), "{wrong}");
        }
        assert_eq!(ask(&admin, None), Err(401));
    }
}
