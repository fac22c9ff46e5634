//! The session of a request: opened, still valid, with tokens that are renewed in time.
//!
//! Owns that of the requests at one moment one renews the tokens (a rotated refresh token that is used twice
//! ends the session at many providers), and that the others get what it got. Their way to each other is the
//! key-value store: a lock, and the sealed session that follows.

use std::time::Duration;

use gateway_plugin_sdk::{clock, key_value, log};

use crate::Oidc;
use crate::client::Failure;
use crate::cookies::Jar;
use crate::login::Failed;
use crate::seal::Purpose;
use crate::session::Session;
use crate::tokens::Expected;

/// For how long a browser that missed the session with renewed tokens gets it by the former one.
const KEEP_NEXT: Duration = Duration::from_secs(15 * 60);

/// Added to the time of a request: the lock must not end before it.
const LOCK_MARGIN: Duration = Duration::from_secs(5);

/// The lock while the tokens are being renewed, and after that was not possible.
const WORKING: &[u8] = b"working";
const AWAY: &[u8] = b"away";

/// What there is of a session.
pub(crate) enum Found {
    /// One, with the cookies that the browser has to be given.
    Session(Box<Session>, Vec<String>),
    /// None; why, if there was something.
    Nothing(Option<&'static str>),
    /// Nobody can say.
    Unavailable(String),
    /// Another request is about to know.
    Busy,
}

impl Oidc {
    /// The session of a request.
    pub(crate) fn session(&self, jar: &Jar) -> Found {
        let Some(sealed) = jar.session(&self.names) else { return Found::Nothing(None) };
        let Some(session) = self.opened(&sealed) else {
            return Found::Nothing(Some("the session's cookie cannot be opened"));
        };
        let now = clock::now().as_secs();
        if let Some(why) = session.over(now, &self.lifetimes) {
            return Found::Nothing(Some(why));
        }
        match self.revoked(&session) {
            Ok(None) => {}
            Ok(why) => return Found::Nothing(why),
            Err(error) => {
                return Found::Unavailable(format!("of ended sessions nothing is known: {error}"));
            }
        }
        if session.wants_refresh(now, &self.lifetimes) {
            return self.with_new_tokens(session, jar, now);
        }
        if session.access_token.is_some() && session.expired(now) {
            return Found::Nothing(Some(
                "the access token has ended, and there is no refresh token",
            ));
        }
        if session.wants_touch(now, &self.lifetimes) {
            // The browser may have missed the answer that had newer tokens.
            let next = key_value::get(&next_key(&session)).and_then(|it| self.adopted(&it));
            return self.touched(next.unwrap_or(session), jar, now);
        }
        Found::Session(Box::new(session), Vec::new())
    }

    /// Opens the text of a session.
    pub(crate) fn opened(&self, sealed: &str) -> Option<Session> {
        serde_json::from_slice(&self.seal.open(Purpose::Session, sealed)?).ok()
    }

    /// Seals a session.
    pub(crate) fn sealed(&self, session: &Session) -> Option<String> {
        self.seal.seal(Purpose::Session, &serde_json::to_vec(session).ok()?)
    }

    fn adopted(&self, next: &[u8]) -> Option<Session> {
        self.opened(std::str::from_utf8(next).ok()?)
    }

    /// The session with a cookie that says that it was seen now.
    fn touched(&self, mut session: Session, jar: &Jar, now: u64) -> Found {
        session.seen = now;
        let cookies = self.sealed(&session).and_then(|it| self.names.set_session(&it, jar));
        Found::Session(Box::new(session), cookies.unwrap_or_default())
    }

    fn with_new_tokens(&self, session: Session, jar: &Jar, now: u64) -> Found {
        let (next, lock) = (next_key(&session), lock_key(&session));
        if let Some(newer) = key_value::get(&next).and_then(|it| self.adopted(&it)) {
            return self.touched(newer, jar, now);
        }
        let time = self.client.timeout * 2 + LOCK_MARGIN;
        match key_value::set_if_absent(&lock, WORKING, Some(time)) {
            Ok(true) => {}
            Ok(false) => return self.beside_another(session, jar, now),
            Err(error) => {
                log::error!("tokens cannot be renewed: {error}");
                return self.without_new_tokens(session, now, &error.to_string());
            }
        }
        match self.renewed(&session, now) {
            Ok((newer, hint)) => {
                let sealed = self.sealed(&newer);
                let cookies = sealed.as_ref().and_then(|it| self.names.set_session(it, jar));
                let (Some(sealed), Some(mut cookies)) = (sealed, cookies) else {
                    log::error!("the session is too long for cookies with its new tokens");
                    return Found::Nothing(Some("the session cannot be kept"));
                };
                if let Err(error) = key_value::set(&next, sealed.as_bytes(), Some(KEEP_NEXT)) {
                    log::error!("other requests do not get the renewed tokens: {error}");
                }
                cookies.extend(hint);
                Found::Session(Box::new(newer), cookies)
            }
            Err(Renewal::Over) => {
                self.revoke(&session);
                Found::Nothing(Some("the provider has ended the session"))
            }
            Err(Renewal::Away(why)) => {
                // What comes within this time does not wait for the provider again.
                let _ = key_value::set(&lock, AWAY, Some(LOCK_MARGIN));
                self.without_new_tokens(session, now, &why)
            }
        }
    }

    /// What becomes of a request while another one renews the tokens of its session, or could not.
    fn beside_another(&self, session: Session, jar: &Jar, now: u64) -> Found {
        if let Some(newer) = key_value::get(&next_key(&session)).and_then(|it| self.adopted(&it)) {
            return self.touched(newer, jar, now);
        }
        if !session.expired(now) {
            return Found::Session(Box::new(session), Vec::new());
        }
        let is_away = key_value::get(&lock_key(&session)).is_some_and(|state| state == AWAY);
        if is_away {
            return Found::Unavailable("it could not be a moment ago".to_owned());
        }
        // Who is told nothing of the access token does not care that it has ended just now.
        match session.access_token {
            Some(_) => Found::Busy,
            None => Found::Session(Box::new(session), Vec::new()),
        }
    }

    fn without_new_tokens(&self, session: Session, now: u64, why: &str) -> Found {
        if session.expired(now) {
            return Found::Unavailable(why.to_owned());
        }
        log::warn!("tokens are not renewed yet: {why}");
        Found::Session(Box::new(session), Vec::new())
    }

    /// The session with new tokens, and the cookie of its ID token.
    fn renewed(&self, session: &Session, now: u64) -> Result<(Session, Option<String>), Renewal> {
        let metadata = self.provider.get();
        let metadata = metadata
            .ok_or_else(|| Renewal::Away("the discovery document was never had".to_owned()))?;
        let refresh_token = session.refresh_token.as_deref().unwrap_or_default();
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let tokens = self.client.tokens(&metadata, &form).map_err(|failure| {
            log::info!("tokens cannot be renewed: {failure}");
            match failure {
                Failure::InvalidGrant => Renewal::Over,
                Failure::Refused(why) | Failure::Unavailable(why) => Renewal::Away(why),
            }
        })?;
        let mut newer = session.clone();
        let mut hint = None;
        if let Some(id_token) = &tokens.id {
            let expected = Expected { nonce: None, access_token: &tokens.access };
            let claims = self.verifier.id_token(id_token, &expected);
            let claims = claims.map_err(|why| match Failed::from(why) {
                Failed::Unavailable(why) => Renewal::Away(why),
                Failed::Unusable(why) => {
                    log::warn!("the session ends, since its new ID token is refused: {why}");
                    Renewal::Over
                }
                Failed::NotOurs(_) | Failed::Denied(_) | Failed::Here(_) => Renewal::Over,
            })?;
            if claims.get("sub").and_then(|sub| sub.as_str()) != Some(&session.subject) {
                log::warn!("the session ends, since its new ID token is of another subject");
                return Err(Renewal::Over);
            }
            self.take_claims(&mut newer, &claims);
            hint = self.hint(id_token);
        }
        self.take_tokens(&mut newer, &tokens, now);
        newer.generation = newer.generation.wrapping_add(1);
        newer.seen = now;
        Ok((newer, hint))
    }
}

/// Why there are no new tokens.
enum Renewal {
    /// The provider gives none any more.
    Over,
    /// It cannot be asked; why.
    Away(String),
}

fn next_key(session: &Session) -> String {
    format!("next:{}:{}", session.id, session.generation)
}

fn lock_key(session: &Session) -> String {
    format!("lock:{}:{}", session.id, session.generation)
}
