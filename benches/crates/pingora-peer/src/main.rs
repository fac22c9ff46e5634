//! The benchmarks' proxy made with Pingora: one worker, plain proxying or the chain (key, limit,
//! one request field, one response field).
//!
//!     pingora-peer plain|chain LISTEN UPSTREAM

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_limits::rate::Rate;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

const LIMIT: isize = 100_000_000;

struct Proxy {
    upstream: SocketAddr,
    chain: Option<Chain>,
}

struct Chain {
    consumers: HashMap<Vec<u8>, String>,
    rate: Rate,
}

#[async_trait]
impl ProxyHttp for Proxy {
    /// The id of the request.
    type CTX = String;

    fn new_ctx(&self) -> String {
        format!("{:032x}", rand::random::<u128>())
    }

    async fn request_filter(&self, session: &mut Session, _: &mut String) -> Result<bool> {
        let Some(chain) = &self.chain else { return Ok(false) };
        let key = session.req_header().headers.get("x-api-key");
        let Some(consumer) = key.and_then(|key| chain.consumers.get(key.as_bytes())) else {
            session.respond_error(401).await?;
            return Ok(true);
        };
        if chain.rate.observe(consumer, 1) > LIMIT {
            session.respond_error(429).await?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut String) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        id: &mut String,
    ) -> Result<()> {
        let client = session.client_addr().and_then(|it| it.as_inet()).map(|it| it.ip());
        if let Some(client) = client {
            request.insert_header("x-forwarded-for", client.to_string())?;
        }
        if let Some(host) = request.headers.get("host").cloned() {
            request.insert_header("x-forwarded-host", host)?;
        }
        request.insert_header("x-forwarded-proto", "http")?;
        request.insert_header("x-request-id", id.as_str())?;
        if self.chain.is_some() {
            request.insert_header("x-from", "gateway")?;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        id: &mut String,
    ) -> Result<()> {
        response.insert_header("x-request-id", id.as_str())?;
        if self.chain.is_some() {
            response.insert_header("x-by", "gateway")?;
        }
        Ok(())
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, listen, upstream] = arguments.as_slice() else {
        eprintln!("usage: pingora-peer plain|chain LISTEN UPSTREAM");
        std::process::exit(2);
    };
    let Ok(upstream) = upstream.parse() else {
        eprintln!("pingora-peer: {upstream} is not ADDRESS:PORT");
        std::process::exit(2);
    };
    let chain = (work == "chain").then(|| Chain {
        consumers: HashMap::from([(b"quickstart-key".to_vec(), "bench".to_owned())]),
        rate: Rate::new(Duration::from_secs(1)),
    });
    let conf = ServerConf {
        threads: 1,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Proxy { upstream, chain });
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever();
}
