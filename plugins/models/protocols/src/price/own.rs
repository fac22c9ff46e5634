//! The gateway's own form of prices: dollars for a million tokens, as decimal texts.
//!
//! An object of JSON, to which one of TOML is converted before:
//! `{"input": "2.50", "output": "10", "above": [{"tokens": 200000, "input": "5"}], "batch": {…}}`.

use super::{Fault, Kind, Row};
use crate::json::Raw;
use crate::usage::Tier;

const NAMES: [(&str, Kind); 12] = [
    ("input", Kind::Input),
    ("output", Kind::Output),
    ("cache_read", Kind::CacheRead),
    ("cache_write", Kind::CacheWrite),
    ("cache_write_1h", Kind::CacheWrite1h),
    ("reasoning", Kind::Reasoning),
    ("audio_input", Kind::AudioInput),
    ("audio_output", Kind::AudioOutput),
    ("image_input", Kind::ImageInput),
    ("image_output", Kind::ImageOutput),
    ("search", Kind::Search),
    ("audio_second", Kind::AudioSecond),
];

const TIERS: [(&str, Tier); 4] = [
    ("batch", Tier::Batch),
    ("flex", Tier::Flex),
    ("priority", Tier::Priority),
    ("ultrafast", Tier::Ultrafast),
];

/// The names of what can have a price.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name).chain(TIERS.iter().map(|(name, _)| *name)).chain(["above"])
}

/// Reads a row. A number of JSON is taken by its digits, as a text would be; `search` is dollars
/// for a million searches, `audio_second` for a million seconds.
pub fn of_own(json: &[u8]) -> Result<Row, Fault> {
    let fault = |reason| Fault { path: String::new(), reason };
    let root = Raw::parse(json).map_err(|_| fault("is not JSON"))?;
    if !root.is_object() {
        return Err(fault("is not an object of prices"));
    }
    let mut row = Row::default();
    object(&mut row, root, "", 0, Tier::Standard)?;
    Ok(row)
}

fn object(row: &mut Row, json: Raw<'_>, at: &str, above: u64, tier: Tier) -> Result<(), Fault> {
    for (key, value) in json.members() {
        let name = key.str().unwrap_or_default();
        let path = if at.is_empty() { name.to_string() } else { format!("{at}.{name}") };
        let fault = |reason| Err(Fault { path: path.clone(), reason });
        if let Some((_, kind)) = NAMES.iter().find(|(known, _)| *known == name) {
            let text = value.escaped().unwrap_or(value.text());
            if row.set(*kind, above, tier, text).is_none() {
                return fault("is not a decimal number of dollars for a million tokens");
            }
        } else if let Some((_, inner)) = TIERS.iter().find(|(known, _)| *known == name)
            && tier == Tier::Standard
        {
            if !value.is_object() {
                return fault("is not an object of prices");
            }
            object(row, value, &path, above, *inner)?;
        } else if name == "above" && above == 0 {
            if !value.is_array() {
                return fault("is not a list of prices with `tokens`");
            }
            for (index, step) in value.elements().enumerate() {
                let path = format!("{path}.{index}");
                let Some(tokens @ 1..) = step.u64_of("tokens") else {
                    let reason = "has no `tokens`, the number of input tokens above which it holds";
                    return Err(Fault { path, reason });
                };
                object(row, step, &path, tokens, tier)?;
            }
        } else if !(name == "tokens" && above > 0) {
            return fault("is not a known price");
        }
    }
    Ok(())
}
