//! Logs browsers in by OpenID Connect: sends who has no session to the provider, takes who comes back, and
//! reports who it is as `auth` does.
//!
//! `settings` makes the plugin from its configuration. Here is what becomes of a request: one of the paths of
//! the plugin is answered, one with a session passes, and the rest is sent to log in or refused. `login`,
//! `refresh` and `logout` are the life of a session, which is in sealed cookies (`session`, `seal`, `cookies`).

mod answer;
mod client;
mod config;
mod cookies;
mod login;
mod logout;
mod provider;
mod refresh;
mod seal;
mod session;
mod settings;
mod tokens;

use std::time::Duration;

use gateway_plugin_identity::consumer::{Consumer, Policy};
use gateway_plugin_sdk::documents::Parsed;
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::answer::{is_navigation, page, with_cookies};
use crate::client::Client;
pub use crate::config::{ClientAuthentication, Config, LogoutConfig, SessionConfig};
use crate::cookies::{COOKIE, Jar, Names};
use crate::login::Failed;
use crate::logout::Logout;
use crate::provider::Metadata;
use crate::refresh::Found;
use crate::seal::Seal;
use crate::session::{Lifetimes, Session};
use crate::tokens::Verifier;

/// The configured plugin.
#[derive(Debug)]
pub struct Oidc {
    provider: Parsed<Metadata>,
    verifier: Verifier,
    client: Client,
    seal: Seal,
    names: Names,
    lifetimes: Lifetimes,
    login_time: Duration,
    redirect_uri: String,
    /// Scheme and host of that.
    origin: String,
    /// Its path.
    callback: String,
    home: String,
    logout: Logout,
    scope: String,
    parameters: Vec<(String, String)>,
    accept_consumer: bool,
    access_token_header: Option<HeaderName>,
    consumer_claim: String,
    /// The claims that sessions keep.
    kept_claims: Vec<String>,
    policy: Policy,
}

impl Plugin for Oidc {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        settings::configured(config)
    }

    fn interest(&self) -> Interest {
        // The rest is asked for where there is no session.
        let interest = Interest::on_request().path().header(&COOKIE);
        if self.accept_consumer {
            interest.attribute("consumer.id").attribute("consumer.method")
        } else {
            interest
        }
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let jar = Jar::read(request, &self.names);
        let path = request.path();
        if path == self.callback {
            return Outcome::respond(self.callback(request, &jar));
        }
        if path == self.logout.path {
            return Outcome::respond(self.log_out(request, &jar));
        }
        if self.logout.back_channel.as_deref() == Some(path) {
            return self.want_logout_token(request);
        }
        if self.accept_consumer && has_consumer(request) {
            jar.strip(request);
            self.remove_access_token(request, true);
            return Outcome::Next;
        }
        match self.session(&jar) {
            Found::Session(session, cookies) => self.admit(request, &jar, &session, cookies),
            Found::Nothing(why) => {
                if let Some(why) = why {
                    log::info!("a session is not accepted: {why}");
                }
                Outcome::respond(if is_navigation(request) {
                    self.begin(request, &jar)
                } else {
                    self.unauthorized().because(why.unwrap_or("there is no session"))
                })
            }
            Found::Unavailable(why) => Outcome::respond(self.unavailable(request, &why)),
            Found::Busy => {
                let detail = "The session is being renewed; ask again.";
                let answer = Response::service_unavailable(detail).header("retry-after", "1");
                // Browsers that show it ask again by themselves.
                Outcome::respond(answer.header("cache-control", "no-store").header("refresh", "1"))
            }
        }
    }

    fn on_request_body(&self, request: &mut Request, body: &mut Body, (): &mut ()) -> Outcome {
        if self.logout.back_channel.as_deref() != Some(request.path()) {
            return Outcome::Next;
        }
        Outcome::respond(self.take_logout_token(body))
    }
}

impl Oidc {
    /// Lets a request pass by its session.
    fn admit(
        &self,
        request: &mut Request,
        jar: &Jar,
        session: &Session,
        cookies: Vec<String>,
    ) -> Outcome {
        let scopes: Vec<&str> = session.scopes.split(' ').filter(|it| !it.is_empty()).collect();
        let admission = self.policy.admit(&Consumer {
            id: &session.consumer,
            method: "oidc",
            key_id: "",
            scopes: &scopes,
            claims: &session.claims,
            group: None,
        });
        if !self.policy.apply(&admission, request) {
            let why = "the gateway does not take the consumer's attributes";
            return Outcome::respond(self.failed(request, Failed::Here(why), &self.home));
        }
        if !admission.sufficient {
            log::info!("refused: the consumer lacks a required scope or claim");
            let detail = "Your account does not allow this.";
            let link = (&*self.logout.path, "Log out");
            let answer = page(request, 403, "Forbidden", detail, link)
                .because("the consumer lacks a required scope or claim");
            return Outcome::respond(with_cookies(answer, cookies));
        }
        jar.strip(request);
        match (&self.access_token_header, &session.access_token) {
            (Some(field), Some(token)) if *field == *"authorization" => {
                request.set_header(field, format!("Bearer {token}"));
            }
            (Some(field), Some(token)) => request.set_header(field, token.as_str()),
            _ => self.remove_access_token(request, false),
        }
        if !cookies.is_empty() {
            // No cache may give one user's cookie to another.
            request.add_response_header("cache-control", "no-store");
        }
        for cookie in cookies {
            request.add_response_header("set-cookie", cookie);
        }
        Outcome::Next
    }

    /// What a client sends must not pass for what the plugin sends. Where another plugin has verified the
    /// request, `Authorization` is that one's matter.
    fn remove_access_token(&self, request: &mut Request, is_verified: bool) {
        let field = self.access_token_header.as_ref();
        if let Some(field) = field.filter(|it| !(is_verified && **it == *"authorization")) {
            request.remove_header(field);
        }
    }

    /// The answer to what is no navigation and has no session.
    fn unauthorized(&self) -> Response {
        let challenge = format!("Cookie realm=\"{}\"", self.names.session());
        Response::unauthorized("A session is needed: log in with a browser.")
            .header("www-authenticate", challenge)
            .header("cache-control", "no-store")
    }
}

/// Whether a plugin before this one has found out who asks.
fn has_consumer(request: &Request) -> bool {
    let method = request.attribute("consumer.method");
    request.attribute("consumer.id").is_some_and(|id| !id.is_empty())
        && method.is_some_and(|method| method != "anonymous")
}

register_plugin!(Oidc);
