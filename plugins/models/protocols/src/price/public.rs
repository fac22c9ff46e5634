//! The public table of prices a token, `model_prices_and_context_window.json`.

use std::borrow::Cow;

use super::{Kind, Price, Row, decimal};
use crate::json::{Fault, Raw};
use crate::usage::Tier;

/// The beginnings of the members' names, longer ones before those that begin them.
const NAMES: [(&str, Kind); 11] = [
    ("input_cost_per_token", Kind::Input),
    ("output_cost_per_token", Kind::Output),
    ("cache_read_input_token_cost", Kind::CacheRead),
    ("cache_creation_input_token_cost", Kind::CacheWrite),
    ("output_cost_per_reasoning_token", Kind::Reasoning),
    ("input_cost_per_audio_token", Kind::AudioInput),
    ("output_cost_per_audio_token", Kind::AudioOutput),
    ("input_cost_per_image_token", Kind::ImageInput),
    ("output_cost_per_image_token", Kind::ImageOutput),
    ("search_context_cost_per_query", Kind::Search),
    ("input_cost_per_second", Kind::AudioSecond),
];

/// One model of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicRow<'a> {
    /// The model's name in the table.
    pub name: Cow<'a, str>,
    /// Its prices.
    pub row: Row,
    /// The most input tokens that it takes.
    pub max_input: Option<u64>,
    /// The most output tokens that it writes.
    pub max_output: Option<u64>,
    /// Members that are costs but not of a kind that is known here, such as those a picture, or
    /// that are no decimal number: what they would add is not in any cost.
    pub unknown: Vec<Cow<'a, str>>,
}

/// The models of the table, read one after the other.
pub fn public_rows(table: &[u8]) -> Result<impl Iterator<Item = PublicRow<'_>>, Fault> {
    let table = Raw::parse(table)?;
    let rows = table.members().filter(|(key, value)| value.is_object() && !key.is("sample_spec"));
    Ok(rows.map(|(key, value)| row(key.str().unwrap_or_default(), value)))
}

fn row<'a>(name: Cow<'a, str>, members: Raw<'a>) -> PublicRow<'a> {
    let (row, max_input, max_output, unknown) = (Row::default(), None, None, Vec::new());
    let mut found = PublicRow { name, row, max_input, max_output, unknown };
    for (key, value) in members.members() {
        let Some(name) = key.str().filter(|_| !value.is_null()) else { continue };
        match &*name {
            "max_input_tokens" => found.max_input = value.u64(),
            "max_output_tokens" => found.max_output = value.u64(),
            _ if !name.contains("cost") => {}
            _ => match price(&name, value) {
                Some(price) => found.row.put(price),
                None => found.unknown.push(name),
            },
        }
    }
    found
}

fn price(name: &str, value: Raw<'_>) -> Option<Price> {
    let (start, mut kind) = *NAMES.iter().find(|(start, _)| name.starts_with(start))?;
    let mut rest = &name[start.len()..];
    let (mut above, mut tier) = (0, Tier::Standard);
    while !rest.is_empty() {
        rest = if let Some(behind) = rest.strip_prefix("_above_1hr") {
            if kind != Kind::CacheWrite {
                return None;
            }
            kind = Kind::CacheWrite1h;
            behind
        } else if let Some(behind) = rest.strip_prefix("_above_") {
            let (thousands, behind) = behind.split_once("k_tokens")?;
            above = thousands.parse::<u64>().ok()?.checked_mul(1000)?;
            behind
        } else if let Some(behind) = rest.strip_prefix("_priority") {
            tier = Tier::Priority;
            behind
        } else if let Some(behind) = rest.strip_prefix("_flex") {
            tier = Tier::Flex;
            behind
        } else if let Some(behind) = rest.strip_prefix("_ultrafast") {
            tier = Tier::Ultrafast;
            behind
        } else {
            tier = Tier::Batch;
            rest.strip_prefix("_batches")?
        };
    }
    // Searches have a price for each size of what they bring; the middle one is the default.
    let value = match kind {
        Kind::Search => value.some("search_context_size_medium")?,
        _ => value,
    };
    let text = value.escaped().unwrap_or(value.text());
    Some(Price { kind, above, tier, attodollars: decimal::scaled(text, 18)? })
}
