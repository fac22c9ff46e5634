//! What usage costs.
//!
//! Owns where a price comes from: the deployment's own, or the document of prices. The arithmetic is exact and not here.

use std::collections::HashMap;

use gateway_model_protocols::json::Raw;
use gateway_model_protocols::price::{Row, of_own, own_names, public_rows};
use gateway_model_protocols::usage::Usage;
use gateway_plugin_sdk::documents::{Fault, FirstFaults, Parsed};
use gateway_plugin_sdk::prelude::ConfigError;

use serde_json::{Map, Value};

use crate::catalog::{Deployment, distance};

/// Faults of a table of prices that are told.
const MAX_FAULTS: usize = 20;

/// What a deployment's tokens cost.
#[derive(Debug)]
pub(crate) struct Price(Row);

impl Price {
    /// That of the table `price`, if nothing is wrong with it.
    pub(crate) fn at(
        spec: &Map<String, Value>,
        at: &dyn Fn(&str) -> String,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let found = Self::new(spec).map_err(|(key, message)| {
            let at = match key.is_empty() {
                true => at("price"),
                false => at(&format!("price/{}", key.replace('.', "/"))),
            };
            errors.push(ConfigError::at(at, message));
        });
        found.ok()
    }

    /// The price, or which key is wrong, with dots between keys, and why.
    fn new(spec: &Map<String, Value>) -> Result<Self, (String, String)> {
        let json = serde_json::to_vec(spec).map_err(|error| (String::new(), error.to_string()))?;
        of_own(&json).map(Self).map_err(|fault| {
            let key = fault.path.rsplit('.').next().unwrap_or_default();
            let message = match meant(key) {
                Some(name) => format!("`{key}` {}; did you mean `{name}`?", fault.reason),
                None => format!("`{key}` {}, as in `\"0.15\"`", fault.reason),
            };
            (fault.path, message)
        })
    }
}

/// Where prices come from.
pub(crate) struct Prices {
    table: Option<Parsed<HashMap<String, Row>>>,
    /// Of deployments that have none and are not in the table.
    usual: Option<Price>,
}

impl Prices {
    pub(crate) fn new(document: Option<&str>, usual: Option<Price>) -> Result<Self, ConfigError> {
        let parse = |name| {
            Parsed::new(name, table)
                .map_err(|error| ConfigError::at("/prices", error.issues()[0].message.clone()))
        };
        Ok(Self { table: document.map(parse).transpose()?, usual })
    }

    /// What this usage costs at a deployment, in billionths of a US dollar. `None` where no price is known.
    pub(crate) fn of(&self, deployment: &Deployment, usage: &Usage) -> Option<u64> {
        if let Some(Price(row)) = &deployment.price {
            return Some(row.cost(usage).nanodollars());
        }
        let table = self.table.as_ref().and_then(Parsed::get);
        let name = deployment.price_name.as_deref();
        if let Some(row) = table.as_ref().zip(name).and_then(|(table, name)| table.get(name)) {
            return Some(row.cost(usage).nanodollars());
        }
        let Price(row) = self.usual.as_ref()?;
        Some(row.cost(usage).nanodollars())
    }
}

/// The price that somebody may have meant by a key that there is not.
fn meant(key: &str) -> Option<&'static str> {
    let nearest = own_names().min_by_key(|name| distance(name, key))?;
    let is_known = own_names().any(|known| known == key) || key == "tokens";
    (!is_known && distance(nearest, key) <= 3).then_some(nearest)
}

/// A table of prices by model: the public one, whose prices are dollars for a token, or an own one with dollars for a
/// million.
fn table(document: &[u8]) -> Result<HashMap<String, Row>, Vec<Fault>> {
    let root = Raw::parse(document)
        .map_err(|fault| vec![Fault::at(fault.at..fault.at, "it stops being JSON here")])?;
    if !root.is_object() {
        let fault = "a table of prices is a JSON object with models as its keys";
        return Err(vec![Fault::at(root.range_in(document), fault)]);
    }
    let is_own = |row: Raw<'_>| row.some("input").is_some();
    if !root.members().any(|(_, row)| is_own(row)) {
        let rows = public_rows(document).map_err(|fault| vec![Fault::new(fault.to_string())])?;
        let named = rows.map(|row| (row.name.into_owned(), row.row));
        return Ok(named.collect());
    }
    let (mut rows, mut faults) = (HashMap::new(), FirstFaults::new(MAX_FAULTS));
    for (name, row) in root.members() {
        let name = name.str().unwrap_or_default().into_owned();
        match of_own(row.text().as_bytes()) {
            Ok(price) => _ = rows.insert(name, price),
            Err(fault) => faults.push(|| {
                let place = at(row, &fault.path).range_in(document);
                let key = fault.path.rsplit('.').next().unwrap_or_default();
                let message = match key {
                    "" => format!("the price of {name:?} {}", fault.reason),
                    key => format!("`{key}` of {name:?} {}", fault.reason),
                };
                let help = meant(key).map(|name| format!("did you mean `{name}`?"));
                Fault { place: Some(place), message, help }
            }),
        }
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults.finish()) }
}

/// The value at a path with dots, as far as there is one.
fn at<'a>(row: Raw<'a>, path: &str) -> Raw<'a> {
    path.split('.').fold(row, |inner, step| {
        let element = step.parse().ok().and_then(|index| inner.elements().nth(index));
        inner.get(step).or(element).unwrap_or(inner)
    })
}
