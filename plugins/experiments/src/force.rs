//! Variants that testers force, by a text that the operator signed: `EXPERIMENT:VARIANT:EXPIRES:SIGNATURE`, several with
//! commas between. EXPIRES is in seconds since 1970, SIGNATURE is HMAC-SHA-256 of what stands before its colon, in hex.

use std::time::Duration;

use gateway_plugin_sdk::prelude::{ConfigError, HeaderName, Interest, Request};
use gateway_plugin_sdk::signature::{Algorithm, VerifyingKey};
use gateway_plugin_sdk::source::cookie;
use gateway_plugin_sdk::{log, secrets};

use crate::config::ForceSpec;

/// The most that one request forces.
const MOST: usize = 20;

/// Where forced variants are looked for, and the key that verifies them.
#[derive(Debug)]
pub(crate) struct Force {
    key: VerifyingKey,
    header: Option<HeaderName>,
    cookie: Option<String>,
}

fn key(name: &str) -> Result<VerifyingKey, ConfigError> {
    let Some(secret) = secrets::get(name) else {
        let error = ConfigError::at("/force/secret", "the plugin is not granted the secret");
        return Err(error.help(format!("write `secrets = [{name:?}]` beside `component`")));
    };
    VerifyingKey::from_secret(Algorithm::Hs256, secret.as_bytes()).map_err(|error| {
        let help = "make one of at least 32 bytes: `openssl rand -hex 32`";
        ConfigError::at("/force/secret", error.to_string()).help(help)
    })
}

impl Force {
    pub(crate) fn new(spec: ForceSpec) -> Result<Self, ConfigError> {
        let nowhere = spec.header.is_none() && spec.cookie.is_none();
        let nowhere = nowhere.then(|| {
            let error = ConfigError::at("/force", "nothing can have the signed text");
            error.help("add `header = \"x-variant\"` or `cookie = \"variant\"`")
        });
        match (nowhere, key(&spec.secret)) {
            (None, Ok(key)) => Ok(Self { key, header: spec.header, cookie: spec.cookie }),
            (Some(error), Err(other)) => Err(error.join(other)),
            (Some(error), Ok(_)) | (None, Err(error)) => Err(error),
        }
    }

    pub(crate) fn interest(&self, interest: Interest) -> Interest {
        let interest = self.header.iter().fold(interest, Interest::header);
        if self.cookie.is_some() { interest.header("cookie") } else { interest }
    }

    /// Pairs of experiment and variant that are signed and not over. The field is removed.
    pub(crate) fn take(&self, request: &mut Request, now: Duration) -> Vec<(String, String)> {
        let of_cookie = self.cookie.as_ref().and_then(|name| cookie(request, name));
        let of_header = self.header.as_ref().and_then(|name| request.header(name));
        let texts =
            of_header.into_iter().chain(of_cookie).flat_map(|text| text.split(',')).take(MOST);
        let forced: Vec<_> = texts.filter_map(|text| self.verified(text.trim(), now)).collect();
        if let Some(header) = &self.header
            && request.header(header).is_some()
        {
            request.remove_header(header);
        }
        forced
    }

    fn verified(&self, text: &str, now: Duration) -> Option<(String, String)> {
        let (signed, signature) = text.rsplit_once(':')?;
        let mut parts = signed.split(':');
        let (experiment, variant) = (parts.next()?, parts.next()?);
        let expires: u64 = parts.next()?.parse().ok()?;
        if parts.next().is_some() || !self.key.verify(signed.as_bytes(), &hex(signature)?) {
            log::debug!("a forced variant is not signed by the secret");
            return None;
        }
        if expires <= now.as_secs() {
            log::debug!("a forced variant is over");
            return None;
        }
        Some((experiment.to_owned(), variant.to_owned()))
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2));
    digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}
