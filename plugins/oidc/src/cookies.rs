//! The plugin's cookies in requests and responses (RFC 6265).
//!
//! Owns their names, their attributes, and that long ones are split. None of them reaches the upstream. What is
//! in them is sealed elsewhere.

use gateway_plugin_sdk::prelude::*;

/// The field of requests.
pub(crate) static COOKIE: HeaderName = HeaderName::from_static("cookie");

/// The longest value of one cookie: browsers take 4,096 bytes for name, value and attributes.
const MAX_PART: usize = 3_800;

/// The most cookies that a session is split into.
const MAX_PARTS: usize = 5;

/// The most logins of one browser that are under way. Others are forgotten when one more begins.
const MAX_ATTEMPTS: usize = 8;

/// The names of the cookies.
#[derive(Debug)]
pub(crate) struct Names {
    /// The session; its further parts have `.1`, `.2` behind.
    session: String,
    /// Before the beginning of the state of a login.
    attempt: String,
    /// The ID token, which only the logout needs: it has a path.
    hint: String,
    hint_path: String,
}

impl Names {
    /// The name of the session's cookie, and the path of the logout.
    pub(crate) fn new(session: &str, logout_path: &str) -> Self {
        // A cookie with a path cannot have the prefix `__Host-` (RFC 6265bis section 4.1.3.2).
        let hint = match session.strip_prefix("__Host-") {
            Some(rest) => format!("__Secure-{rest}-hint"),
            None => format!("{session}-hint"),
        };
        Self {
            session: session.to_owned(),
            attempt: format!("{session}-login-"),
            hint,
            hint_path: logout_path.to_owned(),
        }
    }

    /// The name of the session's cookie.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// The number of a part of the session: 0 for the first.
    fn part(&self, name: &str) -> Option<usize> {
        let rest = name.strip_prefix(&self.session)?;
        match rest.strip_prefix('.') {
            None => rest.is_empty().then_some(0),
            Some(number) => number.parse().ok().filter(|part| (1..MAX_PARTS).contains(part)),
        }
    }

    fn is_own(&self, name: &str) -> bool {
        self.part(name).is_some() || name.starts_with(&self.attempt) || name == self.hint
    }

    fn attempt(&self, state: &str) -> Option<String> {
        Some(format!("{}{}", self.attempt, state.get(..8)?))
    }

    /// The cookies of a session. `before` is what the browser has. `None` if it is too long.
    pub(crate) fn set_session(&self, sealed: &str, before: &Jar) -> Option<Vec<String>> {
        let count = sealed.len().div_ceil(MAX_PART).max(1);
        if count > MAX_PARTS {
            return None;
        }
        let mut lines = Vec::with_capacity(count);
        for (index, part) in sealed.as_bytes().chunks(MAX_PART).enumerate() {
            let part = String::from_utf8_lossy(part);
            lines.push(match index {
                0 => line(&self.session, &format!("{count}.{part}"), "/", ""),
                _ => line(&format!("{}.{index}", self.session), &part, "/", ""),
            });
        }
        // A longer session before this one has left parts behind.
        for (name, _) in &before.own {
            if self.part(name).is_some_and(|part| part >= count) {
                lines.push(gone(name, "/"));
            }
        }
        Some(lines)
    }

    /// The cookie of the ID token, if it fits.
    pub(crate) fn set_hint(&self, sealed: &str) -> Option<String> {
        let fits = sealed.len() <= MAX_PART;
        fits.then(|| line(&self.hint, sealed, &self.hint_path, ""))
    }

    /// The cookies of a login that begins.
    pub(crate) fn set_attempt(
        &self,
        state: &str,
        sealed: &str,
        seconds: u64,
        before: &Jar,
    ) -> Option<Vec<String>> {
        let former = before.own.iter().filter(|(name, _)| name.starts_with(&self.attempt));
        let mut lines: Vec<_> = former.map(|(name, _)| gone(name, "/")).collect();
        // Browsers send the oldest first (RFC 6265 section 5.4).
        lines.truncate((lines.len() + 1).saturating_sub(MAX_ATTEMPTS));
        let age = format!("; Max-Age={seconds}");
        lines.push(line(&self.attempt(state)?, sealed, "/", &age));
        Some(lines)
    }

    /// Takes back the cookie of a login.
    pub(crate) fn end_attempt(&self, state: &str) -> Option<String> {
        Some(gone(&self.attempt(state)?, "/"))
    }

    /// Takes back the cookies of a session.
    pub(crate) fn end_session(&self, before: &Jar) -> Vec<String> {
        let parts = before.own.iter().filter(|(name, _)| self.part(name).is_some());
        let mut lines: Vec<_> = parts.map(|(name, _)| gone(name, "/")).collect();
        if !lines.is_empty() {
            lines.push(gone(&self.hint, &self.hint_path));
        }
        lines
    }
}

fn line(name: &str, value: &str, path: &str, more: &str) -> String {
    format!("{name}={value}; Path={path}; HttpOnly; Secure; SameSite=Lax{more}")
}

fn gone(name: &str, path: &str) -> String {
    line(name, "", path, "; Max-Age=0")
}

/// The cookies of a request.
#[derive(Debug, Default)]
pub(crate) struct Jar {
    /// Those of the plugin.
    own: Vec<(String, String)>,
    /// The field without them.
    rest: Vec<u8>,
}

impl Jar {
    /// Reads the field.
    pub(crate) fn read(request: &Request, names: &Names) -> Self {
        let mut jar = Self::default();
        for line in request.header_lines(&COOKIE) {
            for pair in line.split(|byte| *byte == b';') {
                let pair = pair.trim_ascii();
                let text = std::str::from_utf8(pair).ok();
                match text.and_then(|text| text.split_once('=')) {
                    Some((name, value)) if names.is_own(name) => {
                        jar.own.push((name.to_owned(), value.to_owned()));
                    }
                    _ if pair.is_empty() => {}
                    _ => {
                        if !jar.rest.is_empty() {
                            jar.rest.extend_from_slice(b"; ");
                        }
                        jar.rest.extend_from_slice(pair);
                    }
                }
            }
        }
        jar
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.own.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The sealed session.
    pub(crate) fn session(&self, names: &Names) -> Option<String> {
        let (count, first) = self.value(&names.session)?.split_once('.')?;
        let count = count.parse::<usize>().ok().filter(|count| *count <= MAX_PARTS)?;
        let mut sealed = first.to_owned();
        for part in 1..count {
            sealed.push_str(self.value(&format!("{}.{part}", names.session))?);
        }
        Some(sealed)
    }

    /// The sealed login with this state.
    pub(crate) fn attempt(&self, names: &Names, state: &str) -> Option<&str> {
        self.value(&names.attempt(state)?)
    }

    /// The sealed ID token.
    pub(crate) fn hint(&self, names: &Names) -> Option<&str> {
        self.value(&names.hint)
    }

    /// Takes the plugin's cookies out of the request.
    pub(crate) fn strip(&self, request: &mut Request) {
        if self.own.is_empty() {
            return;
        }
        if self.rest.is_empty() {
            request.remove_header(&COOKIE);
        } else {
            request.set_header(&COOKIE, self.rest.as_slice());
        }
    }
}
