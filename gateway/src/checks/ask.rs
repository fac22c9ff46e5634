//! One check: what is sent to a target, and which answer is a good one.
//!
//! Owns the three kinds. Requests go through the gateway's own client, with the TLS and the protocol of the
//! upstream, and each check over a connection that may be kept. Must not judge what a failure means.

use std::pin::pin;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use http_body::Body as _;

use crate::body::Body;
use crate::config::{CheckKind, HealthCheck, HostPolicy, Upstream, UpstreamId, UpstreamProtocol};
use crate::names::Names;
use crate::timer::Timers;
use crate::upstream::{SetupError, Upstreams};

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("gateway-health/", env!("CARGO_PKG_VERSION")));

/// Bytes of an answer that are read; of what is longer the connection is closed.
const READ: usize = 64 << 10;

/// What asks one target.
pub(super) struct Target<'c> {
    check: &'c HealthCheck,
    upstreams: Upstreams,
}

impl<'c> Target<'c> {
    pub(super) fn new(
        upstream: &'c Upstream,
        check: &'c HealthCheck,
        names: &Names,
        timers: &Timers,
    ) -> Result<Self, SetupError> {
        let mut one = Upstream { health: None, ..upstream.clone() };
        if matches!(check.kind, CheckKind::Grpc { .. }) {
            one.protocol = UpstreamProtocol::Http2;
        }
        let upstreams = Upstreams::new(std::slice::from_ref(&one), names, timers)?;
        Ok(Self { check, upstreams })
    }

    /// Asks it; an error says what is wrong with the answer.
    pub(super) async fn ask(&self) -> Result<(), String> {
        match &self.check.kind {
            CheckKind::Tcp => {
                let reached = self.upstreams.upstream(UpstreamId(0)).reach().await;
                reached.map_err(|error| format!("cannot connect: {error}"))
            }
            CheckKind::Http { path, statuses } => {
                let mut request = Request::new(Body::empty());
                *request.uri_mut() = path.clone().into();
                let (status, _, _) = self.send(request).await?;
                let passes = match statuses {
                    Some(statuses) => statuses.contains(&status.as_u16()),
                    None => status.is_success(),
                };
                if passes { Ok(()) } else { Err(format!("the status is {}", status.as_u16())) }
            }
            CheckKind::Grpc { service } => self.ask_grpc(service).await,
        }
    }

    /// The standard protocol of gRPC (grpc.health.v1): the request has the name of the service in field 1,
    /// the response a status in field 1, of which 1 is `SERVING`.
    async fn ask_grpc(&self, service: &str) -> Result<(), String> {
        let mut request = Request::new(Body::full(framed(service)));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = http::Uri::from_static("/grpc.health.v1.Health/Check");
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let (status, headers, body) = self.send(request).await?;
        if status != StatusCode::OK {
            return Err(format!("the status is {}", status.as_u16()));
        }
        match headers.get("grpc-status").map(HeaderValue::as_bytes) {
            Some(b"0") => {}
            Some(b"12") => return Err("it does not know grpc.health.v1.Health".to_owned()),
            Some(b"5") => return Err("it does not know the service".to_owned()),
            other => {
                let other = other.map_or("none".into(), String::from_utf8_lossy);
                return Err(format!("its grpc-status is {other}"));
            }
        }
        match serving_status(&body) {
            Some(1) => Ok(()),
            Some(2) => Err("it says NOT_SERVING".to_owned()),
            Some(3) => Err("it says SERVICE_UNKNOWN".to_owned()),
            _ => Err("it says UNKNOWN".to_owned()),
        }
    }

    /// The status, the fields with trailers, and the body as far as it is read.
    async fn send(
        &self,
        mut request: Request<Body>,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), String> {
        request.headers_mut().insert(USER_AGENT, AGENT);
        let upstream = self.upstreams.upstream(UpstreamId(0));
        let answered = upstream.send(&mut request, &HostPolicy::Target).await;
        let answered = answered.map_err(|error| error.to_string())?;
        let (head, body) = answered.response.into_parts();
        let (mut headers, mut read) = (head.headers, Vec::new());
        // The connection has served this check when the body has come.
        let _lease = answered.lease;
        let mut body = pin!(body);
        while let Some(frame) =
            std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
        {
            let frame = frame.map_err(|error| format!("its answer broke off: {error}"))?;
            match frame.into_data() {
                Ok(data) if read.len() + data.len() <= READ => read.extend_from_slice(&data),
                Ok(_) => break,
                Err(frame) => headers.extend(frame.into_trailers().into_iter().flatten()),
            }
        }
        Ok((head.status, headers, read))
    }
}

/// A message of gRPC: no compression, its length, and the name in field 1.
fn framed(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(&message);
    frame.into()
}

/// Field 1 of the message in a frame; 0 where it is not there, as it is for the default.
fn serving_status(frame: &[u8]) -> Option<u8> {
    let message = frame.get(5..)?;
    match message {
        [] => Some(0),
        [0x08, status, ..] if *status < 0x80 => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_grpc_are_framed_and_read() {
        assert_eq!(&framed("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&framed("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = "s".repeat(200);
        assert_eq!(framed(&long)[5..8], [0x0a, 0xc8, 1]);
        assert_eq!(serving_status(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(serving_status(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(serving_status(&[0, 0]), None);
    }
}
