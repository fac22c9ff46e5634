//! Caches responses as RFC 9111 has it for shared caches.
//!
//! The rules are a crate of their own, `gateway-cache-policy`, and the store is the gateway's. This plugin brings them
//! together: `asked` makes the key of a request and what its hooks tell each other, `looking` answers it from what is
//! stored or sends it on, `answering` confirms, stores or passes on the response, and `tags` are the names by which it is
//! purged. `config` is what is written in the file and `settings` what is checked of it. An instance remembers
//! nothing about requests but which keys were of no use lately (`useless`).

mod answering;
mod asked;
mod config;
mod looking;
mod settings;
mod tags;
mod useless;

use gateway_plugin_sdk::prelude::*;

pub use asked::Progress;
use asked::{Asked, READ, VARIANTS};
pub use config::{Config, Credentials, KeySpec, SetCookieSpec};
use settings::Settings;
use useless::Useless;

/// Fields of requests for another protocol.
const UPGRADES: [&str; 2] = ["upgrade", "sec-websocket-key"];

/// The plugin, configured.
#[derive(Debug)]
pub struct Cache {
    settings: Settings,
    useless: Useless,
}

impl Plugin for Cache {
    type Config = Config;
    type Context = Progress;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { settings: Settings::new(config)?, useless: Useless::default() })
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::on_request().method().path().query().and_on_response();
        for name in READ.into_iter().chain(UPGRADES) {
            interest = interest.header(name);
        }
        let settings = &self.settings;
        for name in settings.key_headers.iter().chain(&settings.bypass_header) {
            interest = interest.header(name);
        }
        for name in [
            "request.scheme",
            "request.host",
            "request.has-body",
            "route.name",
            "route.splits",
            "upstream.name",
            "listener.name",
            "consumer.id",
            "consumer.group",
            VARIANTS,
        ] {
            interest = interest.attribute(name);
        }
        for name in &settings.key_attributes {
            interest = interest.attribute(name);
        }
        interest
    }

    fn on_request(&self, request: &mut Request, progress: &mut Progress) -> Outcome {
        // The key has nothing of a body, and a connection that changes its protocol is no response.
        let is_odd = |request: &Request| {
            request.attribute("request.has-body") == Some("true")
                || UPGRADES.iter().any(|name| request.header_bytes(name).is_some())
        };
        if matches!(request.method(), "GET" | "HEAD") && is_odd(request) {
            return Outcome::Next;
        }
        let mut asked = Asked::new(request, &self.settings);
        match request.method() {
            "GET" | "HEAD" => self.look(request, asked, progress),
            "OPTIONS" | "TRACE" | "CONNECT" => Outcome::Next,
            _ => {
                asked.keep_url(request);
                progress.0 = Some(Box::new(asked));
                Outcome::Next
            }
        }
    }

    fn on_response(&self, response: &mut ResponseHead, progress: &mut Progress) -> Outcome {
        if let Some(asked) = progress.0.take() {
            self.answer(response, *asked);
        }
        Outcome::Next
    }
}

register_plugin!(Cache);
