//! Lets requests in, or refuses them, by the address of their client.
//!
//! `config` is what is written in the file, `networks` finds the most specific network that holds an
//! address, and `lists` has those of documents. Who the client is, behind trusted proxies, is decided by the gateway: the plugin reads the
//! attribute `client.address`.

mod config;
mod lists;
mod networks;

use std::time::Duration;

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

pub use config::{Config, OnUnavailable};
use lists::Lists;
use networks::{Found, Networks};

/// The address of the client, as the gateway knows it.
const ADDRESS: &str = "client.address";

/// The attribute with the network that decided, for access logs and later hooks.
const MATCHED: &str = "ip.matched";

/// For how long the gateway may decide the same without a call.
const REUSE: Duration = Duration::from_secs(60);

/// The plugin, configured.
#[derive(Debug)]
pub struct Ip {
    networks: Networks,
    lists: Lists,
    on_unavailable: OnUnavailable,
    /// What becomes of an address that no network holds.
    is_open: bool,
    status: u16,
    dry_run: bool,
}

impl Plugin for Ip {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let is_open = config.allow.is_empty() && config.allow_documents.is_empty();
        if is_open && config.deny.is_empty() && config.deny_documents.is_empty() {
            errors.push(ConfigError::new(
                "`allow` or `deny` has at least one network, or a document is named",
            ));
        }
        if !(400..=499).contains(&config.status) {
            errors.push(ConfigError::at("/status", "a refusal has a status from 400 to 499"));
        }
        let (networks, found) = Networks::new(&config.allow, &config.deny);
        errors.extend(found);
        let no_documents = config.allow_documents.is_empty() && config.deny_documents.is_empty();
        if config.on_unavailable.is_some() && no_documents {
            let error = ConfigError::at(
                "/on_unavailable",
                "says what becomes of requests without a document, and none is named",
            );
            errors.push(error.help("leave it out, or name `deny_documents` or `allow_documents`"));
        }
        let lists = Lists::new(&config.allow_documents, &config.deny_documents, &mut errors);
        ConfigError::collect(errors)?;
        Ok(Self {
            networks,
            lists,
            on_unavailable: config.on_unavailable.unwrap_or_default(),
            is_open,
            status: config.status,
            dry_run: config.dry_run,
        })
    }

    fn interest(&self) -> Interest {
        Interest::on_request().attribute(ADDRESS).never_waits()
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let address = request.attribute(ADDRESS).unwrap_or_default();
        let mut found = self.networks.find(address);
        if !self.lists.are_none() {
            let is_whole = self.lists.add_to(&mut found, address);
            if !is_whole && self.on_unavailable == OnUnavailable::Closed && !self.dry_run {
                let why = format!(
                    "a document of networks was never had: nobody knows whether {address} is let in"
                );
                // That it cannot be had is a warning of the gateway's, once; this is a line for each request.
                log::debug!("{why}");
                return Outcome::respond(unavailable().because(why));
            }
        }
        let (allows, network) = match &found {
            Found::Network { allows, network } => (*allows, Some(network.to_string())),
            Found::None => (self.is_open, None),
            // Not an address at all: nobody can have meant to allow it.
            Found::NotAnAddress => (false, None),
        };
        let by = network.as_deref().unwrap_or("no network of `allow`");
        let why = (!allows).then(|| format!("{address}: {by}"));
        if let Some(why) = &why {
            let verb = if self.dry_run { "would refuse" } else { "refuses" };
            log::info!("{verb} {why}");
        }
        if let Some(network) = &network
            && request.set_attribute(MATCHED, network).is_err()
        {
            log::warn!("no room for the attribute {MATCHED}");
        }
        if allows || self.dry_run {
            request.reuse_for(REUSE);
            return Outcome::Next;
        }
        Outcome::respond(refusal(self.status).because(why.unwrap_or_default()))
    }
}

/// The reason is in the log, and not in the answer.
fn refusal(status: u16) -> Response {
    let detail = "Requests from this address are not served here.";
    match status {
        403 => Response::forbidden(detail),
        404 => Response::not_found("There is nothing here."),
        other => Response::problem(other, "Refused", detail),
    }
}

/// Nothing was decided.
fn unavailable() -> Response {
    let detail = "Who may ask cannot be checked at the moment.";
    Response::service_unavailable(detail).header("retry-after", "1")
}

register_plugin!(Ip);
