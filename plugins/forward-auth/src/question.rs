//! What the service is asked.
//!
//! Owns the two conventions. Nothing that a client sends can pass for what the gateway says: of the client's
//! fields only those that are configured are sent, and none of the gateway's own.

use gateway_plugin_sdk::http_client;
use gateway_plugin_sdk::prelude::{HeaderName, Interest, Request};

use crate::config::Convention;

/// Fields that the gateway writes into the question.
const OURS: [&str; 6] = [
    "host",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-proto",
    "x-forwarded-uri",
];

/// What is asked, but for the request.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) upstream: String,
    pub(crate) convention: Convention,
    pub(crate) path: String,
    pub(crate) headers: Vec<HeaderName>,
    pub(crate) timeout: std::time::Duration,
}

/// Whether a field of the client's can be sent on.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    OURS.contains(&name.as_str())
}

impl Question {
    /// Asks for all that is sent on to arrive with the request.
    pub(crate) fn declare(&self, interest: Interest) -> Interest {
        let interest = interest.method().path().query().header("host");
        let interest = ["client.address", "request.scheme", "request.host"]
            .into_iter()
            .fold(interest, Interest::attribute);
        self.headers.iter().fold(interest, Interest::header)
    }

    /// The question about a request.
    pub(crate) fn about(&self, request: &Request) -> http_client::Request {
        let attribute = |name: &str| request.attribute(name).unwrap_or_default();
        let host = request.header("host").unwrap_or_else(|| attribute("request.host"));
        let target = match request.query() {
            Some(query) => format!("{}?{query}", request.path()),
            None => request.path().to_owned(),
        };
        let asked = match self.convention {
            Convention::Forwarded => http_client::get(&*self.upstream, &*self.path)
                .header("x-forwarded-method", request.method())
                .header("x-forwarded-uri", target),
            Convention::Original => {
                let target = format!("{}{target}", self.path.trim_end_matches('/'));
                http_client::Request::new(request.method(), &*self.upstream, target)
                    .header("host", host)
            }
        };
        let asked = asked
            .header("x-forwarded-proto", attribute("request.scheme"))
            .header("x-forwarded-host", host)
            .header("x-forwarded-for", attribute("client.address"))
            .timeout(self.timeout)
            .response_limit(256 << 10);
        self.headers.iter().fold(asked, |asked, name| {
            let values = request.header_lines(name);
            values.into_iter().fold(asked, |asked, value| asked.header(name.as_str(), value))
        })
    }
}
