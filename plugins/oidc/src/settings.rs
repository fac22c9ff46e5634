//! From the configuration as it is written to the plugin, with all that is wrong at once.
//!
//! Owns what the settings mean together. It reads documents' versions and secrets, and sends nothing.

use std::time::Duration;

use gateway_plugin_identity::assertion::Assertion;
use gateway_plugin_identity::consumer::{Policy, Settings};
use gateway_plugin_identity::jwt::{KeySources, Keys};
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::time;
use gateway_plugin_sdk::documents::{self, Parsed};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{http_client, secrets};

use crate::Oidc;
use crate::client::Client;
use crate::config::{ClientAuthentication, Config};
use crate::cookies::{COOKIE, Names};
use crate::logout::Logout;
use crate::provider::{Metadata, split};
use crate::seal::{MIN_SECRET, Seal};
use crate::session::Lifetimes;
use crate::tokens::Verifier;

/// The most keys of sessions.
const MAX_KEYS: usize = 4;

/// Parameters that the plugin itself writes.
const OWN_PARAMETERS: [&str; 10] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Checks the settings.
pub(crate) fn configured(mut config: Config) -> Result<Oidc, ConfigError> {
    let mut problems = Problems::default();
    let root = Pointer::default();
    for (key, value) in [
        ("issuer", &config.issuer),
        ("client_id", &config.client_id),
        ("upstream", &config.upstream),
        ("consumer_claim", &config.consumer_claim),
    ] {
        if value.is_empty() {
            problems.add(&root.key(key), "must not be empty");
        }
    }
    let upstreams = [("upstream", Some(&config.upstream)), ("userinfo", config.userinfo.as_ref())];
    for (key, name) in upstreams {
        if let Some(name) = name.filter(|name| !name.is_empty() && !http_client::is_granted(name)) {
            let message = format!(
                "the upstream `{name}` is not granted: write `upstreams = [\"{name}\"]` beside `component`, with each that it asks"
            );
            problems.add(&root.key(key), message);
        }
    }
    let hour = Duration::from_secs(3_600);
    let mut time = |at: &Pointer, text: &str, least: Duration, most: Duration| {
        match time::duration(text) {
            Ok(time) if time < least => problems
                .add(at, format!("is shorter than {}, which is the least", time::shown(least))),
            Ok(time) if time > most => {
                problems
                    .add(at, format!("is longer than {}, which is the most", time::shown(most)));
            }
            Ok(time) => return time,
            Err(message) => problems.add(at, message),
        }
        least
    };
    let (zero, second, month) = (Duration::ZERO, Duration::from_secs(1), hour * 24 * 30);
    let session = root.key("session");
    let skew = time(&root.key("skew"), &config.skew, zero, Duration::from_secs(600));
    let login_time = time(&root.key("login_time"), &config.login_time, second, hour);
    let timeout = time(
        &root.key("timeout"),
        &config.timeout,
        Duration::from_millis(1),
        Duration::from_secs(60),
    );
    let lifetimes = Lifetimes {
        idle: time(&session.key("idle"), &config.session.idle, second, month),
        whole: time(&session.key("lifetime"), &config.session.lifetime, second, month),
        refresh_before: time(
            &session.key("refresh_before"),
            &config.session.refresh_before,
            zero,
            hour,
        ),
    };
    let keys = session_keys(&config, &mut problems);
    let (origin, callback) = redirect_uri(&config, &mut problems);
    let names = names(&config, &mut problems);
    paths(&config, &callback, &mut problems);
    for (index, scope) in config.scopes.iter().enumerate() {
        if !gateway_plugin_identity::consumer::is_scope(scope) {
            let at = root.key("scopes").index(index);
            problems.add(&at, "is no scope: visible ASCII without `\"` and `\\`");
        }
    }
    for name in config.authorization_parameters.keys() {
        if OWN_PARAMETERS.contains(&&**name) || name.is_empty() {
            let at = root.key("authorization_parameters").key(name);
            problems.add(&at, "is written by the plugin itself");
        }
    }
    let mut taken = vec![COOKIE.as_str()];
    if let Some(field) = &config.access_token_header {
        let at = root.key("access_token_header");
        if *field == *COOKIE.as_str() || *field == *"host" {
            problems.add(&at, "cannot hold the access token");
        }
        taken.push(field.as_str());
    }
    let settings = Settings {
        headers: &config.headers,
        claims_to_attributes: &config.claims_to_attributes,
        group_claim: config.group_claim.clone(),
        names_groups: config.group_claim.is_some(),
        require: config.require.take(),
    };
    let policy = Policy::new(settings, &taken, &mut problems);
    let kept_claims: Vec<_> = policy.claim_names().into_iter().map(str::to_owned).collect();
    let sources = KeySources {
        issuer: &config.issuer,
        algorithms: &config.algorithms,
        keys: &[],
        jwks: None,
        document: Some(&config.document),
        wait: timeout.min(Duration::from_secs(10)),
    };
    if let Some(index) = config.algorithms.iter().position(|name| name.starts_with("HS")) {
        let message = "takes a secret, and the provider's keys are public";
        problems.add(&root.key("algorithms").index(index), message);
    }
    let verifier = Verifier {
        keys: Keys::new(sources, &root, &mut problems),
        issuer: config.issuer.clone(),
        audiences: vec![config.client_id.clone()],
        skew: skew.as_secs_f64(),
    };
    let provider = discovery(&config, &mut problems);
    let secret = client_secret(&config, &mut problems);
    let assertion = assertion(&config, &mut problems);
    problems.finish()?;
    let Some(provider) = provider else {
        return Err(ConfigError::at("/discovery", "cannot be read"));
    };
    // What a session has in it, and for whom: a cookie of other settings is none.
    let audience = [
        &*config.issuer,
        &config.client_id,
        &config.session.cookie,
        &config.consumer_claim,
        if config.access_token_header.is_some() { "access" } else { "" },
        &kept_claims.join("\u{1}"),
    ]
    .join("\0");
    let mut scopes: Vec<&str> = config.scopes.iter().map(String::as_str).collect();
    if !scopes.contains(&"openid") {
        scopes.insert(0, "openid");
    }
    Ok(Oidc {
        provider,
        verifier,
        client: Client {
            upstream: config.upstream,
            userinfo_upstream: config.userinfo,
            id: config.client_id,
            secret,
            authentication: config.client_authentication,
            assertion,
            timeout,
        },
        seal: Seal::new(&keys, &audience),
        names,
        lifetimes,
        login_time,
        redirect_uri: config.redirect_uri,
        origin,
        callback,
        home: config.home,
        logout: Logout {
            path: config.logout.path,
            provider: config.logout.provider,
            redirect_uri: config.logout.redirect_uri,
            back_channel: config.logout.back_channel,
        },
        scope: scopes.join(" "),
        parameters: config.authorization_parameters.into_iter().collect(),
        accept_consumer: config.accept_consumer,
        access_token_header: config.access_token_header,
        consumer_claim: config.consumer_claim,
        kept_claims,
        policy,
    })
}

fn session_keys(config: &Config, problems: &mut Problems) -> Vec<String> {
    let at = Pointer::default().key("session").key("keys");
    if config.session.keys.is_empty() {
        problems.add(&at, "no key is named: sessions could not be encrypted");
    }
    if config.session.keys.len() > MAX_KEYS {
        problems.add(&at, format!("are more than {MAX_KEYS}"));
    }
    let mut keys = Vec::new();
    for (index, name) in config.session.keys.iter().enumerate() {
        let at = at.index(index);
        match secrets::get(name) {
            None => problems.add(&at, not_granted("secret", "secrets", name)),
            Some(secret) if secret.len() < MIN_SECRET => {
                let message = format!(
                    "the secret has fewer than {MIN_SECRET} bytes: `openssl rand -base64 32` makes one"
                );
                problems.add(&at, message);
            }
            Some(secret) => keys.push(secret),
        }
    }
    keys
}

fn client_secret(config: &Config, problems: &mut Problems) -> Option<String> {
    let name = config.client_secret.as_deref()?;
    let secret = secrets::get(name);
    if secret.is_none() {
        let at = Pointer::default().key("client_secret");
        problems.add(&at, not_granted("secret", "secrets", name));
    }
    secret
}

/// What signs, where that is how this client authenticates.
fn assertion(config: &Config, problems: &mut Problems) -> Option<Assertion> {
    let root = Pointer::default();
    let at = root.key("assertion");
    match (&config.assertion, config.client_authentication) {
        (Some(assertion), ClientAuthentication::PrivateKeyJwt) => {
            if config.client_secret.is_some() {
                let message = "is not for `private_key_jwt`, which has a key";
                problems.add(&root.key("client_secret"), message);
            }
            Some(Assertion::new(assertion, &config.client_id, true, &at, problems))
        }
        (None, ClientAuthentication::PrivateKeyJwt) => {
            problems.add(&at, "is missing: it names the key of `private_key_jwt`");
            None
        }
        (Some(_), _) => {
            problems.add(&at, "is for `client_authentication = \"private_key_jwt\"`");
            None
        }
        (None, _) => None,
    }
}

fn discovery(config: &Config, problems: &mut Problems) -> Option<Parsed<Metadata>> {
    let (name, issuer) = (&config.discovery, config.issuer.clone());
    let at = Pointer::default().key("discovery");
    if documents::version(name).is_none() {
        problems.add(&at, not_granted("document", "documents", name));
        return None;
    }
    if config.discovery == config.document {
        let message = "is the document of the keys, too: the keys are in one with `follow`";
        problems.add(&at, message);
    }
    Parsed::new(&**name, move |text| Metadata::parse(text, &issuer)).ok()
}

fn not_granted(kind: &str, key: &str, name: &str) -> String {
    format!(
        "is no {kind} that the plugin was granted: write `{key} = [{name:?}]` beside `component`"
    )
}

/// Origin and path of the address to which browsers come back.
fn redirect_uri(config: &Config, problems: &mut Problems) -> (String, String) {
    let at = Pointer::default().key("redirect_uri");
    let Some((origin, path)) = split(&config.redirect_uri) else {
        problems.add(&at, "is no address, such as `https://shop.example.com/oidc/callback`");
        return (String::new(), String::new());
    };
    let host = origin.strip_prefix("http://");
    let is_here = host.is_none_or(|host| {
        let name =
            if host.starts_with('[') { host.split(']').next() } else { host.split(':').next() };
        matches!(name, Some("localhost" | "127.0.0.1" | "[::1"))
    });
    if !is_here {
        problems.add(
            &at,
            "is not `https://`, and no address of this machine: cookies are for TLS only",
        );
    }
    if path == "/" || path.contains(['?', '%']) {
        problems.add(&at, "needs a path of its own, without a query");
    }
    (origin.to_owned(), path.to_owned())
}

fn names(config: &Config, problems: &mut Problems) -> Names {
    let name = &config.session.cookie;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(valid) {
        let at = Pointer::default().key("session").key("cookie");
        problems.add(&at, "is no name of a cookie: 1 to 64 letters, digits, `-` and `_`");
    }
    Names::new(name, &config.logout.path)
}

/// Checks the paths that the plugin answers, and those that browsers are sent to.
fn paths(config: &Config, callback: &str, problems: &mut Problems) {
    let root = Pointer::default();
    let logout = root.key("logout");
    let is_path = |path: &str| {
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"%?#;\\\"".contains(&byte);
        path.starts_with('/') && !path.contains("//") && path.bytes().all(plain)
    };
    let mut known = vec![callback];
    let back_channel = config.logout.back_channel.as_deref();
    let own = [
        (logout.key("path"), Some(&*config.logout.path)),
        (logout.key("back_channel"), back_channel),
    ];
    for (at, path) in own {
        let Some(path) = path else { continue };
        if !is_path(path) || path == "/" {
            problems.add(&at, "is no path of its own, such as `/oidc/logout`");
        } else if known.contains(&path) {
            problems.add(&at, "is the path of something else");
        }
        known.push(path);
    }
    if !is_path(&config.home) {
        problems.add(&root.key("home"), "is no path");
    }
    let after = config.logout.redirect_uri.as_deref();
    if after.is_some_and(|address| split(address).is_none()) {
        problems
            .add(&logout.key("redirect_uri"), "is no address, such as `https://shop.example.com/`");
    }
}
