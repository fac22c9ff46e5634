//! The configuration, checked.

use std::time::Duration;

use gateway_cache_policy::freshness::Heuristic;
use gateway_cache_policy::store::{Rules, SetCookie};
use gateway_cache_policy::variation::{Parameters, Variation};
use gateway_plugin_sdk::duration;
use gateway_plugin_sdk::prelude::{ConfigError, HeaderName};

use crate::config::{Config, Credentials, SetCookieSpec};

/// The longest that a request waits for another.
const MOST_WAIT: Duration = Duration::from_secs(3600);

/// What is configured.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) name: Option<String>,
    pub(crate) query: Variation,
    pub(crate) key_headers: Vec<HeaderName>,
    pub(crate) key_attributes: Vec<String>,
    pub(crate) rules: Rules,
    pub(crate) credentials: Credentials,
    /// Of what decides which responses are stored, for whom and for how long.
    pub(crate) digest: u64,
    pub(crate) may_revalidate: Option<Vec<String>>,
    pub(crate) bypass_header: Option<HeaderName>,
    pub(crate) may_bypass: Option<Vec<String>>,
    pub(crate) tag_fields: Vec<HeaderName>,
    pub(crate) collapse_wait: Duration,
    pub(crate) collapse_waiters: u32,
}

impl Settings {
    pub(crate) fn new(config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let parameters = match (config.key.query_only, config.key.query_ignore) {
            (Some(_), Some(_)) => {
                let message = "it stands beside `query_only`, which says already what counts";
                errors.push(ConfigError::at("/key/query_ignore", message));
                Parameters::AllBut(Vec::new())
            }
            (Some(names), None) => Parameters::Only(names),
            (None, names) => Parameters::AllBut(names.unwrap_or_default()),
        };
        for (index, name) in config.key.attributes.iter().enumerate() {
            if name.is_empty() || name.len() > 128 {
                let message = "an attribute has a name of 1 to 128 bytes";
                errors.push(ConfigError::at(format!("/key/attributes/{index}"), message));
            }
        }
        if config.may_bypass.is_some() && config.bypass_header.is_none() {
            let message = "without a `bypass_header` nobody can go past the cache";
            errors.push(ConfigError::at("/may_bypass", message));
        }
        let mut seconds = |place: &str, text: &str| match duration::parse(text) {
            Ok(time) => time.as_secs(),
            Err(wrong) => {
                errors.push(ConfigError::at(place, format!("`{text}` is no duration: {wrong}")));
                0
            }
        };
        let mut status_ttl = Vec::new();
        let mut no_status = Vec::new();
        for (code, ttl) in &config.status_ttl {
            let place = format!("/status_ttl/{code}");
            let lifetime = seconds(&place, ttl);
            match code.parse::<u16>() {
                Ok(status @ (200..=204 | 300..=303 | 305..=599)) => {
                    status_ttl.push((status, lifetime));
                }
                _ => no_status.push(ConfigError::at(
                    place,
                    "a status code is 200 to 599, without 205, 206 and 304, which are not stored",
                )),
            }
        }
        let heuristic_max = seconds("/heuristic_max", &config.heuristic_max);
        let rules = Rules {
            targets: config.targeted_fields.iter().map(|name| name.as_str().to_owned()).collect(),
            heuristic: (config.heuristic_percent > 0)
                .then_some(Heuristic { percent: config.heuristic_percent, most: heuristic_max }),
            default_ttl: config.default_ttl.as_deref().map(|text| seconds("/default_ttl", text)),
            status_ttl,
            max_ttl: config.max_ttl.as_deref().map(|text| seconds("/max_ttl", text)),
            stale_while_revalidate: seconds(
                "/stale_while_revalidate",
                &config.stale_while_revalidate,
            ),
            stale_if_error: seconds("/stale_if_error", &config.stale_if_error),
            set_cookie: match config.set_cookie {
                SetCookieSpec::Refuse => SetCookie::Refuse,
                SetCookieSpec::Remove => SetCookie::Remove,
                SetCookieSpec::Keep => SetCookie::Keep,
            },
            keep_stale: seconds("/keep_stale", &config.keep_stale),
        };
        let collapse_wait = match duration::parse(&config.collapse_wait) {
            Ok(time) if time <= MOST_WAIT => time,
            _ => {
                let message = "it is a duration of at most `1h`";
                errors.push(ConfigError::at("/collapse_wait", message));
                Duration::ZERO
            }
        };
        errors.extend(no_status);
        if config.default_ttl.is_some()
            && let (Some(default), Some(most)) = (rules.default_ttl, rules.max_ttl)
            && default > most
        {
            errors.push(ConfigError::at("/default_ttl", "it is longer than `max_ttl`"));
        }
        for (code, lifetime) in &rules.status_ttl {
            if rules.max_ttl.is_some_and(|most| *lifetime > most) {
                let place = format!("/status_ttl/{code}");
                errors.push(ConfigError::at(place, "it is longer than `max_ttl`"));
            }
        }
        ConfigError::collect(errors)?;
        let query = Variation { parameters, order: !config.key.query_any_order };
        Ok(Self {
            name: config.cache_status.then_some(config.name),
            query,
            key_headers: config.key.headers,
            key_attributes: config.key.attributes,
            digest: digest(&format!("{rules:?} {:?}", config.credentials)),
            rules,
            credentials: config.credentials,
            may_revalidate: config.may_revalidate,
            bypass_header: config.bypass_header,
            may_bypass: config.may_bypass,
            tag_fields: config.tag_fields,
            collapse_wait,
            collapse_waiters: config.collapse_waiters,
        })
    }
}

/// FNV-1a: the same in each process, since stored responses can outlive one. Nobody has a use for two settings of one digest.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Whether somebody is on a list of consumers and groups.
pub(crate) fn is_listed(list: Option<&Vec<String>>, id: Option<&str>, group: Option<&str>) -> bool {
    let is = |name: &String| Some(name.as_str()) == id || Some(name.as_str()) == group;
    list.is_none_or(|names| names.iter().any(|name| !name.is_empty() && is(name)))
}
