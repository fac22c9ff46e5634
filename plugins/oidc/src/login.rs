//! The login: to the provider and back (authorization code flow with PKCE, OpenID Connect Core section 3.1).
//!
//! Owns state, nonce and verifier, which tie what comes back to the browser that was sent, and where the browser
//! ends up: on a path of the gateway that it asked for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_plugin_identity::jwt::{self, NotAdmitted};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{clock, digest, log, random};
use serde_json::{Map, Value};

use crate::Oidc;
use crate::answer::{page, redirect, with_cookies};
use crate::client::{Failure, Tokens, error_code};
use crate::cookies::Jar;
use crate::provider::{Metadata, with_parameters};
use crate::seal::Purpose;
use crate::session::{Attempt, Session, keep};
use crate::tokens::Expected;

/// The longest path with query that a browser is sent back to: the cookie must hold it.
const MAX_BACK: usize = 2_000;

const AGAIN: &str = "Log in again";

/// Why a login failed.
pub(crate) enum Failed {
    /// What came back does not belong to a login that this browser began.
    NotOurs(&'static str),
    /// The provider says so: the code of its error.
    Denied(String),
    /// What it gave cannot be trusted or used.
    Unusable(String),
    /// It cannot be asked at the moment.
    Unavailable(String),
    /// Something is wrong here.
    Here(&'static str),
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(why) => Self::Unavailable(why),
            Failure::InvalidGrant | Failure::Refused(_) => Self::Unusable(failure.to_string()),
        }
    }
}

impl From<NotAdmitted> for Failed {
    fn from(reason: NotAdmitted) -> Self {
        match reason {
            NotAdmitted::Refused(why) => Self::Unusable(why.to_owned()),
            NotAdmitted::NoKeys(why) => Self::Unavailable(why.to_owned()),
        }
    }
}

impl Oidc {
    /// Sends a browser to the provider.
    pub(crate) fn begin(&self, request: &Request, jar: &Jar) -> Response {
        let Some(metadata) = self.provider.get() else {
            return self.unavailable(request, "the discovery document was never had");
        };
        let attempt = Attempt {
            state: random_text(16),
            nonce: random_text(16),
            verifier: random_text(32),
            back: self.way_back(request),
            began: clock::now().as_secs(),
        };
        let text = serde_json::to_vec(&attempt).unwrap_or_default();
        let sealed = self.seal.seal(Purpose::Attempt, &text);
        let seconds = self.login_time.as_secs();
        let cookies =
            sealed.and_then(|it| self.names.set_attempt(&attempt.state, &it, seconds, jar));
        let Some(mut cookies) = cookies else {
            return self.failed(request, Failed::Here("the login cannot be kept"), &self.home);
        };
        cookies.extend(self.names.end_session(jar));
        let challenge = URL_SAFE_NO_PAD.encode(digest::sha256(attempt.verifier.as_bytes()));
        let own = [
            ("response_type", "code"),
            ("client_id", &*self.client.id),
            ("redirect_uri", &*self.redirect_uri),
            ("scope", &*self.scope),
            ("state", &*attempt.state),
            ("nonce", &*attempt.nonce),
            ("code_challenge", &*challenge),
            ("code_challenge_method", "S256"),
        ];
        let further = self.parameters.iter().map(|(name, value)| (&**name, &**value));
        let address = with_parameters(&metadata.authorization, own.into_iter().chain(further));
        redirect(&address, cookies)
    }

    /// The path and query that the browser asked for, if it can be sent there again.
    fn way_back(&self, request: &Request) -> String {
        let path = request.path();
        let back = match request.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        // Browsers read `//` and `/\` as the beginning of a host.
        let is_path = back.starts_with('/') && !back[1..].starts_with(['/', '\\']);
        let fits = back.len() <= MAX_BACK && back.bytes().all(|byte| byte.is_ascii_graphic());
        if is_path && fits { back } else { self.home.clone() }
    }

    /// Takes a browser that comes back.
    pub(crate) fn callback(&self, request: &Request, jar: &Jar) -> Response {
        if request.method() != "GET" {
            return Response::problem(405, "Method Not Allowed", "Browsers come back by GET.")
                .header("allow", "GET");
        }
        let attempt = match self.attempt(request, jar) {
            Ok(attempt) => attempt,
            Err(why) => return self.failed(request, Failed::NotOurs(why), &self.home),
        };
        let ended = self.names.end_attempt(&attempt.state);
        let (answer, cookies) = match self.log_in(request, jar, &attempt) {
            Ok(cookies) => (redirect(&attempt.back, cookies), ended),
            Err(failed) => (self.failed(request, failed, &attempt.back), ended),
        };
        with_cookies(answer, cookies.into_iter().collect())
    }

    /// The login that the browser comes back from.
    fn attempt(&self, request: &Request, jar: &Jar) -> Result<Attempt, &'static str> {
        let state = single(request, "state")?.ok_or("there is no `state`")?;
        let sealed = jar
            .attempt(&self.names, &state)
            .ok_or("the browser has no cookie of a login with this `state`")?;
        let opened = self.seal.open(Purpose::Attempt, sealed);
        let attempt: Option<Attempt> =
            opened.and_then(|opened| serde_json::from_slice(&opened).ok());
        let attempt = attempt.ok_or("the cookie of the login cannot be opened")?;
        if attempt.state != state {
            return Err("the `state` is not that of the login");
        }
        if clock::now().as_secs() >= attempt.began.saturating_add(self.login_time.as_secs()) {
            return Err("the login took too long");
        }
        Ok(attempt)
    }

    /// The cookies of a new session.
    fn log_in(
        &self,
        request: &Request,
        jar: &Jar,
        attempt: &Attempt,
    ) -> Result<Vec<String>, Failed> {
        let metadata = self.provider.get();
        let metadata = metadata.ok_or_else(|| {
            Failed::Unavailable("the discovery document was never had".to_owned())
        })?;
        // Another provider's answer must not be taken for this one's (RFC 9207).
        match single(request, "iss").map_err(Failed::NotOurs)? {
            Some(issuer) if issuer != self.verifier.issuer => {
                return Err(Failed::NotOurs("the answer is of another issuer"));
            }
            None if metadata.sends_issuer => {
                return Err(Failed::NotOurs("the answer does not name its issuer"));
            }
            Some(_) | None => {}
        }
        if let Some(error) = single(request, "error").map_err(Failed::NotOurs)? {
            return Err(Failed::Denied(error_code(&error)));
        }
        let code = single(request, "code").map_err(Failed::NotOurs)?;
        let code = code.ok_or(Failed::NotOurs("there is neither a code nor an error"))?;
        let tokens = self.client.tokens(
            &metadata,
            &[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", &self.redirect_uri),
                ("code_verifier", &attempt.verifier),
            ],
        )?;
        let id_token = tokens.id.as_deref();
        let id_token = id_token
            .ok_or_else(|| Failed::Unusable("the token endpoint gave no ID token".to_owned()))?;
        let expected = Expected { nonce: Some(&attempt.nonce), access_token: &tokens.access };
        let claims = self.verifier.id_token(id_token, &expected)?;
        let claims = self.with_userinfo(&metadata, &tokens, claims)?;
        let now = clock::now().as_secs();
        let session = self.new_session(&claims, &tokens, now)?;
        log::debug!("a login of {:?}", session.consumer);
        let sealed = self.sealed(&session).ok_or(Failed::Here("the session cannot be kept"))?;
        let cookies = self.names.set_session(&sealed, jar);
        let mut cookies = cookies.ok_or(Failed::Here(
            "the session is too long for cookies: keep fewer claims, or not the access token",
        ))?;
        cookies.extend(self.hint(id_token));
        Ok(cookies)
    }

    /// The claims of the ID token, and those of the userinfo endpoint that it does not have.
    fn with_userinfo(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        mut claims: Map<String, Value>,
    ) -> Result<Map<String, Value>, Failed> {
        let more = self.client.userinfo(metadata.userinfo.as_deref(), &tokens.access)?;
        let Some(more) = more else { return Ok(claims) };
        if more.get("sub").is_none() || more.get("sub") != claims.get("sub") {
            let why = "the userinfo endpoint answered about another subject";
            return Err(Failed::Unusable(why.to_owned()));
        }
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
        Ok(claims)
    }

    fn new_session(
        &self,
        claims: &Map<String, Value>,
        tokens: &Tokens,
        now: u64,
    ) -> Result<Session, Failed> {
        let unusable = |why: &str| Failed::Unusable(why.to_owned());
        let text = |name| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut session = Session {
            id: random_text(16),
            created: now,
            seen: now,
            generation: 0,
            expires: None,
            access_token: None,
            refresh_token: None,
            subject: text("sub").unwrap_or_default(),
            provider_session: text("sid"),
            consumer: jwt::consumer(claims, &self.consumer_claim).map_err(unusable)?,
            // What is granted as it was asked for need not be said (RFC 6749 section 5.1).
            scopes: self.scope.clone(),
            claims: Map::new(),
        };
        self.take_claims(&mut session, claims);
        self.take_tokens(&mut session, tokens, now);
        Ok(session)
    }

    /// Puts the claims that the configuration names into the session.
    pub(crate) fn take_claims(&self, session: &mut Session, claims: &Map<String, Value>) {
        for name in &self.kept_claims {
            keep(claims, &mut session.claims, name);
        }
    }

    /// Puts tokens into the session.
    pub(crate) fn take_tokens(&self, session: &mut Session, tokens: &Tokens, now: u64) {
        session.expires = tokens.expires_in.map(|seconds| now.saturating_add(seconds));
        if self.access_token_header.is_some() {
            session.access_token = Some(tokens.access.clone());
        }
        // A provider that does not rotate leaves the former one in force.
        if tokens.refresh.is_some() {
            session.refresh_token.clone_from(&tokens.refresh);
        }
        if let Some(scope) = &tokens.scope {
            let scopes: Vec<_> = scope.split(' ').filter(|it| is_scope(it)).collect();
            session.scopes = scopes.join(" ");
        }
    }

    /// The cookie of the ID token, if the logout needs it.
    pub(crate) fn hint(&self, id_token: &str) -> Option<String> {
        if !self.logout.provider {
            return None;
        }
        self.names.set_hint(&self.seal.seal(Purpose::Hint, id_token.as_bytes())?)
    }

    /// The answer to a login that failed. `back` is where one begins again.
    pub(crate) fn failed(&self, request: &Request, failed: Failed, back: &str) -> Response {
        let (status, title, detail) = match &failed {
            Failed::NotOurs(why) => {
                log::info!("a login is refused: {why}");
                (
                    400,
                    "Login Not Completed",
                    "This browser has not begun such a login, or too long ago.",
                )
            }
            Failed::Denied(code) => {
                log::info!("a login is refused by the provider: {code}");
                match &**code {
                    "temporarily_unavailable" | "server_error" => {
                        return self.unavailable(request, "the provider says so");
                    }
                    "access_denied" => {
                        (403, "Access Denied", "The login was not allowed at the provider.")
                    }
                    "login_required" | "interaction_required" | "consent_required" => {
                        (403, "Login Needed", "The provider wants the user to log in there first.")
                    }
                    _ => (502, "Login Failed", "The provider did not accept the login."),
                }
            }
            Failed::Unusable(why) => {
                log::warn!("a login failed: {why}");
                (502, "Login Failed", "The provider's answer cannot be used.")
            }
            Failed::Unavailable(why) => return self.unavailable(request, why),
            Failed::Here(why) => {
                log::error!("a login failed: {why}");
                (500, "Internal Server Error", "The login cannot be completed.")
            }
        };
        let why = match failed {
            Failed::NotOurs(why) | Failed::Here(why) => why.to_string(),
            Failed::Denied(code) => format!("the provider says `{code}`"),
            Failed::Unusable(why) | Failed::Unavailable(why) => why.to_string(),
        };
        page(request, status, title, detail, (back, AGAIN)).because(why)
    }

    /// The answer while the provider, or the store of what was ended, cannot be asked.
    pub(crate) fn unavailable(&self, request: &Request, why: &str) -> Response {
        log::warn!("nobody can say who it is at the moment: {why}");
        let detail = "The login service cannot be reached at the moment.";
        let link = (&*self.home, "Try again");
        let answer = page(request, 503, "Service Unavailable", detail, link);
        answer.header("retry-after", "5").because(why)
    }
}

/// The one value of a parameter of the query.
fn single(request: &Request, name: &str) -> Result<Option<String>, &'static str> {
    let mut values = request.query_pairs().filter(|(known, _)| known == name);
    let value = values.next().map(|(_, value)| value.into_owned());
    match values.next() {
        None => Ok(value),
        Some(_) => Err("a parameter is there twice"),
    }
}

fn is_scope(text: &str) -> bool {
    gateway_plugin_identity::consumer::is_scope(text)
}

/// A text of so many random bytes.
pub(crate) fn random_text(bytes: u32) -> String {
    URL_SAFE_NO_PAD.encode(random::bytes(bytes))
}
