//! What usage costs.
//!
//! Owns where a price comes from: the deployment's own, or the document of prices. The arithmetic is exact and not here.

use std::collections::HashMap;

use gateway_model_protocols::json::Raw;
use gateway_model_protocols::price::{Row, of_own, own_names, public_rows};
use gateway_model_protocols::usage::Usage;
use gateway_plugin_sdk::documents::Parsed;
use gateway_plugin_sdk::prelude::ConfigError;

use serde_json::{Map, Value};

use crate::catalog::{Deployment, distance};

/// What a deployment's tokens cost.
#[derive(Debug)]
pub(crate) struct Price(Row);

impl Price {
    /// The price, or which key is wrong, with dots between keys, and why.
    pub(crate) fn new(spec: &Map<String, Value>) -> Result<Self, (String, String)> {
        let json = serde_json::to_vec(spec).map_err(|error| (String::new(), error.to_string()))?;
        of_own(&json).map(Self).map_err(|fault| {
            let key = fault.path.rsplit('.').next().unwrap_or_default();
            let nearest = own_names().min_by_key(|name| distance(name, key));
            let message = match nearest.filter(|name| {
                !own_names().any(|known| known == key)
                    && key != "tokens"
                    && distance(name, key) <= 3
            }) {
                Some(name) => format!("`{key}` {}; did you mean `{name}`?", fault.reason),
                None => format!("`{key}` {}, as in `\"0.15\"`", fault.reason),
            };
            (fault.path, message)
        })
    }
}

/// Where prices come from.
pub(crate) struct Prices(Option<Parsed<HashMap<String, Row>>>);

impl Prices {
    pub(crate) fn new(document: Option<&str>) -> Result<Self, ConfigError> {
        let Some(name) = document else { return Ok(Self(None)) };
        let parsed = Parsed::new(name, table)
            .map_err(|error| ConfigError::at("/prices", error.issues()[0].message.clone()))?;
        Ok(Self(Some(parsed)))
    }

    /// What this usage costs at a deployment, in billionths of a US dollar. `None` where no price is known.
    pub(crate) fn of(&self, deployment: &Deployment, usage: &Usage) -> Option<u64> {
        if let Some(Price(row)) = &deployment.price {
            return Some(row.cost(usage).nanodollars());
        }
        let table = self.0.as_ref()?.get()?;
        let row = table.get(deployment.price_name.as_deref()?)?;
        Some(row.cost(usage).nanodollars())
    }
}

/// A table of prices by model: the public one, whose prices are dollars for a token, or an own one with dollars for a
/// million.
fn table(document: &[u8]) -> Result<HashMap<String, Row>, String> {
    let root = Raw::parse(document).map_err(|fault| fault.to_string())?;
    if !root.is_object() {
        return Err("it is no JSON object with models as its keys".to_owned());
    }
    let is_own = |row: Raw<'_>| row.some("input").is_some();
    if !root.members().any(|(_, row)| is_own(row)) {
        let rows = public_rows(document).map_err(|fault| fault.to_string())?;
        let named = rows.map(|row| (row.name.into_owned(), row.row));
        return Ok(named.collect());
    }
    let rows = root.members().map(|(name, row)| {
        let name = name.str().unwrap_or_default().into_owned();
        let row = of_own(row.text().as_bytes()).map_err(|fault| format!("{name}: {fault}"))?;
        Ok((name, row))
    });
    rows.collect()
}
