//! What the request path knows about a client's connection, and the interface to it.
//!
//! Owns the facts that do not change while a connection lives, and the two traits by which the path
//! reaches the connection and, over HTTP/2, the stream of a request. Their states and their bytes belong
//! to [`crate::server`], which implements both. Must not know of routes, exchanges or plugins.

pub(crate) mod forwarded;
mod listener;
mod request_id;

use std::cell::OnceCell;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::Waker;

use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::Incoming;

pub(crate) use self::forwarded::ForwardedCache;
pub(crate) use self::listener::{ListenerKey, ListenerState, contains};
pub(crate) use self::request_id::RequestIds;
use crate::error::Cut;
use crate::http2::Received;
use crate::tls::ClientTls;
use crate::upstream::{Lease, Switched};

/// Facts that are the same for all requests of a connection.
#[derive(Debug)]
pub(crate) struct ConnectionFacts {
    pub(crate) listener: Rc<ListenerState>,
    /// The peer's address; an IPv4 address where it was mapped into IPv6.
    pub(crate) peer: SocketAddr,
    pub(crate) peer_address: IpAddr,
    pub(crate) peer_is_trusted: bool,
    pub(crate) is_tls: bool,
    pub(crate) local_port: u16,
    /// What the handshake told, where clients are asked for certificates.
    pub(crate) client_tls: OnceCell<Box<ClientTls>>,
    pub(crate) forwarded: ForwardedCache,
}

impl ConnectionFacts {
    pub(crate) fn new(listener: Rc<ListenerState>, peer: SocketAddr, local: SocketAddr) -> Self {
        let peer_address = peer.ip().to_canonical();
        let is_tls = listener.tls.is_some();
        Self {
            peer_is_trusted: listener.trusts(peer_address),
            forwarded: ForwardedCache::new(peer_address, local.port(), is_tls),
            listener,
            peer,
            peer_address,
            is_tls,
            local_port: local.port(),
            client_tls: OnceCell::new(),
        }
    }
}

/// The client as a trusted proxy describes it. Both families of fields are written from it, and the log
/// and the plugins get the same account.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) is_https: bool,
    pub(crate) host: Option<HeaderValue>,
    pub(crate) port: u16,
    pub(crate) x_forwarded_for: HeaderValue,
    pub(crate) forwarded: HeaderValue,
}

/// The client's side of an exchange: its connection.
pub(crate) trait Downstream: fmt::Debug {
    /// What does not change while it lives.
    fn facts(&self) -> &ConnectionFacts;

    /// Tests the head of the current request as it came; it is empty over HTTP/2.
    fn raw_head_has(&self, test: fn(&[u8]) -> bool) -> bool;

    /// Adds `Connection: close` to the head of a response behind which the connection ends (RFC 9112
    /// section 9.6).
    fn conclude(&self, status: StatusCode, headers: &mut HeaderMap);

    /// Ends the connection behind the current response, although the client may still be sending.
    fn refuse(&self);

    /// Why the gateway ended it in the middle of an exchange, if it did.
    fn cut(&self) -> Option<Cut>;

    /// The response body was dropped.
    fn response_gone(&self);

    /// Sends the head of an interim response, unless the client does not read at the moment.
    fn send_interim(&self, head: &[u8]);

    /// How often everything was flushed.
    fn flushes(&self) -> u64;

    /// Wakes when everything has been flushed once more.
    fn wake_when_flushed(&self, waker: &Waker);

    /// Puts trailers before the end of the chunked body that is sent now. Everything before must have
    /// been flushed.
    fn end_with_trailers(&self, trailers: Vec<u8>);

    /// Hands the connection to another protocol behind the current response.
    fn switch_to(&self, tunnel: Tunnel);

    /// The request body was read to its end, or broke off.
    fn body_ended(&self);

    /// Nobody reads the rest of the request body.
    fn body_abandoned(&self, body: Incoming);

    /// Whether the error that the request body returned only is before its end, once.
    fn take_let_go(&self) -> bool;
}

/// The stream of a request over HTTP/2.
pub(crate) trait Stream: fmt::Debug {
    /// Whether the gateway reset it because the client did not read.
    fn is_cut(&self) -> bool;

    /// Whether the next move is the client's (to read what it was sent) or the upstream's.
    fn client_is_next(&self, is: bool);

    /// Sends the head of an interim response.
    fn send_interim(&self, status: StatusCode, fields: HeaderMap);

    /// The request body is read: a client that expects a 100 gets it (RFC 9110 section 10.1.1).
    fn body_is_asked_for(&self);

    /// A frame of the request body was read.
    fn body_moved(&self);

    /// The request body was read to its end, or broke off.
    fn body_ended(&self);

    /// Nobody reads the rest of the request body.
    fn body_abandoned(&self, body: Received);

    /// The request body broke a rule: the client has its response, and is not waited for.
    fn give_up_body(&self);

    /// Whether the request is one for a tunnel (RFC 8441) to which nobody has agreed.
    fn waits_for_tunnel(&self) -> bool;

    /// Makes the stream a tunnel behind the current response.
    fn switch_to(&self, tunnel: Tunnel);
}

/// The upstream's side of a connection that changed its protocol.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) upstream: Switched,
    /// Held until the tunnel ends.
    pub(crate) exchange: Rc<dyn TunnelObserver>,
    /// The same: it counts among the requests of the upstream.
    pub(crate) lease: Lease,
}

/// Learns what passes through a tunnel.
pub(crate) trait TunnelObserver: fmt::Debug {
    /// The client sent so many bytes.
    fn tunnel_uploaded(&self, bytes: usize);

    /// The upstream sent so many bytes.
    fn tunnel_downloaded(&self, bytes: usize);

    /// Both sides are done, or one broke.
    fn tunnel_ended(&self);

    /// The gateway ended it.
    fn tunnel_cut_off(&self, cut: Cut);
}
