//! Requests that no limit is for.
//!
//! Owns how they are told: by values of attributes, which no client writes, and by networks of addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_plugin_sdk::prelude::{ConfigError, Interest, Request};
use ipnet::IpNet;

use crate::key::Part;

/// Values of one attribute, at most.
const MOST_VALUES: usize = 64;

/// A checked table of who is exempt.
#[derive(Debug, Default)]
pub(crate) struct Exempt(Vec<(Part, Values)>);

#[derive(Debug)]
enum Values {
    Networks(Vec<IpNet>),
    Texts(Vec<String>),
}

impl Exempt {
    pub(crate) fn new(table: BTreeMap<String, Vec<String>>, errors: &mut Vec<ConfigError>) -> Self {
        let mut checked = Vec::with_capacity(table.len());
        for (name, values) in table {
            // The name as a part of a JSON Pointer (RFC 6901 section 3).
            let pointer = format!("/exempt/{}", name.replace('~', "~0").replace('/', "~1"));
            let part = match Part::parse(&name) {
                Ok(part) if part.is_of_the_client() => {
                    let message = "clients write requests as they like: who is exempt is told by an \
                                   attribute, such as `client.address`, `consumer.id` or `claim:plan`";
                    errors.push(ConfigError::at(&pointer, message));
                    continue;
                }
                Ok(part) => part,
                Err(message) => {
                    errors.push(ConfigError::at(&pointer, message));
                    continue;
                }
            };
            if !(1..=MOST_VALUES).contains(&values.len()) {
                let message = format!("there are 1 to {MOST_VALUES} values");
                errors.push(ConfigError::at(&pointer, message));
            }
            let values = match part {
                Part::Client => Values::Networks(networks(&values, &pointer, errors)),
                _ => Values::Texts(values),
            };
            checked.push((part, values));
        }
        Self(checked)
    }

    /// Asks for the attributes to arrive with the request.
    pub(crate) fn declare(&self, interest: Interest) -> Interest {
        self.0.iter().fold(interest, |interest, (part, _)| part.declare(interest))
    }

    /// By what the request is exempt, if it is.
    pub(crate) fn of(&self, request: &Request) -> Option<&str> {
        let holds = |(part, values): &&(Part, Values)| {
            part.text(request).is_some_and(|value| values.hold(value))
        };
        self.0.iter().find(holds).map(|(part, _)| part.name())
    }
}

impl Values {
    fn hold(&self, value: &str) -> bool {
        match self {
            Self::Texts(texts) => texts.iter().any(|text| text == value),
            Self::Networks(networks) => {
                // A zone (RFC 4007 section 11) names an interface of this host.
                let text = value.split_once('%').map_or(value, |(text, _)| text);
                let address = text.parse::<IpAddr>().map(|address| address.to_canonical());
                address.is_ok_and(|it| networks.iter().any(|network| network.contains(&it)))
            }
        }
    }
}

fn networks(values: &[String], pointer: &str, errors: &mut Vec<ConfigError>) -> Vec<IpNet> {
    let mut networks = Vec::with_capacity(values.len());
    for (index, text) in values.iter().enumerate() {
        match network(text) {
            Ok(network) => networks.push(network),
            Err(message) => errors.push(ConfigError::at(format!("{pointer}/{index}"), message)),
        }
    }
    networks
}

fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network = text.parse::<IpNet>().map_err(|_| {
        format!("`{text}` is no address or network; write it like 192.0.2.0/24 or 2001:db8::/32")
    })?;
    if network != network.trunc() {
        let right = network.trunc();
        return Err(format!("{text} has bits beyond its prefix; the network is {right}"));
    }
    Ok(network)
}
