//! A question to `[admin]` of a running gateway.
//!
//! Owns the way there: HTTP/1.1 in clear, one connection a question, as the listener wants it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use gateway::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the gateway is asked.
#[derive(Debug)]
pub(super) struct Admin {
    /// `host:port`
    authority: String,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Admin {
    /// The one at this URL, or at this host and port.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence.
    pub(super) fn of(url: &str) -> Result<Self, String> {
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some((scheme, _)) => {
                return Err(format!("`[admin]` speaks http, and not {scheme}: `{url}`"));
            }
            None => url,
        };
        let authority = rest.trim_end_matches('/');
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() || authority.contains(['/', '@', '?', '#']) {
            return Err(format!(
                "`{url}` is not the URL of an `[admin]`: write it like `http://127.0.0.1:9901`"
            ));
        }
        Ok(Self { authority: authority.to_owned() })
    }

    /// The one of this machine that has this address.
    pub(super) fn at(mut address: SocketAddr) -> Self {
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        Self { authority: address.to_string() }
    }

    /// Asks.
    ///
    /// # Errors
    /// Why there is no answer, in one sentence; what the gateway says of a question that it refuses.
    pub(super) fn get(&self, target: &str) -> Result<Value, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let asked =
            runtime.block_on(async { tokio::time::timeout(PATIENCE, self.exchange(target)).await });
        let authority = &self.authority;
        let (status, text) = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return Err(format!("no gateway answers at http://{authority}: {error}"));
            }
            Err(_) => return Err(format!("the gateway at http://{authority} does not answer")),
        };
        let read = serde_json::from_slice::<Value>(&text);
        match (status, read) {
            (StatusCode::OK, Ok(answer)) => Ok(answer),
            (_, Ok(problem)) if problem["detail"].is_string() => {
                Err(problem["detail"].as_str().unwrap_or_default().to_owned())
            }
            (status, _) => Err(format!(
                "http://{authority} answers {status}: is it `[admin]` of a gateway that keeps records?"
            )),
        }
    }

    async fn exchange(&self, target: &str) -> Result<(StatusCode, Vec<u8>), Failed> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(target).header("host", &self.authority).body(Body::empty())?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, Failed>((status, body.to_vec()))
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            answered = &mut exchange => answered,
            ended = &mut connection => {
                ended?;
                exchange.await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls_and_addresses() {
        for url in ["http://127.0.0.1:9901", "http://127.0.0.1:9901/", "127.0.0.1:9901"] {
            assert_eq!(Admin::of(url).map(|it| it.authority), Ok("127.0.0.1:9901".to_owned()));
        }
        for url in ["https://a:1", "http://a", "a", "http://a:b", "http://a:1/b", "http://u@a:1"] {
            assert!(Admin::of(url).is_err(), "{url}");
        }
        let any = "[::]:9901".parse().expect("an address");
        assert_eq!(Admin::at(any).authority, "[::1]:9901");
    }
}
