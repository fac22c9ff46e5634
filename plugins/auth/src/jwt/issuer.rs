//! Who issues tokens, for whom, and the name that its consumers have here.
//!
//! Owns what the configuration says of an issuer besides its keys, which are in `gateway-plugin-identity`.

use std::collections::BTreeSet;
use std::time::Duration;

use gateway_plugin_identity::consumer::check_claim;
use gateway_plugin_identity::jwt::{KeySources, Keys};
use gateway_plugin_identity::problems::{Pointer, Problems};

use crate::config::IssuerConfig;

/// Who issues tokens.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) audiences: Vec<String>,
    /// What stands for `aud` in tokens that have none.
    pub(super) audience_claim: Option<String>,
    pub(super) keys: Keys,
    pub(super) consumer_prefix: String,
}

/// Checks all issuers. A request waits so long for keys of one.
pub(super) fn all(
    configs: &[IssuerConfig],
    wait: Duration,
    at: &Pointer,
    problems: &mut Problems,
) -> Vec<Issuer> {
    if configs.is_empty() {
        problems.add(at, "no issuer is named, so no token could be admitted");
    }
    let mut names = BTreeSet::new();
    let mut issuers = Vec::with_capacity(configs.len());
    for (index, config) in configs.iter().enumerate() {
        let at = at.index(index);
        if config.issuer.is_empty() {
            problems.add(&at.key("issuer"), "must not be empty");
        }
        if !names.insert(&config.issuer) {
            problems.add(&at.key("issuer"), "is the name of another issuer");
        }
        issuers.push(Issuer::new(config, wait, &at, problems));
    }
    issuers
}

impl Issuer {
    fn new(config: &IssuerConfig, wait: Duration, at: &Pointer, problems: &mut Problems) -> Self {
        if config.audiences.is_empty() {
            let message = "no audience is named: a token for anybody must not be admitted";
            problems.add(&at.key("audiences"), message);
        }
        if config.audience_claim.as_deref().is_some_and(|claim| matches!(claim, "" | "aud")) {
            let message = "is no claim besides `aud`, such as `client_id`";
            problems.add(&at.key("audience_claim"), message);
        }
        if let Some(claim) = &config.audience_claim {
            check_claim(claim, &at.key("audience_claim"), problems);
        }
        if config.consumer_prefix.chars().any(char::is_control) {
            problems.add(&at.key("consumer_prefix"), "holds a control character");
        }
        let sources = KeySources {
            issuer: &config.issuer,
            algorithms: &config.algorithms,
            keys: &config.keys,
            jwks: config.jwks.as_ref(),
            document: config.document.as_deref(),
            wait,
        };
        Self {
            name: config.issuer.clone(),
            audiences: config.audiences.clone(),
            audience_claim: config.audience_claim.clone(),
            keys: Keys::new(sources, at, problems),
            consumer_prefix: config.consumer_prefix.clone(),
        }
    }
}
