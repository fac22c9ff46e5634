//! The end of a session: by its browser, at the provider too (OpenID Connect RP-Initiated Logout 1.0), or by
//! the provider (Back-Channel Logout 1.0).
//!
//! Owns what makes sessions end before their time: names in the key-value store, for as long as a session could
//! last. A cookie that was copied is refused with them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_plugin_identity::jwt::NotAdmitted;
use gateway_plugin_sdk::key_value::{self, KeyValueError};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{clock, digest, log};

use crate::Oidc;
use crate::answer::{button, redirect};
use crate::cookies::Jar;
use crate::provider::with_parameters;
use crate::seal::Purpose;
use crate::session::Session;

/// The longest body with a logout token, in bytes.
const MAX_BODY: u64 = 64 << 10;

/// What a logout is answered, whose details are the log's.
const NOT_ACCEPTED: &str = "The logout token is not accepted.";

/// How a session ends.
#[derive(Debug)]
pub(crate) struct Logout {
    pub(crate) path: String,
    pub(crate) provider: bool,
    pub(crate) redirect_uri: Option<String>,
    pub(crate) back_channel: Option<String>,
}

impl Oidc {
    /// Ends the session of a browser.
    pub(crate) fn log_out(&self, request: &Request, jar: &Jar) -> Response {
        if !matches!(request.method(), "GET" | "POST") {
            return Response::problem(405, "Method Not Allowed", "A logout is a GET or a POST.")
                .header("allow", "GET, POST");
        }
        if !self.is_of_this_site(request) {
            return button(200, "Log Out", &self.logout.path, "Log out");
        }
        let session = jar.session(&self.names).and_then(|sealed| self.opened(&sealed));
        if let Some(session) = session {
            log::debug!("a logout of {:?}", session.consumer);
            self.revoke(&session);
        }
        let cookies = self.names.end_session(jar);
        let own = self.logout.redirect_uri.as_deref();
        let metadata = self.provider.get().filter(|_| self.logout.provider);
        let Some(address) = metadata.as_ref().and_then(|it| it.end_session.as_deref()) else {
            return redirect(own.unwrap_or(&self.home), cookies);
        };
        let hint = jar.hint(&self.names).and_then(|it| self.seal.open(Purpose::Hint, it));
        let hint = hint.and_then(|hint| String::from_utf8(hint).ok());
        let mut parameters = vec![("client_id", &*self.client.id)];
        parameters.extend(hint.as_deref().map(|hint| ("id_token_hint", hint)));
        parameters.extend(own.map(|own| ("post_logout_redirect_uri", own)));
        redirect(&with_parameters(address, parameters), cookies)
    }

    /// Whether a page of the gateway's own host asks, or the user does. A page of another site could log the
    /// user out otherwise.
    fn is_of_this_site(&self, request: &Request) -> bool {
        match request.header("sec-fetch-site") {
            Some(site) => matches!(site, "same-origin" | "none"),
            // Browsers without this field send `Origin` with what they post.
            None if request.method() == "POST" => {
                request.header("origin").is_none_or(|origin| origin == self.origin)
            }
            None => false,
        }
    }

    /// Refuses the session from now on.
    pub(crate) fn revoke(&self, session: &Session) {
        let key = format!("ended:{}", session.id);
        if let Err(error) = key_value::set(&key, b"", Some(self.lifetimes.whole)) {
            log::error!("a copy of the session's cookie would still be accepted: {error}");
        }
    }

    /// Why the session was ended before its time, if it was.
    ///
    /// # Errors
    /// If the store, which several gateways may share, does not answer: then nobody can say.
    pub(crate) fn revoked(&self, session: &Session) -> Result<Option<&'static str>, KeyValueError> {
        if key_value::try_get(&format!("ended:{}", session.id))?.is_some() {
            return Ok(Some("the session was ended"));
        }
        if self.logout.back_channel.is_none() {
            return Ok(None);
        }
        if let Some(sid) = &session.provider_session
            && key_value::try_get(&name_of("sid", sid))?.is_some()
        {
            return Ok(Some("the provider has ended the session"));
        }
        // A login after the logout begins anew.
        let ended = key_value::try_get(&name_of("sub", &session.subject))?;
        let ended = ended.and_then(|it| std::str::from_utf8(&it).ok()?.parse::<u64>().ok());
        let is_over = ended.is_some_and(|ended| session.created <= ended);
        Ok(is_over.then_some("the provider has ended all sessions of the user"))
    }

    /// Asks for the body with the logout token, or answers.
    pub(crate) fn want_logout_token(&self, request: &mut Request) -> Outcome {
        if request.method() != "POST" {
            let answer = Response::problem(405, "Method Not Allowed", "A logout token is posted.");
            return Outcome::respond(answer.header("allow", "POST"));
        }
        let form = request.header("content-type").is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        // Without a body no hook would be called, and the request would go on.
        let length = request.header("content-length").and_then(|it| it.parse::<u64>().ok());
        if !form || length.is_none_or(|length| length == 0) {
            return Outcome::respond(
                Response::bad_request("A form with its length is wanted, with a `logout_token`.")
                    .header("cache-control", "no-store"),
            );
        }
        request.want_request_body(BodyMode::Buffered(MAX_BODY));
        Outcome::Next
    }

    /// Ends the sessions that a logout token names.
    pub(crate) fn take_logout_token(&self, body: &Body) -> Response {
        let answer = match self.back_channel(body) {
            Ok(()) => Response::new(200),
            Err(Some(NotAdmitted::Refused(why))) => {
                log::warn!("a logout token is refused: {why}");
                Response::bad_request(NOT_ACCEPTED).because(why)
            }
            Err(Some(NotAdmitted::NoKeys(why))) => {
                log::warn!("a logout token cannot be checked: {why}");
                Response::service_unavailable("The logout token cannot be checked at the moment.")
                    .header("retry-after", "5")
                    .because(why)
            }
            Err(None) => Response::service_unavailable("The logout cannot be kept at the moment.")
                .header("retry-after", "5"),
        };
        answer.header("cache-control", "no-store")
    }

    fn back_channel(&self, body: &Body) -> Result<(), Option<NotAdmitted>> {
        let refused = |why| Some(NotAdmitted::Refused(why));
        let text = body.text().map_err(|_| refused("the body is no text"))?;
        // A token has nothing that a form would encode.
        let mut named = text.split('&').filter_map(|pair| pair.strip_prefix("logout_token="));
        let (Some(token), None) = (named.next(), named.next()) else {
            return Err(refused("the body has not one `logout_token`"));
        };
        let token = self.verifier.logout_token(token)?;
        let keep = Some(self.lifetimes.whole);
        let failed = |error: KeyValueError| {
            log::error!("a logout of the provider cannot be kept: {error}");
            None
        };
        if let Some(sid) = &token.session {
            key_value::set(&name_of("sid", sid), b"", keep).map_err(failed)?;
        } else if let Some(subject) = &token.subject {
            // The latest logout counts: a token that comes again must not end sessions that began since.
            let seen = name_of("jti", &token.id);
            if key_value::set_if_absent(&seen, b"", keep).map_err(failed)? {
                // Sessions that began on the way of the token are of a login after the logout.
                let skew = self.verifier.skew as u64;
                let ended = clock::now().as_secs().min(token.issued.saturating_add(skew));
                let ended = ended.to_string();
                key_value::set(&name_of("sub", subject), ended.as_bytes(), keep).map_err(failed)?;
            }
        }
        log::info!("the provider has ended a session");
        Ok(())
    }
}

/// A key for a name of the provider's, however long that is.
fn name_of(kind: &str, name: &str) -> String {
    format!("{kind}:{}", URL_SAFE_NO_PAD.encode(digest::sha256(name.as_bytes())))
}
