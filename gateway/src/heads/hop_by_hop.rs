//! Fields that end at this hop (RFC 9110 section 7.6.1).

use http::header::{
    CONNECTION, Entry, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// One look over the fields, since most responses have none of them but `Connection`. Says whether one is `Trailer`.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) -> bool {
    let mut nominates = false;
    let mut announces = false;
    let mut others = false;
    for name in headers.keys() {
        match *name {
            CONNECTION => nominates = true,
            TRAILER => announces = true,
            TRANSFER_ENCODING | UPGRADE | TE => others = true,
            ref name => others |= *name == KEEP_ALIVE || *name == PROXY_CONNECTION,
        }
    }
    if nominates {
        strip_nominated(headers);
    }
    if others {
        for name in [TRANSFER_ENCODING, UPGRADE, TE, KEEP_ALIVE, PROXY_CONNECTION] {
            headers.remove(name);
        }
    }
    announces
}

/// Removes `Connection` and each field that it names.
pub(crate) fn strip_nominated(headers: &mut HeaderMap) {
    let Entry::Occupied(connection) = headers.entry(CONNECTION) else {
        return;
    };
    if connection.iter().all(nominates_nothing) {
        connection.remove();
        return;
    }
    let (_, nominated) = connection.remove_entry_mult();
    let nominated: Vec<HeaderValue> = nominated.collect();
    for name in nominated.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        // Without these a message means something else; naming them is an attack.
        if let Ok(name) = HeaderName::from_bytes(name.trim_ascii())
            && name != http::header::HOST
            && name != http::header::CONTENT_LENGTH
        {
            headers.remove(name);
        }
    }
}

/// The everyday members of `Connection` are no fields that a message has.
fn nominates_nothing(connection: &HeaderValue) -> bool {
    let value = connection.as_bytes();
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}
